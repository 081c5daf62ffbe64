"""An installed package: what it puts where, and that its command serves without a checkout.

One environment is made as README.md says, with its two commands, but it takes the dependencies from the one that runs
the tests: nothing is downloaded.
"""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import sys
import sysconfig
import tarfile
import tomllib
import venv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

import xcube_serve
from api.environment import PREFIX
from api.settings import Settings
from tests.support.paths import ROOT
from tests.support.service import Server, started

VERSION = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
OTHERS = "others.pth"
# The first test of the service waits for the install and the start.
pytestmark = pytest.mark.timeout(300)
INSTALL = "pip install -c requirements/lock.txt ."
SERVE = "xcube-serve"


@dataclass(frozen=True)
class Installed:
    """An environment with the package; environment: variables of a user who has nothing but a home."""

    folder: Path
    home: Path
    environment: dict[str, str]

    @property
    def python(self) -> Path:
        return self.folder / "bin" / "python"

    @property
    def command(self) -> Path:
        return self.folder / "bin" / SERVE

    @property
    def packages(self) -> Path:
        (found,) = self.folder.glob("lib/python*/site-packages")
        return found

    @property
    def app(self) -> Path:
        return self.packages / "xcube_serve" / "app"

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [self.command, *arguments], cwd=self.home, env=self.environment, capture_output=True, text=True
        )


def dependencies(folder: Path) -> Path:
    """A folder with this environment's packages, but without what it holds of this project."""
    folder.mkdir()
    for entry in Path(sysconfig.get_path("purelib")).iterdir():
        if not re.match(r"_?xcube_serve|__editable__|__pycache__", entry.name) and entry.suffix != ".pth":
            (folder / entry.name).symlink_to(entry)
    return folder


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    folder = tmp_path_factory.mktemp("installed")
    inherited = {name: value for name, value in os.environ.items() if not re.match(rf"{PREFIX}|PIP_|PYTHON|XDG_", name)}
    inherited.pop("BENTOML_HOME", None)
    made = Installed(
        folder / "venv", folder / "home", {**inherited, "HOME": str(folder / "home"), "BENTOML_DO_NOT_TRACK": "true"}
    )
    made.home.mkdir()
    venv.create(made.folder, symlinks=True)
    (made.packages / OTHERS).write_text(f"{dependencies(folder / 'dependencies')}\n")
    pip = [made.python, "-P", "-m", *INSTALL.split(), "--no-index", "--no-build-isolation"]
    environment = {**made.environment, "PIP_CONFIG_FILE": os.devnull}
    done = subprocess.run(pip, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return made


@pytest.fixture(scope="module")
def before(installed: Installed) -> set[Path]:
    return set(installed.packages.rglob("*"))


@pytest.fixture(scope="module")
def service(installed: Installed, before: set[Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """`xcube-serve`, called in an empty folder that is not to be written to."""
    folder = tmp_path_factory.mktemp("elsewhere")
    folder.chmod(0o555)
    with started([installed.command], installed.environment, installed.home / "log", cwd=folder) as running:
        running.wait_until_ready()
        yield running
        assert list(folder.iterdir()) == []


def files(folder: Path) -> dict[str, bytes]:
    """Relative path → content, without what Python compiles."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


# What is where


def test_only_one_package_lands_among_the_others_and_two_commands(installed: Installed) -> None:
    assert {path.name for path in installed.packages.iterdir()} == {
        OTHERS,
        "xcube_serve",
        f"xcube_serve-{VERSION}.dist-info",
    }
    own = {path.name for path in (installed.folder / "bin").iterdir() if not re.match("python|[Aa]ctivate", path.name)}
    assert own == {SERVE, "xcube-mcp"}


def test_the_package_holds_all_that_serves_and_nothing_else(installed: Installed) -> None:
    for folder in ("api", "formats", "models"):
        assert files(installed.app / folder) == files(ROOT / folder)
    assert {path.name for path in installed.app.iterdir()} - {"__pycache__"} == {
        "api", "checkpoints", "cli", "formats", "models", "service.py",
    }  # fmt: skip
    assert set(files(installed.app / "cli")) == {
        "__init__.py", "connection.py", "import_models.py", "quietly.py", "serve.py",
        *(f"mcp/{name}.py" for name in ("__init__", "__main__", "server", "service")),
    }  # fmt: skip
    assert {path.name for path in (installed.app / "checkpoints").iterdir()} == {
        "LICENSE", "README.md", "demo_coarse", "demo_fine", "demo_text",
    }  # fmt: skip


def test_a_package_built_from_the_source_archive_is_the_same(installed: Installed, tmp_path: Path) -> None:
    def build(target: str, root: Path) -> Path:
        command = [sys.executable, "-m", "hatchling", "build", "-t", target, "-d", tmp_path / target]
        subprocess.run(command, cwd=root, check=True, capture_output=True)
        (built,) = (tmp_path / target).iterdir()
        return built

    with tarfile.open(build("sdist", ROOT)) as archive:
        names = archive.getnames()
        archive.extractall(tmp_path, filter="data")
    assert not [name for name in names if re.search(r"__pycache__|/tests/|\.venv|node_modules|objaverse", name)]
    source = tmp_path / f"xcube_serve-{VERSION}"
    assert (source / "requirements" / "lock.txt").exists(), "README's command needs it"
    wheel = build("wheel", source)
    unpacked = tmp_path / "unpacked"
    subprocess.run([sys.executable, "-m", "zipfile", "-e", wheel, unpacked], check=True)
    assert files(unpacked / "xcube_serve") == files(installed.packages / "xcube_serve")


# The command


def test_help_tells_where_things_go_and_names_settings_that_exist(installed: Installed) -> None:
    done = installed.run("--help")
    assert done.returncode == 0
    assert f"(default: {installed.home}/.local/state/xcube-serve/jobs)" in done.stdout
    settings = set(re.findall(rf"{PREFIX}\w+", done.stdout))
    assert {"XCUBE_PORT", "XCUBE_CHECKPOINT_DIR"} <= settings
    assert settings <= {f"{PREFIX}{name.upper()}" for name in Settings.model_fields}


def test_the_version_is_that_of_the_project(installed: Installed) -> None:
    assert installed.run("--version").stdout == f"xcube-serve {VERSION}\n"


def test_a_wrong_setting_is_one_sentence_here_too(installed: Installed) -> None:
    wrong = {**installed.environment, "XCUBE_PORT": "http"}
    done = subprocess.run([installed.command], env=wrong, capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr.startswith("xcube: XCUBE_PORT is 'http' but ")
    assert done.stderr.count("\n") == 1


def test_import_calls_itself_by_the_name_that_a_user_types(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", [SERVE, "import", "--help"])
    with pytest.raises(SystemExit, match="0"):
        xcube_serve.main()
    assert capsys.readouterr().out.startswith("usage: xcube-serve import [-h]")


def test_jobs_go_where_the_user_keeps_state(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", "/home/somebody")
    monkeypatch.setenv("XDG_STATE_HOME", "/var/lib/somebody")
    assert xcube_serve.jobs_folder() == Path("/var/lib/somebody/xcube-serve/jobs")
    for unusable in ("", "relative"):
        monkeypatch.setenv("XDG_STATE_HOME", unusable)
        assert xcube_serve.jobs_folder() == Path("/home/somebody/.local/state/xcube-serve/jobs")


def test_without_a_home_jobs_go_below_the_folder_of_the_start(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("HOME", raising=False)
    monkeypatch.delenv("XDG_STATE_HOME", raising=False)
    monkeypatch.setattr("os.path.expanduser", lambda path: path)  # what it does where no home is known
    monkeypatch.chdir(tmp_path)
    assert xcube_serve.jobs_folder() == tmp_path / "runs" / "jobs"


# The service


def test_the_page_is_served_with_its_style_and_scripts(service: Server) -> None:
    page = httpx.get(f"{service.url}/ui/")
    assert page.status_code == 200
    linked = re.findall(r'(?:href|src)="([\w./-]+\.(?:css|js|svg))"', page.text)
    assert {"css", "js", "svg"} <= {name.rpartition(".")[2] for name in linked}
    kinds = {"css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}
    for name in {*linked, *(f for f in files(ROOT / "api" / "http" / "ui") if f.endswith((".css", ".js")))}:
        answer = httpx.get(f"{service.url}/ui/{name}")
        assert answer.status_code == 200, name
        assert answer.headers["content-type"].startswith(kinds[name.rpartition(".")[2]]), name
        assert answer.content == (ROOT / "api" / "http" / "ui" / name).read_bytes(), name


@pytest.mark.parametrize("page", ["docs", "redoc"])
def test_the_documentation_is_served_with_all_it_loads(service: Server, page: str) -> None:
    text = httpx.get(f"{service.url}/{page}").raise_for_status().text
    linked = re.findall(r'(?:href|src)="(static/[\w./-]+)"', text)
    assert linked
    for name in linked:
        assert httpx.get(f"{service.url}/{name}").raise_for_status().content
    assert httpx.get(f"{service.url}/openapi.json").json()["info"]["version"] == VERSION


def test_the_demo_models_make_a_shape(service: Server) -> None:
    request = {"prompt": "a round table", "seed": 7, "ddim_steps": 10, "use_fine": False}
    answer = httpx.post(f"{service.url}/generate", json=request, timeout=100)
    assert answer.status_code == 200, answer.text
    shape = answer.json()
    assert len(shape["coarse_xyz"]) == len(shape["coarse_normal"]) > 10
    # Written by a process of its own, which has to find the modules as well.
    surface = httpx.post(f"{service.url}/generate?format=glb", json=request, timeout=100)
    assert surface.content[:4] == b"glTF"


def test_import_finds_what_the_service_has_imported(installed: Installed, service: Server) -> None:
    done = installed.run("import")
    assert done.returncode == 0, done.stderr
    lines = [line.partition(" in the store as ") for line in done.stdout.splitlines()]
    assert [name for name, _, _ in lines] == ["demo_coarse: already", "demo_fine: already", "demo_text: already"]


def test_it_stops_cleanly_and_has_written_to_the_home_alone(
    installed: Installed, before: set[Path], service: Server
) -> None:
    assert service.stop() == 0
    with contextlib.suppress(httpx.TransportError):
        raise AssertionError(httpx.get(f"{service.url}/health").text)
    assert (installed.home / ".local" / "state" / "xcube-serve" / "jobs" / "jobs.sqlite").exists()
    assert (installed.home / "bentoml" / "models" / "xcube-coarse").is_dir()
    assert set(installed.packages.rglob("*")) == before
