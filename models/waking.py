"""CUDA's start, which takes about a second, while a process imports its other modules."""

from __future__ import annotations

import contextlib
import threading


def wake_gpu(device: str, number: int) -> None:
    """Imports PyTorch, then starts CUDA in a thread; who needs the GPU first waits for it, and finds what is wrong.

    Args:
        device: What the settings ask for: for "cpu" nothing starts.
        number: Which of the GPUs.
    """
    import torch

    def start() -> None:
        with contextlib.suppress(RuntimeError):
            torch.zeros(1, device=torch.device("cuda", number % torch.cuda.device_count()))

    if device != "cpu" and torch.cuda.is_available():
        threading.Thread(target=start, name="cuda", daemon=True).start()
