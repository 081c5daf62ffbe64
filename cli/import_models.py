"""scripts/import: puts models into the BentoML model store, and lists, removes and exports the sets there."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from api.environment import variable
from models.card import read_card
from models.checkpoint.clip import OFFICIAL_NAME
from models.config import TextConfig, load_config
from models.errors import XCubeError
from models.importer import Candidate, Imported, import_clip, import_models
from models.loading import CONFIG_FILE
from models.set_file import export_set, unpacked
from models.store import KINDS, remove, sets

ROOT = Path(__file__).parents[1]
DONE, FAILED, NOTHING_FOUND = 0, 1, 2


def main(arguments: list[str] | None = None, program: str = "scripts/import") -> int:
    """Runs the command; returns 0 if it is done, 1 if something failed, 2 if there was no model to import."""
    options = _arguments(arguments, program)
    console = Console(stderr=True, highlight=False)
    try:
        if options.list:
            return _list(console)
        if options.remove:
            return _remove(options.remove, console)
        if options.export:
            kinds = export_set(options.export[0], Path(options.export[1]))
            print(f"{options.export[0]}: {', '.join(kinds)} exported to {options.export[1]}")
            return DONE
        if options.file:
            with unpacked(options.file) as folder:
                options.checkpoint_dir = folder
                return _import(options, console)
    except (XCubeError, ValueError) as error:
        console.print(str(error), markup=False, soft_wrap=True)
        return FAILED
    return _import(options, console)


def _list(console: Console) -> int:
    """Prints every set in the store: which models it has, and what it knows."""
    found = sets()
    if not found:
        console.print("the model store holds no set; import one with scripts/import --checkpoint-dir FOLDER")
    for each in found:
        there = [kind for kind in KINDS if getattr(each, kind) is not None]
        print(f"{each.name}: {', '.join(there)}")
        card = next((card for kind in there if (card := read_card(getattr(each, kind))) is not None), None)
        config = load_config(each.text / CONFIG_FILE) if each.text is not None else None
        if card is not None:
            kinds = ", ".join(f"{kind} {count}" for kind, count in card.kinds.items())
            print(f"  trained on {card.shapes} shapes at {card.resolution}³: {kinds}")
        elif isinstance(config, TextConfig) and config.kinds:
            print(f"  knows {', '.join(config.kinds)}")
    return DONE


def _remove(name: str, console: Console) -> int:
    removed = remove(name)
    if not removed:
        console.print(f"{name}: no such set in the model store; scripts/import --list shows those there are")
        return FAILED
    print(f"{name}: removed {', '.join(removed)}")
    return DONE


def _import(options: argparse.Namespace, console: Console) -> int:
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
    parser = argparse.ArgumentParser(
        prog=program, description="Put models into the BentoML model store, and list, remove or export sets."
    )
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
    parser.add_argument("--file", type=Path, metavar="FILE", help="import the set in a file that --export has written")
    parser.add_argument("--list", action="store_true", help="list the sets in the store and what they know")
    parser.add_argument("--remove", metavar="NAME", help="remove a set from the store")
    parser.add_argument(
        "--export", nargs=2, metavar=("NAME", "FILE"), help="write a set into one file, to be imported elsewhere"
    )
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
