"""A binary glTF of blocks: one mesh of what can be seen of them, with flat normals and a colour for each block."""

from __future__ import annotations

import numpy as np

from formats.about import About
from formats.block_mesh import rectangles
from formats.blocks import Blocks
from formats.gltf import glb_file, linear

_MATERIAL = {"pbrMetallicRoughness": {"metallicFactor": 0.0, "roughnessFactor": 0.9}}


def glb_blocks(blocks: Blocks, about: About) -> bytes:
    """Rectangles of two triangles with POSITION, NORMAL and COLOR_0.

    Raises:
        ValueError: there is no block.
    """
    sides = rectangles(blocks)
    corners = np.concatenate([side.corners for side in sides]).reshape(-1, 3)
    across = [np.eye(3, dtype="<f4")[side.axis] * side.outwards for side in sides]
    colour = linear(np.array([block.colour for block in blocks.palette], np.uint8))
    attributes = {
        "POSITION": (corners * blocks.edge).astype("<f4"),
        "NORMAL": np.repeat(across, [4 * len(side.block) for side in sides], axis=0),
        "COLOR_0": np.repeat(colour[np.concatenate([side.block for side in sides])], 4, axis=0),
    }
    first = np.arange(0, len(corners), 4, dtype="<u4")
    indices = (first[:, None] + np.array([0, 1, 2, 0, 2, 3], "<u4")).reshape(-1)
    return glb_file(about, attributes, indices, _MATERIAL)
