"""Pictures of voxels with NumPy and Pillow: an orthographic view, shaded by the normals."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

_OVERSAMPLING = 2
_SURFACE = np.array([0.80, 0.78, 0.76], np.float32)
_KEY_LIGHT = np.array([0.35, 0.75, 0.55], np.float32)
_FILL_LIGHT = np.array([-0.8, 0.15, 0.55], np.float32)


def render(
    ijk: NDArray[np.integer],
    normal: NDArray[np.floating],
    resolution: int | None = None,
    size: int = 256,
    azimuth_deg: float = 35.0,
    elevation_deg: float = 25.0,
    colour: NDArray[np.uint8] | None = None,
) -> NDArray[np.uint8]:
    """A picture [size, size, 3] of voxels ijk [N, 3] with unit normals [N, 3], on white; +y is up.

    The eye looks at +z from the front, then goes `azimuth_deg` to the right and `elevation_deg` up. With a resolution
    the whole grid (indices -resolution/2 … resolution/2 - 1) fits the picture, so that pictures compare in scale;
    without one the voxels fill it. Colours [N, 3], if there are any, are shown as they are, without light.
    """
    drawn, coverage = _draw(ijk, normal, resolution, size, azimuth_deg, elevation_deg, colour)
    return _as_8bit(drawn + (1.0 - coverage))


def cutout(
    ijk: NDArray[np.integer],
    normal: NDArray[np.floating],
    size: int = 256,
    azimuth_deg: float = 35.0,
    elevation_deg: float = 25.0,
) -> NDArray[np.uint8]:
    """The picture that :func:`render` makes without its background: [size, size, 4] with straight alpha."""
    colour, coverage = _draw(ijk, normal, None, size, azimuth_deg, elevation_deg)
    return _as_8bit(np.concatenate([colour / coverage.clip(1e-6), coverage], axis=2))


def _as_8bit(picture: NDArray[np.float32]) -> NDArray[np.uint8]:
    return (picture * 255.0 + 0.5).astype(np.uint8)


def _draw(
    ijk: NDArray[np.integer],
    normal: NDArray[np.floating],
    resolution: int | None,
    size: int,
    azimuth_deg: float,
    elevation_deg: float,
    own: NDArray[np.uint8] | None = None,
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Colours [size, size, 3], each times the share of its pixel that is covered, and that share [size, size, 1]."""
    side = size * _OVERSAMPLING
    if len(ijk) == 0:
        return np.zeros((size, size, 3), np.float32), np.zeros((size, size, 1), np.float32)
    view = _view(azimuth_deg, elevation_deg)
    points = (np.asarray(ijk, np.float32) + 0.5) @ view.T
    if resolution is None:
        low, high = points[:, :2].min(0), points[:, :2].max(0)
        centre, extent = (low + high) / 2, float(np.max(high - low)) + 2.0
    else:
        centre, extent = np.zeros(2, np.float32), resolution * 1.25
    scale = side / (extent * 1.06)

    order = np.argsort(points[:, 2], kind="stable")
    column = side / 2 + (points[order, 0] - centre[0]) * scale
    row = side / 2 - (points[order, 1] - centre[1]) * scale
    # A turned cube's outline is wider than its side; 1.5 sides leave no gaps between neighbours.
    square = max(1, int(np.ceil(1.5 * scale)))
    step = np.arange(square) - (square - 1) / 2
    rows = np.rint(row[:, None] + step).astype(np.int64).clip(0, side - 1)
    columns = np.rint(column[:, None] + step).astype(np.int64).clip(0, side - 1)
    pixels = (rows[:, :, None] * side + columns[:, None, :]).reshape(-1)
    # Rows are in order from far to near, and of equal indices the last one is assigned: that is the z-buffer.
    winner = np.full(side * side, -1, np.int64)
    winner[pixels] = np.repeat(order, square * square)

    covered = winner >= 0
    picture = np.zeros((side * side, 4), np.float32)
    shown = _shade(np.asarray(normal, np.float32), view) if own is None else own / np.float32(255.0)
    picture[covered, :3] = shown[winner[covered]]
    picture[covered, 3] = 1.0
    depth = np.where(covered, points[winner, 2], -np.inf).reshape(side, side)
    picture[:, :3] *= _occlusion(depth, extent).reshape(-1, 1)
    picture = picture.reshape(size, _OVERSAMPLING, size, _OVERSAMPLING, 4).mean((1, 3))
    return picture[:, :, :3], picture[:, :, 3:]


def contact_sheet(images: Sequence[NDArray[np.uint8]], labels: Sequence[str], columns: int) -> Image.Image:
    """The images in rows of `columns`, each with its label below.

    Raises:
        ValueError: There are no images, no columns, or not one label for each image.
    """
    if not images or len(images) != len(labels) or columns < 1:
        raise ValueError(
            f"A contact sheet needs images, a label for each and a column or more; it got {len(images)} images, "
            f"{len(labels)} labels and {columns} columns."
        )
    height, width = max(i.shape[0] for i in images), max(i.shape[1] for i in images)
    caption = 18
    rows = -(-len(images) // columns)
    sheet = Image.new("RGB", (columns * width, rows * (height + caption)), "white")
    draw = ImageDraw.Draw(sheet)
    for n, (image, label) in enumerate(zip(images, labels, strict=True)):
        x, y = n % columns * width, n // columns * (height + caption)
        sheet.paste(Image.fromarray(image), (x, y))
        while len(label) > 1 and draw.textlength(label) > width - 4:
            label = label[:-2] + "…" if draw.textlength(label[:-2] + "…") < draw.textlength(label) else label[:-1]
        draw.text((x + (width - draw.textlength(label)) / 2, y + height + 2), label, fill=(60, 60, 60))
    return sheet


def save_png(image: NDArray[np.uint8] | Image.Image, path: str | Path) -> None:
    """Writes a picture as PNG and creates the folder when it is missing."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    (image if isinstance(image, Image.Image) else Image.fromarray(image)).save(path, format="PNG")


def _view(azimuth_deg: float, elevation_deg: float) -> NDArray[np.float32]:
    """World to view: the rows are the directions right, up and towards the eye."""
    a, e = np.radians(azimuth_deg), np.radians(elevation_deg)
    right = [np.cos(a), 0.0, -np.sin(a)]
    up = [-np.sin(a) * np.sin(e), np.cos(e), -np.cos(a) * np.sin(e)]
    eye = [np.sin(a) * np.cos(e), np.sin(e), np.cos(a) * np.cos(e)]
    return np.array([right, up, eye], np.float32)


def _shade(normal: NDArray[np.float32], view: NDArray[np.float32]) -> NDArray[np.float32]:
    """Two soft lights fixed to the eye, and a tint of the normal's direction. [N, 3] in 0…1."""
    facing = normal @ view.T
    key = np.clip(facing @ (_KEY_LIGHT / np.linalg.norm(_KEY_LIGHT)), 0.0, 1.0)
    fill = np.clip(facing @ (_FILL_LIGHT / np.linalg.norm(_FILL_LIGHT)), 0.0, 1.0)
    light = 0.34 + 0.62 * key + 0.18 * fill
    colour: NDArray[np.float32] = np.clip(light[:, None] * (_SURFACE + 0.14 * normal), 0.0, 1.0).astype(np.float32)
    return colour


def _occlusion(depth: NDArray[np.floating], extent: float) -> NDArray[np.float32]:
    """Darkens pixels that lie behind their neighbours, which draws the edges of parts. 1 = untouched."""
    shade = np.ones(depth.shape, np.float32)
    reach = max(1, depth.shape[0] // 128)
    known = np.isfinite(depth)
    for dy, dx in ((0, reach), (0, -reach), (reach, 0), (-reach, 0)):
        other = np.roll(depth, (dy, dx), (0, 1))
        gap = np.where(known & np.isfinite(other), other, 0.0) - np.where(known & np.isfinite(other), depth, 0.0)
        shade -= 0.12 * np.clip((gap - 0.03 * extent) / (0.05 * extent), 0.0, 1.0)
    return shade
