from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from formats import FORMATS, FileWriter, Options, file_of
from formats import writing as module
from models.errors import ShapeError
from models.shape import Shape
from tests.support.paths import ROOT
from tests.support.solids import box, shell

BY_NAME = {format_.name: format_ for format_ in FORMATS}
SURFACES = [format_.name for format_ in FORMATS if format_.kind == "surface"]


def test_the_formats_with_triangles_are_known() -> None:
    assert SURFACES == ["glb", "usdz", "obj", "stl", "3mf"]


@pytest.mark.parametrize("name", SURFACES)
def test_a_process_of_its_own_writes_the_same_bytes(name: str, result: Shape, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LARGE", 1)
    written = asyncio.run(FileWriter().write(BY_NAME[name], result, "1.2.3")).content
    assert written == file_of(BY_NAME[name], result, "1.2.3").content


def test_a_large_surface_is_made_by_another_process_and_leaves_this_one_free() -> None:
    large = Shape(shell(box((0.45, 0.45, 0.45)), 128), None, 1)
    assert len(large.finest) >= module.LARGE
    file_of(BY_NAME["obj"], Shape(shell(box((0.1, 0.1, 0.1)), 32), None, 1), "1")  # imports what it needs

    start = time.process_time()
    here = file_of(BY_NAME["obj"], large, "1").content
    alone = time.process_time() - start
    start = time.process_time()
    assert asyncio.run(FileWriter().write(BY_NAME["obj"], large, "1")).content == here
    assert time.process_time() - start < alone / 2


@pytest.mark.parametrize(("name", "options"), [("obj", Options()), ("npz", Options(size=100)), ("report", Options())])
def test_who_stops_waiting_ends_the_process(
    name: str, options: Options, result: Shape, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LARGE", 1)

    async def cancel() -> None:
        task = asyncio.create_task(FileWriter().write(BY_NAME[name], result, "1", options))
        while not children():
            await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert not children()

    asyncio.run(cancel())


def test_a_process_that_fails_is_told_with_its_last_words(result: Shape, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LARGE", 1)
    unknown = replace(BY_NAME["glb"], name="nothing")
    with pytest.raises(RuntimeError, match="ValueError"):
        asyncio.run(FileWriter().write(unknown, result, "1"))


@pytest.mark.parametrize("end", ["os.kill(os.getpid(), 9)", "raise MemoryError"])
def test_a_process_without_memory_is_told_in_a_sentence(
    end: str, result: Shape, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The process takes this module for the one that writes files."""
    monkeypatch.setattr(module, "LARGE", 1)
    (tmp_path / "sitecustomize.py").write_text(
        f"import os, sys\ndef end(*_):\n    {end}\nimport formats.pipeline\nformats.pipeline.file_of = end\n"
    )
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}:{module._ROOT}")
    with pytest.raises(ShapeError, match="more memory than there is"):
        asyncio.run(FileWriter().write(BY_NAME["glb"], result, "1"))


def children() -> list[psutil.Process]:
    return [child for child in psutil.Process().children() if "formats" in child.cmdline()]


_QUICK_FORMATS = """
import sys
import numpy as np
from formats import FORMATS
from formats.pipeline import file_of
from models.shape import Shape, Voxels
voxel = Voxels(np.zeros((1, 3), np.int16), np.ones((1, 3), np.float32), 1 / 128)
for format_ in FORMATS:
    if format_.name in ("json", "npz", "ply", "vox"):
        file_of(format_, Shape(voxel, voxel, 0), "0")
print(sorted({"scipy", "skimage", "trimesh"} & set(sys.modules)))
"""


def test_the_first_answer_in_a_quick_format_waits_for_no_import_that_it_does_not_need() -> None:
    found = subprocess.run([sys.executable, "-c", _QUICK_FORMATS], cwd=ROOT, check=True, capture_output=True, text=True)
    assert found.stdout.strip() == "[]"
