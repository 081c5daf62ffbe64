"""A small kit of signed distance functions: primitives, unions, cuts, rotations, mirrors.

A point set is three tensors (x, y, z) of equal shape; a distance is a tensor of that shape, negative inside. Distances
are exact or first-order correct near the surface, which is all that voxelisation needs. Formulas: J. C. Hart, "Sphere
tracing" (1996), and textbook geometry.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Literal

import torch
from torch import Tensor

Points = tuple[Tensor, Tensor, Tensor]
Axis = Literal["x", "y", "z"]
Vec3 = tuple[float, float, float]
Polyline = Sequence[tuple[float, float]]

_AXES: dict[Axis, int] = {"x": 0, "y": 1, "z": 2}


@dataclass(frozen=True)
class Sdf:
    """A solid. `a | b` joins, `a & b` intersects, `a - b` cuts b out of a."""

    distance: Callable[[Points], Tensor]

    def __call__(self, points: Points) -> Tensor:
        """Signed distances of points, negative inside."""
        return self.distance(points)

    def __or__(self, other: Sdf) -> Sdf:
        return Sdf(lambda p: torch.minimum(self(p), other(p)))

    def __and__(self, other: Sdf) -> Sdf:
        return Sdf(lambda p: torch.maximum(self(p), other(p)))

    def __sub__(self, other: Sdf) -> Sdf:
        return Sdf(lambda p: torch.maximum(self(p), -other(p)))

    def blend(self, other: Sdf, width: float) -> Sdf:
        """Union with a fillet of about `width` where the two meet (polynomial smooth minimum)."""

        def distance(p: Points) -> Tensor:
            a, b = self(p), other(p)
            h = (width - (a - b).abs()).clamp(min=0.0)
            return torch.minimum(a, b) - h * h / (4.0 * width)

        return Sdf(distance)

    def at(self, x: float = 0.0, y: float = 0.0, z: float = 0.0) -> Sdf:
        """The solid moved by (x, y, z)."""
        offset = (x, y, z)

        def distance(p: Points) -> Tensor:
            a, b, c = (q if o == 0.0 else q - o for q, o in zip(p, offset, strict=True))
            return self((a, b, c))

        return Sdf(distance)

    def turn(self, axis: Axis, degrees: float) -> Sdf:
        """The solid turned about an axis through the origin, counter-clockwise seen from the axis' positive end."""
        c, s = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
        k = _AXES[axis]
        i, j = (k + 1) % 3, (k + 2) % 3

        def distance(p: Points) -> Tensor:
            q = list(p)
            q[i], q[j] = c * p[i] + s * p[j], c * p[j] - s * p[i]
            return self((q[0], q[1], q[2]))

        return Sdf(distance)

    def mirror(self, *axes: Axis) -> Sdf:
        """The part on the positive side of each axis, together with its mirror image."""
        folded = {_AXES[axis] for axis in axes}

        def distance(p: Points) -> Tensor:
            a, b, c = (q.abs() if k in folded else q for k, q in enumerate(p))
            return self((a, b, c))

        return Sdf(distance)

    def ring(self, count: int) -> Sdf:
        """`count` copies around the y axis of the part next to the +x half plane."""
        sector = 2.0 * math.pi / count

        def distance(p: Points) -> Tensor:
            radius, angle = torch.hypot(p[0], p[2]), torch.atan2(p[2], p[0])
            angle = angle - sector * torch.round(angle / sector)
            return self((radius * torch.cos(angle), p[1], radius * torch.sin(angle)))

        return Sdf(distance)

    def grow(self, margin: float) -> Sdf:
        """The solid with its surface moved outwards by `margin`, which rounds convex edges."""
        return Sdf(lambda p: self(p) - margin)


def union(*parts: Sdf) -> Sdf:
    """All the solids together."""
    return reduce(lambda a, b: a | b, parts)


def sphere(radius: float) -> Sdf:
    """A ball around the origin."""
    return Sdf(lambda p: _length(*p) - radius)


def ellipsoid(rx: float, ry: float, rz: float) -> Sdf:
    """First-order distance k0 (k0 - 1) / k1 with k0 = |p / r| and k1 = |p / r²|."""

    def distance(p: Points) -> Tensor:
        x, y, z = p[0] / rx, p[1] / ry, p[2] / rz
        k0 = _length(x, y, z).clamp(min=1e-6)
        k1 = _length(x / rx, y / ry, z / rz).clamp(min=1e-6)
        return k0 * (k0 - 1.0) / k1

    return Sdf(distance)


def box(hx: float, hy: float, hz: float, rounding: float = 0.0) -> Sdf:
    """A box with the given half sizes; its edges are rounded inside these."""

    def distance(p: Points) -> Tensor:
        x, y, z = (q.abs() - (h - rounding) for q, h in zip(p, (hx, hy, hz), strict=True))
        outside = _length(x.clamp(min=0.0), y.clamp(min=0.0), z.clamp(min=0.0))
        inside = torch.maximum(torch.maximum(x, y), z).clamp(max=0.0)
        return outside + inside - rounding

    return Sdf(distance)


def cylinder(radius: float, half: float, rounding: float = 0.0, axis: Axis = "y") -> Sdf:
    """A cylinder along `axis` with half height `half`."""
    k = _AXES[axis]

    def distance(p: Points) -> Tensor:
        across = torch.hypot(p[(k + 1) % 3], p[(k + 2) % 3]) - (radius - rounding)
        return _corner(across, p[k].abs() - (half - rounding)) - rounding

    return Sdf(distance)


def capsule(a: Vec3, b: Vec3, radius: float, end_radius: float | None = None) -> Sdf:
    """A round rod from a to b whose radius goes from `radius` to `end_radius`."""
    e = tuple(q - o for o, q in zip(a, b, strict=True))
    squared = sum(q * q for q in e)
    growth = (radius if end_radius is None else end_radius) - radius

    def distance(p: Points) -> Tensor:
        x, y, z = (q - o for q, o in zip(p, a, strict=True))
        t = ((x * e[0] + y * e[1] + z * e[2]) / squared).clamp(0.0, 1.0)
        gap = _length(x - t * e[0], y - t * e[1], z - t * e[2])
        return gap - (radius + growth * t)

    return Sdf(distance)


def torus(major: float, minor: float) -> Sdf:
    """A ring around the y axis."""
    return Sdf(lambda p: torch.hypot(torch.hypot(p[0], p[2]) - major, p[1]) - minor)


def revolve(profile: Polyline) -> Sdf:
    """The profile (radius, height) turned around the y axis; it starts and ends on the axis, or is taken as closed."""
    closed = profile[0][0] > 0.0 or profile[-1][0] > 0.0
    return Sdf(lambda p: _polygon(torch.hypot(p[0], p[2]), p[1], profile, closed))


def cone(bottom: float, top: float, height: float) -> Sdf:
    """A cone or frustum with its base on y = 0."""
    return revolve(
        [(0.0, 0.0), (bottom, 0.0), (top, height), (0.0, height)]
        if top > 0
        else [(0.0, 0.0), (bottom, 0.0), (0.0, height)]
    )


def extrude(outline: Polyline, half: float, axis: Axis = "z") -> Sdf:
    """The outline, in the two axes that follow `axis` cyclically ((x, y) for z), with half thickness `half`."""
    k = _AXES[axis]

    def distance(p: Points) -> Tensor:
        return _corner(_polygon(p[(k + 1) % 3], p[(k + 2) % 3], outline, True), p[k].abs() - half)

    return Sdf(distance)


def pyramid(half: float, height: float, top: float = 0.0) -> Sdf:
    """A square pyramid on y = 0: half side `half` there and `top` at its upper end. Exact on its faces."""
    slope = math.hypot(height, half - top)

    def distance(p: Points) -> Tensor:
        side = torch.maximum(p[0].abs(), p[2].abs()) - half
        face = (side * height + p[1] * (half - top)) / slope
        return torch.maximum(face, (p[1] - height / 2.0).abs() - height / 2.0)

    return Sdf(distance)


def _length(x: Tensor, y: Tensor, z: Tensor) -> Tensor:
    return (x * x + y * y + z * z).sqrt()


def _corner(a: Tensor, b: Tensor) -> Tensor:
    """The distance to the quadrant a <= 0, b <= 0."""
    return torch.maximum(a, b).clamp(max=0.0) + torch.hypot(a.clamp(min=0.0), b.clamp(min=0.0))


def _polygon(u: Tensor, v: Tensor, vertices: Polyline, closed: bool) -> Tensor:
    """The signed distance to a polygon. An open one starts and ends on u = 0, which then is no part of the surface."""
    ends = [*vertices[1:], vertices[0]] if closed else list(vertices[1:])
    starts = list(vertices[: len(ends)])
    rows = [
        (a, b, c - a, d - b, 1.0 / ((c - a) ** 2 + (d - b) ** 2), d, (c - a) / ((d - b) or 1.0))
        for (a, b), (c, d) in zip(starts, ends, strict=True)
    ]
    table = torch.tensor(rows, dtype=u.dtype).to(u.device, non_blocking=True).T[:, :, None]
    a, b, ex, ey, inverse, d, slope = table
    shape = u.shape
    u, v = u.reshape(1, -1), v.reshape(1, -1)
    wu, wv = u - a, v - b
    t = ((wu * ex + wv * ey) * inverse).clamp(0.0, 1.0)
    gap = ((wu - t * ex).square() + (wv - t * ey).square()).amin(0).sqrt()
    crossings = (((b > v) != (d > v)) & (wu < wv * slope)).sum(0)
    return torch.where(crossings % 2 == 1, -gap, gap).reshape(shape)
