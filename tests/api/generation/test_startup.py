"""A start says when the service is ready and where; later it says what has changed."""

from __future__ import annotations

import asyncio
import json
import logging
from contextlib import nullcontext

import bentoml
import pytest

from api.errors import ModelsUnavailable, StillLoading
from api.generation import monitor, startup
from api.generation.monitor import Monitor
from api.generation.startup import StartUp
from api.messages import ModelStatus, Status
from api.schemas import LOADING, Health
from api.settings import read_settings

READY = LOADING.model_copy(update={"status": "ready"})
FAILED = LOADING.model_copy(update={"status": "error", "error": "There is no coarse model."})


def messages(caplog: pytest.LogCaptureFixture, *states: Health) -> list[str]:
    caplog.set_level(logging.INFO, "xcube.start")
    say = StartUp()
    for state in states:
        say(state)
    return [entry.getMessage() for entry in caplog.records]


def test_ready_names_the_address_and_the_time_it_took_and_later_that_it_is_ready_again(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BENTOML_RUNNER_MAP", json.dumps({"XCube": "http://localhost:8123", "Sampler": "file:///x"}))
    first, gone, again = messages(caplog, READY, LOADING, READY)
    assert first.startswith("ready after ")
    assert "open http://localhost:8123/ in a browser" in first
    assert gone == "the Sampler process does not answer: waiting until it has restarted"
    assert again.startswith("ready again: ")


def test_what_is_wrong_is_said(caplog: pytest.LogCaptureFixture) -> None:
    assert messages(caplog, FAILED) == ["not ready: There is no coarse model."]


def test_what_is_not_served_is_said_without_saying_ready_again(caplog: pytest.LogCaptureFixture) -> None:
    lacking = READY.model_copy(update={"error": "The fine model cannot be used."})
    ready, fault, later = messages(caplog, lacking, READY, lacking)
    assert ready.startswith("ready after ")
    assert fault == later == "not everything is served: The fine model cannot be used."


@pytest.mark.parametrize(("port", "warned"), [("8123", 0), ("9000", 1), ("", 0), ("tcp://10.0.0.1:80", 0)])
def test_a_port_that_bentoml_did_not_take_is_said(
    port: str, warned: int, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BENTOML_RUNNER_MAP", json.dumps({"XCube": "http://localhost:8123"}))
    monkeypatch.setenv("XCUBE_PORT", port)
    monkeypatch.setattr(startup, "load_settings", read_settings)
    said = messages(caplog, READY)
    assert sum("XCUBE_PORT is 9000 but counts" in line for line in said) == warned


def test_of_several_processes_the_first_one_says_it(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bentoml.server_context, "worker_index", 2)
    assert messages(caplog, READY) == []


@pytest.mark.parametrize(
    ("status", "error", "default"),
    [
        (Status(health=LOADING), StillLoading, StillLoading),
        (Status(health=FAILED), ModelsUnavailable, ModelsUnavailable),
        (
            Status(health=READY, models={"fine": ModelStatus(fault="The fine model cannot be used.")}),
            None,
            ModelsUnavailable,
        ),
        (Status(health=READY), None, None),
    ],
)
def test_a_broken_fine_model_is_one_that_a_request_without_options_needs(
    status: Status, error: type[Exception] | None, default: type[Exception] | None
) -> None:
    class Nobody:
        pass

    monitor = Monitor(Nobody())  # type: ignore[arg-type]
    monitor.status = status
    for check, expected in ((monitor.check_ready, error), (monitor.check_default, default)):
        with pytest.raises(expected) if expected else nullcontext():
            check()


def test_the_monitor_tells_each_change_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(monitor, "_PERIOD", dict.fromkeys(("loading", "ready", "error"), 0.0))
    lacking = READY.model_copy(update={"error": "The fine model cannot be used."})
    states = [LOADING, READY, READY, FAILED, READY, lacking, lacking]
    told: list[str] = []

    class SamplerClient:
        async def status(self) -> Status:
            if not states:
                raise asyncio.CancelledError
            return Status(health=states.pop(0))

    async def watch() -> None:
        monitor = Monitor(SamplerClient(), lambda new: told.append(new.status))  # type: ignore[arg-type]
        with pytest.raises(asyncio.CancelledError):
            await monitor.run()

    asyncio.run(watch())
    assert told == ["ready", "error", "ready", "ready"]
