"""Several processes that train one model, one for each GPU: what torchrun starts, or none."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, distributed

from models.errors import XCubeError


class WorkerError(XCubeError):
    """Another process of this training has ended, so that nothing can be averaged with it."""


@contextmanager
def _together() -> Iterator[None]:
    try:
        yield
    except RuntimeError as error:  # Gloo's own, and the base of NCCL's
        raise WorkerError(
            "another process of this training has ended: see above why, and run the same command again, it goes on "
            "from the last saved state"
        ) from error


def join(device: torch.device) -> torch.device:
    """Joins the processes that torchrun has started, and returns this one's device; alone, nothing happens."""
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        return device
    if device.type == "cuda":
        device = torch.device("cuda", int(os.environ["LOCAL_RANK"]))
        torch.cuda.set_device(device)
    distributed.init_process_group("nccl" if device.type == "cuda" else "gloo")
    return device


def leave() -> None:
    """Ends what `join` began."""
    if distributed.is_initialized():
        distributed.destroy_process_group()


def rank() -> int:
    """Which process this is; 0 writes files and talks."""
    return distributed.get_rank() if distributed.is_initialized() else 0


def size() -> int:
    """How many processes train together."""
    return distributed.get_world_size() if distributed.is_initialized() else 1


def wait() -> None:
    """Waits until all processes are here."""
    if distributed.is_initialized():
        with _together():
            distributed.barrier()


def agree(values: list[float]) -> list[float]:
    """The values of process 0, in all of them."""
    if not distributed.is_initialized():
        return values
    device = "cuda" if distributed.get_backend() == "nccl" else "cpu"
    shared = torch.tensor(values, dtype=torch.float64, device=device)
    with _together():
        distributed.broadcast(shared, 0)
    return [float(value) for value in shared]


def average(tensors: list[Tensor]) -> None:
    """Replaces tensors by their means over all processes, in one message."""
    if not distributed.is_initialized() or not tensors:
        return
    flat = torch.cat([tensor.reshape(-1) for tensor in tensors])
    with _together():
        distributed.all_reduce(flat)
    flat /= size()
    for tensor, part in zip(tensors, flat.split([tensor.numel() for tensor in tensors]), strict=True):
        tensor.copy_(part.view_as(tensor))
