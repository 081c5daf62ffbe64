"""Tableware, mostly turned on the lathe."""

from __future__ import annotations

from collections.abc import Mapping

from training.shapes.registry import Variation, category
from training.shapes.sdf import Sdf, box, capsule, cone, cylinder, ellipsoid, revolve, sphere, torus, union


@category(
    "cup",
    "coffee mug",
    height={"tall": ("tall", "high"), "short": ("short", "low")},
    shape={
        "straight": ("straight", "with straight sides"),
        "tapered": ("tapered", "with slanted sides"),
        "round": ("round", "with round sides"),
    },
    handle={
        "large": ("with a large handle", "with a big handle"),
        "small": ("with a small handle", "with a little handle"),
    },
)
def mug(a: Mapping[str, str], vary: Variation) -> Sdf:
    height, radius = (
        (vary(0.68, 0.76), vary(0.2, 0.23)) if a["height"] == "tall" else (vary(0.38, 0.43), vary(0.23, 0.26))
    )
    bottom = radius * (0.68 if a["shape"] == "tapered" else 1.0)
    wall = 0.036
    if a["shape"] == "round":
        bulge, bottom = radius * 1.12, radius * 0.75
        outer = [(bottom, 0.0), (bulge * 0.97, height * 0.25), (bulge, height * 0.45), (bulge * 0.95, height * 0.7)]
        inner = [
            (bulge * 0.95 - wall, height * 0.7),
            (bulge - wall, height * 0.45),
            (bulge * 0.97 - wall, height * 0.25),
            (bottom - wall, 0.05),
        ]
    else:
        outer, inner = [(bottom, 0.0)], [(bottom - wall, 0.05)]
    cup = revolve([(0.0, 0.0), *outer, (radius, height), (radius - wall, height), *inner, (0.0, 0.05)])
    loop = height * (0.3 if a["height"] == "tall" else 0.36) if a["handle"] == "large" else vary(0.085, 0.095)
    side = radius if a["shape"] != "tapered" else (radius + bottom) / 2
    handle = torus(loop, 0.03).turn("x", 90).at(side + 0.01, height * 0.5)
    inside = (
        cone(max(bottom, 0.05) - 0.015, radius - 0.015, height * 1.3)
        if a["shape"] != "round"
        else ellipsoid(radius, height, radius)
    )
    return (cup | (handle - inside)).at(-loop / 2, -height / 2)


@category(
    "tea pot",
    "kettle",
    body={
        "round": ("round", "with a round body"),
        "tall": ("tall", "with a tall body"),
        "flat": ("flat", "with a flat body"),
    },
    spout={"long": ("with a long spout",), "short": ("with a short spout",)},
    handle={
        "side": ("with a side handle", "with a handle on the side"),
        "top": ("with a top handle", "with a handle on top"),
    },
)
def teapot(a: Mapping[str, str], vary: Variation) -> Sdf:
    radius = {"round": vary(0.21, 0.23), "tall": vary(0.16, 0.18), "flat": vary(0.24, 0.26)}[a["body"]]
    half = {"round": radius, "tall": vary(0.27, 0.3), "flat": vary(0.13, 0.14)}[a["body"]]
    body = ellipsoid(radius, half, radius) & box(1.0, half * 0.9, 1.0)
    knob = sphere(0.036).at(y=half + 0.035) | cylinder(radius * 0.5, 0.02, 0.008).at(y=half * 0.9)
    reach = vary(0.2, 0.22) if a["spout"] == "long" else vary(0.09, 0.1)
    spout = capsule((radius * 0.7, -half * 0.25, 0), (radius + reach * 0.5, 0.0, 0), 0.055, 0.04)
    spout = spout.blend(capsule((radius + reach * 0.5, 0.0, 0), (radius + reach, half * 0.62, 0), 0.04, 0.027), 0.02)
    if a["handle"] == "side":
        loop = min(half * 0.68, 0.13)
        handle = torus(loop, 0.026).turn("x", 90).at(-radius - 0.01) - ellipsoid(
            radius - 0.02, half - 0.02, radius - 0.02
        )
        across = -0.055 if a["spout"] == "long" else 0.03
    else:
        arch = torus(radius * 0.78, 0.025).turn("x", 90) & box(1.0, 0.5, 1.0).at(y=0.5 - 0.05)
        handle = arch.at(y=half * 0.72)
        across = -reach / 2
    rise = 0.0 if a["handle"] == "side" else radius * 0.3
    return union(body, knob, handle).blend(spout, 0.03).at(across, -rise)


@category(
    "flask",
    "glass bottle",
    neck={"long": ("with a long neck", "long-necked"), "short": ("with a short neck", "short-necked")},
    body={"round": ("round", "with a round body"), "square": ("square", "with a square body")},
    width={"wide": ("wide", "fat"), "slim": ("slim", "thin", "narrow")},
    cap={"with": ("with a cap", "with a lid"), "without": ("without a cap", "without a lid")},
)
def bottle(a: Mapping[str, str], vary: Variation) -> Sdf:
    radius = vary(0.2, 0.23) if a["width"] == "wide" else vary(0.12, 0.14)
    height, neck = vary(0.78, 0.84), vary(0.05, 0.06)
    body = height * (vary(0.45, 0.5) if a["neck"] == "long" else vary(0.68, 0.72))
    shoulder = body - radius * 0.6
    rest = [(neck, body + 0.04), (neck, height), (0.0, height)]
    if a["body"] == "round":
        solid = revolve([(0.0, 0.0), (radius, 0.0), (radius, shoulder), (radius * 0.86, body - radius * 0.2), *rest])
    else:
        solid = box(radius, shoulder / 2, radius, 0.03).at(y=shoulder / 2)
        solid = solid | revolve(
            [(0.0, shoulder - 0.04), (radius, shoulder - 0.04), (radius * 0.86, body - radius * 0.2), *rest]
        )
    if a["cap"] == "with":
        solid = solid | cylinder(neck + 0.03, 0.05, 0.012).at(y=height)
    return solid.at(y=-height / 2 - 0.02)


@category(
    "goblet",
    "wineglass",
    stem={"long": ("with a long stem", "long-stemmed"), "short": ("with a short stem", "short-stemmed")},
    bowl={
        "round": ("with a round bowl", "with a rounded bowl"),
        "conical": ("with a conical bowl", "with a cone bowl"),
    },
    width={"wide": ("wide",), "narrow": ("narrow", "slim")},
)
def wine_glass(a: Mapping[str, str], vary: Variation) -> Sdf:
    stem, cup = (vary(0.4, 0.44), vary(0.34, 0.38)) if a["stem"] == "long" else (vary(0.14, 0.17), vary(0.42, 0.47))
    radius = vary(0.23, 0.26) if a["width"] == "wide" else vary(0.14, 0.16)
    wall, thin, height = 0.034, vary(0.023, 0.027), stem + cup
    if a["bowl"] == "round":
        shape = [(0.1, 0.0), (0.75, 0.12), (0.98, 0.35), (1.0, 0.55), (0.84, 1.0)]
    else:
        shape = [(0.1, 0.0), (1.0, 1.0)]
    outer = [(r * radius, stem + h * cup) for r, h in shape]
    inner = [(max(r * radius - wall, 0.0), stem + 0.05 + h * (cup - 0.05)) for r, h in reversed(shape)]
    foot = max(radius * 0.8, 0.13)
    profile = [
        (0.0, 0.0),
        (foot, 0.0),
        (foot, 0.035),
        (thin + 0.02, 0.06),
        (thin, 0.1),
        (thin, stem - 0.01),
        *outer,
        *inner,
    ]
    return revolve(profile).at(y=-height / 2)


@category(
    "dish",
    "salad bowl",
    depth={"deep": ("deep", "high"), "shallow": ("shallow", "flat")},
    foot={"with": ("with a foot", "with a base"), "without": ("without a foot", "without a base")},
    rim={"wide": ("with a wide rim", "with a broad rim"), "plain": ("with a plain rim", "without a rim")},
)
def bowl(a: Mapping[str, str], vary: Variation) -> Sdf:
    radius, wall = vary(0.32, 0.35), vary(0.036, 0.042)
    depth = vary(0.33, 0.37) if a["depth"] == "deep" else vary(0.15, 0.18)
    arc = [(0.35, 0.04), (0.62, 0.16), (0.82, 0.36), (0.94, 0.62), (1.0, 1.0)]
    outer = [(0.0, 0.0), *((r * radius, h * depth) for r, h in arc)]
    inner = [*((r * (radius - wall), wall + h * (depth - wall)) for r, h in reversed(arc)), (0.0, wall)]
    if a["rim"] == "wide":
        outer += [(radius + 0.085, depth + 0.0), (radius + 0.085, depth + 0.035), (radius - wall, depth + 0.035)]
    solid = revolve([*outer, *inner])
    if a["foot"] == "with":
        solid = solid | cone(radius * 0.55, radius * 0.42, 0.14).at(y=-0.11)
    return solid.at(y=-depth / 2 + (0.05 if a["foot"] == "with" else 0.0))
