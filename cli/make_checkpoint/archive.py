"""Writes the file format of torch.save, one tensor after the other, so that a file may be larger than memory."""

from __future__ import annotations

import io
import pickle
import zipfile
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch._utils import _rebuild_tensor_v2

ALIGNMENT = 64
_HEADER_BYTES, _PADDING_ID = 30, b"FB"


@dataclass(frozen=True)
class Later:
    """A tensor that is written when its turn comes: `make` gives it, of this shape and type."""

    shape: tuple[int, ...]
    make: Callable[[], Tensor]
    dtype: torch.dtype = torch.float32


@dataclass(frozen=True)
class _Storage:
    key: str
    tensor: Later


def write(path: Path, contents: Mapping[str, Any], done: Callable[[int, int], None] | None = None) -> None:
    """Writes a file like torch.save.

    Args:
        path: The file.
        contents: What to write; its tensors are `Later`s.
        done: Called after each tensor, with the number of tensors written and the number of all.
    """
    table = io.BytesIO()
    pickler = _Pickler(table)
    pickler.dump(contents)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED, allowZip64=True) as archive:
        root = path.stem
        _entry(archive, f"{root}/data.pkl", table.getvalue())
        _entry(archive, f"{root}/byteorder", b"little")
        for number, storage in enumerate(pickler.storages, start=1):
            tensor = storage.tensor.make()
            assert tuple(tensor.shape) == storage.tensor.shape
            values = tensor.to(storage.tensor.dtype).contiguous().reshape(-1).view(torch.uint8)
            _entry(archive, f"{root}/data/{storage.key}", values.numpy().data)
            if done is not None:
                done(number, len(pickler.storages))
        _entry(archive, f"{root}/version", b"3\n")


def _entry(archive: zipfile.ZipFile, name: str, data: bytes | memoryview) -> None:
    """Adds a file to the archive; its bytes begin at a multiple of 64, like those of torch.save."""
    assert archive.fp is not None
    start = archive.fp.tell() + _HEADER_BYTES + len(name) + 4
    padding = -start % ALIGNMENT
    info = zipfile.ZipInfo(name)
    info.extra = _PADDING_ID + padding.to_bytes(2, "little") + b"Z" * padding
    info.file_size = len(data)
    with archive.open(info, "w") as file:
        file.write(data)


class _Pickler(pickle.Pickler):
    """Pickles `Later`s as the tensors they stand for, each with a storage of its own."""

    def __init__(self, file: io.BytesIO) -> None:
        super().__init__(file, protocol=2)
        self.storages: list[_Storage] = []

    def reducer_override(self, obj: Any) -> Any:
        if not isinstance(obj, Later):
            return NotImplemented
        storage = _Storage(str(len(self.storages)), obj)
        self.storages.append(storage)
        stride = torch.empty(obj.shape, device="meta").stride()
        return _rebuild_tensor_v2, (storage, 0, obj.shape, stride, False, OrderedDict())

    def persistent_id(self, obj: Any) -> Any:
        if not isinstance(obj, _Storage):
            return None
        kind = {torch.float32: torch.FloatStorage, torch.int32: torch.IntStorage}[obj.tensor.dtype]
        return "storage", kind, obj.key, "cpu", torch.Size(obj.tensor.shape).numel()
