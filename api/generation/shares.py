"""Whose turn it is: what each client has had of the models, and whose deadline comes before that."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from api.clients import Client
from api.generation.estimates import FIXED_SECONDS

QUANTUM = 0.5
"""Seconds of work by which a client may be ahead of another one that waits."""
MUCH_SHORTER = 4.0
"""So many times less work has to be left of a request that goes before another one of the same client."""
HEADROOM = 0.8
"""Part of a request's time that work may fill by the estimates when it is accepted: the rest is for their errors."""
_URGENT = 0.9
_RESERVE = 0.05
"""Part of a request's whole time that is kept for errors at its end."""


@dataclass(eq=False)
class Ticket:
    """One request among those that run or wait.

    Attributes:
        client: Who sent it.
        expect: Tells the expected seconds of work that are left of it.
        arrived: When it came.
        due: When it has to have ended.
        report: Is told its position in the queue.
        running: Whether it holds a place.
        begun: Whether it has held one.
        come: Has a result when it gets a place, or the reason why it never will; None while it does not wait.
        position: What was reported last.
    """

    client: Client
    expect: Callable[[], float]
    arrived: float
    due: float
    report: Callable[[int], None]
    running: bool = False
    begun: bool = False
    come: asyncio.Future[None] | None = None
    position: int | None = None

    @property
    def left(self) -> float:
        """Expected seconds of work that are left, by what is measured now."""
        return self.expect()


class Shares:
    """Seconds of work that each client has had, divided by its weight; the one with the least goes first.

    Who comes, or comes again, begins where the one with the least is: nobody saves up turns by staying away.
    """

    def __init__(self) -> None:
        self._used: dict[str, float] = {}

    def join(self, client: Client, others: Iterable[Ticket]) -> None:
        """Takes in a client. `others`: all that run or wait."""
        active = {ticket.client.share for ticket in others}
        least = min((self._used[share] for share in active), default=0.0)
        self._used = {share: used for share, used in self._used.items() if share in active or (active and used > least)}
        self._used.setdefault(client.share, least)

    def charge(self, client: Client, seconds: float) -> None:
        """Counts work that was done for a client."""
        self._used[client.share] += seconds / client.weight

    def used(self, client: Client) -> float:
        """What a client has had."""
        return self._used[client.share]

    def first(self, tickets: Iterable[Ticket]) -> Ticket | None:
        """Whose turn it is: the client's that has had the least, and of its requests the shortest."""
        return min(tickets, key=lambda one: (self.used(one.client), one.left, one.arrived), default=None)

    def goes_before(self, one: Ticket, other: Ticket) -> bool:
        """Whether a request that waits takes the place of one that runs: only a shorter one does.

        To interrupt the other ones would make both end later than it would be without.
        """
        if one.client.share == other.client.share:
            return one.left * MUCH_SHORTER < other.left
        return one.left < other.left and self.used(one.client) + QUANTUM < self.used(other.client)

    def order(self, tickets: Iterable[Ticket]) -> list[Ticket]:
        """Requests in the order in which they will probably have their turns."""
        used = dict(self._used)
        turns: list[tuple[float, float, Ticket]] = []
        for ticket in sorted(tickets, key=lambda one: (one.left, one.arrived)):
            turns.append((used[ticket.client.share], ticket.arrived, ticket))
            used[ticket.client.share] += cost(ticket)
        return [ticket for *_, ticket in sorted(turns, key=lambda turn: turn[:2])]


def cost(ticket: Ticket) -> float:
    """What a request will add to what its client has had; never 0, though nothing may have been measured."""
    return (ticket.left + FIXED_SECONDS) / ticket.client.weight


def load(client: Client, tickets: Iterable[Ticket]) -> float:
    """What all requests of a client will add."""
    return sum(cost(ticket) for ticket in tickets if ticket.client.share == client.share)


def by_due(tickets: Iterable[Ticket]) -> list[Ticket]:
    """Requests by their deadlines, the earliest first."""
    return sorted(tickets, key=lambda ticket: ticket.due)


def fits(new: Ticket, others: Sequence[Ticket], pace: float, now: float) -> bool:
    """Whether a request can be accepted: it and all those with later deadlines still end in time.

    If all were worked on in the order of their deadlines, each would end when the work up to its own is done. As long
    as that is in time for each, any other order may be taken, until one becomes urgent.
    """
    if not others:
        return True
    done, ordered = 0.0, by_due([*others, new])
    place = ordered.index(new)
    for number, ticket in enumerate(ordered):
        done += ticket.left
        if number >= place and pace * done > HEADROOM * (ticket.due - now):
            return False
    return True


def late(ordered: Sequence[Ticket], pace: float, now: float) -> int | None:
    """Number of the first request, by deadline, that will not end in time even if all keep that order."""
    done = 0.0
    for number, ticket in enumerate(ordered):
        done += ticket.left
        if pace * done > ticket.due - now:
            return number
    return None


def urgent(ordered: Sequence[Ticket], pace: float, now: float) -> list[Ticket]:
    """Requests, by deadline, that have to have the models for themselves now so that all end in time.

    These are the first one that is about to be late and those before it, which are worked on in that order as soon as
    they need it themselves.
    """
    done = 0.0
    for number, ticket in enumerate(ordered, start=1):
        done += ticket.left
        if pace * done + _RESERVE * (ticket.due - ticket.arrived) > _URGENT * (ticket.due - now):
            return list(ordered[:number])
    return []
