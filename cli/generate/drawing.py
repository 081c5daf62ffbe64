"""A shape drawn with characters: half blocks in colour, or shades of text where there is no colour."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from rich.color import Color
from rich.console import Console
from rich.style import Style
from rich.text import Text

from formats.preview import cutout

_COLUMNS = 76
_ROWS_KEPT = 6
"""Rows of the terminal that the drawing leaves to what stands around it."""
_SHADES = ".:-=+*#%@"
_COVERED = 110
"""Opacity, of 255, from which a pixel counts as part of the shape."""

Pixels = NDArray[np.uint8]


def drawing(ijk: NDArray[np.integer], normal: NDArray[np.floating], console: Console) -> Text:
    """Draws voxels as lines of text that fit the console.

    A character is twice as high as it is wide, so it holds two pixels, one above the other.

    Args:
        ijk: Voxel indices [N, 3].
        normal: Unit normals [N, 3].
        console: Console whose size and colours count.
    """
    side = max(8, min(console.width - 1, _COLUMNS, 2 * (console.height - _ROWS_KEPT)) // 2 * 2)
    picture = cutout(ijk, normal, size=side)
    covered = picture[:, :, 3] >= _COVERED
    rows, columns = np.flatnonzero(covered.any(axis=1)), np.flatnonzero(covered.any(axis=0))
    if len(rows) == 0:
        return Text()
    top, bottom = rows[0] // 2 * 2, rows[-1] // 2 * 2 + 2
    picture, covered = picture[top:bottom, : columns[-1] + 1], covered[top:bottom, : columns[-1] + 1]
    cell = _half_block if has_colours(console) else _shade
    text = Text(no_wrap=True)
    for row in range(0, len(picture), 2):
        for column in range(picture.shape[1]):
            cell(text, picture[row : row + 2, column, :3], covered[row : row + 2, column])
        text.rstrip()
        text.append("\n")
    text.right_crop(1)
    return text


def has_colours(console: Console) -> bool:
    """Whether the console can show half blocks in colour: it has 256 colours or more, and its encoding has them."""
    return not console.no_color and console.color_system in ("truecolor", "256") and console.encoding.startswith("utf")


def _half_block(text: Text, colours: Pixels, covered: NDArray[np.bool_]) -> None:
    upper, lower = (Color.from_rgb(*map(float, colour)) for colour in colours)
    match bool(covered[0]), bool(covered[1]):
        case True, True:
            text.append("▀", Style(color=upper, bgcolor=lower))
        case True, False:
            text.append("▀", Style(color=upper))
        case False, True:
            text.append("▄", Style(color=lower))
        case _:
            text.append(" ")


def _shade(text: Text, colours: Pixels, covered: NDArray[np.bool_]) -> None:
    if not covered.any():
        text.append(" ")
        return
    light = float(colours[covered].mean()) / 256.0
    text.append(_SHADES[int(light * len(_SHADES))])
