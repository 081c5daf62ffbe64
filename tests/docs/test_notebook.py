"""docs/notebook.ipynb runs from its first cell to its last, and what it is committed with came from such a run."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import nbformat
import numpy as np
import pytest
import trimesh
from nbformat import NotebookNode

from cli.docs.notebook import NOTEBOOK, as_markdown, run

STEPS = 2


def text_of(output: NotebookNode) -> str:
    return str(output.get("text") or output.get("data", {}).get("text/plain", ""))


def forms(notebook: NotebookNode) -> list[list[tuple[str, str]]]:
    """What each cell shows, with every number taken for the same."""
    return [
        [
            (output.get("name", output.output_type), re.sub(r"-?\d[\d,.]*(e-?\d+)?", "N", text_of(output)))
            for output in cell.outputs
        ]
        for cell in notebook.cells
        if cell.cell_type == "code"
    ]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("notebook")


@pytest.fixture(scope="module")
def executed(folder: Path, model_store: Path) -> Iterator[NotebookNode]:
    """The notebook after a run with few steps, one thread, a model store of the tests, and warnings as errors."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BENTOML_HOME", str(model_store))
        patch.setenv("OMP_NUM_THREADS", "1")
        patch.setenv("PYTHONWARNINGS", "error::UserWarning,error::RuntimeWarning,error::FutureWarning")
        yield run(folder, steps=STEPS)


@pytest.mark.timeout(300)
def test_every_cell_shows_what_the_committed_notebook_shows(executed: NotebookNode) -> None:
    committed = nbformat.read(NOTEBOOK, as_version=4)
    assert forms(executed) == forms(committed)
    assert "the same again: True" in json.dumps(executed.cells)
    assert not [output for cell in committed.cells for output in cell.get("outputs", []) if "stderr" in output.values()]


def test_the_files_that_it_saves_open_elsewhere(executed: NotebookNode, folder: Path) -> None:
    assert trimesh.load_mesh(folder / "mug.glb").is_watertight
    with np.load(folder / "mug.npz") as arrays:
        assert arrays["seed"] == 1
        points = trimesh.load(folder / "mug.ply")
        assert len(points.vertices) == len(arrays["fine_ijk"])


def test_it_is_committed_without_traces_of_a_machine() -> None:
    text = NOTEBOOK.read_text(encoding="utf-8")
    assert "Pipeline.from_store()" in text
    assert 'generate(\\"a mug\\", seed=1' in text
    assert not re.search(r"0x[0-9a-f]{6}|object at", text)
    assert set(json.loads(text)["metadata"]) == {"kernelspec", "language_info"}
    assert len(text) < 600_000


def test_its_page_has_its_code_its_texts_and_its_pictures() -> None:
    page, pictures = as_markdown(NOTEBOOK)
    assert page.startswith("# Shapes in a notebook\n")
    assert "```python\nmug = pipeline.generate" in page
    assert len(pictures) >= 7
    for name, content in pictures.items():
        assert f"]({name})" in page
        assert content.startswith(b"\x89PNG")
