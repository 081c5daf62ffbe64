"""The process behind `formats.writing`: packed voxels on standard input become a file on standard output."""

from __future__ import annotations

import sys

from formats.registry import FORMATS
from models.shape import Shape, Voxels


def main() -> None:
    """Arguments: the format's name, the seed, the service's version."""
    name, seed, version = sys.argv[1:]
    (format_,) = (format_ for format_ in FORMATS if format_.name == name)
    shape = Shape(Voxels.from_bytes(sys.stdin.buffer.read()), None, int(seed))
    sys.stdout.buffer.write(format_.encode(shape, version))


if __name__ == "__main__":
    main()
