"""What a load run found, in numbers and as text."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field

import numpy as np

from cli.load.users import Answer

PERCENTILES = (50, 90, 95, 99, 100)
OK = "200"
EXPECTED = frozenset({OK, "429"})
"""Outcomes that are not errors: under too much load a service should say that its queue is full."""


@dataclass(frozen=True)
class Fairness:
    """How alike users were treated, all of whom asked for the same mix.

    Attributes:
        users: Number of users.
        jain: Jain's index over their numbers of shapes: 1 if all got as many, 1 / users if one got all.
        slowest_to_fastest: The longest mean time of a user's shapes, as a multiple of the shortest.
    """

    users: int
    jain: float
    slowest_to_fastest: float


@dataclass(frozen=True)
class Report:
    """The result of a run.

    Attributes:
        seconds: Length of the run.
        outcomes: How often each outcome came.
        latency: Seconds by kind of request and percentile.
        megabytes_a_second: Size of all answers, per second.
        fairness: Of users who wait for their answers; None for requests at a rate, or where nobody got a shape.
        probes: Seconds of probes meanwhile, by path and percentile.
        memory_growth: Growth of resident memory, as a share; None if it was not measured.
        memory_megabytes: Most resident memory; None if it was not measured.
    """

    seconds: float
    outcomes: dict[str, int]
    latency: dict[str, dict[str, float]]
    megabytes_a_second: float
    fairness: Fairness | None = None
    probes: dict[str, dict[str, float]] = field(default_factory=dict)
    memory_growth: float | None = None
    memory_megabytes: float | None = None

    @property
    def errors(self) -> int:
        """Number of answers that are neither shapes nor 429s."""
        return sum(count for outcome, count in self.outcomes.items() if outcome not in EXPECTED)

    @property
    def throughput(self) -> float:
        """Shapes per second."""
        return self.outcomes.get(OK, 0) / self.seconds

    def as_dict(self) -> dict[str, object]:
        """All of it, for JSON."""
        return {**asdict(self), "errors": self.errors, "throughput": self.throughput}

    def lines(self) -> Iterator[str]:
        """All of it, for people."""
        total = sum(self.outcomes.values())
        yield f"{total} requests in {self.seconds:.1f} s: {self.outcomes.get(OK, 0)} shapes, {self.errors} errors"
        yield f"throughput  {self.throughput:.2f} shapes/s, {self.megabytes_a_second:.2f} MB/s"
        yield "outcomes    " + ", ".join(f"{outcome}: {count}" for outcome, count in sorted(self.outcomes.items()))
        for kind, seconds in self.latency.items():
            values = "  ".join(f"{name} {value:.2f}" for name, value in seconds.items())
            yield f"latency     {kind:<12} {values} s"
        if self.fairness is not None:
            one = self.fairness
            yield (
                f"fairness    Jain's index {one.jain:.3f} over the shapes of {one.users} users, "
                f"slowest user's mean {one.slowest_to_fastest:.2f} times the fastest's"
            )
        for path, seconds in self.probes.items():
            values = "  ".join(f"{name} {1000 * value:.0f}" for name, value in seconds.items())
            yield f"probes      {path:<12} {values} ms"
        if self.memory_growth is not None:
            yield f"memory      at most {self.memory_megabytes:.0f} MB, slope {100 * self.memory_growth:+.2f}% of a run"


def report(answers: Sequence[Answer], seconds: float, probes: Mapping[str, Sequence[float]] | None = None) -> Report:
    """Sums up the answers, and the times of probes by path, of a run that took `seconds`."""
    served = [answer for answer in answers if answer.outcome == OK]
    kinds = {
        "all": served,
        "coarse only": [answer for answer in served if not answer.fine],
        "with fine": [answer for answer in served if answer.fine],
    }
    return Report(
        seconds=seconds,
        outcomes=dict(Counter(answer.outcome for answer in answers)),
        latency={kind: _percentiles([answer.seconds for answer in some]) for kind, some in kinds.items() if some},
        megabytes_a_second=sum(answer.bytes for answer in answers) / 1e6 / seconds,
        fairness=fairness(answers),
        probes={path: _percentiles(times) for path, times in (probes or {}).items() if times},
    )


def fairness(answers: Sequence[Answer]) -> Fairness | None:
    """How alike the users were treated whose answers these are; None where there are no users or no shapes."""
    times: dict[int, list[float]] = {answer.user: [] for answer in answers if answer.user is not None}
    for answer in answers:
        if answer.user is not None and answer.outcome == OK:
            times[answer.user].append(answer.seconds)
    counts = np.array([len(seconds) for seconds in times.values()], dtype=float)
    if not counts.any():
        return None
    means = [float(np.mean(seconds)) for seconds in times.values() if seconds]
    jain = float(counts.sum() ** 2 / (len(counts) * (counts**2).sum()))
    return Fairness(len(counts), jain, max(means) / min(means))


def _percentiles(seconds: Sequence[float]) -> dict[str, float]:
    values = np.percentile(seconds, PERCENTILES)
    return {f"p{one}" if one < 100 else "max": float(value) for one, value in zip(PERCENTILES, values, strict=True)}
