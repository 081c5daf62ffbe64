"""The versions of Python that are promised are the same everywhere, and one that is missing fails the run."""

from __future__ import annotations

import re
import sys
import tomllib

import pytest

from cli import pythons
from cli.pythons import ROOT, find, main, own, promised


def test_pyproject_the_scripts_and_readme_promise_the_same_versions() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    first, last = promised()[0], promised()[-1]
    assert project["requires-python"] == f">={first},<3.{int(last[2:]) + 1}"
    script = (ROOT / "scripts" / "_env.sh").read_text()
    assert f"(3, {first[2:]}) <= sys.version_info[:2] <= (3, {last[2:]})" in script
    assert set(re.findall(r"python(3\.\d+)", script)) == set(promised())
    sentence = f"{', '.join(promised()[:-1])} or {last}"
    assert f"Python {sentence} with `venv`" in (ROOT / "README.md").read_text()


def test_ci_tries_every_promised_version_in_a_clean_clone_but_the_one_of_the_whole_suite(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tried: list[str] = []
    monkeypatch.setattr(pythons, "try_on", lambda version, lowest: tried.append(version))
    assert main([]) == 0
    assert sorted([*tried, own()]) == promised()


def test_the_running_version_is_found_and_one_that_is_not_there_fails_in_one_sentence(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert find(own()) is not None
    assert find("3.2") is None
    assert main(["--python", "3.2"]) == 1
    assert "Python 3.2: There is no Python 3.2 with venv here: install it" in capsys.readouterr().err


def test_the_lowest_versions_are_tried_on_the_oldest_python_and_want_uv(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(pythons, "find", lambda version: sys.executable)
    monkeypatch.setattr(pythons, "_run", lambda *command, cwd: None)
    monkeypatch.setattr(pythons.shutil, "which", lambda name: None)
    assert main(["--lowest"]) == 1
    assert f"Python {promised()[0]}: --lowest needs uv: pip install uv." in capsys.readouterr().err
