"""Layers that both denoisers share: timestep embedding, attention, and the transformer block.

Tokens travel as rows [N, C] with `counts`, the number of rows of each sample: a dense batch has equal counts, a
sparse one has any. So one implementation serves both U-Nets, and no sample ever attends to another.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from models import kernels
from models.grids.interface import Layout
from models.threads import block_size, share
from models.tracing import named


@dataclass(frozen=True)
class Rows:
    """Whose rows [N, C] are: those of the first sample, of the second, and so on.

    counts: rows of each sample. real: int32 [samples] on the device, how many of each sample's rows count, where the
    others are only room; what those hold is undefined, but must reach no other row. layout: in place of that by counts.
    """

    counts: tuple[int, ...]
    real: Tensor | None = None
    layout: Layout | None = None

    @property
    def even(self) -> bool:
        """Whether all samples have the same number of rows, as kernels want it."""
        return min(self.counts) == max(self.counts) > 0


class Linear(nn.Linear):
    """A linear layer on rows; told whose they are, it gives a sample the same bits in any batch on a GPU."""

    def forward(self, x: Tensor, rows: Rows | None = None, residual: Tensor | None = None) -> Tensor:
        """[N, C] -> [N, C'], plus a residual [N, C'] where there is one."""
        return product(x, self.weight, self.bias, rows, residual)


def product(
    x: Tensor, weight: Tensor, bias: Tensor | None, rows: Rows | None, residual: Tensor | None = None
) -> Tensor:
    """x [N, C] times weight [C', C], plus bias [C'], plus residual [N, C'] -> [N, C']."""
    if rows is not None and rows.even and kernels.usable("product", x):
        from models.kernels.product import linear

        return linear(x, weight, bias, rows.counts[0], rows.real, residual)
    out = functional.linear(x, weight, bias)
    return out if residual is None else out + residual


def timestep_embedding(timesteps: Tensor, dim: int) -> Tensor:
    """Sinusoidal embedding, cosines first: timesteps [B] -> float32 [B, dim].

    Source: Ho et al., "Denoising Diffusion Probabilistic Models", 2020, after Vaswani et al., 2017.
    """
    half = dim // 2
    frequencies = torch.exp(-math.log(10000) * torch.arange(half, dtype=torch.float32, device=timesteps.device) / half)
    angles = timesteps.float()[:, None] * frequencies
    return torch.cat((angles.cos(), angles.sin()), dim=1)


class TimestepEmbedding(nn.ModuleList):
    """Timesteps [B] -> embedding [B, 4 * channels]."""

    def __init__(self, channels: int) -> None:
        super().__init__([nn.Linear(channels, 4 * channels), nn.SiLU(), nn.Linear(4 * channels, 4 * channels)])
        self.channels = channels

    def forward(self, timesteps: Tensor) -> Tensor:
        """[B] -> [B, 4 * channels]."""
        x = timestep_embedding(timesteps, self.channels)
        for layer in self:
            x = layer(x)
        return x


class TimeConditioned(nn.Module):
    """A U-Net whose residual blocks are modulated by the timestep: their layers are called `modulation`.

    The modulation of a step depends on nothing else. So that of every timestep can be computed beforehand, which
    spares a step two dozen products of a few rows, and their bits the number of these rows.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.time_embedding = TimestepEmbedding(channels)
        self._table: Tensor | None = None
        self._places: dict[nn.Module, slice] = {}

    @torch.inference_mode()
    def tabulate(self, timesteps: int) -> None:
        """Computes the modulation of the timesteps from 0 to `timesteps` - 1; weights must not change any more."""
        layers = [module.get_submodule("modulation") for module in self.modules() if hasattr(module, "modulation")]
        first = next(iter(layers)).get_parameter("weight")
        numbers = torch.arange(timesteps, device=first.device)
        embedding = functional.silu(self.time_embedding(numbers)).to(first.dtype)
        parts = [layer(embedding) for layer in layers]
        self._table = torch.cat(parts, dim=1)
        ends = torch.tensor([part.shape[1] for part in parts]).cumsum(0).tolist()
        self._places = {
            layer: slice(end - part.shape[1], end) for layer, part, end in zip(layers, parts, ends, strict=True)
        }

    def time(self, timesteps: Tensor, dtype: torch.dtype) -> Time:
        """What the blocks have to know of timesteps [B]."""
        if self._table is not None:
            return Time(self._table.index_select(0, timesteps), self._places)
        return Time(functional.silu(self.time_embedding(timesteps)).to(dtype), {})


@dataclass(frozen=True)
class Time:
    """Timesteps of B samples: the activated embedding, or, where `places` has layers, what these make of it."""

    values: Tensor
    places: dict[nn.Module, slice]

    def modulation(self, layer: nn.Module) -> Tensor:
        """[B, 2 * C], scale then shift, of a block's layer."""
        place = self.places.get(layer)
        modulation: Tensor = layer(self.values) if place is None else self.values[:, place]
        return modulation


class TextContext:
    """Text tokens for cross-attention, with each layer's keys and values, computed at first use.

    tokens: [B, L, D]; mask: bool [B, L], True where a token is real, or None if all are; or what is to be added to
    the attention's logits, floating point [B, L]. lengths: int32 [B], how many tokens are real, for fused attention;
    these come first. The text stays the same over all denoising steps, so a context that
    is kept between them saves two projections a layer and step.
    """

    def __init__(self, tokens: Tensor, mask: Tensor | None = None, lengths: Tensor | None = None) -> None:
        self.tokens = tokens
        self.mask = None if mask is None or (mask.dtype is torch.bool and bool(mask.all())) else mask
        self.lengths = lengths
        self._keys_values: dict[Attention, tuple[Tensor, Tensor]] = {}

    def keys_values(self, attention: Attention) -> tuple[Tensor, Tensor]:
        """Keys and values [B, heads, L, head_dim] of one cross-attention layer."""
        known = self._keys_values.get(attention)
        if known is None:
            known = attention.keys_values(self.tokens)
            if not torch.is_grad_enabled():
                self._keys_values[attention] = known
        return known

    def refill(self, tokens: Tensor, mask: Tensor, lengths: Tensor) -> None:
        """Takes another text of the same shape, in place: whoever knows the tensors' addresses sees the new one."""
        assert self.mask is not None
        assert self.lengths is not None
        self.tokens.copy_(tokens)
        self.mask.copy_(mask)
        self.lengths.copy_(lengths)
        for attention, kept in self._keys_values.items():
            for place, value in zip(kept, attention.keys_values(self.tokens), strict=True):
                place.copy_(value)


class Attention(nn.Module):
    """Multi-head attention; heads own consecutive channels, scale 1 / sqrt(head_dim)."""

    def __init__(self, query_dim: int, context_dim: int, heads: int, head_dim: int) -> None:
        super().__init__()
        inner = heads * head_dim
        self.heads = heads
        self.to_q = Linear(query_dim, inner, bias=False)
        self.to_k = Linear(context_dim, inner, bias=False)
        self.to_v = Linear(context_dim, inner, bias=False)
        self.to_out = Linear(inner, query_dim)
        self._joined: Tensor | None = None

    def join(self) -> None:
        """Makes one product of a self-attention's three projections; their weights become parts of one matrix."""
        parts = (self.to_q, self.to_k, self.to_v)
        self._joined = torch.cat([part.weight.data for part in parts])
        for part, weight in zip(parts, self._joined.chunk(3), strict=True):
            part.weight.data = weight

    def keys_values(self, context: Tensor) -> tuple[Tensor, Tensor]:
        """[B, L, D] -> keys and values, each [B, heads, L, head_dim]."""
        batch, length, _ = context.shape
        tokens = context.to(self.to_k.weight.dtype).flatten(0, 1)
        rows = Rows((length,) * batch)
        keys, values = (part(tokens, rows).unflatten(0, (batch, length)) for part in (self.to_k, self.to_v))
        return self._split(keys), self._split(values)

    def attend_self(self, x: Tensor, rows: Rows) -> Tensor:
        """Self-attention within each sample: x [N, C] -> [N, C]."""
        if self._joined is None:
            parts = [self.to_q(x, rows), self.to_k(x, rows), self.to_v(x, rows)]
        else:
            parts = list(product(x, self._joined, None, rows).chunk(3, dim=1))
        if rows.even and kernels.usable("attention", x):
            from models.kernels.attention import attention

            q, k, v = parts
            found = attention(q, k, v, self.heads, len(rows.counts), rows.real, rows.real)
            return self.to_out(found, rows)  # type: ignore[no-any-return]
        layout = rows.layout or _Layout(rows.counts, x.device)
        q, k, v = (layout.cube(part) for part in parts)
        return self._attend(q, self._split(k), self._split(v), layout.mask, layout)

    def attend_text(self, x: Tensor, rows: Rows, context: TextContext) -> Tensor:
        """Cross-attention of each sample's rows to its own text: x [N, C] -> [N, C]."""
        keys, values = context.keys_values(self)
        q = self.to_q(x, rows)
        if rows.even and context.lengths is not None and kernels.usable("attention", x):
            from models.kernels.attention import attention

            k, v = (part.transpose(1, 2).flatten(2).flatten(0, 1) for part in (keys, values))
            found = attention(q, k, v, self.heads, len(rows.counts), context.lengths, rows.real)
            return self.to_out(found, rows)  # type: ignore[no-any-return]
        mask = None if context.mask is None else context.mask[:, None, None]
        layout = rows.layout or _Layout(rows.counts, x.device)
        return self._attend(layout.cube(q), keys, values, mask, layout)

    def _attend(self, q: Tensor, keys: Tensor, values: Tensor, mask: Tensor | None, layout: Layout) -> Tensor:
        """q [B, L, inner], keys and values [B, heads, S, head_dim] -> rows [N, C]."""
        out = functional.scaled_dot_product_attention(self._split(q), keys, values, attn_mask=mask)
        return self.to_out(layout.rows(out.transpose(1, 2).flatten(2)))  # type: ignore[no-any-return]

    def _split(self, x: Tensor) -> Tensor:
        heads: Tensor = x.unflatten(2, (self.heads, -1)).transpose(1, 2)
        return heads


class FeedForward(nn.Module):
    """GEGLU feed-forward (Shazeer, "GLU Variants Improve Transformer", 2020), inner width 4 * dim."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.proj_in = Linear(dim, 8 * dim)
        self.proj_out = Linear(4 * dim, dim)

    def forward(self, x: Tensor, rows: Rows, residual: Tensor) -> Tensor:
        """[N, C] -> [N, C], plus a residual."""
        out: Tensor = self.proj_out(self._gated(x, rows), rows, residual)
        return out

    def _gated(self, x: Tensor, rows: Rows) -> Tensor:
        if rows.even and kernels.usable("product", x) and kernels.usable("activation", x):
            from models.kernels.product import gated

            return gated(x, self.proj_in.weight, self.proj_in.bias, rows.counts[0], rows.real)
        h: Tensor = self.proj_in(x, rows)
        if kernels.usable("activation", h):
            from models.kernels.activation import geglu

            return geglu(h)
        value, gate = h.chunk(2, dim=1)
        return value * functional.gelu(gate)


class LayerNorm(nn.LayerNorm):
    """Normalises rows [N, C] in float32 whatever their type."""

    def forward(self, x: Tensor) -> Tensor:
        """[N, C] -> [N, C]."""
        if kernels.usable("normalisation", x):
            from models.kernels.normalisation import layer_norm

            return layer_norm(x, None, self.weight, self.bias, self.eps)[1]
        return super().forward(x.float()).to(x.dtype)

    def after_sum(self, x: Tensor, residual: Tensor) -> tuple[Tensor, Tensor]:
        """The sum of both, and the normalised sum."""
        if kernels.usable("normalisation", x):
            from models.kernels.normalisation import layer_norm

            return layer_norm(x, residual, self.weight, self.bias, self.eps)
        x = x + residual
        return x, self(x)


class SpatialTransformer(nn.Module):
    """norm -> proj_in -> [self-attention] -> cross-attention -> feed-forward -> proj_out, plus the input.

    The group norm belongs to the caller's layout (dense cube or sparse rows), so subclasses call it as `norm`.
    """

    norm: nn.Module

    def __init__(self, channels: int, heads: int, head_dim: int, context_dim: int, self_attention: bool) -> None:
        super().__init__()
        inner = heads * head_dim
        self.proj_in = Linear(channels, inner)
        self.self_attention = Attention(inner, inner, heads, head_dim) if self_attention else None
        self.norm1 = LayerNorm(inner) if self_attention else None
        self.cross_attention = Attention(inner, context_dim, heads, head_dim)
        self.norm2 = LayerNorm(inner)
        self.feed_forward = FeedForward(inner)
        self.norm3 = LayerNorm(inner)
        self.proj_out = Linear(inner, channels)

    def transform(self, normed: Tensor, residual: Tensor, rows: Rows, context: TextContext) -> Tensor:
        """Rows [N, C], normalised and as they came in -> [N, C]."""
        whole = self.self_attention is not None or len(rows.counts) > 1
        if whole or normed.device.type != "cpu" or torch.is_grad_enabled():
            return self._transform(normed, residual, rows, context)
        size = block_size(len(normed))  # of rows that do not look at each other
        blocks = list(zip(normed.split(size), residual.split(size), strict=True))
        return torch.cat(share(lambda block: self._transform(*block, Rows((len(block[0]),)), context), blocks))

    def _transform(self, normed: Tensor, residual: Tensor, rows: Rows, context: TextContext) -> Tensor:
        x = self.proj_in(normed, rows)
        if self.self_attention is not None and self.norm1 is not None:
            with named("self-attention"):
                attended = self.self_attention.attend_self(self.norm1(x), rows)
                x, normed = self.norm2.after_sum(attended, x)
        else:
            normed = self.norm2(x)
        with named("text attention"):
            x, normed = self.norm3.after_sum(self.cross_attention.attend_text(normed, rows, context), x)
        with named("feed-forward"):
            out: Tensor = self.proj_out(self.feed_forward(normed, rows, x), rows, residual)
            return out


class _Layout:
    """Rows [N, C] of samples as one block [B, L, C]: a view where all have the same size, else padded with zeros.

    mask: bool [B, 1, 1, L], True where a row is real, or None if all are.
    """

    def __init__(self, counts: Sequence[int], device: torch.device) -> None:
        self.batch, self.length = len(counts), max(counts)
        self.mask: Tensor | None = None
        if min(counts) < self.length:
            sizes = torch.tensor(counts, device=device)
            real = torch.arange(self.length, device=device) < sizes[:, None]
            self.mask = real[:, None, None]
            shifts = torch.arange(self.batch, device=device) * self.length - (sizes.cumsum(0) - sizes)
            rows = sum(counts)
            self._places = torch.arange(rows, device=device) + shifts.repeat_interleave(sizes, output_size=rows)

    def cube(self, x: Tensor) -> Tensor:
        """[N, C] -> [B, L, C]."""
        if self.mask is not None:
            x = x.new_zeros(self.batch * self.length, x.shape[1]).index_copy(0, self._places, x)
        return x.view(self.batch, self.length, x.shape[1])

    def rows(self, x: Tensor) -> Tensor:
        """[B, L, C] -> [N, C], the inverse of `cube`."""
        x = x.flatten(0, 1)
        return x if self.mask is None else x.index_select(0, self._places)
