"""How slices of many generations share calls, and what happens to one when its neighbours fail or leave."""

from __future__ import annotations

import asyncio

import pytest

from api import batching
from api.batching import Batcher
from api.messages import MOST_SAMPLES, Progress, Slice


class Sampler:
    """Remembers the states of every call, and holds its answers until told."""

    def __init__(self) -> None:
        self.calls: list[list[bytes]] = []
        self.go = asyncio.Event()
        self.fault: Exception | None = None

    async def send(self, items: list[Slice]) -> list[Progress]:
        self.calls.append([item.state for item in items])
        await self.go.wait()
        if self.fault:
            raise self.fault
        return [Progress(state=item.state + b"'") for item in items]


async def start(batcher: Batcher, *names: bytes, batch_key: str = "coarse") -> list[asyncio.Task[Progress]]:
    tasks = [asyncio.create_task(batcher.denoise(Slice(state=name, batch_key=batch_key))) for name in names]
    await asyncio.sleep(0.01)
    return tasks


def test_what_waits_while_a_call_runs_goes_together_into_the_next_and_each_gets_its_own_back() -> None:
    async def main() -> None:
        sampler = Sampler()
        batcher = Batcher(sampler.send)
        tasks = await start(batcher, b"a") + await start(batcher, b"b", b"c")
        sampler.go.set()
        assert [progress.state for progress in await asyncio.gather(*tasks)] == [b"a'", b"b'", b"c'"]
        assert sampler.calls == [[b"a"], [b"b", b"c"]]

    asyncio.run(main())


def test_several_calls_share_the_samples_evenly() -> None:
    async def main() -> None:
        sampler = Sampler()
        tasks = await start(Batcher(sampler.send, 2), b"a", b"b", b"c", b"d")
        assert sampler.calls == [[b"a", b"b"], [b"c", b"d"]]
        sampler.go.set()
        await asyncio.gather(*tasks)

    asyncio.run(main())


def test_who_is_computed_alone_has_a_call_to_itself_and_waits_for_its_turn_where_it_is() -> None:
    async def main() -> None:
        sampler = Sampler()
        batcher = Batcher(sampler.send)
        tasks = await start(batcher, b"f", b"g", batch_key="") + await start(batcher, b"a", b"b")
        tasks += await start(batcher, b"h", batch_key="") + await start(batcher, b"c")
        sampler.go.set()
        await asyncio.gather(*tasks)
        assert sampler.calls == [[b"f"], [b"g"], [b"a", b"b", b"c"], [b"h"]]

    asyncio.run(main())


def test_only_those_go_together_that_are_computed_together() -> None:
    async def main() -> None:
        sampler = Sampler()
        batcher = Batcher(sampler.send)
        tasks = await start(batcher, b"a") + await start(batcher, b"f", batch_key="fine 256")
        tasks += await start(batcher, b"g", batch_key="fine 512") + await start(batcher, b"h", batch_key="fine 256")
        sampler.go.set()
        await asyncio.gather(*tasks)
        assert sampler.calls == [[b"a"], [b"f", b"h"], [b"g"]]

    asyncio.run(main())


def test_a_lane_more_takes_what_comes_and_a_lane_less_only_waits_longer() -> None:
    async def main() -> None:
        sampler = Sampler()
        batcher = Batcher(sampler.send)
        tasks = await start(batcher, b"a")
        batcher.concurrent = 2
        tasks += await start(batcher, b"b")
        assert sampler.calls == [[b"a"], [b"b"]]
        batcher.concurrent = 1
        tasks += await start(batcher, b"c")
        assert len(sampler.calls) == 2
        sampler.go.set()
        assert [progress.state for progress in await asyncio.gather(*tasks)] == [b"a'", b"b'", b"c'"]

    asyncio.run(main())


def test_a_call_is_bounded_and_who_is_left_over_goes_first_in_the_next() -> None:
    async def main() -> None:
        sampler = Sampler()
        batcher = Batcher(sampler.send)
        tasks = await start(batcher, *(b"%d" % number for number in range(MOST_SAMPLES + 2)))
        tasks += await start(batcher, b"late")
        sampler.go.set()
        await asyncio.gather(*tasks)
        assert [len(call) for call in sampler.calls] == [MOST_SAMPLES, 3]
        assert sampler.calls[1][-1] == b"late"

    asyncio.run(main())


def test_a_call_has_no_more_bytes_than_a_sampler_takes_but_at_least_one_state(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        sampler = Sampler()
        tasks = await start(Batcher(sampler.send), b"12", b"34", b"5", b"678901", b"2")
        sampler.go.set()
        await asyncio.gather(*tasks)
        assert sampler.calls == [[b"12", b"34"], [b"5"], [b"678901"], [b"2"]]

    monkeypatch.setattr(batching, "MOST_BYTES", 4)
    asyncio.run(main())


def test_a_sample_whose_client_left_is_in_no_further_call() -> None:
    async def main() -> None:
        sampler = Sampler()
        batcher = Batcher(sampler.send)
        tasks = await start(batcher, b"a", b"b") + await start(batcher, b"c", b"d")
        tasks[0].cancel()  # in the call that runs
        tasks[2].cancel()  # waiting
        sampler.go.set()
        states = await asyncio.gather(*tasks, return_exceptions=True)
        assert [getattr(state, "state", None) for state in states] == [None, b"b'", None, b"d'"]
        assert sampler.calls == [[b"a", b"b"], [b"d"]]

    asyncio.run(main())


def test_a_call_that_fails_does_not_block_the_next() -> None:
    async def main() -> None:
        sampler = Sampler()
        batcher = Batcher(sampler.send)
        sampler.fault = ValueError("broken")
        sampler.go.set()
        with pytest.raises(ValueError, match="broken"):
            await batcher.denoise(Slice(state=b"a"))
        sampler.fault = None
        assert (await batcher.denoise(Slice(state=b"b"))).state == b"b'"

    asyncio.run(main())


def test_a_batcher_that_does_not_divide_sends_all_that_waits_in_one_call() -> None:
    async def main() -> None:
        sampler = Sampler()
        batcher = Batcher(sampler.send, concurrent=2, even=False)
        tasks = await start(batcher, b"a", b"b") + await start(batcher, b"c") + await start(batcher, b"d", b"e")
        sampler.go.set()
        await asyncio.gather(*tasks)
        assert sampler.calls == [[b"a", b"b"], [b"c"], [b"d", b"e"]]

    asyncio.run(main())
