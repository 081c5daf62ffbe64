"""The two diffusion stages: from a state of pure noise, slice by slice, to voxels.

A stage holds weights and caches, never a run: `denoise` takes states and returns states. Every sample of a call may
differ in step count, position, guidance, seed and prompt. On a CPU samples are computed one by one, because a batch
changes the last bits of a result there and gains no time; on a GPU they share batches.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache

import torch
from torch import Tensor

from models.cache import LRUCache, digest
from models.config import DenseUNetConfig, SparseUNetConfig, Stage, StageConfig
from models.dense import DenseUNet
from models.errors import NumericError
from models.layers import TextContext
from models.noise import INITIAL, noise
from models.result import Voxels, unit_normals
from models.samplers import SAMPLERS, timesteps
from models.sparse import SparseUNet
from models.state import DiffusionState
from models.text import TextEmbedding, pad
from models.vae import Decoded, Decoder
from models.voxels import TorchGrid

BUCKETS = (1, 2, 4, 8, 16, 32, 64)
"""Rows of a GPU batch are padded to one of these, so that equal buckets run equal kernels and give equal bits."""
VOXEL_BUDGET = 262_144
"""Voxels of a fine GPU batch at most."""
CONTEXTS_KEPT = 16
GRIDS_KEPT = 16


class DiffusionStage:
    """What both stages share: denoising by slices and decoding."""

    stage: Stage

    def __init__(
        self, config: StageConfig, decoder: Decoder, scale_factor: float,
        device: torch.device | str = "cpu", dtype: torch.dtype = torch.float32,
    ) -> None:  # fmt: skip
        self.config = config
        self.device = torch.device(device)
        self.dtype = dtype
        self.scale_factor = scale_factor
        self.decoder = decoder.to(self.device).eval().requires_grad_(False)
        self._contexts: LRUCache[TextContext] = LRUCache(CONTEXTS_KEPT)

    @torch.inference_mode()
    def denoise(self, states: Sequence[DiffusionState], steps: int) -> list[DiffusionState]:
        """Advances every state by `steps` denoising steps, or to its end if that comes first.

        States come back in the order given, with tensors on the stage's device. Raises NumericError if a latent is no
        longer finite.
        """
        results = [state.to(self.device) for state in states]
        for group in self._groups(results):
            for _ in range(steps):
                active = [index for index in group if not results[index].done]
                if not active:
                    break
                running = [results[index] for index in active]
                predictions = self.predict(running, [self.timestep(state) for state in running])
                for index, prediction in zip(active, predictions, strict=True):
                    results[index] = self._step(results[index], prediction)
        for state in results:
            if not bool(state.x.isfinite().all()):
                raise NumericError(f"the {self.stage} latent is not finite at step {state.step}: try another seed")
        return results

    def predict(self, states: Sequence[DiffusionState], times: Sequence[int]) -> list[Tensor]:
        """The guided v-prediction of each state at its timestep, float32 [V, C]."""
        raise NotImplementedError

    def timestep(self, state: DiffusionState) -> int:
        """The timestep of the state's next step."""
        return self._timesteps(state.steps)[state.step]

    @torch.inference_mode()
    def decode_raw(self, states: Sequence[DiffusionState]) -> list[Decoded]:
        """Decodes finished states one by one, with every level and raw normals, as the parity tests need them."""
        return [self.decoder(state.x.to(self.device) / self.scale_factor, self.grid([state])) for state in states]

    def decode(self, states: Sequence[DiffusionState]) -> list[Voxels]:
        """Decodes finished states to voxels with unit normals; a result without any voxel is possible."""
        return [
            Voxels(
                decoded.grid.ijk.cpu().numpy().astype("int16"),
                unit_normals(decoded.normals.cpu().numpy()),
                self.config.voxel_size,
            )
            for decoded in self.decode_raw(states)
        ]

    def grid(self, states: Sequence[DiffusionState]) -> TorchGrid:
        """The latent grid of the states as one batch."""
        raise NotImplementedError

    def _groups(self, states: Sequence[DiffusionState]) -> list[list[int]]:
        if self.device.type == "cpu":
            return [[index] for index in range(len(states))]
        return [list(range(len(states)))]

    def _timesteps(self, steps: int) -> list[int]:
        return _timesteps(steps, self.config.schedule.num_train_timesteps)

    def _autocast(self) -> torch.autocast:
        return torch.autocast(self.device.type, self.dtype, enabled=self.dtype != torch.float32)

    def _context(self, texts: Sequence[Tensor], length: int | None) -> TextContext:
        key = (length, *(digest(text) for text in texts))

        def build() -> TextContext:
            longest = length or max(len(text) for text in texts)
            tokens, mask = pad([TextEmbedding(text.cpu()) for text in texts], longest)
            return TextContext(tokens.to(self.device), mask.to(self.device))

        return self._contexts.get(key, build)

    def _step(self, state: DiffusionState, prediction: Tensor) -> DiffusionState:
        run = self._timesteps(state.steps)
        sampler = SAMPLERS[state.sampler]
        following = run[state.step + 1] if state.step + 1 < state.steps else None
        x, clean = sampler.step(
            self.config.schedule, run[state.step], following, state.x, prediction,
            lambda: noise(state.seed, self.stage, state.step, *state.x.shape),
            None if state.previous is None else (run[state.step - 1], state.previous),
        )  # fmt: skip
        history = clean if sampler.uses_history and following is not None else None
        return replace(state, x=x, step=state.step + 1, previous=history)


class CoarseStage(DiffusionStage):
    """Text -> coarse voxels, by dense diffusion on a full cube of latents."""

    stage: Stage = "coarse"

    def __init__(
        self, config: StageConfig, unet: DenseUNet, decoder: Decoder, scale_factor: float, null: TextEmbedding,
        device: torch.device | str = "cpu", dtype: torch.dtype = torch.float32,
    ) -> None:  # fmt: skip
        super().__init__(config, decoder, scale_factor, device, dtype)
        assert isinstance(config.unet, DenseUNetConfig)
        self.resolution, self.channels = config.unet.image_size, config.unet.in_channels
        self.unet = unet.to(self.device).eval().requires_grad_(False)
        self.null = null.tokens
        self._grid = TorchGrid.dense(self.resolution, 1, self.device)

    def start(
        self, text: TextEmbedding, *, seed: int, steps: int = 100, guidance_scale: float = 7.5, sampler: str = "ddim"
    ) -> DiffusionState:
        """A state of pure noise. guidance_scale s means pred + s * (pred - null); exactly 1.0 switches it off."""
        x = noise(seed, self.stage, INITIAL, self.resolution**3, self.channels)
        return DiffusionState(self.stage, seed, steps, 0, sampler, guidance_scale, x, text.tokens)

    def grid(self, states: Sequence[DiffusionState]) -> TorchGrid:
        return self._grid if len(states) == 1 else TorchGrid.dense(self.resolution, len(states), self.device)

    def predict(self, states: Sequence[DiffusionState], times: Sequence[int]) -> list[Tensor]:
        guided = [index for index, state in enumerate(states) if state.guidance_scale != 1.0]
        order = [*range(len(states)), *guided]
        texts = [state.text for state in states] + [self.null] * len(guided)
        length = None
        if self.device.type != "cpu":
            rows = next((size for size in BUCKETS if size >= len(order)), len(order))
            texts += [self.null] * (rows - len(order))
            order += [0] * (rows - len(order))
            length = 77
        x = torch.stack([states[index].x for index in order])
        cube = x.transpose(1, 2).unflatten(2, (self.resolution,) * 3)
        row_times = torch.tensor([times[index] for index in order], device=self.device)
        with self._autocast():
            v = self.unet(cube, row_times, self._context(texts, length))
        rows_v = v.float().flatten(2).transpose(1, 2)
        predictions = list(rows_v[: len(states)])
        for row, index in enumerate(guided, start=len(states)):
            conditional = predictions[index]
            predictions[index] = conditional + states[index].guidance_scale * (conditional - rows_v[row])
        return predictions


class FineStage(DiffusionStage):
    """Coarse voxels and text -> fine voxels, by sparse diffusion of one latent a coarse voxel. Never guided."""

    stage: Stage = "fine"

    def __init__(
        self, config: StageConfig, unet: SparseUNet, decoder: Decoder, scale_factor: float,
        device: torch.device | str = "cpu", dtype: torch.dtype = torch.float32,
    ) -> None:  # fmt: skip
        super().__init__(config, decoder, scale_factor, device, dtype)
        assert isinstance(config.unet, SparseUNetConfig)
        self.channels = config.unet.out_channels
        self.unet = unet.to(self.device).eval().requires_grad_(False)
        self._grids: LRUCache[TorchGrid] = LRUCache(GRIDS_KEPT)

    def start(
        self, coarse: Voxels, text: TextEmbedding, *, seed: int, steps: int = 100, sampler: str = "ddim"
    ) -> DiffusionState:
        """A state of pure noise on the coarse shape's voxels. Raises ValueError if it has none."""
        if not len(coarse):
            raise ValueError("the coarse shape has no voxel: there is nothing to refine")
        x = noise(seed, self.stage, INITIAL, len(coarse), self.channels)
        return DiffusionState(
            self.stage, seed, steps, 0, sampler, 1.0, x, text.tokens,
            torch.from_numpy(coarse.ijk), normalise_condition(torch.from_numpy(coarse.normal)),
        )  # fmt: skip

    def grid(self, states: Sequence[DiffusionState]) -> TorchGrid:
        voxels = [state.ijk for state in states if state.ijk is not None]
        sizes = torch.tensor([len(ijk) for ijk in voxels])

        def build() -> TorchGrid:
            batch = torch.arange(len(voxels)).repeat_interleave(sizes)
            return TorchGrid.from_ijk(torch.cat(voxels).to(self.device), batch.to(self.device), len(voxels))

        return self._grids.get(tuple(digest(ijk) for ijk in voxels), build)

    def predict(self, states: Sequence[DiffusionState], times: Sequence[int]) -> list[Tensor]:
        grid = self.grid(states)
        normals = [state.normal for state in states if state.normal is not None]
        features = torch.cat((torch.cat([state.x for state in states]), grid.ijk.float(), torch.cat(normals)), dim=1)
        sample_times = torch.tensor(times, device=self.device)
        with self._autocast():
            v = self.unet(features, grid, sample_times, self._context([state.text for state in states], None))
        return list(v.float().split(grid.counts))

    def _groups(self, states: Sequence[DiffusionState]) -> list[list[int]]:
        if self.device.type == "cpu":
            return super()._groups(states)
        groups: list[list[int]] = []
        room = 0
        for index, state in enumerate(states):
            if len(state.x) > room:
                groups.append([])
                room = VOXEL_BUDGET
            groups[-1].append(index)
            room -= len(state.x)
        return groups


def normalise_condition(normals: Tensor) -> Tensor:
    """Normals [N, 3] as the fine model's input: n / (|n| + 1e-6), twice, because once does not settle tiny ones."""
    for _ in range(2):
        normals = normals / (normals.norm(dim=1, keepdim=True) + 1e-6)
    return normals


@lru_cache(maxsize=256)
def _timesteps(steps: int, num_train_timesteps: int) -> list[int]:
    return timesteps(steps, num_train_timesteps)
