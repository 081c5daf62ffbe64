"""From a solid to voxels: the shell of cells that the surface passes through, with normals, at 128³ and at 32³."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from training.shapes.sdf import Points, Sdf

FINE = 128
COARSE = 32
FACTOR = FINE // COARSE
_VOXEL = 1.0 / FINE


@dataclass(frozen=True)
class VoxelShape:
    """Surface voxels in ascending (i, j, k) order; a voxel's centre is at (ijk + 0.5) / resolution in [-0.5, 0.5]³.

    fine_ijk int16 [Nf, 3] in -64…63, coarse_ijk int16 [Nc, 3] in -16…15;
    normals float32 [N, 3], unit length, pointing outwards.
    """

    fine_ijk: Tensor
    fine_normal: Tensor
    coarse_ijk: Tensor
    coarse_normal: Tensor


@torch.inference_mode()
def voxelize_solid(solid: Sdf, device: torch.device | str = "cpu") -> VoxelShape:
    """The surface shell of a solid inside [-0.5, 0.5]³; the solid's part outside is cut off.

    A fine voxel belongs to the shell when the tangent plane of the surface nearest to its centre passes through it:
    |d| / |∇d| <= (|nx| + |ny| + |nz|) / 2 voxels. That is one layer on flat parts and free of holes everywhere.
    """
    device = torch.device(device)
    cells, children = _coarse_cells(device)
    # Half a cell's diagonal, and half as much again because some distances are only first-order correct.
    near = solid(_centres(cells, COARSE)).abs() < 1.5 * 0.866 / COARSE
    ijk = (cells[near][:, None] * FACTOR + children).reshape(-1, 3)
    distance = solid(_centres(ijk, FINE))
    close = distance.abs() < 1.5 * _VOXEL
    ijk, distance = ijk[close], distance[close]
    gradient = _gradient(solid, _centres(ijk, FINE), 0.5 * _VOXEL)
    length = gradient.norm(dim=1)
    normal = gradient / length.clamp(min=1e-6)[:, None]
    shell = (length > 0.1) & (distance.abs() <= 0.5 * _VOXEL * normal.abs().sum(1) * length)
    ijk, normal = ijk[shell], normal[shell]

    order = torch.argsort(_key(ijk, FINE))
    ijk, normal = ijk[order], normal[order]
    coarse, coarse_normal = _coarsen(ijk, normal, solid)
    return VoxelShape(ijk.short(), normal, coarse.short(), coarse_normal)


def _coarsen(ijk: Tensor, normal: Tensor, solid: Sdf) -> tuple[Tensor, Tensor]:
    keys, parent = torch.unique(_key(torch.div(ijk, FACTOR, rounding_mode="floor"), COARSE), return_inverse=True)
    half = COARSE // 2
    cells = torch.stack([keys // COARSE**2, keys // COARSE % COARSE, keys % COARSE], 1) - half
    total = torch.zeros(len(cells), 3, device=ijk.device).index_add_(0, parent, normal)
    count = torch.zeros(len(cells), device=ijk.device).index_add_(0, parent, torch.ones_like(normal[:, 0]))
    # In a thin wall both sides cancel: there the side nearer to the cell's centre decides, or else some voxel of it.
    some = torch.empty_like(total)
    some[parent] = normal
    slope = _gradient(solid, _centres(cells, COARSE), _VOXEL)
    slope = torch.where(slope.norm(dim=1, keepdim=True) < 1e-3, some, slope)
    mean = total / count[:, None]
    mean = torch.where(mean.norm(dim=1, keepdim=True) < 1e-3, slope, mean)
    return cells, mean / mean.norm(dim=1, keepdim=True)


def _gradient(solid: Sdf, points: Points, step: float) -> Tensor:
    """Finite differences over the corners of a tetrahedron, [P, 3]."""
    corners = [(1.0, -1.0, -1.0), (-1.0, -1.0, 1.0), (-1.0, 1.0, -1.0), (1.0, 1.0, 1.0)]
    x, y, z = (torch.stack([p + step * corner[k] for corner in corners]) for k, p in enumerate(points))
    a, b, c, d = solid((x, y, z))
    return torch.stack([a - b - c + d, -a - b + c + d, -a + b - c + d], 1) / (4.0 * step)


def _centres(ijk: Tensor, resolution: int) -> Points:
    x, y, z = ((ijk.float() + 0.5) / resolution).unbind(1)
    return x.contiguous(), y.contiguous(), z.contiguous()


def _key(ijk: Tensor, resolution: int) -> Tensor:
    i, j, k = (ijk + resolution // 2).unbind(1)
    return (i * resolution + j) * resolution + k


@lru_cache(maxsize=4)
def _coarse_cells(device: torch.device) -> tuple[Tensor, Tensor]:
    """All cells of the coarse grid [32³, 3], and the 64 fine offsets within a cell [64, 3], both int64."""
    axis = torch.arange(COARSE, device=device) - COARSE // 2
    child = torch.arange(FACTOR, device=device)
    return torch.cartesian_prod(axis, axis, axis), torch.cartesian_prod(child, child, child)
