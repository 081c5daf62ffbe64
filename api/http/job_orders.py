"""Taking a job, whichever path it came by."""

from __future__ import annotations

from api import call as calls
from api.errors import IdempotencyConflict, QueueFull
from api.http.behind import Behind
from api.http.job_answers import find
from api.jobs.models import models_of
from api.jobs.record import ENDED, Record
from api.jobs.service import Jobs
from api.jobs.store import RETRY_FULL_SECONDS, NewJob
from api.schemas import JobRequest, random_seed, steps_of

_OF_CLIENT = "\x1f"
"""Between a client's name and its idempotency key; no header can have it."""


async def accept(behind: Behind, order: JobRequest, key: str | None = None) -> Record:
    """A job for the client of this call; the same one again where its idempotency key has come before.

    Raises:
        Forbidden, QuotaExceeded, QueueFull, IdempotencyConflict, JobsUnavailable: It is not taken.
    """
    client, steps = calls.current().client, steps_of(order)
    if order.webhook is not None:
        behind.jobs.webhooks.check(order.webhook, client)
    job = NewJob(
        request=order.model_dump_json(exclude={"webhook"}),
        seed=random_seed() if order.seed is None else order.seed,
        key=key if key is None or not client.alone else f"{client.name}{_OF_CLIENT}{key}",
        client=client.name,
        models=models_of(behind.readiness.status()),
        share=client.share,
        cost=steps / client.weight,
        most_own=client.quota.waiting_jobs,
        webhook=order.webhook,
    )
    quotas = behind.jobs.quotas
    quotas.spend(client, steps)
    record = None
    try:
        record = await behind.jobs.store.add(job, behind.jobs.settings.max_jobs)
    finally:
        if record is None or record.id != job.id:
            quotas.give_back(client, steps)
    if record is None:
        most = behind.jobs.settings.max_jobs
        raise QueueFull(f"{most} jobs are already waiting: try again later.", retry_after=RETRY_FULL_SECONDS)
    if (record.request, record.webhook) != (job.request, job.webhook):
        raise IdempotencyConflict("This Idempotency-Key already belongs to another request: send a new one.")
    behind.jobs.runner.wake()
    return record


async def end(jobs: Jobs, record: Record) -> Record | None:
    """Cancels a job that waits or runs, and gives it as it is then. One that has ended is removed: None."""
    if record.state not in ENDED and await jobs.store.cancel(record.id):
        jobs.runner.drop(record.id)
        return await find(jobs, record.id)
    await jobs.store.remove(record.id)
    return None
