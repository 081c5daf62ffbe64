"""A shape that was made without a server, as a file."""

from __future__ import annotations

import os
from pathlib import Path

from formats.options import Options
from formats.pipeline import file_of
from formats.registry import FORMATS
from models.shape import Shape
from models.version import service_version


def save(shape: Shape, path: str | Path, options: Options | None = None) -> Path:
    """Writes a shape as the kind of file that the path's ending names; gives the path back.

    Each ending of `FORMATS` is one; where several formats share it, the first of them is meant, so ``.glb`` is a closed
    surface. JSON and NPZ hold both stages, the others the finest. The file appears complete or not at all.

    Args:
        shape: What is saved.
        path: Where; the ending chooses the format.
        options: What else is wanted, such as `Options(size=64)`.

    Raises:
        ValueError: the ending is none of these, the shape has no voxel, or the format does not take the options.
        OSError: the file cannot be written.
    """
    path = Path(path)
    by_suffix = {format_.suffix: format_ for format_ in reversed(FORMATS)}
    if path.suffix.lower() not in by_suffix:
        raise ValueError(f"{path.name} should end in one of {', '.join(sorted(by_suffix))}")
    if options is not None and options.levels > 1:
        raise ValueError("levels makes a ZIP, which no ending names: use formats.file_of")
    if not len(shape.finest):
        raise ValueError("the shape has no voxel: there is nothing to save")
    part = path.with_name(f".{path.name}.part")
    part.write_bytes(file_of(by_suffix[path.suffix.lower()], shape, service_version(), options).content)
    os.replace(part, path)
    return path
