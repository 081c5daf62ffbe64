"""A real S3 server for tests: moto's, as a process of its own."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx

from tests.support.service import free_port

CREDENTIALS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "s3-secret", "AWS_REGION": "us-east-1"}
_PATIENCE = 60.0


@contextlib.contextmanager
def s3(log: Path, port: int | None = None) -> Iterator[str]:
    """The URL of a server that holds nothing, as long as the block runs."""
    port = free_port() if port is None else port
    url = f"http://127.0.0.1:{port}"
    with log.open("ab") as output:
        command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
        process = subprocess.Popen(command, stdout=output, stderr=output)
    try:
        end = time.monotonic() + _PATIENCE
        while True:
            with contextlib.suppress(httpx.TransportError):
                httpx.get(url, timeout=5)
                break
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < end, log.read_text()
            time.sleep(0.05)
        yield url
    finally:
        process.kill()
        process.wait()


def make_bucket(url: str, name: str) -> None:
    """Makes an empty bucket."""
    httpx.put(f"{url}/{name}", timeout=10).raise_for_status()
