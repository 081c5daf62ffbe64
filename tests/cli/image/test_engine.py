from __future__ import annotations

import subprocess

import pytest

from cli.image import engine
from cli.image.engine import EngineError, Layer

DOCKER = """{"Comment":"","CreatedBy":"HEALTHCHECK","ID":"a","Size":"0"}
{"Comment":"","CreatedBy":"RUN uv pip install","ID":"b","Size":"1234567"}
"""
PODMAN = '[{"id":"a","CreatedBy":"HEALTHCHECK","size":0},{"id":"b","CreatedBy":"RUN uv pip install","size":1234567}]\n'


@pytest.mark.parametrize("printed", [DOCKER, PODMAN])
def test_the_history_of_each_engine_is_read(printed: str) -> None:
    assert engine.read_history(printed) == [Layer("RUN uv pip install", 1234567)]


@pytest.mark.parametrize(
    ("printed", "expected"),
    [
        ('["PATH=/bin:/usr/bin","XCUBE_ARGUMENTS=a=b"]\n', {"PATH": "/bin:/usr/bin", "XCUBE_ARGUMENTS": "a=b"}),
        ("null\n", {}),
    ],
)
def test_the_variables_of_an_image_are_read(
    printed: str, expected: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        assert command[0] == "podman", "buildah has no such command"
        return subprocess.CompletedProcess(command, 0, printed)

    monkeypatch.setattr(engine.shutil, "which", lambda name: f"/usr/bin/{name}")
    monkeypatch.setattr(engine.subprocess, "run", run)
    assert engine.variables("buildah", "localhost/xcube-serve:test") == expected


def test_an_engine_that_is_installed_but_does_not_work_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    def run(command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        return subprocess.CompletedProcess(command, 1 if command[0] == "docker" else 0)

    monkeypatch.setattr(engine.shutil, "which", lambda name: f"/usr/bin/{name}")
    monkeypatch.setattr(engine.subprocess, "run", run)
    assert engine.find() == "podman"


def test_without_an_engine_the_text_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine.shutil, "which", lambda _: None)
    with pytest.raises(EngineError, match="install docker"):
        engine.find()


def test_buildah_alone_is_said_to_be_too_little(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine.shutil, "which", lambda name: "/usr/bin/buildah" if name == "buildah" else None)
    with pytest.raises(EngineError, match="install podman"):
        engine.runner("buildah")
