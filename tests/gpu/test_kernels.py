"""Every fused kernel against float64 arithmetic in plain PyTorch, on fresh random numbers."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from models import kernels
from models.grids import TorchGrid
from models.kernels import Kind

pytest.importorskip("triton", reason="the fused kernels need Triton")
BF16 = torch.bfloat16


def error(ours: Tensor, exact: Tensor) -> float:
    """Relative error; not a number counts as infinite."""
    assert ours.shape == exact.shape
    found = float((ours.double() - exact).norm() / exact.norm())
    return found if found == found else float("inf")


def random_grid(voxels: int, side: int) -> TorchGrid:
    cells = torch.randperm(side**3)[:voxels].sort()[0]
    ijk = torch.stack((cells // side**2, cells // side % side, cells % side), dim=1)
    return TorchGrid.from_ijk(ijk.cuda())


@pytest.mark.parametrize("kind", ["convolution", "normalisation", "activation"])
@torch.inference_mode()
def test_every_kernel_proves_itself_here(kind: Kind) -> None:
    assert kernels.usable(kind, torch.zeros(1, device="cuda", dtype=BF16))


@pytest.mark.parametrize(("cin", "cout"), [(14, 64), (64, 64), (96, 8), (192, 64), (64, 200), (256, 256)])
@pytest.mark.parametrize("bias", [True, False])
@torch.inference_mode()
def test_convolution(cin: int, cout: int, bias: bool) -> None:
    from models.kernels.convolution import gather_gemm

    grid = random_grid(5001, 24)
    x = torch.randn(5001, cin, device="cuda", dtype=BF16)
    weight = torch.randn(cout, cin, 3, 3, 3, device="cuda", dtype=BF16) / 30
    added = torch.randn(cout, device="cuda", dtype=BF16) if bias else None
    exact = grid.conv3(x.double(), weight.double(), None if added is None else added.double())
    packed = weight.permute(2, 3, 4, 1, 0).reshape(27, cin, cout)
    assert error(gather_gemm(x, grid.taps, packed, added), exact) < 5e-3


@pytest.mark.parametrize(("voxels", "cin", "cout"), [(20_001, 64, 64), (20_001, 128, 16), (500, 256, 256)])
@torch.inference_mode()
def test_convolution_in_float32_loses_next_to_nothing(voxels: int, cin: int, cout: int) -> None:
    from models.kernels.convolution import gather_gemm

    grid = random_grid(voxels, 40)
    x = torch.randn(voxels, cin, device="cuda")
    weight = torch.randn(cout, cin, 3, 3, 3, device="cuda") / 30
    packed = weight.permute(2, 3, 4, 1, 0).reshape(27, cin, cout)
    assert error(gather_gemm(x, grid.taps, packed, None), grid.conv3(x.double(), weight.double())) < 2e-6


@pytest.mark.parametrize("rows", [300, 16_384])
@torch.inference_mode()
def test_geglu_and_a_residual_as_part_of_a_product(rows: int) -> None:
    from models.kernels.product import gated, linear

    x = torch.randn(rows, 256, device="cuda", dtype=BF16)
    weight, bias = torch.randn(1024, 256, device="cuda", dtype=BF16) / 16, torch.randn(1024, device="cuda", dtype=BF16)
    exact = functional.linear(x.double(), weight.double(), bias.double())
    value, gate = exact.chunk(2, dim=1)
    assert error(gated(x, weight, bias, rows), value * functional.gelu(gate)) < 5e-3
    residual = torch.randn(rows, 1024, device="cuda", dtype=BF16)
    assert error(linear(x, weight, bias, rows, residual=residual), exact + residual.double()) < 5e-3


@pytest.mark.parametrize("shape", [(2, 4096, 256), (1, 46_001, 64), (16, 8, 1024), (3, 300, 96), (1, 1, 64)])
@pytest.mark.parametrize("modulated", [True, False])
@pytest.mark.parametrize("silu", [True, False])
@torch.inference_mode()
def test_group_norm_even_about_a_large_mean(shape: tuple[int, int, int], modulated: bool, silu: bool) -> None:
    from models.kernels.normalisation import group_norm

    batch, _, channels = shape
    x = (3 * torch.randn(shape, device="cuda") + 20).to(BF16)
    weight, bias = torch.randn(2, channels, device="cuda")
    modulation = torch.randn(batch, 2 * channels, device="cuda", dtype=BF16) if modulated else None
    groups = x.double().view(batch, shape[1], 32, -1)
    mean = groups.mean(dim=(1, 3), keepdim=True)
    variance = (groups - mean).square().mean(dim=(1, 3), keepdim=True)
    exact = ((groups - mean) / (variance + 1e-5).sqrt()).view(shape) * weight.double() + bias.double()
    if modulation is not None:
        scale, shift = modulation.double()[:, None].chunk(2, dim=2)
        exact = exact * (1 + scale) + shift
    exact = functional.silu(exact) if silu else exact
    assert error(group_norm(x, 32, weight, bias, 1e-5, modulation, silu), exact) < 5e-3


@pytest.mark.parametrize("channels", [32, 64, 256, 384, 1024])
@torch.inference_mode()
def test_layer_norm(channels: int) -> None:
    from models.kernels.normalisation import layer_norm

    x = (torch.randn(1001, channels, device="cuda") + 5).to(BF16)
    weight, bias = torch.randn(2, channels, device="cuda")
    exact = functional.layer_norm(x.double(), (channels,), weight.double(), bias.double())
    assert error(layer_norm(x, None, weight, bias, 1e-5)[1], exact) < 5e-3
    residual = torch.randn_like(x)
    total, normed = layer_norm(x, residual, weight, bias, 1e-5)
    assert torch.equal(total, x + residual)
    exact = functional.layer_norm(total.double(), (channels,), weight.double(), bias.double())
    assert error(normed, exact) < 5e-3


@torch.inference_mode()
def test_geglu() -> None:
    from models.kernels.activation import geglu

    x = torch.randn(1001, 2 * 1300, device="cuda", dtype=BF16)
    value, gate = x.double().chunk(2, dim=1)
    assert error(geglu(x), value * functional.gelu(gate)) < 5e-3
