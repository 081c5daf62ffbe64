"""The result of a job as the answer to a request."""

from __future__ import annotations

from dataclasses import replace

from starlette.responses import Response

from api import call as calls
from api.errors import JobCanceled, JobNotFinished, error_of_code
from api.given import kept_request
from api.http.etags import ANY, etag, has, not_modified
from api.http.responses import as_file, for_caches, notes
from api.jobs.models import weights_for
from api.jobs.record import Record
from api.jobs.service import Jobs
from formats import Format, Options
from models.version import service_version

RETRY_SECONDS = 2.0


def check_made(record: Record) -> None:
    """Lets pass a job that has made its shape.

    Raises:
        JobNotFinished, JobCanceled: There is none yet, or there will be none.
        XCubeError: What the job has failed with.
    """
    match record.state:
        case "failed":
            raise error_of_code(record.code or "internal", record.error or "")
        case "canceled":
            raise JobCanceled("This job was canceled: send the request again as a new job.")
        case "pending" | "in_progress":
            raise JobNotFinished(f"This job is {record.state}: ask again later.", retry_after=RETRY_SECONDS)


async def as_result(jobs: Jobs, record: Record, format_: Format, options: Options) -> Response:
    """The shape that a job has made, in a format; 304 where the client of this call has it. Raises ResultGone."""
    call = calls.current()
    asked = kept_request(record.request).model_copy(update={"seed": record.seed})
    # The result of a job never changes, whoever made it.
    tag = etag(f"{record.id}; {record.models}", asked, format_, options)
    if tag is not None and (has(call.known, tag) or call.known == ANY) and not call.anew:
        return not_modified(tag, record.seed, for_caches(format_, options))
    result = await jobs.store.result(record)
    result = replace(result, prompt=asked.prompt, models=weights_for(record.models))
    call.headers["X-Seed"] = str(record.seed)
    call.headers.update(notes(record.warnings))
    file = await jobs.writer.write(format_, result, service_version(), options)
    return as_file(file, format_, options, result, tag)
