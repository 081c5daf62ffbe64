"""More vehicles. They drive towards +x."""

from __future__ import annotations

from collections.abc import Mapping

from training.shapes.registry import Variation, category
from training.shapes.sdf import Sdf, box, capsule, cylinder, ellipsoid, extrude, torus, union


def _wheel(radius: float, tyre: float) -> Sdf:
    """A spoked wheel around z, its middle in the origin."""
    spokes = union(*(capsule((0, tyre - radius, 0), (0, radius - tyre, 0), 0.018).turn("z", 45 * i) for i in range(4)))
    return torus(radius - tyre, tyre).turn("x", 90) | spokes | cylinder(0.036, 0.03, axis="z")


@category(
    "bike",
    "push bike",
    handlebar={
        "straight": ("with a straight handlebar", "with a flat handlebar"),
        "raised": ("with a raised handlebar", "with a high handlebar"),
    },
    wheels={"large": ("with large wheels", "with big wheels"), "small": ("with small wheels", "with little wheels")},
    basket={"with": ("with a basket", "with a front basket"), "without": ("without a basket", "basketless")},
)
def bicycle(a: Mapping[str, str], vary: Variation) -> Sdf:
    radius = vary(0.17, 0.185) if a["wheels"] == "large" else vary(0.115, 0.125)
    base, tube = vary(0.24, 0.25), 0.02
    wheel = _wheel(radius, 0.023)
    rear, front = (-base, radius, 0.0), (base, radius, 0.0)
    crank, seat, head = (-0.04, radius - 0.005, 0.0), (-0.11, radius + 0.22, 0.0), (0.17, radius + 0.24, 0.0)
    grip = radius + (0.38 if a["handlebar"] == "raised" else 0.28)
    bar = capsule((0.15, grip, 0), (0.15, grip, 0.13), 0.021)
    lines = [
        (rear, crank),
        (rear, seat),
        (crank, seat),
        (seat, head),
        (crank, head),
        (head, front),
        (head, (0.15, grip, 0.0)),
    ]
    # Forks lie beside the wheels, so that spokes stay to be seen.
    frame = union(*(capsule(p, q, tube) for p, q in lines))
    saddle = capsule((-0.17, radius + 0.27, 0), (-0.05, radius + 0.27, 0), 0.038, 0.024) | capsule(
        seat, (-0.12, radius + 0.27, 0.0), tube
    )
    pedals = capsule(crank, (0.02, radius - 0.08, 0.06), tube) | capsule(crank, (-0.1, radius + 0.07, -0.06), tube)
    pads = box(0.035, 0.018, 0.03).at(0.02, radius - 0.08, 0.08) | box(0.035, 0.018, 0.03).at(
        -0.1, radius + 0.07, -0.08
    )
    parts = [wheel.at(*rear), wheel.at(*front), frame, saddle, bar.mirror("z"), pedals, pads]
    if a["basket"] == "with":
        parts.append((box(0.075, 0.06, 0.085) - box(0.045, 0.06, 0.055).at(y=0.03)).at(0.26, radius + 0.24))
        parts.append(capsule(head, (0.24, radius + 0.22, 0.0), tube))
    return union(*parts).at(0, -(grip + 0.02) / 2)


@category(
    "motorbike",
    "scooter",
    handlebar={"high": ("with a high handlebar", "chopper"), "low": ("with a low handlebar", "racing")},
    seat={"long": ("with a long seat", "with a double seat"), "short": ("with a short seat", "with a single seat")},
    box={"with": ("with a case", "with a top case"), "without": ("without a case", "caseless")},
)
def motorcycle(a: Mapping[str, str], vary: Variation) -> Sdf:
    radius, base = vary(0.14, 0.155), vary(0.26, 0.28)
    wheel = torus(radius - 0.042, 0.042).turn("x", 90) | cylinder(radius - 0.05, 0.024, axis="z")
    rear, front = (-base, radius, 0.0), (base, radius, 0.0)
    engine = box(0.1, 0.075, 0.055, 0.02).at(-0.01, radius + 0.03)
    tank = ellipsoid(0.12, 0.06, 0.06).at(0.06, radius + 0.16)
    reach = 0.16 if a["seat"] == "long" else 0.09
    seat = box(reach, 0.03, 0.05, 0.02).at(-0.06 - reach, radius + 0.145)
    high = radius + (0.34 if a["handlebar"] == "high" else 0.23)
    fork = capsule(front, (base - 0.11, radius + 0.2, 0.0), 0.026).at(z=0.055).mirror("z")
    stem = capsule((base - 0.11, radius + 0.19, 0.0), (base - 0.15, high, 0.0), 0.026)
    bar = capsule((base - 0.15, high, 0), (base - 0.19, high + 0.01, 0.15), 0.021).mirror("z")
    light = cylinder(0.045, 0.03, 0.01, axis="x").at(base - 0.06, radius + 0.2)
    brace = capsule((base - 0.11, radius + 0.19, -0.05), (base - 0.11, radius + 0.19, 0.05), 0.03)
    swing = capsule(rear, (-0.02, radius + 0.0, 0.0), 0.026).at(z=0.05).mirror("z")
    frame = capsule((-0.25, radius + 0.12, 0), (base - 0.1, radius + 0.18, 0), 0.032)
    pipe = capsule((-base - 0.04, radius - 0.03, 0.085), (0.0, radius - 0.02, 0.075), 0.032, 0.024)
    guard = (torus(radius + 0.03, 0.022).turn("x", 90) & box(1.0, 0.5, 0.05).at(y=0.54)).at(-base, radius)
    parts = [
        wheel.at(*rear),
        wheel.at(*front),
        engine,
        tank,
        seat,
        fork,
        stem,
        bar,
        light,
        brace,
        swing,
        frame,
        pipe,
        guard,
    ]
    parts.append(capsule((-base, radius + 0.12, 0), (-base, radius + 0.17, 0), 0.026))
    if a["box"] == "with":
        parts.append(box(0.065, 0.06, 0.075, 0.01).at(-base - 0.03, radius + 0.235))
        parts.append(box(0.08, 0.024, 0.03).at(-base + 0.02, radius + 0.175))
    return union(*parts).at(0.03, -(high + 0.03) / 2)


@category(
    "city bus",
    "coach",
    decks={"one": ("single-decker", "with one deck"), "two": ("double-decker", "with two decks")},
    length={"long": ("long", "stretched"), "short": ("short", "compact")},
    door={"with": ("with an open door", "with doors"), "without": ("without an open door", "with closed doors")},
)
def bus(a: Mapping[str, str], vary: Variation) -> Sdf:
    half = vary(0.41, 0.43) if a["length"] == "long" else vary(0.28, 0.3)
    width, deck = vary(0.125, 0.14), vary(0.15, 0.165)
    floors = 2 if a["decks"] == "two" else 1
    tall = deck * floors + 0.06
    body = box(half, tall / 2, width, 0.025).at(y=0.05 + tall / 2)
    count = 6 if a["length"] == "long" else 4
    for floor in range(floors):
        y = 0.05 + deck * (floor + 0.68)
        for i in range(count):
            pane = box(half / count * 0.72, 0.04, 0.026).at(half * ((2 * i + 1) / count - 1), y, width)
            body = body - pane.mirror("z")
        body = body - box(0.026, 0.045, width - 0.035).at(half, y)
    if a["door"] == "with":
        body = body - box(0.05, 0.11, 0.045).at(half * 0.72, 0.17, width)
    wheel = cylinder(0.066, 0.03, 0.01, axis="z").at(half * 0.6, 0.066, width - 0.01).mirror("x", "z")
    return (body | wheel).at(y=-(tall + 0.05) / 2)


@category(
    "saloon car",
    "family car",
    boot={"notchback": ("with a boot", "with a trunk"), "hatchback": ("hatchback", "without a boot")},
    height={"low": ("low", "sporty"), "high": ("high", "off-road")},
    rack={"with": ("with a roof rack", "with a luggage rack"), "without": ("without a roof rack", "without a rack")},
)
def sedan(a: Mapping[str, str], vary: Variation) -> Sdf:
    half, width, radius = vary(0.39, 0.42), vary(0.15, 0.165), vary(0.075, 0.083)
    lift = 0.05 if a["height"] == "low" else 0.095
    belt, cabin = vary(0.125, 0.135), vary(0.115, 0.125)
    notch = a["boot"] == "notchback"
    rear = -half * 0.52 if notch else -half * 0.9
    side = [
        (-half, 0.02),
        (half - 0.02, 0.02),
        (half, 0.05),
        (half - 0.03, belt * 0.8),
        (half * 0.42, belt),
        (-half * 0.6, belt),
        (-half + 0.01, belt * 0.93),
    ]
    body = extrude(side, width).grow(0.006)
    glass = [
        (rear - 0.06, belt - 0.01),
        (half * 0.42, belt - 0.01),
        (half * 0.1, belt + cabin),
        (rear + 0.1, belt + cabin),
    ]
    house = extrude(glass, width - 0.025)
    middle = (rear + half * 0.26) / 2
    pane = extrude(
        [
            (rear + 0.035, belt + 0.018),
            (middle - 0.018, belt + 0.018),
            (middle - 0.018, belt + cabin - 0.03),
            (rear + 0.1, belt + cabin - 0.03),
        ],
        0.03,
    )
    pane = pane | extrude(
        [
            (middle + 0.018, belt + 0.018),
            (half * 0.3, belt + 0.018),
            (half * 0.1, belt + cabin - 0.03),
            (middle + 0.018, belt + cabin - 0.03),
        ],
        0.03,
    )
    house = house - pane.at(z=width - 0.02).mirror("z")
    arches = cylinder(radius + 0.02, 0.06, axis="z").at(half * 0.62, radius - lift, width).mirror("z")
    arches = arches | cylinder(radius + 0.02, 0.06, axis="z").at(-half * 0.62, radius - lift, width).mirror("z")
    shell = (body | house) - arches
    wheel = cylinder(radius, 0.03, 0.012, axis="z") - cylinder(radius * 0.55, 0.02, axis="z").at(z=0.03)
    wheels = wheel.at(half * 0.62, radius, width - 0.024).mirror("x", "z")
    axle = cylinder(0.024, width - 0.02, axis="z").at(half * 0.62, radius).mirror("x")
    parts = [shell.at(y=lift), wheels, axle, box(half * 0.7, 0.03, width - 0.07).at(y=max(lift, radius))]
    if a["rack"] == "with":
        top = lift + belt + cabin
        parts.append(box(half * 0.3, 0.022, 0.02).at(middle, top + 0.035, width - 0.06).mirror("z"))
        parts.append(box(0.022, 0.03, width - 0.05).at(half * 0.17, top + 0.022).mirror("x").at(x=middle))
    return union(*parts).at(y=-(lift + belt + cabin) / 2)


@category(
    "chopper helicopter",
    "rescue helicopter",
    skids={"skids": ("with skids", "with runners"), "wheels": ("with wheels", "on wheels")},
    blades={"two": ("with two blades", "with 2 blades"), "four": ("with four blades", "with 4 blades")},
    tail={"long": ("with a long tail", "long-tailed"), "short": ("with a short tail", "short-tailed")},
)
def helicopter(a: Mapping[str, str], vary: Variation) -> Sdf:
    long = a["tail"] == "long"
    reach = vary(0.36, 0.39) if long else vary(0.22, 0.25)
    belly = vary(0.12, 0.13)
    cabin = ellipsoid(0.19, belly, 0.115).at(0.1)
    boom = capsule((0.0, 0.03, 0), (-reach, 0.07, 0), 0.06, 0.03)
    fin = extrude([(0.0, 0.0), (-0.08, 0.16), (-0.13, 0.16), (-0.09, 0.0)], 0.019).at(-reach + 0.05, 0.06)
    tail = (box(0.02, 0.1, 0.018) | box(0.1, 0.02, 0.018)).at(-reach - 0.01, 0.08, 0.045) | capsule(
        (-reach, 0.075, 0.0), (-reach, 0.08, 0.05), 0.024
    )
    rotor = box(0.37, 0.018, 0.03).turn("y", vary(10, 40))
    if a["blades"] == "four":
        rotor = rotor | rotor.turn("y", 90)
    mast = cylinder(0.026, 0.05).at(0.06, belly + 0.03) | cylinder(0.045, 0.024).at(0.06, belly + 0.075)
    if a["skids"] == "skids":
        gear = capsule((-0.1, -belly - 0.07, 0.12), (0.27, -belly - 0.07, 0.12), 0.021)
        gear = (
            gear
            | capsule((0.02, -belly * 0.6, 0.05), (0.0, -belly - 0.07, 0.12), 0.02)
            | capsule((0.18, -belly * 0.5, 0.05), (0.2, -belly - 0.07, 0.12), 0.02)
        )
    else:
        gear = cylinder(0.045, 0.024, 0.01, axis="z").at(0.02, -belly - 0.04, 0.1) | capsule(
            (0.04, -belly * 0.4, 0.05), (0.02, -belly - 0.04, 0.1), 0.024
        )
        gear = (
            gear
            | cylinder(0.04, 0.024, axis="z").at(0.22, -belly - 0.02)
            | capsule((0.2, -0.05, 0.0), (0.22, -belly - 0.02, 0.0), 0.024)
        )
    shift = 0.05 if long else -0.06
    return union(cabin.blend(boom, 0.05), fin, tail, rotor.at(0.06, belly + 0.085), mast, gear.mirror("z")).at(
        shift, -0.01
    )


@category(
    "farm tractor",
    "field tractor",
    cab={"with": ("with a cab", "with a roof"), "without": ("without a cab", "open")},
    exhaust={
        "tall": ("with a tall exhaust", "with a high exhaust"),
        "low": ("with a low exhaust", "with a short exhaust"),
    },
    wheels={"wide": ("with wide wheels", "with fat tyres"), "narrow": ("with narrow wheels", "with thin tyres")},
)
def tractor(a: Mapping[str, str], vary: Variation) -> Sdf:
    big, small = vary(0.19, 0.21), vary(0.1, 0.11)
    thick = 0.065 if a["wheels"] == "wide" else 0.036
    track = 0.15
    hub = cylinder(0.08, 0.03, axis="z")
    rear = (cylinder(big, thick, 0.015, axis="z") - cylinder(big * 0.55, 0.024, axis="z").at(z=thick)) | hub
    front = cylinder(small, thick * 0.8, 0.012, axis="z")
    wheels = rear.at(-0.2, big, track + thick).mirror("z") | front.at(0.27, small, track).mirror("z")
    axles = cylinder(0.035, track + 0.03, axis="z").at(-0.2, big) | cylinder(0.026, track, axis="z").at(0.27, small)
    hood = box(0.2, 0.08, 0.085, 0.02).at(0.2, big + 0.08)
    chassis = box(0.3, 0.05, 0.07).at(0.06, big - 0.02) | box(0.03, 0.08, 0.03).at(0.27, small + 0.06)
    exhaust = cylinder(0.024, 0.12 if a["exhaust"] == "tall" else 0.05).at(
        0.25, big + 0.16 + (0.1 if a["exhaust"] == "tall" else 0.03)
    )
    parts = [wheels, axles, hood, chassis, exhaust]
    if a["cab"] == "with":
        cab = box(0.13, 0.17, 0.13, 0.01) - box(0.09, 0.1, 1.0).at(y=0.03) - box(1.0, 0.1, 0.09).at(y=0.03)
        parts += [cab.at(-0.13, big + 0.2), box(0.16, 0.022, 0.155).at(-0.13, big + 0.38)]
        top = big + 0.4
    else:
        seat = box(0.06, 0.03, 0.07, 0.01).at(-0.17, big + 0.12) | box(0.024, 0.09, 0.07).at(-0.23, big + 0.19)
        wheel = torus(0.06, 0.02).turn("z", -60).at(-0.02, big + 0.21) | capsule(
            (0.05, big + 0.13, 0), (-0.02, big + 0.21, 0), 0.02
        )
        parts += [seat, wheel, box(0.1, 0.05, 0.06).at(-0.15, big + 0.06)]
        parts.append(union(box(0.018, 0.018, 0.06), box(0.06, 0.018, 0.018)).turn("z", -60).at(-0.02, big + 0.21))
        top = big + 0.3
    return union(*parts).at(0.0, -top / 2)
