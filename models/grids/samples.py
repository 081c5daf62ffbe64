"""Whose the rows of a batch are, as tables: for sums over each sample that are parallel, and the same every time."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

BLOCK = 256
"""Rows that are summed as one block where a batch has several samples."""


@dataclass(frozen=True)
class Samples:
    """The samples of rows [N], which lie one after another.

    owner: int64 [N], each row's sample; table: int64 [blocks, BLOCK], the rows of each block, N for none; members:
    float32 [S, blocks], 1 where a block is a sample's; sizes: float32 [S, 1], rows of each sample, at least 1.
    """

    owner: Tensor
    table: Tensor
    members: Tensor
    sizes: Tensor

    @classmethod
    def of(cls, owner: Tensor, samples: int) -> Samples:
        """owner: ascending int64 [N], where no other number need be known: nobody waits for the device."""
        rows, device = len(owner), owner.device
        ends = torch.searchsorted(owner, torch.arange(samples, device=device), right=True)
        sizes = torch.diff(ends, prepend=ends.new_zeros(1))
        blocks = (sizes + BLOCK - 1) // BLOCK
        number = torch.arange(rows // BLOCK + samples, device=device)
        last = blocks.cumsum(0)
        sample = torch.searchsorted(last, number, right=True)
        there = sample < samples
        sample = sample.clamp(max=samples - 1)
        starts = (ends - sizes)[sample] + BLOCK * (number - (last - blocks)[sample])
        table = starts[:, None] + torch.arange(BLOCK, device=device)
        table = torch.where((table < ends[sample][:, None]) & there[:, None], table, rows)
        members = (sample == torch.arange(samples, device=device)[:, None]) & there
        return cls(owner, table, members.float(), sizes.clamp(min=1).float()[:, None])

    def sums(self, rows: Tensor) -> Tensor:
        """float32 [N, C] -> [S, C]: blocks of rows first, then the blocks of a sample."""
        padded = functional.pad(rows, (0, 0, 0, 1))
        sums = padded.index_select(0, self.table.view(-1)).view(*self.table.shape, -1).sum(dim=1)
        return self.members @ sums

    def spread(self, values: Tensor) -> Tensor:
        """One row a sample [S, C] -> one row a voxel [N, C]."""
        return values.index_select(0, self.owner)
