"""scripts/bench --check: whether something is slower than it was, by ratios of times that one run measured.

Times of two runs tell little, as the machine may have been busy or hot. How many times as fast one way is as another
in the same run is a property of the code, on the same hardware.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from cli.bench.record import BenchError, Record

MOST_LOSS = 0.15
HARDWARE = ("CPU", "GPU", "cores", "threads")
"""What ratios depend on, of what is told about a machine. That versions may differ is what a check is for."""


@dataclass(frozen=True)
class Loss:
    """A ratio that has become worse: how many times as fast as something else, then and now."""

    name: str
    then: float
    now: float

    @property
    def share(self) -> float:
        """Which part of the ratio is gone, 0 to 1."""
        return 1 - self.now / self.then

    def __str__(self) -> str:
        return f"{self.name}: {self.then:.2f} times as fast then, {self.now:.2f} now, {-100 * self.share:.0f}%"


def require_comparable(then: Record, now: Record) -> None:
    """Checks whether ratios of both can be compared; rows are not looked at.

    Raises:
        BenchError: They differ in what is measured or on what.
    """
    if then.measured != now.measured:
        raise BenchError(f"The file tells of {then.measured}, not of {now.measured}: leave the option out.")
    told = {"size": (then.size, now.size), "number format": (then.dtype, now.dtype)}
    told |= {name: (then.machine.get(name, "none"), now.machine.get(name, "none")) for name in HARDWARE}
    for name, (before, today) in told.items():
        if before != today:
            raise BenchError(
                f"The file is of another {name} ({before}, not {today}), so its ratios say nothing about this run."
            )


def ratios(record: Record) -> dict[str, float]:
    """Every ratio of a run by its name: how many times as fast, so more is better.

    Raises:
        BenchError: A row lacks what a ratio is made of.
    """
    try:
        return dict(_RATIOS[record.measured](record.rows)) if record.measured in _RATIOS else {}
    except (KeyError, TypeError, ZeroDivisionError, StopIteration):
        raise BenchError("The file's rows are broken: write it again with scripts/bench --json.") from None


def losses(then: Mapping[str, float], now: Mapping[str, float]) -> list[Loss]:
    """Ratios that both have and that have lost more than 15%, the worst first."""
    common = [Loss(name, value, now[name]) for name, value in then.items() if name in now]
    return sorted((each for each in common if each.share > MOST_LOSS), key=lambda each: each.now / each.then)


def best(one: Mapping[str, float], other: Mapping[str, float]) -> dict[str, float]:
    """The better of two measurements of each ratio."""
    return {name: max(value, other.get(name, value)) for name, value in one.items()}


def report(then: Mapping[str, float], now: Mapping[str, float]) -> Iterator[str]:
    """A line for each loss, and a summary."""
    lost = losses(then, now)
    yield from map(str, lost)
    common = len(then.keys() & now.keys())
    missing = f"; {len(then) - common} of the file were not measured now" if len(then) > common else ""
    yield f"{len(lost)} of {common} ratios lost more than {MOST_LOSS:.0%}{missing}."


def _of_steps(rows: list[dict[str, Any]]) -> Iterator[tuple[str, float]]:
    for row in rows:
        place = row["stage"], row["samples"]
        base = next(other for other in rows if (other["stage"], other["samples"]) == place)
        if base is not row:
            yield f"{row['stage']}, batch of {row['samples']}, {row['variant']}", base["median"] / row["median"]


def _of_answers(rows: list[dict[str, Any]]) -> Iterator[tuple[str, float]]:
    for row in rows:
        yield f"{row['format']} against bare JSON", row["bare"] / row["seconds"]


def _of_service(rows: list[dict[str, Any]]) -> Iterator[tuple[str, float]]:
    for row in rows:
        if row["against"] == "alone":  # others are compared with a fixed time
            yield f"{row['what']}, against alone", 1 / row["ratio"]


_RATIOS: dict[str, Callable[[list[dict[str, Any]]], Iterator[tuple[str, float]]]] = {
    "steps": _of_steps,
    "answers": _of_answers,
    "service": _of_service,
}
