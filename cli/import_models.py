"""scripts/import: puts every model in a checkpoint folder, and a text tower, into the BentoML model store."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from api.environment import variable
from models.checkpoint.clip import OFFICIAL_NAME
from models.importer import Candidate, Imported, import_clip, import_models

ROOT = Path(__file__).parents[1]
DONE, FAILED, NOTHING_FOUND = 0, 1, 2


def main(arguments: list[str] | None = None, program: str = "scripts/import") -> int:
    """Runs the command; returns 0 if all models are in the store, 1 if an import failed, 2 if there was no model."""
    options = _arguments(arguments, program)
    console = Console(stderr=True, highlight=False)
    results = []
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f}%"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True, disable=not sys.stderr.isatty()) as bars:

        def progress(candidate: Candidate) -> _Bar:
            return _Bar(bars, candidate.folder.name)

        if options.clip:
            results.append(import_clip(options.clip, _Bar(bars, options.clip), force=options.force))
            _report(results[-1], console)
        for result in import_models(options.checkpoint_dir, progress, force=options.force):
            results.append(result)
            _report(result, console)
    if not results:
        console.print(
            f"{options.checkpoint_dir}: no model found; put objaverse_coarse/config.yaml and "
            "objaverse_coarse/last.ckpt there, or a folder with config.yaml and model.safetensors",
            markup=False,
            soft_wrap=True,
        )
        return NOTHING_FOUND
    return FAILED if any(result.error for result in results) else DONE


class _Bar:
    """One model's progress bar."""

    def __init__(self, bars: Progress, name: str) -> None:
        self._bars, self._task = bars, bars.add_task(name, total=None)

    def __call__(self, done: int, total: int) -> None:
        self._bars.update(self._task, completed=done, total=total)


def _report(result: Imported, console: Console) -> None:
    for warning in result.warnings:
        console.print(f"warning: {warning}", markup=False, soft_wrap=True)
    if result.stored is None:
        console.print(f"failed: {result.error}", markup=False, soft_wrap=True)
    else:
        became = "imported as" if result.stored.added else "already in the store as"
        print(f"{result.folder.name}: {became} {result.stored.tag}")


def _arguments(arguments: list[str] | None, program: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog=program, description="Put models into the BentoML model store.")
    default = Path(variable(os.environ, "XCUBE_CHECKPOINT_DIR") or ROOT / "checkpoints").expanduser()
    parser.add_argument(
        "--checkpoint-dir", type=Path, default=default, metavar="DIR",
        help="folder with objaverse_coarse/, objaverse_fine/ or models in this project's format (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--clip", metavar="PLACE",
        help="also import the official models' text tower, from a file or folder with the weights of open_clip's "
        f"ViT-H-14, or from the Hugging Face hub by name ({OFFICIAL_NAME})",
    )  # fmt: skip
    parser.add_argument(
        "--force", action="store_true", help="import models again that are in the store, in case those are damaged"
    )
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
