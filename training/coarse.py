"""Training of the coarse denoiser: text -> latents on a full cube."""

from __future__ import annotations

import time
from pathlib import Path

import torch
from torch import Tensor

from models.config import DenseUNetConfig
from models.dense import DenseUNet
from models.layers import TextContext
from models.runtime import Runtime
from models.stages import CoarseStage
from models.text import TextEncoder
from models.vae import Decoder
from training.cubes import CubeBatches, Cubes
from training.dataset import Shapes
from training.diffusion import Noising, caption_states, save_pictures, start_as_identity
from training.engine import Budget, Losses, Trainer, mixed_precision
from training.recipe import Recipe
from training.recorded import Recorded
from training.start import Start, fill


def use_faster_layout(unet: DenseUNet, batch: int) -> None:
    """On a GPU, puts kernels into the memory layout in which a training step takes less time, by trying both."""
    device = next(unet.parameters()).device
    if device.type != "cuda":
        return
    config = unet.config
    noisy = torch.randn(batch, config.in_channels, *(config.image_size,) * 3, device=device)
    context = TextContext(torch.randn(batch, 16, config.context_dim, device=device))
    timesteps = torch.zeros(batch, dtype=torch.int64, device=device)
    seconds = {}
    for layout in (torch.channels_last_3d, torch.contiguous_format):
        unet.to(memory_format=layout)  # type: ignore[call-overload]
        for turn in range(8):
            if turn == 3:
                torch.cuda.synchronize()
                begin = time.monotonic()
            with mixed_precision(device):
                unet(noisy, timesteps, context).float().square().mean().backward()
        torch.cuda.synchronize()
        seconds[layout] = (time.monotonic() - begin) / 5
    unet.zero_grad(set_to_none=True)
    fastest = min(seconds, key=lambda layout: seconds[layout])
    unet.to(memory_format=fastest)  # type: ignore[call-overload]
    print("coarse: seconds a step by layout:", {str(layout): round(value, 4) for layout, value in seconds.items()})


def train_coarse(
    recipe: Recipe, shapes: Shapes, latents: Cubes, encoder: TextEncoder, decoder: Decoder, start: Start,
    previews: tuple[str, ...], folder: Path, minutes: float | None, generator: torch.Generator,
) -> CoarseStage:  # fmt: skip
    """Trains the denoiser on the mean latents of all shapes, resuming from `folder`; returns the stage that uses it."""
    device, plan, config = generator.device, recipe.coarse_plan, recipe.coarse
    assert isinstance(config.unet, DenseUNetConfig)
    unet = DenseUNet(config.unet).to(device)
    if not fill(unet, start.coarse, "unet."):
        start_as_identity(unet)
    use_faster_layout(unet, plan.batch)
    trainer = Trainer("coarse", unet, folder / "coarse.pt", Budget(plan.steps, minutes), plan.optimization, generator)
    scale_factor = start.scale_factor("coarse") or 1 / latents.deviation()
    noising, tokens = Noising(config.schedule, generator), shapes.tokens.to(device)

    def compute(noisy: Tensor, v: Tensor, timesteps: Tensor, states: Tensor, mask: Tensor) -> Losses:
        with mixed_precision(device):
            predicted = unet(noisy, timesteps, TextContext(states, mask))
        return {"v": (predicted.float() - v).square().mean()}

    recorded = Recorded(unet, compute)

    def losses(step: int) -> Losses:
        chosen, clean = batches(step)
        timesteps = noising.timesteps(plan.batch)
        noisy, v = noising(clean * scale_factor, timesteps)
        return recorded(noisy, v, timesteps, *caption_states(encoder, tokens, chosen, generator))

    def stage() -> CoarseStage:
        average = trainer.average
        assert isinstance(average, DenseUNet)
        return CoarseStage(config, average, decoder, scale_factor, encoder.null, Runtime(device))

    def sample(step: int) -> None:
        model = stage()
        texts = encoder.encode(previews)
        states = [model.start(text, seed=seed, steps=recipe.sample_steps) for seed, text in enumerate(texts)]
        done = model.decode(model.denoise(states, recipe.sample_steps))
        save_pictures(done, previews, folder / "samples" / f"coarse_{step:06d}.png")

    with CubeBatches(latents, plan.batch) as batches:
        trainer.run(losses, sample, waited=lambda: batches.waited)
    return stage()
