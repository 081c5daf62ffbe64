"""How a GPU decodes: level by level in fixed memory, as recorded graphs, so that the CPU has next to nothing to do.

A level is a piece of work on room for so many voxels; how many there are is a number on the device. The CPU reads it
between two levels, to choose the room of the next one. Rooms follow from the numbers of voxels alone, so a shape has
the same bits every time. It needs the fused kernels, which compute no row that is only room.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from models import kernels
from models.cache import LRUCache
from models.graphs import Graph, Graphs
from models.grids import TorchGrid
from models.grids.fixed import convolve_in_room
from models.grids.ordering import keys_to_voxels
from models.grids.unwaiting import NONE, TAPS, children, chosen, neighbour_taps
from models.kernels.tiles import size_class
from models.runtime import Runtime
from models.tracing import named
from models.vae import Decoder, unit_normals

SMALLEST = 256
RECORDED = 1 << 18
"""Room up to which a level is recorded. More voxels keep a GPU busy while the CPU starts one kernel after the other."""
UNIT = 64
PIECES_KEPT = 48
MOST_NUMBERS = 2**31
"""Of a tensor whose places the kernels can count."""


def room_for(count: int) -> int:
    """Room for so many voxels: one of few sizes where it is to be recorded."""
    room = max(SMALLEST, size_class(count))
    return room if room <= RECORDED else -(-count // UNIT) * UNIT


class _FixedVoxels:
    """`models.grids.UNetGrid` as far as a decoder needs it: of one sample, by keys [R] of which `real` count."""

    def __init__(self, keys: Tensor, real: Tensor) -> None:
        self.keys, self.real = keys, real
        self.present = keys < NONE
        self.counts = (len(keys),)
        self.taps = neighbour_taps(keys)

    def conv3(self, features: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
        """See `UNetGrid.conv3`."""
        return convolve_in_room(features, self.taps, weight, bias, self.real)


class _Piece:
    """Some work on voxels in fixed memory: what it reads, what it writes, and its record.

    Attributes:
        keys: int64 [V], the voxels it reads, of which the first `count`, int32 [1], are there.
        features: float32 [V, C], theirs.
        results: What it writes; 0 where there is only room.
    """

    def __init__(
        self, voxels: int, channels: int, device: torch.device, work: Callable[[_Piece], Sequence[Tensor]]
    ) -> None:
        self.keys = torch.zeros(voxels, dtype=torch.int64, device=device)
        self.count = torch.zeros(1, dtype=torch.int32, device=device)
        self.features = torch.zeros(voxels, channels, device=device)
        self.results: Sequence[Tensor] = ()
        self._work = work
        self._graph: Graph | None = None

    def load(self, keys: Tensor, features: Tensor, rows: Tensor | None = None) -> None:
        """Takes voxels and their features, which are the given rows where rows are given."""
        self.keys[: len(keys)] = keys
        self.count.fill_(len(keys))
        place = self.features[: len(keys)]
        if rows is None:
            place.copy_(features)
        else:
            torch.index_select(features, 0, rows, out=place)

    def grid(self) -> _FixedVoxels:
        """The voxels that are there."""
        present = torch.arange(len(self.keys), device=self.keys.device) < self.count
        return _FixedVoxels(torch.where(present, self.keys, NONE), self.count)

    def run(self, graphs: Graphs | None) -> Sequence[Tensor]:
        """The results for what was loaded last, as a graph if there are graphs; they last until the next run."""
        if graphs is None or not graphs.work:
            return self._work(self)
        if self._graph is not None:
            self._graph()
            return self.results
        self.results = [result.clone() for result in self._work(self)]
        self._graph = graphs.record(self._fill, self.results, "decoding is slower")
        return self.results

    def _fill(self) -> None:
        for place, result in zip(self.results, self._work(self), strict=True):
            place.copy_(result)


class FixedDecoder:
    """Decodes the latents of one sample to voxels and normals, as `decoder` does, but in fixed memory.

    Attributes:
        graphs: The recorded levels; None where they are not to be recorded.
    """

    def __init__(self, decoder: Decoder, runtime: Runtime) -> None:
        self._decoder, self._device = decoder, runtime.device
        self.graphs = Graphs() if runtime.graphs and runtime.device.type == "cuda" else None
        self._pieces: LRUCache[_Piece] = LRUCache(PIECES_KEPT)
        self._levels = len(decoder.structure)

    def __call__(self, latent: Tensor, grid: TorchGrid) -> tuple[Tensor, Tensor] | None:
        """Latents [N, C] on a grid of one sample -> voxels int16 [K, 3] and unit normals float32 [K, 3].

        They last until the next call. None where the kernels cannot be used, or not for so many voxels.
        """
        if not len(grid) or not self._kernels_usable():
            return None
        room = room_for(len(grid))
        piece = self._piece(0, room)
        piece.load(grid.keys, latent)
        for level in range(self._levels):
            with named(f"{self._decoder.stage}/decode/level {level}"):
                features, keys, rows, kept = piece.run(self._graphs_for(room))
            count = int(kept)
            if not count:
                return torch.empty(0, 3, dtype=torch.int16), torch.empty(0, 3)
            room = room_for(count if level == self._levels - 1 else 8 * count)
            if room * max(TAPS, features.shape[1]) >= MOST_NUMBERS:
                return None
            piece = self._piece(level + 1, room)
            piece.load(keys[:count], features, rows[:count])
        with named(f"{self._decoder.stage}/decode/normals"):
            ijk, normals = piece.run(self._graphs_for(room))
        return ijk[:count], normals[:count]

    def load_kernels(self) -> None:
        """Compiles, or loads, the kernels for every number of voxels, so that no shape has to wait for one.

        Raises:
            torch.OutOfMemoryError: The GPU's memory does not suffice for large shapes.
        """
        if not self._kernels_usable():
            return
        latents = room_for(self._decoder.config.latent_resolution**3)
        for level in range(self._levels + 1):
            room = latents if level == 0 and self._decoder.config.dense_latent else SMALLEST
            while room <= min(RECORDED, latents * 8**level):
                self._new_piece(level, room).run(None)  # without a voxel
                room *= 2

    def release(self) -> None:
        """Frees memory and graphs."""
        self._pieces.clear()

    def _kernels_usable(self) -> bool:
        sample = torch.empty(0, device=self._device)
        return kernels.usable("convolution", sample) and kernels.usable("normalisation", sample)

    def _graphs_for(self, room: int) -> Graphs | None:
        return self.graphs if room <= RECORDED else None

    def _piece(self, level: int, room: int) -> _Piece:
        if room > RECORDED:
            return self._new_piece(level, room)
        return self._pieces.get((level, room), lambda: self._new_piece(level, room))

    def _new_piece(self, level: int, room: int) -> _Piece:
        """A level's work, or that of the normals, which follow the last one."""
        config, between = self._decoder.config, 0 < level < self._levels
        channels = config.width >> (level - 1) if level else config.latent_channels
        work = self._next_level(level - 1) if between else self._normals if level else self._first_level
        return _Piece(room // 8 if between else room, channels, self._device, work)

    def _first_level(self, piece: _Piece) -> Sequence[Tensor]:
        grid, x = piece.grid(), piece.features
        for block in self._decoder.bottleneck:
            x = block(x, grid)
        return self._kept(0, x, grid)

    def _next_level(self, level: int) -> Callable[[_Piece], Sequence[Tensor]]:
        def work(piece: _Piece) -> Sequence[Tensor]:
            keys, parents = children(piece.keys, piece.count)
            grid = _FixedVoxels(keys, 8 * piece.count)
            x = self._decoder.up[level](piece.features.index_select(0, parents), grid)
            return self._kept(level + 1, x, grid)

        return work

    def _kept(self, level: int, x: Tensor, grid: _FixedVoxels) -> Sequence[Tensor]:
        """Features of a level, and the keys, rows and number of the voxels that go on."""
        logits = self._decoder.structure[level](x, grid).float()
        rows, count = chosen(grid.present & (logits[:, 0] > logits[:, 1]))
        keys = torch.cat((grid.keys, grid.keys.new_full((1,), NONE))).index_select(0, rows)
        return torch.where(grid.present[:, None], x, 0.0), keys, rows, count

    def _normals(self, piece: _Piece) -> Sequence[Tensor]:
        grid = piece.grid()
        present = grid.present[:, None]
        raw = self._decoder.normal(piece.features, grid).float()
        ijk, _ = keys_to_voxels(piece.keys)
        return torch.where(present, ijk, 0).short(), torch.where(present, unit_normals(raw), 0.0)
