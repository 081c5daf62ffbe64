"""Several files as one: a ZIP whose bytes depend on the files alone."""

from __future__ import annotations

import io
import struct
import zipfile
from collections.abc import Iterable, Mapping

_LEVEL = 1
"""Of compression: higher ones take much longer and save little."""
_HEADER = 30
"""Bytes before an entry's name."""
_FIELD = struct.Struct("<HH")
_PADDING = 0x1986
"""Number of the field that OpenUSD fills up with."""


def zipped(files: Mapping[str, bytes]) -> bytes:
    """A ZIP of files by name, without dates."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=_LEVEL) as archive:
        for name, content in files.items():
            archive.writestr(zipfile.ZipInfo(name), content, zipfile.ZIP_DEFLATED, _LEVEL)
    return buffer.getvalue()


def aligned(files: Mapping[str, Iterable[bytes]], alignment: int) -> bytes:
    """A ZIP of files by name, in pieces, without dates and compression; each begins at a multiple of `alignment`."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name, pieces in files.items():
            entry = zipfile.ZipInfo(name)
            room = -(buffer.tell() + _HEADER + len(name.encode()) + _FIELD.size) % alignment
            entry.extra = _FIELD.pack(_PADDING, room) + bytes(room)
            with archive.open(entry, "w") as file:
                for piece in pieces:
                    file.write(piece)
    return buffer.getvalue()
