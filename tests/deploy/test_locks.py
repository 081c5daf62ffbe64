"""What images are made of: exact versions, hashes, one CUDA triple, known licences."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from cli import audit
from cli.audit import LOCKS, PERMISSIVE, licences, normal, packages
from cli.image import __main__ as image
from cli.image import lock

ROOT = Path(__file__).resolve().parents[2]
# fvdb-core has no hash where its index could not be reached; PyTorch's CPU wheels come from one of two places.
UNHASHED = {"cuda": {"fvdb-core"}, "cpu": {"torch", "torchvision"}}


def entries(device: str) -> dict[str, str]:
    """Requirements of a lock, each with its hashes, by name."""
    text = re.sub(r"\\\n", " ", LOCKS[device].read_text())
    lines = [line for line in text.splitlines() if line and not line.startswith(("#", "--"))]
    return {line.split("==")[0]: line for line in lines}


@pytest.mark.parametrize("device", LOCKS)
def test_every_package_has_one_exact_version_and_hashes(device: str) -> None:
    for name, line in entries(device).items():
        assert re.match(r"^[a-z0-9.-]+==[\w.+!-]+( |$)", line), line
        if name not in UNHASHED[device]:
            assert re.search(r"--hash=sha256:[0-9a-f]{64}\b", line), f"{name} has no hash"


@pytest.mark.parametrize("device", LOCKS)
def test_every_dependency_of_the_project_is_locked(device: str) -> None:
    wanted = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    names = {normal(re.split(r"[\[<>=!~; ]", requirement)[0]) for requirement in wanted}
    assert names <= set(packages(device)), "run scripts/image --lock"


def test_pytorch_cuda_and_fvdb_are_one_triple() -> None:
    """fvdb-core's build tag names the PyTorch and the CUDA that it was compiled against; others do not import."""
    cuda = packages("cuda")
    public, _, build = cuda["fvdb-core"].partition("+")
    assert re.fullmatch(r"0\.5\.\d+", public)
    torch, toolkit = re.fullmatch(r"pt(\d+)\.cu(\d+)", build).groups()  # type: ignore[union-attr]
    assert cuda["torch"].split(".")[:2] == [torch[0], torch[1:]] == ["2", "11"]
    assert cuda["cuda-toolkit"].split(".")[:2] == [toolkit[:2], toolkit[2:]] == ["13", "0"]
    assert {name for name in cuda if name.startswith("nvidia-cudnn")} == {"nvidia-cudnn-cu13"}


@pytest.mark.parametrize("path", [*LOCKS.values(), *(ROOT / "requirements").glob("*"), ROOT / "pyproject.toml"])
def test_nobody_asks_for_the_other_package_named_fvdb(path: Path) -> None:
    """`fvdb` on PyPI is a wrapper of FAISS under AGPL; the sparse grids are `fvdb-core`."""
    if path.is_file():
        assert not re.search(r"^\s*\"?fvdb\s*([=<>~!\[\"]|$)", path.read_text(), re.MULTILINE)


def test_the_cpu_image_needs_no_index_of_its_own_and_no_cuda() -> None:
    text = LOCKS["cpu"].read_text()
    assert "--index-url" not in text
    assert "--extra-index-url" not in text
    cuda = [name for name in packages("cpu") if re.match(r"cuda-|triton|nvidia-(?!ml-py)|fvdb", name)]
    assert cuda == []


def test_the_cpu_image_has_the_versions_that_the_tests_ran_with() -> None:
    """Some have two versions in requirements/lock-cpu.txt, for older and newer Pythons."""
    tested = set(re.findall(r"^([\w.-]+)==(\S+)", (ROOT / "requirements/lock-cpu.txt").read_text(), re.MULTILINE))
    assert set(packages("cpu").items()) - tested == set()


def test_without_uv_the_text_says_how_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(lock.sys, "executable", str(tmp_path / "python"))
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(sys, "argv", ["scripts/image", "--lock"])
    before = LOCKS["cuda"].read_bytes()
    assert image.main() == 1
    assert "pip install uv" in capsys.readouterr().err
    assert LOCKS["cuda"].read_bytes() == before


def test_bentoml_is_one_without_known_holes() -> None:
    """Below 1.4.39: command injection at image builds (CVE-2026-33744, CVE-2026-44345), pickles (CVE-2025-27520)."""
    for device in LOCKS:
        assert tuple(map(int, packages(device)["bentoml"].split("."))) >= (1, 4, 39)


def test_the_licence_list_is_complete_and_permissive() -> None:
    rows = licences()
    assert {row[0] for row in rows} == set(packages("cpu")) | set(packages("cuda"))
    assert [row for row in rows if not PERMISSIVE.search(row[2])] == []
    listed = (ROOT / "docs/licences.md").read_text()
    names = set(re.findall(r"^\| ([\w.-]+) \|", listed, re.MULTILINE)) - {"package", "---"}
    assert names == {row[0] for row in rows}, "run .venv/bin/python -m cli.audit --licences > docs/licences.md"


def test_an_audit_that_finds_or_reaches_nothing_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []

    def run(command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        seen.append(Path(command[-1]).read_text())
        assert "--strict" in command, "a package that cannot be looked up must not pass"
        return subprocess.CompletedProcess(command, 1)

    monkeypatch.setattr(audit, "install_pip_audit", lambda: None)
    monkeypatch.setattr(audit.subprocess, "run", run)
    assert audit.advisories() is True
    assert len(seen) == len(LOCKS)
    assert all("torch==" in text and "+" not in text for text in seen)
