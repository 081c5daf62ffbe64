"""PNG: a picture of the shape, with what a file tells of it as its texts."""

from __future__ import annotations

import io

from PIL import Image
from PIL.PngImagePlugin import PngInfo

from formats.about import NAME, About
from formats.kinds import Points
from formats.points import voxel_indices
from formats.preview import render

SIDE = 512
"""Pixels."""


def png(points: Points, about: About) -> bytes:
    """A picture of points, SIDE pixels wide and high, on white; +y is up."""
    picture = render(voxel_indices(points.xyz), points.normal, size=SIDE, colour=points.colour)
    texts = PngInfo()
    texts.add_text("Software", NAME)
    for name, text in about.facts().items():
        texts.add_itxt(name, text)
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, format="PNG", pnginfo=texts)
    return buffer.getvalue()
