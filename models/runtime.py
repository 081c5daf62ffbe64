"""Where and how models run, as one value that whoever loads or runs one is given."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import torch

from models.grids import Grid, TorchGrid, choose_backend, name_of
from models.precision import choose_dtype

_CPU = torch.device("cpu")
ROOMY = 30 * 2**30
"""Bytes of a GPU that a process may take, from which on it has room for two lanes with batches of the official size."""


@dataclass(frozen=True)
class Runtime:
    """How the stages of a process run.

    Attributes:
        device: Where weights and samples are.
        dtype: Number format of the denoisers; decoders run in float32 everywhere.
        grids: The class of all sparse grids.
        graphs: Whether whole denoising steps become CUDA graphs; a CPU has none.
        lanes: Calls that a stage on a GPU runs at a time, see `models.lanes`.
    """

    device: torch.device = _CPU
    dtype: torch.dtype = torch.float32
    grids: type[Grid] = TorchGrid
    graphs: bool = True
    lanes: int = 1

    @classmethod
    def choose(cls, device: torch.device | str | None = None, dtype: str = "auto", backend: str = "auto") -> Self:
        """What is best on this machine, as far as it is left open.

        Args:
            device: "cpu", "cuda", "cuda:1", …; None means a GPU if there is one.
            dtype: Number format of the denoisers: "bf16", "fp32", or "auto" for bf16 on a GPU that computes in it.
            backend: Library of sparse grids: "torch", "fvdb", or "auto" for fvdb on a GPU where it is faster.

        Raises:
            BackendError: The backend that was asked for cannot be used here.
            ConfigError: There is no number format or backend of that name.
        """
        chosen = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        number_format = choose_dtype(dtype, chosen)
        return cls(chosen, number_format, choose_backend(backend, chosen, number_format), lanes=_lanes_on(chosen))

    @property
    def dtype_name(self) -> str:
        """The number format as PyTorch spells it, for example bfloat16."""
        return str(self.dtype).removeprefix("torch.")

    @property
    def backend(self) -> str:
        """The library of sparse grids: torch or fvdb."""
        return name_of(self.grids)


def _lanes_on(device: torch.device) -> int:
    if device.type != "cuda":
        return 1
    memory = torch.cuda.get_device_properties(device).total_memory
    return 2 if memory * torch.cuda.get_per_process_memory_fraction(device) >= ROOMY else 1


REFERENCE = Runtime()
"""What every other way to run is compared with: float32 on a CPU, in plain PyTorch."""
