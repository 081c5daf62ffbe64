"""The connections to PostgreSQL, and its tables: made where there are none, brought up to date.

asyncpg is the driver: it speaks the protocol itself, without libpq and without threads, and its licence (Apache-2.0) is
as permissive as all others in the images. Psycopg, and so the queues that stand on it, has the LGPL; and a queue as a
library would bring its own table beside the one that clients ask for.

All faults leave this module as OSError, so that nobody else has to know asyncpg.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Protocol, TypeVar
from urllib.parse import unquote, urlsplit

import asyncpg

T = TypeVar("T")
PATIENCE = 6.0
"""Seconds for one call, from asking for a connection to its answer."""
_MOST_CALLS = 64
"""Calls that may be under way or wait at a time."""
_IDLE = 60.0
_LOCK = 0x786375626A
"""Names what only one service does at a time: making the tables."""
VERSION = 2
_CHANGES = (
    (
        """
        CREATE TABLE IF NOT EXISTS xcube_jobs (
            number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, id text UNIQUE NOT NULL,
            idempotency_key text UNIQUE, client text,
            request text NOT NULL, seed text NOT NULL, models text, state text NOT NULL DEFAULT 'pending',
            owner text, beats bigint NOT NULL DEFAULT 0, attempts integer NOT NULL DEFAULT 0,
            deaths integer NOT NULL DEFAULT 0, changes integer NOT NULL DEFAULT 0, created float8 NOT NULL,
            started float8, ended float8, stage text, step integer, steps integer, code text, error text,
            warnings text NOT NULL DEFAULT '[]', kinds text, keeper text, bytes bigint NOT NULL DEFAULT 0
        )
        """,
        "CREATE INDEX IF NOT EXISTS xcube_jobs_by_state ON xcube_jobs (state, number)",
        "CREATE INDEX IF NOT EXISTS xcube_jobs_by_end ON xcube_jobs (ended) WHERE ended IS NOT NULL",
        "CREATE INDEX IF NOT EXISTS xcube_jobs_by_client ON xcube_jobs (client, number)",
        "CREATE TABLE IF NOT EXISTS xcube_offers (models text PRIMARY KEY, seen float8 NOT NULL)",
        "CREATE TABLE IF NOT EXISTS xcube_store (version integer NOT NULL, results text NOT NULL)",
        "INSERT INTO xcube_store (version, results) SELECT 0, gen_random_uuid()::text WHERE NOT EXISTS "
        "(SELECT 1 FROM xcube_store)",
    ),
    (
        """
        ALTER TABLE xcube_jobs ADD COLUMN IF NOT EXISTS share text,
            ADD COLUMN IF NOT EXISTS turn float8 NOT NULL DEFAULT 0,
            ADD COLUMN IF NOT EXISTS cost float8 NOT NULL DEFAULT 0, ADD COLUMN IF NOT EXISTS webhook text,
            ADD COLUMN IF NOT EXISTS due float8, ADD COLUMN IF NOT EXISTS tries integer NOT NULL DEFAULT 0
        """,
        "CREATE INDEX IF NOT EXISTS xcube_jobs_by_turn ON xcube_jobs (state, turn, number)",
        "CREATE INDEX IF NOT EXISTS xcube_jobs_by_due ON xcube_jobs (due) WHERE due IS NOT NULL",
    ),
)
"""What leads from each version to the next, and may be executed again. The last table has one row: the version, and
what names the results that belong to these jobs."""
_TABLES = ("xcube_jobs", "xcube_offers", "xcube_store")


class Connection(Protocol):
    """What is used of a connection of asyncpg, which tells no types."""

    def transaction(self) -> contextlib.AbstractAsyncContextManager[None]:
        """A block whose statements are executed together or not at all."""

    async def execute(self, statement: str, *values: Any) -> str:
        """Executes a statement; returns its tag, which ends with the number of rows."""

    async def fetch(self, query: str, *values: Any) -> list[Mapping[str, Any]]:
        """All rows of a query."""

    async def fetchval(self, query: str, *values: Any) -> Any:
        """The first value of a query, None if there is none."""


Work = Callable[[Connection], Awaitable[T]]
_GONE = (asyncpg.UndefinedTableError, asyncpg.UndefinedColumnError)
_BUGS = (asyncpg.DataError, asyncpg.IntegrityConstraintViolationError, asyncpg.PostgresSyntaxError)
_FAULTS = (asyncpg.PostgresError, asyncpg.InterfaceError, OSError)


class Database:
    """Some connections, made when they are needed.

    Every change of a job is one statement, which the server ends whether or not its client is still there. So no
    connection that was cut can hold a lock.

    Args:
        url: Address of the database.
        most: Connections at most.
    """

    def __init__(self, url: str, most: int) -> None:
        self._url = url
        self._most = most
        self._calls = 0
        self._pool: asyncpg.Pool | None = None
        self._opening = asyncio.Lock()

    async def run(self, work: Work[T]) -> T:
        """What some statements give.

        Raises:
            OSError: The database cannot be used now. If that is so because its answer was lost, the last statement may
                have been executed all the same.
        """
        if self._calls >= _MOST_CALLS:
            raise OSError(errno.EAGAIN, "too many calls wait for the database of jobs")
        self._calls += 1
        try:
            try:
                return await self._run(work)
            except _GONE:
                await self.close()  # somebody has removed the tables: they are made again
                return await self._run(work)
        except _BUGS:
            raise
        except _FAULTS as error:
            raise self._fault(error) from None
        finally:
            self._calls -= 1

    async def close(self) -> None:
        """Ends all connections; the next call makes new ones."""
        pool, self._pool = self._pool, None
        if pool is not None:
            pool.terminate()

    async def _run(self, work: Work[T]) -> T:
        loop = asyncio.get_running_loop()
        end = loop.time() + PATIENCE
        async with asyncio.timeout_at(end):
            pool = await self._opened()
            connection = await pool.acquire()
        # A connection that was cut somewhere on the way heeds nothing, not even a cancellation, but its own end.
        timer = loop.call_at(end, _cut, connection)
        try:
            return await work(connection)
        except BaseException:
            _cut(connection)
            raise
        finally:
            timer.cancel()
            await pool.release(connection, timeout=1.0)

    async def _opened(self) -> asyncpg.Pool:
        async with self._opening:
            if self._pool is None:
                pool = asyncpg.create_pool(
                    self._url, min_size=0, max_size=self._most, max_inactive_connection_lifetime=_IDLE,
                    statement_cache_size=0,  # a pooler such as PgBouncer may give each statement another connection
                    server_settings={"application_name": "xcube-serve"},
                )  # fmt: skip
                await pool
                try:
                    async with pool.acquire() as connection:
                        await _bring_up_to_date(connection)
                except BaseException:
                    pool.terminate()
                    raise
                self._pool = pool
            return self._pool

    def _fault(self, error: Exception) -> OSError:
        """The fault as an OSError, whose text never holds the password."""
        text = str(error) or "no answer"
        password = urlsplit(self._url).password
        for secret in {password, unquote(password)} if password else ():
            text = text.replace(secret, "…")
        number = errno.ENOSPC if isinstance(error, asyncpg.DiskFullError) else errno.EIO
        return OSError(
            number,
            f"the database of XCUBE_JOBS_URL cannot be used, see to it and its address: {type(error).__name__}: {text}",
        )


def _cut(connection: Any) -> None:
    """Ends a connection without a word to the server; whoever waits for it is told."""
    with contextlib.suppress(asyncpg.InterfaceError):  # the pool has it back already: it is closed
        connection.terminate()


async def _bring_up_to_date(connection: Connection) -> None:
    if await _version(connection) == VERSION:
        return
    async with connection.transaction():
        await connection.execute("SET LOCAL idle_in_transaction_session_timeout = '10s'")
        await connection.execute("SELECT pg_advisory_xact_lock($1)", _LOCK)
        for change in _CHANGES[await _version(connection) :]:
            for statement in change:
                await connection.execute(statement)
        await connection.execute("UPDATE xcube_store SET version = $1", VERSION)


async def _version(connection: Connection) -> int:
    """That of the tables; 0 where one is missing."""
    for table in _TABLES:
        if await connection.fetchval("SELECT to_regclass($1)::text", table) is None:
            return 0
    version = await connection.fetchval("SELECT version FROM xcube_store")
    if version is not None and version > VERSION:
        raise OSError(errno.EINVAL, f"the jobs were kept by a newer version of the service (tables {version})")
    return int(version or 0)
