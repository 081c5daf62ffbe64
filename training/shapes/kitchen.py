"""More things of a kitchen, and food."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise

from training.shapes.registry import Variation, category
from training.shapes.sdf import Sdf, box, capsule, cone, cylinder, ellipsoid, extrude, revolve, sphere, torus, union


@category(
    "bordeaux bottle",
    "burgundy bottle",
    shoulders={
        "square": ("with square shoulders", "with high shoulders"),
        "sloping": ("with sloping shoulders", "with soft shoulders"),
    },
    cork={"with": ("with a cork", "corked"), "without": ("without a cork", "uncorked")},
    label={"with": ("with a label", "labelled"), "without": ("without a label", "unlabelled")},
)
def wine_bottle(a: Mapping[str, str], vary: Variation) -> Sdf:
    radius, height, neck = vary(0.11, 0.12), vary(0.8, 0.84), vary(0.038, 0.042)
    body = height * vary(0.56, 0.6)
    if a["shoulders"] == "square":
        curve = [(radius, body), (radius * 0.92, body + 0.035), (radius * 0.62, body + 0.075), (neck, body + 0.1)]
    else:
        body *= 0.82
        curve = [(radius, body), (radius * 0.86, body + 0.07), (radius * 0.62, body + 0.15), (neck, body + 0.24)]
    rim = neck + 0.01
    profile = [(0.0, 0.03), (radius * 0.7, 0.0), (radius, 0.015), *curve, (neck, height - 0.05)]
    solid = revolve([*profile, (rim, height - 0.045), (rim, height), (0.0, height)])
    if a["label"] == "with":
        solid = solid | cylinder(radius + 0.016, body * 0.27, 0.004).at(y=body * 0.5)
    if a["cork"] == "with":
        solid = solid | cylinder(0.026, 0.03).at(y=height + 0.02)
    return solid.at(y=-height / 2)


@category(
    "flower vase",
    "urn",
    belly={"round": ("round", "with a round belly"), "slim": ("slim", "with a slim belly")},
    rim={"flared": ("with a flared rim", "with a wide rim"), "straight": ("with a straight rim", "with a narrow rim")},
    handles={"two": ("with two handles", "with handles"), "none": ("without handles", "handleless")},
)
def vase(a: Mapping[str, str], vary: Variation) -> Sdf:
    height = vary(0.7, 0.76)
    belly = vary(0.22, 0.24) if a["belly"] == "round" else vary(0.13, 0.145)
    neck, foot, wall = vary(0.07, 0.08), vary(0.09, 0.1), 0.036
    lip = neck + (0.08 if a["rim"] == "flared" else 0.0)
    outer = [
        (foot, 0.0),
        (belly * 0.85, height * 0.2),
        (belly, height * 0.38),
        (belly * 0.8, height * 0.58),
        (neck, height * 0.78),
        (neck, height * 0.88),
        (lip, height),
    ]
    inner = [(r - wall, max(y, 0.05)) for r, y in outer[::-1]]
    solid = revolve([(0.0, 0.0), *outer, (lip - wall, height), *inner[1:], (0.0, 0.05)])
    if a["handles"] == "two":
        reach = belly * 0.9 + 0.05
        loop = [
            (neck + 0.01, height * 0.85, 0.0),
            (reach, height * 0.84, 0.0),
            (reach + 0.02, height * 0.66, 0.0),
            (belly * 0.82, height * 0.54, 0.0),
        ]
        solid = solid | union(*(capsule(p, q, 0.024) for p, q in pairwise(loop))).mirror("x")
    return solid.at(y=-height / 2)


@category(
    "skillet",
    "saucepan",
    depth={"deep": ("deep", "with high sides"), "flat": ("flat", "with low sides")},
    handle={"long": ("with a long handle", "long-handled"), "short": ("with a short handle", "short-handled")},
    lid={"with": ("with a lid", "covered"), "without": ("without a lid", "uncovered")},
)
def frying_pan(a: Mapping[str, str], vary: Variation) -> Sdf:
    radius = vary(0.22, 0.24)
    high = vary(0.15, 0.17) if a["depth"] == "deep" else vary(0.075, 0.085)
    wall, reach = 0.03, (vary(0.34, 0.37) if a["handle"] == "long" else vary(0.17, 0.19))
    pan = revolve(
        [
            (0.0, 0.0),
            (radius * 0.86, 0.0),
            (radius, high),
            (radius - wall, high),
            (radius * 0.86 - wall, 0.036),
            (0.0, 0.036),
        ]
    )
    handle = capsule((radius - 0.02, high * 0.75, 0), (radius + reach, high * 0.75 + 0.05, 0), 0.026, 0.032)
    handle = handle - (ellipsoid(radius - 0.02, 1.0, radius - 0.02) & box(1.0, 0.5, 1.0).at(y=0.54))
    parts = [pan, handle]
    if a["lid"] == "with":
        # Filled, or the hollow would be a shell of its own that nobody sees.
        parts.append(cone(radius * 0.86, radius, high))
        parts.append(
            (ellipsoid(radius, 0.06, radius) & box(1.0, 0.5, 1.0).at(y=0.49)).at(y=high - 0.015)
            | sphere(0.04).at(y=high + 0.065)
        )
    return union(*parts).at(-reach / 2, -high / 2)


@category(
    "tablespoon",
    "ladle",
    bowl={"round": ("with a round bowl", "round"), "oval": ("with an oval bowl", "oval")},
    handle={"curved": ("with a curved handle", "curved"), "straight": ("with a straight handle", "straight")},
    size={"large": ("large", "big"), "small": ("small", "little")},
)
def spoon(a: Mapping[str, str], vary: Variation) -> Sdf:
    grow = vary(1.0, 1.05) if a["size"] == "large" else vary(0.78, 0.82)
    wide, long = (0.13, 0.14) if a["bowl"] == "round" else (0.095, 0.16)
    wide, long, deep, wall = wide * grow, long * grow, 0.075, 0.03
    dish = (ellipsoid(long, deep, wide) - ellipsoid(long - wall, deep - wall, wide - wall)) & box(1.0, 0.5, 1.0).at(
        y=-0.5
    )
    reach = 0.5 * grow
    bend = 0.07 if a["handle"] == "curved" else 0.0
    points = [(long - 0.02, -0.014, 0.0), (long + reach * 0.45, bend, 0.0), (long + reach, bend * 0.4, 0.0)]
    parts = [capsule(p, q, 0.024, 0.027) for p, q in pairwise(points)]
    parts.append(ellipsoid(0.07, 0.022, 0.036).at(long + reach, bend * 0.4))
    return union(dish, *parts).at(-(reach + 0.06) / 2, 0.02)


@category(
    "dinner fork",
    "table fork",
    tines={"three": ("with three tines", "with 3 tines"), "four": ("with four tines", "with 4 tines")},
    handle={
        "wide": ("with a wide handle", "with a flared handle"),
        "thin": ("with a thin handle", "with a slim handle"),
    },
    length={"long": ("long", "large"), "short": ("short", "small")},
)
def fork(a: Mapping[str, str], vary: Variation) -> Sdf:
    count = 3 if a["tines"] == "three" else 4
    reach = vary(0.46, 0.5) if a["length"] == "long" else vary(0.32, 0.35)
    prong, gap = vary(0.19, 0.21), 0.062
    half = gap * (count - 1) / 2
    tines = union(
        *(capsule((0.0, 0.0, gap * i - half), (prong, 0.015, gap * i - half), 0.02, 0.018) for i in range(count))
    )
    palm = extrude(
        [
            (-half - 0.02, 0.02),
            (half + 0.02, 0.02),
            (half + 0.02, -0.06),
            (0.03, -0.14),
            (-0.03, -0.14),
            (-half - 0.02, -0.06),
        ],
        0.02,
        "y",
    )
    tail = 0.06 if a["handle"] == "wide" else 0.028
    handle = extrude([(-0.026, -0.12), (0.026, -0.12), (tail, -0.12 - reach), (-tail, -0.12 - reach)], 0.021, "y")
    end = cylinder(tail, 0.021).at(x=-0.12 - reach)
    return union(tines, palm, handle, end).at(x=(reach + 0.12 + tail - prong) / 2)


@category(
    "pail",
    "water bucket",
    handle={
        "up": ("with its handle up", "with a raised handle"),
        "down": ("with its handle down", "with a lowered handle"),
    },
    sides={"slanted": ("with slanted sides", "tapered"), "straight": ("with straight sides", "straight")},
    height={"tall": ("tall", "deep"), "low": ("low", "shallow")},
)
def bucket(a: Mapping[str, str], vary: Variation) -> Sdf:
    top = vary(0.22, 0.24)
    foot = top * (0.68 if a["sides"] == "slanted" else 0.99)
    high, wall = (vary(0.44, 0.48) if a["height"] == "tall" else vary(0.26, 0.29)), 0.034
    solid = revolve([(0.0, 0.0), (foot, 0.0), (top, high), (top - wall, high), (foot - wall, 0.04), (0.0, 0.04)])
    rim = torus(top, 0.024).at(y=high)
    bow = torus(top + 0.01, 0.02).turn("x", 90) & box(1.0, 0.5, 1.0).at(y=0.5)
    bow = bow.at(y=high - 0.02) if a["handle"] == "up" else bow.turn("x", 75).at(y=high - 0.02)
    ears = cylinder(0.036, 0.03, axis="x").at(top, high - 0.02).mirror("x")
    tall = high + (top if a["handle"] == "up" else 0.05)
    return union(solid, rim, bow, ears).at(y=-tall / 2)


@category(
    "red apple",
    "green apple",
    leaf={"with": ("with a leaf", "leafy"), "without": ("without a leaf", "leafless")},
    stem={"long": ("with a long stem", "long-stemmed"), "short": ("with a short stem", "short-stemmed")},
    bite={"with": ("with a bite", "bitten"), "without": ("whole", "without a bite")},
)
def apple(a: Mapping[str, str], vary: Variation) -> Sdf:
    radius = vary(0.28, 0.31)
    body = Sdf(
        lambda p: torus(radius * 0.42, radius * 0.6)((p[0], p[1] * (0.78 + 0.3 * (p[1] < 0)) - 0.02, p[2])) * 0.9
    ) | cylinder(radius * 0.5, radius * 0.3)
    rise = 0.22 if a["stem"] == "long" else 0.11
    root = radius * 0.35
    parts = [capsule((0, root * 0.6, 0), (0.03, root + rise, 0), 0.022)]
    if a["leaf"] == "with":
        parts.append(ellipsoid(0.11, 0.024, 0.06).turn("z", 25).at(0.13, root + 0.17))
        parts.append(capsule((0.01, root + 0.08, 0), (0.08, root + 0.15, 0), 0.02))
    if a["bite"] == "with":
        body = body - sphere(radius * 0.5).at(radius * 1.05, 0.04, radius * 0.35)
    return union(body, *parts).at(y=-rise / 2)


@category(
    "icecream",
    "ice cream cone",
    scoops={
        "one": ("with one scoop", "with a single scoop"),
        "two": ("with two scoops", "with 2 scoops"),
        "three": ("with three scoops", "with 3 scoops"),
    },
    cone={"pointed": ("pointed", "in a pointed cone"), "flat": ("in a flat cone", "in a cup cone")},
    cherry={"with": ("with a cherry", "with a cherry on top"), "without": ("without a cherry", "plain")},
)
def ice_cream(a: Mapping[str, str], vary: Variation) -> Sdf:
    radius, count = vary(0.15, 0.165), {"one": 1, "two": 2, "three": 3}[a["scoops"]]
    radius *= (1.1, 0.92, 0.78)[count - 1]
    high = vary(0.34, 0.37)
    cornet = cone(0.02 if a["cone"] == "pointed" else radius * 0.62, radius * 0.98, high) | torus(
        radius * 0.93, 0.03
    ).at(y=high)
    step = radius * 1.18
    scoop = sphere(radius).blend(torus(radius * 0.9, 0.035).at(y=-radius * 0.3), 0.02)
    scoops = union(*(scoop.at(y=high + radius * 0.5 + step * i) for i in range(count)))
    top = high + radius * 1.5 + step * (count - 1)
    parts = [cornet, scoops]
    if a["cherry"] == "with":
        parts += [sphere(0.05).at(y=top + 0.03), capsule((0, top + 0.05, 0), (0.04, top + 0.12, 0), 0.019)]
        top += 0.09
    return union(*parts).at(y=-top / 2)
