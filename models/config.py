"""Architecture settings as plain frozen dataclasses, and the YAML file that carries them.

The official values are those of XCube's Objaverse text-to-3D models (Ren et al., "XCube: Large-Scale 3D Generative
Modeling using Sparse Voxel Hierarchies", CVPR 2024); the demo models differ in size alone.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import MISSING, asdict, dataclass, field, fields
from pathlib import Path
from reprlib import repr as short
from typing import Any, Literal, TypeVar, cast

import yaml

from models.errors import ConfigError
from models.files import NotYamlError, read_yaml

FORMAT_VERSION = 1
Stage = Literal["coarse", "fine"]
_WIDEST = 2**16
"""The largest number that any setting may have, if it is in no row of the next table."""
_LIMITS = {
    "vocab_size": 2**24, "layers": 256, "num_blocks": 12, "num_res_blocks": 64, "channel_mult": 64,
    "num_train_timesteps": 100_000,
}  # fmt: skip
_MOST_LEVELS = 16
_DIGEST = re.compile(r"[0-9a-f]{32}")
_LONGEST_NAME = 64
"""Letters of a kind's name."""
_MOST_KINDS, MOST_NAMES = 10_000, 100
Kinds = dict[str, tuple[str, ...]]
"""Kinds of shapes by name, with the other names that captions call them."""
T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class TextConfig:
    """The CLIP text tower. `layers` counts the whole tower; its last block is never run and not stored.

    kinds: all that the models were trained on; empty where nobody can list it.
    """

    width: int
    heads: int
    layers: int
    context_length: int = 77
    vocab_size: int = 49408
    kinds: Kinds = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.width % self.heads:
            raise ConfigError(
                f"heads is {self.heads}, which does not divide the width {self.width}; correct or replace this file"
            )


@dataclass(frozen=True, kw_only=True)
class DenseUNetConfig:
    """The coarse denoiser, a dense 3-D U-Net on a cube of `image_size` latents a side."""

    in_channels: int
    out_channels: int
    image_size: int
    model_channels: int
    channel_mult: tuple[int, ...]
    num_res_blocks: int
    attention_resolutions: tuple[int, ...]
    num_heads: int
    context_dim: int


@dataclass(frozen=True, kw_only=True)
class SparseUNetConfig:
    """The fine denoiser, a sparse 3-D U-Net on the voxels of a coarse shape."""

    in_channels: int
    out_channels: int
    model_channels: int
    channel_mult: tuple[int, ...]
    num_res_blocks: int
    attention_resolutions: tuple[int, ...]
    num_heads: int
    context_dim: int


@dataclass(frozen=True, kw_only=True)
class VAEConfig:
    """The structure-predicting VAE: `num_blocks` levels, so 2 ** (num_blocks - 1) voxels a latent along each axis.

    `latent_resolution` is the side of the latent cube in voxels; `dense_latent` says that every cell of it is used.
    """

    num_blocks: int
    f_maps: int
    latent_channels: int
    latent_resolution: int
    dense_latent: bool
    in_channels: int = 32
    num_groups: int = 8

    @property
    def factor(self) -> int:
        """Voxels of the finest grid per latent voxel, along each axis."""
        return int(2 ** (self.num_blocks - 1))

    @property
    def width(self) -> int:
        """Channels of the widest level, the one at latent resolution."""
        return self.f_maps * self.factor


@dataclass(frozen=True, kw_only=True)
class ScheduleConfig:
    """The noise schedule: betas linear in float32 from `beta_start` to `beta_end`."""

    num_train_timesteps: int = 1000
    beta_start: float = 1e-4
    beta_end: float = 0.02


@dataclass(frozen=True, kw_only=True)
class StageConfig:
    """One stage: denoiser, decoder and schedule. `voxel_size` is that of the finest grid, in world units."""

    stage: Stage
    unet: DenseUNetConfig | SparseUNetConfig
    vae: VAEConfig
    voxel_size: float
    schedule: ScheduleConfig = field(default_factory=ScheduleConfig)

    def __post_init__(self) -> None:
        _check_denoiser(self.stage, self.unet)


@dataclass(frozen=True, kw_only=True)
class StudentConfig:
    """A denoiser for few steps, of the form of its stage's own; everything else is what that stage has.

    latents: names the decoder and the scale factor that it belongs to, see `models.loading.name_of_latents`.
    """

    stage: Stage
    unet: DenseUNetConfig | SparseUNetConfig
    latents: str

    def __post_init__(self) -> None:
        _check_denoiser(self.stage, self.unet)


Config = TextConfig | StageConfig | StudentConfig
"""What the `config.yaml` of a model holds."""


def _check_denoiser(stage: Stage, unet: DenseUNetConfig | SparseUNetConfig) -> None:
    """Raises ConfigError where a stage cannot have such a denoiser, or it cannot be built."""
    wanted = DenseUNetConfig if stage == "coarse" else SparseUNetConfig
    if not isinstance(unet, wanted):
        raise ConfigError(f"stage {stage!r} needs a {wanted.__name__}, not a {type(unet).__name__}")
    for level, factor in enumerate(unet.channel_mult):
        last = level == len(unet.channel_mult) - 1
        if (last or 2**level in unet.attention_resolutions) and unet.model_channels * factor % unet.num_heads:
            raise ConfigError(
                f"num_heads is {unet.num_heads}, which does not divide the {unet.model_channels * factor} channels "
                f"of level {level}; correct or replace this file"
            )


def kind_of(config: Config) -> str:
    """text, coarse, fine, turbo_coarse or turbo_fine."""
    if isinstance(config, TextConfig):
        return "text"
    return config.stage if isinstance(config, StageConfig) else f"turbo_{config.stage}"


def to_dict(config: Config) -> dict[str, Any]:
    """The configuration as plain values, with `kind` and `format_version`, ready for YAML."""
    values = {key: value for key, value in asdict(config).items() if key != "stage"}
    return {"format_version": FORMAT_VERSION, "kind": kind_of(config), **_plain(values)}


def from_dict(values: dict[str, Any], source: str = "configuration") -> Config:
    """The inverse of `to_dict`. Raises ConfigError, naming `source` and the key, for anything unknown or missing."""
    values = dict(values)
    version = values.pop("format_version", None)
    if version != FORMAT_VERSION:
        raise ConfigError(
            f"{source}: format_version is {short(version)} but this version reads {FORMAT_VERSION}; "
            "correct or replace this file"
        )
    kind = values.pop("kind", None)
    if kind == "text":
        return _build(TextConfig, values, source)
    if kind not in (kinds := ("coarse", "fine", "turbo_coarse", "turbo_fine")):
        raise ConfigError(f"{source}: kind is {short(kind)} but must be one of text, {', '.join(kinds)}")
    stage = kind.removeprefix("turbo_")
    unet = DenseUNetConfig if stage == "coarse" else SparseUNetConfig
    for key, cls in (("unet", unet), ("vae", VAEConfig), ("schedule", ScheduleConfig)):
        if key in values:
            values[key] = _build(cast(type[Any], cls), values[key], f"{source}: {key}")
    values = {"stage": stage, **values}
    return _build(StageConfig, values, source) if kind == stage else _build(StudentConfig, values, source)


def save_config(config: Config, path: Path) -> None:
    """Writes the configuration as YAML."""
    path.write_text(yaml.safe_dump(to_dict(config), sort_keys=False), encoding="utf-8")


def load_config(path: Path) -> Config:
    """Reads what `save_config` wrote. Raises ConfigError with one sentence for anything else."""
    try:
        values = read_yaml(path)
    except NotYamlError as error:
        raise ConfigError(f"{path}: {error}; correct or replace this file") from error
    if not isinstance(values, dict):
        raise ConfigError(f"{path}: must hold a mapping of settings; correct or replace this file")
    return from_dict(values, str(path))


def _check(source: str, name: str, value: Any, kind: str) -> Any:
    """A value as its field wants it, a list as a tuple. Raises ConfigError if its type or size cannot be right."""
    limit = _LIMITS.get(name, _WIDEST)
    if kind == "int" and _whole(value, limit):
        return value
    if kind == "float" and isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < _WIDEST:
        return float(value)
    if kind == "bool" and isinstance(value, bool):
        return value
    if kind == "str" and isinstance(value, str) and _DIGEST.fullmatch(value):
        return value
    if kind == "Kinds" and _are_kinds(value):
        return {name: tuple(others) for name, others in value.items()}
    listed = kind.startswith("tuple") and isinstance(value, list | tuple) and len(value) <= _MOST_LEVELS
    if listed and all(_whole(item, limit) for item in value):
        return tuple(value)
    wanted = {
        "int": f"a whole number from 1 to {limit}",
        "float": f"a number above 0 and below {_WIDEST}",
        "bool": "true or false",
        "str": "32 hexadecimal digits",
        "Kinds": "a mapping of names to lists of other names, in letters, digits and blanks",
    }.get(kind, f"a list of at most {_MOST_LEVELS} whole numbers from 1 to {limit}")
    raise ConfigError(f"{source}: {name} is {short(value)} but must be {wanted}; correct or replace this file")


def may_be_kind(name: str) -> bool:
    """Whether a configuration may list a kind under this name, of any script; it stands in lists with commas."""
    return (
        0 < len(name) <= _LONGEST_NAME
        and unicodedata.category(name[0])[0] in "LN"
        # Marks belong to letters in scripts such as Devanagari.
        and all(letter in " '-" or unicodedata.category(letter)[0] in "LMN" for letter in name)
    )


def _are_kinds(value: Any) -> bool:
    def are_names(names: Any, most: int) -> bool:
        return len(names) <= most and all(isinstance(name, str) and may_be_kind(name) for name in names)

    return (
        isinstance(value, dict)
        and are_names(value, _MOST_KINDS)
        and all(isinstance(others, list | tuple) and are_names(others, MOST_NAMES) for others in value.values())
    )


def _whole(value: Any, limit: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= limit


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return list(value) if isinstance(value, tuple) else value


def _build(cls: type[T], values: Any, source: str) -> T:
    if not isinstance(values, dict):
        raise ConfigError(f"{source}: must be a mapping of settings")
    known = {item.name: item for item in fields(cast(Any, cls))}
    if unknown := sorted(map(str, set(values) - set(known))):
        raise ConfigError(f"{source}: unknown setting {short(unknown[0])}; known are {', '.join(sorted(known))}")
    for name, item in known.items():
        if name not in values and item.default is MISSING and item.default_factory is MISSING:
            raise ConfigError(f"{source}: {name} is missing; correct or replace this file")
    simple = ("int", "float", "bool", "str", "tuple[int, ...]", "Kinds")
    checked = {
        name: _check(source, name, value, kind) if (kind := str(known[name].type)) in simple else value
        for name, value in values.items()
    }
    try:
        return cls(**checked)
    except ConfigError as error:
        raise ConfigError(f"{source}: {error}") from None
