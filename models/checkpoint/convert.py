"""From a `Source` to a folder in our own format, with a version that is a digest of the content."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from models.checkpoint.own import write_own
from models.checkpoint.source import Source
from models.config import to_dict

ImportProgress = Callable[[int, int], None]
"""Called with tensors done and tensors in all, after each."""


def convert(source: Source, folder: Path, salt: str = "", progress: ImportProgress | None = None) -> str:
    """Writes the model into an existing folder and returns the digest of configuration, tensors and `salt`.

    Raises CheckpointError if a tensor holds NaN or infinity. Tensors stay memory-mapped where their layout is kept.
    """
    digest = hashlib.blake2b(salt.encode(), digest_size=10)
    digest.update(json.dumps(to_dict(source.config), sort_keys=True).encode())
    tensors: dict[str, Tensor] = {}
    names = sorted(source.keys)
    for number, name in enumerate(names, start=1):
        tensor = source.tensor(name)
        digest.update(f"{name} {tensor.dtype} {list(tensor.shape)}".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
        tensors[name] = tensor
        if progress is not None:
            progress(number, len(names))
    write_own(folder, source.config, tensors)
    return digest.hexdigest()
