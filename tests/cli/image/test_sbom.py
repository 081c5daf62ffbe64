from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from cli.image import engine, sbom
from cli.image.engine import EngineError


@pytest.fixture(autouse=True)
def every_engine_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine.shutil, "which", lambda name: f"/usr/bin/{name}")


LISTING = json.dumps([[["Jinja2", "3.1.6"], ["torch", "2.13.0+cpu"]], [["bash", "5.2.15-2+b7"]]])


def test_a_bill_of_materials_is_valid_and_names_python_and_debian_packages(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        assert command[0] == "podman", "buildah starts nothing"
        assert {"--network", "none", "--read-only"} <= set(command)
        return subprocess.CompletedProcess(command, 0, f"a line of the entry point\n{LISTING}\n")

    monkeypatch.setattr(sbom.subprocess, "run", run)
    file = tmp_path / "build" / "bill.json"
    assert sbom.write("buildah", "registry.example.com/xcube-serve:0.1.0", file) == 3
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(file.read_text()) is None
    bill = json.loads(file.read_text())
    assert {component["purl"] for component in bill["components"]} == {
        "pkg:pypi/jinja2@3.1.6",
        "pkg:pypi/torch@2.13.0%2Bcpu",
        "pkg:deb/debian/bash@5.2.15-2%2Bb7",
    }
    assert bill["metadata"]["component"]["name"] == "xcube-serve"


def test_an_image_that_does_not_start_has_no_bill(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sbom.subprocess, "run", lambda command, **_: subprocess.CompletedProcess(command, 125, ""))
    with pytest.raises(EngineError, match="could not be started"):
        sbom.write("podman", "nothing:1", tmp_path / "bill.json")
    assert not (tmp_path / "bill.json").exists()
