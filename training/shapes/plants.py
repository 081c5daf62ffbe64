"""Plants and mushrooms."""

from __future__ import annotations

from collections.abc import Mapping

from training.shapes.registry import Variation, category
from training.shapes.sdf import Sdf, box, capsule, cone, cylinder, ellipsoid, sphere, union


@category(
    "leafy tree",
    "garden tree",
    crown={
        "round": ("with a round crown", "with a ball crown"),
        "conical": ("with a conical crown", "with a cone crown"),
        "oval": ("with an oval crown", "with a long crown"),
    },
    trunk={"thick": ("with a thick trunk", "with a fat trunk"), "thin": ("with a thin trunk", "with a slim trunk")},
    height={"tall": ("tall", "high"), "short": ("short", "low")},
)
def tree(a: Mapping[str, str], vary: Variation) -> Sdf:
    tall = a["height"] == "tall"
    height, stem = (vary(0.82, 0.88), vary(0.28, 0.33)) if tall else (vary(0.5, 0.55), vary(0.15, 0.18))
    trunk = vary(0.075, 0.09) if a["trunk"] == "thick" else vary(0.03, 0.036)
    leaves = height - stem
    if a["crown"] == "conical":
        width = vary(0.24, 0.28)
        tiers = [(1.0, 0.0, 0.5), (0.8, 0.25, 0.45), (0.58, 0.5, 0.5)]
        crown = union(
            *(
                cone(width * r, 0.0 if y > 0.4 else width * r * 0.25, leaves * h).at(y=stem + leaves * y)
                for r, y, h in tiers
            )
        )
    else:
        width = vary(0.26, 0.3) if a["crown"] == "round" else vary(0.15, 0.18)
        half = leaves / 2
        crown = ellipsoid(width, half, width)
        for i in range(6):
            lump = (
                sphere(width * vary(0.3, 0.36))
                .at(x=width * 0.72, y=half * vary(-0.4, 0.45))
                .turn("y", 60 * i + vary(-15, 15))
            )
            crown = crown.blend(lump, 0.04)
        crown = crown.at(y=stem + half)
    roots = cone(trunk * 1.6, trunk, 0.07)
    return union(crown, cylinder(trunk, stem / 2 + 0.05).at(y=stem / 2 + 0.05), roots).at(y=-height / 2)


@category(
    "cactus plant",
    "desert cactus",
    arms={
        "two": ("with two arms", "with 2 arms"),
        "one": ("with one arm", "with a single arm"),
        "none": ("without arms", "armless"),
    },
    body={"thick": ("thick", "fat"), "thin": ("thin", "slim")},
    pot={"with": ("in a pot", "with a pot"), "without": ("without a pot", "on sand")},
)
def cactus(a: Mapping[str, str], vary: Variation) -> Sdf:
    radius = vary(0.12, 0.14) if a["body"] == "thick" else vary(0.065, 0.075)
    height, limb = vary(0.78, 0.84), radius * vary(0.55, 0.62)
    limb = max(limb, 0.04)
    body = capsule((0, radius, 0), (0, height - radius, 0), radius)
    ribs = cylinder(radius * 0.16, 1.0).at(x=radius * 1.02).ring(8)
    body = body - ribs
    for sign in {"two": (1, -1), "one": (1,), "none": ()}[a["arms"]]:
        low, reach, up = height * vary(0.36, 0.48), sign * (radius + limb + vary(0.07, 0.1)), vary(0.16, 0.22)
        body = body | capsule((0, low, 0), (reach, low, 0), limb) | capsule((reach, low, 0), (reach, low + up, 0), limb)
    if a["pot"] == "with":
        rim = max(radius * 1.35, 0.14)
        return union(body, cone(rim * 0.8, rim, 0.2), cylinder(rim + 0.025, 0.03).at(y=0.2)).at(y=-height / 2)
    return (body | ellipsoid(radius + 0.13, 0.06, radius + 0.13).at(y=0.03)).at(y=-height / 2)


@category(
    "blossom",
    "daisy",
    petals={
        "five": ("with five petals", "with 5 petals"),
        "eight": ("with eight petals", "with 8 petals", "with many petals"),
    },
    pot={"round": ("in a round pot", "with a round pot"), "square": ("in a square pot", "with a square pot")},
    stem={"long": ("tall", "with a long stem"), "short": ("short", "with a short stem")},
    leaves={"with": ("with leaves", "leafy"), "without": ("without leaves", "leafless")},
)
def flower(a: Mapping[str, str], vary: Variation) -> Sdf:
    stem = vary(0.38, 0.42) if a["stem"] == "long" else vary(0.2, 0.23)
    pot, count = vary(0.15, 0.17), 5 if a["petals"] == "five" else 8
    radius = vary(0.19, 0.21)
    petal = ellipsoid(radius * 0.55, 0.03, radius * (0.42 if count == 5 else 0.24)).at(x=radius * 0.75)
    head = petal.ring(count) | ellipsoid(radius * 0.38, 0.055, radius * 0.38)
    rise = 0.2 + stem
    parts = [head.turn("y", 18).turn("x", vary(45, 60)).at(0, rise, 0.03), capsule((0, 0.15, 0), (0, rise, 0), 0.024)]
    if a["pot"] == "round":
        parts += [cone(pot * 0.72, pot, 0.2), cylinder(pot + 0.02, 0.026).at(y=0.18)]
    else:
        parts += [box(pot * 0.9, 0.1, pot * 0.9).at(y=0.1), box(pot + 0.01, 0.026, pot + 0.01).at(y=0.18)]
    if a["leaves"] == "with":
        leaf = ellipsoid(0.1, 0.024, 0.055).at(x=0.095).turn("z", 30)
        parts.append(leaf.at(y=0.2 + stem * 0.3).mirror("x"))
    return union(*parts).at(y=-(rise + 0.16) / 2)


@category(
    "toadstool",
    "fungus",
    cap={
        "round": ("with a round cap", "with a domed cap"),
        "flat": ("with a flat cap", "flat-capped"),
        "pointed": ("with a pointed cap", "with a conical cap"),
    },
    stem={"thick": ("with a thick stem", "with a fat stem"), "thin": ("with a thin stem", "with a slim stem")},
    young={"with": ("with a small one beside it", "with a little one beside it"), "without": ("single", "lone")},
)
def mushroom(a: Mapping[str, str], vary: Variation) -> Sdf:
    width, height = vary(0.29, 0.33), vary(0.44, 0.5)
    stem = vary(0.12, 0.135) if a["stem"] == "thick" else vary(0.06, 0.07)
    rise = {"round": vary(0.24, 0.27), "flat": vary(0.1, 0.11), "pointed": vary(0.33, 0.37)}[a["cap"]]

    def one() -> Sdf:
        if a["cap"] == "pointed":
            cap = cone(width, 0.02, rise).grow(0.012)
        else:
            cap = ellipsoid(width, rise, width) & box(1.0, 0.5, 1.0).at(y=0.49)
        foot = capsule((0, stem * 1.3, 0), (0, height + 0.03, 0), stem * 1.3, stem * 0.9)
        return cap.at(y=height - 0.02) | (foot & box(1.0, 0.5, 1.0).at(y=0.52))

    solid = one()
    if a["young"] == "with":
        big = solid
        small = Sdf(lambda p: big((p[0] * 2.2, p[1] * 2.2, p[2] * 2.2)) / 2.2).at(stem + 0.13, 0.0, 0.16)
        solid = union(solid, small, ellipsoid(stem + 0.22, 0.045, stem + 0.18).at(0.05, 0.03, 0.06))
    return solid.at(-0.02, -(height + rise) / 2)
