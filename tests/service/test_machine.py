"""The machine around the real service: who cleans up, who is killed, and who has no home."""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
import tempfile
from pathlib import Path

import psutil
import pytest

from tests.support.figures import value, wait_for
from tests.support.service import Server, StartServer, started

STEPS = 5
# A user that no passwd file knows, in group 0, who may read everything (this Python may lie in root's home) but write
# where the group may only: as OpenShift starts containers.
STRANGER = [
    "setpriv", "--reuid", "54321", "--regid", "0", "--clear-groups", "--inh-caps", "-all,+dac_read_search",
    "--ambient-caps", "-all,+dac_read_search", "--bounding-set", "-all,+dac_read_search",
    sys.executable, "-m", "cli.serve",
]  # fmt: skip


@pytest.fixture(scope="module")
def service(start_server: StartServer, tiny_models: Path) -> Server:
    running = start_server(tiny_models)
    running.wait_until("ready")
    return running


@pytest.fixture(scope="module")
def killed(service: Server) -> tuple[Server, list[psutil.Process]]:
    """The service after its first process was killed, and those of the others that were still there 5 s later."""
    others = service.processes()
    assert len(others) == 2
    service.process.kill()
    return service, psutil.wait_procs(others, timeout=5)[1]


@pytest.fixture(scope="module")
def again(killed: tuple[Server, list[psutil.Process]], start_server: StartServer, tiny_models: Path) -> Server:
    """A new service on the port of the one that was killed."""
    running = start_server(tiny_models, XCUBE_PORT=str(killed[0].port))
    running.wait_until("ready")
    return running


def variable(server: Server, name: str) -> str:
    """What a process of the service finds in its environment."""
    return server.processes()[0].environ()[name]


def test_a_metrics_folder_that_is_removed_is_made_again_with_its_figures_and_processes_come_back(
    service: Server,
) -> None:
    assert service.generate(use_fine=False).status_code == 200
    steps = value(service, "xcube_denoise_steps_total", stage="coarse")
    assert steps > 0
    folder = Path(variable(service, "PROMETHEUS_MULTIPROC_DIR"))
    shutil.rmtree(folder)
    assert service.get("/metrics").status_code == 200
    wait_for(lambda: value(service, "xcube_model_ready") == 1)
    wait_for(lambda: value(service, "xcube_denoise_steps_total", stage="coarse") == steps)
    assert service.generate(ddim_steps=STEPS, use_fine=False).status_code == 200
    assert value(service, "xcube_denoise_steps_total", stage="coarse") == steps + STEPS

    shutil.rmtree(folder)
    (sampler,) = service.samplers()
    sampler.kill()
    wait_for(lambda: service.samplers() not in ([], [sampler]))
    service.wait_until("loading")
    service.wait_until("ready")
    assert service.get("/readyz").status_code == 200
    assert service.get("/metrics").status_code == 200
    assert service.generate(use_fine=False).status_code == 200


def test_when_the_first_process_is_killed_the_others_end_at_once_and_the_port_is_free(
    killed: tuple[Server, list[psutil.Process]], again: Server
) -> None:
    service, left = killed
    assert left == []
    assert again.port == service.port


def test_a_service_whose_sockets_are_removed_says_so_and_ends_to_be_started_anew(again: Server) -> None:
    places = json.loads(variable(again, "BENTOML_RUNNER_MAP"))
    shutil.rmtree(Path(places["Sampler"].removeprefix("file://")).parent)
    again.process.wait(60)
    assert re.search(r"somebody removed the socket \S+: the service stops", again.log.read_text())


# A user without a home, in group 0


def may_become_another() -> bool:
    return sys.platform == "linux" and os.getuid() == 0 and shutil.which("setpriv") is not None


stranger = pytest.mark.skipif(not may_become_another(), reason="needs root and setpriv to become another user")


def environment_of_a_stranger(**variables: str) -> dict[str, str]:
    inherited = {name: text for name, text in os.environ.items() if name not in ("HOME", "BENTOML_HOME")}
    return inherited | variables


@stranger
@pytest.mark.parametrize("variables", [{}, {"HOME": "/"}], ids=["no home", "the home is /"])
def test_a_user_without_a_usable_home_is_told_in_one_sentence_what_to_set(
    variables: dict[str, str], tmp_path: Path
) -> None:
    with started(STRANGER, environment_of_a_stranger(**variables), tmp_path / "log") as server:
        assert server.process.wait(60) == 1
    assert re.fullmatch(
        r"xcube: [^\n]+: set BENTOML_HOME to a folder that can be written to\.\n", server.log.read_text()
    )


@stranger
@pytest.mark.costly
def test_a_user_without_a_home_serves_from_folders_that_its_group_may_write(tiny_models: Path, tmp_path: Path) -> None:
    with tempfile.TemporaryDirectory(prefix="xcube-") as folder:
        os.chmod(folder, 0o770)
        environment = environment_of_a_stranger(
            BENTOML_HOME=f"{folder}/home", XCUBE_JOBS_DIR=f"{folder}/jobs", XCUBE_DEVICE="cpu",
            XCUBE_CHECKPOINT_DIR=str(tiny_models), XCUBE_DRAIN_SECONDS="5",
        )  # fmt: skip
        with started(STRANGER, environment, tmp_path / "log") as server:
            server.wait_until("ready")
            assert psutil.Process(server.process.pid).uids().real == 54321
            assert server.generate(use_fine=False).status_code == 200
            assert server.post("/jobs", json={"prompt": "a chair", "ddim_steps": 1}).status_code == 202
            assert server.stop() == 0
