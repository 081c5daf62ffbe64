from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.examples import Reader
from tests.support.saved_models import save_models
from tests.support.service import Server, StartServer


@pytest.fixture(scope="module")
def service(start_server: StartServer, tmp_path_factory: pytest.TempPathFactory) -> Server:
    """A service as scripts/serve starts it; the demo's place is taken by models that are as fast as they are random."""
    folder = tmp_path_factory.mktemp("fast")
    save_models(folder / "checkpoints", keep_fine=1)
    running = start_server(folder / "checkpoints", XCUBE_MODEL="demo", BENTOML_HOME=str(folder / "bentoml"))
    running.wait_until("ready")
    return running


@pytest.fixture(scope="module")
def reader(service: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reader]:
    """A terminal for a module's pages, which all use one service and its models."""
    store = {"BENTOML_HOME": service.environment["BENTOML_HOME"]}
    reader = Reader(service.url, tmp_path_factory.mktemp("reader"), store)
    yield reader
    reader.close()
