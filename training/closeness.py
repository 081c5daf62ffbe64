"""How near one collection of shapes comes to another, without any network that would have to know the shapes.

Distances are between shells of voxels on one grid. Minimum matching distance and coverage are those of Achlioptas et
al. ("Learning representations and generative models for 3D point clouds", 2018), the accuracy of the nearest neighbour
that of Lopez-Paz and Oquab ("Revisiting classifier two-sample tests", 2017), used for shapes since Yang et al.
("PointFlow", 2019).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.sparse import csr_array

Ijk = NDArray[np.integer]
Matrix = NDArray[np.float64]
DIAGONAL = math.sqrt(3)
"""Of the cube of side 1: how far an empty shape is from any other."""


@dataclass(frozen=True)
class Closeness:
    """How near made shapes come to real ones.

    mmd: mean distance of a real shape to the nearest made one. coverage: share of real shapes that are the nearest of
    some made one. one_nn: share of all shapes whose nearest neighbour is of their own collection; 0.5 where nothing
    tells them apart, 1 where everything does, below 0.5 where made shapes are copies of real ones.
    """

    mmd: float
    coverage: float
    one_nn: float


def cells(shapes: Sequence[Ijk], resolution: int) -> csr_array:
    """Which cells of a grid each shape holds: sparse float64 [shapes, resolution³]; what lies outside is left out."""
    columns, rows = [], []
    for number, ijk in enumerate(shapes):
        at = ijk.astype(np.int64) + resolution // 2
        at = at[((at >= 0) & (at < resolution)).all(axis=1)]
        columns.append((at[:, 0] * resolution + at[:, 1]) * resolution + at[:, 2])
        rows.append(np.full(len(at), number))
    row, column = np.concatenate(rows), np.concatenate(columns)
    return csr_array((np.ones(len(row)), (row, column)), shape=(len(shapes), resolution**3))


def iou_distances(table: csr_array) -> Matrix:
    """1 - intersection over union of every shape with every other, [N, N]; 1 where both are empty."""
    shared = (table @ table.T).toarray()
    sizes = table.sum(axis=1)
    union = sizes[:, None] + sizes[None] - shared
    result: Matrix = 1 - shared / np.maximum(union, 1)
    return result


def chamfer_distances(table: csr_array, resolution: int, advance: Callable[[int], None] = lambda _: None) -> Matrix:
    """Chamfer distances of all voxel centres, [N, N], in sides of the cube; exact.

    It is the mean, over both directions, of the mean distance from a voxel to the nearest one of the other shape.

    Args:
        table: What `cells` gives.
        resolution: Of the grid.
        advance: Is told how many shapes are done.
    """
    count = table.shape[0]
    sizes = table.sum(axis=1)
    means = csr_array(table / np.maximum(sizes, 1)[:, None])
    one_way = np.full((count, count), DIAGONAL)
    for column in np.flatnonzero(sizes):
        free = np.ones(resolution**3, np.bool_)
        free[table.indices[table.indptr[column] : table.indptr[column + 1]]] = False
        # The distance of every cell to this shape, by which all others are weighed at once.
        away = ndimage.distance_transform_edt(free.reshape((resolution,) * 3)).astype(np.float64)
        one_way[:, column] = (means @ away.reshape(-1)) / resolution
        advance(int(column) + 1)
    one_way[sizes == 0] = DIAGONAL
    result: Matrix = (one_way + one_way.T) / 2
    return result


def closeness(distances: Matrix, made: Sequence[int], real: Sequence[int]) -> Closeness:
    """How near the shapes `made` come to those that are `real`: rows of a table of distances, none in both."""
    between = distances[np.ix_(made, real)]
    both = [*made, *real]
    among = distances[np.ix_(both, both)].copy()
    np.fill_diagonal(among, np.inf)
    is_made = np.arange(len(both)) < len(made)
    same = is_made[among.argmin(axis=1)] == is_made
    return Closeness(float(between.min(axis=0).mean()), len(set(between.argmin(axis=1).tolist())) / len(real),
                     float(same.mean()))  # fmt: skip


def nearest(distances: Matrix, rows: Sequence[int], among: Sequence[int]) -> list[int]:
    """For each row the one of `among` that is nearest to it, other than itself."""
    table = distances[np.ix_(rows, among)].copy()
    table[np.asarray(rows)[:, None] == np.asarray(among)[None]] = np.inf
    return [among[column] for column in table.argmin(axis=1)]
