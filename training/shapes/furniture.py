"""Furniture. Fronts face +z."""

from __future__ import annotations

from collections.abc import Mapping

from training.shapes.registry import Variation, category
from training.shapes.sdf import Sdf, box, cone, cylinder, ellipsoid, sphere, union


def _legs(count: str, x: float, z: float, height: float, thick: float) -> Sdf:
    """Four legs at (±x, ±z) or a central one with a foot, from y = 0 to `height`."""
    if count == "central":
        foot = cylinder(0.75 * min(x, z) + 0.06, 0.025).at(y=0.025)
        return cylinder(thick * 1.3, height / 2).at(y=height / 2) | foot
    return box(thick, height / 2, thick).at(x - thick, height / 2, z - thick).mirror("x", "z")


@category(
    "dining chair",
    "kitchen chair",
    height={"tall": ("tall", "high", "with a tall back"), "short": ("short", "low", "with a short back")},
    armrests={"with": ("with armrests", "with arms"), "without": ("armless", "without armrests", "without arms")},
    legs={
        "thin": ("with thin legs", "with slim legs"),
        "thick": ("with thick legs", "with sturdy legs"),
        "central": ("with a central leg", "with a single leg"),
    },
)
def chair(a: Mapping[str, str], vary: Variation) -> Sdf:
    tall = a["height"] == "tall"
    seat, back = (vary(0.36, 0.42), vary(0.44, 0.48)) if tall else (vary(0.24, 0.29), vary(0.24, 0.29))
    half, depth = (vary(0.19, 0.22), vary(0.19, 0.22)) if tall else (vary(0.25, 0.29), vary(0.23, 0.27))
    thick = {"thin": vary(0.021, 0.025), "thick": vary(0.042, 0.05), "central": vary(0.03, 0.036)}[a["legs"]]
    parts = [
        _legs(a["legs"], half, depth, seat, thick),
        box(half, 0.028, depth, 0.01).at(y=seat),
        box(half, back / 2, 0.026, 0.01).at(0, seat + back / 2 - 0.02, 0.026 - depth),
    ]
    if a["armrests"] == "with":
        rise = vary(0.15, 0.18)
        parts.append(box(0.026, 0.024, depth, 0.008).at(half - 0.01, seat + rise).mirror("x"))
        parts.append(box(0.024, rise / 2, 0.024).at(half - 0.01, seat + rise / 2, depth - 0.06).mirror("x"))
    return union(*parts).at(y=-(seat + back) / 2)


@category(
    "desk",
    "dining table",
    top={"round": ("round", "circular", "with a round top"), "square": ("square", "with a square top")},
    height={"tall": ("tall", "high"), "low": ("low", "short")},
    legs={
        "thin": ("with thin legs", "with slim legs"),
        "thick": ("with thick legs", "with sturdy legs"),
        "central": ("with a central leg", "with a single leg"),
    },
)
def table(a: Mapping[str, str], vary: Variation) -> Sdf:
    height = vary(0.58, 0.68) if a["height"] == "tall" else vary(0.28, 0.34)
    thick = {"thin": vary(0.022, 0.027), "thick": vary(0.048, 0.058), "central": vary(0.045, 0.055)}[a["legs"]]
    slab = vary(0.024, 0.03)
    if a["top"] == "round":
        radius = vary(0.36, 0.42)
        top, reach = cylinder(radius, slab, 0.008), radius * 0.68
        legs = _legs(a["legs"], reach, reach, height, thick)
    else:
        x, z = vary(0.38, 0.43), vary(0.34, 0.39)
        top, legs = box(x, slab, z, 0.008), _legs(a["legs"], x - 0.02, z - 0.02, height, thick)
    return (top.at(y=height) | legs).at(y=-height / 2)


@category(
    "couch",
    "settee",
    length={"long": ("long", "wide", "three-seat"), "short": ("short", "narrow", "two-seat")},
    back={"high": ("with a high back", "high-backed"), "low": ("with a low back", "low-backed")},
    armrests={
        "thick": ("with thick armrests", "with wide armrests"),
        "thin": ("with thin armrests", "with narrow armrests"),
    },
    feet={"with": ("with legs", "with feet"), "without": ("without legs", "without feet")},
)
def sofa(a: Mapping[str, str], vary: Variation) -> Sdf:
    half = vary(0.4, 0.43) if a["length"] == "long" else vary(0.27, 0.3)
    seats = 3 if a["length"] == "long" else 2
    depth, seat = vary(0.19, 0.22), vary(0.1, 0.12)
    back = vary(0.4, 0.46) if a["back"] == "high" else vary(0.24, 0.27)
    arm = vary(0.06, 0.07) if a["armrests"] == "thick" else vary(0.024, 0.028)
    inner = (half - 2 * arm) / seats
    cushion = box(inner - 0.004, 0.045, depth - 0.05, 0.02)
    parts = [
        box(half - 0.01, seat / 2, depth).at(y=seat / 2),
        box(half - 0.01, back / 2, 0.055, 0.025).at(0, back / 2, 0.055 - depth),
        box(arm, 0.11, depth, 0.02).at(half - arm, 0.11).mirror("x"),
        *(cushion.at(inner * (2 * i + 1 - seats), seat + 0.02, 0.05) for i in range(seats)),
    ]
    if a["feet"] == "with":
        parts.append(box(0.026, 0.05, 0.026).at(half - 0.05, -0.04, depth - 0.04).mirror("x", "z"))
    return union(*parts).at(y=-back / 2)


@category(
    "bedstead",
    width={"wide": ("wide", "double"), "narrow": ("narrow", "single")},
    headboard={
        "tall": ("with a tall headboard", "with a high headboard"),
        "low": ("with a low headboard", "with a short headboard"),
    },
    posts={"with": ("with posts", "four-poster"), "without": ("without posts",)},
)
def bed(a: Mapping[str, str], vary: Variation) -> Sdf:
    half, pillows = (vary(0.33, 0.37), 2) if a["width"] == "wide" else (vary(0.18, 0.21), 1)
    length, frame = vary(0.38, 0.41), vary(0.13, 0.16)
    head = vary(0.4, 0.45) if a["headboard"] == "tall" else vary(0.23, 0.25)
    pillow = ellipsoid(half / pillows * 0.8, 0.05, 0.09)
    parts = [
        box(half, 0.03, length).at(y=frame - 0.04),
        box(half - 0.015, 0.055, length - 0.02, 0.03).at(y=frame + 0.03),
        box(half, head / 2, 0.026).at(0, head / 2, -length),
        box(half, 0.1, 0.026).at(0, 0.1, length),
        *(pillow.at(half * s, frame + 0.09, 0.13 - length) for s in ((-0.5, 0.5) if pillows == 2 else (0.0,))),
    ]
    if a["posts"] == "with":
        rise = vary(0.62, 0.7)
        parts.append(box(0.024, rise / 2, 0.024).at(half, rise / 2, length).mirror("x", "z"))
        parts.append(
            (box(half + 0.024, 0.022, 0.024).at(z=length) | box(0.024, 0.022, length).at(x=half))
            .mirror("x", "z")
            .at(y=rise)
        )
        return union(*parts).at(y=-rise / 2)
    return union(*parts).at(y=-0.2)


@category(
    "reading lamp",
    "light",
    height={"tall": ("tall", "high"), "short": ("short", "low")},
    shade={
        "conical": ("with a conical shade", "with a cone shade"),
        "round": ("with a round shade", "with a ball shade"),
        "cylindrical": ("with a cylindrical shade", "with a drum shade"),
    },
    base={"round": ("with a round base", "with a circular base"), "square": ("with a square base",)},
)
def lamp(a: Mapping[str, str], vary: Variation) -> Sdf:
    height, width = (
        (vary(0.82, 0.88), vary(0.15, 0.17)) if a["height"] == "tall" else (vary(0.5, 0.56), vary(0.19, 0.22))
    )
    shade_height = vary(0.2, 0.24)
    shades = {
        "conical": lambda: cone(width, width * 0.4, shade_height).at(y=height - shade_height),
        "round": lambda: sphere(width * 0.85).at(y=height - width * 0.85),
        "cylindrical": lambda: cylinder(width, shade_height / 2).at(y=height - shade_height / 2),
    }
    shade = shades[a["shade"]]()
    foot = width * vary(0.85, 1.0)
    base = cylinder(foot, 0.026, 0.008) if a["base"] == "round" else box(foot, 0.026, foot, 0.008)
    pole = cylinder(vary(0.021, 0.026), height / 2 - 0.04).at(y=height / 2 - 0.02)
    return union(shade, base.at(y=0.026), pole).at(y=-height / 2)


@category(
    "bookcase",
    "shelf",
    height={"tall": ("tall", "high"), "short": ("short", "low")},
    shelves={
        "two": ("with two shelves", "with 2 shelves"),
        "three": ("with three shelves", "with 3 shelves"),
        "four": ("with four shelves", "with 4 shelves"),
    },
    back={"open": ("open", "without a back"), "closed": ("closed", "with a back")},
)
def bookshelf(a: Mapping[str, str], vary: Variation) -> Sdf:
    height, half = (vary(0.8, 0.86), vary(0.2, 0.26)) if a["height"] == "tall" else (vary(0.5, 0.56), vary(0.34, 0.4))
    depth, board = vary(0.11, 0.14), 0.022
    count = {"two": 2, "three": 3, "four": 4}[a["shelves"]]
    gap = (height - 2 * board) / count
    parts = [box(board, height / 2, depth).at(half - board).mirror("x")]
    parts += [box(half, board, depth).at(y=gap * i - height / 2 + board) for i in range(count + 1)]
    if a["back"] == "closed":
        parts.append(box(half, height / 2, board).at(z=board - depth))
    return union(*parts)
