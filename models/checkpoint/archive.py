"""A PyTorch checkpoint file (the zip format of torch.save) opened by memory map: only what is asked for is read."""

from __future__ import annotations

import hashlib
import math
import mmap
import struct
import warnings
import zipfile
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from models.checkpoint.unpickle import TensorRecord, unpickle
from models.errors import CheckpointError

_LOCAL_HEADER = struct.Struct("<4s22xHH")
_CONTENTS_LIMIT = 256 * 2**20


class TorchArchive:
    """An open checkpoint: `contents` is its object with every tensor as a `TensorRecord`, `tensor` reads one.

    Tensors share memory with the file and must not be written to. Raises CheckpointError, with one sentence, for
    whatever is not such a file, is incomplete, or would run code.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            with path.open("rb") as file, zipfile.ZipFile(file) as archive:
                self._entries = {entry.filename: entry for entry in archive.infolist()}
                self._root = self._find_root()
                self._check_byte_order(archive)
                contents = self._read_contents(archive)
                self._map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        except (zipfile.BadZipFile, EOFError, struct.error, NotImplementedError) as error:
            raise CheckpointError(_why_unreadable(path)) from error
        except OSError as error:
            raise CheckpointError(
                f"{path}: cannot be read ({error.strerror}); check the path and its rights"
            ) from error
        self._digest = hashlib.blake2b(contents)
        self.contents: Any = unpickle(contents, str(path))

    @property
    def fingerprint(self) -> str:
        """A digest of the whole content, from the contents table and the checksums that the zip format stores."""
        checksums = {entry.CRC for entry in self._entries.values()}
        digest = self._digest.copy()
        for name, entry in sorted(self._entries.items()):
            digest.update(f"{name.removeprefix(self._root)}:{entry.file_size}:{entry.CRC};".encode())
        if len(checksums) < min(3, len(self._entries)):  # written without checksums
            digest.update(str(self.path.stat().st_mtime_ns).encode())
        return digest.hexdigest()

    def tensor(self, record: TensorRecord) -> Tensor:
        """The tensor of a record, with its own strides, on the CPU, sharing the file's memory."""
        entry = self._entries.get(f"{self._root}data/{record.storage.key}")
        size = record.dtype.itemsize
        last = sum((n - 1) * step for n, step in zip(record.shape, record.stride, strict=True))
        needed = (record.offset + last + 1) * size if math.prod(record.shape) else 0
        if entry is None or entry.compress_type != zipfile.ZIP_STORED or needed > entry.file_size:
            raise CheckpointError(f"{self.path}: storage {record.storage.key!r} is incomplete; download the file again")
        if needed == 0:
            return torch.empty(record.shape, dtype=record.dtype)
        start = self._data_offset(entry)
        count = entry.file_size // size
        with warnings.catch_warnings():  # the map is read-only, and so is every use of these tensors
            warnings.filterwarnings("ignore", message="The given buffer is not writable")
            if start % size == 0:
                flat = torch.frombuffer(self._map, dtype=record.dtype, count=count, offset=start)
            else:
                flat = torch.frombuffer(self._map[start : start + count * size], dtype=record.dtype)
        return flat[record.offset :].as_strided(record.shape, record.stride)

    def _find_root(self) -> str:
        tables = [name for name in self._entries if name == "data.pkl" or name.endswith("/data.pkl")]
        if len(tables) != 1:
            raise CheckpointError(
                f"{self.path}: a zip file but not a PyTorch checkpoint; use the file as it was published"
            )
        return tables[0].removesuffix("data.pkl")

    def _check_byte_order(self, archive: zipfile.ZipFile) -> None:
        name = f"{self._root}byteorder"
        if name in self._entries and archive.read(name).strip() != b"little":
            raise CheckpointError(f"{self.path}: written on a big-endian machine; save it again on a little-endian one")

    def _read_contents(self, archive: zipfile.ZipFile) -> bytes:
        entry = self._entries[f"{self._root}data.pkl"]
        if entry.file_size > _CONTENTS_LIMIT or entry.compress_type != zipfile.ZIP_STORED:
            raise CheckpointError(
                f"{self.path}: its table of contents is not one that torch.save writes; download the file again"
            )
        return archive.read(entry)

    def _data_offset(self, entry: zipfile.ZipInfo) -> int:
        header = self._map[entry.header_offset : entry.header_offset + _LOCAL_HEADER.size]
        magic, name_length, extra_length = _LOCAL_HEADER.unpack(header)
        start = entry.header_offset + _LOCAL_HEADER.size + int(name_length) + int(extra_length)
        if magic != b"PK\x03\x04" or start + entry.file_size > len(self._map):
            raise CheckpointError(f"{self.path}: {entry.filename} is damaged; download the file again")
        return start


def _why_unreadable(path: Path) -> str:
    with path.open("rb") as file:
        head = file.read(64)
    if head.startswith(b"PK\x03\x04"):
        return f"{path}: the file is cut short or damaged; download it again and compare its size with the publisher's"
    if head.startswith(b"version https://git-lfs"):
        return f"{path}: a Git LFS pointer instead of the weights; run `git lfs pull` or download the file itself"
    if head[:1] == b"\x80":
        return f"{path}: written in PyTorch's old format (before 1.6); load it there and save it again with torch.save"
    return f"{path}: not a PyTorch checkpoint (not a zip file); download it again, or check that it is the right file"
