"""A PyTorch checkpoint file (the zip format of torch.save) opened by memory map: only what is asked for is read."""

from __future__ import annotations

import hashlib
import io
import math
import mmap
import struct
import warnings
import zipfile
import zlib
from pathlib import Path
from reprlib import repr as short
from typing import Any, BinaryIO

import torch
from torch import Tensor

from models.checkpoint.unpickle import TensorRecord, unpickle
from models.errors import CheckpointError
from models.files import open_regular

_LOCAL_HEADER = struct.Struct("<4s22xHH")
_ENCRYPTED = 0x1
_CONTENTS_LIMIT = 8 * 2**20
"""Bytes of the contents table: ten times those of the official files. Each may be an instruction to the unpickler."""
_BYTE_ORDER_LIMIT = 64
_DIRECTORY_LIMIT = 16 * 2**20
"""Bytes of the zip file's own directory: some hundred thousand tensors."""


class TorchArchive:
    """An open checkpoint: `contents` is its object with every tensor as a `TensorRecord`, `tensor` reads one.

    Tensors share memory with the file and must not be written to. `has_checksums` says whether damage inside the
    tensors would be noticed: torch.save can be told to leave the checksums out.

    Raises:
        CheckpointError: With one sentence, for whatever is not such a file, is incomplete, or would run code.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            with open_regular(path) as file:
                self._entries = _directory(file, path)
                self._map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        except OSError as error:
            raise CheckpointError(
                f"{path}: cannot be read ({error.strerror or error}); check the path and its rights"
            ) from error
        self._root = self._find_root()
        self._checked: set[str] = set()
        self.has_checksums = self._entries[f"{self._root}data.pkl"].CRC != 0
        self._check_byte_order()
        contents = self._read(f"{self._root}data.pkl", _CONTENTS_LIMIT)
        self._digest = hashlib.blake2b(contents)
        self.contents: Any = unpickle(contents, str(path))

    @property
    def warnings(self) -> list[str]:
        """What to know about the file, one sentence each."""
        if self.has_checksums:
            return []
        return [f"{self.path}: has no checksums, so nobody can see whether its numbers are damaged"]

    @property
    def fingerprint(self) -> str:
        """A digest of the whole content, from the contents table and the checksums that the zip format stores."""
        checksums = {entry.CRC for entry in self._entries.values()}
        digest = self._digest.copy()
        for name, entry in sorted(self._entries.items()):
            digest.update(f"{name.removeprefix(self._root)}:{entry.file_size}:{entry.CRC};".encode())
        if not self.has_checksums or len(checksums) < min(3, len(self._entries)):
            digest.update(str(self.path.stat().st_mtime_ns).encode())
        return digest.hexdigest()

    def tensor(self, record: TensorRecord) -> Tensor:
        """The tensor of a record, with its own strides, on the CPU, sharing the file's memory.

        Raises:
            CheckpointError: The file does not hold all of it, or other bytes than were written.
        """
        entry = self._entries.get(f"{self._root}data/{record.storage.key}")
        size = record.dtype.itemsize
        last = sum((n - 1) * step for n, step in zip(record.shape, record.stride, strict=True))
        needed = (record.offset + last + 1) * size if math.prod(record.shape) else 0
        if entry is None or not _is_stored(entry) or needed > entry.file_size:
            raise CheckpointError(
                f"{self.path}: storage {short(record.storage.key)} is incomplete; download the file again"
            )
        if math.prod(record.shape) * size > len(self._map):
            raise CheckpointError(f"{self.path}: a tensor repeats more numbers than the file holds; get the file again")
        if needed == 0:
            return torch.empty(record.shape, dtype=record.dtype)
        start = self._checked_start(entry)
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

    def _check_byte_order(self) -> None:
        name = f"{self._root}byteorder"
        if name in self._entries and self._read(name, _BYTE_ORDER_LIMIT).strip() != b"little":
            raise CheckpointError(f"{self.path}: written on a big-endian machine; save it again on a little-endian one")

    def _read(self, name: str, limit: int) -> bytes:
        """The bytes of a small entry."""
        entry = self._entries[name]
        if entry.file_size > limit or not _is_stored(entry):
            part = "table of contents" if name.endswith("data.pkl") else "entry for the byte order"
            raise CheckpointError(f"{self.path}: its {part} is not one that torch.save writes; download the file again")
        start = self._checked_start(entry)
        return self._map[start : start + entry.file_size]

    def _checked_start(self, entry: zipfile.ZipInfo) -> int:
        """Where the bytes of an entry begin; they are compared with its checksum once, a piece at a time."""
        start = self._data_offset(entry)
        if self.has_checksums and entry.filename not in self._checked:
            with memoryview(self._map) as whole, whole[start : start + entry.file_size] as data:
                if zlib.crc32(data) != entry.CRC:
                    raise CheckpointError(
                        f"{self.path}: {short(entry.filename)} is damaged (other bytes than its checksum is of); "
                        "download the file again"
                    )
            self._checked.add(entry.filename)
        return start

    def _data_offset(self, entry: zipfile.ZipInfo) -> int:
        header = self._map[entry.header_offset : entry.header_offset + _LOCAL_HEADER.size]
        magic, name_length, extra_length = _LOCAL_HEADER.unpack(header.ljust(_LOCAL_HEADER.size, b"\0"))
        start = entry.header_offset + _LOCAL_HEADER.size + int(name_length) + int(extra_length)
        if magic != b"PK\x03\x04" or start + entry.file_size > len(self._map):
            raise CheckpointError(f"{self.path}: {short(entry.filename)} is damaged; download the file again")
        return start


def _directory(file: BinaryIO, path: Path) -> dict[str, zipfile.ZipInfo]:
    try:
        with zipfile.ZipFile(_Bounded(file)) as archive:
            return {entry.filename: entry for entry in archive.infolist()}
    # What zipfile meets in damaged or made-up directories; it raises more than its own exception.
    except (zipfile.BadZipFile, EOFError, ValueError, struct.error, NotImplementedError, OverflowError) as error:
        raise CheckpointError(_why_unreadable(path)) from error


class _Bounded(io.BufferedReader):
    """A file of which zipfile reads no more at once than a directory may have."""

    def __init__(self, file: BinaryIO) -> None:
        super().__init__(io.FileIO(file.fileno(), closefd=False))

    def read(self, size: int | None = -1, /) -> bytes:
        """Reads `size` bytes."""
        if size is not None and size > _DIRECTORY_LIMIT:
            raise zipfile.BadZipFile("a directory without measure")
        return super().read(size)


def _is_stored(entry: zipfile.ZipInfo) -> bool:
    """Whether an entry's bytes lie in the file as they are."""
    plain = entry.compress_type == zipfile.ZIP_STORED and entry.compress_size == entry.file_size
    return plain and not entry.flag_bits & _ENCRYPTED


def _why_unreadable(path: Path) -> str:
    with open_regular(path) as file:
        head = file.read(64)
    if head.startswith(b"PK\x03\x04"):
        return f"{path}: the file is cut short or damaged; download it again and compare its size with the publisher's"
    if head.startswith(b"version https://git-lfs"):
        return f"{path}: a Git LFS pointer instead of the weights; run `git lfs pull` or download the file itself"
    if head[:1] == b"\x80":
        return f"{path}: written in PyTorch's old format (before 1.6); load it there and save it again with torch.save"
    return f"{path}: not a PyTorch checkpoint (not a zip file); download it again, or check that it is the right file"
