"""docs/notebook.ipynb: run it, keep its output, and turn it into a page."""

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
"""tqdm asks for a package that draws moving bars; no cell shows one."""
STEPS = re.compile(r"^STEPS = \d+", re.MULTILINE)


class ThisPython(AsyncKernelManager):
    """Starts kernels with the Python that runs this; the kernel that the notebook names may be a different one."""

    @property
    def kernel_spec(self) -> KernelSpec:
        """This Python, with the warning about tqdm switched off."""
        warnings = [os.environ.get("PYTHONWARNINGS"), QUIET]
        return KernelSpec(
            argv=[sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"],
            env={"PYTHONWARNINGS": ",".join(filter(None, warnings))},
        )


def run(folder: Path, path: Path = NOTEBOOK, steps: int | None = None) -> NotebookNode:
    """Runs the notebook in a kernel of its own.

    Args:
        folder: Folder for the files that the notebook writes.
        path: The notebook.
        steps: Number of denoising steps; None keeps the number in the notebook.

    Returns:
        The notebook with its outputs.

    Raises:
        CellExecutionError: A cell failed (nbclient's error).
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
    """Runs the notebook in a temporary folder, and writes the outputs into the notebook."""
    with tempfile.TemporaryDirectory() as folder:
        notebook = run(Path(folder), path)
    path.write_text(nbformat.writes(without_traces(notebook)) + "\n", encoding="utf-8")


def without_traces(notebook: NotebookNode) -> NotebookNode:
    """The notebook without the name and version of the kernel, which differ from machine to machine."""
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
