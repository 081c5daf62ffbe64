"""Group norm and attention on samples of different sizes: no sample may feel another."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

from models.grids import TorchGrid
from models.layers import Rows, SpatialTransformer, TextContext, timestep_embedding
from models.sparse_layers import SparseConv3, SparseGroupNorm

CUBE = torch.cartesian_prod(*(torch.arange(4),) * 3)


def grid_of(*counts: int) -> TorchGrid:
    batch = torch.arange(len(counts)).repeat_interleave(torch.tensor(counts))
    return TorchGrid.from_ijk(torch.cat([CUBE[:count] for count in counts]), batch, len(counts))


def test_group_norm_equals_torchs_on_each_sample_alone() -> None:
    norm = SparseGroupNorm(8, 32)
    nn.init.normal_(norm.weight)
    nn.init.normal_(norm.bias)
    x = torch.randn(64 + 10, 32) * 3 + 1
    ours = norm(x, grid_of(64, 0, 10))
    for rows in (slice(0, 64), slice(64, 74)):
        theirs = functional.group_norm(x[rows].T[None], 8, norm.weight, norm.bias)[0].T
        torch.testing.assert_close(ours[rows], theirs, atol=2e-6, rtol=2e-6)
        torch.testing.assert_close(norm(x[rows], grid_of(len(x[rows]))), theirs, atol=2e-6, rtol=2e-6)


def test_group_norm_of_one_voxel_with_one_channel_a_group_is_its_bias() -> None:
    norm = SparseGroupNorm(8, 8)
    nn.init.normal_(norm.bias)
    torch.testing.assert_close(norm(torch.randn(1, 8), grid_of(1)), norm.bias[None])


def test_packing_a_kernel_changes_its_memory_order_and_nothing_else() -> None:
    layer, grid = SparseConv3(4, 6), grid_of(64)
    x, before = torch.randn(64, 4), layer.weight.clone()
    result = layer(x, grid)
    layer.pack()
    assert torch.equal(layer.weight, before)
    assert layer.weight.permute(2, 3, 4, 1, 0).is_contiguous()
    torch.testing.assert_close(layer(x, grid), result)


def test_a_sample_in_a_transformer_batch_equals_the_sample_alone() -> None:
    torch.manual_seed(0)
    block = SpatialTransformer(channels=16, heads=2, head_dim=8, context_dim=12, self_attention=True)
    counts, tokens = (5, 0, 9), torch.randn(3, 7, 12)
    mask = torch.arange(7) < torch.tensor([[3], [2], [7]])
    x = torch.randn(sum(counts), 16)
    together = block.transform(x, x, Rows(counts), TextContext(tokens, mask))
    for sample, rows in ((0, slice(0, 5)), (2, slice(5, 14))):
        text = TextContext(tokens[sample, None, : mask[sample].sum()])
        alone = block.transform(x[rows], x[rows], Rows((counts[sample],)), text)
        torch.testing.assert_close(together[rows], alone, atol=1e-6, rtol=1e-5)


def test_text_context_keeps_keys_and_values_between_steps_but_not_for_training() -> None:
    block = SpatialTransformer(channels=16, heads=2, head_dim=8, context_dim=12, self_attention=False)
    context = TextContext(torch.randn(1, 3, 12))
    with torch.no_grad():
        first = context.keys_values(block.cross_attention)
        assert context.keys_values(block.cross_attention)[0] is first[0]
    fresh = TextContext(torch.randn(1, 3, 12))
    assert fresh.keys_values(block.cross_attention)[0] is not fresh.keys_values(block.cross_attention)[0]


def test_timestep_embedding_has_cosines_first() -> None:
    embedding = timestep_embedding(torch.tensor([0, 10]), 4)
    torch.testing.assert_close(embedding[0], torch.tensor([1.0, 1.0, 0.0, 0.0]))
    expected = torch.tensor([10.0, 0.1]).cos().tolist() + torch.tensor([10.0, 0.1]).sin().tolist()
    torch.testing.assert_close(embedding[1], torch.tensor(expected))
