"""The coarse stage's batches on a GPU, see graphed.py."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from models.config import DenseUNetConfig, StageConfig
from models.dense import DenseUNet, cube_of, latents_of
from models.graphed import Graphed, Lane
from models.runtime import Runtime
from models.slots import Slot
from models.state import DiffusionState

BUCKETS = (1, 2, 4, 8, 16, 32, 64)
"""Rows of a batch are padded to one of these, so that a few recorded steps serve batches of any size."""


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
        guided = [index for index, state in enumerate(states) if state.guided]
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
