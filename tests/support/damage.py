"""Files damaged on purpose."""

from __future__ import annotations

import zipfile
from pathlib import Path


def flipped_inside(path: Path, entry: str) -> None:
    """Changes a byte in the middle of an entry of a PyTorch checkpoint, and nothing that tells of it."""
    with zipfile.ZipFile(path) as archive:
        (info,) = [each for each in archive.infolist() if each.filename.endswith(f"/{entry}")]
        header = path.read_bytes()[info.header_offset : info.header_offset + 30]
    start = info.header_offset + 30 + int.from_bytes(header[26:28], "little") + int.from_bytes(header[28:30], "little")
    with path.open("r+b") as file:
        file.seek(start + info.file_size // 2)
        (byte,) = file.read(1)
        file.seek(-1, 1)
        file.write(bytes([byte ^ 0x01]))
