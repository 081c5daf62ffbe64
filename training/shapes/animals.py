"""Animals in simple form. They look towards +x."""

from __future__ import annotations

from collections.abc import Mapping

from training.shapes.registry import Variation, category
from training.shapes.sdf import Sdf, box, capsule, cone, cylinder, ellipsoid, extrude, sphere, torus, union


@category(
    "puppy",
    "hound",
    legs={"long": ("with long legs", "long-legged"), "short": ("with short legs", "short-legged")},
    ears={"pointed": ("with pointed ears", "with sharp ears"), "floppy": ("with floppy ears", "with hanging ears")},
    tail={"long": ("with a long tail", "long-tailed"), "short": ("with a short tail", "short-tailed")},
    body={"fat": ("fat", "thick"), "slim": ("slim", "thin")},
)
def dog(a: Mapping[str, str], vary: Variation) -> Sdf:
    leg = vary(0.3, 0.33) if a["legs"] == "long" else vary(0.13, 0.15)
    girth = vary(0.125, 0.14) if a["body"] == "fat" else vary(0.075, 0.085)
    half, limb = vary(0.17, 0.2), vary(0.036, 0.042)
    back = leg + girth * 0.8
    body = capsule((-half, back, 0), (half, back, 0), girth, girth * 0.95)
    legs = capsule((half, back, girth * 0.6), (half + 0.01, limb, girth * 0.7 + 0.01), limb * 1.15, limb).at(x=0.0)
    legs = legs.mirror("x", "z")
    x, y = half + 0.1, back + girth * 0.5 + 0.13
    head = sphere(0.095).blend(capsule((0, -0.015, 0), (0.11, -0.035, 0), 0.055, 0.042), 0.03)
    if a["ears"] == "pointed":
        ear = capsule((-0.02, 0.06, 0.05), (-0.03, 0.16, 0.065), 0.04, 0.018).mirror("z")
    else:
        ear = ellipsoid(0.04, 0.09, 0.026).turn("x", -12).at(-0.03, -0.01, 0.1).mirror("z")
    neck = capsule((half - 0.01, back, 0), (x, y, 0), girth * 0.75, 0.06)
    tip = (
        (-half - girth - 0.07, back + girth + 0.17, 0.0)
        if a["tail"] == "long"
        else (-half - girth - 0.03, back + girth * 0.7 + 0.03, 0.0)
    )
    tail = capsule((-half - girth * 0.5, back + girth * 0.3, 0), tip, 0.034, 0.024)
    return union(body.blend(neck, 0.05).blend(legs, 0.03), (head | ear).at(x, y), tail).at(-0.02, -(y + 0.1) / 2)


@category(
    "goldfish",
    "trout",
    body={"round": ("round", "fat"), "slim": ("slim", "thin")},
    tail={"large": ("with a large tail", "with a big tail"), "small": ("with a small tail", "with a little tail")},
    fin={"tall": ("with a tall fin", "with a high fin"), "low": ("with a low fin", "with a short fin")},
)
def fish(a: Mapping[str, str], vary: Variation) -> Sdf:
    half, thick = vary(0.27, 0.3), vary(0.1, 0.12)
    tall = vary(0.2, 0.22) if a["body"] == "round" else vary(0.1, 0.115)
    body = ellipsoid(half, tall, thick).at(x=0.1)
    root = 0.1 - half
    spread, reach = (vary(0.22, 0.24), vary(0.18, 0.2)) if a["tail"] == "large" else (vary(0.11, 0.12), vary(0.1, 0.11))
    tail = extrude(
        [(root + 0.08, 0.0), (root - reach + 0.02, spread), (root - reach * 0.6, 0.0), (root - reach + 0.02, -spread)],
        0.022,
    )
    link = capsule((root - 0.01, 0, 0), (0.1, 0, 0), 0.045)
    rise = vary(0.15, 0.17) if a["fin"] == "tall" else vary(0.05, 0.06)
    fin = extrude([(0.2, tall * 0.6), (0.04, tall + rise), (-0.06, tall + rise * 0.9), (-0.02, tall * 0.6)], 0.022)
    side = ellipsoid(0.075, 0.022, 0.09).turn("x", 25).at(0.13, -tall * 0.25, thick + 0.02).mirror("z")
    eye = sphere(0.03).at(0.1 + half * 0.68, tall * 0.2, thick * 0.68).mirror("z")
    return union(body.blend(link, 0.03), tail, fin, side, eye)


@category(
    "duck",
    "pigeon",
    wings={"spread": ("with spread wings", "with open wings"), "folded": ("with folded wings", "with closed wings")},
    neck={"long": ("with a long neck", "long-necked"), "short": ("with a short neck", "short-necked")},
    legs={"long": ("with long legs", "long-legged"), "short": ("with short legs", "short-legged")},
)
def bird(a: Mapping[str, str], vary: Variation) -> Sdf:
    leg = vary(0.24, 0.27) if a["legs"] == "long" else vary(0.08, 0.1)
    neck = vary(0.24, 0.27) if a["neck"] == "long" else vary(0.07, 0.09)
    girth, half = vary(0.12, 0.135), vary(0.2, 0.22)
    y = leg + girth
    body = ellipsoid(half, girth, girth * 0.9).turn("z", 12)
    top = (half * 0.85 + 0.02, girth * 0.4 + neck, 0.0)
    head = sphere(0.075).at(*top) | capsule((top[0] + 0.05, top[1], 0), (top[0] + 0.14, top[1] - 0.015, 0), 0.036, 0.02)
    body = body.blend(capsule((half * 0.6, 0.0, 0), top, 0.065, 0.048), 0.05) | head
    tail = (
        extrude([(0.05, 0.0), (0.1, -0.2), (-0.1, -0.2), (-0.05, 0.0)], 0.022, "y")
        .turn("z", -15)
        .at(x=-half * 0.75, y=-0.01)
    )
    if a["wings"] == "spread":
        reach = vary(0.38, 0.42)
        wing = (
            extrude([(0.0, 0.1), (reach, 0.0), (reach, -0.07), (0.0, -0.1)], 0.021, "y")
            .turn("x", -14)
            .at(y=girth * 0.4)
            .mirror("z")
        )
    else:
        wing = ellipsoid(half * 0.75, girth * 0.6, 0.04).turn("z", 16).at(-0.04, 0.01, girth * 0.86).mirror("z")
    legs = capsule((0, -girth * 0.5, 0.055), (0, -girth - leg + 0.024, 0.055), 0.024) | box(0.06, 0.018, 0.036).at(
        0.025, 0.018 - girth - leg, 0.055
    )
    return union(body, tail, wing, legs.mirror("z")).at(-0.03, y).at(y=-(y + top[1] + 0.07) / 2)


@category(
    "garden snail",
    "land snail",
    shell={"large": ("with a large shell", "with a big shell"), "small": ("with a small shell", "with a little shell")},
    body={"long": ("long", "stretched"), "short": ("short", "compact")},
    feelers={
        "long": ("with long feelers", "with long antennae"),
        "short": ("with short feelers", "with short antennae"),
    },
)
def snail(a: Mapping[str, str], vary: Variation) -> Sdf:
    radius = vary(0.22, 0.24) if a["shell"] == "large" else vary(0.13, 0.145)
    half = vary(0.37, 0.4) if a["body"] == "long" else vary(0.25, 0.27)
    thick = vary(0.06, 0.065)
    foot = capsule((-half, 0.02, 0), (half - 0.1, thick, 0), 0.03, thick) & box(1.0, 0.5, 1.0).at(y=0.5)
    x, y = half - 0.03, vary(0.2, 0.23)
    head = capsule((half - 0.12, thick, 0), (x, y, 0), thick, 0.055)
    reach = vary(0.17, 0.19) if a["feelers"] == "long" else vary(0.06, 0.07)
    feeler = capsule((0, 0, 0.03), (0.03, reach, 0.065), 0.02) | sphere(0.028).at(0.03, reach, 0.065)
    # The shell: a fat disc with a spiral groove, drawn as rings of decreasing size that move outwards.
    coil = torus(radius * 0.62, radius * 0.38).turn("x", 90)
    coil = (
        coil
        | torus(radius * 0.3, radius * 0.2).turn("x", 90).at(0.02, 0.0, radius * 0.34).mirror("z")
        | cylinder(radius * 0.5, radius * 0.3, axis="z")
    )
    coil = coil | cone(radius * 0.24, 0.01, radius * 0.42).turn("x", 90).at(0.0, 0.0, radius * 0.2).mirror("z")
    shell = coil.at(-half * 0.25, radius + thick * 0.7)
    return union(foot.blend(head, 0.03), feeler.at(x, y).mirror("z"), shell).at(y=-radius - 0.05)
