"""Latents of many shapes as cubes, from which batches are made: on the device, in memory, or mapped from files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from training.ahead import Ahead
from training.rows import MEASURED


@dataclass(frozen=True)
class Cubes:
    """Float16 [n, X, Y, Z, C] a part: one part on the device or in memory, or many that are mapped from files.

    Every part but the last holds as many shapes. device: where batches go; mapped: whether they are in files.
    """

    parts: Sequence[Tensor]
    device: torch.device
    mapped: bool = False

    def __len__(self) -> int:
        return sum(len(part) for part in self.parts)

    @property
    def resident(self) -> bool:
        """Whether all of them lie where they are used."""
        return not self.mapped and self.parts[0].device.type == self.device.type

    def gather(self, shapes: Tensor) -> Tensor:
        """Those of the given shapes (int64 on the CPU), where they are: [B, C, X, Y, Z]."""
        if not self.mapped:
            chosen = self.parts[0][shapes.to(self.parts[0].device)]
        else:
            size = len(self.parts[0])
            chosen = torch.stack([self.parts[shape // size][shape % size] for shape in shapes.tolist()])
        return chosen.movedim(-1, 1)

    def deviation(self) -> float:
        """Of all values; the first shapes tell that of latents that the device does not hold."""
        some = self.parts[0] if self.resident else self.gather(torch.arange(len(self))[:MEASURED])
        return some.float().std().item()


class CubeBatches(Ahead[Tensor]):
    """Batches of cubes by turn, as `Batches` are of voxels."""

    def __init__(self, cubes: Cubes, size: int) -> None:
        self._device = cubes.device
        pin = cubes.device.type == "cuda" and not cubes.resident

        def gather(shapes: Tensor) -> Tensor:
            gathered = cubes.gather(shapes)
            return gathered.pin_memory() if pin else gathered

        super().__init__(gather, len(cubes), size, threaded=not cubes.resident)

    def __call__(self, turn: int) -> tuple[Tensor, Tensor]:
        """The shapes of a turn, int64, and their cubes [B, C, X, Y, Z], float32, both on the device."""
        chosen, cubes = self.gathered(turn)
        return chosen.to(self._device), cubes.to(self._device, non_blocking=True).float()
