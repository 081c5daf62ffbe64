"""Tells clients at their webhooks that their jobs have ended: at least once, and for hours if nobody listens there."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import random
import socket
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import aiohttp
import orjson

from api.errors import InvalidRequest, JobsUnavailable
from api.jobs.record import Record
from api.jobs.store import Store
from api.signing import signed
from api.telemetry import metrics
from api.webhooks import Webhooks

log = logging.getLogger("xcube.webhooks")
PERIOD = 1.0
"""Seconds between two looks for webhooks that are due."""
PAUSES = (5.0, 60.0, 300.0, 1800.0, 7200.0, 21_600.0)
"""Seconds between one attempt and the next."""
_JITTER = 0.1
_MOST = 16
"""Attempts of this process at a time."""
_CONNECTING = 5.0
_ANSWERING = 15.0
LEASE = 60.0
"""Seconds after which another process makes the attempt again, if this one has died with it."""
_GONE = 410
"""The receiver wants no more."""


class Sender:
    """Sends what is due. A receiver that is slow or dead holds up a few attempts and nothing else.

    Args:
        store: Knows which jobs have ended, and when their webhooks are due.
        webhooks: Where these may go, and what signs them.
        prefix: Of the paths that are told, where a proxy serves the service under one.
    """

    def __init__(self, store: Store, webhooks: Webhooks, prefix: str) -> None:
        self._store = store
        self._webhooks = webhooks
        self._prefix = prefix
        self._attempts: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Sends until it is cancelled; attempts that are under way then are made again later."""
        try:
            while True:
                try:
                    await self._begin()
                except JobsUnavailable:
                    pass  # the store has told the log
                except Exception:
                    log.exception("looking for webhooks failed")
                await asyncio.sleep(PERIOD)
        finally:
            for attempt in self._attempts:
                attempt.cancel()

    async def _begin(self) -> None:
        if (room := _MOST - len(self._attempts)) <= 0:
            return
        for record in await self._store.deliveries(room, LEASE):
            attempt = asyncio.create_task(self._attempt(record))
            self._attempts.add(attempt)
            attempt.add_done_callback(self._attempts.discard)

    async def _attempt(self, record: Record) -> None:
        outcome = await self._outcome(record)
        again = None
        if outcome == "failed":
            if record.tries <= len(PAUSES):
                again = PAUSES[record.tries - 1] * random.uniform(1 - _JITTER, 1 + _JITTER)
            else:
                outcome = "given_up"
                log.warning("the webhook of job %s got no answer with 2xx and is not tried again", record.id)
        metrics.webhook(outcome)
        with contextlib.suppress(JobsUnavailable):  # then it is sent once more
            await self._store.delivered(record.id, again)

    async def _outcome(self, record: Record) -> str:
        secret = self._webhooks.secret_of(record.client)
        if secret is None or record.webhook is None:
            log.warning("the webhook of job %s cannot be signed any more and is not sent", record.id)
            return "given_up"
        body = orjson.dumps(self._told(record))
        headers = signed(f"job_{record.id}", int(time.time()), body, secret)
        try:
            host = self._webhooks.hosts.check(record.webhook)
            status = await post(
                record.webhook, body, headers, lambda address: self._webhooks.hosts.allow(host, address)
            )
        except InvalidRequest:  # the settings have changed
            return "given_up"
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
            log.info("the webhook of job %s failed: %s", record.id, type(error).__name__)
            return "failed"
        if 200 <= status < 300:
            return "delivered"
        log.info("the webhook of job %s was answered with %d", record.id, status)
        return "gone" if status == _GONE else "failed"

    def _told(self, record: Record) -> dict[str, Any]:
        path = f"{self._prefix}/jobs/{record.id}"
        result = f"{path}/result" if record.state == "completed" else None
        ended = datetime.fromtimestamp(record.ended or 0.0, UTC).isoformat(timespec="milliseconds")
        links = {"job": path, "result": result}
        data = {"id": record.id, "state": record.state, "links": links}
        return {"type": f"job.{record.state}", "timestamp": ended, "data": data}


async def post(url: str, body: bytes, headers: Any, allowed: Callable[[str], bool]) -> int:
    """Sends a body once, and returns the status of the answer, of which nothing else is read. Redirects count as it.

    Args:
        url: Where to.
        body: JSON.
        headers: More headers.
        allowed: Is asked for each address, once its name has been resolved and before a connection to it is made.

    Raises:
        aiohttp.ClientError, OSError, TimeoutError, ValueError: There is no answer, or no address is allowed.
    """

    def opened(info: Any) -> socket.socket:
        family, kind, protocol, _, place = info
        if not allowed(str(place[0]).partition("%")[0]):
            raise OSError(errno.EACCES, "webhooks are not sent to this address")
        return socket.socket(family, kind, protocol)

    timeout = aiohttp.ClientTimeout(total=_ANSWERING, connect=_CONNECTING)
    connector = aiohttp.TCPConnector(socket_factory=opened, force_close=True)
    sent = {"Content-Type": "application/json", "User-Agent": "xcube-serve", **headers}
    async with (
        aiohttp.ClientSession(connector=connector, timeout=timeout, cookie_jar=aiohttp.DummyCookieJar()) as session,
        session.post(url, data=body, headers=sent, allow_redirects=False) as answer,
    ):
        return answer.status
