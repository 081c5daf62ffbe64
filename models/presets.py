"""Presets: sets of controls by name, for those who want a shape soon, or a good one, without knowing each control.

This table is the only place with their values. Whatever a caller gives explicitly wins over a preset.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal

PresetName = Literal["draft", "standard", "best"]
Network = Literal["standard", "turbo"]
"""Which of a stage's denoisers: its own, or the student that needs few steps."""


@dataclass(frozen=True)
class Preset:
    """What a preset chooses, in the words of `models.pipeline.Pipeline.generate`.

    Attributes:
        meaning: What it is for, in a few words.
        scheduler: How the steps go.
        steps: Denoising steps of the coarse stage, and of the fine one if `fine_steps` is None.
        fine_steps: Denoising steps of the fine stage alone.
        guidance_interval: The part of the coarse run in which guidance is applied, from 0 at pure noise to 1.
    """

    meaning: str
    scheduler: str
    steps: int
    fine_steps: int | None = None
    guidance_interval: tuple[float, float] = (0.0, 1.0)


PRESETS: dict[PresetName, Preset] = {
    "draft": Preset("to look at soon", "dpm++", 12, fine_steps=8),
    "standard": Preset("what a request without any control gets", "ddim", 100),
    "best": Preset("the most quality, whatever it takes", "ddim", 250, fine_steps=100),
}


def preset_of(name: object) -> Preset | None:
    """The preset with a name; None if there is none."""
    return next((preset for known, preset in PRESETS.items() if known == name), None)


def controls(name: str | None, **given: Any) -> Preset:
    """What a preset chooses, with what a caller gives in its place.

    Args:
        name: The preset; None is the standard.
        **given: Values by the names of `Preset`; None leaves one to the preset.

    Raises:
        ValueError: There is no such preset.
    """
    preset = PRESETS["standard"] if name is None else preset_of(name)
    if preset is None:
        raise ValueError(f"preset must be one of {', '.join(PRESETS)}, not {name!r}")
    return replace(preset, **{control: value for control, value in given.items() if value is not None})
