"""The two diffusion stages: from a state of pure noise, slice by slice, to voxels.

A stage holds weights and caches, never a run: `denoise` takes states and returns states. Every sample of a call may
differ in step count, position, guidance, seed and prompt. On a CPU samples are computed one by one, because a batch
changes the last bits of a result there and gains no time. On a GPU coarse samples share batches of fixed sizes; a fine
sample fills the GPU by itself, and its step is a CUDA graph that belongs to its voxels alone.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Hashable, Sequence
from dataclasses import replace
from functools import lru_cache, partial
from typing import Any, TypeVar

import torch
from torch import Tensor

from models.cache import LRUCache, digest
from models.config import DenseUNetConfig, SparseUNetConfig, Stage, StageConfig
from models.dense import DenseUNet
from models.errors import NumericError
from models.graphs import Graphs, Slot
from models.layers import TextContext
from models.noise import INITIAL, noise
from models.precision import prepare
from models.result import Voxels, unit_normals
from models.samplers import SAMPLERS, timesteps
from models.sparse import SparseUNet
from models.state import DiffusionState
from models.text import TextEmbedding, pad
from models.threads import share
from models.vae import Decoded, Decoder
from models.voxels import FvdbGrid, Grid, GridClass, TorchGrid

BUCKETS = (1, 2, 4, 8, 16, 32, 64)
"""Rows of a GPU batch are padded to one of these, so that equal buckets run equal kernels and give equal bits."""
TOKENS = 80
"""Tokens of a padded prompt on a GPU: the 77 of CLIP, and three so that attention kernels find rows aligned."""
CONTEXTS_KEPT = 16
GRIDS_KEPT = 16
NAMES_KEPT = 64
L = TypeVar("L")


class DiffusionStage:
    """What both stages share: denoising by slices and decoding."""

    stage: Stage
    batch_size = 1
    """States of a GPU batch at most."""

    def __init__(
        self, config: StageConfig, decoder: Decoder, scale_factor: float,
        device: torch.device | str = "cpu", dtype: torch.dtype = torch.float32, graphs: bool = True,
        backend: GridClass = TorchGrid,
    ) -> None:  # fmt: skip
        self.config = config
        self.device = torch.device(device)
        self.dtype = dtype
        self.scale_factor = scale_factor
        self.decoder = decoder.to(self.device).eval().requires_grad_(False)
        self._contexts: LRUCache[TextContext] = LRUCache(CONTEXTS_KEPT)
        self._names: LRUCache[tuple[Tensor, bytes]] = LRUCache(NAMES_KEPT)
        self.graphs = graphs
        self.backend = backend
        self.batched = self.device.type != "cpu"
        self._all_graphs = Graphs() if self.device.type == "cuda" else None

    @torch.inference_mode()
    def denoise(self, states: Sequence[DiffusionState], steps: int) -> list[DiffusionState]:
        """Advances every state by `steps` denoising steps, or to its end if that comes first.

        States come back in the order given, with tensors on the stage's device. Raises NumericError if a latent is no
        longer finite, torch.OutOfMemoryError, with everything freed that can be, if the GPU's memory does not suffice.
        """
        try:
            results = self._denoise(states, steps)
        except torch.OutOfMemoryError:
            self.release()
            raise
        for state in results:
            if not bool(state.x.isfinite().all()):
                raise NumericError(f"the {self.stage} latent is not finite at step {state.step}: try another seed")
        return results

    def _denoise(self, states: Sequence[DiffusionState], steps: int) -> list[DiffusionState]:
        moved = [state.to(self.device) for state in states]
        size = self.batch_size if self.batched else 1
        groups = [moved[start : start + size] for start in range(0, len(moved), size)]
        advance = partial(self._advance, steps=steps)
        advanced = map(advance, groups) if self.batched else share(advance, groups)
        return [state for group in advanced for state in group]

    def _advance(self, states: Sequence[DiffusionState], steps: int) -> list[DiffusionState]:
        results = list(states)
        for _ in range(steps):
            active = [index for index, state in enumerate(results) if not state.done]
            if not active:
                break
            running = [results[index] for index in active]
            predictions = self.predict(running, [self.timestep(state) for state in running])
            for index, prediction in zip(active, predictions, strict=True):
                results[index] = self._step(results[index], prediction)
        return results

    def release(self) -> None:
        """Frees whatever can be made again: text keys and values, grids, graphs."""
        caches: list[LRUCache[Any]] = [self._contexts, self._names, *self._rebuilt()]
        for cache in caches:
            cache.clear()
        if self.device.type == "cuda":
            gc.collect()  # graphs and their stages refer to each other
            torch.cuda.empty_cache()

    @property
    def _recorded(self) -> Graphs | None:
        """Where steps are recorded; None if they are not to be."""
        return self._all_graphs if self.graphs else None

    def _rebuilt(self) -> Sequence[LRUCache[Any]]:
        """The caches that a kind of stage has of its own."""
        raise NotImplementedError

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

    def grid(self, states: Sequence[DiffusionState]) -> TorchGrid | FvdbGrid:
        """The latent grid of the states as one batch."""
        raise NotImplementedError

    def _timesteps(self, steps: int) -> list[int]:
        return _timesteps(steps, self.config.schedule.num_train_timesteps)

    def _name(self, tensor: Tensor) -> bytes:
        """The digest of a tensor that does not change, computed once while the tensor is in use."""
        return self._names.get(id(tensor), lambda: (tensor, digest(tensor)))[1]

    def _context(self, text: Tensor) -> TextContext:
        return self._contexts.get(self._name(text), lambda: TextContext(text[None].to(self.device)))

    def _tokens(self, texts: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """Tokens and additive mask of a fixed length, on the device."""
        tokens, mask = pad([TextEmbedding(text.cpu()) for text in texts], TOKENS)
        added = torch.zeros(mask.shape).masked_fill_(~mask, float("-inf"))
        return tokens.to(self.device), added.to(self.device, self.dtype)

    def _slot(
        self, slots: LRUCache[Slot[L]], key: Hashable, texts: Sequence[Tensor], layout: Callable[[], L]
    ) -> Slot[L]:
        """The slot of a layout, made now if it is not kept, with these texts in it."""
        name = tuple(self._name(text) for text in texts)
        slot = slots.get(key, lambda: Slot(layout(), TextContext(*self._tokens(texts)), name))
        slot.read(name, lambda: self._tokens(texts))
        return slot

    def _upload(self, values: Tensor) -> Tensor:
        """Values on the device, without waiting for what it computes just now."""
        return values.pin_memory().to(self.device, non_blocking=True) if self.device.type == "cuda" else values

    def _step(self, state: DiffusionState, prediction: Tensor) -> DiffusionState:
        run = self._timesteps(state.steps)
        sampler = SAMPLERS[state.sampler]
        following = run[state.step + 1] if state.step + 1 < state.steps else None
        x, clean = sampler.step(
            self.config.schedule, run[state.step], following, state.x, prediction,
            lambda: self._upload(noise(state.seed, self.stage, state.step, *state.x.shape)),
            None if state.previous is None else (run[state.step - 1], state.previous),
        )  # fmt: skip
        history = clean if sampler.uses_history and following is not None else None
        return replace(state, x=x, step=state.step + 1, previous=history)


class CoarseStage(DiffusionStage):
    """Text -> coarse voxels, by dense diffusion on a full cube of latents."""

    stage: Stage = "coarse"
    batch_size = BUCKETS[-1] // 2  # a guided state takes two rows

    def __init__(
        self, config: StageConfig, unet: DenseUNet, decoder: Decoder, scale_factor: float, null: TextEmbedding,
        device: torch.device | str = "cpu", dtype: torch.dtype = torch.float32, graphs: bool = True,
        backend: GridClass = TorchGrid,
    ) -> None:  # fmt: skip
        super().__init__(config, decoder, scale_factor, device, dtype, graphs, backend)
        assert isinstance(config.unet, DenseUNetConfig)
        self.resolution, self.channels = config.unet.image_size, config.unet.in_channels
        self.unet = prepare(unet, self.device, dtype)
        self._slots: LRUCache[Slot[int]] = LRUCache(len(BUCKETS))
        self.null = null.tokens
        self._grid = backend.dense(self.resolution, 1, self.device)

    def start(
        self, text: TextEmbedding, *, seed: int, steps: int = 100, guidance_scale: float = 7.5, sampler: str = "ddim"
    ) -> DiffusionState:
        """A state of pure noise. guidance_scale s means pred + s * (pred - null); exactly 1.0 switches it off."""
        x = noise(seed, self.stage, INITIAL, self.resolution**3, self.channels)
        return DiffusionState(self.stage, seed, steps, 0, sampler, guidance_scale, x, text.tokens)

    def grid(self, states: Sequence[DiffusionState]) -> TorchGrid | FvdbGrid:
        return self._grid if len(states) == 1 else self.backend.dense(self.resolution, len(states), self.device)

    def predict(self, states: Sequence[DiffusionState], times: Sequence[int]) -> list[Tensor]:
        if not self.batched:
            return [self._predict_alone(state, time) for state, time in zip(states, times, strict=True)]
        guided = [index for index, state in enumerate(states) if state.guidance_scale != 1.0]
        order = [*range(len(states)), *guided]
        texts = [state.text for state in states] + [self.null] * len(guided)
        rows = next(size for size in BUCKETS if size >= len(order))
        texts += [self.null] * (rows - len(order))
        order += [0] * (rows - len(order))
        x = torch.stack([states[index].x for index in order])
        row_times = self._upload(torch.tensor([times[index] for index in order]))
        slot = self._slot(self._slots, len(x), texts, lambda: len(x))
        rows_v = slot.run(partial(self._forward, context=slot.context), (x, row_times), self._recorded)
        predictions = list(rows_v[: len(states)].clone())
        for row, index in enumerate(guided, start=len(states)):
            predictions[index] = _guide(predictions[index], rows_v[row], states[index])
        return predictions

    def _predict_alone(self, state: DiffusionState, time: int) -> Tensor:
        guided = state.guidance_scale != 1.0
        texts = [state.text, self.null] if guided else [state.text]
        trunk = self.unet.before_text(self._cube(state.x[None]), torch.tensor([time]))
        rows = share(lambda text: self._rows(self.unet.after_text(trunk, self._context(text)))[0], texts)
        return _guide(rows[0], rows[1], state) if guided else rows[0]

    def _rebuilt(self) -> Sequence[LRUCache[Any]]:
        return (self._slots,)

    def _forward(self, x: Tensor, times: Tensor, context: TextContext) -> Tensor:
        """Rows of latents [R, V, C], timesteps [R] and R texts -> v, float32 [R, V, C]."""
        return self._rows(self.unet(self._cube(x), times, context))

    def _cube(self, x: Tensor) -> Tensor:
        """[R, V, C] -> [R, C, X, Y, Z]."""
        cube: Tensor = x.transpose(1, 2).unflatten(2, (self.resolution,) * 3)
        return cube

    def _rows(self, v: Tensor) -> Tensor:
        """[R, C, X, Y, Z] -> float32 [R, V, C]."""
        return v.float().flatten(2).transpose(1, 2)


class FineStage(DiffusionStage):
    """Coarse voxels and text -> fine voxels, by sparse diffusion of one latent a coarse voxel. Never guided."""

    stage: Stage = "fine"

    def __init__(
        self, config: StageConfig, unet: SparseUNet, decoder: Decoder, scale_factor: float,
        device: torch.device | str = "cpu", dtype: torch.dtype = torch.float32, graphs: bool = True,
        backend: GridClass = TorchGrid,
    ) -> None:  # fmt: skip
        super().__init__(config, decoder, scale_factor, device, dtype, graphs, backend)
        assert isinstance(config.unet, SparseUNetConfig)
        self.channels = config.unet.out_channels
        self.unet = prepare(unet, self.device, dtype)
        self._slots: LRUCache[Slot[TorchGrid | FvdbGrid]] = LRUCache(GRIDS_KEPT)
        self._grids: LRUCache[TorchGrid | FvdbGrid] = LRUCache(GRIDS_KEPT)

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

    def grid(self, states: Sequence[DiffusionState]) -> TorchGrid | FvdbGrid:
        voxels = [state.ijk for state in states if state.ijk is not None]
        sizes = torch.tensor([len(ijk) for ijk in voxels])

        def build() -> TorchGrid | FvdbGrid:
            batch = torch.arange(len(voxels)).repeat_interleave(sizes)
            return self.backend.from_ijk(torch.cat(voxels).to(self.device), batch.to(self.device), len(voxels))

        return self._grids.get(tuple(self._name(ijk) for ijk in voxels), build)

    def predict(self, states: Sequence[DiffusionState], times: Sequence[int]) -> list[Tensor]:
        return [self._predict_one(state, time) for state, time in zip(states, times, strict=True)]

    def _rebuilt(self) -> Sequence[LRUCache[Any]]:
        return self._slots, self._grids

    def _predict_one(self, state: DiffusionState, time: int) -> Tensor:
        assert state.normal is not None
        assert state.ijk is not None
        inputs = (state.x, state.normal, self._upload(torch.tensor([time])))
        if not self.batched:
            return self._forward(*inputs, grid=self.grid([state]), context=self._context(state.text))
        slot = self._slot(self._slots, self._name(state.ijk), [state.text], lambda: self.grid([state]))
        forward = partial(self._forward, grid=slot.layout, context=slot.context)
        # fvdb allocates and waits as it likes, which a graph cannot record
        graphs = self._recorded if self.backend is TorchGrid else None
        return slot.run(forward, inputs, graphs).clone()

    def _forward(self, x: Tensor, normal: Tensor, time: Tensor, grid: Grid, context: TextContext) -> Tensor:
        features = torch.cat((x, grid.ijk.float(), normal), dim=1)
        v: Tensor = self.unet(features, grid, time, context)
        return v.float()


def _guide(conditional: Tensor, unconditional: Tensor, state: DiffusionState) -> Tensor:
    return conditional + state.guidance_scale * (conditional - unconditional)


def normalise_condition(normals: Tensor) -> Tensor:
    """Normals [N, 3] as the fine model's input: n / (|n| + 1e-6), twice, because once does not settle tiny ones."""
    for _ in range(2):
        normals = normals / (normals.norm(dim=1, keepdim=True) + 1e-6)
    return normals


@lru_cache(maxsize=256)
def _timesteps(steps: int, num_train_timesteps: int) -> list[int]:
    return timesteps(steps, num_train_timesteps)
