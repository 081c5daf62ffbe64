from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.answering import Server, answering


@pytest.fixture
def server() -> Iterator[Server]:
    """What scripts/generate talks to."""
    with answering() as running:
        yield running


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder where the user is, who has no key."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("XCUBE_API_KEY", raising=False)
    return tmp_path
