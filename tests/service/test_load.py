"""scripts/load against the real service, and what the service holds under it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cli.load.__main__ import main
from cli.load.memory import Memory, processes
from cli.load.report import Fairness, report
from cli.load.users import Answer, Mix
from tests.support.paths import DEMO, ROOT
from tests.support.service import Server, StartServer, free_port

pytestmark = pytest.mark.shared("server")


def load(server: Server, folder: Path, *arguments: object) -> dict[str, Any]:
    """Runs the command; it must not find an error. Returns its figures."""
    file = folder / "load.json"
    assert main(["--url", server.url, "--json", str(file), *map(str, arguments)]) == 0, file.read_text()
    figures: dict[str, Any] = json.loads(file.read_text())
    return figures


def test_a_mix_has_all_kinds_of_requests_and_comes_out_the_same_again() -> None:
    source = Mix((4, 20), 0.5, seed=3).requests()
    some = [next(source) for _ in range(200)]
    again = Mix((4, 20), 0.5, seed=3).requests()
    assert some == [next(again) for _ in range(200)]
    assert {request["ddim_steps"] for request in some} == set(range(4, 21))
    assert 70 < sum(bool(request["use_fine"]) for request in some) < 130
    assert len({request["seed"] for request in some}) == 200


def test_a_report_tells_errors_from_full_queues() -> None:
    outcomes = ["200"] * 8 + ["429"] * 3 + ["500", "ReadError"]
    made = report([Answer(outcome, 1.0 + index, False, 1000) for index, outcome in enumerate(outcomes)], seconds=4.0)
    assert made.errors == 2
    assert made.throughput == 2.0
    assert made.outcomes == {"200": 8, "429": 3, "500": 1, "ReadError": 1}
    assert made.latency["all"]["max"] == 8.0
    assert made.latency["all"]["p50"] == 4.5
    assert any("500: 1" in line for line in made.lines())


def test_a_report_shows_how_alike_users_were_treated() -> None:
    def made(*shapes: tuple[int, float]) -> Fairness | None:
        return report([Answer("200", seconds, False, 1, user) for user, seconds in shapes], 1.0).fairness

    assert made((0, 1.0), (1, 1.0), (0, 3.0), (1, 3.0)) == Fairness(2, 1.0, 1.0)
    assert made((0, 1.0), (0, 1.0), (0, 1.0), (1, 3.0)) == Fairness(2, 0.8, 3.0)
    hungry = report([Answer("200", 1.0, False, 1, 0), Answer("429", 0.1, False, 1, 1)], 1.0)
    assert hungry.fairness == Fairness(2, 0.5, 1.0), "a user who got nothing counts"
    assert any("Jain's index 0.500" in line for line in hungry.lines())
    assert report([Answer("200", 1.0, False, 1)], 1.0).fairness is None, "nobody in particular asked"


def test_memory_that_grows_shows_and_the_first_minutes_do_not_count() -> None:
    memory = Memory(1)
    memory.samples = [(t, 100 + min(t, 150) + np.sin(t)) for t in range(0, 600, 2)]
    assert abs(memory.growth()) < 0.005
    memory.samples = [(t, 1000 + t / 4) for t in range(0, 600, 2)]
    assert memory.growth() == pytest.approx(0.25 * 598 * 0.7 / (1000 + 0.25 * 598 * 0.3), rel=0.02)


def test_users_get_shapes_and_figures_are_printed(
    single: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    figures = load(single, tmp_path, "--users", 3, "--requests", 12, "--steps", 1, 3)
    assert figures["outcomes"]["200"] + figures["outcomes"].get("429", 0) == 12
    assert figures["throughput"] > 0
    assert set(figures["latency"]) == {"all", "coarse only", "with fine"}
    assert figures["fairness"]["users"] == 3
    assert 1 / 3 <= figures["fairness"]["jain"] <= 1
    assert {path: set(values) >= {"p50", "p95", "max"} for path, values in figures["probes"].items()} == {
        "/livez": True,
        "/health": True,
    }
    printed = capsys.readouterr().out
    assert "throughput" in printed
    assert "fairness" in printed
    assert "/livez" in printed
    assert "p99" in printed


def test_four_times_the_load_that_is_possible_gives_no_error_but_429(single: Server, tmp_path: Path) -> None:
    mix = ("--steps", 4, 8, "--fine", 0.5)
    possible = load(single, tmp_path, "--users", 4, "--seconds", 5, *mix)["throughput"]
    rate = 4 * possible
    while "429" not in (figures := load(single, tmp_path, "--rate", rate, "--seconds", 5, *mix))["outcomes"]:
        rate *= 4  # something else slowed the machine down while the possible load was measured
    assert figures["errors"] == 0
    assert single.get("/health").json()["status"] == "ready"
    assert "Traceback" not in single.log.read_text()


def test_all_processes_of_the_service_are_watched(single: Server) -> None:
    watched = {process.pid for process in processes(single.port)}
    assert single.process.pid in watched
    assert {sampler.pid for sampler in single.samplers()} <= watched
    assert os.getpid() not in watched


def test_without_a_service_the_command_says_so_in_one_line(capfd: pytest.CaptureFixture[str]) -> None:
    command = [sys.executable, "-m", "cli.load", "--url", f"http://127.0.0.1:{free_port()}"]
    assert subprocess.run(command, cwd=ROOT, check=False).returncode == 2
    (line,) = capfd.readouterr().err.splitlines()
    assert "scripts/serve" in line


@pytest.fixture(scope="module")
def demo(start_server: StartServer) -> Server:
    """A service with the demo models and settings as they are by default."""
    if not (DEMO / "demo_fine").is_dir():
        pytest.skip("checkpoints/ has no demo models: train them with scripts/train")
    running = start_server(DEMO, XCUBE_MODEL="demo")
    running.wait_until("ready")
    return running


@pytest.mark.slow
@pytest.mark.timeout(7300)
def test_500_requests_of_16_clients_all_succeed(demo: Server, tmp_path: Path) -> None:
    figures = load(demo, tmp_path, "--users", 16, "--requests", 500, "--seconds", 7200, "--steps", 4, 20)
    assert figures["outcomes"] == {"200": 500}
    # What one thread computed counts, wherever others use the cores too; on a quiet machine it is the time.
    (sampler,) = demo.samplers()
    computed = sum(sampler.cpu_times()[:2])
    print(f"500 requests took {figures['seconds']:.0f} s, of which the models computed {computed:.0f} s")
    assert computed < 1200


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_memory_does_not_grow_in_ten_minutes(demo: Server, tmp_path: Path) -> None:
    figures = load(demo, tmp_path, "--users", 8, "--soak", "--steps", 4, 20)
    assert figures["seconds"] >= 600
    assert figures["memory_growth"] < 0.05
