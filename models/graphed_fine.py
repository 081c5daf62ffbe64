"""The fine stage's batches on a GPU, see graphed.py."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from functools import partial

import torch
from torch import Tensor

from models.config import SparseUNetConfig, StageConfig
from models.graphed import Graphed, Lane
from models.grids import SMALL, FixedGrid, Grid, Rooms, TorchGrid, UNetGrid, all_rooms, counts_of, rooms_for
from models.runtime import Runtime
from models.slots import Slot
from models.sparse import SparseUNet, with_voxels
from models.state import DiffusionState

FINE_TOGETHER = 8
"""Small fine samples of a batch at most. A step takes hardly longer for all of them than for one."""
MOST_PREPARED = 1 << 18
"""Voxels of a sample up to which its kernels are there before it comes; real shapes have about 50,000."""
SHAPES_KEPT = 32
"""Fixed memory for fine samples, each for shapes of about one size."""


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
                slot = self.empty_slot(rooms, places, [tokens] * places)
                slot.predict(torch.zeros(places, dtype=torch.int64, device=self.device))

    def empty_slot(self, rooms: Rooms, places: int, texts: Sequence[Tensor]) -> Slot[_Voxels]:
        """Fixed memory for some samples without a voxel yet, of which nobody keeps track."""
        layout, shape = _Voxels(FixedGrid(rooms, places, self.device)), (places, rooms[0], self.channels)
        return self._new_slot(None, texts, shape, layout, self._forward)

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
