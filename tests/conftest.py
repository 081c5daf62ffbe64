"""Options of the whole suite, and the real service for the tests of every folder."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.service import Server, StartServer, own_environment, started


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--slow", action="store_true", help="also run the tests that take minutes")
    parser.addoption("--record", action="store_true", help="record anew what the Rust client is tested with")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leaves the slow tests out, visibly: pytest counts them as deselected."""
    if config.getoption("--slow"):
        return
    slow = [item for item in items if item.get_closest_marker("slow")]
    config.hook.pytest_deselected(items=slow)
    items[:] = [item for item in items if item not in slow]


@pytest.fixture(scope="session")
def tiny_models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint folder with text, coarse and fine models of random weights."""
    from tests.support.saved_models import save_models

    folder = tmp_path_factory.mktemp("checkpoints")
    save_models(folder)
    return folder


@pytest.fixture(scope="session")
def model_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A BENTOML_HOME of the tests' own."""
    return tmp_path_factory.mktemp("bentoml")


@contextlib.contextmanager
def starting(tmp_path_factory: pytest.TempPathFactory, model_store: Path) -> Iterator[StartServer]:
    """What starts services; those that still run at the block's end are killed."""
    with contextlib.ExitStack() as stack:

        def start(checkpoints: Path, *options: str, **settings: str) -> Server:
            log = tmp_path_factory.mktemp("log") / "service.log"
            fixed = {
                "XCUBE_CHECKPOINT_DIR": str(checkpoints),
                "XCUBE_THREADS": "1",
                "XCUBE_DEVICE": "cpu",
                "XCUBE_DEADLINE_SECONDS": "3600",  # a machine that has other work too refuses nothing as too slow
                "XCUBE_DRAIN_SECONDS": "30",
                "XCUBE_JOBS_DIR": str(log.parent / "jobs"),
            }
            command = [sys.executable, "-m", "cli.serve", *options]
            environment = own_environment(model_store) | fixed | settings
            return stack.enter_context(started(command, environment, log))

        yield start


@pytest.fixture(scope="module")
def start_server(tmp_path_factory: pytest.TempPathFactory, model_store: Path) -> Iterator[StartServer]:
    """Starts services; what still runs at the end of the module is killed."""
    with starting(tmp_path_factory, model_store) as start:
        yield start


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory, model_store: Path, tiny_models: Path) -> Iterator[Server]:
    """A ready service with all models and settings as they are by default, for all modules that ask for nothing else.

    After all that was sent to it, it still makes shapes and has logged no fault of its own.
    """
    with starting(tmp_path_factory, model_store) as start:
        running = start(tiny_models)
        running.wait_until("ready")
        yield running
        assert running.generate(ddim_steps=1).status_code == 200
        log = running.log.read_text()
        assert "Traceback" not in log
        assert '"level":"ERROR"' not in log
