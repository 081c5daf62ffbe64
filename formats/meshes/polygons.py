"""Faces with many corners as triangles: OBJ files keep them as they were drawn, notches and all."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

Point = Sequence[float]
FEWEST, MOST = 5, 1_000
"""Corners of a face that is cut here; fewer are seldom notched, and more would take too long."""


def without_notches(text: str) -> str:
    """An OBJ file's text with its faces of FEWEST to MOST corners cut into triangles; the rest is as it was."""
    vertices: list[tuple[float, ...]] = []
    lines = text.replace("\\\r\n", " ").replace("\\\n", " ").splitlines()
    for number, line in enumerate(lines):
        parts = line.split()
        if parts[:1] == ["v"]:
            vertices.append(tuple(map(float, parts[1:4])))
        elif parts[:1] == ["f"] and FEWEST <= len(parts) - 1 <= MOST:
            corners = parts[1:]
            rows = [int(corner.split("/")[0]) for corner in corners]
            points = [vertices[row - 1 if row > 0 else row] for row in rows]
            lines[number] = "\n".join(" ".join(("f", *(corners[k] for k in ear))) for ear in ears(points))
    return "\n".join(lines) + "\n"


def ears(points: Sequence[Point]) -> list[tuple[int, int, int]]:
    """The triangles of a flat polygon [N, 3], by cutting off one ear after the other, with its sense of turning."""
    corners = np.asarray(points, np.float64)
    normal = np.cross(corners, np.roll(corners, -1, 0)).sum(0)
    axis = int(np.abs(normal).argmax())
    flat = corners[:, [(axis + 1) % 3, (axis + 2) % 3]]
    plane: list[list[float]] = (flat if normal[axis] >= 0 else flat[:, ::-1]).tolist()
    left, found = list(range(len(plane))), list[tuple[int, int, int]]()
    while len(left) > 3:
        for place, middle in enumerate(left):
            ear = (left[place - 1], middle, left[(place + 1) % len(left)])
            if _is_ear(plane, ear, left):
                found.append(ear)
                left.pop(place)
                break
        else:  # a polygon that crosses itself
            break
    return found + [(left[0], left[k], left[k + 1]) for k in range(1, len(left) - 1)]


def _is_ear(plane: list[list[float]], ear: tuple[int, int, int], left: Sequence[int]) -> bool:
    a, b, c = (plane[corner] for corner in ear)
    if _turn(a, b, c) < 0:
        return False
    others = (plane[corner] for corner in left if corner not in ear)
    return not any(
        _turn(a, b, p) >= 0 and _turn(b, c, p) >= 0 and _turn(c, a, p) >= 0 and p not in (a, b, c) for p in others
    )


def _turn(a: Sequence[float], b: Sequence[float], c: Sequence[float]) -> float:
    """Positive where the way from a over b to c turns left."""
    return (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])
