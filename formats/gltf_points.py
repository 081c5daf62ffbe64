"""A binary glTF of points with normals, which trimesh would write without the normals.

Viewers light no points: without colours that hold the light a shape would be a white silhouette.
"""

from __future__ import annotations

from formats.about import About
from formats.gltf import glb_file, linear
from formats.kinds import Points


def glb_points(points: Points, about: About) -> bytes:
    """glTF points with POSITION, NORMAL and COLOR_0."""
    attributes = {
        "POSITION": points.xyz.astype("<f4"),
        "NORMAL": points.normal.astype("<f4"),
        "COLOR_0": linear(points.colour),
    }
    return glb_file(about, attributes)
