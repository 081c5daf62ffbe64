"""Taking a job, whichever path it came by."""

from __future__ import annotations

import contextlib

from api import call as calls
from api.clients import Client
from api.errors import IdempotencyConflict, JobsUnavailable, QueueFull
from api.http.behind import Behind
from api.http.job_answers import find
from api.jobs.models import models_of
from api.jobs.record import ENDED, Record
from api.jobs.service import Jobs
from api.jobs.store import RETRY_FULL_SECONDS, NewJob
from api.schemas import GenerateRequest, JobRequest, random_seed, steps_of
from models.variants import variant_seeds

_OF_CLIENT = "\x1f"
"""Between a client's name and its idempotency key; no header can have it."""
_OF_VARIANT = "\x1e"
"""Between the idempotency key of an order and the number of one of its variants; the first one has the key itself."""


async def accept(behind: Behind, order: JobRequest, key: str | None = None) -> Record:
    """The only job of an order without variants, for the client of this call. Raises what `accept_variants` does."""
    (record,) = await accept_variants(behind, order, key)
    return record


async def accept_variants(behind: Behind, order: JobRequest, key: str | None = None) -> list[Record]:
    """A job for each variant of an order: all of them or none, and the same again where their key has come before.

    Raises:
        Forbidden, QuotaExceeded, QueueFull, IdempotencyConflict, JobsUnavailable: One is not taken.
        InvalidRequest, NotFound: It comes with a shape that cannot be used, or needs models that there are not.
        ModelsUnavailable: These cannot be used.
    """
    behind.readiness.check_network(order.network)
    asked = await behind.shapes.request(order, behind.generator, behind.jobs)
    client = calls.current().client
    if order.webhook is not None:
        behind.jobs.webhooks.check(order.webhook, client)
    records, new = list[Record](), list[Record]()
    base = random_seed(order.n) if order.seed is None else order.seed
    for number in range(order.n):
        job = _job(behind, order, asked, variant_seeds(base, order.n)[number], _key(key, number, client))
        try:
            record = await _added(behind, job, client, steps_of(asked))
        except BaseException:
            for other in new:
                await _withdraw(behind, other, client, steps_of(asked))
            raise
        records.append(record)
        new += [record] if record.id == job.id else []
        base = records[0].seed  # that of the first time, where the key has come before
    behind.jobs.runner.wake()
    return records


async def end(jobs: Jobs, record: Record) -> Record | None:
    """Cancels a job that waits or runs, and gives it as it is then. One that has ended is removed: None."""
    if record.state not in ENDED and await jobs.store.cancel(record.id):
        jobs.runner.drop(record.id)
        return await find(jobs, record.id)
    await jobs.store.remove(record.id)
    return None


def _job(behind: Behind, order: JobRequest, asked: GenerateRequest, seed: int, key: str | None) -> NewJob:
    client = calls.current().client
    return NewJob(
        request=asked.model_dump_json(),
        seed=seed,
        key=key,
        client=client.name,
        models=models_of(behind.readiness.status()),
        share=client.share,
        cost=steps_of(asked) / client.weight,
        most_own=client.quota.waiting_jobs,
        webhook=order.webhook,
    )


def _key(key: str | None, number: int, client: Client) -> str | None:
    """The idempotency key of a variant in the store."""
    if key is None:
        return None
    own = f"{client.name}{_OF_CLIENT}{key}" if client.alone else key
    return f"{own}{_OF_VARIANT}{number}" if number else own


async def _added(behind: Behind, job: NewJob, client: Client, steps: int) -> Record:
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
    return record


async def _withdraw(behind: Behind, record: Record, client: Client, steps: int) -> None:
    behind.jobs.quotas.give_back(client, steps)
    with contextlib.suppress(JobsUnavailable):  # then it will run and expire, though nobody asks for it
        await behind.jobs.store.cancel(record.id)
        behind.jobs.runner.drop(record.id)
        await behind.jobs.store.remove(record.id)
