"""Several keys in a file: whose each is, what a bad file does, and that a changed one counts without a restart."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from api import keys as module
from api.clients import Client, Quota
from api.keys import KeyFile, digest_of, read_keys
from api.settings import read_settings
from models.errors import ConfigError

WEB = {"name": "web", "key": "a secret", "priority": "high", "requests_per_minute": 60, "steps_per_day": 1000}
LAB = {"name": "lab", "sha256": digest_of("another secret").hex(), "waiting_jobs": 3}


def written(folder: Path, *keys: Any, name: str = "keys.json") -> Path:
    path = folder / name
    path.write_text(json.dumps({"keys": keys}))
    return path


def names(file: KeyFile, *keys: str) -> list[str | None]:
    return [found.name if (found := file.client_of(key)) else None for key in keys]


def test_a_key_tells_whose_it_is_and_what_that_client_may_have(tmp_path: Path) -> None:
    file = KeyFile(written(tmp_path, WEB, LAB))
    web = file.client_of("a secret")
    assert web == Client("web", 4.0, "web", alone=True, quota=Quota(60, 1000, None))
    lab = file.client_of("another secret")
    assert lab is not None
    assert (lab.name, lab.weight, lab.quota.waiting_jobs) == ("lab", 1.0, 3)
    assert [file.client_of(key) for key in ("", "a secret ", "other", str(LAB["sha256"]))] == [None] * 4


def test_a_file_may_be_yaml(tmp_path: Path) -> None:
    path = tmp_path / "keys.yaml"
    path.write_text("keys:\n  - name: web\n    key: 'a secret'\n    priority: low\n")
    found = KeyFile(path).client_of("a secret")
    assert found is not None
    assert found.weight == 0.25


@pytest.mark.parametrize(
    ("entries", "fault"),
    [
        ([], "keys"),
        ([{"key": "a secret"}], "keys.0.name is missing"),
        ([{"name": "web"}], "either key or sha256"),
        ([{**WEB, "sha256": "0" * 64}], "either key or sha256"),
        ([{**WEB, "name": "two words"}], "keys.0.name"),
        ([{**WEB, "name": ""}], "keys.0.name"),
        ([{**WEB, "key": ""}], "keys.0.key"),
        ([{**WEB, "key": "geheimnisträger"}], "keys.0.key"),
        ([{"name": "web", "sha256": "short"}], "keys.0.sha256"),
        ([{**WEB, "priority": "urgent"}], "keys.0.priority"),
        ([{**WEB, "requests_per_minute": 0}], "keys.0.requests_per_minute"),
        ([{**WEB, "requests_per_minute": "60"}], "keys.0.requests_per_minute"),
        ([{**WEB, "limit": 5}], "keys.0.limit is not a known field"),
        ([WEB, {**WEB, "key": "other"}], "same name"),
        ([WEB, {"name": "copy", "sha256": digest_of("a secret").hex()}], "same key"),
    ],
)
def test_a_bad_file_is_told_in_a_sentence_without_any_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, entries: list[Any], fault: str
) -> None:
    path = written(tmp_path, *entries)
    monkeypatch.setenv("XCUBE_API_KEYS_FILE", str(path))
    with pytest.raises(ConfigError, match=r"^XCUBE_API_KEYS_FILE is ") as caught:
        read_settings()
    assert fault in str(caught.value)
    assert "secret" not in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["", "[]", "keys", "{", "keys: {web: secret}"])
def test_what_is_no_file_of_keys_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "keys"
    path.write_text(text)
    with pytest.raises(ValueError, match=r"is not|is no"):
        read_keys(path)
    with pytest.raises(ValueError, match="is "):
        read_keys(tmp_path / "none")


def test_a_file_that_changes_counts_and_a_bad_one_changes_nothing_and_is_told_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", logger="xcube.keys")
    path = written(tmp_path, WEB)
    file = KeyFile(path)
    file.look()
    assert caplog.messages == []
    written(tmp_path, LAB)
    file.look()
    assert names(file, "a secret", "another secret") == [None, "lab"]
    path.write_text("keys: []")
    for _ in range(3):
        file.look()
    path.unlink()
    for _ in range(3):
        file.look()
    assert names(file, "a secret", "another secret") == [None, "lab"]
    assert ["valid" in message for message in caplog.messages] == [True] * 3, caplog.messages
    written(tmp_path, WEB, LAB)
    file.look()
    assert names(file, "a secret", "another secret") == ["web", "lab"]


def test_a_mounted_secret_changes_by_its_link(tmp_path: Path) -> None:
    for folder, entry in (("one", WEB), ("two", LAB)):
        (tmp_path / folder).mkdir()
        written(tmp_path / folder, entry)
    link = tmp_path / "data"
    link.symlink_to("one")
    (tmp_path / "keys.json").symlink_to("data/keys.json")
    file = KeyFile(tmp_path / "keys.json")
    new = tmp_path / "new"
    new.symlink_to("two")
    os.replace(new, link)
    file.look()
    assert names(file, "a secret", "another secret") == [None, "lab"]


def test_a_change_is_seen_without_anybody_looking(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PERIOD", 0.01)
    file = KeyFile(written(tmp_path, WEB))
    assert names(file, "a secret") == ["web"]
    written(tmp_path, LAB)
    while names(file, "a secret") != [None]:
        pass
