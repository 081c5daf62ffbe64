"""Buildings. Fronts face +z."""

from __future__ import annotations

from collections.abc import Mapping

from training.shapes.registry import Variation, category
from training.shapes.sdf import Sdf, box, cone, cylinder, extrude, pyramid, union


def _gable(x: float, z: float, rise: float) -> Sdf:
    """A saddle roof on y = 0 with its ridge along x."""
    return extrude([(0.0, z), (rise, 0.0), (0.0, -z)], x, "x")


@category(
    "home",
    "cottage",
    roof={
        "gabled": ("with a gabled roof", "with a saddle roof"),
        "flat": ("with a flat roof", "flat-roofed"),
        "pyramid": ("with a pyramid roof", "with a hipped roof"),
    },
    floors={
        "one": ("one-storey", "with one floor", "with a single floor"),
        "two": ("two-storey", "with two floors"),
        "three": ("three-storey", "with three floors"),
    },
    chimney={"with": ("with a chimney", "with a smokestack"), "without": ("without a chimney", "without a smokestack")},
)
def house(a: Mapping[str, str], vary: Variation) -> Sdf:
    floors = {"one": 1, "two": 2, "three": 3}[a["floors"]]
    x, z = (vary(0.33, 0.37), vary(0.25, 0.28)) if floors == 1 else (vary(0.26, 0.29), vary(0.2, 0.23))
    storey, rise = vary(0.19, 0.2), vary(0.18, 0.2)
    wall = storey * floors
    solid = box(x, wall / 2, z).at(y=wall / 2)
    window = box(0.042, 0.05, 0.035)
    for level in range(floors):
        y = storey * (level + 0.55)
        solid = solid - window.at(x * 0.6, y, z).mirror("x", "z")
        solid = solid - (box(0.045, 0.07, 0.035).at(0, 0.07, z) if level == 0 else window.at(0, y, z))
    roofs = {
        "gabled": lambda: _gable(x + 0.035, z + 0.05, rise),
        "flat": lambda: box(x + 0.03, 0.03, z + 0.03).at(y=0.02) - box(x - 0.03, 0.03, z - 0.03).at(y=0.05),
        "pyramid": lambda: _hip(x + 0.045, z + 0.045, rise),
    }
    solid = solid | roofs[a["roof"]]().at(y=wall - 0.005)
    if a["chimney"] == "with":
        solid = solid | box(0.042, 0.13, 0.042).at(x * 0.55, wall + 0.12, -z * 0.35)
    return solid.at(y=-(wall + rise) / 2 - 0.02)


def _hip(x: float, z: float, rise: float) -> Sdf:
    """A roof on y = 0 that slopes to all four sides."""
    across = extrude([(0.0, z), (rise, 0.0), (0.0, -z)], 1.0, "x")
    along = extrude([(-x, 0.0), (x, 0.0), (x - z, rise), (z - x, rise)], 1.0)
    return across & along


@category(
    "fortress",
    "fort",
    towers={"two": ("with two towers", "with 2 towers"), "four": ("with four towers", "with 4 towers")},
    shape={
        "round": ("with round towers", "with circular towers"),
        "square": ("with square towers", "with boxy towers"),
    },
    roofs={"pointed": ("with pointed roofs", "with sharp roofs"), "flat": ("with flat roofs", "with battlements")},
)
def castle(a: Mapping[str, str], vary: Variation) -> Sdf:
    x, z = vary(0.28, 0.31), vary(0.21, 0.25)
    wall, tower, radius = vary(0.22, 0.26), vary(0.46, 0.5), vary(0.085, 0.098)
    round_, pointed = a["shape"] == "round", a["roofs"] == "pointed"
    shaft = cylinder(radius, tower / 2) if round_ else box(radius, tower / 2, radius)
    column = shaft.at(y=tower / 2)
    if pointed:
        column = column | (cone(radius + 0.03, 0.0, 0.26) if round_ else pyramid(radius + 0.03, 0.26)).at(
            y=tower - 0.005
        )
    else:
        crown = cylinder(radius + 0.025, 0.06) if round_ else box(radius + 0.025, 0.06, radius + 0.025)
        cross = box(1.0, 0.03, 0.032) | box(0.032, 0.03, 1.0)
        column = column | (crown - cross.at(y=0.05)).at(y=tower)
    merlons = union(*(box(0.03, 0.03, 0.03).at(0.12 * i - 0.12, wall, z) for i in range(3)))
    parts = [
        box(x, wall / 2, z).at(y=wall / 2)
        - box(x - 0.06, wall, z - 0.06).at(y=wall + 0.06)
        - box(0.07, 0.09, 0.1).at(0, 0.07, z),
        merlons.mirror("z") if a["towers"] == "four" else merlons,
    ]
    parts.append(column.at(x, 0, z).mirror("x", "z") if a["towers"] == "four" else column.at(x, 0, z).mirror("x"))
    return union(*parts).at(y=-(tower + (0.2 if pointed else 0.0)) / 2)


@category(
    "chapel",
    "cathedral",
    steeple={
        "tall": ("with a tall steeple", "with a high steeple"),
        "low": ("with a low steeple", "with a short steeple"),
    },
    nave={"long": ("long", "with a long nave"), "short": ("short", "with a short nave")},
    tower={"wide": ("with a wide tower", "with a thick tower"), "narrow": ("with a narrow tower", "with a slim tower")},
    cross={"with": ("with a cross", "with a cross on top"), "without": ("without a cross", "crossless")},
)
def church(a: Mapping[str, str], vary: Variation) -> Sdf:
    back = vary(0.72, 0.78) if a["nave"] == "long" else vary(0.42, 0.46)
    side = vary(0.095, 0.105) if a["tower"] == "wide" else vary(0.062, 0.07)
    spire = vary(0.3, 0.33) if a["steeple"] == "tall" else vary(0.1, 0.12)
    x, wall, rise = vary(0.15, 0.17), vary(0.2, 0.22), vary(0.13, 0.15)
    tower = wall + rise + 0.06
    front = back / 2 - side
    nave = box(x, wall / 2, back / 2 - side).at(y=wall / 2, z=-side)
    roof = _gable(back / 2 - side, x + 0.03, rise).turn("y", 90).at(y=wall - 0.005, z=-side)
    windows = union(
        *(box(0.05, 0.06, 0.028).at(x, wall * 0.55, (back - 2 * side) * f - side) for f in (-0.32, -0.05, 0.22))
    )
    parts = [
        (nave | roof) - windows.mirror("x"),
        box(side, tower / 2, side).at(0, tower / 2, front) - box(side * 0.42, 0.07, 0.04).at(0, 0.06, front + side),
        pyramid(side + 0.022, spire).at(0, tower - 0.005, front),
    ]
    if a["cross"] == "with":
        parts.append(
            (box(0.018, 0.085, 0.018) | box(0.055, 0.018, 0.018).at(y=0.03)).at(0, tower + spire + 0.02, front)
        )
    return union(*parts).at(y=-(tower + spire + (0.08 if a["cross"] == "with" else 0.0)) / 2)
