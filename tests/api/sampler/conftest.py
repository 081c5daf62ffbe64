"""Engines with tiny models, in a model store of the tests' own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from bentoml._internal.configuration.containers import BentoMLContainer
from bentoml._internal.models import ModelStore

from api.sampler.engine import Engine
from tests.support.engines import loaded


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A model store, the one in use; engines change the number of threads, which is put back."""
    root = tmp_path_factory.mktemp("store") / "models"
    root.mkdir()
    BentoMLContainer.model_store.set(ModelStore(root))
    threads = torch.get_num_threads()
    yield root
    torch.set_num_threads(threads)
    BentoMLContainer.model_store.reset()


@pytest.fixture
def engine(tiny_models: Path, store: Path) -> Engine:
    """An engine with all models."""
    return loaded(tiny_models)
