"""How good a surface is, whatever it shows: measures that see lumps, holes, lost thin parts, pieces and bad normals.

Lengths are in voxels of the shape that is measured. What needs no true shape is in `Surface`; what compares with one is
in `Likeness`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import astuple, dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import cKDTree

from formats import editing
from models.shape import Voxels
from training.scoring import set_iou

PATCH = 6.0
"""Radius of a patch of surface that is compared with a plane: one and a half coarse voxels, in fine ones."""
COARSE_VOXEL = 1 / 64
"""From this size on voxels are few, and a patch has half the radius."""
SAMPLES = 400
FEWEST = 6
SAME_SIDE = 0.5
"""Least cosine of the normals of two voxels that lie on the same side of a wall."""
INWARDS = 1.5
"""How far behind a voxel its inside is looked for; walls thicker than two voxels have one."""
LEAKING = 0.03
"""Share of voxels with open air behind them from which on a shell has a hole."""
THIN = 4.0
"""Parts that hold no ball of this radius are thin: no coarse voxel fits into them whole."""

Field = Callable[[NDArray[np.float64]], NDArray[np.float64]]
"""Signed distances [N] of points [N, 3] in world units, negative inside."""


@dataclass(frozen=True)
class Surface:
    """What a shape tells by itself.

    roughness: root mean square distance of surface points to their local plane, the median over the surface, so that
    edges do not count. Of a flat face it is 0 along the axes, and up to 0.5 where it is oblique, as voxels have steps.
    normals: median angle in degrees between a voxel's normal and that plane's. hole: whether air gets behind the
    surface. pieces: parts that do not touch, also across corners.
    """

    roughness: float
    normals: float
    hole: bool
    pieces: int


@dataclass(frozen=True)
class Likeness:
    """A shape against the true one.

    iou: of the voxels. thin: share of the voxels of thin parts of the true shape beside which the shape has one too,
    None where it has no thin parts. normals: median angle in degrees to the true surface's normal at the nearest point.
    distance: root mean square distance to the true surface, of voxels that are not far from it.
    """

    iou: float
    thin: float | None
    normals: float
    distance: float


def surface(shape: Voxels, seed: int = 0) -> Surface:
    """Measures a shape that is not empty. seed: of the points of its surface that are looked at."""
    roughness, angle = _patches(shape, seed)
    return Surface(roughness, angle, leak(shape) > LEAKING, pieces(shape))


def leak(shape: Voxels) -> float:
    """The share of voxels behind which there is air that the outside reaches across faces."""
    solid, low = _grid(shape)
    regions, _ = ndimage.label(~solid)
    outside = regions == regions[0, 0, 0]
    behind = np.rint(shape.ijk - INWARDS * shape.normal).astype(np.int64) - low
    inside = (behind >= 0).all(1) & (behind < np.array(solid.shape)).all(1)
    return float(np.where(inside, outside[tuple(behind.clip(0, np.array(solid.shape) - 1).T)], True).mean())


def pieces(shape: Voxels) -> int:
    """How many parts a shape falls into that do not touch."""
    return len(editing.pieces(shape)[1])


def thin_voxels(shape: Voxels, radius: float = THIN) -> NDArray[np.bool_]:
    """Which voxels [N] of a closed shell belong to parts into which no ball of this radius fits."""
    shell, low = _grid(shape, margin=2 + int(np.ceil(radius)))
    solid = ndimage.binary_fill_holes(shell)
    core = ndimage.distance_transform_edt(solid) > radius
    if not core.any():
        return np.ones(len(shape), bool)
    # A ball does not reach into corners: what is near to what it reaches is not thin.
    thin = ndimage.distance_transform_edt(~core) > 1.8 * radius
    cells: NDArray[np.bool_] = thin[tuple((shape.ijk - low).T)]
    return cells


def thin_kept(truth: Voxels, shape: Voxels) -> float | None:
    """The share of the thin parts of a true, fine shape that a shape of its or a coarser resolution has.

    A voxel is kept where the shape has one there or beside it. None where the truth has no thin parts to speak of.
    """
    wanted = truth.ijk[thin_voxels(truth)].astype(np.int64)
    if len(wanted) < SAMPLES // 10:
        return None
    factor = round(shape.voxel_size / truth.voxel_size)
    cells = np.unique(np.floor_divide(wanted, factor), axis=0)
    if not len(shape):
        return 0.0
    reach = 1.8 if factor == 1 else 0.1
    near, _ = cKDTree(shape.ijk).query(cells, distance_upper_bound=reach)
    return float(np.isfinite(near).mean())


def likeness(truth: Voxels, shape: Voxels, fine_truth: Voxels, field: Field) -> Likeness:
    """Compares a shape with the true one of its resolution.

    Args:
        truth: The true shape at the resolution of `shape`.
        shape: What is compared; not empty.
        fine_truth: The true shape at its finest, which tells what is thin.
        field: The true surface.
    """
    points = shape.xyz.astype(np.float64)
    step = 0.5 * shape.voxel_size
    offsets = step * np.eye(3)
    slope = np.stack([field(points + o) - field(points - o) for o in offsets], axis=1)
    slope /= np.maximum(np.linalg.norm(slope, axis=1, keepdims=True), 1e-12)
    distance = np.abs(field(points)) / shape.voxel_size
    near = distance < PATCH
    return Likeness(
        set_iou(truth.ijk, shape.ijk),
        thin_kept(fine_truth, shape),
        float(np.median(_degrees((slope * shape.normal).sum(1)))),
        float(np.sqrt(np.mean(distance[near] ** 2))) if near.any() else PATCH,
    )


def mean_surface(measured: Sequence[Surface]) -> dict[str, float]:
    """Over several shapes: means of roughness and normals, shares with a hole and in one piece."""
    return {
        "roughness": float(np.mean([m.roughness for m in measured])),
        "normals": float(np.mean([m.normals for m in measured])),
        "holes": float(np.mean([m.hole for m in measured])),
        "one_piece": float(np.mean([m.pieces == 1 for m in measured])),
    }


def mean_likeness(measured: Sequence[Likeness]) -> dict[str, float]:
    """Means over several shapes; thin parts over those that have some."""
    columns = list(zip(*map(astuple, measured), strict=True))
    names = ("iou", "thin", "normals", "distance")
    known = ([value for value in column if value is not None] for column in columns)
    return {name: float(np.mean(v)) if v else float("nan") for name, v in zip(names, known, strict=True)}


def _patches(shape: Voxels, seed: int) -> tuple[float, float]:
    """Medians over points of the surface: distance to the local plane, and angle of the normal to it."""
    points, normals = shape.ijk.astype(np.float64), shape.normal.astype(np.float64)
    rng = np.random.default_rng(seed)
    chosen = rng.permutation(len(points))[:SAMPLES]
    radius = PATCH if shape.voxel_size < COARSE_VOXEL else PATCH / 2
    distances, angles = [], []
    for row, around in zip(chosen, cKDTree(points).query_ball_point(points[chosen], radius), strict=True):
        own = np.asarray(around)
        own = own[normals[own] @ normals[row] > SAME_SIDE]
        if len(own) < FEWEST:
            continue
        centred = points[own] - points[own].mean(0)
        values, vectors = np.linalg.eigh(centred.T @ centred / len(own))
        distances.append(float(np.sqrt(max(values[0], 0.0))))
        angles.append(float(_degrees(np.abs(normals[row] @ vectors[:, 0]))))
    return (float(np.median(distances)), float(np.median(angles))) if distances else (0.0, 0.0)


def _degrees(cosine: NDArray[np.float64]) -> NDArray[np.float64]:
    degrees: NDArray[np.float64] = np.degrees(np.arccos(np.clip(cosine, -1.0, 1.0)))
    return degrees


def _grid(shape: Voxels, margin: int = 1) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
    """The voxels as a dense grid with `margin` free cells around, and the index of its first cell."""
    low = shape.ijk.astype(np.int64).min(0) - margin
    grid = np.zeros(shape.ijk.astype(np.int64).max(0) - low + 1 + margin, bool)
    grid[tuple((shape.ijk - low).T)] = True
    return grid, low
