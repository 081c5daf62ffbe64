"""Voxels of the first procedural shapes as training reads them."""

from __future__ import annotations

import torch

from training.rows import Rows
from training.shapes import sample, voxelize


def rows_of_shapes(count: int, fine: bool = False) -> Rows:
    """Coarse or fine voxels of so many shapes with their normals, as int8."""
    parts = []
    for seed in range(count):
        shape = voxelize(sample(seed))
        ijk, normal = (shape.fine_ijk, shape.fine_normal) if fine else (shape.coarse_ijk, shape.coarse_normal)
        parts.append(Rows(ijk.to(torch.int8), (normal * 127).round().to(torch.int8), torch.tensor([0, len(ijk)])))
    return Rows.join(parts)
