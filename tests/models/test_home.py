"""Where models are kept: a folder that cannot be used is told in one sentence, before BentoML meets it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from models import store
from models.errors import ConfigError
from models.home import check_home


def sentence() -> str:
    with pytest.raises(ConfigError) as caught:
        check_home()
    text = str(caught.value)
    assert "\n" not in text
    assert text.endswith("set BENTOML_HOME to a folder that can be written to.")
    return text


def test_a_home_is_made_where_it_is_missing_and_used_where_it_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("BENTOML_HOME", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    for _ in range(2):
        check_home()
    assert sorted(path.name for path in (tmp_path / "bentoml").iterdir()) == ["bentos", "envs", "models", "tmp"]
    monkeypatch.setenv("BENTOML_HOME", "$HOME/elsewhere")
    check_home()
    assert (tmp_path / "elsewhere" / "models").is_dir()


def test_a_user_without_a_home_is_told_to_name_a_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    """As a container's user with an id that no passwd file knows."""
    monkeypatch.delenv("BENTOML_HOME", raising=False)
    monkeypatch.setattr(os.path, "expanduser", lambda path: path)
    assert f"The user with the id {os.getuid()} has no home folder" in sentence()


def test_a_home_that_cannot_be_made_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    home = tmp_path / "file" / "bentoml"
    monkeypatch.setenv("BENTOML_HOME", str(home))
    assert f"The folder {home} for models cannot be created or used (Not a directory)" in sentence()


def test_the_store_says_the_same_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Unusable:
        @staticmethod
        def get() -> None:
            raise PermissionError(13, "Permission denied", "~")

    (tmp_path / "file").touch()
    monkeypatch.setenv("BENTOML_HOME", str(tmp_path / "file"))
    monkeypatch.setattr(store.BentoMLContainer, "model_store", Unusable, raising=False)
    with pytest.raises(ConfigError, match="set BENTOML_HOME to a folder that can be written"):
        store.find("demo")
