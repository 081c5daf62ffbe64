from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.examples import Reader
from tests.support.paths import DEMO
from tests.support.service import Server, StartServer


@pytest.fixture(scope="module")
def service(start_server: StartServer) -> Server:
    """A service with the demo models, as scripts/serve starts it."""
    running = start_server(DEMO, XCUBE_MODEL="demo")
    running.wait_until("ready")
    return running


@pytest.fixture(scope="module")
def reader(service: Server, model_store: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reader]:
    """A terminal for a module's pages, which all use one service."""
    reader = Reader(service.url, tmp_path_factory.mktemp("reader"), {"BENTOML_HOME": str(model_store)})
    yield reader
    reader.close()
