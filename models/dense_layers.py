"""Layers on full cubes: convolution and group normalisation, the plain way or on rows.

A cube [B, C, X, Y, Z] in PyTorch's channels-last layout is a matrix of rows [B * X * Y * Z, C] in memory, so every
linear layer of a transformer reads its input as it lies. On a GPU in bfloat16 a 3x3x3 convolution works on those rows
too: it is then the sparse one on a grid that happens to be full.
"""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor, nn
from torch.nn import functional

from models import kernels
from models.grids import TorchGrid
from models.layers import Rows, product

REORDERED = 1 << 20
"""Numbers in a weight that is kept in a second order. Large ones would cost much memory, and gain little time."""


def to_rows(x: Tensor) -> Tensor:
    """[B, C, X, Y, Z] -> [B * X * Y * Z, C]; no copy if x is in the channels-last layout."""
    return x.permute(0, 2, 3, 4, 1).reshape(-1, x.shape[1])


def to_cube(rows: Tensor, like: Tensor) -> Tensor:
    """[B * X * Y * Z, C] -> [B, C, X, Y, Z] of the size of `like`, in the channels-last layout."""
    batch, _, *cube = like.shape
    return rows.view(batch, *cube, -1).permute(0, 4, 1, 2, 3)


class DenseConv(nn.Conv3d):
    """A 1x1x1 or padded 3x3x3 convolution [B, C, X, Y, Z] -> [B, C', X, Y, Z].

    The 1x1x1 one is a product with rows, and so is the other once it is packed.
    """

    def __init__(self, channels: int, out_channels: int, kernel_size: int) -> None:
        super().__init__(channels, out_channels, kernel_size, padding=kernel_size // 2)
        self.packed = False
        self._fixed = False
        self._reordered: Tensor | None = None

    def pack(self) -> None:
        """Works on rows from now on, and puts the weight into the memory order of the matrix this takes."""
        self.packed = True
        if self.kernel_size[0] == 1:
            return
        with torch.no_grad():
            self.weight.data = self.weight.permute(2, 3, 4, 1, 0).contiguous().permute(4, 3, 0, 1, 2)

    def fix(self) -> None:
        """Puts the weight into the layout of its input, else every call copies it; it must not change any more.

        On a CPU oneDNN's own order of it is kept from the first call on, where it is small.
        """
        self._fixed = self.weight.numel() <= REORDERED
        self.weight.data = self.weight.contiguous(memory_format=torch.channels_last_3d)

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, X, Y, Z] -> [B, C', X, Y, Z]."""
        if self.kernel_size[0] == 1:
            rows = Rows((x[0, 0].numel(),) * len(x))
            return to_cube(product(to_rows(x), self.weight.flatten(1), self.bias, rows), x)
        if not self.packed:
            return self._convolve(x)
        if kernels.usable("convolution", x):
            from models.kernels.convolution import TAPS, gather_gemm

            weight = self.weight.permute(2, 3, 4, 1, 0).reshape(TAPS, x.shape[1], -1)
            return to_cube(gather_gemm(to_rows(x), None, weight, self.bias, side=x.shape[2]), x)
        grid = _full_grid(x.shape[2], x.shape[0], x.device)
        return to_cube(grid.conv3(to_rows(x), self.weight, self.bias), x)

    def _convolve(self, x: Tensor) -> Tensor:
        onednn = x.device.type == "cpu" and x.dtype is torch.float32 and torch.backends.mkldnn.is_available()
        if not onednn or torch.is_grad_enabled():
            return super().forward(x)
        # By itself PyTorch takes a way several times as slow for a small single sample on one thread.
        geometry = ((self.kernel_size[0] // 2,) * 3, self.stride, self.dilation, self.groups)
        if not self._fixed:
            return torch.mkldnn_convolution(x, self.weight, self.bias, *geometry)
        if self._reordered is None:
            self._reordered = torch.ops.mkldnn._reorder_convolution_weight(self.weight, *geometry, x.shape)
        result: Tensor = torch.ops.mkldnn._convolution_pointwise(
            x, self._reordered, self.bias, *geometry, "none", [], None
        )
        return result


class DenseGroupNorm(nn.GroupNorm):
    """Group normalisation, then, where asked for, modulation by the timestep and SiLU; all of it in float32."""

    def forward(self, x: Tensor, modulation: Tensor | None = None, silu: bool = False) -> Tensor:
        """x [B, C, X, Y, Z]; modulation [B, 2 * C], scale then shift: y * (1 + scale) + shift."""
        if kernels.usable("normalisation", x):
            from models.kernels.normalisation import group_norm

            rows = to_rows(x).view(x.shape[0], -1, x.shape[1])
            out = group_norm(rows, self.num_groups, self.weight, self.bias, self.eps, modulation, silu)
            return to_cube(out.view(-1, x.shape[1]), x)
        y = functional.group_norm(x.float(), self.num_groups, self.weight, self.bias, self.eps)
        if modulation is not None:
            scale, shift = modulation.float()[:, :, None, None, None].chunk(2, dim=1)
            y = y * (1 + scale) + shift
        return (functional.silu(y) if silu else y).to(x.dtype)


def join(x: Tensor, y: Tensor) -> Tensor:
    """The channels of both cubes, one after the other. Keeps the channels-last layout, if both have it."""
    if all(part.is_contiguous(memory_format=torch.channels_last_3d) for part in (x, y)):
        return to_cube(torch.cat((to_rows(x), to_rows(y)), dim=1), x)
    return torch.cat((x, y), dim=1)


def halve(x: Tensor) -> Tensor:
    """Averages over 2x2x2 cells: [B, C, X, Y, Z] -> half the side. Keeps the channels-last layout, if x has it."""
    if not x.is_contiguous(memory_format=torch.channels_last_3d):
        return functional.avg_pool3d(x, 2)
    if kernels.usable("pooling", x):
        from models.kernels.pooling import average_children

        children = _full_grid(x.shape[2], 1, x.device).children
        return to_cube(average_children(to_rows(x), children, len(x)), x[:, :, ::2, ::2, ::2])
    batch, channels, a, b, c = x.shape
    cells = x.permute(0, 2, 3, 4, 1).reshape(batch, a // 2, 2, b // 2, 2, c // 2, 2, channels)
    return cells.mean(dim=(2, 4, 6)).permute(0, 4, 1, 2, 3)


def double(x: Tensor) -> Tensor:
    """Repeats every voxel in 2x2x2 cells. Keeps the channels-last layout, if x has it."""
    if not x.is_contiguous(memory_format=torch.channels_last_3d):
        return functional.interpolate(x, scale_factor=2.0, mode="nearest")
    batch, channels, a, b, c = x.shape
    cells = x.permute(0, 2, 3, 4, 1)[:, :, None, :, None, :, None]
    cells = cells.expand(batch, a, 2, b, 2, c, 2, channels)
    return cells.reshape(batch, 2 * a, 2 * b, 2 * c, channels).permute(0, 4, 1, 2, 3)


@lru_cache(maxsize=64)
def _full_grid(resolution: int, batch: int, device: torch.device) -> TorchGrid:
    return TorchGrid.dense(resolution, batch, device)
