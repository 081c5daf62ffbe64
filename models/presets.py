"""Presets: sets of controls by name, for those who want a shape soon, or a good one, without knowing each control.

This table is the only place with their values. Whatever a caller gives explicitly wins over a preset, but for those of
a student: it has learnt what to do at its own timesteps alone.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal

PresetName = Literal["draft", "standard", "best", "turbo"]
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
        guidance_scale: How strong it is there; 1 is none.
        network: Which denoisers take the steps.
    """

    meaning: str
    scheduler: str
    steps: int
    fine_steps: int | None = None
    guidance_interval: tuple[float, float] = (0.0, 1.0)
    guidance_scale: float = 7.5
    network: Network = "standard"

    @property
    def is_fixed(self) -> bool:
        """Whether a caller may give no other steps or scheduler, and guidance changes nothing: it has been learnt."""
        return self.network == "turbo"


PRESETS: dict[PresetName, Preset] = {
    "draft": Preset("to look at soon", "dpm++", 12, fine_steps=8),
    "standard": Preset("what a request without any control gets", "ddim", 100),
    "best": Preset("the most quality, whatever it takes", "ddim", 250, fine_steps=100),
    "turbo": Preset("the soonest, where the models have a turbo pair", "ddim", 4, guidance_scale=1.0, network="turbo"),
}
OF_ANY_MODELS: list[PresetName] = [name for name, preset in PRESETS.items() if not preset.is_fixed]
"""Those that need no turbo pair."""
NO_TURBO = "preset turbo needs a turbo pair, which these models do not have: leave preset out or take another one"


def model_of(stage: str, network: Network) -> str:
    """The name of a stage's denoiser among the models: coarse, fine, turbo_coarse or turbo_fine."""
    return stage if network == "standard" else f"{network}_{stage}"


def preset_of(name: object) -> Preset | None:
    """The preset with a name; None if there is none."""
    return next((preset for known, preset in PRESETS.items() if known == name), None)


def controls(name: str | None, **given: Any) -> Preset:
    """What a preset chooses, with what a caller gives in its place.

    Args:
        name: The preset; None is the standard.
        **given: Values by the names of `Preset`; None leaves one to the preset.

    Raises:
        ValueError: There is no such preset, or it takes no other value for one of these.
    """
    preset = PRESETS["standard"] if name is None else preset_of(name)
    if preset is None:
        raise ValueError(f"preset must be one of {', '.join(PRESETS)}, not {name!r}")
    chosen = {control: value for control, value in given.items() if value is not None}
    if preset.is_fixed:
        wanted = {"scheduler": preset.scheduler, "steps": preset.steps, "fine_steps": preset.fine_steps or preset.steps}
        if other := next((name for name in wanted if chosen.get(name, wanted[name]) != wanted[name]), None):
            raise ValueError(f"preset {name} takes {only(preset)}: leave {other} out")
        return preset
    return replace(preset, **chosen)


def only(preset: Preset) -> str:
    """The steps that a preset takes that takes no others, in words."""
    return f"{preset.steps} steps of {preset.scheduler} in each stage, and no others"
