"""How a GPU runs the steps of a stage: batches of fixed sizes, in fixed memory, as recorded graphs.

A slot is fixed memory for the samples of one layout (see slots.py), and a step on it becomes one CUDA graph (see
graphs.py). Coarse samples share batches whose rows are padded to a few sizes; the kernels see to it that this changes
no bit. So do small fine ones of about the same number of voxels; a large one fills a GPU by itself. The noise of the
next steps is drawn on the CPU meanwhile.
"""

from __future__ import annotations

import gc
from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Generic, TypeVar

import torch
from torch import Tensor

from models import kernels
from models.cache import Digests, LRUCache
from models.config import DenseUNetConfig, SparseUNetConfig, StageConfig
from models.dense import DenseUNet, cube_of, latents_of
from models.graphs import Graphs
from models.grids import SMALL, FixedGrid, Grid, Rooms, TorchGrid, UNetGrid, all_rooms, counts_of, rooms_for
from models.lanes import Pace
from models.layers import TextContext
from models.noise import Block, NoiseAhead, steps_at_once
from models.runtime import Runtime
from models.schedulers import SCHEDULERS, draws, plan, timesteps
from models.slots import MOST_STEPS, Slot
from models.sparse import SparseUNet, with_voxels
from models.state import DiffusionState
from models.text import TextEmbedding, pad
from models.tracing import named

BUCKETS = (1, 2, 4, 8, 16, 32, 64)
"""Rows of a batch are padded to one of these, so that a few recorded steps serve batches of any size."""
FINE_TOGETHER = 8
"""Small fine samples of a batch at most. A step takes hardly longer for all of them than for one."""
MOST_PREPARED = 1 << 18
"""Voxels of a sample up to which its kernels are there before it comes; real shapes have about 50,000."""
SHAPES_KEPT = 32
"""Fixed memory for fine samples, each for shapes of about one size."""
TOKENS = 80
"""Tokens of a padded prompt: the 77 of CLIP, and three so that attention kernels find rows aligned."""
AHEAD = 3
"""Steps whose noise is drawn ahead."""
L = TypeVar("L")


@dataclass(frozen=True)
class Lane:
    """What a lane works with.

    Attributes:
        stream: Where its work runs, and nothing else; None on a CPU.
        digests: Names of tensors, shared by all lanes of a stage.
        noise: Shared as well, as samples change lanes.
    """

    stream: torch.cuda.Stream | None
    digests: Digests
    noise: NoiseAhead


class Graphed(ABC, Generic[L]):
    """Runs the steps of a stage's samples together, in slots of layouts L.

    Attributes:
        exact: Whether a sample has to have the same bits alone and in any batch; what cannot promise that runs alone.
        graphs: The recorded steps; None where they are not to be recorded.
        stream: Where all of it runs; None on a CPU.
        slots: Fixed memory by what it is for.
    """

    def __init__(self, config: StageConfig, channels: int, runtime: Runtime, lane: Lane, slots_kept: int) -> None:
        self.schedule, self.channels = config.schedule, channels
        self.device, self.dtype = runtime.device, runtime.dtype
        self.exact = True
        on_gpu = self.device.type == "cuda"
        self.stream = lane.stream
        self._pace = Pace(lane.stream)
        self.graphs = Graphs() if on_gpu and runtime.graphs else None
        self.slots: LRUCache[Slot[L]] = LRUCache(slots_kept)
        self._digests, self._noise = lane.digests, lane.noise

    def advance(self, states: Sequence[DiffusionState], steps: int) -> list[DiffusionState]:
        """Advances every state on this device by `steps` steps, or to its end if that comes first."""
        groups = self.groups(states)
        for group in groups:
            self._order([states[index] for index in group], 0)
        results: dict[int, DiffusionState] = {}
        for group in groups:
            results.update(zip(group, self._advance([states[index] for index in group], steps), strict=True))
        return [results[index] for index in range(len(states))]

    def predict(self, state: DiffusionState, timestep: int) -> Tensor:
        """The guided v-prediction for a state at a timestep, float32 [V, C]."""
        slot = self._place([state.to(self.device)])
        times = torch.full((len(slot.x),), timestep, device=self.device)
        return slot.predict(times)[0, : len(state.x)].clone()

    def release(self) -> None:
        """Frees slots and graphs."""
        self.slots.clear()
        if self.device.type == "cuda":
            gc.collect()  # graphs and their stages refer to each other
            torch.cuda.empty_cache()

    @abstractmethod
    def groups(self, states: Sequence[DiffusionState]) -> list[list[int]]:
        """Which states are computed together, by their places in the call."""

    @abstractmethod
    def _place(self, states: Sequence[DiffusionState]) -> Slot[L]:
        """Fixed memory with these samples in it."""

    def _kernels_exact(self) -> bool:
        """Whether every kernel may be used now, so that neither a batch nor room for more voxels changes a bit."""
        return kernels.exact(torch.empty(0, dtype=self.dtype, device=self.device))

    def _advance(self, states: Sequence[DiffusionState], steps: int) -> list[DiffusionState]:
        """Advances a batch, in runs that end with the sample that is done first."""
        results, left = list(states), steps
        while left and (active := [index for index, state in enumerate(results) if not state.done]):
            running = [results[index] for index in active]
            count = min(left, MOST_STEPS, *(state.steps - state.step for state in running))
            for index, state in zip(active, self._run(running, count), strict=True):
                results[index] = state
            left -= count
        return results

    def _run(self, states: Sequence[DiffusionState], steps: int) -> list[DiffusionState]:
        """Takes a number of steps, which no sample of the batch lacks."""
        slot = self._place(states)
        whole = [timesteps(state.steps, self.schedule.num_train_timesteps) for state in states]
        times = [run[state.step : state.step + steps] for run, state in zip(whole, states, strict=True)]
        plans = [plan(state.scheduler, self.schedule, state.steps) for state in states]
        shares = [rows[state.step : state.step + steps] for rows, state in zip(plans, states, strict=True)]
        slot.plan(torch.tensor(times).T.contiguous(), torch.stack(shares, dim=1))
        done = 0
        while done < steps:
            blocks = [self._block(state, done) for state in states]
            sizes = [steps_at_once(state.x.numel()) for state in states]
            within = (size - (state.step + done) % size for state, size in zip(states, sizes, strict=True))
            count = min(steps - done, slot.noise.shape[1], *within)
            self._order(states, done + count)
            slot.renew(
                [
                    None if block is None else self._noise.take(block, state.step + done, count)
                    for state, block in zip(states, blocks, strict=True)
                ]
            )
            for _ in range(count):
                with named(f"{states[0].stage}/step"):
                    slot.advance(self.graphs)
                self._pace.after_step()
            done += count
        return [
            replace(
                state, x=x[: len(state.x)].clone(), step=state.step + steps,
                previous=clean[: len(state.x)].clone() if _remembers(state, steps) else None,
            )
            for state, x, clean in zip(states, slot.x, slot.previous, strict=False)
        ]  # fmt: skip

    def _block(self, state: DiffusionState, ahead: int) -> Block | None:
        """The noise of the step that comes `ahead` steps after the next one, if it draws any."""
        return Block.around(state, state.step + ahead, draws(state.scheduler, self.schedule, state.steps))

    def _order(self, states: Sequence[DiffusionState], ahead: int) -> None:
        """Has the noise drawn of the steps that come from `ahead` steps after the next one on."""
        for further in range(AHEAD):
            for state in states:
                if (block := self._block(state, ahead + further)) is not None:
                    self._noise.order(block)

    def _slot(
        self, key: Hashable, texts: Sequence[Tensor], shape: tuple[int, int, int], layout: Callable[[], L],
        forward: Callable[[Slot[L], Tensor, Tensor], Tensor],
    ) -> Slot[L]:  # fmt: skip
        """The slot of a layout, made now if it is not kept, with these texts in it."""
        name = tuple(self._digests.of(text) for text in texts)

        def build() -> Slot[L]:
            return Slot(layout(), TextContext(*self._tokens(texts)), name, shape, self.device, forward)

        slot = self.slots.get(key, build)
        slot.read(name, lambda: self._tokens(texts))
        return slot

    def _tokens(self, texts: Sequence[Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        """Tokens and additive mask of a fixed length, and how many tokens are real, on the device."""
        tokens, mask = pad([TextEmbedding(text.cpu()) for text in texts], TOKENS)
        added = torch.zeros(mask.shape).masked_fill_(~mask, float("-inf"))
        lengths = mask.sum(dim=1, dtype=torch.int32)
        return tokens.to(self.device), added.to(self.device, self.dtype), lengths.to(self.device)


class GraphedCoarse(Graphed[int]):
    """Coarse samples in batches; a layout is a number of rows, and a guided sample takes two of them."""

    def __init__(self, config: StageConfig, unet: DenseUNet, null: Tensor, runtime: Runtime, lane: Lane) -> None:
        assert isinstance(config.unet, DenseUNetConfig)
        super().__init__(config, config.unet.in_channels, runtime, lane, len(BUCKETS))
        self._resolution, self._unet, self._null = config.unet.image_size, unet, null

    @torch.inference_mode()
    def groups(self, states: Sequence[DiffusionState]) -> list[list[int]]:
        """See `Graphed.groups`: as many as there are rows for."""
        unproved = self.device.type == "cuda" and self.exact and not self._kernels_exact()
        size = 1 if unproved else BUCKETS[-1] // 2
        places = list(range(len(states)))
        return [places[start : start + size] for start in places[::size]]

    def _place(self, states: Sequence[DiffusionState]) -> Slot[int]:
        guided = [index for index, state in enumerate(states) if state.guidance_scale != 1.0]
        rows = next(size for size in BUCKETS if size >= len(states) + len(guided))
        source, partner, guidance = torch.zeros(rows, dtype=torch.int64), torch.arange(rows), torch.zeros(rows)
        source[: len(states)] = partner[: len(states)]
        for row, index in enumerate(guided, start=len(states)):
            source[row], partner[index], guidance[index] = index, row, states[index].guidance_scale
        texts = [state.text for state in states] + [self._null] * (rows - len(states))
        shape = (rows, self._resolution**3, self.channels)
        slot = self._slot(rows, texts, shape, lambda: rows, self._forward)
        slot.guide(source, partner, guidance)
        slot.load([state.x for state in states], [state.previous for state in states])
        return slot

    def _forward(self, slot: Slot[int], x: Tensor, times: Tensor) -> Tensor:
        x, times = (value.index_select(0, slot.source) for value in (x, times))
        return latents_of(self._unet(cube_of(x, self._resolution), times, slot.context))


class _Voxels:
    """The voxels of fine samples and their normals, at addresses that stay."""

    def __init__(self, grid: UNetGrid) -> None:
        self.grid = grid
        self.normal = torch.zeros(len(grid.ijk), 3, device=grid.ijk.device)
        self._held: list[Hashable] = [None] * len(grid.counts)
        self._sources: list[TorchGrid | None] = [None] * len(grid.counts)

    def load(self, samples: Sequence[tuple[Hashable, TorchGrid, Tensor]]) -> None:
        """Takes the voxels of other samples, by name, and their normals, where the grid is one in fixed memory."""
        assert isinstance(self.grid, FixedGrid)
        room = self.grid.counts[0]
        for place, (name, grid, normal) in enumerate(samples):
            if self._held[place] != name:
                self.grid.load(place, grid)
                self._sources[place] = grid  # it must last until a GPU has read it
                self._held[place] = name
            self.normal[place * room : place * room + len(normal)] = normal
        for place in range(len(samples), len(self._held)):
            if self._held[place] is not None:
                self.grid.empty(place)
                self._held[place] = None


class GraphedFine(Graphed[_Voxels]):
    """Fine samples, the small ones in batches; a layout is room for one or more shapes of about one size."""

    def __init__(
        self, config: StageConfig, unet: SparseUNet, runtime: Runtime, lane: Lane,
        grid: Callable[[DiffusionState], Grid],
    ) -> None:  # fmt: skip
        assert isinstance(config.unet, SparseUNetConfig)
        super().__init__(config, config.unet.out_channels, runtime, lane, SHAPES_KEPT)
        self._plain_grids = runtime.grids is TorchGrid
        if not self._plain_grids:
            self.graphs = None  # fvdb allocates and waits as it likes, which a graph cannot record
        self._levels, self._unet, self._grid = len(config.unet.channel_mult), unet, grid

    @torch.inference_mode()
    def shares_batches(self, state: DiffusionState) -> bool:
        """Whether a state is computed together with others of about the same number of voxels."""
        return len(state.x) <= SMALL and self._plain_grids and self._kernels_exact()

    @torch.inference_mode()
    def load_kernels(self, most: int) -> None:
        """Compiles, or loads, the kernels for samples of up to `most` voxels, alone and together."""
        if not (self._plain_grids and self._kernels_exact()):
            return
        tokens = torch.zeros(1, self._unet.config.context_dim)
        for rooms in all_rooms(min(most, MOST_PREPARED), self._levels):
            for places in (1, FINE_TOGETHER) if rooms[0] <= SMALL else (1,):
                layout = _Voxels(FixedGrid(rooms, places, self.device))
                context = TextContext(*self._tokens([tokens] * places))
                slot = Slot(layout, context, None, (places, rooms[0], self.channels), self.device, self._forward)
                slot.predict(torch.zeros(places, dtype=torch.int64, device=self.device))  # without a voxel

    @torch.inference_mode()
    def _rooms(self, state: DiffusionState) -> Rooms | None:
        """Room for the voxels of a state in fixed memory; None where its own grid is used."""
        grid = self._grid(state)
        if isinstance(grid, TorchGrid) and self._kernels_exact():
            return rooms_for(counts_of(grid, self._levels))
        return None

    def groups(self, states: Sequence[DiffusionState]) -> list[list[int]]:
        """See `Graphed.groups`: small ones of about the same number of voxels."""
        groups: list[list[int]] = []
        open_groups: dict[Hashable, list[int]] = {}
        for index, state in enumerate(states):
            rooms = self._rooms(state) if self.shares_batches(state) else None
            group = open_groups.get(rooms) if rooms is not None else None
            if group is None or len(group) == FINE_TOGETHER:
                group = open_groups[rooms] = []
                groups.append(group)
            group.append(index)
        return groups

    def _place(self, states: Sequence[DiffusionState]) -> Slot[_Voxels]:
        rooms = self._rooms(states[0])
        if rooms is None:
            return self._place_alone(*states)
        places = 1 if len(states) == 1 else FINE_TOGETHER
        samples = []
        for state in states:
            grid = self._grid(state)
            assert isinstance(grid, TorchGrid)
            assert state.ijk is not None
            assert state.normal is not None
            samples.append((self._digests.of(state.ijk), grid, state.normal))
        texts = [state.text for state in states] + [states[0].text] * (places - len(states))
        shape = (places, rooms[0], self.channels)
        slot = self._slot(
            (rooms, places), texts, shape, lambda: _Voxels(FixedGrid(rooms, places, self.device)), self._forward
        )
        slot.layout.load(samples)
        slot.load([state.x for state in states], [state.previous for state in states])
        return slot

    def _place_alone(self, state: DiffusionState) -> Slot[_Voxels]:
        assert state.ijk is not None
        assert state.normal is not None
        shape = (1, len(state.x), self.channels)
        layout = partial(_Voxels, self._grid(state))
        slot = self._slot(self._digests.of(state.ijk), [state.text], shape, layout, self._forward)
        slot.layout.normal.copy_(state.normal)
        slot.load([state.x], [state.previous])
        return slot

    def _forward(self, slot: Slot[_Voxels], x: Tensor, times: Tensor) -> Tensor:
        grid = slot.layout.grid
        features = with_voxels(x.flatten(0, 1), grid.ijk, slot.layout.normal)
        v: Tensor = self._unet(features, grid, times, slot.context).float()
        return (grid.clear(v) if isinstance(grid, FixedGrid) else v).view(x.shape)


def _remembers(state: DiffusionState, steps: int) -> bool:
    """Whether a sample needs its clean latent after so many steps."""
    return SCHEDULERS[state.scheduler].uses_history and state.step + steps < state.steps
