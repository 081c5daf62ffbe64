"""Official checkpoints: a folder with config.yaml and last.ckpt becomes a `Source` under our names.

A Lightning file of a diffusion stage holds the denoiser twice (training weights and their moving average, EMA) and
the whole VAE. What inference needs is the EMA, the VAE's decoder and the scale factor.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from models.checkpoint.architecture import Shapes, stage_config
from models.checkpoint.archive import TorchArchive
from models.checkpoint.rename import DECODER, ENCODER, relayout, unet_table
from models.checkpoint.source import SCALE_FACTOR, Source, check_shapes, expected_shapes
from models.checkpoint.training_config import TrainingConfig, read_training_config
from models.checkpoint.unpickle import TensorRecord, is_name, plain
from models.config import FORMAT_VERSION, Stage, StageConfig, from_dict, to_dict
from models.errors import CheckpointError
from models.files import is_there

CONFIG_FILE = "config.yaml"
CHECKPOINT_FILE = "last.ckpt"
UNET, EMA, VAE = "unet.", "unet_ema.", "vae."

TRAINING_WEIGHTS = "training weights; the EMA is used instead"
EMA_COUNTERS = "the EMA's own counters"
VAE_ENCODER = "the VAE's encoder, which only training needs"


def ema_key(name: str) -> str:
    """The EMA's key for a U-Net parameter, which is its name with all dots removed."""
    return EMA + name.replace(".", "")


@dataclass
class Plan:
    """Which key of a file becomes which tensor of ours (`used`), why others stay behind, and what nothing explains."""

    used: dict[str, str] = field(default_factory=dict)
    not_needed: dict[str, str] = field(default_factory=dict)
    unknown: list[str] = field(default_factory=list)


def plan(keys: Iterable[str], sparse: bool, wanted: Iterable[str] = ()) -> Plan:
    """Sorts a file's keys. `wanted` are our names, which find the EMA of a file without training weights."""
    keys = set(keys)
    result = Plan(not_needed={key: EMA_COUNTERS for key in (f"{EMA}decay", f"{EMA}num_updates") if key in keys})
    has_ema = any(key.startswith(EMA) for key in keys - set(result.not_needed))
    table = unet_table(sparse)
    names = {key.removeprefix(UNET) for key in keys if key.startswith(UNET)}
    names.update(name for ours in wanted if ours.startswith(UNET) for name in table.official(ours.removeprefix(UNET)))
    for name in sorted(names):
        ours, raw = table.ours(name), UNET + name
        if ours is None:
            continue
        if has_ema and raw in keys:
            result.not_needed[raw] = TRAINING_WEIGHTS
        source = ema_key(name) if has_ema else raw
        if source in keys:
            result.used[UNET + ours] = source
    for key in keys:
        name = key.removeprefix(VAE)
        if key.startswith(VAE) and (ours := DECODER.ours(name)):
            result.used[VAE + ours] = key
        elif key.startswith(VAE) and ENCODER.ours(name):
            result.not_needed[key] = VAE_ENCODER
        elif key == SCALE_FACTOR:
            result.used[key] = key
    result.unknown = sorted(keys - set(result.used.values()) - set(result.not_needed))
    return result


def open_official(folder: Path, stage: Stage) -> Source:
    """The model in an official folder, every key and shape checked; no weights are read yet.

    Raises CheckpointError for files that are damaged, would run code, or do not hold a model of this stage.
    """
    path = folder / CHECKPOINT_FILE
    archive = TorchArchive(path)
    state = _state_dict(archive)
    _check_stage(path, state, stage)
    training, vae_training, missing = _training_configs(folder, archive)
    config, warnings = stage_config(stage, training, vae_training, Shapes(path, _finder(state)))
    from_dict(to_dict(config), training.source)  # checks types and sizes
    warnings += archive.warnings
    warnings += [f"{training.source}: {name}, which it includes, is not there and was left out" for name in missing]
    sparse = stage == "fine"
    expected = expected_shapes(config, training.source)
    assigned = plan(state, sparse, expected)
    _check(path, state, assigned, expected, sparse)

    def read(name: str) -> Tensor:
        tensor = archive.tensor(state[assigned.used[name]])
        return relayout(name, tensor, sparse or name.startswith(VAE)).to(torch.float32)

    return Source(path, config, assigned.used, read, _fingerprint(archive, config), tuple(warnings))


def _state_dict(archive: TorchArchive) -> dict[str, TensorRecord]:
    contents = archive.contents
    state = contents.get("state_dict", contents) if isinstance(contents, dict) else None
    tensors = (
        {key: value for key, value in state.items() if isinstance(value, TensorRecord) and is_name(key)}
        if isinstance(state, dict)
        else {}
    )
    if not tensors:
        raise CheckpointError(f"{archive.path}: holds no state_dict; use the checkpoint file of a diffusion stage")
    return tensors


def _check_stage(path: Path, state: Mapping[str, TensorRecord], stage: Stage) -> None:
    found: Stage | None = None
    for key in state:
        if key.startswith((f"{UNET}encoder_blocks.", f"{EMA}encoder_blocks")):
            found = "fine"
        elif key.startswith((f"{UNET}input_blocks.", f"{EMA}input_blocks")):
            found = "coarse"
    if found is None:
        raise CheckpointError(
            f"{path}: holds no denoiser (no key begins with {UNET}); use a diffusion stage's checkpoint"
        )
    if found != stage:
        raise CheckpointError(
            f"{path}: holds a {found} model where a {stage} one belongs; move it to the {found} folder"
        )


def _training_configs(folder: Path, archive: TorchArchive) -> tuple[TrainingConfig, TrainingConfig, list[str]]:
    """The stage's training configuration, that of its VAE, and the includes that are not there.

    What the files leave open is looked up in the hyper-parameters that Lightning keeps in the checkpoint.
    """
    path = folder / CONFIG_FILE
    if not is_there(path):
        raise CheckpointError(
            f"{path}: is missing; put the config.yaml that was published with {CHECKPOINT_FILE} there"
        )
    training, missing = read_training_config(path)
    kept: Any = plain(archive.contents.get("hyper_parameters"))
    if isinstance(kept, dict):
        training = training.over(kept)
    name = training.get("vae_config")
    places = [folder / str(name), folder.parent / str(name), folder / Path(str(name)).name] if name else []
    for place in [*places, folder / "vae_config.yaml"]:
        if is_there(place):
            vae, vae_missing = read_training_config(place)
            return training, vae, missing + vae_missing
    return training, TrainingConfig({}, str(path)), missing


def _finder(state: Mapping[str, TensorRecord]) -> Any:
    def find(name: str) -> tuple[int, ...] | None:
        record = state.get(name)
        if record is None and name.startswith(UNET):
            record = state.get(ema_key(name.removeprefix(UNET)))
        return None if record is None else record.shape

    return find


def _check(
    path: Path, state: Mapping[str, TensorRecord], assigned: Plan, expected: Mapping[str, tuple[int, ...]], sparse: bool
) -> None:
    has_ema = any(key.startswith(EMA) for key in state)

    def shape(name: str, key: str) -> tuple[int, ...]:
        empty = torch.empty(state[key].shape, device="meta")
        return tuple(relayout(name, empty, sparse or name.startswith(VAE)).shape)

    def key_of(name: str) -> str:
        """The key that the file has, or should have, for one of our names."""
        if name in assigned.used:
            return assigned.used[name]
        if name.startswith(VAE):
            return VAE + DECODER.official(name.removeprefix(VAE))[0]
        if not name.startswith(UNET):
            return name
        candidates = unet_table(sparse).official(name.removeprefix(UNET))
        official = next((candidate for candidate in candidates if UNET + candidate in state), candidates[0])
        return ema_key(official) if has_ema else UNET + official

    check_shapes(path, {name: shape(name, key) for name, key in assigned.used.items()}, expected, key_of)
    for key in assigned.unknown:
        if key.startswith((UNET, EMA, VAE)):
            raise CheckpointError(
                f"{path}: {key} belongs to no layer of this architecture; use a text-to-3D checkpoint"
            )


def _fingerprint(archive: TorchArchive, config: StageConfig) -> str:
    return hashlib.blake2b(f"{FORMAT_VERSION} {archive.fingerprint} {config}".encode(), digest_size=20).hexdigest()
