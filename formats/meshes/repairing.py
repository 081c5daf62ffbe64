"""Repairs of meshes of others: broken numbers, faces without area or twice, small holes, faces turned inwards."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from formats.meshes.mesh import Mesh
from models.errors import MeshError

Ints = NDArray[np.int64]

_STEPS = 1 << 20
"""Vertices closer than this part of the longest side are one."""
SMALL_HOLE = 0.05
"""Of the longest side: a hole that is larger is meant to be open, like that of a cup."""
_MOST_OPEN_EDGES = 20_000
"""Of a mesh whose holes are looked for one by one; one with more is no closed thing with holes."""


@dataclass(frozen=True)
class Repaired:
    """A mesh whose numbers, vertices and faces are sound, and what was wrong, as parts of a sentence."""

    mesh: Mesh
    notes: tuple[str, ...]


def repaired(mesh: Mesh) -> Repaired:
    """Leaves out what is no face, joins equal vertices, closes small holes and lets neighbours turn the same way.

    Raises:
        MeshError: nothing is left, or it has no size.
    """
    notes: list[str] = []
    vertices, faces = mesh.vertices, mesh.faces
    known = np.all((faces >= 0) & (faces < len(vertices)), axis=1)
    faces = faces[known]
    finite = np.all(np.isfinite(vertices), axis=1)
    sound = np.all(finite[faces], axis=1)
    _note(notes, int((~known).sum()), "with vertices that are not there")
    _note(notes, int((~sound).sum()), "with coordinates that are no numbers")
    faces = faces[sound]
    if not len(faces):
        raise MeshError("has no face whose coordinates are all numbers: export it again")
    used, faces = np.unique(faces, return_inverse=True)
    vertices, faces = vertices[used], faces.reshape(-1, 3)
    low, high = vertices.min(0), vertices.max(0)
    size = float((high / 2 - low / 2).max()) * 2
    if not 0 < size < np.inf:
        raise MeshError("has no size, all its vertices are one point: export it again")
    if not 1e-6 <= size <= 1e6:
        notes.append(f"is {size:.3g} units large, and was scaled like all others")
    vertices, faces = _joined((vertices - low) / size, faces)
    count = len(faces)
    faces = _real(faces)
    _note(notes, count - len(faces), "without area or there twice")
    if not len(faces):
        raise MeshError("has no face with an area: export it with its surface")
    faces = _consistent(faces, notes)
    vertices, faces = _closed(vertices, faces, notes)
    return Repaired(Mesh(vertices, faces), tuple(notes))


def _note(notes: list[str], count: int, what: str) -> None:
    if count:
        notes.append(f"{count:,} {'face' if count == 1 else 'faces'} {what} left out")


def _joined(vertices: NDArray[np.float64], faces: Ints) -> tuple[NDArray[np.float64], Ints]:
    """One vertex in place of several that are as good as equal. vertices: within [0, 1]."""
    cell = np.rint(vertices * _STEPS).astype(np.int64)
    _, first, owner = np.unique(
        (cell[:, 0] << 42) | (cell[:, 1] << 21) | cell[:, 2], return_index=True, return_inverse=True
    )
    return vertices[first], owner[faces]


def _real(faces: Ints) -> Ints:
    """Faces with three vertices, each once."""
    apart = (faces[:, 0] != faces[:, 1]) & (faces[:, 1] != faces[:, 2]) & (faces[:, 2] != faces[:, 0])
    faces = faces[apart]
    if not len(faces):
        return faces
    a, b, c = np.sort(faces, axis=1).T
    order = np.lexsort((c, b, a))
    same = np.r_[False, (np.diff(a[order]) == 0) & (np.diff(b[order]) == 0) & (np.diff(c[order]) == 0)]
    kept: Ints = faces[np.sort(order[~same])]
    return kept


def _edges(faces: Ints) -> tuple[Ints, NDArray[np.bool_], Ints]:
    """Each face's three edges: a key that is equal for both directions, whether it runs upwards, and the face."""
    start, end = faces.reshape(-1), np.roll(faces, -1, 1).reshape(-1)
    most = int(faces.max()) + 1
    return np.minimum(start, end) * most + np.maximum(start, end), start < end, np.repeat(np.arange(len(faces)), 3)


def _neighbours(faces: Ints) -> tuple[Ints, Ints, NDArray[np.bool_]]:
    """Pairs of faces that are the only two at an edge, and whether both run along it the same way, which is wrong."""
    key, upwards, face = _edges(faces)
    order = np.argsort(key, kind="stable")
    key, upwards, face = key[order], upwards[order], face[order]
    starts = np.flatnonzero(np.r_[True, np.diff(key) != 0])
    counts = np.diff(np.r_[starts, len(key)])
    first = starts[counts == 2]
    return face[first], face[first + 1], upwards[first] == upwards[first + 1]


def patches(faces: Ints) -> tuple[int, Ints]:
    """Connected patches of faces: how many, and the patch of each face."""
    left, right, _ = _neighbours(faces)
    graph = coo_array((np.ones(len(left), np.int8), (left, right)), shape=(len(faces),) * 2)
    count, patch = connected_components(graph, directed=False)
    return int(count), patch.astype(np.int64)


def _consistent(faces: Ints, notes: list[str]) -> Ints:
    """Turns faces so that the two at an edge run along it in opposite ways.

    Every face stands for two nodes of a graph, itself and itself turned; an edge joins those that go together. What is
    connected to a patch's first face is then how all of the patch has to be, except where it has only one side.
    """
    left, right, wrong = _neighbours(faces)
    if not wrong.any():
        return faces
    count = len(faces)
    a = np.concatenate((left, left + count))
    b = np.concatenate((right + count * wrong, right + count * ~wrong))
    graph = coo_array((np.ones(len(a), np.int8), (a, b)), shape=(2 * count, 2 * count))
    _, node = connected_components(graph, directed=False)
    as_it_is, turned = node[:count], node[count:]
    number, patch = patches(faces)
    # Of the two ways a patch can be, the one that turns fewer faces.
    votes = np.bincount(patch, as_it_is < turned, number)
    sizes = np.bincount(patch, minlength=number)
    keep_low = votes * 2 >= sizes
    flip = np.where(keep_low[patch], as_it_is > turned, as_it_is < turned)
    if flip.any():
        notes.append(f"{int(flip.sum()):,} faces turned as their neighbours are")
    return np.where(flip[:, None], faces[:, ::-1], faces)


def _closed(vertices: NDArray[np.float64], faces: Ints, notes: list[str]) -> tuple[NDArray[np.float64], Ints]:
    """Closes holes not larger than SMALL_HOLE by triangles to their middle. vertices: within [0, 1]."""
    key, _, _ = _edges(faces)
    _, first, count = np.unique(key, return_index=True, return_counts=True)
    rows = first[count == 1]
    if not len(rows) or len(rows) > _MOST_OPEN_EDGES:
        if len(rows):
            notes.append(f"{len(rows):,} open edges: an open surface, taken as it is")
        return vertices, faces
    # Around a hole the other way round.
    start, end = np.roll(faces, -1, 1).reshape(-1)[rows], faces.reshape(-1)[rows]
    following = dict(zip(start.tolist(), end.tolist(), strict=True))
    middles: list[NDArray[np.float64]] = []
    fans: list[tuple[int, int, int]] = []
    left_open = 0
    while following:
        at, to = following.popitem()
        loop = [at]
        while to in following:
            loop.append(to)
            to = following.pop(to)
        if to == at and len(loop) >= 3 and np.ptp(vertices[loop], axis=0).max() <= SMALL_HOLE:
            middle = len(vertices) + len(middles)
            middles.append(vertices[loop].mean(0))
            fans += [(one, other, middle) for one, other in zip(loop, loop[1:] + loop[:1], strict=True)]
        else:
            left_open += len(loop)
    if middles:
        notes.append(f"{len(middles):,} small {'hole' if len(middles) == 1 else 'holes'} closed")
        vertices, faces = np.concatenate((vertices, middles)), np.concatenate((faces, np.array(fans, np.int64)))
    if left_open:
        notes.append(f"{left_open:,} open edges: an open surface, taken as it is")
    return vertices, faces
