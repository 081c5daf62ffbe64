"""The CPU image: built without a daemon, started with every protection on and no network, called, and stopped."""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
import time
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cli.image.variant import ROOT
from tests.deploy import engine as engines
from tests.deploy.bento import build, tool
from tests.deploy.engine import Engine

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(1800),
    pytest.mark.skipif(engines.missing() != "", reason=engines.missing()),
]
TAG = "localhost/xcube-serve-cpu:test"
BASE = "docker.io/library/python:3.11-slim"
HARDENED = (
    *("--network", "none", "--read-only", "--cap-drop", "ALL", "--security-opt", "no-new-privileges"),
    *("--memory", "4g", "--tmpfs", "/tmp:rw,size=1g", "--env", "XCUBE_THREADS=1"),
)


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """Engines with the image built in them by scripts/image."""
    bento = build(tmp_path_factory.mktemp("image"))
    short = Path(tempfile.mkdtemp(prefix="xcube-"))  # podman's folders must have short paths
    engine = engines.make(short, bento.environment)
    source = engines.provide_base(engine, BASE, "3.11")
    output = tool(
        "cli.image", "--cpu", "--engine", "buildah", "--bento", bento.tag, "--tag", TAG, environment=engine.environment
    )
    print(f"base image: {source}\n{output[-3000:]}")
    engines.without_build_volumes(engine)
    yield engine
    engine.run("podman", "system", "reset", "--force", check=False)
    shutil.rmtree(short, ignore_errors=True)


@pytest.fixture(scope="module")
def settings(engine: Engine) -> dict[str, Any]:
    (shown,) = json.loads(engine.run("podman", "image", "inspect", TAG))
    config: dict[str, Any] = shown["Config"] | {"Healthcheck": shown["Healthcheck"]}
    return config


def test_its_settings_are_those_of_the_manifests(settings: dict[str, Any]) -> None:
    environment = dict(each.split("=", 1) for each in settings["Env"])
    assert settings["User"] == "1034:1034"
    assert "8000/tcp" in settings["ExposedPorts"]
    assert settings["Healthcheck"]["Test"][:2] == ["CMD", "python"]
    assert settings["StopSignal"] in ("SIGTERM", "15")
    assert settings["Cmd"] == ["serve", "--timeout-graceful-shutdown", "300"]
    assert environment["BENTOML_HOME"] == "/var/cache/xcube"
    assert environment["XCUBE_JOBS_DIR"] == "/var/cache/xcube/jobs"
    assert environment["XCUBE_DEVICE"] == "cpu"


def test_nothing_of_the_building_machine_is_in_it(engine: Engine, settings: dict[str, Any]) -> None:
    words = ("TOKEN", "SECRET", "PASSWORD", "INDEX_URL", "PROXY", "CERT")
    assert not [each for each in settings["Env"] if any(word in each.split("=")[0].upper() for word in words)]
    look = (
        "from pathlib import Path\n"
        "files = map(Path, ('/etc/pip.conf', '/etc/uv/uv.toml'))\n"
        "print([file for file in files if file.exists() and file.stat().st_size])"
    )
    shown = engine.run("podman", "run", "--rm", *HARDENED, TAG, "python", "-c", look)
    assert shown.strip() == "[]"


def test_open_clip_is_in_it_without_weights_and_cuda_is_not(engine: Engine) -> None:
    look = (
        "import pathlib, site\n"
        "packages = pathlib.Path(site.getsitepackages()[0])\n"
        "big = [f for f in packages.rglob('*') if f.suffix in {'.safetensors', '.bin', '.pt', '.pth', '.ckpt'}\n"
        "       and f.stat().st_size > 2**20]\n"
        "print((packages / 'open_clip').is_dir(), big)"
    )
    shown = engine.run("podman", "run", "--rm", *HARDENED, TAG, "python", "-c", look)
    assert shown.strip() == "True []"


def test_it_serves_without_network_as_nobody_special_and_stops_on_sigterm(engine: Engine) -> None:
    name = "xcube-test"
    engine.run("podman", "run", "--detach", "--name", name, "--volume", "xcube-cache:/var/cache/xcube", *HARDENED, TAG)
    try:
        (state,) = json.loads(engine.run("podman", "inspect", name))
        pid = str(state["State"]["Pid"])
        start = time.monotonic()
        while status(pid, "/readyz") != "200":
            assert time.monotonic() < start + 90, engine.logs(name)
            time.sleep(0.25)
        print(f"ready after {time.monotonic() - start:.1f} s")
        assert status(pid, "/livez") == status(pid, "/health") == status(pid, "/metrics") == "200"
        assert json.loads(inside(pid, "http://127.0.0.1:8000/"))["version"] == project_version()
        answer = json.loads(call(pid, "/generate", {"prompt": "a chair", "ddim_steps": 2, "seed": 3}))
        assert len(answer["fine_xyz"]) > len(answer["coarse_xyz"]) > 0
        assert "Uid:\t1034\t1034" in Path(f"/proc/{pid}/status").read_text()
        assert "CapEff:\t0000000000000000" in Path(f"/proc/{pid}/status").read_text()
        engine.run("podman", "healthcheck", "run", name)
        engine.run("podman", "stop", "--time", "60", name)
        (state,) = json.loads(engine.run("podman", "inspect", name))
        assert state["State"]["ExitCode"] == 0, engine.logs(name)
    finally:
        engine.run("podman", "rm", "--force", "--time", "2", name, check=False)


def project_version() -> str:
    return str(tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"])


def status(pid: str, path: str) -> str:
    return inside(pid, "--output", "/dev/null", "--write-out", "%{http_code}", f"http://127.0.0.1:8000{path}")


def call(pid: str, path: str, body: dict[str, Any]) -> str:
    json_body = ("--header", "Content-Type: application/json", "--data", json.dumps(body))
    return inside(pid, *json_body, f"http://127.0.0.1:8000{path}")


def inside(pid: str, *arguments: str) -> str:
    """curl of this machine in the network of a container, which has no way out."""
    command = ["nsenter", "--target", pid, "--net", "curl", "--silent", "--max-time", "60", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout
