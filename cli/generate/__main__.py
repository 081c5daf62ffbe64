"""The run: makes shapes, and writes and shows each as soon as it is made."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NoReturn

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from rich.console import Console

import formats
from api.environment import variable
from cli.connection import ServiceError
from cli.generate.drawing import drawing
from cli.generate.options import Options, parse
from cli.generate.progress import Bar
from cli.generate.service import OF_THE_SEED, GenerateError, Service, Shape
from formats import preview

PICTURE_SIDE = 512
SHEET_SIDE = 320


def run(options: Options, console: Console) -> None:
    """Makes the shapes, prints a line for each, and shows progress, notes and drawings on `console`.

    Raises:
        ServiceError: A shape could not be made. If only its seed was to blame, the other shapes are made first.
        OSError: A file could not be written.
    """
    pictures: dict[int, NDArray[np.uint8]] = {}
    failed: list[GenerateError] = []
    key = variable(os.environ, "XCUBE_API_KEY")
    with Service(options.url, options.timeout, key) as service, Bar(console, options.prompt, options.shapes) as bar:
        service.wait_until_ready()
        told = service.notes(options.prompt)
        note(told, console)
        for index, shape, seconds in made(options, service, bar):
            if isinstance(shape, GenerateError):
                failed.append(shape)
                continue
            bar.writing()
            path = write(options, index, shape, service)
            note([warning for warning in shape.warnings if warning not in told], console)
            picture = show(options, shape, path, seconds, console)
            if picture is not None:
                pictures[shape.seed] = picture
    if options.picture is not None and pictures:
        preview.save_png(sheet(pictures), options.picture)
    if failed:
        raise GenerateError(f"{len(failed)} of {options.shapes} shapes were not made: {failed[0]}")


def made(options: Options, service: Service, bar: Bar) -> Iterator[tuple[int, Shape | GenerateError, float]]:
    """Number, shape or error, and seconds since its request, of each shape.

    Raises:
        ServiceError: A shape could not be made, and it is the only one, or others could be made neither.
    """
    for request in range(options.count):
        bar.begin(request)
        start = time.monotonic()
        try:
            compact = not as_it_comes(options)
            asked = options.request(request)
            for index, shape in service.generate(asked, bar.event, compact=compact, path=options.endpoint):
                yield request + index, shape, time.monotonic() - start
        except GenerateError as error:
            if options.count == 1 or error.code not in OF_THE_SEED:
                raise
            yield request, error, time.monotonic() - start


def as_it_comes(options: Options) -> bool:
    """Whether the file that is wanted is the answer of POST /generate itself."""
    return options.format is formats.FORMATS[0] and not options.wanted.given()


def write(options: Options, index: int, shape: Shape, service: Service) -> Path | None:
    """Writes the file of a shape, if one is wanted; returns its path."""
    path = options.path(index, shape.seed)
    if path is None or options.format is None:
        return None
    if shape.body is not None and as_it_comes(options):
        content = shape.body
    else:
        request = {**options.request(index), "seed": shape.seed}
        request.pop("n", None)
        content = service.file(request, options.format.name, options.wanted.given(), options.endpoint)
    # All or nothing: an interrupted write leaves no half file under the name.
    part = path.with_name(f".{path.name}.part")
    part.write_bytes(content)
    os.replace(part, path)
    return path


def note(warnings: Iterable[str], console: Console) -> None:
    """Prints notes on a prompt or a shape."""
    for warning in warnings:
        console.print(f"Note: {warning}", highlight=False, markup=False)


def show(
    options: Options, shape: Shape, path: Path | None, seconds: float, console: Console
) -> NDArray[np.uint8] | None:
    """Prints a line about a shape and draws it if asked to; returns its picture if one is to be saved."""
    xyz, normal = next(iter(shape.stages.values()))
    # Who asked for a picture alone, and looks at no terminal, needs no drawing.
    if options.drawn and (console.is_terminal or options.picture is None):
        console.print(drawing(formats.voxel_indices(xyz), normal, console), highlight=False)
    counts = ", ".join(f"{len(positions):,} {stage} points" for stage, (positions, _) in shape.stages.items())
    print(f"{path or options.prompt}: {counts}, seed {shape.seed}, {seconds:.1f} s", flush=True)
    if options.picture is None:
        return None
    size = PICTURE_SIDE if options.shapes == 1 else SHEET_SIDE
    return preview.render(formats.voxel_indices(xyz), normal, size=size)


def sheet(pictures: dict[int, NDArray[np.uint8]]) -> Image.Image | NDArray[np.uint8]:
    """One picture of all shapes, from a picture for each seed: the only one, or a sheet with the seeds."""
    if len(pictures) == 1:
        return next(iter(pictures.values()))
    columns = int(np.ceil(np.sqrt(len(pictures))))
    return preview.contact_sheet(list(pictures.values()), [f"seed {seed}" for seed in pictures], columns)


def main(arguments: list[str] | None = None) -> NoReturn:
    """Runs the command.

    Raises:
        SystemExit: Always, with the exit status, or with one sentence if something went wrong.
    """
    options = parse(arguments)
    try:
        run(options, Console(stderr=True))
    except ServiceError as failure:
        sys.exit(str(failure))
    except OSError as error:
        sys.exit(f"The file could not be written: {error}.")
    except KeyboardInterrupt:
        sys.exit(130)
    sys.exit(0)


if __name__ == "__main__":
    main()
