"""Parity of single networks: the scheduler's formulas, both denoisers, and both VAEs."""

from __future__ import annotations

import re
from typing import Any

import torch

from cli.parity.golden import Case
from models.checkpoint.rename import rename_decoder, rename_encoder, rename_unet
from models.config import DenseUNetConfig, ScheduleConfig, SparseUNetConfig, VAEConfig
from models.dense import DenseUNet
from models.grids import TorchGrid
from models.layers import TextContext
from models.schedulers import DDIM, alphas_cumprod, leading_timesteps
from models.sparse import SparseUNet
from models.vae import Decoded, Decoder
from models.vae_encoder import Encoder, hash_tree

UNET_LIMIT, VAE_LIMIT, ENCODER_LIMIT, DDIM_LIMIT = 1e-4, 2e-4, 1e-4, 1e-5


def check_ddim(case: Case) -> None:
    """Alphas, timesteps and single steps of DDIM with eta = 1."""
    schedule, tensors = _schedule(case.meta["scheduler"]), case.tensors
    table = alphas_cumprod(schedule).to(case.device)
    case.close("alphas_cumprod", table, tensors["alphas_cumprod"], DDIM_LIMIT)
    for name in sorted(tensors):
        if found := re.fullmatch(r"N(\d+)_timesteps", name):
            ours = torch.tensor(leading_timesteps(int(found[1]), schedule.num_train_timesteps), device=case.device)
            case.close(name, ours, tensors[name], 0.0)
        if found := re.fullmatch(r"(N(\d+)_step(\d+))_sample", name):
            key, steps, index = found[1], int(found[2]), int(found[3])
            run = leading_timesteps(steps, schedule.num_train_timesteps)
            x, clean = DDIM().step(
                schedule,
                run[index],
                run[index + 1] if index + 1 < steps else None,
                tensors[name],
                tensors[f"{key}_model_output"],
                lambda key=key: tensors[f"{key}_variance_noise"],  # type: ignore[misc]
            )
            case.close(f"{key} sample", x, tensors[f"{key}_prev_sample"], DDIM_LIMIT)
            case.close(f"{key} x0", clean, tensors[f"{key}_pred_x0"], DDIM_LIMIT)


def check_dense_unet(case: Case) -> None:
    """One pass of the dense U-Net: with a timestep for each sample, with one for all, and without a text mask."""
    unet = DenseUNet(DenseUNetConfig(**_unet_settings(case, "image_size"))).to(case.device).eval()
    unet.load_state_dict(rename_unet(case.weights(), sparse=False))
    tensors = case.tensors
    x, context, mask, times = (tensors[name] for name in ("latents_dense", "context", "mask", "timesteps"))
    scalar = torch.full_like(times, case.meta["scalar_timestep_for_output_voxels_scalar_timestep"])
    output = unet(x, times, TextContext(context, mask))
    case.close("output_dense", output, tensors["output_dense"], UNET_LIMIT)
    for name, result in (
        ("output_voxels", output),
        ("output_voxels_scalar_timestep", unet(x, scalar, TextContext(context, mask))),
        ("output_voxels_no_mask", unet(x, times, TextContext(context))),
    ):
        case.close(name, result.flatten(2).transpose(1, 2).flatten(0, 1), tensors[name], UNET_LIMIT)


def check_sparse_unet(case: Case) -> None:
    """One pass of the sparse U-Net, as a batch of samples and sample by sample, as a CPU serves them."""
    unet = SparseUNet(SparseUNetConfig(**_unet_settings(case))).to(case.device).eval()
    unet.load_state_dict(rename_unet(case.weights(), sparse=True))
    tensors = case.tensors
    features, context, mask, times = (tensors[name] for name in ("features", "context", "mask", "timesteps"))
    grid = case.grid(tensors["ijk"], tensors["batch"])
    scalar = torch.full_like(times, case.meta["scalar_timestep_for_output_scalar_timestep"])
    case.close("output", unet(features, grid, times, TextContext(context, mask)), tensors["output"], UNET_LIMIT)
    case.close(
        "output_scalar_timestep",
        unet(features, grid, scalar, TextContext(context, mask)),
        tensors["output_scalar_timestep"],
        UNET_LIMIT,
    )
    for sample in range(len(times)):
        rows = tensors["batch"] == sample
        alone = unet(
            features[rows],
            case.grid(tensors["ijk"][rows]),
            times[sample, None],
            TextContext(context[sample, None], mask[sample, None]),
        )
        case.close(f"sample {sample} alone", alone, tensors["output"][rows], UNET_LIMIT)


def check_vae(case: Case) -> None:
    """Decoder and encoder of a VAE: structure at every level, normals, mean and log-variance."""
    h = case.meta["hparams"]
    dense = h["neck_dense_type"] == "HAND_CRAFTED"
    config = VAEConfig(
        num_blocks=h["num_blocks"],
        f_maps=h["f_maps"],
        latent_channels=h["latent_channels"],
        latent_resolution=2 * h["neck_bound"][0],
        dense_latent=dense,
        in_channels=h["in_channels"],
        num_groups=h["num_groups"],
    )
    weights, tensors = case.weights(), case.tensors
    decoder = Decoder(config).to(case.device).eval()
    decoder.load_state_dict({name.removeprefix("vae."): value for name, value in rename_decoder(weights).items()})
    for sample in range(int(tensors["latent_batch"].max()) + 1):  # one by one, as the stages decode
        rows = tensors["latent_batch"] == sample
        one = case.grid(tensors["latent_ijk"][rows])
        check_decoded(case, decoder(tensors["latent"][rows], one), sample)

    encoder = Encoder(config).to(case.device).eval()
    encoder.load_state_dict({name.removeprefix("encoder."): value for name, value in rename_encoder(weights).items()})
    shape = TorchGrid.from_ijk(tensors["enc_in_ijk"], tensors["enc_in_batch"])
    for depth, level in enumerate(hash_tree(shape, config.num_blocks - 1), start=1):
        case.voxels(f"hash tree {depth}", level.ijk, level.batch, f"enc_hash_tree_depth{depth}")
    latents, mean, log_variance = encoder(shape, tensors["enc_in_normal"], h["voxel_size"])
    case.voxels("latent grid", latents.ijk, latents.batch, "enc_latent")
    case.close("mu", mean, tensors["enc_mu"], ENCODER_LIMIT)
    case.close("logvar", log_variance, tensors["enc_logvar"], ENCODER_LIMIT)


def check_decoded(case: Case, decoded: Decoded, sample: int) -> None:
    """One decoded sample of a VAE case, level by level."""
    tensors, depth = case.tensors, len(decoded.levels)
    for level in decoded.levels:
        depth -= 1
        rows = tensors[f"struct_depth{depth}_batch"] == sample
        logits = tensors[f"struct_depth{depth}_logits"][rows]
        case.close(f"sample {sample} logits, depth {depth}", level.logits, logits, VAE_LIMIT)
        for prefix, ijk in (
            (f"struct_depth{depth}", level.grid.ijk),
            (f"kept_depth{depth}", level.grid.ijk[level.keep]),
        ):
            one_sample(case, f"sample {sample} {prefix}", ijk, prefix, sample)
    rows = tensors["final_batch"] == sample
    one_sample(case, f"sample {sample} final", decoded.grid.ijk, "final", sample)
    case.close(f"sample {sample} normals", decoded.normals, tensors["final_normal"][rows], VAE_LIMIT)
    centres = (decoded.grid.ijk.double() + 0.5) * case.meta["hparams"]["voxel_size"]
    case.close(f"sample {sample} xyz", centres, tensors["final_xyz"][rows], 1e-6)


def one_sample(case: Case, quantity: str, ijk: torch.Tensor, prefix: str, sample: int) -> bool:
    """The IoU of one sample's voxels with a golden set."""
    rows = case.tensors[f"{prefix}_batch"] == sample
    part = Case(case.name, {}, {}, case.folder, case.device, checks=case.checks)
    part.tensors = {
        f"{prefix}_ijk": case.tensors[f"{prefix}_ijk"][rows],
        f"{prefix}_batch": torch.zeros_like(rows).long()[rows],
    }
    return part.voxels(quantity, ijk, torch.zeros(len(ijk), dtype=torch.long, device=ijk.device), prefix)


def _schedule(values: dict[str, Any]) -> ScheduleConfig:
    return ScheduleConfig(**{name: values[name] for name in ("num_train_timesteps", "beta_start", "beta_end")})


def _unet_settings(case: Case, *extra: str) -> dict[str, Any]:
    names = ("in_channels", "out_channels", "model_channels", "num_res_blocks", "num_heads", "context_dim", *extra)
    h = case.meta["hparams"]
    values = {name: h[name] for name in names}
    return values | {name: tuple(h[name]) for name in ("channel_mult", "attention_resolutions")}
