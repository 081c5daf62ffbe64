"""Musical instruments. Fronts face +z."""

from __future__ import annotations

from collections.abc import Mapping

from training.shapes.registry import Variation, category
from training.shapes.sdf import Sdf, box, capsule, cylinder, extrude, torus, union


@category(
    "acoustic guitar",
    "electric guitar",
    body={"round": ("with a round body", "with soft curves"), "cutaway": ("with a cutaway", "with horns")},
    neck={"long": ("with a long neck", "long-necked"), "short": ("with a short neck", "short-necked")},
    hole={"with": ("with a sound hole", "with a round hole"), "without": ("without a sound hole", "without a hole")},
)
def guitar(a: Mapping[str, str], vary: Variation) -> Sdf:
    low, high, thick = vary(0.17, 0.185), vary(0.125, 0.135), vary(0.042, 0.05)
    lower = cylinder(low, thick, 0.01, axis="z").at(y=low)
    top = low * 1.9 + high * 0.55
    upper = cylinder(high, thick, 0.01, axis="z").at(y=top)
    waist = box(0.085, 0.1, thick).at(y=low * 1.75)
    body = lower.blend(upper, 0.05).blend(waist, 0.03)
    if a["body"] == "cutaway":
        body = body - cylinder(high * 0.62, 1.0, axis="z").at(high * 0.95, top + high * 0.5)
    if a["hole"] == "with":
        body = body - cylinder(0.062, 0.05, axis="z").at(0, low * 1.55, thick)
    reach = vary(0.3, 0.33) if a["neck"] == "long" else vary(0.17, 0.19)
    start = top + high * 0.6
    end = start + reach
    neck = box(0.03, (reach + 0.14) / 2, 0.024).at(0, start + reach / 2 - 0.05, thick * 0.7)
    head = extrude([(-0.03, 0.0), (0.03, 0.0), (0.052, 0.13), (-0.052, 0.13)], 0.022).at(0, end, thick * 0.6)
    pegs = union(*(cylinder(0.018, 0.08, axis="x").at(0, end + 0.035 + 0.055 * i, thick * 0.6) for i in range(2)))
    bridge = box(0.06, 0.018, 0.02).at(0, low * 0.75, thick + 0.01)
    return union(body, neck, head, pegs, bridge).at(y=-(end + 0.13) / 2)


@category(
    "grand piano",
    "upright piano",
    lid={"open": ("with an open lid", "with its lid up"), "closed": ("with a closed lid", "with its lid down")},
    legs={"thin": ("with thin legs", "with slim legs"), "thick": ("with thick legs", "with sturdy legs")},
    stool={"with": ("with a stool", "with a seat"), "without": ("without a stool", "without a seat")},
)
def piano(a: Mapping[str, str], vary: Variation) -> Sdf:
    x, deep, leg = vary(0.27, 0.29), vary(0.5, 0.54), vary(0.24, 0.27)
    # Seen from above (z, x): straight on the bass side, curved on the other; the keys are at the front, +z.
    outline = [
        (0.0, -x),
        (0.0, x),
        (-0.16, x),
        (-0.28, x * 0.45),
        (-0.42, x * 0.2),
        (-deep, -x * 0.15),
        (-deep - 0.02, -x * 0.7),
        (-deep + 0.06, -x),
    ]
    case = extrude(outline, 0.07, "y").at(y=leg + 0.07)
    keys = box(x, 0.026, 0.06).at(0, leg + 0.03, 0.05)
    cheeks = box(0.024, 0.05, 0.06).at(x - 0.024, leg + 0.05, 0.05).mirror("x")
    thick = 0.024 if a["legs"] == "thin" else 0.042
    post = box(thick, leg / 2, thick)
    legs = post.at(x - 0.06, leg / 2, -0.05).mirror("x") | post.at(-x * 0.45, leg / 2, -deep + 0.06)
    parts = [case, keys, cheeks, legs]
    if a["lid"] == "open":
        lid = extrude(outline, 0.02, "y").at(x=x).turn("z", 38).at(-x, leg + 0.15)
        prop = capsule((x * 0.55, leg + 0.12, -0.12), (x * 0.42, leg + 0.47, -0.12), 0.02)
        parts += [lid, prop]
    if a["stool"] == "with":
        seat = box(0.12, 0.026, 0.07).at(0, leg * 0.72, 0.2) | box(0.022, leg * 0.36, 0.022).at(
            0.09, leg * 0.36, 0.2
        ).mirror("x")
        parts.append(
            seat
            | box(0.024, 0.022, 0.11).at(0.09, 0.022, 0.13).mirror("x")
            | box(0.11, 0.022, 0.022).at(0, 0.022, 0.05)
        )
        parts.append(box(0.022, leg / 2, 0.022).at(0.0, leg / 2, 0.04))
    high = leg + 0.14 + (0.36 if a["lid"] == "open" else 0.0)
    return union(*parts).at(0, -high / 2, deep / 2 - 0.1)


@category(
    "snare drum",
    "kettledrum",
    height={"tall": ("tall", "deep"), "flat": ("flat", "shallow")},
    stand={"with": ("with a stand", "on legs"), "without": ("without a stand", "without legs")},
    sticks={"with": ("with sticks", "with drumsticks"), "without": ("without sticks", "without drumsticks")},
)
def drum(a: Mapping[str, str], vary: Variation) -> Sdf:
    radius = vary(0.25, 0.28)
    half = vary(0.19, 0.22) if a["height"] == "tall" else vary(0.075, 0.09)
    rim = torus(radius + 0.005, 0.026)
    rods = cylinder(0.02, half).at(x=radius + 0.018).ring(6)
    parts = [cylinder(radius, half), rim.at(y=half), rim.at(y=-half), rods]
    low = -half
    if a["stand"] == "with":
        low -= 0.24
        parts.append(capsule((radius * 0.7, -half, 0), (radius * 1.1, low + 0.03, 0), 0.03).ring(3))
    if a["sticks"] == "with":
        stick = capsule((0.0, half + 0.02, 0.09), (0.3, half + 0.09, 0.13), 0.022, 0.02) | cylinder(0.036, 0.02).at(
            0.0, half + 0.025, 0.09
        )
        parts.append(stick.mirror("z"))
    top = half + 0.1 * (a["sticks"] == "with")
    return union(*parts).at(-0.03, -(top + low) / 2)
