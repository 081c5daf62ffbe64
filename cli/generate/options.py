"""The options of scripts/generate, and the names of its files."""

from __future__ import annotations

import argparse
import os
import re
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn, get_args

import formats
from api.environment import variable
from api.schemas import MAX_STEPS, SchedulerName
from cli.connection import address, seconds
from cli.generate.shapes import GENERATE, add_options, start_of
from formats import FORMATS, Format
from formats.options import RULES
from models.presets import PRESETS

BY_NAME = {format_.name: format_ for format_ in FORMATS}
# Of formats with the same ending the first one is meant: .glb is the surface.
BY_SUFFIX: dict[str, Format] = {}
for _format in FORMATS:
    BY_SUFFIX.setdefault(_format.suffix, _format)

_METAVARS = {
    "size": "N", "thickness": "N", "levels": "N", "faces": "N", "length_mm": "MM", "mirror": "AXIS", "up": "AXIS",
    "fill": "HOW", "origin": "WHERE", "palette": "COLOURS", "clean": "BOOL",
}  # fmt: skip

_EXAMPLES = f"""\
examples:
  scripts/generate "a tall chair"
  scripts/generate "a tall chair" -o chair.glb
  scripts/generate "a tall chair" -o chair.ply --preview
  scripts/generate "a tall chair" --format stl --n 4 --preview chairs.png
  scripts/generate "a tall chair" -o chair.glb --preset draft
  scripts/generate "a stone house" -o house.vox --size 64 --fill solid
  scripts/generate "a tall chair" -o fine.glb --refine coarse.vox
  scripts/generate "a tall chair" -o other.glb --vary chair.ply --strength 0.6 --box -0.5 0 -0.5 0.5 0.5 0.5

formats:
{os.linesep.join(f"  {format_.name:<11} {format_.suffix:<10}  {format_.description}" for format_ in FORMATS)}

A service has to be running: start scripts/serve. If it needs a key, set the environment variable XCUBE_API_KEY.
"""


@dataclass(frozen=True)
class Options:
    """What the user asked for.

    Attributes:
        prompt: What to make.
        output: File name that the user gave; None names the file after prompt and seed.
        format: Format of the file; None writes no file.
        count: Number of requests, one after the other.
        variants: Number of shapes of each request.
        drawn: Whether to draw the shapes in the terminal.
        picture: PNG to write; None writes none.
        steps: Denoising steps in each stage; None takes the service's default, also for the scale and the seed.
        guidance_scale: Scale s in pred + s * (pred - null).
        scheduler: How the steps go; None takes the service's default, also for the next two.
        fine_steps: Denoising steps of the fine stage alone.
        guidance_interval: The part of the coarse run in which guidance is applied.
        preset: Controls by name; None takes none.
        seed: Seed of the first shape; each further shape takes the next one.
        fine: Whether to run the fine stage.
        wanted: What else the file is asked for.
        url: Address of the service, without a slash at the end.
        timeout: Longest time for a shape, in seconds.
        endpoint: Path of the service that makes the shapes.
        start: Fields of the request that say what it starts from, if not from noise.
    """

    prompt: str
    output: Path | None
    format: Format | None
    count: int
    variants: int
    drawn: bool
    picture: Path | None
    steps: int | None
    guidance_scale: float | None
    scheduler: str | None
    fine_steps: int | None
    guidance_interval: list[float] | None
    preset: str | None
    seed: int | None
    fine: bool
    wanted: formats.Options
    url: str
    timeout: float
    endpoint: str = GENERATE
    start: dict[str, Any] = field(default_factory=dict)

    @property
    def shapes(self) -> int:
        """Number of shapes in all."""
        return self.count * self.variants

    def request(self, index: int) -> dict[str, Any]:
        """The fields of a request; fields that the user left out get the service's defaults."""
        seed = None if self.seed is None else self.seed + index
        given = {
            "ddim_steps": self.steps, "guidance_scale": self.guidance_scale, "seed": seed,
            "scheduler": self.scheduler, "fine_steps": self.fine_steps, "guidance_interval": self.guidance_interval,
            "preset": self.preset,
        }  # fmt: skip
        return {
            "prompt": self.prompt,
            **{name: value for name, value in given.items() if value is not None},
            **({} if self.fine else {"use_fine": False}),
            **({} if self.variants == 1 else {"n": self.variants}),
            **self.start,
        }

    def path(self, index: int, seed: int) -> Path | None:
        """The file of a shape: numbered if there are several, named after prompt and seed if the user gave no name."""
        if self.format is None:
            return None
        if self.output is None:
            words = re.sub(r"[\W_]+", "-", self.prompt.lower()).strip("-")[:40] or "shape"
            name = self.format.name
            kind = name.partition("-")[2] if name.startswith(self.format.suffix[1:]) else name
            suffix = ".zip" if self.wanted.levels > 1 else self.format.suffix
            return Path(f"{words}-{seed}{'-' + kind if kind else ''}{suffix}")
        if self.shapes == 1:
            return self.output
        number = str(index + 1).zfill(len(str(self.shapes)))
        return self.output.with_name(f"{self.output.stem}-{number}{self.output.suffix}")


def parse(arguments: list[str] | None = None) -> Options:
    """The options on the command line; exits with one sentence if they make no sense."""
    parser = _parser()
    given = parser.parse_args(arguments)
    format_ = BY_NAME.get(given.format)
    if given.output is not None and format_ is None:
        format_ = BY_SUFFIX.get(given.output.suffix.lower())
        if format_ is None:
            parser.error(f"{given.output} ends in none of {', '.join(BY_SUFFIX)}: change it or add --format")
    alone = format_ is None and given.preview is None
    if alone:
        format_ = BY_NAME["glb"]
    picture = given.preview or None
    wanted = _wanted(parser, given, format_)
    for path in filter(None, (given.output, picture)):
        if not path.parent.is_dir():
            parser.error(f"there is no folder {path.parent} to write {path.name} into")
    endpoint, start = start_of(parser, given)
    return Options(
        prompt=given.prompt,
        output=given.output,
        format=format_,
        count=given.count,
        variants=given.n,
        drawn=given.preview is not None or (alone and sys.stderr.isatty()),
        picture=picture,
        steps=given.steps,
        guidance_scale=given.guidance_scale,
        scheduler=given.scheduler,
        fine_steps=given.fine_steps,
        guidance_interval=given.guidance_interval,
        preset=given.preset,
        seed=given.seed,
        fine=not given.no_fine,
        wanted=wanted,
        url=given.url,
        timeout=given.timeout,
        endpoint=endpoint,
        start=start,
    )


def _wanted(parser: argparse.ArgumentParser, given: argparse.Namespace, format_: Format | None) -> formats.Options:
    said = {name: text for name in RULES if (text := getattr(given, name)) is not None}
    try:
        wanted = formats.Options.of(said)
        if format_ is not None:
            format_.check(wanted)
    except formats.OptionError as error:
        parser.error(str(error))
    if said and format_ is None:
        parser.error(f"{', '.join(said)} is of a file: add -o FILE or --format")
    if wanted.levels > 1 and given.output is not None and given.output.suffix.lower() != ".zip":
        parser.error(f"--levels writes a ZIP: name it {given.output.stem}.zip and say --format")
    return wanted


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """Exits with one sentence, without printing the usage first."""
        self.exit(2, f"{self.prog}: {message} (see --help).\n")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="scripts/generate",
        description="Turns a prompt into shapes: files in any format of the service, or pictures.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("prompt", help='what to make, such as "a tall chair"')
    files = parser.add_argument_group("the files")
    files.add_argument(
        "-o", "--output", type=Path, metavar="FILE", help="file to write; its extension chooses the format"
    )
    files.add_argument(
        "--format",
        choices=BY_NAME,
        metavar="NAME",
        help=f"{', '.join(BY_NAME)}; without -o the file is named after prompt and seed, such as a-tall-chair-7.glb; "
        "without -o, --format and --preview it is glb, and drawn in a terminal too",
    )
    several = files.add_mutually_exclusive_group()
    several.add_argument(
        "--n",
        type=_count,
        default=1,
        metavar="N",
        help="make N shapes in one request, as many as the service takes; -o chair.glb becomes chair-1.glb and so on",
    )
    several.add_argument(
        "--count", type=_count, default=1, metavar="N", help="make N shapes, each in a request of its own"
    )
    files.add_argument(
        "--preview",
        type=_picture,
        nargs="?",
        const="",
        metavar="PNG",
        help="draw the shapes in the terminal; with a file name, also save them as one picture",
    )
    wanted = parser.add_argument_group("what the files are asked for")
    for name, rule in RULES.items():
        switch: dict[str, Any] = {"nargs": "?", "const": "true"} if name == "clean" else {}
        wanted.add_argument(
            f"--{name.replace('_', '-')}", metavar=_METAVARS.get(name, name.upper()), help=rule.meaning, **switch
        )
    add_options(parser)
    shape = parser.add_argument_group("the shape")
    shape.add_argument(
        "--preset",
        choices=PRESETS,
        help="controls by name: draft to look at soon, best for quality, turbo where the models have a turbo pair; "
        "what is given wins, but for turbo, which takes its own steps",
    )
    shape.add_argument(
        "--steps", type=_steps, metavar="N", help="denoising steps, 1 to 1000 (the service's default: 100)"
    )
    shape.add_argument(
        "--guidance-scale",
        type=float,
        metavar="S",
        help="how closely to follow the prompt, a factor from 1.0 to 20.0 (the service's default: 7.5)",
    )
    shape.add_argument(
        "--scheduler",
        choices=get_args(SchedulerName),
        help="how the steps go: dpm++ needs fewer of them (the service's default: ddim)",
    )
    shape.add_argument(
        "--fine-steps", type=_steps, metavar="N", help="denoising steps of the fine stage (default: as many as --steps)"
    )
    shape.add_argument(
        "--guidance-interval",
        type=float,
        nargs=2,
        metavar=("LOW", "HIGH"),
        help="apply guidance in this part of the coarse run only, from 0 at pure noise to 1 (default: 0 1)",
    )
    shape.add_argument(
        "--seed",
        type=int,
        help="the same seed gives the same shape (default: a random one); with --n or --count each takes the next seed",
    )
    shape.add_argument("--no-fine", action="store_true", help="make only the coarse shape")
    service = parser.add_argument_group("the service")
    service.add_argument(
        "--url",
        type=address,
        default=variable(os.environ, "XCUBE_URL") or "http://127.0.0.1:8000",
        help="address of the service (default: XCUBE_URL, or else http://127.0.0.1:8000); for one on this machine no "
        "proxy is used",
    )
    service.add_argument(
        "--timeout",
        type=seconds,
        default=300.0,
        metavar="SECONDS",
        help="longest time for the start of the service, and for a shape (default: 300)",
    )
    return parser


def _steps(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 9 and 0 < int(text) <= MAX_STEPS):
        raise argparse.ArgumentTypeError(f"{text!r} is no number of denoising steps: give 1 to {MAX_STEPS}")
    return int(text)


def _count(text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text) == 0:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of shapes, 1 or more")
    return int(text)


def _picture(text: str) -> Path | str:
    """The name of a PNG, or the empty text, which means the terminal only."""
    if text and Path(text).suffix.lower() != ".png":
        raise argparse.ArgumentTypeError(f"{text!r} has to end in .png; if it is the prompt, put the prompt first")
    return text and Path(text)
