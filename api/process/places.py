"""Places for connections: a fixed number for all, and a few spare ones, so that probes are answered in a crowd."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Protocol

SPARE = 24
"""Places for those who come when all others are taken."""


class Guest(Protocol):
    """A connection, as far as this matters here."""

    @property
    def is_waiting(self) -> bool:
        """Whether it has no whole request yet."""

    def leave(self) -> None:
        """Closes it."""


class Places:
    """The places of one process.

    When the spare places are taken too, the connection goes that waits on one of them longest without a request. So a
    probe has its turn however many connections just hold their places.
    """

    def __init__(
        self,
        most: int = sys.maxsize,
        spare: int = SPARE,
        opened: Callable[[int], None] = lambda _: None,
        refused: Callable[[bool], None] = lambda _: None,
    ) -> None:
        """Makes all places free.

        Args:
            most: Number of places.
            spare: Number of spare places.
            opened: Is told how many connections there are, whenever that changes.
            refused: Is called for each connection that is sent away, and told whether it got an answer.
        """
        self.most, self.spare = most, spare
        self._opened, self.refused = opened, refused
        self._guests: set[Guest] = set()
        self._crowd: dict[Guest, None] = {}  # in the order in which they came

    def take(self, guest: Guest) -> bool:
        """Gives a place to a connection, or a spare one, or sends it away; says whether it is a place for all."""
        if len(self._guests) < self.most:
            self._guests.add(guest)
        elif self._has_spare():
            self._crowd[guest] = None
        else:
            self._send_away(guest)
        self._tell()
        return guest in self._guests

    def give_back(self, guest: Guest) -> None:
        """Makes the place of a connection free that has ended."""
        self._guests.discard(guest)
        self._crowd.pop(guest, None)
        self._tell()

    def _has_spare(self) -> bool:
        if len(self._crowd) < self.spare:
            return True
        longest = next((guest for guest in self._crowd if guest.is_waiting), None)
        if longest is None:
            return False
        del self._crowd[longest]
        self._send_away(longest)
        return True

    def _send_away(self, guest: Guest) -> None:
        self.refused(False)
        guest.leave()

    def _tell(self) -> None:
        self._opened(len(self._guests) + len(self._crowd))
