"""What scripts/generate shows: drawings with characters, and the bar."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from cli.generate.drawing import drawing
from cli.generate.progress import Bar, duration
from tests.support.solids import shell, sphere


def console(**options: Any) -> Console:
    encoding = options.pop("encoding", "utf-8")
    file = io.TextIOWrapper(io.BytesIO(), encoding=encoding, write_through=True)
    return Console(file=file, force_terminal=True, legacy_windows=False, width=61, height=40, **options)


def drawn(target: Console) -> str:
    ball = shell(sphere(0.4), 64)
    target.print(drawing(ball.ijk, ball.normal, target), highlight=False)
    assert isinstance(target.file, io.TextIOWrapper)
    content = target.file.buffer
    assert isinstance(content, io.BytesIO)
    return content.getvalue().decode()


def plain(text: str) -> list[str]:
    return re.sub(r"\x1b\[[0-9;]*m", "", text).splitlines()


@pytest.mark.parametrize(
    ("options", "code"), [({"color_system": "truecolor"}, r"\[38;2;"), ({"color_system": "256"}, r"\[38;5;")]
)
def test_a_ball_in_the_terminal_is_round_and_coloured(options: dict[str, Any], code: str) -> None:
    text = drawn(console(**options))
    assert re.search(code, text)
    lines = plain(text)
    assert set("".join(lines)) <= set(" ▀▄")
    widths = [len(line.strip()) for line in lines]
    assert max(widths) == pytest.approx(2 * len(lines), abs=4), "characters are twice as high as wide"
    assert max(widths) > 50
    assert widths[0] < max(widths) / 2
    assert widths[-1] < max(widths) / 2


@pytest.mark.parametrize(
    "options",
    [
        {"color_system": "truecolor", "no_color": True},
        {"color_system": None},
        {"color_system": "standard"},
        {"color_system": "truecolor", "encoding": "ascii"},
    ],
    ids=["NO_COLOR", "dumb", "16 colours", "ascii"],
)
def test_without_colours_or_their_characters_the_ball_is_drawn_in_shades(options: dict[str, Any]) -> None:
    text = drawn(console(**options))
    assert "\x1b" not in text
    assert text.isascii()
    lines = text.splitlines()
    assert len(set("".join(lines)) - {" "}) > 4, "the ball has light and shadow"
    brightness = [np.mean([".:-=+*#%@".index(c) for c in line.strip()]) for line in lines]
    assert np.mean(brightness[:5]) > np.mean(brightness[-5:]) + 1, "the light comes from above"


def test_the_drawing_fits_a_small_terminal() -> None:
    ball = shell(sphere(0.4), 64)
    small = Console(width=20, height=12)
    lines = drawing(ball.ijk, ball.normal, small).plain.splitlines()
    assert len(lines) <= 12
    assert max(map(len, lines)) <= 20


def test_no_voxels_are_no_drawing() -> None:
    nothing = drawing(np.zeros((0, 3), np.int16), np.zeros((0, 3), np.float32), Console(width=80, height=24))
    assert nothing.plain == ""


# The bar


def shown(count: int, tell: Callable[[Bar], None], size: int = 120) -> str:
    """What a bar shows after it was told something."""
    target = Console(file=io.StringIO(), force_terminal=True, width=size, color_system=None, legacy_windows=False)
    bar = Bar(target, "a [bold]chair", count)
    tell(bar)
    target.print(bar.progress.get_renderable())
    assert isinstance(target.file, io.StringIO)
    return target.file.getvalue()


def test_the_bar_tells_prompt_stage_steps_and_time_left() -> None:
    def tell(bar: Bar) -> None:
        bar.begin(0)
        bar.event("progress", {"stage": "coarse", "step": 5, "steps": 10, "seconds_left": 95.0})

    text = shown(1, tell)
    assert "a [bold]chair · coarse 5/10" in text
    assert "about 1:35 min left" in text


def test_one_bar_covers_all_shapes() -> None:
    def tell(bar: Bar) -> None:
        bar.begin(1)
        bar.event("progress", {"stage": "fine", "step": 0, "steps": 10, "seconds_left": 20.0})

    text = shown(4, tell)
    assert "2/4 · fine 0/10" in text
    assert "about 1:00 min left" in text, "this shape and the two after it"


@pytest.mark.parametrize(
    ("event", "data", "text"),
    [
        ("queued", {"position": 3}, "3 in the queue"),
        ("queued", {"position": 0}, "waiting"),
        ("full", {"seconds": 2.0}, "the service is full"),
        ("progress", {"stage": "coarse", "step": 0, "steps": 9, "seconds_left": None}, "coarse 0/9"),
    ],
)
def test_the_bar_tells_what_is_waited_for(event: str, data: dict[str, Any], text: str) -> None:
    def tell(bar: Bar) -> None:
        bar.begin(0)
        bar.event(event, data)

    assert text in shown(1, tell)


def test_one_bar_shows_how_much_is_done_of_shapes_that_are_made_together() -> None:
    bar = Bar(Console(file=io.StringIO(), force_terminal=True), "a chair", 2)
    bar.begin(0)
    steps: list[tuple[int, str, int, float]] = [
        (0, "coarse", 5, 0.125), (1, "coarse", 10, 0.375), (0, "fine", 10, 0.75), (1, "fine", 10, 1.0)
    ]  # fmt: skip
    for index, stage, step, done in steps:
        bar.event("progress", {"index": index, "stage": stage, "step": step, "steps": 10, "seconds_left": None})
        assert bar.progress.tasks[0].completed == done
    bar.writing()
    assert bar.progress.tasks[0].completed == 1.0


def test_a_bar_goes_forward_only_to_the_end_of_its_shape() -> None:
    bar = Bar(Console(file=io.StringIO(), force_terminal=True), "a chair", 2)
    bar.begin(0)
    for left in (10.0, 5.0, 0.0):
        bar.event("progress", {"stage": "coarse", "step": 1, "steps": 2, "seconds_left": left})
        assert 0.0 <= bar.progress.tasks[0].completed <= 0.5
    bar.writing()
    assert bar.progress.tasks[0].completed == 0.5
    bar.begin(1)
    assert bar.progress.tasks[0].completed == 0.5


@pytest.mark.parametrize(("seconds", "text"), [(0.4, "0 s"), (59.4, "59 s"), (61, "1:01 min"), (3900, "1:05 h")])
def test_a_duration_is_told_as_people_say_it(seconds: float, text: str) -> None:
    assert duration(seconds) == text
