"""Solids with known surfaces, and their voxels."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from models.shape import Voxels

Distance = Callable[[np.ndarray], np.ndarray]
FLAG_SIDE = 64
"""Of the grid of `flag`."""


def sphere(radius: float) -> Distance:
    return lambda p: np.linalg.norm(p, axis=-1) - radius


def box(half: tuple[float, float, float]) -> Distance:
    def distance(p: np.ndarray) -> np.ndarray:
        q = np.abs(p) - np.array(half)
        return np.linalg.norm(np.maximum(q, 0.0), axis=-1) + np.minimum(q.max(axis=-1), 0.0)

    return distance


def torus(ring: float, tube: float) -> Distance:
    return lambda p: np.hypot(np.hypot(p[..., 0], p[..., 2]) - ring, p[..., 1]) - tube


def shell(distance: Distance, resolution: int) -> Voxels:
    """The voxels that a surface passes through (some corners inside, some outside), with its normals."""
    edge = np.arange(-resolution // 2, resolution // 2 + 1) / resolution
    inside = distance(np.stack(np.meshgrid(edge, edge, edge, indexing="ij"), axis=-1)) < 0.0
    windows = np.lib.stride_tricks.sliding_window_view(inside, (2, 2, 2)).sum(axis=(3, 4, 5))
    ijk = np.argwhere((windows > 0) & (windows < 8)) - resolution // 2
    centre, step = (ijk + 0.5) / resolution, 0.3 / resolution
    gradient = np.stack([distance(centre + step * e) - distance(centre - step * e) for e in np.eye(3)], axis=1)
    normal = gradient / np.linalg.norm(gradient, axis=1, keepdims=True).clip(1e-9)
    return Voxels(ijk.astype(np.int16), normal.astype(np.float32), 1 / resolution)


def flag() -> Voxels:
    """A flag, which no turn leaves alike: a mast along +y, a cloth at its top towards +x, a foot towards +z.

    At 64³ and 4 wide in z: the mast from y = -20 to 20, the cloth from x = 0 to 12, the foot from z = 0 to 8.
    """
    solid = np.zeros((FLAG_SIDE, FLAG_SIDE, FLAG_SIDE), bool)
    low = FLAG_SIDE // 2
    solid[low - 2 : low + 2, low - 20 : low + 20, low - 2 : low + 2] = True
    solid[low : low + 12, low + 10 : low + 20, low - 2 : low + 2] = True
    solid[low - 2 : low + 2, low - 20 : low - 16, low : low + 8] = True
    ijk = (np.argwhere(solid) - low).astype(np.int16)
    normal = ijk + 0.5
    return Voxels(ijk, (normal / np.linalg.norm(normal, axis=1, keepdims=True)).astype(np.float32), 1 / FLAG_SIDE)
