"""Where a training starts: from nothing, or from models that are there."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from formats.meshes.preparing import FACTOR
from models.checkpoint.clip import open_clip_tower
from models.checkpoint.own import open_own
from models.checkpoint.source import ENCODER, SCALE_FACTOR, Source
from models.config import StageConfig, TextConfig
from models.errors import ConfigError
from models.importer import candidates, import_demo
from models.pipeline import DEMO_FOLDER
from models.store import find
from models.text import TextEncoder
from training.recipe import Recipe

CLIP_WIDTH = 512
"""From this width on a text tower is one of CLIP, which knows more words than any set: it stays as it is."""


@dataclass(frozen=True)
class Start:
    """Models to start from; None for what begins with random weights. keep_text: whether the tower stays as it is."""

    text: Source | None = None
    coarse: Source | None = None
    fine: Source | None = None
    keep_text: bool = False

    @classmethod
    def of(cls, place: str | None, clip: str | None) -> Start:
        """The models of a set in the store, or of a folder of models; clip: a CLIP text tower to use instead.

        Raises:
            ConfigError: there are none, or they do not go together.
            CheckpointError: one cannot be read.
        """
        found: dict[str, Source] = {}
        if place is not None:
            found = _in_folder(Path(place)) if Path(place).is_dir() else _in_store(place)
        if clip is not None:
            found["text"] = open_clip_tower(clip)
        text = found.get("text")
        kept = text is not None and isinstance(text.config, TextConfig) and text.config.width >= CLIP_WIDTH
        start = cls(text, found.get("coarse"), found.get("fine"), clip is not None or kept)
        for stage in (start.coarse, start.fine):
            if stage is not None and text is not None and stage_of(stage).unet.context_dim != _text(text).width:
                raise ConfigError(
                    f"{stage.path}: expects text of width {stage_of(stage).unet.context_dim}, and the tower makes "
                    f"{_text(text).width}; give the tower that belongs to it"
                )
        return start

    def adapted(self, recipe: Recipe, resolution: int) -> Recipe:
        """The recipe with the sizes of these models, and with smaller steps for what has learnt before.

        Raises:
            ConfigError: the models make shapes of another resolution than the data has, or fine ones of another ratio.
        """
        if self.text is not None:
            recipe = recipe.with_text(_text(self.text))
        for name in ("coarse", "fine"):
            source: Source | None = getattr(self, name)
            if source is None:
                continue
            config = stage_of(source)
            if name == "fine" and config.vae.factor != FACTOR:
                raise ConfigError(
                    f"{source.path}: makes {config.vae.factor} fine voxels along the side of a coarse one, and data "
                    f"has {FACTOR}; leave it out of the folder, and a fine stage is trained from nothing"
                )
            wanted = resolution if name == "fine" else resolution // 4
            if round(1 / config.voxel_size) != wanted:
                raise ConfigError(
                    f"{source.path}: makes shapes of {round(1 / config.voxel_size)} voxels a side, and the data has "
                    f"{wanted}; make the data with scripts/dataset --resolution "
                    f"{round(1 / config.voxel_size) * (1 if name == 'fine' else 4)}"
                )
            changed: dict[str, Any] = {name: config}
            recipe = replace(recipe, **changed).gentler(name)
        return recipe

    def gives(self, state: str) -> bool:
        """Whether nothing has to be trained for what a state is named after: `text`, `coarse_vae` or `fine_vae`."""
        if state == "text":
            return self.keep_text
        return holds_encoder({"coarse_vae": self.coarse, "fine_vae": self.fine}[state])

    def encoder(self) -> TextEncoder:
        """The text tower, frozen."""
        assert self.text is not None
        tower = TextEncoder(_text(self.text))
        fill(tower, self.text)
        return tower.eval().requires_grad_(False)

    def scale_factor(self, stage: str) -> float | None:
        """The factor that brings a stage's latents to deviation 1, None where it has to be measured."""
        source: Source | None = getattr(self, stage)
        return None if source is None else float(source.tensor(SCALE_FACTOR))


def holds_encoder(source: Source | None) -> bool:
    """Whether the latents that a stage's denoiser knows can be made of new shapes without training."""
    return source is not None and any(name.startswith(ENCODER) for name in source.keys)


def fill(module: nn.Module, source: Source | None, prefix: str = "") -> bool:
    """Gives a module the weights that a source has under a prefix; False, and nothing done, without a source."""
    if source is None:
        return False
    weights: dict[str, Tensor] = {
        name.removeprefix(prefix): source.tensor(name).float() for name in source.keys if name.startswith(prefix)
    }
    module.load_state_dict(weights)
    return True


def _in_folder(folder: Path) -> dict[str, Source]:
    sources = [candidate.open() for candidate in candidates(folder)]
    found = {source.kind: source for source in sources}
    if not found:
        raise ConfigError(f"{folder}: holds no model; give a folder such as checkpoints, or a set in the store")
    if len(found) < len(sources):
        raise ConfigError(f"{folder}: holds models of several sets; give a folder with one of each kind")
    return found


def _in_store(name: str) -> dict[str, Source]:
    try:
        chosen = find(name)
    except ValueError as error:
        raise ConfigError(f"{name}: is neither a folder nor a set in the store ({error})") from error
    if chosen.name == "demo" and chosen.coarse is None:
        import_demo(DEMO_FOLDER)
        chosen = find(name)
    folders = {"text": chosen.text, "coarse": chosen.coarse, "fine": chosen.fine}
    found = {kind: open_own(folder) for kind, folder in folders.items() if folder is not None}
    if not found:
        raise ConfigError(f"{name}: no such set in the store; import it first with scripts/import")
    return found


def _text(source: Source) -> TextConfig:
    assert isinstance(source.config, TextConfig)
    return source.config


def stage_of(source: Source) -> StageConfig:
    """The configuration of a stage's model."""
    assert isinstance(source.config, StageConfig)
    return source.config
