"""The process behind `formats.writing`: a job on standard input becomes a file on standard output."""

from __future__ import annotations

import sys

from formats.parcel import NO_MEMORY, UNFIT, Job, packed_file
from formats.pipeline import file_of
from formats.registry import FORMATS
from models.errors import ShapeError


def main() -> None:
    """Reads a job, writes its file."""
    job = Job.from_bytes(sys.stdin.buffer.read())
    (format_,) = (format_ for format_ in FORMATS if format_.name == job.format)
    try:
        file = file_of(format_, job.shape, job.version, job.options)
    except (ShapeError, MemoryError) as error:
        sys.stderr.write(str(error) if isinstance(error, ShapeError) else NO_MEMORY)
        sys.exit(UNFIT)
    sys.stdout.buffer.write(packed_file(file))


if __name__ == "__main__":
    main()
