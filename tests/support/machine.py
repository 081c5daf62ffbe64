"""A machine that does the work of generations slice by slice, on a clock of its own: no test waits for it."""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass, field

from api.clients import Client
from api.errors import QueueFull
from api.generation.admission import Admission

SLICE = 0.15
DEADLINE = 290.0


@dataclass
class Outcome:
    """What became of a request. ended: when it ended, None if it was refused. wait: what it was told then."""

    client: str
    work: float
    sent: float
    ended: float | None = None
    wait: float | None = None
    begun: bool = False

    @property
    def seconds(self) -> float:
        assert self.ended is not None
        return self.ended - self.sent


@dataclass
class Machine:
    """Does slices one after the other, in the order in which they come.

    slowness: Seconds that a second of work takes.
    estimate: What a second of work is taken for.
    """

    slowness: float = 1.0
    estimate: float = 1.0
    now: float = 0.0
    outcomes: list[Outcome] = field(default_factory=list)
    _slices: deque[tuple[float, asyncio.Future[None]]] = field(default_factory=deque)
    _alarms: list[tuple[float, asyncio.Future[None]]] = field(default_factory=list)

    def clock(self) -> float:
        return self.now

    async def until(self, time: float) -> None:
        """Waits for a time."""
        if time > self.now:
            alarm = asyncio.get_running_loop().create_future()
            self._alarms.append((time, alarm))
            await alarm

    async def ask(self, admission: Admission, client: Client, work: float, deadline: float = DEADLINE) -> Outcome:
        """One request, from when it is sent to its end."""
        outcome = Outcome(client.share, work, self.now)
        self.outcomes.append(outcome)
        try:
            left = work
            async with admission.place(client, lambda: left * self.estimate, self.now + deadline) as place:
                outcome.begun = True
                while left > 1e-9:
                    done = min(SLICE, left)
                    await self._slice(done)
                    left -= done
                    await place.go_on(done * self.estimate)
                outcome.ended = self.now
        except QueueFull as error:
            outcome.wait = error.retry_after
        return outcome

    async def run(self) -> None:
        """Works until it is cancelled."""
        while True:
            for _ in range(20):  # whoever has had an answer may send the next slice or request first
                await asyncio.sleep(0)
            rung = [alarm for alarm in self._alarms if alarm[0] <= self.now]
            if rung:
                self._alarms = [alarm for alarm in self._alarms if alarm[0] > self.now]
                for _, alarm in rung:
                    alarm.set_result(None)
            elif self._slices:
                work, done = self._slices.popleft()
                self.now += work * self.slowness
                if not done.done():
                    done.set_result(None)
            elif self._alarms:
                self.now = min(time for time, _ in self._alarms)

    async def _slice(self, work: float) -> None:
        done = asyncio.get_running_loop().create_future()
        self._slices.append((work, done))
        await done
