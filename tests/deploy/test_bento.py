"""A Bento holds what the service needs and nothing else, and serves from the store alone."""

from __future__ import annotations

import ast
import contextlib
import http.server
import json
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import yaml

from cli.image.variant import ROOT, Device, derive
from tests.support import kustomize
from tests.support.bento import Built, build, python_of_the_lock
from tests.support.service import Server, started

pytestmark = pytest.mark.timeout(300)


HADOLINT = Path(sys.executable).with_name("hadolint")


@pytest.fixture(scope="module")
def bento(tmp_path_factory: pytest.TempPathFactory) -> Built:
    return build(tmp_path_factory.mktemp("bento"))


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Python without this project and without anything that the lock does not name."""
    return python_of_the_lock(tmp_path_factory.mktemp("python") / "venv")


def sources(bento: Built) -> set[str]:
    return {str(path.relative_to(bento.path / "src")) for path in (bento.path / "src").rglob("*") if path.is_file()}


def test_it_holds_the_service_and_no_tests_caches_or_weights(bento: Built) -> None:
    found = sources(bento)
    assert {"service.py", "api/settings.py", "models/pipeline.py", "api/http/static/docs.html"} <= found
    assert {Path(name).parts[0] for name in found} == {
        *(
            "LICENSE",
            "api",
            "bentofile.yaml",
            "cli",
            "formats",
            "models",
            "pyproject.toml",
            "requirements",
            "service.py",
        )
    }
    assert not [name for name in found if re.search(r"__pycache__|(^|/)(tests/|test_)", name)]
    assert not [name for name in found if name.endswith((".pyc", ".safetensors", ".ckpt", ".log"))]


@pytest.mark.skipif(shutil.which("git") is None or not (ROOT / ".git").exists(), reason="not a git checkout")
def test_everything_that_git_has_in_the_packages_is_in_it(bento: Built) -> None:
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "api", "formats", "models", "service.py"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    present = {name for name in listed if (ROOT / name).exists()}
    assert present <= sources(bento)


def test_its_modules_import_nothing_of_the_project_that_it_lacks(bento: Built) -> None:
    own = {path.name.removesuffix(".py") for path in ROOT.iterdir() if path.suffix == ".py" or path.is_dir()}
    inside = {Path(name).parts[0].removesuffix(".py") for name in sources(bento)}
    for name in sources(bento):
        if name.endswith(".py"):
            for node in ast.walk(ast.parse((bento.path / "src" / name).read_text())):
                modules: list[str] = []
                if isinstance(node, ast.Import):
                    modules = [alias.name for alias in node.names]
                elif isinstance(node, ast.ImportFrom) and node.level == 0:
                    modules = [node.module or ""]
                for module in modules:
                    top = module.split(".")[0]
                    assert top not in own or top in inside, f"{name} imports {module}"
                    if top in {"api", "cli", "formats", "models"}:
                        path = bento.path / "src" / Path(*module.split("."))
                        assert path.is_dir() or path.with_suffix(".py").is_file(), f"{name} imports {module}"


def test_its_description_labels_models_and_lock_are_declared(bento: Built) -> None:
    info = yaml.safe_load((bento.path / "bento.yaml").read_text())
    assert info["spec"] == 2
    assert sorted(model["tag"] for model in info["models"]) == bento.models
    assert [tag.split(":")[0] for tag in bento.models] == ["xcube-coarse", "xcube-fine", "xcube-text"]
    assert info["labels"] == {"project": "xcube-serve", "licence": "Apache-2.0", "device": "cpu", "models": "demo"}
    assert (bento.path / "README.md").read_bytes() == (ROOT / "README.md").read_bytes()
    lock = (ROOT / "requirements/image/cpu.txt").read_text()
    wanted = [line for line in lock.splitlines() if line and not line.startswith("#")]
    installed = (bento.path / "env/python/requirements.txt").read_text()
    missing = [line for line in wanted if line.strip(" \\") not in installed]
    assert missing == []


def test_the_dockerfiles_pass_the_linter(bento: Built) -> None:
    generated = bento.path / "env/docker/Dockerfile"
    assert "FROM docker.io/library/python:3.11-slim AS base-container" in generated.read_text()
    rules = ROOT / "deploy/image/hadolint.yaml"
    for file, options in ((generated, ["--config", rules]), (ROOT / "deploy/image/Dockerfile", ["-t", "style"])):
        done = subprocess.run([HADOLINT, "--no-color", *options, file], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


def test_every_exception_for_the_linter_is_needed_and_has_a_reason(bento: Built) -> None:
    rules = ROOT / "deploy/image/hadolint.yaml"
    done = subprocess.run(
        [HADOLINT, "--no-color", "--no-fail", "-t", "style", bento.path / "env/docker/Dockerfile"],
        cwd=bento.home,
        capture_output=True,
        text=True,
        check=True,
    )
    for line in rules.read_text().splitlines():
        if line.startswith("  - "):
            rule, _, reason = line.removeprefix("  - ").partition(" # ")
            assert rule in done.stdout, f"{rule} is not found any more"
            assert len(reason) > 10


@pytest.mark.parametrize("device", ["cuda", "cpu"])
def test_the_last_stage_sets_what_the_build_file_sets(device: Device) -> None:
    """It starts from the base image, where nothing of the Bento's environment is set."""
    dockerfile = (ROOT / "deploy/image/Dockerfile").read_text()
    variables = dict(re.findall(r"^(?:ENV|   ) (\w+)=(\S+)", dockerfile, re.MULTILINE))
    for each in derive(device)["envs"]:
        assert variables[each["name"]] in (each["value"], f"${{{each['name']}}}")


@contextlib.contextmanager
def running(
    command: list[str], bento: Built, folder: Path, python: Path = Path(sys.executable), **settings: str
) -> Iterator[Server]:
    """A service that is started by a command in an empty folder, and ready."""
    folder.joinpath("empty").mkdir()
    fixed = {"XCUBE_DEVICE": "cpu", "XCUBE_THREADS": "1", "XCUBE_MODEL": "demo", "PYTHONDONTWRITEBYTECODE": "1"}
    environment = bento.environment | fixed | settings
    with started([python, "-m", *command], environment, folder / "log", cwd=folder / "empty") as service:
        service.wait_until_ready()
        yield service


def test_it_serves_from_the_store_in_an_empty_folder(bento: Built, python: Path, tmp_path: Path) -> None:
    look = "from importlib.util import find_spec; print([find_spec(name) for name in ('api', 'models', 'pytest')])"
    found = subprocess.run([python, "-c", look], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[None, None, None]"
    with running(["bentoml", "serve", bento.tag], bento, tmp_path, python) as service:
        assert any(Path(worker.cwd()).is_relative_to(bento.path) for worker in service.processes())
        request = {"prompt": "a chair", "ddim_steps": 2, "seed": 3}
        answer = httpx.post(f"{service.url}/generate", json=request, timeout=60)
        assert answer.status_code == 200, answer.text
        assert len(answer.json()["fine_xyz"]) > len(answer.json()["coarse_xyz"]) > 0
        assert service.stop() == 0
    assert list((tmp_path / "empty").iterdir()) == []


def test_it_serves_as_in_an_image_with_its_models_beside_it(bento: Built, tmp_path: Path) -> None:
    """In an image the models are in the Bento's folder, and BENTOML_HOME is an empty volume."""
    packed = tmp_path / "bento"
    shutil.copytree(bento.path, packed)
    shutil.copytree(bento.home / "models", packed / "models")
    before = times(packed)
    command = ["bentoml", "serve", "--timeout-graceful-shutdown", "300", str(packed)]
    dockerfile = (ROOT / "deploy/image/Dockerfile").read_text()
    variables = re.findall(r"(\w+)=/var/cache/xcube(\S*)", dockerfile)
    volume = {name: f"{tmp_path / 'volume'}{rest}" for name, rest in variables}
    assert {"BENTOML_HOME", "XCUBE_JOBS_DIR"} <= set(volume)
    with running(command, bento, tmp_path, **volume) as service:
        request = {"prompt": "a chair", "ddim_steps": 2, "seed": 3}
        assert httpx.post(f"{service.url}/generate", json=request, timeout=60).status_code == 200
        assert healthy(service.url)
    assert not healthy(service.url)
    assert times(packed) == before, "the image is read-only"


def times(folder: Path) -> dict[Path, int]:
    """When each file was written."""
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}


def healthy(url: str, **variables: str) -> bool:
    """What the image's health check says of a service."""
    dockerfile = (ROOT / "deploy/image/Dockerfile").read_text()
    check = re.search(r"^HEALTHCHECK .*\\\n +CMD (\[.*\])$", dockerfile, re.MULTILINE)
    assert check is not None
    _, *arguments = json.loads(check[1])
    environment = variables | {"BENTOML_PORT": str(httpx.URL(url).port)}
    return subprocess.run([sys.executable, *arguments], env=environment, capture_output=True).returncode == 0


def test_the_health_check_sends_the_key() -> None:
    """With XCUBE_API_KEY_EVERYWHERE, /livez asks for it."""
    keys: list[str | None] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            keys.append(self.headers["X-API-Key"])
            self.send_response(200 if self.path == "/livez" and keys[-1] == "a key" else 401)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}"
        assert healthy(url, XCUBE_API_KEY="a key")
        assert healthy(url, XCUBE_API_KEY="a key\n"), "as a secret that is read from a file ends"
        proxies = {"http_proxy": "http://127.0.0.1:9", "ALL_PROXY": "http://127.0.0.1:9"}
        assert healthy(url, XCUBE_API_KEY="a key", **proxies), "no proxy reaches the container's own port"
        assert not healthy(url)
        server.shutdown()
    assert keys == ["a key", "a key", "a key", ""]


def test_the_gpu_tiers_command_serves_the_sampler_alone(bento: Built, tmp_path: Path) -> None:
    """The command of deploy/overlays/split, with this Bento's folder for the image's."""
    resources = kustomize.build(ROOT / "deploy/overlays/split")
    (sampler,) = [each for each in resources if kustomize.key(each) == ("Deployment", "xcube-sampler")]
    (container,) = sampler["spec"]["template"]["spec"]["containers"]
    command = [argument.replace("/home/bentoml/bento", str(bento.path)) for argument in container["args"]]
    with running(command, bento, tmp_path, XCUBE_SAMPLER_TOKEN="t") as service:
        headers = {"Authorization": "Bearer t"}
        status = httpx.post(f"{service.url}/status", json={}, headers=headers, timeout=30)
        assert status.json()["health"]["status"] == "ready"
        assert httpx.post(f"{service.url}/status", json={}, timeout=30).status_code == 401
        assert httpx.post(f"{service.url}/generate", json={}, headers=headers, timeout=30).status_code == 404
