"""Weapons of old, keys, devices and figures. Fronts face +z."""

from __future__ import annotations

from collections.abc import Mapping

from training.shapes.registry import Variation, category
from training.shapes.sdf import Sdf, box, capsule, cone, cylinder, ellipsoid, extrude, revolve, sphere, torus, union


@category(
    "knight sword",
    "broadsword",
    blade={"straight": ("straight", "with a straight blade"), "curved": ("curved", "with a curved blade")},
    width={"wide": ("wide", "broad"), "narrow": ("narrow", "slim")},
    guard={"wide": ("with a wide guard", "with a long guard"), "small": ("with a small guard", "with a short guard")},
)
def sword(a: Mapping[str, str], vary: Variation) -> Sdf:
    half = vary(0.064, 0.072) if a["width"] == "wide" else vary(0.038, 0.043)
    length, bend = vary(0.55, 0.58), 0.12 if a["blade"] == "curved" else 0.0
    rows = [(i / 8, bend * (i / 8) ** 2) for i in range(8)]
    left = [(-half + shift, length * t) for t, shift in rows]
    right = [(half + shift, length * t) for t, shift in rows[::-1]]
    blade = extrude([*left, (bend, length + 0.07), *right], 0.024)
    guard = box(0.18 if a["guard"] == "wide" else 0.1, 0.026, 0.04, 0.008)
    grip = cylinder(0.032, 0.085).at(y=-0.1)
    pommel = sphere(0.05).at(y=-0.2)
    return union(blade, guard, grip, pommel).at(-bend / 2, -(length - 0.17) / 2)


@category(
    "hatchet",
    "battle axe",
    head={"single": ("single-bladed", "with one blade"), "double": ("double-bladed", "with two blades")},
    handle={"long": ("with a long handle", "long-handled"), "short": ("with a short handle", "short-handled")},
    blade={
        "wide": ("with a wide blade", "with a large blade"),
        "narrow": ("with a narrow blade", "with a small blade"),
    },
)
def axe(a: Mapping[str, str], vary: Variation) -> Sdf:
    length = vary(0.8, 0.84) if a["handle"] == "long" else vary(0.48, 0.52)
    spread = vary(0.14, 0.155) if a["blade"] == "wide" else vary(0.085, 0.095)
    handle = capsule((0, 0.03, 0), (0, length, 0), 0.032, 0.026) | sphere(0.04).at(y=0.04)
    y = length - 0.13
    edge = [
        (0.0, -0.045),
        (0.12, -spread),
        (0.19, -spread * 0.75),
        (0.215, 0.0),
        (0.19, spread * 0.75),
        (0.12, spread),
        (0.0, 0.045),
    ]
    head = extrude(edge, 0.024) | box(0.045, 0.055, 0.045)
    head = head.mirror("x") if a["head"] == "double" else head | box(0.03, 0.04, 0.036).at(-0.06)
    return (handle | head.at(y=y)).at(-0.06 if a["head"] == "single" else 0.0, -length / 2)


@category(
    "door key",
    "house key",
    bow={"round": ("with a round bow", "with a ring"), "clover": ("with a clover bow", "ornate")},
    teeth={"two": ("with two teeth", "with 2 teeth"), "three": ("with three teeth", "with 3 teeth")},
    shaft={"thick": ("thick", "with a thick shaft"), "thin": ("thin", "with a thin shaft")},
)
def key(a: Mapping[str, str], vary: Variation) -> Sdf:
    thick = vary(0.04, 0.045) if a["shaft"] == "thick" else vary(0.024, 0.027)
    length, radius = vary(0.5, 0.54), vary(0.12, 0.135)
    shaft = cylinder(thick, length / 2).at(y=length / 2)
    if a["bow"] == "round":
        bow = torus(radius, 0.034).turn("x", 90)
    else:
        loop = torus(radius * 0.52, 0.03).turn("x", 90)
        bow = union(*(loop.at(y=radius * 0.66).turn("z", angle) for angle in (0, 120, 240)))
    count = 2 if a["teeth"] == "two" else 3
    teeth = union(*(box(0.07, 0.024, 0.022).at(0.07, 0.04 + 0.085 * i) for i in range(count)))
    collar = cylinder(thick + 0.02, 0.022).at(y=length - 0.05)
    high = length + radius * 0.9
    return union(shaft, bow.at(y=high), teeth, collar).at(-0.02, -(high + radius) / 2)


@category(
    "tv",
    "flat screen",
    stand={"foot": ("with a foot", "on a central foot"), "legs": ("with two legs", "on two legs")},
    screen={"wide": ("wide", "widescreen"), "square": ("square", "old")},
    antenna={"with": ("with an antenna", "with rabbit ears"), "without": ("without an antenna", "without rabbit ears")},
)
def television(a: Mapping[str, str], vary: Variation) -> Sdf:
    half = vary(0.39, 0.42) if a["screen"] == "wide" else vary(0.27, 0.29)
    high, deep = vary(0.23, 0.25), 0.03 if a["screen"] == "wide" else 0.13
    case = box(half, high, deep, 0.012) - box(half - 0.04, high - 0.04, 0.024).at(z=deep)
    parts = [case]
    if a["stand"] == "foot":
        parts += [box(0.05, 0.05, 0.026).at(y=-high - 0.04), box(0.17, 0.022, 0.1, 0.008).at(y=-high - 0.085)]
    else:
        leg = capsule((half * 0.7, -high + 0.01, 0), (half * 0.74, -high - 0.085, 0), 0.024)
        parts.append((leg | box(0.024, 0.022, 0.1).at(half * 0.74, -high - 0.085)).mirror("x"))
    top = 0.0
    if a["antenna"] == "with":
        top = 0.15
        parts.append(capsule((0.02, high, 0), (0.13, high + 0.16, 0), 0.019).mirror("x") | sphere(0.04).at(y=high))
    return union(*parts).at(y=(0.1 - top) / 2)


@category(
    "notebook computer",
    "portable computer",
    screen={"upright": ("with an upright screen", "half open"), "tilted": ("with a tilted screen", "wide open")},
    size={"large": ("large", "big"), "small": ("small", "little")},
    shape={"thick": ("thick", "bulky"), "thin": ("thin", "flat")},
)
def laptop(a: Mapping[str, str], vary: Variation) -> Sdf:
    half = vary(0.36, 0.39) if a["size"] == "large" else vary(0.24, 0.26)
    deep, thick = half * 0.68, 0.04 if a["shape"] == "thick" else 0.021
    base = box(half, thick, deep, 0.006)
    keys = union(*(box(half * 0.82, 0.02, deep * 0.09).at(0, thick, -deep * 0.62 + deep * 0.28 * i) for i in range(3)))
    pad = box(half * 0.24, 0.02, deep * 0.2).at(0, thick, deep * 0.62)
    lean = 6 if a["screen"] == "upright" else 32
    panel = box(half, deep, 0.021, 0.006) - box(half - 0.035, deep - 0.04, 0.016).at(z=0.021)
    panel = panel.at(y=deep).turn("x", -lean).at(0, thick * 0.3, -deep + 0.012)
    return union(base - keys - pad, panel, cylinder(0.026, half * 0.9, axis="x").at(0, thick * 0.5, -deep + 0.01)).at(
        0, -deep * 0.85, deep * (0.12 if a["screen"] == "upright" else 0.5)
    )


@category(
    "android",
    "toy robot",
    head={"square": ("with a square head", "boxy"), "round": ("with a round head", "round-headed")},
    arms={"up": ("with raised arms", "with its arms up"), "down": ("with lowered arms", "with its arms down")},
    antenna={"with": ("with an antenna", "with an aerial"), "without": ("without an antenna", "without an aerial")},
)
def robot(a: Mapping[str, str], vary: Variation) -> Sdf:
    wide, tall, leg = vary(0.14, 0.16), vary(0.14, 0.16), vary(0.2, 0.23)
    body = box(wide, tall, 0.1, 0.012).at(y=leg + tall)
    panel = box(wide * 0.6, tall * 0.5, 0.02).at(0, leg + tall, 0.1)
    neck = leg + 2 * tall
    head = box(0.1, 0.085, 0.09, 0.01) if a["head"] == "square" else sphere(0.105)
    eyes = cylinder(0.026, 0.03, axis="z").at(0.045, 0.015, 0.09).mirror("x")
    head = (head | eyes | box(0.05, 0.014, 0.02).at(0, -0.045, 0.09)).at(y=neck + 0.11)
    shoulder = (wide + 0.04, neck - 0.06, 0.0)
    hand = (wide + 0.12, neck + 0.14, 0.0) if a["arms"] == "up" else (wide + 0.08, leg + 0.02, 0.0)
    arm = (
        capsule((wide - 0.02, neck - 0.06, 0), shoulder, 0.042)
        | capsule(shoulder, hand, 0.034)
        | sphere(0.05).at(*hand)
    )
    legs = box(0.045, leg / 2, 0.05).at(wide * 0.55, leg / 2 + 0.01) | box(0.062, 0.03, 0.09, 0.01).at(
        wide * 0.55, 0.03, 0.03
    )
    parts = [body, panel, cylinder(0.045, 0.04).at(y=neck + 0.01), head, arm.mirror("x"), legs.mirror("x")]
    top = neck + 0.2
    if a["antenna"] == "with":
        parts += [capsule((0, top - 0.02, 0), (0, top + 0.08, 0), 0.019), sphere(0.034).at(y=top + 0.09)]
        top += 0.12
    return union(*parts).at(y=-top / 2)


@category(
    "royal crown",
    "king's crown",
    points={"five": ("with five points", "with 5 points"), "eight": ("with eight points", "with 8 points")},
    balls={"with": ("with balls", "with pearls"), "without": ("without balls", "without pearls")},
    height={"tall": ("tall", "high"), "low": ("low", "flat")},
)
def crown(a: Mapping[str, str], vary: Variation) -> Sdf:
    radius, wall = vary(0.3, 0.33), 0.034
    count = 5 if a["points"] == "five" else 8
    high = vary(0.26, 0.29) if a["height"] == "tall" else vary(0.15, 0.17)
    band, wide = high * 0.45, radius * (0.55 if count == 5 else 0.36)
    tube = cylinder(radius, high / 2).at(y=high / 2) - cylinder(radius - wall, 1.0)
    spike = extrude([(-wide, 0.0), (wide, 0.0), (wide, band), (0.0, high + 0.03), (-wide, band)], radius * 0.3).turn(
        "y", 90
    )
    points = tube & spike.at(x=radius).ring(count)
    base = (cylinder(radius + 0.016, 0.036).at(y=0.036) - cylinder(radius - wall, 1.0)) | (
        cylinder(radius, band / 2).at(y=band / 2) - cylinder(radius - wall, 1.0)
    )
    parts = [points, base]
    if a["balls"] == "with":
        parts.append(sphere(0.042).at(radius - wall / 2, high + 0.005).ring(count))
    return union(*parts).at(y=-high / 2)


@category(
    "top hat",
    "cowboy hat",
    crown={"tall": ("tall", "with a tall crown"), "low": ("low", "with a low crown")},
    brim={"wide": ("with a wide brim", "wide-brimmed"), "narrow": ("with a narrow brim", "narrow-brimmed")},
    top={"flat": ("with a flat top", "flat-topped"), "round": ("with a round top", "round-topped")},
)
def hat(a: Mapping[str, str], vary: Variation) -> Sdf:
    radius = vary(0.19, 0.21)
    high = vary(0.38, 0.42) if a["crown"] == "tall" else vary(0.23, 0.25)
    brim = radius + (vary(0.14, 0.16) if a["brim"] == "wide" else vary(0.06, 0.075))
    if a["top"] == "flat":
        crown = revolve([(0.0, 0.0), (radius, 0.0), (radius * 1.03, high), (0.0, high)])
    else:
        crown = revolve(
            [(0.0, 0.0), (radius, 0.0), (radius * 0.95, high * 0.65), (radius * 0.65, high * 0.95), (0.0, high)]
        )
    plate = ellipsoid(brim, 0.2, brim) & cylinder(1.0, 0.024)
    edge = torus(brim - 0.02, 0.03)
    band = cylinder(radius + 0.018, 0.045).at(y=0.05) if a["top"] == "flat" else torus(radius * 0.97, 0.034).at(y=0.045)
    return union(crown, plate, edge, band).at(y=-high / 2)


@category(
    "snow man",
    "snow figure",
    balls={"two": ("with two balls", "with 2 balls"), "three": ("with three balls", "with 3 balls")},
    hat={"with": ("with a hat", "in a hat"), "without": ("without a hat", "hatless")},
    arms={"with": ("with arms", "with stick arms"), "without": ("without arms", "armless")},
)
def snowman(a: Mapping[str, str], vary: Variation) -> Sdf:
    radii = (
        [vary(0.178, 0.187), vary(0.13, 0.142), vary(0.095, 0.103)]
        if a["balls"] == "three"
        else [vary(0.24, 0.26), vary(0.15, 0.165)]
    )
    y, parts, middles = 0.0, [], []
    for radius in radii:
        y += radius * 0.92
        middles.append(y)
        parts.append(sphere(radius).at(y=y))
        y += radius * 0.82
    head, size = middles[-1], radii[-1]
    parts.append(cone(0.034, 0.02, 0.13).turn("x", 90).at(0, head, size - 0.02))
    parts.append(sphere(0.024).at(size * 0.4, head + size * 0.35, size * 0.88).mirror("x"))
    if a["arms"] == "with":
        chest = middles[-2]
        reach = radii[-2]
        arm = capsule((reach * 0.8, chest + 0.04, 0), (reach + 0.2, chest + 0.16, 0), 0.021)
        parts.append(
            (arm | capsule((reach + 0.12, chest + 0.12, 0), (reach + 0.2, chest + 0.09, 0), 0.019)).mirror("x")
        )
    top = y
    if a["hat"] == "with":
        parts += [cylinder(size * 1.15, 0.022).at(y=y + 0.0), cylinder(size * 0.7, 0.065).at(y=y + 0.07)]
        top += 0.13
    return union(*parts).at(y=-top / 2)
