"""A preset in the body of a request: what it stands for goes into the fields that the client left out.

That happens as soon as a body is read, so that nothing behind knows presets: equal shapes are equal requests. The one
that stays is turbo, because other networks make its shapes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from models.presets import PRESETS, PresetName, only, preset_of

FIELD = "preset"
MAX_GUIDANCE = 20.0
CONTROLS = ("scheduler", "ddim_steps", "fine_steps", "guidance_interval", "guidance_scale")
"""Fields that a preset has a value for."""


def controls_of(name: object) -> dict[str, Any] | None:
    """What a preset chooses, by field; None if there is none of that name. A field that stays as it is is left out."""
    preset = preset_of(name)
    if preset is None:
        return None
    values = (preset.scheduler, preset.steps, preset.fine_steps, preset.guidance_interval, preset.guidance_scale)
    return {field: value for field, value in zip(CONTROLS, values, strict=True) if value is not None}


def without_preset(given: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a request with those that its preset chooses; fields that were given win.

    A preset that nobody knows stays, for the check of the fields to name, and so does one that takes no other steps.

    Raises:
        ValueError: It is such a one, and others were given.
    """
    controls = controls_of(given.get(FIELD))
    if controls is None:
        return dict(given)
    if is_fixed(given.get(FIELD)):
        check_fixed(given)
        # Students have learnt guidance: a scale that is given, and may be, changes nothing.
        scale = given.get("guidance_scale")
        unused = (
            {"guidance_scale"}
            if isinstance(scale, int | float) and scale is not True and 1 <= scale <= MAX_GUIDANCE
            else set()
        )
        return controls | {name: value for name, value in given.items() if name not in unused}
    return controls | {name: value for name, value in given.items() if name != FIELD}


def is_fixed(name: object) -> bool:
    """Whether a preset of this name takes no other steps."""
    preset = preset_of(name)
    return preset is not None and preset.is_fixed


def check_fixed(given: Mapping[str, Any]) -> None:
    """Lets the fields of a request pass unless its preset takes other steps alone. Raises ValueError naming a field."""
    preset = preset_of(given.get(FIELD))
    if preset is None or not preset.is_fixed:
        return
    fixed = {"scheduler": preset.scheduler, "ddim_steps": preset.steps, "fine_steps": preset.fine_steps or preset.steps}
    if other := next((name for name, value in fixed.items() if name in given and given[name] != value), None):
        raise ValueError(f"should leave {other} out: preset {given[FIELD]} takes {only(preset)}")


def item_without_preset(item: Mapping[str, Any], shared: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of an item of a batch; what was given next to the prompts wins over its preset too.

    Args:
        item: Those that the item gives.
        shared: Those that were given next to the prompts.

    Raises:
        ValueError: Its preset, or that of all, takes no other steps, and others were given.
    """
    if controls_of(item.get(FIELD)) is None:
        check_fixed({**shared, **item})
        return dict(item)
    explicit = {name: value for name, value in shared.items() if name in CONTROLS}
    filled = without_preset({**explicit, **item})
    if controls_of(shared.get(FIELD)) is not None:  # whose fine steps this item's own preset has replaced
        filled.setdefault("fine_steps", filled["ddim_steps"])
    if is_fixed(shared.get(FIELD)):
        filled.setdefault(FIELD, "standard")
    return filled


def described() -> str:
    """All presets in words, for the schema."""
    return f"controls by name, where a field that is given wins: {'; '.join(map(_in_words, PRESETS))}"


def _in_words(name: PresetName) -> str:
    preset = PRESETS[name]
    fine = "" if preset.fine_steps is None else f", {preset.fine_steps} fine ones"
    low, high = preset.guidance_interval
    interval = "" if (low, high) == (0.0, 1.0) else f", guidance from {low:g} to {high:g}"
    fixed = " without guidance by a turbo pair, where the models have one, and takes nothing else"
    return f"{name} is {preset.scheduler} with {preset.steps} steps{fine}{interval}{fixed if preset.is_fixed else ''}"
