"""docs/notebook.ipynb: run it, keep what it shows, and turn it into a page."""

from __future__ import annotations

import base64
import os
import re
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import nbformat
from jupyter_client.kernelspec import KernelSpec
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient
from nbformat import NotebookNode

NOTEBOOK = Path(__file__).parents[2] / "docs" / "notebook.ipynb"
CELL_SECONDS = 300
QUIET = "ignore:IProgress not found"
"""tqdm would like a package for moving bars; nothing here shows one."""
STEPS = re.compile(r"^STEPS = \d+", re.MULTILINE)


class ThisPython(AsyncKernelManager):
    """Kernels of the Python that runs this. The one that the notebook names is another on many machines."""

    @property
    def kernel_spec(self) -> KernelSpec:
        warnings = [os.environ.get("PYTHONWARNINGS"), QUIET]
        return KernelSpec(
            argv=[sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"],
            env={"PYTHONWARNINGS": ",".join(filter(None, warnings))},
        )


def run(folder: Path, path: Path = NOTEBOOK, steps: int | None = None) -> NotebookNode:
    """The notebook with the outputs of a run by this Python, in a kernel of its own.

    folder: where the files go that it writes. steps: in place of the number that it sets itself. Raises nbclient's
    CellExecutionError if a cell fails.
    """
    notebook: NotebookNode = nbformat.read(path, as_version=4)
    for cell in notebook.cells:
        if steps is not None and cell.cell_type == "code":
            cell.source = STEPS.sub(f"STEPS = {steps}", cell.source)
    place = {"metadata": {"path": str(folder)}}
    client = NotebookClient(
        notebook,
        km=ThisPython(),
        timeout=CELL_SECONDS,
        record_timing=False,
        coalesce_streams=True,  # a kernel sends what is printed in as many pieces as its clock makes of it
        resources=place,
    )
    client.execute()
    return notebook


def run_and_keep(path: Path = NOTEBOOK) -> None:
    """Runs the notebook in a folder that is thrown away, and writes what it shows into it."""
    with tempfile.TemporaryDirectory() as folder:
        notebook = run(Path(folder), path)
    path.write_text(nbformat.writes(without_traces(notebook)) + "\n", encoding="utf-8")


def without_traces(notebook: NotebookNode) -> NotebookNode:
    """The notebook without what differs from machine to machine: the kernel's name and version."""
    notebook.metadata = NotebookNode(
        kernelspec={"name": "python3", "display_name": "Python 3", "language": "python"},
        language_info={"name": "python"},
    )
    return notebook


def as_markdown(path: Path) -> tuple[str, dict[str, bytes]]:
    """The notebook as a page, and its pictures by file name."""
    pictures: dict[str, bytes] = {}
    parts = [part for cell in nbformat.read(path, as_version=4).cells for part in _cell(cell, pictures)]
    return "\n\n".join(parts) + "\n", pictures


def _cell(cell: NotebookNode, pictures: dict[str, bytes]) -> Iterator[str]:
    if cell.cell_type == "markdown":
        yield cell.source
        return
    yield f"```python\n{cell.source}\n```"
    for output in cell.outputs:
        data = output.get("data", {})
        if "image/png" in data:
            name = f"images/notebook-{len(pictures) + 1}.png"
            pictures[name] = base64.b64decode(data["image/png"])
            yield f"![What the cell above shows]({name})"
        elif text := output.get("text") or data.get("text/plain"):
            yield f"```text\n{text.rstrip()}\n```"
