"""A kernel is used on a machine only after it has given the right results there, for random numbers.

Products must also give the same bits in tiles of any size, alone and among other rows.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

from models.kernels.activation import geglu
from models.kernels.attention import attention
from models.kernels.convolution import TAPS, gather_gemm
from models.kernels.gradient import weights_gradient
from models.kernels.normalisation import group_norm, layer_norm
from models.kernels.pooling import average_children
from models.kernels.product import gated, linear
from models.kernels.tiles import Tiles

BF16 = torch.bfloat16
LARGEST_ERROR = {torch.bfloat16: 0.02, torch.float32: 1e-5}
TILES = [
    tiles._replace(apart=apart)
    for tiles in (Tiles(64, 64, 4, 5, False), Tiles(128, 64, 4, 4, False), Tiles(128, 128, 8, 3, False))
    for apart in (False, True)
]


def check_convolution(device: torch.device, dtype: torch.dtype = BF16) -> None:
    """Channels that fill the kernel's tiles, and channels that do not; absent neighbours; two samples."""
    for voxels, cin, cout in ((300, 64, 128), (200, 14, 64), (130, 96, 8), (64, 256, 256)):
        x, weight = _random(device, dtype, 2 * voxels, cin), _random(device, dtype, TAPS, cin, cout) / 20
        bias = _random(device, dtype, cout)
        generator = torch.Generator().manual_seed(voxels)
        taps = torch.randint(0, voxels + voxels // 4, (TAPS, voxels), generator=generator).clamp_(max=voxels)
        taps = taps.int().to(device)
        padded = functional.pad(x.float().view(2, voxels, cin), (0, 0, 0, 1))
        exact = sum(padded[:, taps[tap].long()] @ weight[tap].float() for tap in range(TAPS)) + bias.float()
        ours = gather_gemm(x, taps, weight, bias)
        _compare("convolution", ours, exact.flatten(0, 1))
        _equal("convolution", gather_gemm(x[voxels:], taps, weight, bias), ours[voxels:])
        for tiles in TILES if cout == 256 and dtype is BF16 else ():
            _equal("convolution", gather_gemm(x, taps, weight, bias, tiles=tiles), ours)
        fewer = _counts(device, voxels - 30)
        _equal("convolution", gather_gemm(x[:voxels], taps, weight, bias, fewer)[: voxels - 30], ours[: voxels - 30])
    for side, cin, cout in ((8, 64, 128), (4, 96, 24)):
        x, weight = _random(device, dtype, 2 * side**3, cin), _random(device, dtype, TAPS, cin, cout)
        gathered = gather_gemm(x, _full_cube(side).to(device), weight, None)
        _equal("convolution", gather_gemm(x, None, weight, None, side=side), gathered)
    room, real = 128, _counts(device, 128, 0, 77)
    x, weight, bias = (_random(device, dtype, *size) for size in ((3 * room, 64), (TAPS, 64, 96), (96,)))
    taps = torch.randint(0, room, (TAPS, room), generator=torch.Generator().manual_seed(1)).int().to(device)
    together = gather_gemm(x, torch.cat([taps, taps + room, taps + 2 * room], dim=1), weight, bias, real)
    for sample, count in ((0, 128), (2, 77)):
        part = slice(sample * room, sample * room + count)
        alone = gather_gemm(x[sample * room :][:room], taps, weight, bias, real[sample : sample + 1])
        _equal("convolution", together[part], alone[:count])


def check_gradient(device: torch.device, dtype: torch.dtype = BF16) -> None:
    """Weights' gradients of few and of many rows, with channels that fill the kernel's tiles and others."""
    for voxels, cin, cout in ((300, 64, 32), (200, 14, 96), (9000, 24, 8)):
        x, gradient = _random(device, dtype, voxels, cin), _random(device, dtype, voxels, cout)
        generator = torch.Generator().manual_seed(voxels)
        taps = torch.randint(0, 3 * voxels, (TAPS, voxels), generator=generator).clamp_(max=voxels).int().to(device)
        padded = functional.pad(x.float(), (0, 0, 0, 1))
        exact = torch.stack([padded[rows.long()].T @ gradient.float() for rows in taps])
        ours = weights_gradient(x, taps, gradient)
        error = float((ours - exact).norm() / exact.norm())
        if not error < LARGEST_ERROR[dtype]:
            raise ArithmeticError(f"the kernel of weights' gradients has a relative error of {error:.2g}")
        _equal("gradient", weights_gradient(x, taps, gradient), ours)


def check_product(device: torch.device, dtype: torch.dtype = BF16) -> None:
    """Widths that fill the kernel's tiles, and widths that do not; long sums in parts; few and many rows."""
    for sample_rows, width, out in ((300, 64, 128), (8, 1024, 1024), (50, 96, 24), (64, 4096, 200)):
        x, weight = _random(device, dtype, 2 * sample_rows, width), _random(device, dtype, out, width) / 30
        bias = _random(device, dtype, out)
        exact = functional.linear(x.float(), weight.float(), bias.float())
        ours = linear(x, weight, bias, sample_rows)
        _compare("product", ours, exact)
        residual = _random(device, dtype, 2 * sample_rows, out)
        _compare("product", linear(x, weight, bias, sample_rows, residual=residual), exact + residual)
        many = linear(x.repeat(40, 1), weight, bias, sample_rows)
        _equal("product", many, ours.repeat(40, 1))
        for tiles in TILES if width == 4096 else ():
            _equal("product", linear(x, weight, bias, sample_rows, tiles=tiles), ours)
    for width in (64, 1024):
        x, weight, bias = (_random(device, dtype, *size) for size in ((3 * 128, width), (1024, width), (1024,)))
        together = linear(x, weight, bias, 128, _counts(device, 128, 0, 77))
        for start, count in ((0, 128), (256, 77)):
            alone = linear(x[start : start + 128], weight, bias, 128, _counts(device, count))
            _equal("product", together[start : start + count], alone[:count])


def check_attention(device: torch.device, dtype: torch.dtype = BF16) -> None:
    """Narrow and wide heads, few and many queries, all keys and some of them, alone and in a batch."""
    for width, heads, queries, keys in ((8, 4, 70, 80), (32, 8, 1100, 1100), (64, 4, 512, 512), (128, 4, 8, 80)):
        q = _random(device, dtype, 3 * queries, heads * width)
        k, v = _random(device, dtype, 2, 3 * keys, heads * width)
        for lengths in (None, torch.tensor([keys, 1, keys - 3], dtype=torch.int32, device=device)):
            a, b, c = (part.float().view(3, -1, heads, width).transpose(1, 2) for part in (q, k, v))
            mask = None if lengths is None else torch.arange(keys, device=device) < lengths[:, None, None, None]
            exact = functional.scaled_dot_product_attention(a, b, c, attn_mask=mask).transpose(1, 2)
            ours = attention(q, k, v, heads, 3, lengths)
            _compare("attention", ours, exact.reshape(3 * queries, -1))
            last = None if lengths is None else lengths[2:]
            alone = attention(q[2 * queries :], k[2 * keys :], v[2 * keys :], heads, 1, last)
            _equal("attention", alone, ours[2 * queries :])
        if queries == keys:
            counts = (keys - 5, 0, keys // 2)
            real = _counts(device, *counts)
            some = attention(q, k, v, heads, 3, real, real)
            for sample in (0, 2):
                rows, own = slice(sample * keys, (sample + 1) * keys), real[sample : sample + 1]
                alone = attention(q[rows], k[rows], v[rows], heads, 1, own, own)
                _equal("attention", some[rows][: counts[sample]], alone[: counts[sample]])


def check_pooling(device: torch.device, dtype: torch.dtype = BF16) -> None:
    """Two samples; children that are there and children that are not."""
    x = _random(device, dtype, 2 * 80, 200)
    generator = torch.Generator().manual_seed(0)
    children = torch.randint(0, 100, (10, 8), generator=generator).clamp_(max=80).to(device)
    padded = functional.pad(x.float().view(2, 80, 200), (0, 0, 0, 1))
    _compare("pooling", average_children(x, children, 2), padded[:, children].sum(dim=2).flatten(0, 1) / 8)
    both = torch.cat([children.clamp(max=79), children.clamp(max=79) + 80]).repeat_interleave(16, dim=0)
    some = average_children(x, both, real=_counts(device, 160, 33))
    each = average_children(x, both)
    _equal("pooling", some[:193], each[:193])


def check_normalisation(device: torch.device, dtype: torch.dtype = BF16) -> None:
    """Group norms of few and of many voxels, plain and with modulation and SiLU; layer norms alone and of a sum."""
    for voxels in (40, 3000):
        x = _random(device, dtype, 2, voxels, 64) * 3 + 10
        weight, bias = _random(device, torch.float32, 2, 64)
        modulation = _random(device, dtype, 2, 128)
        exact = functional.group_norm(x.float().transpose(1, 2), 8, weight, bias).transpose(1, 2)
        _compare("group norm", group_norm(x, 8, weight, bias, 1e-5, None, False), exact)
        scale, shift = modulation.float()[:, None].chunk(2, dim=2)
        exact = functional.silu(exact * (1 + scale) + shift)
        _compare("modulated group norm", group_norm(x, 8, weight, bias, 1e-5, modulation, True), exact)
        some = group_norm(x, 8, weight, bias, 1e-5, modulation, True, _counts(device, voxels, voxels - 9))
        _compare("group norm of a part", some[0], exact[0])
        part = group_norm(x[1:], 8, weight, bias, 1e-5, modulation[1:], True, _counts(device, voxels - 9))
        _equal("group norm", some[1, : voxels - 9], part[0, : voxels - 9])
    x, residual = _random(device, dtype, 2, 70, 96)
    weight, bias = _random(device, torch.float32, 2, 96)
    exact = functional.layer_norm(x.float(), (96,), weight, bias)
    _compare("layer norm", layer_norm(x, None, weight, bias, 1e-5)[1], exact)
    total, normed = layer_norm(x, residual, weight, bias, 1e-5)
    _compare("sum", total, x.float() + residual.float())
    _compare("layer norm of a sum", normed, functional.layer_norm(total.float(), (96,), weight, bias))


def check_activation(device: torch.device, dtype: torch.dtype = BF16) -> None:
    """GEGLU of more columns than a program takes; as part of a product, alone and among other rows."""
    x = _random(device, dtype, 50, 2 * 1300)
    value, gate = x.float().chunk(2, dim=1)
    _compare("GEGLU", geglu(x), value * functional.gelu(gate))
    for rows, width, hidden in ((300, 64, 256), (130, 96, 100), (4096, 256, 1024), (16, 1024, 4096)):
        x, weight = _random(device, dtype, rows, width), _random(device, dtype, 2 * hidden, width) / math.sqrt(width)
        bias = _random(device, dtype, 2 * hidden)
        value, gate = functional.linear(x.float(), weight.float(), bias.float()).chunk(2, dim=1)
        ours = gated(x, weight, bias, rows)
        _compare("GEGLU of a product", ours, value * functional.gelu(gate))
        _equal("GEGLU of a product", gated(x.repeat(9, 1), weight, bias, rows), ours.repeat(9, 1))


CHECKS: dict[str, Callable[[torch.device, torch.dtype], None]] = {
    "convolution": check_convolution,
    "gradient": check_gradient,
    "product": check_product,
    "attention": check_attention,
    "pooling": check_pooling,
    "normalisation": check_normalisation,
    "activation": check_activation,
}


def _random(device: torch.device, dtype: torch.dtype, *shape: int) -> Tensor:
    """The same numbers in every process, and the process's own random numbers left alone."""
    generator = torch.Generator().manual_seed(sum(shape))
    return torch.randn(shape, generator=generator).to(device, dtype)


def _full_cube(side: int) -> Tensor:
    """The rows of the 27 neighbours of each voxel of a cube, int32 [27, side ** 3]."""
    padded = torch.full((side + 2,) * 3, side**3, dtype=torch.int32)
    padded[1:-1, 1:-1, 1:-1] = torch.arange(side**3, dtype=torch.int32).view(side, side, side)
    windows = padded.unfold(0, side, 1).unfold(1, side, 1).unfold(2, side, 1)
    return windows.reshape(TAPS, side**3).contiguous()


def _counts(device: torch.device, *counts: int) -> Tensor:
    """How many rows of each sample count."""
    return torch.tensor(counts, dtype=torch.int32, device=device)


def _compare(name: str, ours: Tensor, exact: Tensor) -> None:
    error = float((ours.float() - exact).norm() / exact.norm())
    if not error < LARGEST_ERROR[ours.dtype]:
        raise ArithmeticError(f"the {name} kernel has a relative error of {error:.2g}")


def _equal(name: str, ours: Tensor, theirs: Tensor) -> None:
    if not torch.equal(ours, theirs):
        raise ArithmeticError(f"the {name} kernel gives a sample other bits in another batch")
