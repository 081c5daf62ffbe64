"""Tools, standing upright on the end of their handle."""

from __future__ import annotations

from collections.abc import Mapping

from training.shapes.registry import Variation, category
from training.shapes.sdf import Sdf, box, capsule, cone, cylinder, extrude, union


@category(
    "mallet",
    "hand hammer",
    head={
        "claw": ("with a claw", "with a split claw"),
        "double": ("double-headed", "with two faces", "with a double head"),
    },
    handle={"long": ("with a long handle", "long"), "short": ("with a short handle", "short")},
    grip={"thick": ("with a thick grip", "with a fat grip"), "thin": ("with a thin grip", "with a slim grip")},
)
def hammer(a: Mapping[str, str], vary: Variation) -> Sdf:
    height = vary(0.8, 0.86) if a["handle"] == "long" else vary(0.5, 0.55)
    grip = vary(0.078, 0.088) if a["grip"] == "thick" else vary(0.042, 0.046)
    face, reach = vary(0.1, 0.115), vary(0.24, 0.27)
    top = height - face
    handle = cylinder(0.042, top / 2).at(y=top / 2) | cylinder(grip, height * 0.22, 0.02).at(y=height * 0.22)
    if a["head"] == "double":
        head = cylinder(face * 0.75, reach, axis="x") | cylinder(face, 0.05, 0.01, axis="x").at(x=reach - 0.05).mirror(
            "x"
        )
    else:
        head = cylinder(face * 0.7, reach / 2, axis="x").at(x=reach / 2) | cylinder(face, 0.05, 0.01, axis="x").at(
            x=reach - 0.05
        )
        claw = [(0.04, 0.065), (-0.12, 0.055), (-0.27, -0.1), (-0.22, -0.12), (-0.1, -0.02), (0.04, -0.065)]
        head = head | (extrude(claw, 0.075) - extrude([(-0.1, 0.2), (-0.4, 0.2), (-0.4, -0.3), (-0.1, -0.3)], 0.024))
    return (handle | head.at(y=top)).at(y=-height / 2)


@category(
    "spanner",
    "hand wrench",
    end={
        "open": ("open-ended", "with an open end"),
        "ring": ("with a ring end", "with a closed end"),
        "double": ("double-ended", "with two open ends"),
    },
    length={"long": ("long", "stretched"), "short": ("short", "compact")},
    handle={
        "wide": ("with a wide handle", "with a broad handle"),
        "narrow": ("with a narrow handle", "with a slim handle"),
    },
)
def wrench(a: Mapping[str, str], vary: Variation) -> Sdf:
    half = vary(0.26, 0.28) if a["length"] == "long" else vary(0.18, 0.195)
    width = vary(0.1, 0.11) if a["handle"] == "wide" else vary(0.05, 0.056)
    thick, radius = vary(0.055, 0.065), vary(0.16, 0.17)
    disc = cylinder(radius, thick + 0.012, axis="z")
    mouth = radius * 0.46
    jaw = disc - extrude([(-mouth, -0.03), (mouth, -0.03), (mouth, 0.3), (-mouth, 0.3)], 0.2).turn("z", 15)
    ring = disc - cylinder(radius * 0.52, 0.2, axis="z")
    top = ring if a["end"] == "ring" else jaw
    bottom = jaw.turn("z", 180) if a["end"] == "double" else cylinder(width + 0.01, thick, axis="z")
    bar = box(width, half - radius * 0.6 + 0.02, thick, 0.012).at(y=-0.02 if a["end"] != "double" else 0.0)
    end = -half if a["end"] == "double" else -half + radius * 0.6
    return union(bar, top.at(y=half), bottom.at(y=end))


@category(
    "turnscrew",
    "hand screwdriver",
    handle={
        "thick": ("with a thick handle", "with a fat handle"),
        "slim": ("with a slim handle", "with a thin handle"),
    },
    shaft={"long": ("with a long shaft", "long"), "short": ("with a short shaft", "short")},
    tip={"flat": ("flat-head", "with a flat tip"), "pointed": ("with a pointed tip", "with a sharp tip")},
)
def screwdriver(a: Mapping[str, str], vary: Variation) -> Sdf:
    radius = vary(0.14, 0.155) if a["handle"] == "thick" else vary(0.085, 0.095)
    shaft, grip = vary(0.42, 0.455) if a["shaft"] == "long" else vary(0.24, 0.27), vary(0.32, 0.36)
    thin = vary(0.034, 0.04)
    flutes = cylinder(radius * 0.22, 1.0).at(x=radius * 1.08).ring(6)
    handle = (cylinder(radius, grip / 2, 0.03) - flutes).at(y=grip / 2)
    collar = cone(radius * 0.45, radius * 0.75, 0.07).at(y=-0.05)
    rod = capsule((0, 0.02, 0), (0, 0.06 - shaft, 0), thin)
    if a["tip"] == "flat":
        tip = extrude(
            [(-0.085, -0.05), (-0.075, 0.03), (-0.03, 0.1), (0.03, 0.1), (0.075, 0.03), (0.085, -0.05)], 0.02
        ).at(y=0.05 - shaft)
    else:
        tip = cone(thin * 1.9, 0.008, 0.14).turn("x", 180).at(y=0.07 - shaft)
    return union(handle, collar, rod, tip).at(y=(shaft - grip + 0.02) / 2)
