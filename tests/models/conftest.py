from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from models.checkpoint.convert import convert
from models.checkpoint.official import open_official
from models.checkpoint.own import write_own
from models.text import TextEncoder
from tests.support.saved_models import TEXT
from tests.support.store import own_store

GOLDEN = Path(__file__).parents[1] / "golden"


@pytest.fixture(autouse=True, scope="session")
def _one_thread() -> None:
    """Tiny networks gain nothing from threads, and lose a lot to them where other processes want the same cores."""
    torch.set_num_threads(1)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Path]:
    """An empty model store of this test's own."""
    with own_store(tmp_path / "bentoml" / "models") as root:
        yield root


@pytest.fixture(scope="session")
def official_own(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The golden pair in our own format."""
    folder = tmp_path_factory.mktemp("own")
    for stage in ("coarse", "fine"):
        (folder / stage).mkdir()
        convert(open_official(GOLDEN / f"objaverse_{stage}", stage), folder / stage)
    (folder / "text").mkdir()
    torch.manual_seed(0)
    encoder = TextEncoder(TEXT)
    write_own(folder / "text", TEXT, {name: value.half() for name, value in encoder.state_dict().items()})
    return folder


@pytest.fixture
def demo(tmp_path: Path, official_own: Path) -> Path:
    """A checkpoint folder with a demo set (the golden pair in our own format, and a text tower)."""
    folder = tmp_path / "checkpoints"
    for kind in ("text", "coarse", "fine"):
        shutil.copytree(official_own / kind, folder / f"demo_{kind}")
    return folder
