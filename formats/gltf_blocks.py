"""A binary glTF of blocks: one mesh of what can be seen of them, with flat normals and a colour for each block."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from formats.block_mesh import rectangles
from formats.blocks import Block, Blocks
from formats.gltf import glb_file

_MATERIAL = {"pbrMetallicRoughness": {"metallicFactor": 0.0, "roughnessFactor": 0.9}}


def glb_blocks(blocks: Blocks, about: dict[str, Any]) -> bytes:
    """Rectangles of two triangles with POSITION, NORMAL and COLOR_0; `about` becomes the extras of the file's asset.

    Raises:
        ValueError: there is no block.
    """
    sides = rectangles(blocks)
    corners = np.concatenate([side.corners for side in sides]).reshape(-1, 3)
    across = [np.eye(3, dtype="<f4")[side.axis] * side.outwards for side in sides]
    attributes = {
        "POSITION": (corners * blocks.edge).astype("<f4"),
        "NORMAL": np.repeat(across, [4 * len(side.block) for side in sides], axis=0),
        "COLOR_0": np.repeat(_linear(blocks.palette)[np.concatenate([side.block for side in sides])], 4, axis=0),
    }
    first = np.arange(0, len(corners), 4, dtype="<u4")
    indices = (first[:, None] + np.array([0, 1, 2, 0, 2, 3], "<u4")).reshape(-1)
    return glb_file("blocks", about, attributes, indices, _MATERIAL)


def _linear(palette: tuple[Block, ...]) -> NDArray[np.uint16]:
    """Colours as glTF has them: linear, not sRGB, with an alpha that is full; uint16 [palette, 4]."""
    colour = np.array([block.colour for block in palette]) / 255
    light = np.where(colour <= 0.04045, colour / 12.92, ((colour + 0.055) / 1.055) ** 2.4)
    linear = np.full((len(palette), 4), 65535, "<u2")
    linear[:, :3] = np.rint(65535 * light)
    return linear
