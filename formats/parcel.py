"""What goes to the process that writes a file, and what comes back: a line of JSON, and bytes as they are."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Self

import orjson

from formats.options import Options
from formats.pipeline import File
from models.shape import Shape, Voxels

UNFIT = 3
"""Exit status of a process whose last words are the sentence of a `ShapeError`."""
NO_MEMORY = "Writing this file takes more memory than there is: ask for a smaller size."


@dataclass(frozen=True)
class Job:
    """A file to be written."""

    format: str
    shape: Shape
    version: str
    options: Options

    def to_bytes(self) -> bytes:
        """The job as bytes, the shape without its warnings."""
        coarse = self.shape.coarse.to_bytes()
        fine = b"" if self.shape.fine is None else self.shape.fine.to_bytes()
        head = {
            "format": self.format, "version": self.version, "seed": str(self.shape.seed),
            "prompt": self.shape.prompt, "models": self.shape.models, 
            "options": asdict(self.options), "coarse": len(coarse),
        }  # fmt: skip
        return b"".join([orjson.dumps(head), b"\n", coarse, fine])

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """The inverse of `to_bytes`."""
        line, _, rest = data.partition(b"\n")
        head = orjson.loads(line)
        coarse, fine = rest[: head["coarse"]], rest[head["coarse"] :]
        stages = Voxels.from_bytes(coarse), Voxels.from_bytes(fine) if fine else None
        shape = Shape(*stages, int(head["seed"]), prompt=head["prompt"], models=head["models"])
        return cls(head["format"], shape, head["version"], Options(**head["options"]))


def packed_file(file: File) -> bytes:
    """A file with its facts as bytes."""
    return b"".join([orjson.dumps(file.facts), b"\n", file.content])


def unpacked_file(data: bytes) -> File:
    """The inverse of `packed_file`."""
    line, _, content = data.partition(b"\n")
    return File(content, orjson.loads(line))
