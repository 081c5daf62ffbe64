"""GET /metrics of the real service: every name, figures of all its processes, and no series made by strangers."""

from __future__ import annotations

import json
import os
import re
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest
import torch

from tests.support.figures import NAMES, cancelled, read, running, value, wait_for, waiting
from tests.support.leaving import LONG, sent
from tests.support.paths import ROOT
from tests.support.service import Server, StartServer, command_of

PARTS = {"text", "coarse_diffusion", "coarse_decode", "fine_diffusion", "fine_decode", "serialize"}


@pytest.fixture(scope="module")
def server(start_server: StartServer, tiny_models: Path) -> Server:
    """A service of two HTTP processes, so that every figure has to come from all of them."""
    running = start_server(tiny_models, XCUBE_WORKERS="2", XCUBE_MAX_RUNNING="1", XCUBE_MAX_QUEUE="2")
    running.wait_until("ready")
    return running


def http_processes(server: Server) -> list[int]:
    commands = {process.pid: command_of(process) for process in server.processes()}
    return [pid for pid, command in commands.items() if "XCube" in command and "Sampler" not in command]


def test_every_metric_is_there_before_the_first_request_that_would_move_it(server: Server) -> None:
    text = server.get("/metrics").text
    assert dict(re.findall(r"^# TYPE (xcube_\w+?)(?:_total)? (\w+)$", text, re.M)) == NAMES
    assert "bentoml_" not in text


def test_the_dashboard_and_the_autoscalers_name_metrics_that_exist(server: Server) -> None:
    deployed = [ROOT / "deploy/grafana/xcube.json", *(ROOT / "deploy/components").rglob("*.yaml")]
    used = set(re.findall(r"\bxcube_[a-z]\w+", " ".join(path.read_text() for path in deployed)))
    assert len(used) > 10
    existing = {name for name, _ in read(server)}
    assert used <= existing
    labels: dict[str, set[str]] = {}
    for name, pairs in read(server):
        labels.setdefault(name, set()).update(key for key, _ in pairs)
    for panel in json.loads((ROOT / "deploy/grafana/xcube.json").read_text())["panels"]:
        for target in panel.get("targets", []):
            for group in re.findall(r"by \(([^)]*)\)", target["expr"]):
                known = set().union(*(labels[name] for name in re.findall(r"xcube_\w+", target["expr"])))
                assert {label.strip() for label in group.split(",")} <= known | {"instance"}


def test_histograms_reach_600_seconds(server: Server) -> None:
    for name in ("xcube_request_queue_time_seconds", "xcube_stage_duration_seconds", "xcube_request_duration_seconds"):
        edges = {dict(pairs)["le"] for series, pairs in read(server) if series == f"{name}_bucket"}
        assert "600.0" in edges


def test_a_generation_moves_the_figures_of_both_kinds_of_process(server: Server) -> None:
    before = read(server)
    answer = server.generate(ddim_steps=4)
    body = answer.json()
    after = read(server)

    def moved(name: str, **labels: str) -> float:
        key = (name, frozenset(labels.items()))
        return after[key] - before.get(key, 0)

    for part in PARTS:
        assert moved("xcube_stage_duration_seconds_count", stage=part) == 1, part
    for stage in ("coarse", "fine"):
        assert moved("xcube_denoise_steps_total", stage=stage) == 4
        assert moved("xcube_output_points_count", stage=stage) == 1
        assert moved("xcube_output_points_sum", stage=stage) == len(body[f"{stage}_xyz"])
        assert 1 <= moved("xcube_batch_size_count", stage=stage) <= 4
    assert moved("xcube_request_queue_time_seconds_count") == 1
    assert after[("xcube_model_ready", frozenset())] == 1
    ended = {"path": "/generate", "status": "200"}  # counted when the answer has left
    key = ("xcube_request_duration_seconds_count", frozenset(ended.items()))
    wait_for(lambda: value(server, key[0], **ended) == before.get(key, 0) + 1)


def test_figures_add_up_over_all_http_processes_whichever_is_asked(server: Server) -> None:
    before = value(server, "xcube_request_queue_time_seconds_count")
    for _ in range(12):  # each on a connection of its own, so both processes get some
        assert server.generate(ddim_steps=1, use_fine=False).status_code == 200
    assert {value(server, "xcube_request_queue_time_seconds_count") - before for _ in range(8)} == {12}


def test_the_build_names_the_versions_that_run(server: Server) -> None:
    (labels,) = [dict(pairs) for name, pairs in read(server) if name == "xcube_build_info"]
    assert set(labels) == {"version", "torch", "fvdb", "cuda", "backend"}
    assert labels["torch"] == torch.__version__


def test_refusals_are_counted_by_code(server: Server) -> None:
    before = value(server, "xcube_requests_rejected_total", reason="invalid_request")
    server.generate(ddim_steps=0)
    wait_for(lambda: value(server, "xcube_requests_rejected_total", reason="invalid_request") == before + 1)


def test_running_and_waiting_rise_and_fall_and_a_full_queue_is_counted(server: Server) -> None:
    before = value(server, "xcube_requests_rejected_total", reason="queue_full")

    def refused() -> float:
        return value(server, "xcube_requests_rejected_total", reason="queue_full") - before

    with ExitStack() as clients:
        for _ in range(20):  # more than both processes together take: each runs one and lets one wait
            clients.enter_context(sent(server))
        wait_for(lambda: refused() == 20 - running(server) - waiting(server))
        assert 1 <= running(server) <= 2
        assert 1 <= waiting(server) <= 2
    wait_for(lambda: running(server) == waiting(server) == 0)


def test_items_of_a_batch_that_are_refused_are_counted_too(server: Server) -> None:
    before = value(server, "xcube_requests_rejected_total", reason="queue_full")
    batch = {"prompts": ["a chair"] * 6, "ddim_steps": 5, "use_fine": False}
    results = server.post("/batch_generate", json=batch).json()["results"]
    refused = [result for result in results if result.get("code") == "queue_full"]
    assert 0 < len(refused) < 6
    assert value(server, "xcube_requests_rejected_total", reason="queue_full") == before + len(refused)


def test_a_client_that_leaves_is_counted(server: Server) -> None:
    before = cancelled(server)
    with sent(server):
        wait_for(lambda: running(server) == 1)
    wait_for(lambda: cancelled(server) == before + 1)
    assert running(server) == 0


def test_no_url_makes_a_new_series(server: Server) -> None:
    asked = value(server, "xcube_request_duration_seconds_count", path="other", status="404")
    server.generate(prompt="", no_field_0=1)
    for _ in range(2):  # the first request is counted by the time the second one is
        server.get("/never/asked-0")
    wait_for(lambda: value(server, "xcube_request_duration_seconds_count", path="other", status="404") == asked + 2)
    before = {key for key in read(server) if key[0].startswith("xcube_")}
    for index in range(1, 30):
        assert server.get(f"/never/asked-{index}").status_code == 404
        assert server.get(f"/generate/{index}").status_code in (404, 405)
        server.generate(prompt="", **{f"no_field_{index}": 1})
        server.post("/generate", content=b"x", headers={"X-Request-ID": f"id-{index}", "Content-Type": f"a/b{index}"})
    new = {key for key in read(server) if key[0].startswith("xcube_")} - before
    paths = {dict(pairs)["path"] for _, pairs in new if "path" in dict(pairs)}
    assert paths <= {"/generate"}
    assert len({dict(pairs).get("status") for _, pairs in new}) <= 4


def test_what_a_killed_process_was_running_is_forgotten(server: Server) -> None:
    with ThreadPoolExecutor(1) as pool:
        lost = pool.submit(server.generate, **LONG)
        wait_for(lambda: running(server) == 1)
        for pid in http_processes(server):
            os.kill(pid, 9)
        with pytest.raises(httpx.TransportError):
            lost.result()
    server.wait_until("ready")
    assert running(server) == 0


def test_each_process_tells_its_memory_its_descriptors_and_their_limit(server: Server) -> None:
    processes = (("http", "0"), ("http", "1"), ("sampler", "0"))
    each = [frozenset({"process": kind, "worker": worker}.items()) for kind, worker in processes]
    wait_for(lambda: all(("xcube_process_resident_memory_bytes", labels) in read(server) for labels in each))
    figures = read(server)
    for labels in each:
        assert 10e6 < figures["xcube_process_resident_memory_bytes", labels] < 10e9
        assert 5 < figures["xcube_process_open_descriptors", labels] < figures["xcube_process_max_descriptors", labels]


def test_a_sampler_that_died_is_counted_when_it_is_started_again(server: Server) -> None:
    before = value(server, "xcube_process_restarts_total", process="sampler")
    (sampler,) = server.samplers()
    sampler.kill()
    wait_for(lambda: value(server, "xcube_process_restarts_total", process="sampler") == before + 1)
    server.wait_until("ready")


def test_jobs_that_wait_are_counted_whoever_is_asked(server: Server) -> None:
    ids = [server.post("/jobs", json={"prompt": "a chair", **LONG}).json()["id"] for _ in range(4)]
    wait_for(lambda: value(server, "xcube_jobs_waiting") == 2)  # two run, one in each process
    for id_ in ids:
        server.delete(f"/jobs/{id_}")
    wait_for(lambda: value(server, "xcube_jobs_waiting") == 0)


def test_another_service_of_the_same_user_leaves_the_figures_alone(
    server: Server, start_server: StartServer, tiny_models: Path
) -> None:
    server.generate(ddim_steps=1, use_fine=False)
    before = value(server, "xcube_request_queue_time_seconds_count")
    assert before > 0
    other = start_server(tiny_models)
    other.wait_until("ready")
    assert value(other, "xcube_request_queue_time_seconds_count") == 0
    assert value(server, "xcube_request_queue_time_seconds_count") == before
    assert other.stop() == 0
