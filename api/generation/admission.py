"""Who may generate: a bounded number at a time, a bounded number waiting, in turns that give every client its share.

A request that is accepted ends in time, as far as measured times can tell. So one that would not, or would keep others
from it, is refused at once. If clients have unequal numbers of requests, those of who has the most make room.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from api.clients import Client
from api.errors import QueueFull
from api.generation.estimates import FIXED_SECONDS
from api.generation.pace import Pace
from api.generation.shares import HEADROOM, Shares, Ticket, by_due, cost, fits, late, load, urgent
from api.telemetry import metrics

_SHEDDING = 1.0
"""Seconds between two looks for accepted requests that cannot end in time any more."""
_LOOKS = 5
"""Looks, one after the other, that have to find some before one is refused: a machine may be slow for a moment."""


class Admission:
    """Places for generations that share the models, and a queue in front of them.

    A generation that runs asks after each slice whether it goes on; where it is another client's turn, it gives its
    place up and waits for its next turn, with what it has reached.

    Args:
        max_running: Number of places.
        max_queue: Requests that may wait to be begun.
        clock: Seconds that never go back.
    """

    def __init__(self, max_running: int, max_queue: int, clock: Callable[[], float] = time.monotonic) -> None:
        self.max_running = max_running
        self.max_queue = max_queue
        self.pace = Pace(clock)
        self._clock = clock
        self._tickets: list[Ticket] = []
        self._shares = Shares()
        self._shed_at = clock()
        self._late = 0
        self._empty = asyncio.Event()
        self._empty.set()

    @property
    def running(self) -> int:
        """Number of requests that hold a place."""
        return sum(ticket.running for ticket in self._tickets)

    @property
    def waiting(self) -> int:
        """Number of requests in the queue."""
        return sum(not ticket.begun for ticket in self._tickets)

    @property
    def outstanding(self) -> float:
        """Expected seconds of work that are left of all requests that run or wait."""
        return sum(ticket.left for ticket in self._tickets)

    @asynccontextmanager
    async def place(
        self,
        client: Client,
        left: Callable[[], float],
        due: float,
        report: Callable[[int], None] = lambda position: None,
    ) -> AsyncIterator[Place]:
        """A place among the running; waits for it in the queue.

        Args:
            client: Who sent the request.
            left: Tells the expected seconds of this request's own work that are left. It is asked again and again: two
                requests are compared by the same measured times, or the one that was estimated later would seem longer
                whenever the machine has become slower.
            due: When it has to have ended, on the clock.
            report: Is told the position in the queue whenever it changes: 1 is the next one, 0 has its place.

        Raises:
            QueueFull: the queue is full, or it could not end in time; or later, before it has begun, others had to be
                served in its place, or everything has become slower.
        """
        ticket = Ticket(client, left, self._clock(), due, report)
        self._admit(ticket)
        try:
            self._dispatch()
            await self._turn_of(ticket)
            yield Place(self, ticket)
        finally:
            ticket.running = False
            self._forget(ticket)
            self._dispatch()

    async def empty(self) -> None:
        """Waits until nobody runs or waits."""
        await self._empty.wait()

    async def go_on(self, ticket: Ticket, done: float) -> None:
        """Counts work that was done for a request that runs, and waits for its next turn if it is another's now."""
        self.pace.observe(done)
        self._shares.charge(ticket.client, done)
        self._shed()
        self._dispatch()
        if self._gives_way(ticket):
            ticket.running = False
            self._dispatch()
            await self._turn_of(ticket)

    def _admit(self, ticket: Ticket) -> None:
        others, surplus = list(self._tickets), []
        while not self._has_room(others) or not fits(ticket, others, self.pace.value, self._clock()):
            victim = _surplus(others, load(ticket.client, [*others, ticket]))
            if victim is None:
                raise self._refusal(ticket)
            surplus.append(victim)
            others.remove(victim)
        self.pace.busy(True)
        self._shares.join(ticket.client, self._tickets)
        self._tickets.append(ticket)
        self._empty.clear()
        for victim in surplus:
            self._push_out(victim, "Other clients wait as well, and this one has the most requests in the queue")

    def _has_room(self, others: list[Ticket]) -> bool:
        free = self.max_running - sum(ticket.running for ticket in others)
        return sum(not ticket.begun for ticket in others) < self.max_queue + free

    def _refusal(self, ticket: Ticket) -> QueueFull:
        wait = self._wait_of(ticket)
        if self._has_room(self._tickets):
            return QueueFull(
                "Beside the requests that run or wait already, this one would not end in time: try again later, or "
                "send it as a job.",
                retry_after=wait,
            )
        return QueueFull(f"{self.waiting} requests are already waiting: try again later.", retry_after=wait)

    def _wait_of(self, ticket: Ticket) -> float:
        """Expected seconds until a request like this one would find room.

        A client with requests here has room when one of them has ended, at its share of the models; another one when
        any has. If there is no time for it, the work that is too much has to be done first.
        """
        own = [other for other in self._tickets if other.client.share == ticket.client.share]
        weights = {other.client.share: other.client.weight for other in self._tickets}
        part = ticket.client.weight / sum(weights.values()) if own else 1.0
        counted = own or self._tickets
        one = sum(other.left for other in counted) / max(1, len(counted)) / part
        time_left = HEADROOM * (ticket.due - self._clock()) / self.pace.value
        over = self.outstanding + ticket.left - time_left
        return self.pace.value * max(min(one, self.outstanding), over)

    def _push_out(self, ticket: Ticket, reason: str) -> None:
        self._forget(ticket)
        if ticket.come is not None and not ticket.come.done():
            wait = self._wait_of(ticket)
            ticket.come.set_exception(QueueFull(f"{reason}: try again later.", retry_after=wait))

    def _shed(self) -> None:
        """Refuses what has not begun and cannot end in time any more, or keeps others from it, before work is lost.

        One at a time: how slow the service is, is known better with each look.
        """
        now = self._clock()
        if now - self._shed_at < _SHEDDING:
            return
        self._shed_at = now
        ordered = by_due(self._tickets)
        place = late(ordered, self.pace.value, now)
        self._late = 0 if place is None else self._late + 1
        if place is None or self._late < _LOOKS:
            return
        if (victim := _surplus(ordered[: place + 1], 0.0)) is not None:
            self._push_out(victim, "The service has become slower, so that this request would not end in time")

    def _urgent(self) -> list[Ticket]:
        return urgent(by_due(self._tickets), self.pace.value, self._clock())

    def _next(self, hurried: list[Ticket]) -> Ticket | None:
        """Who gets the next place: if some are urgent, one of these or nobody."""
        waiting = (ticket for ticket in hurried or self._tickets if not ticket.running)
        return next(waiting, None) if hurried else self._shares.first(waiting)

    def _gives_way(self, ticket: Ticket) -> bool:
        hurried = self._urgent()
        if hurried:
            return ticket not in hurried
        following = self._next(hurried)
        return following is not None and self._shares.goes_before(following, ticket)

    def _dispatch(self) -> None:
        hurried = self._urgent()
        while self.running < self.max_running and (ticket := self._next(hurried)) is not None:
            self._begin(ticket)
            hurried = self._urgent() if hurried else hurried
        for position, ticket in enumerate(self._shares.order(one for one in self._tickets if not one.begun), start=1):
            _report(ticket, position)
        metrics.queue(self.running, len(self._tickets) - self.running)

    def _begin(self, ticket: Ticket) -> None:
        ticket.running = True
        if not ticket.begun:
            ticket.begun = True
            self._shares.charge(ticket.client, FIXED_SECONDS)
            _report(ticket, 0)
        if ticket.come is not None and not ticket.come.done():
            ticket.come.set_result(None)

    def _forget(self, ticket: Ticket) -> None:
        if ticket in self._tickets:
            self._tickets.remove(ticket)
        if not self._tickets:
            self.pace.busy(False)
            self._empty.set()

    async def _turn_of(self, ticket: Ticket) -> None:
        if ticket.running:
            return
        ticket.come = asyncio.get_running_loop().create_future()
        try:
            await ticket.come
        finally:
            ticket.come = None


@dataclass(frozen=True)
class Place:
    """A place that a generation holds."""

    _admission: Admission
    _ticket: Ticket

    async def go_on(self, done: float) -> None:
        """Lets others have their turn, where it is theirs.

        Args:
            done: Expected seconds of the work that was done since the last call.
        """
        await self._admission.go_on(self._ticket, done)


def _surplus(tickets: list[Ticket], least: float) -> Ticket | None:
    """Who makes room: the latest that has not begun, of the client that has the most; None if all have too little.

    Args:
        tickets: Among whom to choose.
        least: What that client has to keep.
    """
    loads: dict[str, float] = {}
    for ticket in tickets:
        loads[ticket.client.share] = loads.get(ticket.client.share, 0.0) + cost(ticket)
    candidates = [
        ticket
        for ticket in reversed(tickets)
        if not ticket.begun and loads[ticket.client.share] - cost(ticket) >= least
    ]
    return max(candidates, key=lambda one: (loads[one.client.share], one.arrived), default=None)


def _report(ticket: Ticket, position: int) -> None:
    if ticket.position != position:
        ticket.position = position
        ticket.report(position)
