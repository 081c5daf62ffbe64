"""Buildings and things outdoors. Fronts face +z."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise

from training.shapes.registry import Variation, category
from training.shapes.sdf import Sdf, box, capsule, cone, cylinder, extrude, pyramid, revolve, torus, union


@category(
    "dutch windmill",
    "wind mill",
    sails={"four": ("with four sails", "with 4 sails"), "three": ("with three blades", "with 3 blades")},
    tower={"round": ("round", "with a round tower"), "square": ("square", "with a square tower")},
    roof={"pointed": ("with a pointed roof", "with a cone roof"), "flat": ("with a flat roof", "flat-roofed")},
)
def windmill(a: Mapping[str, str], vary: Variation) -> Sdf:
    high, foot, top = vary(0.46, 0.5), vary(0.15, 0.165), vary(0.09, 0.1)
    tower = cone(foot, top, high) if a["tower"] == "round" else pyramid(foot, high, top)
    tower = tower - box(0.045, 0.08, 0.05).at(0, 0.06, foot)
    cap = top + 0.025
    if a["roof"] == "pointed":
        roof = (cone(cap, 0.0, 0.16) if a["tower"] == "round" else pyramid(cap, 0.16)).at(y=high - 0.005)
    else:
        roof = cylinder(cap, 0.03).at(y=high) if a["tower"] == "round" else box(cap, 0.03, cap).at(y=high)
    sail = box(0.02, 0.16, 0.019).at(y=0.17) | box(0.05, 0.125, 0.018).at(0.035, 0.2)
    count = 4 if a["sails"] == "four" else 3
    start = vary(15, 40)
    sails = union(*(sail.turn("z", start + 360 / count * i) for i in range(count)), cylinder(0.036, 0.036, axis="z"))
    axle = cylinder(0.024, 0.08, axis="z").at(0, high - 0.05, top + 0.03)
    return union(tower, roof, axle, sails.at(0, high - 0.05, top + 0.1)).at(0, -(high + 0.16) / 2, -0.05)


@category(
    "light house",
    "harbour light",
    stripes={"with": ("with rings", "ringed"), "without": ("without rings", "smooth")},
    tower={"tapered": ("tapered", "with a tapered tower"), "straight": ("straight", "with a straight tower")},
    base={"rock": ("on a rock", "on rocks"), "house": ("with a house", "with a keeper's house")},
)
def lighthouse(a: Mapping[str, str], vary: Variation) -> Sdf:
    high, foot = vary(0.52, 0.56), vary(0.12, 0.13)
    top = foot * (0.6 if a["tower"] == "tapered" else 0.98)
    parts = [cone(foot, top, high), cylinder(top + 0.05, 0.022).at(y=high), torus(top + 0.04, 0.02).at(y=high + 0.065)]
    parts.append(cylinder(0.018, 0.035).at(x=top + 0.04).ring(6).at(y=high + 0.035))
    lamp = top * 0.62
    parts += [cylinder(lamp, 0.075).at(y=high + 0.075), cone(top * 0.95, 0.02, 0.1).at(y=high + 0.14)]
    if a["stripes"] == "with":
        for t in (0.3, 0.62):
            parts.append(cylinder(foot + (top - foot) * t + 0.018, 0.035).at(y=high * t))
    if a["base"] == "rock":
        parts.append(
            revolve([(0.0, -0.08), (foot + 0.15, -0.08), (foot + 0.11, -0.02), (foot + 0.03, 0.02), (0.0, 0.02)])
        )
    else:
        parts.append(
            box(0.14, 0.08, 0.1).at(0.18, 0.0)
            | extrude([(0.0, 0.13), (0.1, 0.0), (0.0, -0.13)], 0.15, "x").at(0.18, 0.075)
        )
        parts.append(box(0.18, 0.024, 0.13).at(0.1, -0.07))
    return union(*parts).at(-0.06 * (a["base"] == "house"), -(high + 0.17) / 2)


@category(
    "camping tent",
    "circus tent",
    shape={"ridge": ("ridge", "a-shaped"), "dome": ("dome", "igloo"), "pyramid": ("pyramid", "teepee")},
    door={"open": ("open", "with an open door"), "closed": ("closed", "with a closed door")},
    size={"large": ("large", "big"), "small": ("small", "little")},
)
def tent(a: Mapping[str, str], vary: Variation) -> Sdf:
    size = vary(0.95, 1.0) if a["size"] == "large" else vary(0.6, 0.65)
    wide, deep, high = 0.3 * size, 0.38 * size, vary(0.42, 0.46) * size
    if a["shape"] == "ridge":
        solid = extrude([(-wide, 0.0), (wide, 0.0), (0.0, high)], deep)
        front = deep
        poles = cylinder(0.021, high / 2 + 0.03).at(0, high / 2, deep).mirror("z")
    elif a["shape"] == "dome":
        arch = [
            (wide * 1.25 * c, high * 0.82 * s) for c, s in ((1, 0), (0.92, 0.38), (0.71, 0.71), (0.38, 0.92), (0, 1))
        ]
        solid = revolve([(0.0, 0.0), *arch])
        front = wide * 1.12
        poles = (torus(wide * 1.25, 0.02).turn("x", 90) & box(1.0, 0.5, 1.0).at(y=0.5)).turn("y", 45)
        poles = cylinder(0.03, 0.03).at(y=high * 0.83)
    else:
        solid = pyramid(wide * 1.2, high * 1.5)
        front = wide * 0.95
        poles = capsule((0.0, high * 1.2, 0.0), (0.06, high * 1.5 + 0.09, 0.03), 0.02) | capsule(
            (0.0, high * 1.2, 0.0), (-0.06, high * 1.5 + 0.09, 0.0), 0.02
        )
    if a["door"] == "open":
        solid = solid - extrude([(-wide * 0.42, -0.01), (wide * 0.42, -0.01), (0.0, high * 0.72)], 0.16 * size).at(
            z=front
        )
    pegs = box(0.036, 0.022, 0.036).at(
        wide * (1.0 if a["shape"] == "ridge" else 0.85) + 0.02,
        0.022,
        (deep if a["shape"] == "ridge" else wide * 0.85) - 0.02,
    )
    top = high * {"ridge": 1.0, "dome": 0.82, "pyramid": 1.5}[a["shape"]]
    return union(solid, poles, pegs.mirror("x", "z")).at(y=-top / 2)


@category(
    "arch bridge",
    "road bridge",
    arches={
        "one": ("with one arch", "with a single arch"),
        "two": ("with two arches", "with 2 arches"),
        "three": ("with three arches", "with 3 arches"),
    },
    deck={"flat": ("flat", "with a flat deck"), "humped": ("humpback", "with a curved deck")},
    railing={"with": ("with railings", "with handrails"), "without": ("without railings", "without handrails")},
)
def bridge(a: Mapping[str, str], vary: Variation) -> Sdf:
    half, wide, high = vary(0.41, 0.43), vary(0.12, 0.14), vary(0.2, 0.23)
    count = {"one": 1, "two": 2, "three": 3}[a["arches"]]
    hump = 0.1 if a["deck"] == "humped" else 0.0
    rows = [-1.0, -0.75, -0.5, -0.25, 0.0, 0.25, 0.5, 0.75, 1.0]
    upper = [(half * t, high + hump * (1 - t * t)) for t in rows]
    solid = extrude([(half, 0.0), *upper[::-1], (-half, 0.0)], wide)
    span = half / count
    radius = min(span * 0.8, high * 0.8)
    for i in range(count):
        x = half * ((2 * i + 1) / count - 1)
        gap = cylinder(radius, 1.0, axis="z").at(x, 0.0) | box(max(span * 0.8 - radius, 0.0), radius, 1.0).at(x, 0.0)
        wide_gap = cylinder(radius, 1.0, axis="z").at(x + span * 0.8 - radius, 0.0) | cylinder(
            radius, 1.0, axis="z"
        ).at(x - span * 0.8 + radius, 0.0)
        solid = solid - (gap | wide_gap)
    if a["railing"] == "with":
        rail = union(
            *(capsule((p[0] * 0.98, p[1] + 0.085, 0), (q[0] * 0.98, q[1] + 0.085, 0), 0.02) for p, q in pairwise(upper))
        )
        posts = union(*(box(0.019, 0.055, 0.019).at(x * 0.98, y + 0.04) for x, y in upper))
        solid = solid | (rail | posts).at(z=wide - 0.022).mirror("z")
    top = high + hump + 0.1 * (a["railing"] == "with")
    return solid.at(y=-top / 2)


@category(
    "street lantern",
    "lamp post",
    arms={"one": ("with one arm", "with a single light"), "two": ("with two arms", "with two lights")},
    head={
        "lantern": ("with a lantern", "old-fashioned"),
        "ball": ("with a ball", "with globes"),
        "flat": ("modern", "with a flat head"),
    },
    base={"wide": ("with a wide base", "with a heavy base"), "slim": ("with a slim base", "with a thin base")},
)
def street_lamp(a: Mapping[str, str], vary: Variation) -> Sdf:
    high = vary(0.78, 0.82)
    foot = vary(0.09, 0.1) if a["base"] == "wide" else vary(0.045, 0.05)
    parts = [
        cone(foot, 0.03, 0.14),
        cylinder(foot + 0.012, 0.024).at(y=0.024),
        cylinder(0.024, high / 2).at(y=high / 2),
    ]
    if a["head"] == "lantern":
        head = revolve([(0.0, -0.1), (0.04, -0.1), (0.075, 0.03), (0.095, 0.03), (0.0, 0.1)])
    elif a["head"] == "ball":
        head = revolve([(0.0, -0.085), (0.05, -0.07), (0.08, -0.02), (0.08, 0.02), (0.05, 0.07), (0.0, 0.085)])
    else:
        head = box(0.1, 0.024, 0.05, 0.01)
    reach = 0.2
    if a["arms"] == "one" and a["head"] != "flat":
        parts.append(head.at(y=high + 0.06))
        shift = 0.0
    else:
        arm = capsule((0, high - 0.08, 0), (reach * 0.55, high, 0), 0.021) | capsule(
            (reach * 0.55, high, 0), (reach, high, 0), 0.021
        )
        lamp = arm | head.at(
            reach + (0.06 if a["head"] == "flat" else 0.0), high - (0.07 if a["head"] != "flat" else 0.0)
        )
        parts.append(lamp.mirror("x") if a["arms"] == "two" else lamp)
        shift = -0.14 if a["arms"] == "one" else 0.0
    return union(*parts).at(shift, -(high + 0.06) / 2)
