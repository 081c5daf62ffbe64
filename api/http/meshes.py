"""A mesh as clients of OpenAI's API see it: a job, and the kind of file that it was asked for."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from api.errors import InvalidRequest, NotFound, error_of_code, problem_of
from api.given import kept_request
from api.jobs.record import ENDED, Record
from api.schemas import steps_of
from formats import FORMATS, Format, OptionError, Options
from models.kinds import nearest_in

_NAME = re.compile(r"([0-9a-f]{1,64})(?:\.([1-9][0-9]{0,3}))?\.([a-z0-9-]+)")
_BY_NAME = {format_.name: format_ for format_ in FORMATS}
_STATUSES = {"pending": "queued", "in_progress": "in_progress", "completed": "completed"}


@dataclass(frozen=True)
class Kind:
    """A kind of file: the name of its format, and the voxels along the longest side, None as the models make them."""

    name: str
    size: int | None = None

    @property
    def format(self) -> Format:
        """The format."""
        return _BY_NAME[self.name]

    @property
    def options(self) -> Options:
        """What to ask the format for. Raises OptionError for a size that there is not."""
        return Options(size=self.size)

    @property
    def mark(self) -> str:
        """The end of a mesh's id, which tells its kind, so that nobody has to remember it."""
        return f".{self.name}" if self.size is None else f".{self.size}.{self.name}"

    def check(self) -> None:
        """Lets pass what can be written. Raises InvalidRequest."""
        try:
            self.format.check(self.options)
        except OptionError as error:
            raise InvalidRequest(f"{error}: change or leave out size.") from None


def kind_of(name: str) -> tuple[str, Kind]:
    """The id of the job and the kind of file that the id of a mesh tells. Raises NotFound for what is none."""
    found = _NAME.fullmatch(name)
    if found is None or found[3] not in _BY_NAME:
        raise NotFound("There is no such mesh: it never existed, was removed, or has expired.")
    kind = Kind(found[3], None if found[2] is None else int(found[2]))
    kind.check()
    return found[1], kind


def describe(
    record: Record, name: str, kind: Kind, model: str, url: str | None, retention_seconds: float
) -> dict[str, Any]:
    """What a client gets to know of a mesh.

    Args:
        record: The job.
        name: Id of the mesh.
        kind: Its kind of file.
        model: Name of the models.
        url: Where the file is, once there is one.
        retention_seconds: How long an ended job is kept.
    """
    completed = record.state == "completed"
    expires = record.ended and record.ended + retention_seconds
    return {
        "id": name,
        "object": "mesh",
        "model": model,
        "status": _STATUSES.get(record.state, "failed"),
        "progress": 100 if completed else _progress(record),
        "created_at": int(record.created),
        "completed_at": int(record.ended) if completed and record.ended else None,
        "expires_at": int(expires) if expires else None,
        "format": kind.name,
        "size": kind.size,
        "seed": record.seed,
        "seed_text": str(record.seed),
        "warnings": list(record.warnings),
        "nearest_kinds": nearest_in(record.warnings),
        "url": url if completed else None,
        "error": _error(record),
    }


def _progress(record: Record) -> int:
    """Percent of all steps; 0 for a job that has ended otherwise than with a shape."""
    if record.state in ENDED or not record.request or record.step is None:
        return 0
    request = kept_request(record.request)
    done = record.step + (request.coarse_steps if record.stage == "fine" else 0)
    return min(99, 100 * done // steps_of(request))


def _error(record: Record) -> dict[str, str] | None:
    if record.state == "canceled":
        return {"code": "job_canceled", "message": "It was canceled."}
    if record.code is None:
        return None
    problem = problem_of(error_of_code(record.code, record.error or ""))
    return {"code": problem.code, "message": problem.error}
