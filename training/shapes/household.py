"""More furniture and things of a house. Fronts face +z."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise

from training.shapes.registry import Variation, category
from training.shapes.sdf import Sdf, box, capsule, cone, cylinder, ellipsoid, sphere, torus, union


@category(
    "standing lamp",
    "standard lamp",
    shade={
        "conical": ("with a conical shade", "with a cone shade"),
        "round": ("with a round shade", "with a ball shade"),
        "drum": ("with a drum shade", "with a cylindrical shade"),
    },
    foot={"round": ("with a round foot", "with a disc foot"), "tripod": ("with a tripod", "with three legs")},
    pole={"straight": ("with a straight pole", "upright"), "curved": ("with a curved pole", "arched")},
)
def floor_lamp(a: Mapping[str, str], vary: Variation) -> Sdf:
    height, width, pole = vary(0.84, 0.87), vary(0.13, 0.15), 0.019
    parts = []
    if a["foot"] == "round":
        parts.append(cylinder(vary(0.12, 0.14), 0.022, 0.006).at(y=0.022))
        start = 0.0
    else:
        start = 0.22
        parts.append(capsule((0, start, 0), (0.15, 0.02, 0), 0.019).ring(3))
    top = height - 0.2
    reach = 0.0
    if a["pole"] == "straight":
        parts.append(cylinder(pole, (height - 0.06 - start) / 2).at(y=(height - 0.06 + start) / 2))
    else:
        reach = 0.24
        bends = [
            (0.0, start, 0.0),
            (0.0, height * 0.72, 0.0),
            (0.05, height - 0.06, 0.0),
            (0.13, height - 0.02, 0.0),
            (0.21, height - 0.04, 0.0),
            (reach, height - 0.1, 0.0),
        ]
        parts += [capsule(p, q, pole) for p, q in pairwise(bends)]
        top = height - 0.3
    if a["shade"] == "conical":
        shade = cone(width, width * 0.45, 0.19).at(reach, top)
    elif a["shade"] == "round":
        shade = sphere(width * 0.85).at(reach, top + 0.08)
    else:
        shade = cylinder(width, 0.095).at(reach, top + 0.095)
    return union(shade, *parts).at(-reach / 2, -height / 2)


@category(
    "easy chair",
    "lounge chair",
    back={"high": ("with a high back", "high-backed"), "low": ("with a low back", "low-backed")},
    sides={
        "round": ("with round armrests", "with rolled armrests"),
        "square": ("with square armrests", "with boxy armrests"),
    },
    feet={"with": ("with feet", "with wooden feet"), "without": ("without feet", "footless")},
)
def armchair(a: Mapping[str, str], vary: Variation) -> Sdf:
    half, depth, seat = vary(0.27, 0.3), vary(0.26, 0.28), vary(0.15, 0.17)
    back = vary(0.5, 0.56) if a["back"] == "high" else vary(0.32, 0.36)
    arm = vary(0.06, 0.07)
    parts = [
        box(half, seat / 2, depth).at(y=seat / 2),
        box(half - 2 * arm - 0.005, 0.05, depth - 0.06, 0.025).at(0, seat + 0.04, 0.05),
        box(half - 0.02, back / 2, 0.07, 0.03).at(0, back / 2, 0.07 - depth),
    ]
    if a["sides"] == "round":
        parts.append(cylinder(arm * 1.1, depth, 0.01, axis="z").at(half - arm, seat + 0.1).mirror("x"))
        parts.append(box(arm * 0.8, 0.05, depth).at(half - arm, seat + 0.04).mirror("x"))
    else:
        parts.append(box(arm, 0.08, depth, 0.006).at(half - arm, seat + 0.07).mirror("x"))
    low = 0.0
    if a["feet"] == "with":
        low = 0.08
        parts.append(cone(0.024, 0.034, 0.09).at(half - 0.05, -0.08, depth - 0.05).mirror("x", "z"))
    return union(*parts).at(y=-(back - low) / 2)


@category(
    "bar stool",
    "footstool",
    seat={"round": ("round", "with a round seat"), "square": ("square", "with a square seat")},
    height={"tall": ("tall", "high"), "low": ("low", "short")},
    legs={
        "three": ("three-legged", "with three legs"),
        "four": ("four-legged", "with four legs"),
        "central": ("with a central leg", "with a single leg"),
    },
)
def stool(a: Mapping[str, str], vary: Variation) -> Sdf:
    height = vary(0.76, 0.82) if a["height"] == "tall" else vary(0.36, 0.4)
    half, thick = vary(0.18, 0.2), vary(0.024, 0.028)
    seat = cylinder(half, 0.032, 0.012) if a["seat"] == "round" else box(half * 0.92, 0.03, half * 0.92, 0.01)
    if a["legs"] == "central":
        legs = cylinder(0.036, height / 2).at(y=height / 2) | cylinder(half * 0.85, 0.024, 0.008).at(y=0.024)
    else:
        count = 3 if a["legs"] == "three" else 4
        leg = capsule((half * 0.6, height, 0), (half * 1.05, thick, 0), thick)
        legs = (leg.turn("y", 45) if count == 4 else leg).ring(3) if count == 3 else leg.ring(4).turn("y", 45)
        rung = torus(half * (0.87 if a["height"] == "tall" else 0.85), 0.02).at(y=height * 0.38)
        legs = legs | rung
    return (seat.at(y=height) | legs).at(y=-height / 2)


@category(
    "park bench",
    "garden bench",
    back={"with": ("with a back", "with a backrest"), "without": ("without a back", "backless")},
    length={"long": ("long", "wide"), "short": ("short", "narrow")},
    armrests={"with": ("with armrests", "with arms"), "without": ("without armrests", "armless")},
)
def bench(a: Mapping[str, str], vary: Variation) -> Sdf:
    half = vary(0.4, 0.43) if a["length"] == "long" else vary(0.25, 0.28)
    seat, depth = vary(0.2, 0.22), vary(0.12, 0.135)
    slat = box(half, 0.02, 0.03)
    parts = [slat.at(0, seat, depth - 0.03 - i * (2 * depth - 0.06) / 2) for i in range(3)]
    frame = union(
        box(0.024, seat / 2, 0.022).at(0, seat / 2, depth - 0.03),
        box(0.024, seat / 2, 0.022).at(0, seat / 2, 0.03 - depth),
        box(0.024, 0.02, depth).at(0, seat - 0.03),
    )
    parts.append(frame.at(half - 0.06).mirror("x"))
    top = seat
    if a["back"] == "with":
        top = seat + vary(0.22, 0.25)
        for i in range(3):
            parts.append(box(half, 0.026, 0.02).at(0, top - 0.03 - i * 0.075, 0.0 - depth))
        parts.append(
            box(0.024, (top - seat) / 2 + 0.02, 0.02)
            .at(half - 0.06, (top + seat) / 2 - 0.02, 0.022 - depth)
            .mirror("x")
        )
    if a["armrests"] == "with":
        parts.append(box(0.026, 0.02, depth).at(half - 0.06, seat + 0.13).mirror("x"))
        parts.append(box(0.022, 0.075, 0.022).at(half - 0.06, seat + 0.06, depth - 0.03).mirror("x"))
        parts.append(box(0.022, 0.075, 0.022).at(half - 0.06, seat + 0.06, 0.03 - depth).mirror("x"))
        top = max(top, seat + 0.15)
    return union(*parts).at(y=-top / 2)


@category(
    "closet",
    "armoire",
    doors={"two": ("two-door", "with two doors"), "three": ("three-door", "with three doors")},
    drawers={"with": ("with drawers", "with a drawer"), "without": ("without drawers", "drawerless")},
    feet={"with": ("with feet", "with legs"), "without": ("without feet", "without legs")},
)
def wardrobe(a: Mapping[str, str], vary: Variation) -> Sdf:
    height, depth = vary(0.76, 0.8), vary(0.13, 0.15)
    count = 2 if a["doors"] == "two" else 3
    half = 0.135 * count + vary(-0.015, 0.015)
    solid = box(half, height / 2, depth).at(y=height / 2) | box(half + 0.02, 0.022, depth + 0.02).at(y=height)
    drawer = height * 0.25 if a["drawers"] == "with" else 0.0
    door = box(half / count - 0.014, (height - drawer - 0.06) / 2, 0.02)
    knob = sphere(0.026)
    wide = half / count
    for i in range(count):
        x = half * ((2 * i + 1) / count - 1)
        solid = solid | door.at(x, (height + drawer) / 2 - 0.005, depth)
        solid = solid | knob.at(x + (wide - 0.05) * (1 if i % 2 == 0 else -1), (height + drawer) / 2, depth + 0.035)
    if drawer:
        for i in range(2):
            solid = solid | box(half / 2 - 0.016, drawer / 2 - 0.03, 0.02).at(
                half * (i - 0.5), drawer / 2 + 0.012, depth
            )
            solid = solid | knob.at(half * (i - 0.5), drawer / 2, depth + 0.035)
    low = 0.0
    if a["feet"] == "with":
        low = 0.07
        solid = solid | box(0.03, 0.05, 0.03).at(half - 0.03, -0.03, depth - 0.03).mirror("x", "z")
    return solid.at(y=-(height - low) / 2)


@category(
    "bath",
    "bath tub",
    feet={"with": ("with feet", "clawfoot"), "without": ("without feet", "built-in")},
    shape={"oval": ("oval", "with rounded ends"), "square": ("square", "with straight sides")},
    tap={"with": ("with a tap", "with a faucet"), "without": ("without a tap", "without a faucet")},
)
def bathtub(a: Mapping[str, str], vary: Variation) -> Sdf:
    half, wide, deep = vary(0.38, 0.41), vary(0.2, 0.22), vary(0.19, 0.21)
    wall = 0.036
    if a["shape"] == "oval":
        outer = capsule((-(half - wide), 0, 0), (half - wide, 0, 0), wide)
        inner = capsule((-(half - wide), 0, 0), (half - wide, 0, 0), wide - wall)
        cut = box(1.0, 0.5, 1.0).at(y=-0.5)
        stretch = Sdf(lambda p: (outer & cut)((p[0], p[1] * (wide / deep), p[2])))
        hollow = Sdf(lambda p: inner((p[0], p[1] * ((wide - wall) / (deep - wall)), p[2])))
        rim = (capsule((-(half - wide), 0, 0), (half - wide, 0, 0), wide + 0.022) - inner) & box(1.0, 0.024, 1.0)
        solid = (stretch - hollow) | rim
    else:
        solid = box(half, deep / 2, wide, 0.012).at(y=-deep / 2) - box(half - wall, deep / 2, wide - wall, 0.02).at(
            y=wall - deep / 2 + 0.02
        )
    parts = [solid]
    low, top = -deep, 0.0
    if a["feet"] == "with":
        low -= 0.07
        parts.append(
            capsule((half * 0.6, -deep * 0.8, wide * 0.5), (half * 0.66, low + 0.035, wide * 0.6), 0.04, 0.035).mirror(
                "x", "z"
            )
        )
    if a["tap"] == "with":
        top = 0.15
        parts.append(
            capsule((half - 0.02, -0.02, 0), (half - 0.02, 0.12, 0), 0.024)
            | capsule((half - 0.02, 0.12, 0), (half - 0.15, 0.1, 0), 0.024)
        )
        parts.append(capsule((half - 0.02, 0.04, -0.07), (half - 0.02, 0.04, 0.07), 0.022))
    return union(*parts).at(y=-(top + low) / 2)


@category(
    "step ladder",
    "stepladder",
    kind={"folding": ("folding", "a-frame"), "straight": ("straight", "leaning")},
    rungs={"four": ("with four rungs", "with 4 rungs"), "six": ("with six rungs", "with 6 rungs")},
    width={"wide": ("wide", "broad"), "narrow": ("narrow", "slim")},
)
def ladder(a: Mapping[str, str], vary: Variation) -> Sdf:
    height = vary(0.8, 0.86)
    half = vary(0.17, 0.19) if a["width"] == "wide" else vary(0.105, 0.12)
    count = 4 if a["rungs"] == "four" else 6
    lean = 14 if a["kind"] == "folding" else 8
    rail = box(0.022, height / 2, 0.024).at(half, 0).mirror("x")
    rungs = union(*(box(half, 0.019, 0.026).at(y=height * ((i + 0.7) / (count + 0.4) - 0.5)) for i in range(count)))
    front = (rail | rungs).turn("x", -lean)
    if a["kind"] == "straight":
        return front
    rear = (box(0.02, height / 2, 0.02).at(half, 0).mirror("x") | box(half, 0.018, 0.018).at(y=-height * 0.25)).turn(
        "x", lean
    )
    spread = height / 2 * 0.242
    top = box(half + 0.03, 0.024, 0.06).at(y=height / 2 * 0.97)
    return union(front.at(z=spread), rear.at(z=-spread), top)


@category(
    "parasol",
    "rain umbrella",
    canopy={"domed": ("domed", "with a domed canopy"), "flat": ("flat", "with a flat canopy")},
    handle={
        "hook": ("with a hook", "with a curved handle"),
        "straight": ("with a straight handle", "with a straight stick"),
    },
    size={"wide": ("wide", "large"), "narrow": ("narrow", "small")},
)
def umbrella(a: Mapping[str, str], vary: Variation) -> Sdf:
    radius = vary(0.38, 0.41) if a["size"] == "wide" else vary(0.25, 0.27)
    rise = radius * (0.62 if a["canopy"] == "domed" else 0.33)
    wall, length = 0.036, vary(0.6, 0.66)
    shell = ellipsoid(radius, rise, radius) - ellipsoid(radius - wall * 1.6, rise - wall, radius - wall * 1.6)
    shell = shell & box(1.0, 0.5, 1.0).at(y=0.5)
    scallops = cylinder(radius * 0.28, 1.0).at(x=radius * 1.06).ring(8)
    parts = [shell - scallops, cylinder(0.02, (length + rise) / 2 + 0.02).at(y=(rise - length) / 2 + 0.03)]
    if a["handle"] == "hook":
        bow = (torus(0.06, 0.022).turn("x", 90) & box(1.0, 0.5, 1.0).at(y=-0.5)).at(0.06, -length + 0.01)
        parts.append(bow)
        low = -length - 0.07
    else:
        parts.append(cylinder(0.036, 0.06, 0.01).at(y=-length + 0.02))
        low = -length - 0.04
    return union(*parts).at(y=-(rise + 0.06 + low) / 2)
