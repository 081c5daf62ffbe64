from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.examples import Reader
from tests.support.service import Server


@pytest.fixture(scope="module")
def reader(fast_demo: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reader]:
    """A terminal for a module's pages, which all use one service and its models."""
    store = {"BENTOML_HOME": fast_demo.environment["BENTOML_HOME"]}
    reader = Reader(fast_demo.url, tmp_path_factory.mktemp("reader"), store)
    yield reader
    reader.close()
