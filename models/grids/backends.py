"""Which backend the grids of a process have."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

import torch
from torch import Tensor

from models.errors import BackendError, ConfigError
from models.grids.fvdb_grid import FvdbGrid, library
from models.grids.interface import Grid
from models.grids.torch_grid import TorchGrid

log = logging.getLogger("xcube.voxels")
BACKENDS: dict[str, type[Grid]] = {"torch": TorchGrid, "fvdb": FvdbGrid}
RADIUS, CHANNELS, REPETITIONS, LARGEST_ERROR = 24, 64, 20, 0.02


def choose_backend(name: str, device: torch.device | str, dtype: torch.dtype = torch.float32) -> type[Grid]:
    """The class of all grids.

    Args:
        name: "torch", "fvdb", or "auto" for fvdb on a GPU where it imports and wins a short test, and torch elsewhere.
        device: Where the models run.
        dtype: Number format of the denoisers, in which the test runs.

    Raises:
        BackendError: fvdb was asked for and cannot be used.
        ConfigError: There is no backend of that name.
    """
    if name not in ("auto", *BACKENDS):
        raise ConfigError(f"the backend is {name!r} but must be one of auto, {', '.join(BACKENDS)}")
    if name == "torch" or (name == "auto" and torch.device(device).type != "cuda"):
        return TorchGrid
    try:
        library()
    except BackendError as error:
        if name == "fvdb":
            raise
        log.info("sparse grids: torch, because %s", error)
        return TorchGrid
    return FvdbGrid if name == "fvdb" or _wins(torch.device(device), dtype) else TorchGrid


def name_of(grids: type[Grid]) -> str:
    """The name that `choose_backend` takes."""
    return next(name for name, known in BACKENDS.items() if known is grids)


def _wins(device: torch.device, dtype: torch.dtype) -> bool:
    """Whether fvdb gives torch's result and takes less time, for one layer on the shell of a sphere."""
    try:
        axis = torch.arange(-RADIUS - 1, RADIUS + 1, device=device)
        cube = torch.cartesian_prod(axis, axis, axis)
        ijk = cube[((cube + 0.5).norm(dim=1) - RADIUS).abs() < 0.5]
        features = torch.randn(len(ijk), CHANNELS, device=device, dtype=dtype)
        weight = torch.randn(CHANNELS, CHANNELS, 3, 3, 3, device=device, dtype=dtype) / 40
        with torch.inference_mode():
            ours, seconds = _timed(TorchGrid.from_ijk(ijk), features, weight)
            theirs, fvdb_seconds = _timed(FvdbGrid.from_ijk(ijk), features, weight)
    except Exception as error:  # a library or a GPU that fails the test is not used, whatever the reason
        log.warning("sparse grids: torch, because fvdb failed its test: %s", error)
        return False
    error_found = float((ours.float() - theirs.float()).norm() / ours.float().norm())
    log.info("sparse grids: a layer takes %.2f ms with torch, %.2f with fvdb", 1e3 * seconds, 1e3 * fvdb_seconds)
    return error_found < LARGEST_ERROR and fvdb_seconds < seconds


def _timed(grid: Grid, features: Tensor, weight: Tensor) -> tuple[Tensor, float]:
    """The result of a layer, and seconds for one run of it after the first."""
    wait: Callable[[], None] = torch.cuda.synchronize if features.is_cuda else _nothing
    result = grid.conv3(features, weight)
    wait()
    start = time.perf_counter()
    for _ in range(REPETITIONS):
        grid.conv3(features, weight)
    wait()
    return result, (time.perf_counter() - start) / REPETITIONS


def _nothing() -> None:
    """On a CPU there is nothing to wait for."""
