"""A run of scripts/bench as a JSON file: what was measured, on what, and the rows of its table."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import PositiveInt, TypeAdapter, ValidationError

Measured = Literal["steps", "answers", "generation", "memory", "service"]


class BenchError(Exception):
    """Something that cannot be measured or compared, in one sentence."""


@dataclass(frozen=True)
class Record:
    """One run.

    Attributes:
        measured: What the rows are about.
        size: Of the models; for a service, the set of models that it served.
        dtype: Number format of the denoisers where a row says nothing else.
        machine: Hardware, threads and versions.
        steps: Steps of each repetition.
        repetitions: How often each thing was measured.
        batches: Samples of each batch.
        rows: Of the table, by the names of their columns.
    """

    measured: Measured
    size: str
    dtype: str
    machine: dict[str, str]
    steps: PositiveInt
    repetitions: PositiveInt
    batches: list[PositiveInt]
    rows: list[dict[str, Any]]

    def write(self, path: Path) -> None:
        """Writes the file."""
        path.write_text(json.dumps(asdict(self), indent=1))

    @classmethod
    def read(cls, path: Path) -> Self:
        """What an earlier run wrote.

        Raises:
            BenchError: There is no such file, or it is no such record.
        """
        try:
            return TypeAdapter(cls).validate_json(path.read_bytes())
        except OSError as error:
            raise BenchError(f"{path} cannot be read: {error.strerror}.") from None
        except ValidationError as error:
            first = error.errors()[0]
            place = ".".join(map(str, first["loc"])) or "the file"
            raise BenchError(
                f"{path} is no record of this version of scripts/bench ({place}: {first['msg']}): write it with --json."
            ) from None
