"""What a user may ask of scripts/generate, and how the files are called."""

from __future__ import annotations

import argparse
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from formats import FORMATS, Format

BY_NAME = {format_.name: format_ for format_ in FORMATS}
# Of formats with the same ending the first one is meant: .glb is the surface.
BY_SUFFIX: dict[str, Format] = {}
for _format in FORMATS:
    BY_SUFFIX.setdefault(_format.suffix, _format)

_EXAMPLES = f"""\
examples:
  scripts/generate "a tall chair" -o chair.glb
  scripts/generate "a tall chair" -o chair.ply --preview
  scripts/generate "a tall chair" --format stl --count 4 --preview chairs.png

formats:
{os.linesep.join(f"  {format_.name:<11} {format_.suffix:<5}  {format_.description}" for format_ in FORMATS)}

A service must run: scripts/serve. If it asks for a key, put the key into the environment as XCUBE_API_KEY.
"""


@dataclass(frozen=True)
class Options:
    """format: None where no file is wanted. output: the name that was given, None where the shape gives it.
    picture: the PNG to write. drawn: whether a drawing in the terminal was asked for."""

    prompt: str
    output: Path | None
    format: Format | None
    count: int
    drawn: bool
    picture: Path | None
    steps: int | None
    guidance_scale: float | None
    seed: int | None
    fine: bool
    url: str
    timeout: float

    def request(self, index: int) -> dict[str, Any]:
        """The fields of POST /generate for a shape; what the user left out is left to the service's defaults."""
        seed = None if self.seed is None else self.seed + index
        given = {"ddim_steps": self.steps, "guidance_scale": self.guidance_scale, "seed": seed}
        return {
            "prompt": self.prompt,
            **{name: value for name, value in given.items() if value is not None},
            **({} if self.fine else {"use_fine": False}),
        }

    def path(self, index: int, seed: int) -> Path | None:
        """The file of a shape: numbered if there are several, named after prompt and seed if it has no name."""
        if self.format is None:
            return None
        if self.output is None:
            words = re.sub(r"[\W_]+", "-", self.prompt.lower()).strip("-")[:40] or "shape"
            kind = self.format.name.partition("-")[2]
            return Path(f"{words}-{seed}{'-' + kind if kind else ''}{self.format.suffix}")
        if self.count == 1:
            return self.output
        number = str(index + 1).zfill(len(str(self.count)))
        return self.output.with_name(f"{self.output.stem}-{number}{self.output.suffix}")


def parse(arguments: list[str] | None = None) -> Options:
    """The options on the command line; exits with one sentence where they make no sense."""
    parser = _parser()
    given = parser.parse_args(arguments)
    format_ = BY_NAME.get(given.format)
    if given.output is not None and format_ is None:
        format_ = BY_SUFFIX.get(given.output.suffix.lower())
        if format_ is None:
            parser.error(f"{given.output} ends in none of {', '.join(BY_SUFFIX)}: change it or add --format")
    if format_ is None and given.preview is None:
        parser.error("there is nothing to make: add -o FILE, --format or --preview")
    picture = given.preview or None
    for path in filter(None, (given.output, picture)):
        if not path.parent.is_dir():
            parser.error(f"there is no folder {path.parent} to write {path.name} into")
    return Options(
        prompt=given.prompt,
        output=given.output,
        format=format_,
        count=given.count,
        drawn=given.preview is not None,
        picture=picture,
        steps=given.steps,
        guidance_scale=given.guidance_scale,
        seed=given.seed,
        fine=not given.no_fine,
        url=given.url.rstrip("/"),
        timeout=given.timeout,
    )


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """One sentence, without the usage in front of it."""
        self.exit(2, f"{self.prog}: {message} (see --help).\n")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="scripts/generate",
        description="Turns a prompt into shapes: files in any format of the service, or pictures.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("prompt", help='what to make, such as "a tall chair"')
    files = parser.add_argument_group("what to write")
    files.add_argument("-o", "--output", type=Path, metavar="FILE", help="file to write; its ending chooses the format")
    files.add_argument(
        "--format",
        choices=BY_NAME,
        metavar="NAME",
        help=f"{', '.join(BY_NAME)}; without -o the file is called like a-tall-chair-7.glb, after prompt and seed",
    )
    files.add_argument(
        "--count", type=_count, default=1, metavar="N", help="make N shapes; -o chair.glb becomes chair-1.glb and so on"
    )
    files.add_argument(
        "--preview",
        type=_picture,
        nargs="?",
        const="",
        metavar="PNG",
        help="draw the shapes in the terminal and, with a name, into one picture",
    )
    shape = parser.add_argument_group("what to make")
    shape.add_argument("--steps", type=int, metavar="N", help="denoising steps, 1 to 1000 (the service's default: 100)")
    shape.add_argument("--guidance-scale", type=float, metavar="S", help="1.0 to 20.0 (the service's default: 7.5)")
    shape.add_argument(
        "--seed", type=int, help="the same seed gives the same shape (default: a random one); --count counts up from it"
    )
    shape.add_argument("--no-fine", action="store_true", help="coarse shape only")
    service = parser.add_argument_group("whom to ask")
    service.add_argument("--url", default="http://127.0.0.1:8000", help="where the service is (default: %(default)s)")
    service.add_argument(
        "--timeout", type=float, default=300.0, metavar="SECONDS", help="longest time for a shape (default: 300)"
    )
    return parser


def _count(text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text) == 0:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of shapes, 1 or more")
    return int(text)


def _picture(text: str) -> Path | str:
    """The name of a PNG; an empty text, which stands for the terminal alone, stays one."""
    if text and Path(text).suffix.lower() != ".png":
        raise argparse.ArgumentTypeError(f"{text!r} has to end in .png; if it is the prompt, put the prompt first")
    return text and Path(text)
