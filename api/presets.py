"""A preset in the body of a request: what it stands for goes into the fields that the client left out.

That happens as soon as a body is read, so that nothing behind knows presets: equal shapes are equal requests.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from models.presets import PRESETS, PresetName, preset_of

FIELD = "preset"
CONTROLS = ("scheduler", "ddim_steps", "fine_steps", "guidance_interval")
"""Fields that a preset has a value for."""


def controls_of(name: object) -> dict[str, Any] | None:
    """What a preset chooses, by field; None if there is none of that name. A field that stays as it is is left out."""
    preset = preset_of(name)
    if preset is None:
        return None
    values = (preset.scheduler, preset.steps, preset.fine_steps, preset.guidance_interval)
    return {field: value for field, value in zip(CONTROLS, values, strict=True) if value is not None}


def without_preset(given: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a request with those that its preset chooses; fields that were given win.

    A preset that nobody knows stays, for the check of the fields to name.
    """
    controls = controls_of(given.get(FIELD))
    if controls is None:
        return dict(given)
    return controls | {name: value for name, value in given.items() if name != FIELD}


def item_without_preset(item: Mapping[str, Any], shared: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of an item of a batch; what was given next to the prompts wins over its preset too.

    Args:
        item: Those that the item gives.
        shared: Those that were given next to the prompts.
    """
    if controls_of(item.get(FIELD)) is None:
        return dict(item)
    explicit = {name: value for name, value in shared.items() if name in CONTROLS}
    filled = without_preset({**explicit, **item})
    if controls_of(shared.get(FIELD)) is not None:  # whose fine steps this item's own preset has replaced
        filled.setdefault("fine_steps", filled["ddim_steps"])
    return filled


def described() -> str:
    """All presets in words, for the schema."""
    return f"controls by name, where a field that is given wins: {'; '.join(map(_in_words, PRESETS))}"


def _in_words(name: PresetName) -> str:
    preset = PRESETS[name]
    fine = "" if preset.fine_steps is None else f", {preset.fine_steps} fine ones"
    low, high = preset.guidance_interval
    interval = "" if (low, high) == (0.0, 1.0) else f", guidance from {low:g} to {high:g}"
    return f"{name} is {preset.scheduler} with {preset.steps} steps{fine}{interval}"
