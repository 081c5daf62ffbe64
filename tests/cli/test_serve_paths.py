"""`cli.serve` changes into the project's folder: what a user meant relative to another one has to stay what it was."""

from __future__ import annotations

import os
import runpy
import sys
from pathlib import Path

import pytest

from api.settings import load_settings
from cli import serve

NAMES = ("XCUBE_CHECKPOINT_DIR", "XCUBE_CONFIG", "XCUBE_JOBS_DIR", "BENTOML_HOME")


def environment_of_the_service(
    monkeypatch: pytest.MonkeyPatch, folder: Path, settings: dict[str, str]
) -> list[str | None]:
    """The values of NAMES that `bentoml serve` would get if the service was started in `folder`."""
    monkeypatch.setenv("BENTOML_DO_NOT_TRACK", "true")
    for name in NAMES:
        monkeypatch.setenv(name, settings.get(name, ""))
    monkeypatch.chdir(folder)
    monkeypatch.setattr(serve, "check_port", lambda host, port: None)
    monkeypatch.setattr(runpy, "run_module", lambda name, **options: None)
    monkeypatch.setattr(sys, "argv", [])
    load_settings.cache_clear()
    try:
        serve.main([])
    finally:
        load_settings.cache_clear()
    return [os.environ.get(name) for name in NAMES]


def test_a_relative_path_counts_from_the_folder_that_the_service_is_started_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "set.yaml").write_text("fine: null\n")
    settings = dict(zip(NAMES, ("checkpoints", "set.yaml", "jobs", "store"), strict=True))
    expected = [str(tmp_path / path) for path in settings.values()]
    assert environment_of_the_service(monkeypatch, tmp_path, settings) == expected


def test_an_empty_variable_stays_unset_and_a_home_is_left_to_bentoml(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = environment_of_the_service(monkeypatch, tmp_path, {"BENTOML_HOME": "~/store"})
    assert given == [None, None, None, "~/store"]


def test_only_bentoml_s_folder_may_begin_with_a_variable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """BentoML resolves that one; of ours it would become a folder with a dollar in the project."""
    given = environment_of_the_service(monkeypatch, tmp_path, {"BENTOML_HOME": "$A/b", "XCUBE_JOBS_DIR": "$A/b"})
    assert given == [None, None, str(tmp_path / "$A/b"), "$A/b"]


def test_an_empty_home_of_bentoml_counts_as_unset_and_a_line_break_at_the_end_does_not_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """BentoML itself would keep models in the folder that it is started in."""
    assert environment_of_the_service(monkeypatch, tmp_path, {"BENTOML_HOME": ""})[3] is None
    assert environment_of_the_service(monkeypatch, tmp_path, {"BENTOML_HOME": "store\n"})[3] == str(tmp_path / "store")
