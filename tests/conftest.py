"""Options of the whole suite, and the real service for the tests of every folder."""

from __future__ import annotations

import contextlib
import os
import re
import sys
from collections.abc import Generator, Iterator
from functools import cache
from pathlib import Path

import pytest

from tests.support.leaving import ONE_STEP_SLICES
from tests.support.paths import ROOT
from tests.support.running import serve
from tests.support.service import AT_ONCE, DRAIN_SECONDS, Server, StartServer, own_environment, started
from tests.support.turns import turn

# jsonschema, which many libraries import, does without it: only IRIs go unchecked. To import it takes seconds.
sys.modules["rfc3987_syntax"] = None  # type: ignore[assignment]
if "PYTEST_XDIST_WORKER" in os.environ:
    # Processes that run tests in parallel share the cores: more threads each would only wait for one another. Said
    # here, because the conftest of a folder that is named may import torch before pytest calls anything.
    os.environ.setdefault("OMP_NUM_THREADS", "1")

SHARED = {"server", "single", "loading", "fast_demo"}
"""Services for several modules."""
COSTLY = SHARED | {"start_server", "service", "reader", "browser", "bento", "installed", "site", "executed"}
"""Fixtures that start a service or a browser, build an environment or the site, or run the notebook."""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--slow", action="store_true", help="also run the tests that take minutes")
    parser.addoption(
        "--quick", action="store_true",
        help="run what needs no service, browser, environment or training, and the contract of HTTP with a service",
    )  # fmt: skip
    parser.addoption("--record", action="store_true", help="record anew what the Rust client is tested with")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """One process more than cores, since tests also wait, or only this one for named files: a debugger can be used."""
    named = config.getoption("file_or_dir", [])
    if config.option.usepdb or (named and all(".py" in name for name in named)):
        return 0
    return (os.cpu_count() or 1) + 1


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leaves tests out, visibly: pytest counts them as deselected. Puts those that take long first."""
    left_out = [item for item in items if not _wanted(item, config)]
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if item not in left_out]
    if hasattr(config, "workerinput"):
        _costly_first(items)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> object:
    """Has one process run a whole file, and all files that share services."""
    from xdist.scheduler import LoadScopeScheduling

    class Files(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return group_of(config.rootpath / nodeid.partition("::")[0])

    return Files(config, log)


@cache
def group_of(path: Path) -> str:
    """The services that a file shares with others, or the file itself, read from its source: xdist collects nothing."""
    shared = re.search(r'mark\.shared\("(\w+)"\)', path.read_text(encoding="utf-8"))
    return shared[1] if shared else str(path)


def _costly_first(items: list[pytest.Item]) -> None:
    """So that no process is left with a costly file at the end."""
    costly = {group_of(item.path) for item in items if _costly(item)}
    items.sort(key=lambda item: _rank(item, costly))


def _wanted(item: pytest.Item, config: pytest.Config) -> bool:
    if item.get_closest_marker("slow") and not config.getoption("--slow"):
        return False
    return not config.getoption("--quick") or bool(item.get_closest_marker("quick")) or not _costly(item)


def _costly(item: pytest.Item) -> bool:
    return not COSTLY.isdisjoint(getattr(item, "fixturenames", ())) or bool(item.get_closest_marker("costly"))


def _rank(item: pytest.Item, costly: set[str]) -> int:
    if _alone(item):
        return 3
    return 0 if item.get_closest_marker("shared") else 1 if group_of(item.path) in costly else 2


def _alone(item: pytest.Item) -> bool:
    return item.get_closest_marker("alone") is not None


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Of several processes one waits for the other where a test measures time."""
    if not hasattr(item.config, "workerinput") or item.config.cache is None:
        return (yield)
    with turn(item.config.cache.mkdir("turns"), alone=_alone(item)):
        return (yield)


@pytest.fixture(scope="session")
def tiny_models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint folder with text, coarse and fine models of random weights."""
    from tests.support.saved_models import save_models

    folder = tmp_path_factory.mktemp("checkpoints")
    save_models(folder)
    return folder


@pytest.fixture(scope="session")
def turbo_models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same with a turbo pair."""
    from tests.support.saved_models import save_models

    folder = tmp_path_factory.mktemp("turbo")
    save_models(folder, turbo=True)
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
                "XCUBE_DRAIN_SECONDS": str(DRAIN_SECONDS),
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


@contextlib.contextmanager
def shared(start: StartServer, checkpoints: Path, **settings: str) -> Iterator[Server]:
    """A ready service for all modules that ask for nothing else.

    After all that was sent to it, it still makes shapes, has logged no fault of its own and ends at once.
    """
    running = start(checkpoints, **settings)
    running.wait_until("ready")
    yield running
    assert running.generate(ddim_steps=1).status_code == 200
    log = running.log.read_text()
    assert "Traceback" not in log
    assert '"level":"ERROR"' not in log
    assert running.stop(within=AT_ONCE) == 0


@pytest.fixture(scope="session")
def start_shared(tmp_path_factory: pytest.TempPathFactory, model_store: Path) -> Iterator[StartServer]:
    """Starts services that last as long as the tests do."""
    with starting(tmp_path_factory, model_store) as start:
        yield start


@pytest.fixture(scope="session")
def server(start_shared: StartServer, tiny_models: Path) -> Iterator[Server]:
    """A service with all models and settings as they are by default."""
    with shared(start_shared, tiny_models) as running:
        yield running


@pytest.fixture(scope="session")
def single(start_shared: StartServer, tiny_models: Path) -> Iterator[Server]:
    """A service that runs one generation at a time, with room for two more, and whose every step is told.

    It also logs prompts, and has no folder for jobs.
    """
    settings = {
        "XCUBE_MAX_RUNNING": "1", "XCUBE_MAX_QUEUE": "2", **ONE_STEP_SLICES,
        "XCUBE_LOG_PROMPTS": "true", "XCUBE_JOBS_DIR": "/proc/nowhere",
    }  # fmt: skip
    with shared(start_shared, tiny_models, **settings) as running:
        yield running


@pytest.fixture(scope="session")
def loading(start_shared: StartServer, tmp_path_factory: pytest.TempPathFactory) -> Server:
    """A service that waits for models which will never answer."""
    running = start_shared(tmp_path_factory.mktemp("nothing"), XCUBE_SAMPLER_URL="http://127.0.0.1:9")
    running.wait_until("loading")
    return running


@pytest.fixture(scope="session")
def fast_demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """`scripts/serve` as a reader calls it, but the demo's place is taken by models as fast as they are random."""
    from tests.support.saved_models import save_models
    from training.shapes import names_of_kinds

    folder = tmp_path_factory.mktemp("demo")
    save_models(folder / "checkpoints", keep_fine=1, kinds=names_of_kinds())
    settings = {"XCUBE_CHECKPOINT_DIR": str(folder / "checkpoints"), "XCUBE_JOBS_DIR": str(folder / "jobs")}
    with serve(ROOT, folder, **settings) as running:
        yield running
