"""What the benchmarks measure: stages of a size, with random weights or the demo's, and samples for them."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from torch import nn

from cli.make_checkpoint.weights import kept_shares, structure_weight
from models.config import DenseUNetConfig, SparseUNetConfig, StageConfig, load_config
from models.dense import DenseUNet
from models.loading import CONFIG_FILE, load_coarse, load_fine, pack
from models.meta import without_memory
from models.runtime import Runtime
from models.shape import Voxels
from models.sizes import SIZES
from models.sparse import SparseUNet
from models.stages import CoarseStage, FineStage
from models.state import DiffusionState
from models.text import TextEmbedding
from models.vae import Decoder

CHECKPOINTS = Path(__file__).resolve().parents[2] / "checkpoints"
STEPS = 100
WORDS = 12
Module = TypeVar("Module", bound=nn.Module)


def demo_is_there() -> bool:
    """Whether the demo's two stages can be loaded."""
    return all((CHECKPOINTS / name / CONFIG_FILE).is_file() for name in ("demo_coarse", "demo_fine"))


def coarse_stage(size: str, runtime: Runtime) -> CoarseStage:
    """A coarse stage: size "demo", or one of `models.sizes.SIZES` with random weights."""
    if size == "demo":
        return load_coarse(CHECKPOINTS / "demo_coarse", embedding(2, _width("demo_coarse")), runtime)
    config = SIZES[size]["coarse"]
    assert isinstance(config.unet, DenseUNetConfig)
    null = embedding(2, config.unet.context_dim)
    unet, decoder = random(DenseUNet, config.unet, runtime.device), random_decoder(config, runtime.device)
    return CoarseStage(config, unet, decoder, 1.0, null, runtime)


def fine_stage(size: str, runtime: Runtime) -> FineStage:
    """A fine stage, like `coarse_stage`."""
    if size == "demo":
        return load_fine(CHECKPOINTS / "demo_fine", runtime)
    config = SIZES[size]["fine"]
    assert isinstance(config.unet, SparseUNetConfig)
    unet, decoder = random(SparseUNet, config.unet, runtime.device), random_decoder(config, runtime.device)
    return FineStage(config, unet, decoder, 1.0, runtime)


def random(kind: type[Module], config: object, device: torch.device) -> Module:
    """A module made on the device, with weights that keep the size of what goes through them."""
    torch.manual_seed(0)
    with without_memory():
        module = kind(config)
    module.to_empty(device=device)
    with torch.no_grad():
        for name, value in module.named_parameters():
            if value.dim() > 1:
                value.normal_(std=1 / math.sqrt(value[0].numel()))
            else:
                value.fill_(1.0 if "norm" in name and name.endswith("weight") else 0.0)
    pack(module)
    return module


def random_decoder(config: StageConfig, device: torch.device) -> Decoder:
    """A random decoder that keeps about as many voxels as a real one does of a shape."""
    decoder = random(Decoder, config.vae, device)
    for head, share in zip(decoder.structure, kept_shares(config), strict=True):
        last = head.get_submodule("out").get_parameter("weight")
        last.data = structure_weight(last[0].detach(), share)
    return decoder


def embedding(tokens: int, width: int, seed: int = 0) -> TextEmbedding:
    """A random prompt."""
    return TextEmbedding(torch.randn(tokens, width, generator=torch.Generator().manual_seed(seed)))


def coarse_samples(stage: CoarseStage, count: int) -> list[DiffusionState]:
    """Guided samples, each with its own prompt and seed."""
    width = stage.null.shape[1]
    return [stage.start(embedding(WORDS, width, seed), seed=seed, steps=STEPS) for seed in range(1, count + 1)]


def fine_samples(stage: FineStage, count: int) -> list[DiffusionState]:
    """Samples on the shell of a sphere that nearly fills the cube: 46,080 voxels at 128^3."""
    voxels = shell(stage.config.vae.latent_resolution)
    width = stage.config.unet.context_dim
    texts = [embedding(WORDS, width, seed) for seed in range(1, count + 1)]
    return [stage.start(voxels, text, seed=seed, steps=STEPS) for seed, text in enumerate(texts, start=1)]


def shell(side: int, thickness: float = 1.0) -> Voxels:
    """Voxels whose centres are within half a thickness, in voxels, of a sphere of 0.472 of the side, with normals."""
    axis = np.arange(side) - side // 2
    centre = axis + 0.5
    squares = centre[:, None] ** 2 + centre**2
    layers = []
    for i in axis:  # one layer at a time: whole cubes of 512^3 would take gigabytes
        on_shell = np.abs(np.sqrt(squares + (i + 0.5) ** 2) - 0.472 * side) < thickness / 2
        j, k = np.nonzero(on_shell)
        layers.append(np.stack([np.full(len(j), i), axis[j], axis[k]], axis=1))
    ijk = np.concatenate(layers).astype(np.int16)
    centres = (ijk + 0.5).astype(np.float32)
    return Voxels(ijk, centres / np.linalg.norm(centres, axis=1, keepdims=True), 1 / side)


def _width(name: str) -> int:
    config = load_config(CHECKPOINTS / name / CONFIG_FILE)
    assert isinstance(config, StageConfig)
    return config.unet.context_dim
