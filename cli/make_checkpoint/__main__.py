"""scripts/make_checkpoint: random weights in the official layout, and a random text tower that fits them.

The weights are written as they are drawn. The shapes that such models make are noise, but import, storage, loading,
memory and speed are the same as with the real weights.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import torch
import yaml
from rich.console import Console
from rich.progress import Progress

from cli.make_checkpoint.archive import write
from cli.make_checkpoint.weights import state_dict
from models.checkpoint.official import CHECKPOINT_FILE
from models.checkpoint.own import write_own
from models.config import DenseUNetConfig, StageConfig, TextConfig
from models.loading import WEIGHTS_FILE
from models.sizes import SIZES, TEXT_SIZES
from models.text import TextEncoder

FOLDER = Path("checkpoints-random")
TEXT = "random_text"


def make(folder: Path, config: StageConfig, seed: int, progress: Progress | None = None) -> Path:
    """Writes objaverse_coarse or objaverse_fine into a folder: config.yaml, vae_config.yaml and last.ckpt."""
    place = folder / f"objaverse_{config.stage}"
    place.mkdir(parents=True, exist_ok=True)
    diffusion, vae = settings(config)
    (place / "config.yaml").write_text(yaml.safe_dump(diffusion, sort_keys=False), encoding="utf-8")
    (place / "vae_config.yaml").write_text(yaml.safe_dump(vae, sort_keys=False), encoding="utf-8")
    contents = {
        "epoch": 0,
        "global_step": 0,
        "pytorch-lightning_version": "1.9.4",
        "state_dict": state_dict(config, seed),
        "loops": {},
        "callbacks": {},
        "optimizer_states": [],
        "lr_schedulers": [],
        "hparams_name": "hparams",
        "hyper_parameters": diffusion,
    }
    bar = None if progress is None else progress.add_task(place.name, total=None)

    def done(number: int, total: int) -> None:
        if progress is not None and bar is not None:
            progress.update(bar, completed=number, total=total)

    write(place / CHECKPOINT_FILE, contents, done)
    return place


def make_text(folder: Path, config: TextConfig, seed: int) -> Path:
    """Writes a text tower into random_text, in the project's own format.

    The official files hold no text tower, and a random one cannot pass for open_clip's, because the embedding of the
    empty prompt is known.
    """
    place = folder / TEXT
    place.mkdir(parents=True, exist_ok=True)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        encoder = TextEncoder(config)
    write_own(place, config, encoder.state_dict())
    return place


def settings(config: StageConfig) -> tuple[dict[str, Any], dict[str, Any]]:
    """The stage's and its VAE's settings as the official files spell them."""
    unet, vae, schedule = config.unet, config.vae, config.schedule
    side = unet.image_size if isinstance(unet, DenseUNetConfig) else vae.latent_resolution
    diffusion = {
        "model": "diffusion",
        "vae_config": "vae_config.yaml",
        "voxel_size": config.voxel_size,
        "resolution": round(1 / config.voxel_size),
        "use_text_cond": True,
        "context_dim": unet.context_dim,
        "network": {
            "diffuser_name": "UNetModel_Dense" if config.stage == "coarse" else "UNetModel_Sparse_CrossAttn",
            "diffuser": {
                "image_size": side,
                "model_channels": unet.model_channels,
                "channel_mult": list(unet.channel_mult),
                "attention_resolutions": list(unet.attention_resolutions),
                "num_res_blocks": unet.num_res_blocks,
                "num_heads": unet.num_heads,
            },
            "scheduler": {
                "num_train_timesteps": schedule.num_train_timesteps,
                "beta_start": schedule.beta_start,
                "beta_end": schedule.beta_end,
                "beta_schedule": "linear",
                "prediction_type": "v_prediction",
            },
        },
    }
    params = {"in_channels": vae.in_channels, "num_blocks": vae.num_blocks, "f_maps": vae.f_maps}
    network = {"encoder": {"c_dim": vae.in_channels}, "unet": {"target": "StructPredictionNet", "params": params}}
    return diffusion, {"model": "autoencoder", "network": network}


def main(arguments: list[str] | None = None) -> int:
    """Runs the command; returns its exit status."""
    parser = argparse.ArgumentParser(prog="scripts/make_checkpoint", description=__doc__)
    parser.add_argument(
        "folder", nargs="?", type=Path, default=FOLDER, help="folder to write to (default: %(default)s)"
    )
    parser.add_argument(
        "--size",
        choices=sorted(SIZES),
        default="tiny",
        help="size of the models; official takes 15.0 GB (default: %(default)s)",
    )
    parser.add_argument("--stage", choices=("all", "text", "coarse", "fine"), default="all", help="what (%(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="seed of the weights (default: %(default)s)")
    options = parser.parse_args(arguments)
    console = Console(stderr=True, highlight=False)
    if options.stage in ("all", "text"):
        _tell(console, make_text(options.folder, TEXT_SIZES[options.size], options.seed) / WEIGHTS_FILE)
    with Progress(console=console, transient=True, disable=not sys.stderr.isatty()) as progress:
        for stage, config in SIZES[options.size].items():
            if options.stage in ("all", stage):
                _tell(console, make(options.folder, config, options.seed, progress) / CHECKPOINT_FILE)
    return 0


def _tell(console: Console, file: Path) -> None:
    console.print(f"{file.parent}: {file.stat().st_size / 1e9:.2f} GB of random weights")


if __name__ == "__main__":
    sys.exit(main())
