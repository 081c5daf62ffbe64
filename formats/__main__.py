"""The process behind `formats.writing`: a job on standard input becomes a file on standard output."""

from __future__ import annotations

import sys

from formats.parcel import Job, packed_file
from formats.pipeline import file_of
from formats.registry import FORMATS


def main() -> None:
    """Reads a job, writes its file."""
    job = Job.from_bytes(sys.stdin.buffer.read())
    (format_,) = (format_ for format_ in FORMATS if format_.name == job.format)
    sys.stdout.buffer.write(packed_file(file_of(format_, job.shape, job.version, job.options)))


if __name__ == "__main__":
    main()
