"""A binary glTF of points with normals, which trimesh would write without the normals.

Viewers light no points: each has a colour made from its normal, or else a shape would be a white silhouette.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from formats.gltf import glb_file
from formats.kinds import Points


def glb_points(points: Points, about: dict[str, Any]) -> bytes:
    """glTF points with POSITION, NORMAL and COLOR_0; `about` becomes the extras of its asset."""
    colour = np.full((len(points.xyz), 4), 255, np.uint8)
    colour[:, :3] = points.colour
    attributes = {"POSITION": points.xyz.astype("<f4"), "NORMAL": points.normal.astype("<f4"), "COLOR_0": colour}
    return glb_file("points", about, attributes)
