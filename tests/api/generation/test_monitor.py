"""Of several Samplers and HTTP processes, what one says is not what another says at the same moment."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from api.errors import StillLoading
from api.generation import monitor
from api.generation.monitor import Monitor
from api.messages import Status
from api.schemas import LOADING, Health

READY = LOADING.model_copy(update={"status": "ready"})
FAILED = LOADING.model_copy(update={"status": "error", "error": "There is no coarse model."})


class Samplers:
    """Answers in turn with each of some statuses; with the last one for ever."""

    def __init__(self, *said: tuple[str, Health]) -> None:
        self.said = [Status(sampler=name, health=health) for name, health in said]
        self.asked = 0

    async def status(self) -> Status:
        self.asked += 1
        return self.said.pop(0) if len(self.said) > 1 else self.said[0]


def run(samplers: Samplers, test: Callable[[Monitor], Awaitable[None]]) -> None:
    asyncio.run(_run(samplers, test))


async def _run(samplers: Samplers, test: Callable[[Monitor], Awaitable[None]]) -> None:
    await test(Monitor(samplers))  # type: ignore[arg-type]


def statuses(*said: tuple[str, Health]) -> list[str]:
    """What the monitor shows after each answer."""
    shown = []

    async def follow(watching: Monitor) -> None:
        for _ in said:
            await watching.refresh()
            shown.append(watching.health.status)

    run(Samplers(*said), follow)
    return shown


@pytest.mark.parametrize("other", [LOADING, FAILED])
def test_one_of_several_samplers_that_is_ready_is_enough(other: Health) -> None:
    assert statuses(("a", other), ("b", READY), ("a", other), ("b", READY)) == [other.status, "ready", "ready", "ready"]


def test_a_sampler_that_starts_again_loads_whatever_it_said_before() -> None:
    assert statuses(("a", READY), ("a", LOADING)) == ["ready", "loading"]


def test_what_a_sampler_said_long_ago_does_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(monitor, "PATIENCE", -1.0)
    assert statuses(("a", READY), ("b", LOADING)) == ["ready", "loading"]


def test_a_request_that_comes_while_the_models_load_asks_at_once_and_others_with_it() -> None:
    samplers = Samplers(("a", READY))

    async def ask(watching: Monitor) -> None:
        with pytest.raises(StillLoading):
            watching.check_ready()
        await asyncio.gather(*(watching.look_again() for _ in range(5)))
        watching.check_ready()
        await watching.look_again()

    run(samplers, ask)
    assert samplers.asked == 1


def test_a_request_asks_on_where_one_that_still_loads_answers_first() -> None:
    samplers = Samplers(("a", LOADING), ("a", LOADING), ("b", READY))

    async def ask(watching: Monitor) -> None:
        await watching.look_again()
        watching.check_ready()

    run(samplers, ask)
    assert samplers.asked == 3


def test_a_request_waits_for_a_silent_sampler_for_a_moment_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(monitor, "LOOK", 0.01)

    class Silent(Samplers):
        async def status(self) -> Status:
            await asyncio.Event().wait()
            raise AssertionError

    async def ask(watching: Monitor) -> None:
        await watching.look_again()
        with pytest.raises(StillLoading):
            watching.check_ready()

    run(Silent(("a", READY)), ask)
