"""Reads a folder of golden tensors, and compares results with it."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor

from models.grids import Grid, TorchGrid
from models.grids.ordering import voxel_keys


@dataclass
class Case:
    """One golden file: its tensors, its sidecar, and what has been measured against it so far."""

    name: str
    tensors: dict[str, Tensor]
    meta: dict[str, Any]
    folder: Path
    device: torch.device
    grids: type[Grid] = TorchGrid
    checks: list[Check] = field(default_factory=list)

    @classmethod
    def open(cls, folder: Path, name: str, device: torch.device, grids: type[Grid] = TorchGrid) -> Case:
        """Reads NAME.io.safetensors and NAME.json."""
        tensors = {key: value.to(device) for key, value in load_file(folder / f"{name}.io.safetensors").items()}
        return cls(name, tensors, json.loads((folder / f"{name}.json").read_text()), folder, device, grids)

    def weights(self) -> dict[str, Tensor]:
        """NAME.weights.safetensors as float32: matrices are stored as float16, which holds them exactly."""
        return {k: v.float() for k, v in load_file(self.folder / f"{self.name}.weights.safetensors").items()}

    def grid(self, ijk: Tensor, batch: Tensor | None = None) -> Grid:
        """A grid of the backend that is compared."""
        return self.grids.from_ijk(ijk, batch)

    def close(self, quantity: str, ours: Tensor, golden: Tensor, limit: float) -> None:
        """Records the largest absolute difference; different shapes count as infinity."""
        same = ours.shape == golden.shape
        error = float((ours.float() - golden.float()).abs().max()) if same and ours.numel() else 0.0
        self.checks.append(Check(quantity, error if same and error == error else float("inf"), limit))

    def voxels(self, quantity: str, ijk: Tensor, batch: Tensor, prefix: str) -> bool:
        """Records the IoU with a golden voxel set; returns whether it is 1, as it has to be."""
        golden = voxel_keys(self.tensors[f"{prefix}_ijk"], self.tensors[f"{prefix}_batch"])
        ours = voxel_keys(ijk, batch)
        common = int(torch.isin(ours, golden).sum())
        union = len(ours) + len(golden) - common
        self.checks.append(Check(quantity, 0.0, 0.0, common / union if union else 1.0))
        return common == union


@dataclass(frozen=True)
class Check:
    """A comparison of one quantity.

    Attributes:
        quantity: What is compared.
        error: Largest absolute error.
        limit: Largest error that passes.
        iou: Intersection over union of a voxel set; None for other quantities.
        least_iou: Smallest IoU that passes.
    """

    quantity: str
    error: float
    limit: float
    iou: float | None = None
    least_iou: float = 1.0

    @property
    def passed(self) -> bool:
        """Whether the quantity is within its limits."""
        return self.error <= self.limit and (self.iou is None or self.iou >= self.least_iou)
