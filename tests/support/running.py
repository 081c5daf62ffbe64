"""`scripts/serve`, started and stopped for a test."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from tests.support.service import Server, own_environment, started


@contextlib.contextmanager
def serve(root: Path, folder: Path, ready_within: float = 90.0, **settings: str) -> Iterator[Server]:
    """The service of the project at `root` with its demo models, ready; its store and log lie in `folder`."""
    environment = own_environment(folder / "bentoml", XCUBE_MODEL="demo", XCUBE_DRAIN_SECONDS="5", **settings)
    with started([root / "scripts" / "serve"], environment, folder / "log", cwd=folder) as server:
        server.wait_until_ready(ready_within)
        yield server
