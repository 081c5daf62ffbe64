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
from tests.support.saved_models import save_models


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


@pytest.fixture(scope="session")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with text, coarse and fine models."""
    folder = tmp_path_factory.mktemp("checkpoints")
    save_models(folder)
    return folder


@pytest.fixture
def engine(checkpoints: Path, store: Path) -> Engine:
    """An engine with all models."""
    return loaded(checkpoints)
