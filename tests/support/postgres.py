"""A real PostgreSQL server for tests, where Debian's package `postgresql` or the like is installed."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.support.service import free_port

USER, PASSWORD = "xcube", "s3cret/pass"
QUOTED = "s3cret%2Fpass"
_NOBODY = 65534
_PATIENCE = 60.0


@dataclass
class Postgres:
    """A server in a folder of its own."""

    binaries: Path
    folder: Path
    port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Address of its database, with the password."""
        return self.url_at(self.port)

    def url_at(self, port: int, password: str = QUOTED) -> str:
        """The same, behind something that listens at another port."""
        return f"postgresql://{USER}:{password}@127.0.0.1:{port}/postgres"

    def make(self) -> None:
        """Makes the database's files."""
        words = self.folder / "password"
        words.write_text(PASSWORD)
        options = ["--no-sync", "--username", USER, "--auth", "scram-sha-256", "--pwfile", str(words), "--no-locale"]
        command = [str(self.binaries / "initdb"), "--encoding", "UTF8", "--pgdata", str(self.folder / "data"), *options]
        if os.getuid() == 0:
            for path in (self.folder, words):
                os.chown(path, _NOBODY, _NOBODY)
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, cwd=self.folder, **self._user())

    def start(self) -> None:
        """Starts it, and waits until it answers."""
        command = [
            str(self.binaries / "postgres"), "-D", str(self.folder / "data"), "-p", str(self.port),
            "-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories=", "-c", "fsync=off",
        ]  # fmt: skip
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log, cwd=self.folder, **self._user())
        end = time.monotonic() + _PATIENCE
        while not self._answers():
            assert self.process.poll() is None, (self.folder / "log").read_text()
            assert time.monotonic() < end, (self.folder / "log").read_text()
            time.sleep(0.05)

    def stop(self) -> None:
        """Ends it, and with it every connection."""
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
            self.process.wait(_PATIENCE)

    def _answers(self) -> bool:
        """Whether it takes connections: it asks for the password."""
        start = b"\x00\x03\x00\x00user\x00" + USER.encode() + b"\x00\x00"
        try:
            with socket.create_connection(("127.0.0.1", self.port), 1) as connection:
                connection.settimeout(1)
                connection.sendall((len(start) + 4).to_bytes(4, "big") + start)
                return connection.recv(1) == b"R"
        except OSError:
            return False

    def _user(self) -> dict[str, object]:
        """PostgreSQL refuses to run as root."""
        return {"user": _NOBODY, "group": _NOBODY, "extra_groups": []} if os.getuid() == 0 else {}


@contextlib.contextmanager
def postgres() -> Iterator[Postgres]:
    """A server as long as the block runs; the test is skipped where PostgreSQL is not installed."""
    binaries = _binaries()
    if binaries is None:
        pytest.skip("PostgreSQL's initdb is not installed (on Debian: apt-get install postgresql)")
    folder = Path(tempfile.mkdtemp(prefix="xcube-postgres-"))
    server = Postgres(binaries, folder)
    try:
        server.make()
        server.start()
        yield server
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)


def _binaries() -> Path | None:
    """Debian does not put them on the path."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[4]))
    on_path = shutil.which("initdb")
    file = found[-1] if found else Path(on_path).resolve() if on_path else None
    return None if file is None else file.parent
