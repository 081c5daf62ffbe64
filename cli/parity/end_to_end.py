"""Parity of the whole path: two tiny checkpoints in the official layout, with the golden set's own noise."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import torch
from torch import Tensor

from cli.parity.golden import Case
from cli.parity.networks import one_sample
from models.checkpoint.official import open_official
from models.checkpoint.source import Source
from models.config import DenseUNetConfig, SparseUNetConfig, Stage, StageConfig
from models.dense import DenseUNet
from models.runtime import Runtime
from models.schedulers import DDIM, leading_timesteps
from models.shape import Voxels
from models.sparse import SparseUNet
from models.stage import DiffusionStage
from models.stages import CoarseStage, FineStage, normalise_condition
from models.state import DiffusionState
from models.text import TextEmbedding
from models.vae import Decoded, Decoder

LATENT_LIMIT, NORMAL_LIMIT, LOGIT_LIMIT = 2e-3, 5e-3, 2e-3


def check_end_to_end(case: Case) -> None:
    """Prompt embedding -> coarse latents -> coarse voxels -> fine latents -> fine voxels, every level compared."""
    samples = case.meta["batch_size"]
    texts = [_text(case, "text_emb", "text_emb_mask", sample) for sample in range(samples)]
    null = TextEmbedding(_text(case, "text_emb_null", "text_emb_mask_null", 0))
    coarse_stage = _stage(case, "coarse", null)
    states = [_start(case, "coarse", sample, texts[sample]) for sample in range(samples)]
    coarse = _run(case, coarse_stage, states)

    fine_stage = _stage(case, "fine", null)
    states = []
    for sample, decoded in enumerate(coarse):
        normal = normalise_condition(decoded.normals)
        rows = case.tensors["coarse_final_batch"] == sample
        saved = case.tensors["coarse_normal_as_saved_by_sample_script"][rows]
        case.close(f"coarse {sample} normalised normals", normal, saved, NORMAL_LIMIT)
        state = _start(case, "fine", sample, texts[sample])
        if len(state.x) != len(decoded.grid.ijk):
            return  # another voxel set has no golden noise; the failed IoU above tells the story
        states.append(replace(state, ijk=decoded.grid.ijk, normal=normal))
    _run(case, fine_stage, states)


def _run(case: Case, stage: DiffusionStage, states: list[DiffusionState]) -> list[Decoded]:
    name, steps, tensors = stage.stage, case.meta["ddim_steps"], case.tensors
    run = leading_timesteps(steps, stage.config.schedule.num_train_timesteps)
    case.close(f"{name} timesteps", torch.tensor(run), torch.tensor(case.meta["timesteps"]), 0.0)
    for index, t in enumerate(run):
        predictions = [stage.predict(state, t) for state in states]
        if index in (0, steps - 1):
            golden = tensors[f"{name}_pred_{'step0' if index == 0 else 'last'}_after_guidance"]
            case.close(f"{name} prediction {index}", torch.cat(predictions), golden, LATENT_LIMIT)
        for sample, v in enumerate(predictions):
            rows = tensors[f"{name}_latent_batch"] == sample
            noise = tensors[f"{name}_variance_noise"][index][rows]
            following = run[index + 1] if index + 1 < steps else None
            x, _ = DDIM().step(stage.config.schedule, t, following, states[sample].x, v, partial(_same, noise))
            states[sample] = replace(states[sample], x=x, step=index + 1)
        kept = case.meta["x_after_step_indices"]
        if index in kept:
            x = torch.cat([state.x for state in states])
            case.close(f"{name} x after {index}", x, tensors[f"{name}_x_after_step"][kept.index(index)], LATENT_LIMIT)
    latent = torch.cat([state.x for state in states]) / stage.scale_factor
    case.close(f"{name} latent", latent, tensors[f"{name}_latent_decoded"], LATENT_LIMIT)
    decoded = stage.decode_raw(states)
    for sample, result in enumerate(decoded):
        _check_decoded(case, stage.config, result, sample)
    return decoded


def _check_decoded(case: Case, config: StageConfig, decoded: Decoded, sample: int) -> None:
    name, depth, tensors = config.stage, len(decoded.levels), case.tensors
    for level in decoded.levels:
        depth -= 1
        for kind, ijk in (("struct", level.grid.ijk), ("kept", level.grid.ijk[level.keep])):
            prefix = f"{name}_{kind}_depth{depth}"
            one_sample(case, f"sample {sample} {prefix}", ijk, prefix, sample)
        rows = tensors[f"{name}_struct_depth{depth}_batch"] == sample
        logits = tensors[f"{name}_struct_depth{depth}_logits"][rows]
        case.close(f"{name} {sample} logits, depth {depth}", level.logits, logits, LOGIT_LIMIT)
    one_sample(case, f"sample {sample} {name}_final", decoded.grid.ijk, f"{name}_final", sample)
    rows = tensors[f"{name}_final_batch"] == sample
    case.close(f"{name} {sample} normals", decoded.normals, tensors[f"{name}_normal"][rows], NORMAL_LIMIT)
    ours = Voxels(decoded.grid.ijk.cpu().numpy().astype("int16"), decoded.normals.cpu().numpy(), config.voxel_size)
    case.close(f"{name} {sample} xyz", torch.from_numpy(ours.xyz).to(case.device), tensors[f"{name}_xyz"][rows], 1e-6)


def _stage(case: Case, stage: Stage, null: TextEmbedding) -> DiffusionStage:
    folder = case.folder / case.meta["checkpoints"][f"objaverse_{stage}"]["file"]
    source = open_official(folder.parent, stage)
    config = source.config
    assert isinstance(config, StageConfig)
    decoder = Decoder(config.vae)
    decoder.load_state_dict(_under(source, "vae."))
    scale_factor = source.read("scale_factor").item()
    runtime = Runtime(case.device, grids=case.grids)
    if isinstance(config.unet, DenseUNetConfig):
        dense = DenseUNet(config.unet)
        dense.load_state_dict(_under(source, "unet."))
        return CoarseStage(config, dense, decoder, scale_factor, null, runtime)
    assert isinstance(config.unet, SparseUNetConfig)
    sparse = SparseUNet(config.unet)
    sparse.load_state_dict(_under(source, "unet."))
    return FineStage(config, sparse, decoder, scale_factor, runtime)


def _under(source: Source, prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): source.read(name) for name in source.keys if name.startswith(prefix)}


def _start(case: Case, stage: Stage, sample: int, text: Tensor) -> DiffusionState:
    x = case.tensors[f"{stage}_initial_noise"][case.tensors[f"{stage}_latent_batch"] == sample]
    guidance = case.meta[f"{stage}_guidance_scale"]
    return DiffusionState(stage, 0, case.meta["ddim_steps"], 0, "ddim", guidance, x, text)


def _text(case: Case, tokens: str, mask: str, sample: int) -> Tensor:
    return case.tensors[tokens][sample][case.tensors[mask][sample]]


def _same(noise: Tensor) -> Tensor:
    return noise
