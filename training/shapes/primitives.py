"""Plain solids."""

from __future__ import annotations

from collections.abc import Mapping

from training.shapes.registry import Variation, category
from training.shapes.sdf import (
    Sdf,
    box,
    cylinder,
    union,
)
from training.shapes.sdf import (
    cone as frustum,
)
from training.shapes.sdf import (
    pyramid as spire,
)
from training.shapes.sdf import (
    sphere as ball,
)
from training.shapes.sdf import (
    torus as ring,
)

_SIZE = {"large": ("large", "big"), "small": ("small", "little")}


@category(
    "ball",
    "globe",
    size=_SIZE,
    hole={"with": ("with a hole", "with a hole through it"), "without": ("solid", "without a hole")},
    ring={"with": ("with a ring", "ringed"), "without": ("without a ring", "ringless")},
)
def sphere(a: Mapping[str, str], vary: Variation) -> Sdf:
    radius = vary(0.29, 0.31) if a["size"] == "large" else vary(0.18, 0.2)
    solid = ball(radius)
    if a["hole"] == "with":
        solid = solid - cylinder(radius * vary(0.28, 0.36), 1.0, axis="z")
    if a["ring"] == "with":
        band = cylinder(radius * 1.42, 0.024) - cylinder(radius * 0.9, 1.0)
        solid = solid | band.turn("x", 12)
    return solid


@category(
    "box",
    "block",
    size=_SIZE,
    edges={"rounded": ("with rounded edges", "rounded"), "sharp": ("with sharp edges", "sharp")},
    hole={"with": ("with a hole", "with a hole through it"), "without": ("solid", "without a hole")},
)
def cube(a: Mapping[str, str], vary: Variation) -> Sdf:
    half = vary(0.28, 0.3) if a["size"] == "large" else vary(0.17, 0.19)
    solid = box(half, half, half, half * vary(0.3, 0.36) if a["edges"] == "rounded" else 0.0)
    return solid - cylinder(half * vary(0.42, 0.5), 1.0, axis="z") if a["hole"] == "with" else solid


@category(
    "traffic cone",
    "round cone",
    height={"tall": ("tall", "high"), "short": ("short", "low")},
    tip={"pointed": ("pointed", "with a sharp tip"), "flat": ("with a flat top", "truncated")},
    base={"with": ("with a base", "with a square base"), "without": ("without a base", "baseless")},
)
def cone(a: Mapping[str, str], vary: Variation) -> Sdf:
    height = vary(0.78, 0.84) if a["height"] == "tall" else vary(0.38, 0.42)
    radius = vary(0.24, 0.27)
    solid = frustum(radius, 0.0 if a["tip"] == "pointed" else radius * vary(0.45, 0.5), height)
    if a["base"] == "with":
        solid = solid | box(radius + 0.09, 0.03, radius + 0.09).at(y=0.025)
    return solid.at(y=-height / 2)


@category(
    "doughnut",
    "donut",
    thickness={"thick": ("thick", "fat"), "thin": ("thin", "slim")},
    pose={"lying": ("lying", "flat"), "standing": ("standing", "upright")},
    size=_SIZE,
)
def torus(a: Mapping[str, str], vary: Variation) -> Sdf:
    radius = vary(0.36, 0.39) if a["size"] == "large" else vary(0.24, 0.26)
    minor = radius * (vary(0.34, 0.38) if a["thickness"] == "thick" else vary(0.18, 0.21))
    solid = ring(radius - minor, minor)
    return solid if a["pose"] == "lying" else solid.turn("x", 90)


@category(
    "square pyramid",
    "egyptian pyramid",
    height={"tall": ("tall", "high"), "flat": ("flat", "low")},
    sides={"stepped": ("stepped", "with steps"), "smooth": ("smooth", "with smooth sides")},
    top={"pointed": ("pointed", "with a sharp top"), "cut": ("with a flat top", "truncated")},
)
def pyramid(a: Mapping[str, str], vary: Variation) -> Sdf:
    height, half = vary(0.68, 0.74) if a["height"] == "tall" else vary(0.32, 0.36), vary(0.33, 0.37)
    top = half * vary(0.42, 0.48) if a["top"] == "cut" else 0.0
    if a["sides"] == "smooth":
        return spire(half, height, top).at(y=-height / 2)
    count = 5
    rise, least = height / count, max(top, half * 0.16)
    steps = (
        box(half + (least - half) * i / (count - 1), rise * (i + 1) / 2, half + (least - half) * i / (count - 1)).at(
            y=rise * (i + 1) / 2
        )
        for i in range(count)
    )
    return union(*steps).at(y=-height / 2)
