"""A kernel is used on a machine only after it has given the right results there, for random numbers."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

from models.kernels.activation import geglu
from models.kernels.convolution import TAPS, gather_gemm
from models.kernels.normalisation import group_norm, layer_norm

BF16 = torch.bfloat16
LARGEST_ERROR = 0.02


def try_convolution(device: torch.device, dtype: torch.dtype = BF16) -> None:
    """Channels that fill the kernel's tiles, and channels that do not; absent neighbours."""
    for rows, cin, cout in ((300, 64, 128), (200, 14, 64), (130, 96, 8)):
        x, weight = _random(device, dtype, rows, cin), _random(device, dtype, TAPS, cin, cout) / 20
        bias = _random(device, dtype, cout)
        taps = torch.randint(0, rows + rows // 4, (TAPS, rows), device=device).clamp_(max=rows).int()
        padded = functional.pad(x.float(), (0, 0, 0, 1))
        exact = sum(padded[taps[tap].long()] @ weight[tap].float() for tap in range(TAPS)) + bias.float()
        _compare("convolution", gather_gemm(x, taps, weight, bias), exact)


def try_normalisation(device: torch.device, dtype: torch.dtype = BF16) -> None:
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
    x, residual = _random(device, dtype, 2, 70, 96)
    weight, bias = _random(device, torch.float32, 2, 96)
    exact = functional.layer_norm(x.float(), (96,), weight, bias)
    _compare("layer norm", layer_norm(x, None, weight, bias, 1e-5)[1], exact)
    total, normed = layer_norm(x, residual, weight, bias, 1e-5)
    _compare("sum", total, x.float() + residual.float())
    _compare("layer norm of a sum", normed, functional.layer_norm(total.float(), (96,), weight, bias))


def try_activation(device: torch.device, dtype: torch.dtype = BF16) -> None:
    """GEGLU of more columns than a program takes."""
    x = _random(device, dtype, 50, 2 * 1300)
    value, gate = x.float().chunk(2, dim=1)
    _compare("GEGLU", geglu(x), value * functional.gelu(gate))


TRIALS: dict[str, Callable[[torch.device], None]] = {
    "convolution": try_convolution,
    "normalisation": try_normalisation,
    "activation": try_activation,
}


def _random(device: torch.device, dtype: torch.dtype, *shape: int) -> Tensor:
    """The same numbers in every process, and the process's own random numbers left alone."""
    generator = torch.Generator().manual_seed(sum(shape))
    return torch.randn(shape, generator=generator).to(device, dtype)


def _compare(name: str, ours: Tensor, exact: Tensor) -> None:
    error = float((ours.float() - exact).norm() / exact.norm())
    if not error < LARGEST_ERROR:
        raise ArithmeticError(f"the {name} kernel has a relative error of {error:.2g}")
