"""The official size on a CPU, coarse stage alone: random checkpoint, import, load, two guided steps, decoding.

Takes about 20 GB of disk and several minutes.
"""

from __future__ import annotations

import shutil
import threading
import time
from pathlib import Path

import pytest
import torch

from cli.make_checkpoint.__main__ import main
from models.checkpoint.convert import convert
from models.checkpoint.official import open_official
from models.loading import load_coarse
from models.text import TextEmbedding

GIB = 2**30
DISK, IMPORT_ANONYMOUS, ALL = 21 * GIB, 4 * GIB, 16 * GIB


class Peak:
    """The largest anonymous memory of this process while it is watched."""

    def __init__(self) -> None:
        self.bytes = 0
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch)

    def __enter__(self) -> Peak:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._done.wait(0.05):
            (line,) = (
                line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("RssAnon")
            )
            self.bytes = max(self.bytes, 1024 * int(line.split()[1]))


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_the_coarse_stage_at_official_size_runs_on_a_cpu(tmp_path: Path) -> None:
    if shutil.disk_usage(tmp_path).free < DISK:
        pytest.skip(f"needs {DISK / 1e9:.0f} GB of disk for temporary files")
    assert main([str(tmp_path), "--size", "official", "--stage", "coarse"]) == 0
    folder = tmp_path / "own"
    folder.mkdir()
    told: list[tuple[int, int]] = []
    with Peak() as importing:
        source = open_official(tmp_path / "objaverse_coarse", "coarse")
        convert(source, folder, progress=lambda done, total: told.append((done, total)))
    assert importing.bytes < IMPORT_ANONYMOUS
    assert told[-1] == (len(source.keys), len(source.keys))
    shutil.rmtree(tmp_path / "objaverse_coarse")
    generator = torch.Generator().manual_seed(0)
    null, text = (TextEmbedding(torch.randn(n, 1024, generator=generator)) for n in (2, 9))
    stage = load_coarse(folder, null)
    with Peak() as running:
        started = time.monotonic()
        state = stage.denoise([stage.start(text, seed=1, steps=2)], 2)[0]
        voxels = stage.decode([state])[0]
    print(f"{len(voxels)} voxels, {time.monotonic() - started:.0f} s")
    assert 20_000 < len(voxels) < 100_000
    assert running.bytes < ALL
