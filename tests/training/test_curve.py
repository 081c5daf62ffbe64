"""The curve of losses: few points however long a training, a line for the terminal, a picture."""

from __future__ import annotations

from pathlib import Path

from PIL import Image

from training.curve import POINTS, Curve, smoothed


def falling(steps: int) -> Curve:
    curve = Curve()
    for step in range(steps):
        if curve.wants(step):
            curve.add(step, {"structure": 10 / (step + 1), "normal": 0.5})
    return curve


def test_a_long_training_keeps_few_points_evenly_spread() -> None:
    curve = falling(50_000)
    assert POINTS / 2 <= len(curve.steps) <= POINTS
    assert {b - a for a, b in zip(curve.steps, curve.steps[1:], strict=False)} == {curve.every}
    assert all(len(values) == len(curve.steps) for values in curve.losses.values())


def test_the_line_falls_as_the_losses_do_and_names_first_and_last() -> None:
    first, blocks, last = falling(400).line().split()
    assert float(first) == 10.5
    assert float(last) < 1
    assert blocks[0] == "█"
    assert blocks[-1] == "▁"
    assert list(blocks) == sorted(blocks, reverse=True)


def test_a_picture_is_drawn_even_of_one_point_or_of_losses_that_are_no_numbers(tmp_path: Path) -> None:
    for name, curve in (("many", falling(300)), ("one", falling(1))):
        curve.add(300, {"structure": float("nan"), "normal": 0.5})
        curve.draw(tmp_path / f"{name}.png", "coarse")
        with Image.open(tmp_path / f"{name}.png") as picture:
            assert len(picture.convert("RGB").getcolors(1 << 16) or []) > 5


def test_smoothing_passes_over_what_is_no_number() -> None:
    assert smoothed([2.0, float("inf"), 2.0]) == [2.0, 2.0, 2.0]
