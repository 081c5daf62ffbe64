"""Models from a folder in our own format (config.yaml and model.safetensors) to modules ready to run."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from models.config import (
    DenseUNetConfig,
    SparseUNetConfig,
    Stage,
    StageConfig,
    StudentConfig,
    TextConfig,
    kind_of,
    load_config,
)
from models.dense import DenseUNet
from models.errors import CheckpointError, ConfigError, OtherTeacherError
from models.files import check_regular
from models.meta import without_memory
from models.quantisation import restored
from models.runtime import REFERENCE, Runtime
from models.sparse import SparseUNet
from models.sparse_layers import SparseConv3
from models.stage import DiffusionStage
from models.stages import CoarseStage, FineStage
from models.text import TextEmbedding, TextEncoder
from models.vae import Decoder

CONFIG_FILE = "config.yaml"
WEIGHTS_FILE = "model.safetensors"
AGAIN = "import the model again with scripts/import --force"
OF_LATENTS = ("vae.", "scale_factor")
"""What the names of those tensors begin with that say what a stage's latents mean."""
SERVED = ("unet.", *OF_LATENTS)
"""The same for all that a stage needs to make shapes: not its encoder, if the file holds one."""
Module = TypeVar("Module", bound=nn.Module)
AnyStage = TypeVar("AnyStage", bound=DiffusionStage)


def load_text(folder: Path) -> TextEncoder:
    """The text tower of a folder, on the CPU.

    Raises:
        ConfigError: The configuration is wrong.
        CheckpointError: The weights cannot be read or do not fit; the text names file and key.
    """
    config = load_config(folder / CONFIG_FILE)
    if not isinstance(config, TextConfig):
        raise ConfigError(f"{folder / CONFIG_FILE}: describes a {kind_of(config)} model, not a text tower")
    weights = _read(folder / WEIGHTS_FILE)
    with building(folder / CONFIG_FILE):
        encoder = TextEncoder(config)
    return _fill(encoder, weights, folder).eval().requires_grad_(False)


def load_coarse(folder: Path, null: TextEmbedding, runtime: Runtime = REFERENCE) -> CoarseStage:
    """The coarse stage of a folder.

    Args:
        folder: Holds config.yaml and model.safetensors.
        null: The empty prompt's embedding, the condition that guidance leaves.
        runtime: How the stage runs.

    Raises:
        ConfigError: The configuration is wrong, or the text tower that made `null` does not belong to it.
        CheckpointError: The weights cannot be read or do not fit; the text names file and key.
    """
    config, weights = _stage(folder, "coarse")
    assert isinstance(config.unet, DenseUNetConfig)
    if null.tokens.shape[1] != config.unet.context_dim:
        raise ConfigError(
            f"{folder}: expects text embeddings of width {config.unet.context_dim}, but the text tower makes "
            f"{null.tokens.shape[1]}; import the text tower that belongs to it"
        )
    with building(folder / CONFIG_FILE):
        unet, decoder = DenseUNet(config.unet), Decoder(config.vae)
    _fill(unet, _under(weights, "unet."), folder)
    _fill(decoder, _under(weights, "vae."), folder)
    return CoarseStage(config, unet, decoder, _scale_factor(weights, folder), null, runtime)


def load_fine(folder: Path, runtime: Runtime = REFERENCE) -> FineStage:
    """The fine stage of a folder.

    Args:
        folder: Holds config.yaml and model.safetensors.
        runtime: How the stage runs.

    Raises:
        ConfigError: The configuration is wrong.
        CheckpointError: The weights cannot be read or do not fit; the text names file and key.
    """
    config, weights = _stage(folder, "fine")
    unet, decoder = _fine_modules(config, folder)
    _fill(unet, _under(weights, "unet."), folder)
    _fill(decoder, _under(weights, "vae."), folder)
    return FineStage(config, unet, decoder, _scale_factor(weights, folder), runtime)


def check_fine(folder: Path, coarse: StageConfig) -> None:
    """Reads a fine model as `load_fine` does, compares it with the coarse one, and keeps nothing of it in memory.

    Args:
        folder: Holds config.yaml and model.safetensors.
        coarse: The configuration of the coarse model whose shapes it is to refine.

    Raises:
        ConfigError: The configuration is wrong, or does not go with the coarse model's.
        CheckpointError: The weights cannot be read or do not fit; the text names file and key.
    """
    config, weights = _stage(folder, "fine")
    for module, prefix in zip(_fine_modules(config, folder), ("unet.", "vae."), strict=True):
        _check_fit(module, _under(weights, prefix), folder)
    _scale_factor(weights, folder)
    check_pair(coarse, config, folder)


def check_pair(coarse: StageConfig, fine: StageConfig, folder: Path) -> None:
    """Raises ConfigError, naming the fine model's folder, if a fine model cannot refine the shapes of a coarse one."""
    made = coarse.vae.latent_resolution * coarse.vae.factor
    for what, has, needs in (
        ("text embeddings of width", coarse.unet.context_dim, fine.unet.context_dim),
        ("coarse shapes with a side of", made, fine.vae.latent_resolution),
    ):
        if has != needs:
            raise ConfigError(
                f"{folder / CONFIG_FILE}: expects {what} {needs}, but the coarse model has {has}; "
                "import the fine model that belongs to it"
            )


def load_student(folder: Path, teacher: Path, stage: AnyStage) -> AnyStage:
    """A stage with the student of a folder as its denoiser, which shares all else with its teacher's.

    Args:
        folder: Holds config.yaml and model.safetensors of the student.
        teacher: The same of the stage.
        stage: What was loaded from there.

    Raises:
        ConfigError: The configuration is wrong, or, OtherTeacherError, the student belongs to another model.
        CheckpointError: The weights cannot be read or do not fit; the text names file and key.
    """
    config, weights = _student(folder, teacher)
    return stage.beside(_fill(_denoiser(config, folder), _under(weights, "unet."), folder))


def check_student(folder: Path, teacher: Path) -> None:
    """Reads a student as `load_student` does, and keeps nothing of it in memory. Raises the same."""
    config, weights = _student(folder, teacher)
    _check_fit(_denoiser(config, folder), _under(weights, "unet."), folder)


def name_of_latents(stage: Mapping[str, Tensor]) -> str:
    """Names the latents that a decoder and its scale factor belong to, given as float16 or float32.

    A denoiser that was trained on other latents would run and give nonsense.
    """
    digest = hashlib.blake2b(digest_size=16)
    for name, tensor in sorted(stage.items()):
        digest.update(f"{name} {list(tensor.shape)}".encode())
        digest.update(tensor.float().numpy().tobytes())
    return digest.hexdigest()


def _student(folder: Path, teacher: Path) -> tuple[StudentConfig, dict[str, Tensor]]:
    config, known = load_config(folder / CONFIG_FILE), load_config(teacher / CONFIG_FILE)
    if not isinstance(config, StudentConfig):
        raise ConfigError(f"{folder / CONFIG_FILE}: describes a {kind_of(config)} model, not a student of one")
    same = isinstance(known, StageConfig) and (known.stage, known.unet) == (config.stage, config.unet)
    if not same or config.latents != name_of_latents(_read(teacher / WEIGHTS_FILE, OF_LATENTS)):
        raise OtherTeacherError(
            f"{folder / CONFIG_FILE}: is the student of another {config.stage} model than that of its set; import the "
            "pair that belongs to it"
        )
    return config, _read(folder / WEIGHTS_FILE)


def _denoiser(config: StudentConfig, folder: Path) -> DenseUNet | SparseUNet:
    with building(folder / CONFIG_FILE):
        return DenseUNet(config.unet) if isinstance(config.unet, DenseUNetConfig) else SparseUNet(config.unet)


def _fine_modules(config: StageConfig, folder: Path) -> tuple[SparseUNet, Decoder]:
    assert isinstance(config.unet, SparseUNetConfig)
    with building(folder / CONFIG_FILE):
        return SparseUNet(config.unet), Decoder(config.vae)


@contextmanager
def building(config: Path | str) -> Iterator[None]:
    """Modules that are made inside have no memory yet.

    Raises:
        ConfigError: One cannot be made; the text names `config`, the file whose values do not go together.
    """
    try:
        with without_memory():
            yield
    except Exception as error:  # layers notice such values in many ways
        raise ConfigError(
            f"{config}: no model can be built from these values ({type(error).__name__}); use the published file"
        ) from error


def _stage(folder: Path, stage: Stage) -> tuple[StageConfig, dict[str, Tensor]]:
    config = load_config(folder / CONFIG_FILE)
    if not isinstance(config, StageConfig) or config.stage != stage:
        raise ConfigError(f"{folder / CONFIG_FILE}: does not describe a {stage} model")
    return config, _read(folder / WEIGHTS_FILE, SERVED)


def _read(path: Path, wanted: tuple[str, ...] = ("",)) -> dict[str, Tensor]:
    """All tensors of a file as float32, or those whose names begin in a certain way.

    Those stored so are memory-mapped. None of them holds NaN or infinity.
    """
    try:
        check_regular(path)
        with safe_open(path, framework="pt") as file:
            names = [name for name in file.keys() if name.startswith(wanted)]  # noqa: SIM118
            weights = restored({name: file.get_tensor(name) for name in names})
    except (OSError, SafetensorError) as error:
        raise CheckpointError(f"{path}: not a readable safetensors file ({error}); {AGAIN}") from error
    for name, tensor in weights.items():
        if not is_finite(tensor):
            raise CheckpointError(f"{path}: {name} holds NaN or infinity; {AGAIN}")
    return weights


def is_finite(tensor: Tensor) -> bool:
    """Whether no number is NaN or infinite. Minimum and maximum tell it, at ten times the speed of `isfinite`."""
    return not tensor.numel() or bool(torch.stack(tensor.aminmax()).isfinite().all())


def _under(weights: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in weights.items() if name.startswith(prefix)}


def _scale_factor(weights: dict[str, Tensor], folder: Path) -> float:
    if "scale_factor" not in weights:
        raise CheckpointError(f"{folder / WEIGHTS_FILE}: scale_factor is missing; {AGAIN}")
    factor = weights["scale_factor"]
    if factor.numel() != 1 or not factor.item() > 0:
        raise CheckpointError(f"{folder / WEIGHTS_FILE}: scale_factor must be one positive number; {AGAIN}")
    return factor.item()


def _fill(module: Module, weights: dict[str, Tensor], folder: Path) -> Module:
    """Puts weights into a module made on the meta device, every key and shape checked."""
    _check_fit(module, weights, folder)
    module.load_state_dict(weights, assign=True)
    pack(module)
    return module


def pack(module: nn.Module) -> None:
    """Puts the weights of all sparse convolutions into the order in which they are used."""
    for layer in module.modules():
        if isinstance(layer, SparseConv3):
            layer.pack()


def _check_fit(module: nn.Module, weights: dict[str, Tensor], folder: Path) -> None:
    """Raises CheckpointError, naming file and key, unless weights have every key and shape of a module."""
    path = folder / WEIGHTS_FILE
    wanted = module.state_dict()
    for name, tensor in wanted.items():
        if name not in weights:
            raise CheckpointError(f"{path}: {name} is missing; {AGAIN}")
        if weights[name].shape != tensor.shape:
            raise CheckpointError(
                f"{path}: {name} has shape {list(weights[name].shape)}, the configuration asks for "
                f"{list(tensor.shape)}; {AGAIN}"
            )
    if unknown := sorted(set(weights) - set(wanted)):
        raise CheckpointError(f"{path}: {unknown[0]} belongs to no layer of the configuration; {AGAIN}")
