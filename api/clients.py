"""Who makes a call, as far as shares of the models go."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Client:
    """One client of the service.

    Attributes:
        share: Whose share of the models its work counts to: its address.
        weight: How large that share is, as a multiple of an ordinary client's.
    """

    share: str = ""
    weight: float = 1.0


ANYBODY = Client()
"""Who calls without HTTP, as in a direct use of the service."""
