"""A surface of few triangles, by quadric error (fast-simplification), and closed whatever their number.

Collapsing edges can pinch a thin wall, which leaves edges with four faces. What came out so is not taken: the next try
is more careful, or begins with a coarser grid, whose surface is closed as every `surface` is.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from formats.editing import halved
from formats.surface import Surface, surface, with_normals
from models.shape import Voxels

_CARES = (7.0, 5.0, 4.0)
"""How boldly edges are collapsed, the boldest first: the fewer triangles are wanted, the more of it is needed."""
_MARGIN = 1.02
_PER_FACE = 128
"""Voxels for each triangle that is wanted, above which a finer grid shows nothing but takes long."""


def simplified(voxels: Voxels, faces: int) -> Surface:
    """The surface around voxels in at most about `faces` triangles, closed."""
    from fast_simplification import simplify

    grid = voxels
    while len(grid) > _PER_FACE * faces:
        grid = halved(grid)
    while True:
        made = surface(grid)
        if len(made.faces) <= faces:
            return made if grid is voxels else with_normals(made.vertices, made.faces, voxels)
        for care in _CARES:
            vertices, kept = simplify(made.vertices, made.faces, target_count=faces, agg=care)
            if len(kept) <= _MARGIN * faces and _is_closed(kept):
                return with_normals(vertices, kept.astype(np.int32), voxels)
        grid = halved(grid)


def _is_closed(faces: NDArray[np.integer]) -> bool:
    """Whether every edge belongs to two faces."""
    edges = np.sort(np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]]).astype(np.int64), axis=1)
    _, count = np.unique((edges[:, 0] << 32) | edges[:, 1], return_counts=True)
    return bool((count == 2).all())
