"""The two diffusion stages: from a state of pure noise to coarse voxels, and from these to fine ones.

On a GPU coarse samples share batches of fixed sizes, where the kernels see to it that this changes no bit; a fine
sample fills the GPU by itself, in memory with room for its number of voxels.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor

from models import kernels
from models.cache import LRUCache
from models.config import DenseUNetConfig, SparseUNetConfig, Stage, StageConfig
from models.dense import DenseUNet
from models.graphs import Graphs
from models.grids import FixedGrid, Grid, TorchGrid, UNetGrid, counts_of, rooms_for
from models.noise import INITIAL, noise
from models.precision import prepare
from models.runtime import REFERENCE, Runtime
from models.shape import Voxels
from models.slots import Slot
from models.sparse import SparseUNet
from models.stage import DiffusionStage
from models.state import DiffusionState
from models.text import TextEmbedding
from models.threads import share
from models.vae import Decoder

__all__ = ["CoarseStage", "DiffusionStage", "FineStage", "normalise_condition"]
BUCKETS = (1, 2, 4, 8, 16, 32, 64)
"""Rows of a GPU batch are padded to one of these, so that a few recorded steps serve batches of any size."""
GRIDS_KEPT = 16
SHAPES_KEPT = 32
"""Fixed memory for fine samples, each for shapes of about one size."""


class CoarseStage(DiffusionStage):
    """Text -> coarse voxels, by dense diffusion on a full cube of latents."""

    stage: Stage = "coarse"
    most_together = BUCKETS[-1] // 2  # a guided state takes two rows

    def __init__(
        self, config: StageConfig, unet: DenseUNet, decoder: Decoder, scale_factor: float, null: TextEmbedding,
        runtime: Runtime = REFERENCE,
    ) -> None:  # fmt: skip
        super().__init__(config, decoder, scale_factor, runtime)
        assert isinstance(config.unet, DenseUNetConfig)
        self.resolution, self.channels = config.unet.image_size, config.unet.in_channels
        self.unet = prepare(unet, self.device, runtime.dtype, config.schedule.num_train_timesteps)
        self._slots: LRUCache[Slot[int]] = LRUCache(len(BUCKETS))
        self.null = null.tokens
        self._grid = runtime.grids.dense(self.resolution, 1, self.device)

    def start(
        self, text: TextEmbedding, *, seed: int, steps: int = 100, guidance_scale: float = 7.5, scheduler: str = "ddim"
    ) -> DiffusionState:
        """A state of pure noise. guidance_scale s means pred + s * (pred - null); exactly 1.0 switches it off."""
        x = noise(seed, self.stage, INITIAL, self.resolution**3, self.channels)
        return DiffusionState(self.stage, seed, steps, 0, scheduler, guidance_scale, x, text.tokens)

    def grid(self, states: Sequence[DiffusionState]) -> Grid:
        return self._grid if len(states) == 1 else self.runtime.grids.dense(self.resolution, len(states), self.device)

    def predict(self, states: Sequence[DiffusionState], times: Sequence[int]) -> list[Tensor]:
        if not self.batched:
            return [self._predict_alone(state, time) for state, time in zip(states, times, strict=True)]
        return self._predict_together(states, times)

    def _place(self, states: Sequence[DiffusionState]) -> Slot[Any]:
        guided = [index for index, state in enumerate(states) if state.guidance_scale != 1.0]
        rows = next(size for size in BUCKETS if size >= len(states) + len(guided))
        source, partner, guidance = torch.zeros(rows, dtype=torch.int64), torch.arange(rows), torch.zeros(rows)
        source[: len(states)] = partner[: len(states)]
        for row, index in enumerate(guided, start=len(states)):
            source[row], partner[index], guidance[index] = index, row, states[index].guidance_scale
        texts = [state.text for state in states] + [self.null] * (rows - len(states))
        shape = (rows, self.resolution**3, self.channels)
        slot = self._slot(self._slots, rows, texts, shape, lambda: rows, self._forward)
        slot.guide(source, partner, guidance)
        slot.load([state.x for state in states], [state.previous for state in states])
        return slot

    def _predict_alone(self, state: DiffusionState, time: int) -> Tensor:
        guided = state.guidance_scale != 1.0
        texts = [state.text, self.null] if guided else [state.text]
        trunk = self.unet.before_text(self._cube(state.x[None]), torch.tensor([time]))
        rows = share(lambda text: self._rows(self.unet.after_text(trunk, self._context(text)))[0], texts)
        return _guide(rows[0], rows[1], state) if guided else rows[0]

    def _rebuilt(self) -> Sequence[LRUCache[Any]]:
        return (self._slots,)

    def _forward(self, slot: Slot[int], x: Tensor, times: Tensor) -> Tensor:
        x, times = (value.index_select(0, slot.source) for value in (x, times))
        return self._rows(self.unet(self._cube(x), times, slot.context))

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
        runtime: Runtime = REFERENCE,
    ) -> None:  # fmt: skip
        super().__init__(config, decoder, scale_factor, runtime)
        assert isinstance(config.unet, SparseUNetConfig)
        self.channels = config.unet.out_channels
        self.unet = prepare(unet, self.device, runtime.dtype, config.schedule.num_train_timesteps)
        self._levels = len(config.unet.channel_mult)
        self._slots: LRUCache[Slot[_Layout]] = LRUCache(SHAPES_KEPT)
        self._grids: LRUCache[Grid] = LRUCache(GRIDS_KEPT)

    def start(
        self, coarse: Voxels, text: TextEmbedding, *, seed: int, steps: int = 100, scheduler: str = "ddim"
    ) -> DiffusionState:
        """A state of pure noise on the coarse shape's voxels. Raises ValueError if it has none."""
        if not len(coarse):
            raise ValueError("the coarse shape has no voxel: there is nothing to refine")
        x = noise(seed, self.stage, INITIAL, len(coarse), self.channels)
        return DiffusionState(
            self.stage, seed, steps, 0, scheduler, 1.0, x, text.tokens,
            torch.from_numpy(coarse.ijk), normalise_condition(torch.from_numpy(coarse.normal)),
        )  # fmt: skip

    def grid(self, states: Sequence[DiffusionState]) -> Grid:
        voxels = [state.ijk for state in states if state.ijk is not None]
        sizes = torch.tensor([len(ijk) for ijk in voxels])

        def build() -> Grid:
            batch = torch.arange(len(voxels)).repeat_interleave(sizes)
            return self.runtime.grids.from_ijk(torch.cat(voxels).to(self.device), batch.to(self.device), len(voxels))

        return self._grids.get(tuple(self._name(ijk) for ijk in voxels), build)

    def predict(self, states: Sequence[DiffusionState], times: Sequence[int]) -> list[Tensor]:
        if not self.batched:
            return [self._predict_alone(state, time) for state, time in zip(states, times, strict=True)]
        pairs = zip(states, times, strict=True)
        return [self._predict_together([state], [time])[0] for state, time in pairs]

    def _rebuilt(self) -> Sequence[LRUCache[Any]]:
        return self._slots, self._grids

    @property
    def _recorded(self) -> Graphs | None:
        # fvdb allocates and waits as it likes, which a graph cannot record
        return super()._recorded if self.runtime.grids is TorchGrid else None

    def _predict_alone(self, state: DiffusionState, time: int) -> Tensor:
        assert state.normal is not None
        features = _condition(state.x, self.grid([state]), state.normal)
        v: Tensor = self.unet(features, self.grid([state]), torch.tensor([time]), self._context(state.text))
        return v.float()

    def _place(self, states: Sequence[DiffusionState]) -> Slot[Any]:
        (state,) = states
        assert state.normal is not None
        assert state.ijk is not None
        grid, name = self.grid([state]), self._name(state.ijk)
        alike = torch.empty(0, dtype=self.runtime.dtype, device=self.device)
        if isinstance(grid, TorchGrid) and kernels.exact(alike):
            rooms = rooms_for(counts_of(grid, self._levels))
            shape = (1, rooms[0], self.channels)
            slot = self._slot(
                self._slots, rooms, [state.text], shape, lambda: _Layout(FixedGrid(rooms, self.device)), self._forward
            )
            if slot.name != name:
                slot.layout.take(grid, state.normal)
                slot.name = name
        else:
            shape = (1, len(state.x), self.channels)
            layout = partial(_Layout, grid)
            slot = self._slot(self._slots, name, [state.text], shape, layout, self._forward)
            slot.layout.normal.copy_(state.normal)
        slot.load([state.x], [state.previous])
        return slot

    def _forward(self, slot: Slot[_Layout], x: Tensor, times: Tensor) -> Tensor:
        grid = slot.layout.grid
        v: Tensor = self.unet(_condition(x[0], grid, slot.layout.normal), grid, times, slot.context).float()
        return (grid.clear(v) if isinstance(grid, FixedGrid) else v)[None]


class _Layout:
    """The voxels of a fine sample and the normals on them, at addresses that stay."""

    def __init__(self, grid: UNetGrid) -> None:
        self.grid = grid
        self.normal = torch.zeros(len(grid.ijk), 3, device=grid.ijk.device)

    def take(self, grid: TorchGrid, normal: Tensor) -> None:
        """Another sample's, where the grid is one in fixed memory."""
        assert isinstance(self.grid, FixedGrid)
        self.grid.load(grid)
        self.normal[: len(normal)] = normal


def _condition(x: Tensor, grid: UNetGrid, normal: Tensor) -> Tensor:
    """The fine model's input: latents, voxel indices and normals, [N, C]."""
    return torch.cat((x, grid.ijk.float(), normal), dim=1)


def _guide(conditional: Tensor, unconditional: Tensor, state: DiffusionState) -> Tensor:
    return conditional + state.guidance_scale * (conditional - unconditional)


def normalise_condition(normals: Tensor) -> Tensor:
    """Normals [N, 3] as the fine model's input: n / (|n| + 1e-6), twice, because once does not settle tiny ones."""
    for _ in range(2):
        normals = normals / (normals.norm(dim=1, keepdim=True) + 1e-6)
    return normals
