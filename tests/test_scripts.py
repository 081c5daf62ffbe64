"""The scripts and the environment that they make (scripts/_env.sh, scripts/_env.py)."""

from __future__ import annotations

import http.server
import importlib.util
import itertools
import os
import re
import shutil
import socket
import subprocess
import threading
import time
import tomllib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[1]
SCRIPTS = sorted(path for path in (ROOT / "scripts").iterdir() if path.is_file() and path.suffix == "")


def load_env() -> ModuleType:
    spec = importlib.util.spec_from_file_location("xcube_env", ROOT / "scripts" / "_env.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


env = load_env()


def executable(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project of nothing but what the environment is made from."""
    root = tmp_path / "project"
    (root / "requirements").mkdir(parents=True)
    executable(root / ".venv" / "bin" / "python", "exit 0")
    (root / "pyproject.toml").write_text("[project]\n")
    (root / "requirements" / "lock.txt").write_text("numpy==2.0\n")
    return root


# The scripts


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_a_script_is_thin_and_executable(script: Path) -> None:
    lines = script.read_text().splitlines()
    assert lines[0] == "#!/usr/bin/env bash"
    assert lines[1].startswith("# ")
    assert len(lines) <= 12
    assert os.access(script, os.X_OK)


def test_a_script_works_from_any_folder_and_through_a_link(tmp_path: Path) -> None:
    link = tmp_path / "run-tests"
    link.symlink_to(ROOT / "scripts" / "test")
    result = subprocess.run([link, "--version"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert "pytest" in result.stdout


def test_a_folder_of_the_user_cannot_hide_the_project_s_modules(tmp_path: Path) -> None:
    (tmp_path / "cli").mkdir()
    (tmp_path / "cli" / "generate.py").write_text("print('the wrong module')")
    result = subprocess.run(
        [ROOT / "scripts" / "generate", "--help"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
    assert "wrong" not in result.stdout
    assert "--guidance-scale" in result.stdout


def test_no_usable_python_is_said_in_one_sentence(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "scripts", tmp_path / "scripts", ignore=shutil.ignore_patterns("__pycache__"))
    tools = tmp_path / "tools"
    for name in ("bash", "dirname", "readlink"):
        found = shutil.which(name)
        assert found is not None
        (tools / name).parent.mkdir(exist_ok=True)
        (tools / name).symlink_to(found)
    executable(tools / "python3", "exit 1  # as a Python 3.10 or one without venv does when it is asked")
    result = subprocess.run(
        [tmp_path / "scripts" / "serve"], env={"PATH": str(tools)}, capture_output=True, text=True, check=False
    )
    assert result.returncode == 1
    assert result.stderr.strip().count("\n") == 0
    assert "No Python 3.11, 3.12 or 3.13 with venv was found: install one" in result.stderr


# Which wheels


def test_without_a_gpu_torch_comes_from_the_cpu_index_and_nothing_else_does() -> None:
    first, second = env.pip_installs(gpu=False, cpu_wheels=True)
    assert first[:3] == ["--no-deps", "--index-url", "https://download.pytorch.org/whl/cpu"]
    assert first[-2:] == ["torch", "torchvision"]
    assert "--index-url" not in second
    assert all("requirements/lock-cpu.txt" in arguments for arguments in (first, second))


@pytest.mark.parametrize(("gpu", "cpu_wheels"), [(True, True), (True, False), (False, False)])
def test_otherwise_the_default_wheels_are_taken(gpu: bool, cpu_wheels: bool) -> None:
    (only,) = env.pip_installs(gpu=gpu, cpu_wheels=cpu_wheels)
    assert only == ["-c", "requirements/lock.txt", "-e", ".[dev]"]


@pytest.mark.parametrize(
    ("gpu", "index_answers", "locks"),
    [
        (True, True, ["lock.txt"]),
        (False, False, ["lock.txt"]),
        (False, True, ["lock-cpu.txt", "lock-cpu.txt"]),
    ],
)
def test_an_install_asks_for_a_gpu_first_and_then_for_the_index(
    gpu: bool, index_answers: bool, locks: list[str], project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(env, "inside", lambda environment: True)
    used: list[str] = []
    asked: list[str] = []
    monkeypatch.setattr(env, "has_nvidia_gpu", lambda: gpu)
    monkeypatch.setattr(env, "answers", lambda url: asked.append(url) or index_answers)
    monkeypatch.setattr(env, "run_pip", lambda python, root, arguments, show: used.append(" ".join(arguments)))
    env.install(project)
    assert [re.findall(r"requirements/(\S+)", line) for line in used] == [[lock] for lock in locks]
    assert asked == ([] if gpu else ["https://download.pytorch.org/whl/cpu/torch/"])


def test_an_install_says_what_it_does_before_it_makes_the_environment(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    said: list[str] = []
    monkeypatch.setattr(env.venv, "create", lambda *_, **__: said.append(capsys.readouterr().err))
    monkeypatch.setattr(env, "has_nvidia_gpu", lambda: True)
    monkeypatch.setattr(env, "run_pip", lambda *_: None)
    env.install(project)
    assert said == ["Installing the Python packages into .venv (minutes the first time, later seconds).\n"]


@pytest.mark.parametrize(
    ("nvidia_smi", "expected"),
    [("echo 'GPU 0: NVIDIA H100'", True), ("echo 'No devices were found'", False), ("echo 'GPU 0: x'; exit 9", False)],
)
def test_a_gpu_counts_when_nvidia_smi_lists_one(
    nvidia_smi: str, expected: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    executable(tmp_path / "nvidia-smi", nvidia_smi)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    assert env.has_nvidia_gpu() is expected


def test_no_gpu_without_nvidia_smi(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert env.has_nvidia_gpu() is False


@pytest.fixture
def web_server() -> Iterator[str]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), http.server.SimpleHTTPRequestHandler)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_the_probe_sees_an_index_that_answers(web_server: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert env.answers(f"{web_server}/") is True
    assert env.answers(f"{web_server}/no-such-page") is False


def test_the_probe_gives_up_on_an_index_that_says_nothing() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        start = time.monotonic()
        assert env.answers(f"http://127.0.0.1:{silent.getsockname()[1]}/", seconds=0.5) is False
        assert 0.4 < time.monotonic() - start < 20
    assert env.PROBE_SECONDS == 3.0


# When to install


def test_it_installs_once_and_again_after_a_change(project: Path) -> None:
    calls: list[Path] = []
    env.ensure(project, calls.append)
    env.ensure(project, calls.append)
    assert calls == [project]
    (project / "requirements" / "lock.txt").write_text("numpy==2.1\n")
    env.ensure(project, calls.append)
    assert len(calls) == 2
    (project / "pyproject.toml").write_text("[project]\nname = 'changed'\n")
    env.ensure(project, calls.append)
    assert len(calls) == 3
    (project / "pyproject.toml").write_text("[project]\nname = 'changed'\n[tool.ruff]\nline-length = 100\n")
    env.ensure(project, calls.append)
    assert len(calls) == 3, "settings of the tools need no install"
    with (project / "pyproject.toml").open("a") as file:
        file.write("[tool.hatch.build.targets.wheel]\ndev-mode-dirs = ['.']\n")
    env.ensure(project, calls.append)
    assert len(calls) == 4, "what an editable install makes importable does"


def test_an_environment_that_was_moved_is_installed_again(project: Path) -> None:
    calls: list[Path] = []
    env.ensure(project, calls.append)
    moved = project.rename(project.with_name("moved"))
    env.ensure(moved, calls.append)
    assert calls == [project, moved]


@pytest.mark.parametrize("broken", ["exit 1", None])
def test_an_environment_whose_python_is_broken_or_gone_is_made_anew(broken: str | None, project: Path) -> None:
    python = project / ".venv" / "bin" / "python"
    calls: list[Path] = []
    env.ensure(project, calls.append)
    if broken is None:
        python.unlink()
    else:
        executable(python, broken)
    env.ensure(project, calls.append)
    assert len(calls) == 2


def test_a_failed_install_is_tried_again(project: Path) -> None:
    def fail(root: Path) -> None:
        raise env.InstallError("no network")

    calls: list[Path] = []
    env.ensure(project, calls.append)
    (project / "pyproject.toml").write_text("[project]\nname = 'changed'\n")
    with pytest.raises(env.InstallError):
        env.ensure(project, fail)
    env.ensure(project, calls.append)
    assert len(calls) == 2


def test_ctrl_c_during_an_install_is_answered_by_a_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(root: Path) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(env, "ensure", interrupted)
    assert env.main() == 130
    assert capsys.readouterr().err == "\nStopped. The next start goes on where this one stopped.\n"


def test_scripts_started_together_install_once(project: Path) -> None:
    calls: list[Path] = []

    def slow_install(root: Path) -> None:
        time.sleep(0.3)
        calls.append(root)

    with ThreadPoolExecutor(4) as pool:
        for done in [pool.submit(env.ensure, project, slow_install) for _ in range(4)]:
            done.result()
    assert len(calls) == 1


def test_pip_s_last_words_reach_the_user_when_it_fails(project: Path) -> None:
    python = executable(project / ".venv" / "bin" / "python", "echo 'ERROR: no such version'; exit 1")
    seen: list[str] = []
    with pytest.raises(env.InstallError, match="no such version"):
        env.run_pip(python, project, ["torch"], seen.append)
    assert seen == ["ERROR: no such version"]
    assert "no such version" in (project / ".venv" / "install.log").read_text()


# The locks


def pins(name: str) -> dict[str, set[str]]:
    """Package → its versions (a lock may hold one a Python version)."""
    found: dict[str, set[str]] = {}
    for line in (ROOT / "requirements" / name).read_text().splitlines():
        if match := re.match(r"([\w.-]+)==([^ ;]+)", line):
            found.setdefault(match[1].lower().replace("_", "-"), set()).add(match[2])
    return found


@pytest.mark.parametrize("lock", ["lock.txt", "lock-cpu.txt"])
def test_every_dependency_is_locked(lock: str) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = itertools.chain.from_iterable(project["optional-dependencies"].values())
    wanted = [*project["dependencies"], *extras]
    names = {re.split(r"[\[<>=!~; ]", requirement)[0].lower().replace("_", "-") for requirement in wanted}
    assert names - {"xcube-serve"} <= pins(lock).keys()


def test_the_cpu_lock_differs_from_the_other_by_cuda_packages_alone() -> None:
    full, cpu = pins("lock.txt"), pins("lock-cpu.txt")
    left_out = full.keys() - cpu.keys()
    assert {"triton", "nvidia-cublas"} <= left_out
    assert all(re.match(r"nvidia-|cuda-|triton", name) for name in left_out)
    assert not any(name.startswith("nvidia-cu") for name in cpu)
    assert cpu == {name: versions for name, versions in full.items() if name not in left_out}
    assert cpu["torch"] == {"2.13.0"}
