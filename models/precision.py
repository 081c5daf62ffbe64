"""In which number format the U-Nets run.

bfloat16 weights and activations on a GPU by default. In float32 whatever is chosen: the noise schedule, timestep
embeddings, statistics and parameters of all norms, and the whole decoder with its structure logits and normals.
"""

from __future__ import annotations

from typing import TypeVar

import torch
from torch import nn

from models.dense import DenseUNet
from models.dense_layers import DenseConv
from models.errors import ConfigError
from models.layers import SpatialTransformer
from models.sparse import SparseUNet
from models.sparse_layers import SparseConv3

UNet = TypeVar("UNet", DenseUNet, SparseUNet)
DTYPES = {"bf16": torch.bfloat16, "fp32": torch.float32}


def choose_dtype(name: str, device: torch.device | str) -> torch.dtype:
    """The format by its name: bf16, fp32, or auto for bf16 on a GPU that computes in it and fp32 elsewhere."""
    if name == "auto":
        capable = torch.device(device).type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
        return torch.bfloat16 if capable else torch.float32
    if name not in DTYPES:
        raise ConfigError(f"the number format is {name!r} but must be one of auto, {', '.join(DTYPES)}")
    return DTYPES[name]


def prepare(unet: UNet, device: torch.device, dtype: torch.dtype, timesteps: int) -> UNet:
    """Puts a U-Net on a device in a format, layer by layer, so that no second copy of it ever exists.

    timesteps: how many there are. Where nobody needs float32, what depends on them alone is computed now.
    """
    exact = set(unet.time_embedding.modules())
    for module in unet.modules():
        if isinstance(module, (nn.Linear, nn.Conv3d, SparseConv3)) and module not in exact:
            module.to(device, dtype)
            if isinstance(module, DenseConv) and dtype != torch.float32:
                module.pack()
            elif isinstance(module, DenseConv):
                module.fix()
    for module in unet.modules():
        if isinstance(module, SpatialTransformer) and module.self_attention is not None and dtype != torch.float32:
            module.self_attention.join()
    unet.to(device).eval().requires_grad_(False)
    if device.type == "cuda" and dtype != torch.float32:
        unet.tabulate(timesteps)
    return unet
