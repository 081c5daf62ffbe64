"""The SQLite file of jobs: made where there is none, brought up to date, set aside where it is damaged.

All faults leave this module as OSError, so that nobody else has to know SQLite.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import logging
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")
Work = Callable[[sqlite3.Connection], T]
log = logging.getLogger("xcube.jobs")
BUSY_SECONDS = 3.0
"""How long a call waits for another one that writes."""
VERSION = 3
_TABLE = """
CREATE TABLE IF NOT EXISTS jobs (
    number INTEGER PRIMARY KEY, id TEXT UNIQUE NOT NULL, idempotency_key TEXT UNIQUE, request TEXT NOT NULL,
    seed TEXT NOT NULL, state TEXT NOT NULL DEFAULT 'pending', owner TEXT, seen REAL NOT NULL DEFAULT 0,
    created REAL NOT NULL, started REAL, ended REAL, stage TEXT, step INTEGER, steps INTEGER,
    code TEXT, error TEXT, warnings TEXT NOT NULL DEFAULT '[]'
)
"""
"""As the first version made it: a new database goes through every change too."""
_CHANGES = (
    (
        "ALTER TABLE jobs DROP COLUMN seen",
        "ALTER TABLE jobs ADD COLUMN client TEXT",
        "ALTER TABLE jobs ADD COLUMN attempts INTEGER NOT NULL DEFAULT 0",
        "ALTER TABLE jobs ADD COLUMN deaths INTEGER NOT NULL DEFAULT 0",
        "ALTER TABLE jobs ADD COLUMN changes INTEGER NOT NULL DEFAULT 0",
        "ALTER TABLE jobs ADD COLUMN beats INTEGER NOT NULL DEFAULT 0",
        "ALTER TABLE jobs ADD COLUMN kinds TEXT",
        "CREATE INDEX jobs_by_state ON jobs (state, number)",
        "CREATE INDEX jobs_by_end ON jobs (ended) WHERE ended IS NOT NULL",
    ),
    (
        "ALTER TABLE jobs ADD COLUMN models TEXT",
        "CREATE TABLE IF NOT EXISTS offers (models TEXT PRIMARY KEY, seen REAL NOT NULL)",
    ),
    (
        "ALTER TABLE jobs ADD COLUMN share TEXT",
        "ALTER TABLE jobs ADD COLUMN turn REAL NOT NULL DEFAULT 0",
        "ALTER TABLE jobs ADD COLUMN cost REAL NOT NULL DEFAULT 0",
        "ALTER TABLE jobs ADD COLUMN webhook TEXT",
        "ALTER TABLE jobs ADD COLUMN due REAL",
        "ALTER TABLE jobs ADD COLUMN tries INTEGER NOT NULL DEFAULT 0",
        "CREATE INDEX jobs_by_turn ON jobs (state, turn, number)",
        "CREATE INDEX jobs_by_due ON jobs (due) WHERE due IS NOT NULL",
    ),
)
"""What leads from each version to the next."""
_PAGES = 100
"""Pages after which the log of changes goes into the file: it stays short, and on a full disk has its place already."""
_DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
_BUGS = (sqlite3.ProgrammingError, sqlite3.IntegrityError, sqlite3.DataError, sqlite3.NotSupportedError)
_NUMBERS = {
    sqlite3.SQLITE_FULL: errno.ENOSPC, sqlite3.SQLITE_BUSY: errno.EBUSY, sqlite3.SQLITE_LOCKED: errno.EBUSY,
    sqlite3.SQLITE_READONLY: errno.EROFS, sqlite3.SQLITE_PERM: errno.EACCES,
}  # fmt: skip


class Database:
    """One file, which each thread has a connection to.

    Connections stay open: on a full disk no new one could be made. One whose file is not the one at the path any more
    is made again.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._local = threading.local()

    def read(self, work: Work[T]) -> T:
        """What some queries give. They wait for nobody who writes.

        Raises:
            OSError: The database cannot be read now.
        """
        return self._run(work)

    def write(self, work: Work[T]) -> T:
        """What some statements give, which happen together or not at all; they may be called twice.

        Raises:
            OSError: The database cannot be written now, and nothing was changed.
        """

        def whole(connection: sqlite3.Connection) -> T:
            connection.execute("BEGIN IMMEDIATE")
            try:
                result = work(connection)
                connection.execute("COMMIT")
            except BaseException:
                with contextlib.suppress(sqlite3.Error):
                    connection.execute("ROLLBACK")
                raise
            return result

        return self._run(whole)

    def close(self) -> None:
        """Closes this thread's connection."""
        self._close()

    def _run(self, work: Work[T]) -> T:
        try:
            try:
                return work(self._connection())
            except sqlite3.Error as error:
                if isinstance(error, _BUGS) or _number(error) in (errno.ENOSPC, errno.EBUSY):
                    raise
                self._close()  # the file may be another one, or damaged
                return work(self._connection(check=_code(error) in _DAMAGED))
        except _BUGS:
            raise
        except sqlite3.Error as error:
            raise OSError(_number(error), f"{self.path.name}: {error}") from error

    def _connection(self, *, check: bool = False) -> sqlite3.Connection:
        found = _identity(self.path)
        connection: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if connection is not None and found is not None and found == self._local.identity:
            return connection
        self._close()
        with self._alone():
            connection = self._open(check=check)
            self._local.connection, self._local.identity = connection, _identity(self.path)
        return connection

    def _close(self) -> None:
        connection: sqlite3.Connection | None = getattr(self._local, "connection", None)
        self._local.connection = None
        if connection is not None:
            with contextlib.suppress(sqlite3.Error):
                connection.close()

    def _open(self, *, check: bool) -> sqlite3.Connection:
        if not self.path.exists():
            self._remove_logs()
        try:
            return self._prepared(check=check)
        except sqlite3.DatabaseError as error:
            if _code(error) not in _DAMAGED:
                raise
            log.error(
                "%s is damaged (%s): it is set aside as %s, and a new one is made", self.path, error, self._broken
            )
        os.replace(self.path, self._broken)
        self._remove_logs()
        return self._prepared(check=False)

    def _prepared(self, *, check: bool) -> sqlite3.Connection:
        connection = sqlite3.connect(self.path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)
        try:
            connection.row_factory = sqlite3.Row
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute(f"PRAGMA wal_autocheckpoint = {_PAGES}")
            if check and connection.execute("PRAGMA quick_check(1)").fetchone()[0] != "ok":
                raise _damaged("its pages do not fit together")
            _bring_up_to_date(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    @property
    def _broken(self) -> Path:
        return self.path.with_name(f"{self.path.name}.broken")

    def _remove_logs(self) -> None:
        """Those of a file that is gone: SQLite would take them for the new one's."""
        for end in ("-wal", "-shm"):
            self.path.with_name(self.path.name + end).unlink(missing_ok=True)

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        """Has one process and thread at a time make or change the file."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        lock = os.open(self.path.with_suffix(".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            end = time.monotonic() + BUSY_SECONDS
            while True:
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if time.monotonic() > end:
                        raise
                    time.sleep(0.02)
            yield
        finally:
            os.close(lock)


def _bring_up_to_date(connection: sqlite3.Connection) -> None:
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version > VERSION:
        raise OSError(errno.EINVAL, f"the jobs were kept by a newer version of the service (table {version})")
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_master WHERE name = 'jobs'").fetchone()
    if version == VERSION and tables:
        return
    connection.execute("BEGIN IMMEDIATE")
    connection.execute(_TABLE)
    for change in _CHANGES[version if tables else 0 :]:
        for statement in change:
            connection.execute(statement)
    connection.execute(f"PRAGMA user_version = {VERSION}")
    connection.execute("COMMIT")


def _damaged(text: str) -> sqlite3.DatabaseError:
    error = sqlite3.DatabaseError(text)
    error.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
    return error


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino


def _code(error: sqlite3.Error) -> int:
    """SQLite's primary code for an error; those that Python itself raises have none."""
    return getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF


def _number(error: sqlite3.Error) -> int:
    return _NUMBERS.get(_code(error), errno.EIO)
