from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from models import version


@pytest.fixture(autouse=True)
def forget() -> None:
    version.service_version.cache_clear()


def test_a_checkout_and_a_bento_know_their_version() -> None:
    """A Bento has pyproject.toml beside the code, and no installed package of this project."""
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
    assert version.service_version() == project["version"]


def test_without_anything_the_version_is_0(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def missing(_: str) -> str:
        raise version.PackageNotFoundError

    monkeypatch.setattr(version, "PYPROJECT", tmp_path / "pyproject.toml")
    monkeypatch.setattr(version, "version", missing)
    assert version.service_version() == "0"
    version.service_version.cache_clear()
