"""Vehicles. They drive towards +x."""

from __future__ import annotations

from collections.abc import Mapping

from training.shapes.registry import Variation, category
from training.shapes.sdf import Sdf, box, capsule, cone, cylinder, ellipsoid, extrude, revolve, union


def _wheels(xs: list[float], radius: float, track: float, thick: float = 0.035) -> Sdf:
    wheel = cylinder(radius, thick, 0.01, axis="z")
    return union(*(wheel.at(x, radius, track).mirror("z") for x in xs))


@category(
    "automobile",
    "motor car",
    length={"long": ("long", "stretched"), "short": ("short", "compact")},
    roof={"closed": ("closed", "with a roof"), "open": ("open", "without a roof", "convertible")},
    wheels={"large": ("with large wheels", "with big wheels"), "small": ("with small wheels", "with little wheels")},
)
def car(a: Mapping[str, str], vary: Variation) -> Sdf:
    half = vary(0.4, 0.43) if a["length"] == "long" else vary(0.27, 0.3)
    radius = vary(0.105, 0.12) if a["wheels"] == "large" else vary(0.06, 0.07)
    width, deck, cabin = vary(0.15, 0.17), vary(0.15, 0.17), vary(0.13, 0.15)
    floor = radius * 0.6
    body = box(half, deck / 2, width, 0.035).at(y=floor + deck / 2)
    top = floor + deck
    if a["roof"] == "closed":
        rear, front = -half * vary(0.72, 0.8), half * vary(0.4, 0.5)
        outline = [
            (rear, -0.05),
            (front + 0.03, -0.05),
            (front, 0.0),
            (front - 0.13, cabin),
            (rear + 0.07, cabin),
            (rear, 0.0),
        ]
        body = body.blend(extrude(outline, width - 0.03).grow(0.008).at(y=top), 0.02)
    else:
        well = box(half * 0.45, 0.085, width - 0.04, 0.02).at(-half * 0.15, top)
        screen = box(0.018, 0.06, width - 0.02).turn("z", 25).at(half * 0.34, top + 0.02)
        seat = box(0.022, 0.07, width - 0.06, 0.01).turn("z", 12).at(-half * 0.3, top - 0.02)
        body = (body - well) | screen | seat
    wheels = _wheels([-half * 0.62, half * 0.62], radius, width)
    return (body | wheels).at(y=-(top + 0.1) / 2)


@category(
    "plane",
    "aeroplane",
    wings={"swept": ("with swept wings", "swept-wing"), "straight": ("with straight wings", "straight-wing")},
    span={"long": ("with long wings", "with a wide span"), "short": ("with short wings", "with a narrow span")},
    engines={
        "two": ("with two engines", "twin-engine"),
        "four": ("with four engines", "four-engine"),
        "none": ("without engines", "engineless"),
    },
)
def airplane(a: Mapping[str, str], vary: Variation) -> Sdf:
    half, radius = vary(0.38, 0.41), vary(0.055, 0.065)
    span = vary(0.4, 0.43) if a["span"] == "long" else vary(0.25, 0.28)
    chord, sweep = vary(0.15, 0.18), vary(0.17, 0.2) if a["wings"] == "swept" else 0.0
    body = capsule((radius - half, 0, 0), (half - radius, 0, 0), radius)
    tip = chord * 0.6
    lead = chord * 0.6
    # Outlines for axis y are in (z, x).
    wing = extrude(
        [(0, lead), (span, lead - sweep - 0.02), (span, lead - sweep - 0.02 - tip), (0, lead - chord)], 0.019, "y"
    ).mirror("z")
    tail = extrude([(0, 0.09), (0.16, 0.04 - sweep * 0.3), (0.16, -0.04 - sweep * 0.3), (0, -0.02)], 0.018, "y").mirror(
        "z"
    )
    fin = extrude([(0.1, 0), (0.0, 0.2), (-0.09, 0.2), (-0.05, 0)], 0.019)
    parts = [body, wing.at(y=-0.02), tail.at(0.02 - half + 0.05, 0.02), fin.at(0.03 - half + 0.05)]
    spots = {"two": [0.42], "four": [0.32, 0.68], "none": []}[a["engines"]]
    for f in spots:
        x = lead - f * (sweep + 0.02)
        parts.append(capsule((x - 0.06, 0, 0), (x + 0.05, 0, 0), 0.034).at(y=-0.055, z=f * span).mirror("z"))
    return union(*parts).at(y=-0.06)


@category(
    "sailboat",
    "ship",
    hull={"long": ("with a long hull", "long"), "short": ("with a short hull", "short")},
    mast={"tall": ("with a tall mast", "tall"), "low": ("with a low mast", "low")},
    sails={"two": ("with two sails", "with 2 sails"), "one": ("with one sail", "with a single sail")},
)
def boat(a: Mapping[str, str], vary: Variation) -> Sdf:
    half = vary(0.38, 0.42) if a["hull"] == "long" else vary(0.23, 0.26)
    mast = vary(0.58, 0.64) if a["mast"] == "tall" else vary(0.34, 0.38)
    width, depth = vary(0.11, 0.14), vary(0.12, 0.14)
    # The hull: a pointed outline seen from above, cut below by a round keel.
    outline = [
        (0.0, half),
        (width * 0.7, half * 0.55),
        (width, 0.0),
        (width * 0.85, -half * 0.9),
        (-width * 0.85, -half * 0.9),
        (-width, 0.0),
        (-width * 0.7, half * 0.55),
    ]
    hull = extrude(outline, depth, "y") & ellipsoid(half * 1.12, depth, width * 1.25)
    hull = hull & box(1.0, depth / 2, 1.0).at(y=-depth / 2)
    cabin = box(half * 0.22, 0.045, width * 0.5, 0.01).at(-half * 0.5, 0.025)
    pole = cylinder(0.02, mast / 2 + 0.03).at(0.02, mast / 2 - 0.03)
    boom = half * 0.8
    sails = extrude([(0.02, mast * 0.14), (0.02, mast), (-boom, mast * 0.14)], 0.018)
    if a["sails"] == "two":
        sails = sails | extrude([(0.05, mast * 0.9), (half * 0.92, mast * 0.1), (0.05, mast * 0.14)], 0.018)
        sails = sails | cylinder(0.019, 0.04, axis="x").at(0.04, mast * 0.5)
    return union(hull, cabin, pole, sails).at(y=-(mast - depth) / 2)


@category(
    "lorry",
    "cargo truck",
    length={"long": ("long", "stretched"), "short": ("short", "compact")},
    cargo={
        "box": ("with a box", "with a container"),
        "tank": ("with a tank", "with a round tank"),
        "flatbed": ("flatbed", "with an open bed"),
    },
    wheels={"large": ("with large wheels", "with big wheels"), "small": ("with small wheels", "with little wheels")},
)
def truck(a: Mapping[str, str], vary: Variation) -> Sdf:
    half = vary(0.4, 0.43) if a["length"] == "long" else vary(0.28, 0.3)
    radius = vary(0.09, 0.1) if a["wheels"] == "large" else vary(0.055, 0.062)
    width, tall = vary(0.14, 0.16), vary(0.27, 0.31)
    floor, cab = radius + 0.02, vary(0.15, 0.17)
    front = half - cab
    outline = [(front, 0.0), (half, 0.0), (half, tall * 0.5), (half - 0.05, tall), (front, tall)]
    parts = [
        box(half - 0.02, 0.026, width * 0.8).at(y=floor),
        extrude(outline, width - 0.01).grow(0.008).at(y=floor - 0.03),
    ]
    bed, middle = (half + front - 0.05) / 2, (front - 0.05 - half) / 2
    if a["cargo"] == "box":
        parts.append(box(bed, tall * 0.57, width, 0.01).at(middle, floor + tall * 0.57))
    elif a["cargo"] == "tank":
        parts.append(cylinder(tall * 0.45, bed, 0.04, axis="x").at(middle, floor + tall * 0.45))
    else:
        low = box(bed, 0.055, width, 0.008).at(middle, floor + 0.05)
        parts.append(low - box(bed - 0.045, 0.08, width - 0.045).at(middle, floor + 0.13))
    axles = (
        [-half * 0.72, half * 0.68]
        if a["length"] == "short"
        else [-half * 0.78, -half * 0.78 + radius * 2.15, half * 0.7]
    )
    return union(*parts, _wheels(axles, radius, width - 0.03)).at(y=-(floor + tall) / 2)


@category(
    "spaceship",
    "space rocket",
    body={"thick": ("thick", "fat", "wide"), "slim": ("slim", "thin", "slender")},
    fins={"three": ("with three fins", "with 3 fins"), "four": ("with four fins", "with 4 fins")},
    boosters={
        "with": ("with boosters", "with side boosters"),
        "without": ("without boosters", "without side boosters"),
    },
    nose={"pointed": ("with a pointed nose", "with a sharp nose"), "round": ("with a round nose", "with a blunt nose")},
)
def rocket(a: Mapping[str, str], vary: Variation) -> Sdf:
    radius = vary(0.12, 0.14) if a["body"] == "thick" else vary(0.07, 0.08)
    height, reach = vary(0.82, 0.87), vary(0.12, 0.15)
    shoulder = height * vary(0.6, 0.66)
    if a["nose"] == "pointed":
        profile = [
            (0.0, 0.06),
            (radius * 0.85, 0.06),
            (radius, 0.2),
            (radius, shoulder),
            (radius * 0.7, shoulder + (height - shoulder) * 0.45),
            (0.0, height),
        ]
        body = revolve(profile)
    else:
        body = revolve(
            [(0.0, 0.06), (radius * 0.85, 0.06), (radius, 0.2), (radius, height - radius), (0.0, height - radius)]
        )
        body = body | ellipsoid(radius, radius * 1.1, radius).at(y=height - radius)
    outline = [(0.0, 0.1), (radius + reach, 0.0), (radius + reach, 0.1), (radius - 0.01, 0.28), (0.0, 0.28)]
    fin = extrude(outline, 0.02).ring(3 if a["fins"] == "three" else 4)
    parts = [body, fin, cone(radius * 0.85, radius * 0.55, 0.1)]
    if a["boosters"] == "with":
        # Between the fins: boosters stand on the two sides where neither three nor four fins are.
        tube = (
            capsule((0, 0.1, 0), (0, shoulder * 0.75, 0), 0.045)
            .at(z=radius + 0.035)
            .turn("y", 45 if a["fins"] == "four" else 0)
        )
        parts += [tube, tube.turn("y", 180)]
    return union(*parts).at(y=-height / 2)


@category(
    "locomotive",
    "steam engine",
    length={"long": ("long", "stretched"), "short": ("short", "compact")},
    chimney={
        "tall": ("with a tall chimney", "with a high chimney"),
        "low": ("with a low chimney", "with a short chimney"),
    },
    wagon={"with": ("with a wagon", "with a carriage"), "without": ("without a wagon", "without a carriage")},
)
def train(a: Mapping[str, str], vary: Variation) -> Sdf:
    half = vary(0.38, 0.4) if a["length"] == "long" else vary(0.29, 0.31)
    boiler, width, radius = vary(0.085, 0.1), vary(0.11, 0.13), vary(0.055, 0.065)
    rear = -half if a["wagon"] == "without" else -half * 0.05
    floor = radius + 0.03
    cab = (half - rear) * 0.16
    stack = vary(0.17, 0.2) if a["chimney"] == "tall" else vary(0.06, 0.07)
    axis = floor + boiler + 0.01
    parts = [
        box((half - rear) / 2, 0.03, width).at((half + rear) / 2, floor),
        cylinder(boiler, (half - rear - cab) / 2, 0.015, axis="x").at((half + rear + cab) / 2 - 0.01, axis),
        box(cab, boiler + 0.05, width, 0.01).at(rear + cab, floor + boiler + 0.05),
        box(cab + 0.025, 0.02, width + 0.02).at(rear + cab, floor + 2 * boiler + 0.11),
        cone(0.03, 0.05, stack + 0.05).at(half - 0.08, axis + boiler - 0.05),
        extrude([(0.0, 0.0), (0.09, -0.06), (0.0, -0.06)], width * 0.9).at(half - 0.04, floor),
    ]
    count = 3 if a["length"] == "long" and a["wagon"] == "without" else 2
    step = (half - rear - 2 * radius - 0.06) / (count - 1)
    axles = [rear + radius + 0.02 + step * i for i in range(count)]
    if a["wagon"] == "with":
        middle, wagon = (rear - 0.04 - half) / 2, (rear - 0.04 + half) / 2
        parts.append(box(wagon, 0.1, width, 0.01).at(middle, floor + 0.08))
        parts.append(box(0.06, 0.022, 0.03).at(rear - 0.02, floor))
        axles += [middle - wagon * 0.55, middle + wagon * 0.55]
    return union(*parts, _wheels(axles, radius, width - 0.01)).at(y=-(axis + boiler + stack * 0.6) / 2)
