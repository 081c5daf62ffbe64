"""The options of scripts/generate that start from a shape: a file to refine, or a file or a job's result to vary."""

from __future__ import annotations

import argparse
import base64
from pathlib import Path
from typing import Any, get_args

from api.given_shape import FileKind

KINDS = get_args(FileKind)
GENERATE, REFINE, VARIATIONS = "/generate", "/refine", "/variations"


def add_options(parser: argparse.ArgumentParser) -> None:
    """Adds the options to those of the command."""
    start = parser.add_argument_group("where it starts")
    which = start.add_mutually_exclusive_group()
    which.add_argument(
        "--refine", type=Path, metavar="FILE", help=f"make the fine shape of a coarse one or a mesh: {', '.join(KINDS)}"
    )
    which.add_argument(
        "--vary",
        metavar="FILE",
        help="make a shape that resembles that in a file, or of the job with this id",
    )
    start.add_argument(
        "--strength", type=float, metavar="S", help="with --vary: how much changes, above 0 to 1 (default: 0.5)"
    )
    start.add_argument(
        "--box",
        type=float,
        nargs=6,
        metavar=("X0", "Y0", "Z0", "X1", "Y1", "Z1"),
        help="with --vary: low and high corner, within -0.5 and 0.5, of all that may change",
    )


def start_of(parser: argparse.ArgumentParser, given: argparse.Namespace) -> tuple[str, dict[str, Any]]:
    """The path of the service to ask, and the fields that say where the shape starts."""
    if given.vary is None and (given.strength is not None or given.box is not None):
        parser.error("--strength and --box are for --vary: add it, or leave them out")
    if given.vary is not None:
        is_file = Path(given.vary).suffix != "" or Path(given.vary).exists()
        source = {"shape": _read(parser, Path(given.vary))} if is_file else {"of": {"job": given.vary}}
        fields = {**source, "strength": given.strength}
        box = {} if given.box is None else {"box": [given.box[:3], given.box[3:]]}
        return VARIATIONS, {name: value for name, value in {**fields, **box}.items() if value is not None}
    if given.refine is None:
        return GENERATE, {}
    if given.no_fine:
        parser.error("--refine makes the fine shape: leave out --no-fine")
    return REFINE, {"shape": _read(parser, given.refine)}


def _read(parser: argparse.ArgumentParser, path: Path) -> dict[str, str]:
    kind = path.suffix.lower()[1:]
    if kind not in KINDS:
        parser.error(f"{path} ends in none of {', '.join(f'.{each}' for each in KINDS)}: export it as one")
    try:
        content = path.read_bytes()
    except OSError as error:
        parser.error(f"{path} cannot be read: {error.strerror}")
    return {"file": base64.b64encode(content).decode(), "format": kind}
