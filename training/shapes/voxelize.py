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

    A fine voxel belongs to the shell when some of its eight corners are inside the solid and some are not. Neighbours
    that share a face share four corners, so no path across faces leads through the shell: it has no holes. The normal
    is the gradient of the trilinear interpolation of the corners at the centre.
    """
    cells, corners, children = _lattice(torch.device(device))
    # Half a cell's diagonal, and half as much again because some distances are only first-order correct.
    cells = cells[solid(_points((cells + 0.5) / COARSE)).abs() < 1.5 * 0.866 / COARSE]
    size = FACTOR + 1
    distance = solid(_points((cells[:, None] * FACTOR + corners) / FINE)).reshape(-1, size, size, size)

    inside = _sum((distance < 0).float(), (1, 2, 3))
    shell = ((inside > 0.5) & (inside < 7.5)).flatten(1)
    gradient = torch.stack([_sum(distance.diff(dim=k), tuple({1, 2, 3} - {k})).flatten(1) for k in (1, 2, 3)], 2)
    normal = _unit(gradient)

    occupied = shell.any(1)
    cells, shell, normal, distance = cells[occupied], shell[occupied], normal[occupied], distance[occupied]
    # In a thin wall both sides cancel; there the side nearer to the cell's centre decides.
    across = torch.stack([(distance.select(k, -1) - distance.select(k, 0)).mean((1, 2)) for k in (1, 2, 3)], 1)
    count = shell.sum(1, keepdim=True)
    coarse_normal = _unit((normal * shell[:, :, None]).sum(1) / count, _unit(across))

    ijk = (cells[:, None] * FACTOR + children)[shell]
    order = torch.argsort(_key(ijk))
    return VoxelShape(ijk[order].short(), normal[shell][order], cells.short(), coarse_normal)


def _sum(values: Tensor, dims: tuple[int, ...]) -> Tensor:
    """Sums of neighbours along each of the axes, which get shorter by one."""
    for k in dims:
        n = values.shape[k] - 1
        values = values.narrow(k, 0, n) + values.narrow(k, 1, n)
    return values


def _unit(vectors: Tensor, fallback: Tensor | None = None) -> Tensor:
    """Unit vectors along the last axis; one without a direction becomes the fallback's, or +y."""
    length = vectors.norm(dim=-1, keepdim=True)
    other = vectors.new_tensor([0.0, 1.0, 0.0]) if fallback is None else fallback
    return torch.where(length < 1e-3, other, vectors / length.clamp(min=1e-12))


def _points(positions: Tensor) -> Points:
    x, y, z = positions.reshape(-1, 3).T.contiguous()
    return x, y, z


def _key(ijk: Tensor) -> Tensor:
    i, j, k = (ijk + FINE // 2).unbind(1)
    return (i * FINE + j) * FINE + k


@lru_cache(maxsize=4)
def _lattice(device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    """The cells of the coarse grid [32³, 3], ascending; of a cell its fine corners [5³, 3] and voxels [4³, 3]."""

    def cube(start: int, stop: int) -> Tensor:
        axis = torch.arange(start, stop, device=device)
        return torch.cartesian_prod(axis, axis, axis)

    return cube(-COARSE // 2, COARSE // 2), cube(0, FACTOR + 1), cube(0, FACTOR)
