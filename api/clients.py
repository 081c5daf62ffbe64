"""Who makes a call, as far as shares of the models, quotas and jobs go."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Quota:
    """What a client may have; None: as much as it wants.

    Attributes:
        requests_per_minute: Generations and jobs that it may start.
        steps_per_day: Denoising steps that it may ask for.
        waiting_jobs: Jobs that it may have waiting.
    """

    requests_per_minute: int | None = None
    steps_per_day: int | None = None
    waiting_jobs: int | None = None


@dataclass(frozen=True)
class Client:
    """One client of the service.

    Attributes:
        share: Whose share of the models its work counts to: the name of its key, or else its address.
        weight: How large that share is, as a multiple of an ordinary client's.
        name: Whose its jobs are; None where there are no keys.
        alone: Whether it sees its own jobs alone, and none of others whose ids it may know.
        quota: What it may have.
    """

    share: str = ""
    weight: float = 1.0
    name: str | None = None
    alone: bool = False
    quota: Quota = Quota()

    def sees(self, owner: str | None) -> bool:
        """Whether it may see a job of somebody, whose id it knows."""
        return not self.alone or owner == self.name


ANYBODY = Client()
"""Who calls without HTTP, as in a direct use of the service."""
