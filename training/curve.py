"""The curve of a training's losses: kept with its state, shown as a line of blocks on the terminal and as a picture."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from PIL import Image, ImageDraw

from formats.preview import save_png

POINTS = 512
"""Kept at most; from then on every second one."""
_BLOCKS = "▁▂▃▄▅▆▇█"
_COLOURS = ((31, 79, 143), (196, 84, 27), (46, 125, 50), (123, 31, 162))
_SIZE = (720, 360)
_MARGIN = 56


@dataclass
class Curve:
    """Named losses at some steps. every: steps between two points."""

    every: int = 1
    steps: list[int] = field(default_factory=list)
    losses: dict[str, list[float]] = field(default_factory=dict)

    def wants(self, step: int) -> bool:
        """Whether the losses of this step belong to the curve: reading them waits for the GPU."""
        return step % self.every == 0

    def add(self, step: int, losses: dict[str, float]) -> None:
        """Adds a point."""
        self.steps.append(step)
        for name, value in losses.items():
            self.losses.setdefault(name, []).append(value)
        if len(self.steps) > POINTS:
            self.every *= 2
            kept = [row for row, at in enumerate(self.steps) if at % self.every == 0]
            self.steps = [self.steps[row] for row in kept]
            self.losses = {name: [values[row] for row in kept] for name, values in self.losses.items()}

    @property
    def total(self) -> list[float]:
        """The sum of all losses at each point."""
        return [sum(parts) for parts in zip(*self.losses.values(), strict=True)]

    def line(self, width: int = 32) -> str:
        """The sum of losses as a line of blocks, on a logarithmic scale, with its first and last value."""
        values = smoothed(self.total)
        if not values:
            return ""
        chosen = [values[round(at * (len(values) - 1) / max(width - 1, 1))] for at in range(min(width, len(values)))]
        logs = [math.log(max(value, 1e-9)) for value in chosen]
        low, spread = min(logs), max(max(logs) - min(logs), 1e-9)
        blocks = "".join(_BLOCKS[min(int((value - low) / spread * len(_BLOCKS)), len(_BLOCKS) - 1)] for value in logs)
        return f"{values[0]:.4f} {blocks} {values[-1]:.4f}"

    def draw(self, path: Path, title: str) -> None:
        """Draws the losses over the steps as a PNG, on a logarithmic scale."""
        image = Image.new("RGB", _SIZE, "white")
        draw = ImageDraw.Draw(image)
        series = {name: smoothed(values) for name, values in self.losses.items()}
        positive = [value for values in series.values() for value in values if value > 0]
        if not positive:
            return
        low, high = math.log10(min(positive)), math.log10(max(positive))
        low, high = low - 0.05, max(high, low + 0.1) + 0.05
        last = max(self.steps[-1], 1)
        width, height = _SIZE[0] - 2 * _MARGIN, _SIZE[1] - 2 * _MARGIN

        def at(step: float, value: float) -> tuple[float, float]:
            share = (math.log10(max(value, 10**low)) - low) / (high - low)
            return _MARGIN + step / last * width, _MARGIN + (1 - share) * height

        for row in range(5):
            value = 10 ** (low + (high - low) * row / 4)
            left, y = at(0, value)
            draw.line((left, y, left + width, y), fill=(225, 225, 225))
            draw.text((6, y - 5), f"{value:.3g}", fill=(90, 90, 90))
            x, bottom = at(last * row / 4, 10**low)
            draw.text((x - 10, bottom + 8), f"{round(last * row / 4):,}", fill=(90, 90, 90))
        draw.text((_MARGIN, 10), title, fill="black")
        for row, (name, values) in enumerate(series.items()):
            colour = _COLOURS[row % len(_COLOURS)]
            points = [at(step, v) for step, v in zip(self.steps, values, strict=True)]
            if len(points) > 1:
                draw.line(points, fill=colour, width=2)
            draw.text((_MARGIN + 120 * row, 28), f"{name} {values[-1]:.4f}", fill=colour)
        save_png(image, path)


def smoothed(values: Sequence[float], share: float = 0.02) -> list[float]:
    """A running mean over about this share of all values, weighted towards the last; all of them finite."""
    keep = 1 - 1 / max(len(values) * share, 1)
    result: list[float] = []
    for value in values:
        if not math.isfinite(value):  # of a step that was left out
            result.append(result[-1] if result else 0.0)
        else:
            result.append(keep * result[-1] + (1 - keep) * value if result else value)
    return result
