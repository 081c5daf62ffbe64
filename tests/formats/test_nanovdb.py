"""NanoVDB files, read by a walk along their pointers, by Debian's tools, and by NVIDIA Warp."""

from __future__ import annotations

import re
import shutil
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from formats.blocks import Blocks
from formats.box import TooLargeError
from formats.nanovdb import nvdb
from tests.support.blocks import PALETTE, no_blocks, scattered

LOG2 = (5, 4, 3)
"""Of the sides of upper, lower and leaf nodes."""


def walk(content: bytes) -> set[tuple[int, ...]]:
    """Places of the active voxels, found from the root on, as NanoVDB.h lays nodes out."""
    grid = content[16 + 176 + len("density\0") :]
    assert struct.unpack_from("<Q", grid)[0].to_bytes(8, "little") == b"NanoVDB0"
    (size,) = struct.unpack_from("<Q", grid, 32)
    assert size == len(grid)
    *_, root = struct.unpack_from("<4Q", grid, 672)
    root += 672
    (count,) = struct.unpack_from("<I", grid, root + 24)
    found: set[tuple[int, ...]] = set()
    for tile in range(count):
        key, child = struct.unpack_from("<Qq", grid, root + 64 + 32 * tile)
        high = np.array([key >> shift & (1 << 21) - 1 for shift in (42, 21, 0)]) << 12
        visit(grid, root + child, np.where(high >= 2**31, high - 2**32, high), 0, found)
    return found


def visit(grid: bytes, at: int, origin: np.ndarray, level: int, found: set[tuple[int, ...]]) -> None:
    log2 = LOG2[level]
    size = 8**log2 // 8
    head = 16 if level == 2 else 32 + size
    mask = np.unpackbits(np.frombuffer(grid, np.uint8, size, at + head), bitorder="little")
    for place in np.flatnonzero(mask).tolist():
        offset = np.array([place >> 2 * log2, place >> log2, place]) & (1 << log2) - 1
        inner = origin + offset * (1 << sum(LOG2[level + 1 :]))
        if level == 2:
            assert struct.unpack_from("<f", grid, at + 96 + 4 * place) == (1.0,)
            found.add(tuple(inner.tolist()))
        else:
            table = at + {0: 8256, 1: 1088}[level]
            (child,) = struct.unpack_from("<q", grid, table + 8 * place)
            visit(grid, at + child, inner, level + 1, found)


def spread() -> Blocks:
    """Blocks in several nodes of every level, on both sides of 0."""
    near = scattered(-20, 40, 2000)
    far = np.array([[5000, -5000, 0], [-4097, 4096, 127], [130, 7, -4000]], np.int32)
    position = np.concatenate([near.position, far])
    return Blocks(position, np.zeros(len(position), np.uint8), PALETTE, 1 / 64)


def test_every_voxel_is_found_from_the_root_on_and_no_other() -> None:
    blocks = spread()
    assert walk(nvdb(blocks)) == set(map(tuple, blocks.position.tolist()))


def test_debians_tools_find_the_file_sound(tmp_path: Path) -> None:
    """They are OpenVDB's own: nanovdb_validate, and nanovdb_print, which lists what the head of the file says."""
    if shutil.which("nanovdb_validate") is None:
        pytest.skip("nanovdb_validate is not installed (Debian: libnanovdb-tools)")
    blocks = spread()
    path = tmp_path / "a.nvdb"
    path.write_bytes(nvdb(blocks))
    done = subprocess.run(["nanovdb_validate", path], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    said = subprocess.run(["nanovdb_print", path], capture_output=True, text=True, check=True).stdout
    assert re.search(rf"density +float +FOG .* NONE .*\(0\.0156,0\.0156,0\.0156\) +{len(blocks)} ", said)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_warp_finds_every_voxel_at_its_place(tmp_path: Path) -> None:
    python = tmp_path / "venv" / "bin" / "python"
    subprocess.run([sys.executable, "-m", "venv", tmp_path / "venv"], check=True)
    install = [python, "-m", "pip", "install", "--quiet", "--only-binary", ":all:", "warp-lang"]
    installed = subprocess.run(install, capture_output=True, text=True)
    if installed.returncode != 0:
        pytest.skip(f"Warp cannot be installed here: {installed.stderr.strip()[-300:]}")
    blocks = scattered(-20, 40, 3000)
    (tmp_path / "a.nvdb").write_bytes(nvdb(blocks))
    program = Path(__file__).parents[1] / "support" / "warp_reads.py"
    done = subprocess.run([python, program, tmp_path / "a.nvdb", "-25", "45"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    with np.load(tmp_path / "a.npz") as read:
        assert set(map(tuple, read["places"].tolist())) == set(map(tuple, blocks.position.tolist()))
        assert len(read["other"]) == 0
        np.testing.assert_allclose(read["edge"], blocks.edge, rtol=1e-6)
        np.testing.assert_allclose(read["origin"], blocks.edge / 2, rtol=1e-6)
        assert str(read["name"]) == "density"
    shutil.rmtree(tmp_path / "venv")


def test_no_block_and_too_large_a_file_are_told_in_a_sentence() -> None:
    with pytest.raises(ValueError, match="no voxel: there is nothing to write"):
        nvdb(no_blocks())
    far = np.arange(8000, dtype=np.int32)[:, None] * np.array([4096, 0, 0], np.int32)
    with pytest.raises(TooLargeError, match="2 GiB or more: ask for a smaller size"):
        nvdb(Blocks(far, np.zeros(len(far), np.uint8), PALETTE, 1.0))
