"""Shares, deadlines and refusals of requests that come together, on a machine with a clock of its own."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable

import pytest

from api.clients import Client
from api.generation.admission import Admission
from tests.support.machine import DEADLINE, Machine, Outcome

Scene = Callable[[Machine, Admission], Awaitable[object]]
HEAVY = Client("heavy")


def play(scene: Scene, max_running: int = 8, max_queue: int = 32, slowness: float = 1.0) -> list[Outcome]:
    """What becomes of the requests of a scene. All places are free at its end."""

    async def main() -> list[Outcome]:
        machine = Machine(slowness)
        admission = Admission(max_running, max_queue, machine.clock)
        working = asyncio.create_task(machine.run())
        await asyncio.wait_for(scene(machine, admission), 60)
        working.cancel()
        assert (admission.running, admission.waiting, admission.outstanding) == (0, 0, 0)
        return machine.outcomes

    return asyncio.run(main())


async def again_and_again(
    machine: Machine, admission: Admission, client: Client, work: float, until: float, connections: int = 1
) -> None:
    """Connections of a client, on each of which the next request follows each answer."""

    async def send() -> None:
        while machine.now < until:
            outcome = await machine.ask(admission, client, work)
            if outcome.wait is not None:
                await machine.until(machine.now + max(1.0, outcome.wait))

    await asyncio.gather(*(send() for _ in range(connections)))


def served(outcomes: list[Outcome]) -> Counter[str]:
    return Counter(one.client for one in outcomes if one.ended is not None)


def late(outcomes: list[Outcome], deadline: float = DEADLINE) -> list[Outcome]:
    return [one for one in outcomes if one.ended is not None and one.seconds > deadline]


def test_30_connections_of_one_client_do_not_keep_20_others_from_their_single_answers() -> None:
    async def scene(machine: Machine, admission: Admission) -> None:
        heavy = asyncio.create_task(again_and_again(machine, admission, HEAVY, 3.0, until=400, connections=30))
        await machine.until(60)
        await asyncio.gather(*(machine.ask(admission, Client(f"single {number}"), 5.0) for number in range(20)))
        await heavy

    outcomes = play(scene)
    singles = [one for one in outcomes if one.client != "heavy"]
    assert all(one.ended is not None for one in singles)
    assert late(outcomes) == []
    assert max(one.seconds for one in singles) < 20 * 5.0 + 8 * 3.0 + 15, (
        "they wait for one another, and hardly for the crowd"
    )
    assert served(outcomes)["heavy"] > 30


def test_clients_who_ask_all_the_time_have_equal_shares_however_many_connections_they_use() -> None:
    async def scene(machine: Machine, admission: Admission) -> None:
        await asyncio.gather(
            *(
                again_and_again(machine, admission, Client(f"{count}"), 2.0, until=500, connections=count)
                for count in (2, 4, 8, 16)
            )
        )

    counts = list(served(play(scene)).values())
    assert sum(counts) ** 2 / (len(counts) * sum(count**2 for count in counts)) > 0.97, counts


def test_a_larger_weight_is_a_larger_share_and_nobody_is_starved() -> None:
    async def scene(machine: Machine, admission: Admission) -> None:
        await asyncio.gather(
            *(
                again_and_again(machine, admission, Client(name, weight), 2.0, until=1000, connections=10)
                for name, weight in (("high", 4.0), ("normal", 1.0))
            )
        )

    counts = served(play(scene, max_running=2))
    assert counts["high"] / counts["normal"] == pytest.approx(4, rel=0.3), counts


def test_short_work_of_others_does_not_wait_for_long_work_even_on_a_single_place() -> None:
    async def scene(machine: Machine, admission: Admission) -> None:
        long = asyncio.create_task(machine.ask(admission, HEAVY, 150.0))
        await machine.until(10)
        short = await machine.ask(admission, Client("single"), 1.0)
        assert short.seconds < 3
        assert (await long).seconds == pytest.approx(151, abs=1)

    play(scene, max_running=1)


def test_steps_that_become_slower_do_not_make_who_waits_the_shorter_one() -> None:
    async def scene(machine: Machine, admission: Admission) -> None:
        first = asyncio.create_task(machine.ask(admission, HEAVY, 20.0))
        await machine.until(1)
        second = asyncio.create_task(machine.ask(admission, HEAVY, 19.0))
        await machine.until(2)
        machine.estimate = 6.0
        assert (await first).seconds == pytest.approx(20, abs=0.5)
        assert (await second).seconds == pytest.approx(38, abs=1)

    play(scene, max_running=1)


def test_of_one_client_what_is_much_shorter_goes_first() -> None:
    async def scene(machine: Machine, admission: Admission) -> None:
        long = [asyncio.create_task(machine.ask(admission, HEAVY, 50.0)) for _ in range(2)]
        await machine.until(5)
        short = await machine.ask(admission, HEAVY, 1.0)
        assert short.seconds < 3
        ended = await asyncio.gather(*long)
        assert max(one.seconds for one in ended) == pytest.approx(101, abs=1)

    play(scene, max_running=2)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("slowness", [0.5, 1.0, 3.0])
def test_whatever_comes_nothing_that_is_accepted_ends_after_its_deadline(seed: int, slowness: float) -> None:
    """Also where the estimates are wrong from the start on, since it is measured how wrong they are."""
    source = random.Random(seed)

    async def scene(machine: Machine, admission: Admission) -> None:
        async def come() -> None:
            await machine.until(source.uniform(0, 300))
            await machine.ask(admission, Client(f"{source.randrange(6)}"), source.choice([0.7, 3.0, 20.0, 90.0]))

        await asyncio.gather(*(come() for _ in range(150)))

    outcomes = play(scene, source.choice([1, 2, 8]), slowness=slowness)
    assert late(outcomes) == []
    accepted = [one for one in outcomes if one.begun]
    assert all(one.ended is not None for one in accepted)
    assert all((one.wait or 0) > 0 for one in outcomes if one.ended is None)


def test_what_has_become_too_slow_is_refused_before_work_is_lost() -> None:
    async def scene(machine: Machine, admission: Admission) -> None:
        sent = [asyncio.create_task(machine.ask(admission, Client(f"{number}"), 20.0)) for number in range(11)]
        await machine.until(20)
        machine.slowness = 4.0
        await asyncio.gather(*sent)

    outcomes = play(scene, max_running=2)
    assert late(outcomes) == []
    assert 3 <= sum(one.ended is not None for one in outcomes) < 11
    assert not [one for one in outcomes if one.ended is None and one.begun]


def test_who_has_the_most_in_the_queue_makes_room_and_is_told_the_longer_wait() -> None:
    async def scene(machine: Machine, admission: Admission) -> None:
        heavy = [asyncio.create_task(machine.ask(admission, HEAVY, 10.0)) for _ in range(6)]
        await asyncio.sleep(0)
        more = await machine.ask(admission, HEAVY, 10.0)
        light = [asyncio.create_task(machine.ask(admission, Client(f"{number}"), 10.0)) for number in range(3)]
        await asyncio.sleep(0)
        pushed = [await one for one in heavy[-2:]]
        others = [asyncio.create_task(machine.ask(admission, Client(f"{number}"), 10.0)) for number in range(3, 9)]
        await asyncio.gather(*heavy, *light, *others)
        assert [one.ended for one in (more, *pushed)] == [None] * 3
        strangers = [await one for one in others if (await one).wait is not None]
        assert strangers
        assert min(one.wait or 0 for one in pushed) > max(one.wait or 0 for one in strangers)

    play(scene, max_running=2, max_queue=4)


def test_alone_a_request_may_take_all_of_its_time_and_is_not_disturbed() -> None:
    async def scene(machine: Machine, admission: Admission) -> None:
        long = asyncio.create_task(machine.ask(admission, HEAVY, 285.0))
        await machine.until(1)
        refused = await machine.ask(admission, Client("other"), 5.0)
        assert refused.wait is not None
        assert (await long).seconds < DEADLINE
        assert refused.wait < 285

    play(scene)


def test_positions_are_told_as_they_change_and_end_with_the_turn() -> None:
    told: dict[str, list[int]] = {"a": [], "b": [], "c": []}

    async def scene(machine: Machine, admission: Admission) -> None:
        async def ask(name: str, client: Client) -> None:
            left = 5.0
            async with admission.place(client, lambda: left, machine.now + DEADLINE, told[name].append) as place:
                await machine.until(machine.now + 1)
                left = 4.0
                await place.go_on(1.0)
                await machine.until(machine.now + 4)

        await asyncio.gather(ask("a", HEAVY), ask("b", HEAVY), ask("c", Client("other")))

    play(scene, max_running=1)
    assert told["a"] == [0]
    assert told["b"] == [1, 2, 1, 0], "another client's request goes before the second one of the same"
    assert told["c"] == [2, 1, 0]
