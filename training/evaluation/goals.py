"""The figures of an evaluation as lines of a table, with goals beside those that have one."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Unit = Literal["%", "°", "voxels", ""]


@dataclass(frozen=True)
class Line:
    """A figure. value: as a share where the unit is %, not a number where it could not be measured.

    goal: the least value that is good enough, or the most where `at_most`; None where there is no goal.
    """

    name: str
    value: float
    goal: float | None = None
    unit: Unit = "%"
    at_most: bool = False

    @property
    def met(self) -> bool | None:
        """Whether the goal is met; None without a goal, or where the value is not known."""
        if self.goal is None or math.isnan(self.value):
            return None
        return self.value <= self.goal if self.at_most else self.value >= self.goal

    def __str__(self) -> str:
        """The line of the table."""
        verdict = {None: "", True: "met", False: "MISSED"}[self.met]
        goal = (
            "" if self.goal is None else f"{'at most' if self.at_most else 'at least'} {written(self.goal, self.unit)}"
        )
        return f"{self.name:44s} {written(self.value, self.unit):>9s}  {goal:18s} {verdict}".rstrip()


def written(value: float, unit: Unit) -> str:
    """A figure with its unit."""
    if math.isnan(value):
        return "-"
    if unit == "%":
        return f"{value:.1%}"
    return f"{value:.1f}°" if unit == "°" else f"{value:.2f}" if unit == "voxels" else f"{value:g}"


def all_met(lines: Sequence[Line]) -> bool:
    """Whether no goal is missed; what could not be measured misses none."""
    return all(line.met is not False for line in lines)
