"""More animals, each with what a person knows it by. They look towards +x."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise

from training.shapes.registry import Variation, category
from training.shapes.sdf import Sdf, box, capsule, cone, cylinder, ellipsoid, extrude, sphere, union


def _legs(half: float, side: float, top: float, thick: float) -> Sdf:
    """Four legs at (±half, ±side) from the ground to `top`."""
    return capsule((half, top, side), (half, thick, side), thick * 1.1, thick).mirror("x", "z")


@category(
    "circus elephant",
    "african elephant",
    trunk={
        "raised": ("with a raised trunk", "with its trunk up"),
        "hanging": ("with a hanging trunk", "with its trunk down"),
    },
    tusks={"with": ("with tusks", "tusked"), "without": ("without tusks", "tuskless")},
    ears={"large": ("with large ears", "with big ears"), "small": ("with small ears", "with little ears")},
)
def elephant(a: Mapping[str, str], vary: Variation) -> Sdf:
    leg, girth, half = vary(0.24, 0.28), vary(0.17, 0.19), vary(0.2, 0.22)
    back = leg + girth * 0.75
    body = ellipsoid(half + 0.06, girth, girth * 0.9).at(y=back)
    legs = _legs(half * 0.68, girth * 0.5, back - 0.04, vary(0.058, 0.066))
    x, y = half + 0.08, back + 0.1
    head = ellipsoid(0.115, 0.125, 0.11).at(x, y)
    wide = 0.15 if a["ears"] == "large" else 0.09
    ear = ellipsoid(0.026, wide, wide * 0.85).at(x - 0.045, y + 0.01, 0.08 + wide * 0.6).mirror("z")
    mouth = (x + 0.09, y - 0.04, 0.0)
    if a["trunk"] == "raised":
        bends = [mouth, (x + 0.17, y - 0.09, 0.0), (x + 0.23, y + 0.03, 0.0), (x + 0.2, y + 0.17, 0.0)]
    else:
        bends = [mouth, (x + 0.14, y - 0.14, 0.0), (x + 0.14, y - 0.28, 0.0), (x + 0.19, y - 0.33, 0.0)]
    radii = (0.055, 0.044, 0.034, 0.027)
    parts = [capsule(p, q, r, s) for p, q, r, s in zip(bends, bends[1:], radii, radii[1:], strict=False)]
    if a["tusks"] == "with":
        parts.append(capsule((x + 0.06, y - 0.09, 0.075), (x + 0.17, y - 0.11, 0.085), 0.026, 0.02).mirror("z"))
    tail = capsule((-half - 0.04, back + 0.04, 0), (-half - 0.08, back - 0.16, 0), 0.024, 0.022)
    return union(body.blend(head, 0.05).blend(legs, 0.03), ear, tail, *parts).at(-0.09, -(y + 0.13) / 2)


@category(
    "pony",
    "stallion",
    mane={"with": ("with a mane", "maned"), "without": ("without a mane", "maneless")},
    neck={"up": ("with a raised head", "with its head up"), "down": ("grazing", "with its head down")},
    tail={"long": ("with a long tail", "long-tailed"), "short": ("with a short tail", "short-tailed")},
)
def horse(a: Mapping[str, str], vary: Variation) -> Sdf:
    leg, girth, half = vary(0.32, 0.35), vary(0.095, 0.11), vary(0.17, 0.19)
    back = leg + girth * 0.7
    body = capsule((-half, back, 0), (half, back, 0), girth)
    legs = _legs(half, girth * 0.55, back, vary(0.03, 0.034))
    root = (half + 0.02, back + 0.03, 0.0)
    top = (half + 0.17, back + 0.24, 0.0) if a["neck"] == "up" else (half + 0.19, back - 0.14, 0.0)
    nose = (top[0] + 0.14, top[1] - 0.07, 0.0) if a["neck"] == "up" else (top[0] + 0.08, top[1] - 0.15, 0.0)
    neck = capsule(root, top, 0.075, 0.052)
    head = capsule(top, nose, 0.056, 0.038)
    ears = cone(0.026, 0.018, 0.06).at(top[0] - 0.02, top[1] + 0.03, 0.03).mirror("z")
    parts = [head, ears]
    if a["mane"] == "with":
        shift = -0.055 if a["neck"] == "up" else 0.0
        lift = 0.025 if a["neck"] == "up" else 0.06
        parts.append(capsule((root[0] - 0.03 + shift, root[1] + 0.06, 0), (top[0] + shift, top[1] + lift, 0), 0.03))
    end = back - 0.26 if a["tail"] == "long" else back - 0.06
    parts.append(capsule((-half - girth * 0.8, back + 0.03, 0), (-half - girth - 0.07, end, 0), 0.026, 0.034))
    height = top[1] + 0.08 if a["neck"] == "up" else back + girth
    return union(body.blend(neck, 0.05).blend(legs, 0.03), *parts).at(
        -0.075 if a["neck"] == "up" else -0.05, -height / 2
    )


@category(
    "kitten",
    "house cat",
    pose={"sitting": ("sitting", "seated"), "standing": ("standing", "on four legs")},
    tail={"raised": ("with a raised tail", "with its tail up"), "lying": ("with a lying tail", "with its tail down")},
    body={"fat": ("fat", "chubby"), "slim": ("slim", "thin")},
)
def cat(a: Mapping[str, str], vary: Variation) -> Sdf:
    girth = vary(0.13, 0.145) if a["body"] == "fat" else vary(0.085, 0.095)
    skull = vary(0.1, 0.11)
    ears = cone(0.045, 0.018, 0.09).at(0.0, skull * 0.72, skull * 0.58).mirror("z")
    muzzle = ellipsoid(0.045, 0.035, 0.05).at(skull * 0.85, -0.025)
    head = union(sphere(skull), ears, muzzle)
    up = a["tail"] == "raised"
    if a["pose"] == "sitting":
        height = vary(0.36, 0.4)
        body = capsule((-0.06, girth, 0), (0.03, height, 0), girth * 1.25, girth * 0.75)
        front = capsule((0.1, height * 0.75, 0.05), (0.13, 0.04, 0.055), 0.042, 0.036).mirror("z")
        thigh = ellipsoid(0.12, 0.085, 0.06).at(-0.02, 0.085, girth).mirror("z")
        tail = [(-0.12, 0.06, 0.0), (-0.28, 0.05, 0.0), (-0.33, 0.32 if up else 0.05, 0.0)]
        solid = body.blend(head.at(0.06, height + skull * 1.0), 0.03).blend(front, 0.02) | thigh
        top = height + skull * 2.6
    else:
        leg, half = vary(0.19, 0.22), vary(0.17, 0.19)
        back = leg + girth * 0.7
        body = capsule((-half, back, 0), (half, back, 0), girth)
        solid = body.blend(_legs(half, girth * 0.55, back, 0.036), 0.02)
        solid = solid.blend(head.at(half + girth * 0.7, back + 0.12), 0.03)
        end = back + 0.28 if up else back - 0.14
        tail = [
            (-half - girth * 0.7, back + 0.04, 0.0),
            (-half - girth - 0.08, back + 0.05, 0.0),
            (-half - girth - 0.13, end, 0.0),
        ]
        top = back + 0.12 + skull * 1.6
    parts = [capsule(p, q, 0.03, 0.027) for p, q in pairwise(tail)]
    return union(solid, *parts).at(0.06, -top / 2)


@category(
    "bunny",
    "hare",
    ears={"upright": ("with upright ears", "with ears up"), "lop": ("lop-eared", "with hanging ears")},
    body={"fat": ("fat", "round"), "slim": ("slim", "thin")},
    tail={"big": ("with a big tail", "with a large tail"), "small": ("with a small tail", "with a tiny tail")},
)
def rabbit(a: Mapping[str, str], vary: Variation) -> Sdf:
    girth = vary(0.18, 0.2) if a["body"] == "fat" else vary(0.125, 0.14)
    length, skull = vary(0.22, 0.25), vary(0.105, 0.115)
    body = ellipsoid(length, girth, girth * 0.95).at(y=girth)
    x, y = length * 0.85, girth * 1.5 + 0.09
    head = ellipsoid(skull * 1.15, skull, skull * 0.95).at(x, y)
    rise = vary(0.24, 0.27)
    if a["ears"] == "upright":
        ear = ellipsoid(0.034, rise / 2, 0.045).turn("z", 14).at(x - 0.07, y + skull * 0.6 + rise * 0.42, 0.05)
    else:
        ear = ellipsoid(0.045, rise * 0.42, 0.028).turn("x", -14).at(x - 0.05, y - 0.03, skull + 0.025)
    foot = ellipsoid(0.11, 0.04, 0.05).at(-0.02, 0.04, girth * 0.7).mirror("z")
    paw = capsule((x - 0.06, girth * 0.7, 0.06), (x, 0.035, 0.06), 0.045, 0.035).mirror("z")
    tail = sphere(0.075 if a["tail"] == "big" else 0.045).at(-length - 0.01, girth * 0.9)
    top = y + skull + (rise if a["ears"] == "upright" else 0.0)
    return union(body.blend(head, 0.04).blend(paw, 0.02), ear.mirror("z"), foot, tail).at(-0.02, -top / 2)


@category(
    "zoo giraffe",
    "african giraffe",
    neck={
        "straight": ("with an upright neck", "with a straight neck"),
        "leaning": ("with a leaning neck", "with a slanted neck"),
    },
    horns={"with": ("with horns", "horned"), "without": ("without horns", "hornless")},
    legs={"thick": ("with thick legs", "with sturdy legs"), "thin": ("with thin legs", "with slim legs")},
)
def giraffe(a: Mapping[str, str], vary: Variation) -> Sdf:
    leg, girth, half = vary(0.28, 0.31), vary(0.075, 0.085), vary(0.13, 0.15)
    back = leg + girth * 0.7
    body = capsule((-half, back - 0.02, 0), (half, back + 0.03, 0), girth)
    legs = _legs(half, girth * 0.55, back, 0.036 if a["legs"] == "thick" else 0.025)
    reach = 0.05 if a["neck"] == "straight" else 0.2
    top = (half + reach + 0.02, back + vary(0.4, 0.43), 0.0)
    neck = capsule((half, back + 0.03, 0), top, 0.06, 0.038)
    head = capsule(top, (top[0] + 0.11, top[1] - 0.04, 0), 0.046, 0.03)
    ears = ellipsoid(0.024, 0.024, 0.05).at(top[0] - 0.02, top[1] + 0.015, 0.055).mirror("z")
    parts = [head, ears]
    if a["horns"] == "with":
        parts.append(
            capsule((top[0] - 0.01, top[1] + 0.02, 0.022), (top[0] - 0.02, top[1] + 0.085, 0.026), 0.02).mirror("z")
        )
    parts.append(capsule((-half - girth * 0.8, back, 0), (-half - girth - 0.04, back - 0.2, 0), 0.022, 0.026))
    return union(body.blend(neck, 0.05).blend(legs, 0.02), *parts).at(-0.06, -(top[1] + 0.05) / 2)


@category(
    "tortoise",
    "sea turtle",
    shell={"domed": ("with a domed shell", "with a high shell"), "flat": ("with a flat shell", "with a low shell")},
    head={"out": ("with a long neck", "with its head out"), "low": ("with a short neck", "with its head in")},
    legs={"flippers": ("with flippers", "with fins"), "feet": ("with feet", "with legs")},
)
def turtle(a: Mapping[str, str], vary: Variation) -> Sdf:
    half, wide = vary(0.27, 0.3), vary(0.22, 0.25)
    rise = vary(0.22, 0.25) if a["shell"] == "domed" else vary(0.11, 0.13)
    base = 0.1
    dome = ellipsoid(half, rise, wide) & box(1.0, 0.5, 1.0).at(y=0.5)
    shell = union(dome, cylinder(1.0, 0.026) & ellipsoid(half + 0.03, 0.2, wide + 0.03)).at(y=base)
    reach = 0.13 if a["head"] == "out" else 0.05
    lift = 0.1 if a["head"] == "out" else 0.0
    neck = capsule((half - 0.08, base, 0), (half + reach, base + 0.02 + lift, 0), 0.05)
    head = ellipsoid(0.08, 0.062, 0.062).at(half + reach + 0.03, base + 0.03 + lift)
    if a["legs"] == "flippers":
        front = ellipsoid(0.07, 0.026, 0.15).turn("y", 25).at(half * 0.55, base - 0.02, wide + 0.04)
        hind = ellipsoid(0.055, 0.026, 0.09).turn("y", -25).at(-half * 0.7, base - 0.02, wide * 0.85)
    else:
        front = capsule((half * 0.6, base, wide * 0.6), (half * 0.68, 0.045, wide * 0.75), 0.055, 0.05)
        hind = front.at(x=-half * 1.25)
    tail = cone(0.035, 0.02, 0.12).turn("z", 90).at(-half + 0.02, base)
    return union(shell, neck.blend(head, 0.02), front.mirror("z"), hind.mirror("z"), tail).at(-0.07, -(base + rise) / 2)


@category(
    "emperor penguin",
    "king penguin",
    wings={"open": ("with open wings", "with spread wings"), "closed": ("with closed wings", "with folded wings")},
    body={"fat": ("fat", "chubby"), "slim": ("slim", "thin")},
    beak={"long": ("with a long beak", "long-beaked"), "short": ("with a short beak", "short-beaked")},
)
def penguin(a: Mapping[str, str], vary: Variation) -> Sdf:
    girth = vary(0.18, 0.2) if a["body"] == "fat" else vary(0.125, 0.14)
    height = vary(0.54, 0.58)
    body = ellipsoid(girth * 0.9, height / 2, girth).at(y=0.04 + height / 2)
    y = height + vary(0.08, 0.1)
    head = sphere(0.105).at(0.02, y)
    reach = 0.17 if a["beak"] == "long" else 0.08
    beak = capsule((0.08, y - 0.005, 0), (0.08 + reach, y - 0.02, 0), 0.035, 0.02)
    lean = 48 if a["wings"] == "open" else 8
    wing = ellipsoid(0.06, 0.18, 0.028).at(y=-0.15).turn("x", -lean).at(0.0, height * 0.82, girth * 0.8)
    foot = extrude([(0.0, 0.0), (0.07, 0.14), (-0.0, 0.16), (-0.07, 0.14)], 0.024, "y").at(0.0, 0.024, girth * 0.5)
    tail = capsule((-girth * 0.6, 0.1, 0), (-girth - 0.06, 0.03, 0), 0.045, 0.03)
    return union(body.blend(head, 0.06), beak, wing.mirror("z"), foot.mirror("z"), tail).at(0.02, -(y + 0.1) / 2)
