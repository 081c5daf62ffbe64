"""A 3x3x3 convolution on a CPU, tap by tap: nothing is multiplied with neighbours that are not there.

On a surface 12 to 14 of 27 are there. What the taps contribute to a voxel is added up by an embedding bag. Adding one
tap after another to the result takes 1.5 times as long with 24 channels, and as long with 96.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from models.grids.unwaiting import CENTRE
from models.threads import block_size, share

LEAST_PRODUCTS = 600_000
"""N * Cin * Cout from which on this is worth 27 calls of a product instead of one gather of all neighbours.

One thread's time for that gather was so many times as long, with 12 or 13 neighbours a voxel: 0.8 for 104 voxels and
64 -> 32 channels, 0.9 for 536 and 24 -> 24, 1.3 for 1,208 and 24 -> 24, 1.5 for 536 and 64 -> 64, 1.8 for 2,328 and
64 -> 64. In solids, with 21 to 24 neighbours, it was 0.9 to 1.2.
"""
BLOCKS = 4
"""Blocks whose neighbours are all gathered in one of these: a product of one tap's rows alone needs more rows.

In four blocks rather than two, 2,328 voxels took 1.1 times as long with 64 -> 64 channels, 1.3 times with 24 -> 24.
"""


@dataclass(frozen=True)
class Block:
    """The neighbours that rows next to one another have, M in all.

    sources: int32 [m] for each of 27 taps, the rows of the neighbours; sizes: m of each tap. order: int32 [M], the
    neighbours of the first row, of the second, and so on, as places in `sources`. starts: int32 [rows + 1], where those
    of each row start in `order`.
    """

    sources: tuple[Tensor, ...]
    sizes: list[int]
    order: Tensor
    starts: Tensor


def worthwhile(features: Tensor, weight: Tensor) -> bool:
    """Whether to convolve so, for [N, Cin] and [Cout, Cin, 3, 3, 3]. Sums of half precision must be rounded once."""
    full = features.dtype in (torch.float32, torch.float64)
    return full and features.numel() * weight.shape[0] >= LEAST_PRODUCTS


def blocks_of(taps: Tensor) -> list[Block]:
    """The blocks of a grid whose neighbours are `taps`, int32 [27, N] with N for none."""
    count = taps.shape[1]
    return [_block(rows, rows < count) for rows in taps.split(block_size(count, BLOCKS), dim=1)]


def _block(rows: Tensor, there: Tensor) -> Block:
    sizes = there.sum(dim=1).tolist()
    places = there.flatten().cumsum(0, dtype=torch.int32).view_as(rows) - 1
    starts = functional.pad(there.sum(dim=0).cumsum(0, dtype=torch.int32), (1, 0))
    return Block(rows.masked_select(there).split(sizes), sizes, places.T.masked_select(there.T), starts)


def convolve(features: Tensor, blocks: list[Block], packed: Tensor, bias: Tensor | None) -> Tensor:
    """`UNetGrid.conv3` of features [N, Cin] with weights [27, Cin, Cout], without gradients."""
    result = features.new_empty(len(features), packed.shape[2])
    matrices = packed.unbind()

    def convolve_block(piece: tuple[Block, Tensor]) -> None:
        block, out = piece
        products = features.new_empty(len(block.order), out.shape[1])
        parts = zip(block.sources, matrices, products.split(block.sizes), strict=True)
        for tap, (rows, matrix, product) in enumerate(parts):
            neighbours = features.index_select(0, rows)
            if tap == CENTRE and bias is not None:  # every voxel has itself
                torch.addmm(bias, neighbours, matrix, out=product)
            else:
                torch.mm(neighbours, matrix, out=product)
        sums = functional.embedding_bag(block.order, products, block.starts, mode="sum", include_last_offset=True)
        out.copy_(sums)

    rows = [len(block.starts) - 1 for block in blocks]
    share(convolve_block, list(zip(blocks, result.split(rows), strict=True)))
    return result
