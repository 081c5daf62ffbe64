"""The programs in clients/, each as a user starts it, against the real service."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import trimesh

from api.schemas import GenerateRequest, Health
from tests.support.figures import wait_for
from tests.support.paths import ROOT
from tests.support.service import Server

pytestmark = [pytest.mark.shared("server"), pytest.mark.timeout(300)]

CLIENTS = ROOT / "clients"
README = (CLIENTS / "README.md").read_text()
PROXIES = ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy")
"""Nothing can be reached by them: they are not for this machine."""
DEBIAN = Path("/usr/share/cargo/registry")
CARGO = "cargo run --manifest-path clients/rust/Cargo.toml --example "


def run(command: list[str | Path], server: Server, folder: Path) -> str:
    """What a program says that must end well; it runs in a folder of its own."""
    environment = {name: value for name, value in os.environ.items() if name.lower() != "no_proxy"}
    environment |= {"XCUBE_URL": server.url, **dict.fromkeys(PROXIES, "http://127.0.0.1:9")}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_every_command_of_the_clients_readme_is_run_here() -> None:
    (block,) = re.findall(r"```bash\n(.*?)```", README, re.DOTALL)
    programs = [path.relative_to(CLIENTS) for path in sorted(CLIENTS.glob("python/*.py"))]
    assert block.splitlines()[:-3] == [
        "clients/curl.sh",
        *sorted((f".venv/bin/python clients/{path}" for path in programs), key=lambda line: "requests" not in line),
    ]
    assert block.splitlines()[-3:] == [
        CARGO + 'generate -- "a round table" 7 table.ply',
        CARGO + 'world -- "a round table" 7',
        'cargo run --manifest-path clients/dot_vox/Cargo.toml -- "a round table" 7',
    ]


def test_every_file_of_the_clients_is_named_in_their_readme() -> None:
    links = set(re.findall(r"\]\(([^)#]+)\)", README))
    assert links == {"curl.sh", "dot_vox", "rust", *(str(path.relative_to(CLIENTS)) for path in CLIENTS.glob("*/*.py"))}
    assert all((CLIENTS / link).exists() for link in links)


def test_curl(server: Server, tmp_path: Path) -> None:
    said = run([CLIENTS / "curl.sh"], server, tmp_path)
    assert said.startswith('{"status":"ready"')
    assert re.search(r'event: progress\ndata: {"stage":"fine"', said)
    assert said.endswith('"code":"invalid_request","retryable":false}')
    assert sorted(path.name for path in tmp_path.iterdir()) == ["table.glb", "table.json", "table.stl"]
    assert trimesh.load(tmp_path / "table.glb", force="mesh").is_watertight
    assert trimesh.load(tmp_path / "table.stl", force="mesh").is_watertight


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("with_requests", r"\d+ coarse points, seed 7\n"),
        ("with_bentoml", r"The service is ready\n\(\d+, 3\) coarse points as float32\n"),
        (
            "with_bentoml_async",
            r"The service is ready\n\d+ coarse points, fine stage: True\n\d+ coarse points, fine stage: False\n"
            r'({"stage":"(coarse|fine)","step":\d+,"steps":20,"seconds_left":[\d.]+}\n)+',
        ),
    ],
)
def test_a_python_program(name: str, said: str, server: Server, tmp_path: Path) -> None:
    assert re.fullmatch(said, run([sys.executable, CLIENTS / "python" / f"{name}.py"], server, tmp_path))
    files = [path.name for path in tmp_path.iterdir()]
    assert files == (["table.glb"] if name == "with_requests" else [])


@pytest.mark.parametrize("name", ["with_requests", "with_bentoml"])
def test_a_python_program_says_what_is_wrong_in_one_sentence(name: str, server: Server, tmp_path: Path) -> None:
    source = (CLIENTS / "python" / f"{name}.py").read_text()
    assert source.count('"a round table"') == 1
    (tmp_path / "wrong.py").write_text(source.replace('"a round table"', '" "'))
    environment = {**os.environ, "XCUBE_URL": server.url}
    done = subprocess.run([sys.executable, "wrong.py"], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 1
    assert re.fullmatch(r"prompt .*\n", done.stderr)


# Rust


def test_the_structs_of_the_crate_have_the_fields_of_the_api() -> None:
    source = (CLIENTS / "rust" / "src" / "types.rs").read_text()
    fields = {
        name: re.findall(r"pub (\w+):", body)
        for name, body in re.findall(r"pub struct (\w+).*?\{\n(.*?)\n\}", source, re.DOTALL)
    }
    # How many shapes is said to `variants`, since an answer of several is another one.
    assert fields["GenerateRequest"] == [name for name in GenerateRequest.model_fields if name != "n"]
    assert fields["Health"] == list(Health.model_fields)
    assert fields["Shape"] == ["coarse_xyz", "coarse_normal", "fine_xyz", "fine_normal"]


@pytest.fixture(scope="module")
def cargo() -> Iterator[tuple[list[str | Path], Path]]:
    """The command with the options that find crates, and a copy of the crate; skips where it cannot be built."""
    command = shutil.which("cargo", path=f"{os.environ['PATH']}:{Path.home() / '.cargo' / 'bin'}")
    if command is None:
        pytest.skip("cargo is not installed")
    options: list[str | Path] = [command]
    if list(DEBIAN.glob("reqwest-0.*")):
        options += ["--offline", "--config", 'source.crates-io.replace-with="debian"']
        options += ["--config", f'source.debian.directory="{DEBIAN}"']
    with tempfile.TemporaryDirectory() as folder:
        for name in ("rust", "dot_vox"):
            ignored = shutil.ignore_patterns("target", "Cargo.lock")
            shutil.copytree(CLIENTS / name, Path(folder) / name, ignore=ignored)
        crate = Path(folder) / "rust"
        lock(options, crate, "neither Debian's librust-reqwest-dev nor crates.io")
        yield options, crate


def lock(options: list[str | Path], crate: Path, without: str) -> None:
    """Chooses the versions of a crate's dependencies; skips where they cannot be had."""
    locked = subprocess.run([*options, "generate-lockfile"], cwd=crate, capture_output=True, text=True, timeout=120)
    if locked.returncode != 0:
        pytest.skip(f"no crates: {without} ({locked.stderr[-300:]})")


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_rust_crate_reads_the_recorded_answers(cargo: tuple[list[str | Path], Path]) -> None:
    options, crate = cargo
    environment = {**os.environ, "RUSTFLAGS": "-D warnings"}
    done = subprocess.run([*options, "test"], cwd=crate, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"test result: ok. [12][0-9] passed; 0 failed", done.stdout)


def built(cargo: tuple[list[str | Path], Path], example: str) -> Path:
    """The program of an example, compiled without a warning."""
    options, crate = cargo
    environment = {**os.environ, "RUSTFLAGS": "-D warnings"}
    build = subprocess.run(
        [*options, "build", "--example", example], cwd=crate, env=environment, capture_output=True, text=True
    )
    assert build.returncode == 0, build.stderr
    return crate / "target" / "debug" / "examples" / example


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_rust_example_gets_a_shape_and_a_file(
    cargo: tuple[list[str | Path], Path], server: Server, tmp_path: Path
) -> None:
    program = built(cargo, "generate")
    for seed in ("-7", "7"):
        said = run([program, "a round table", seed, "table.ply"], server, tmp_path)
        assert re.fullmatch(
            rf"the service is ready, on a GPU: false\n\d+ coarse points\n\d+ fine points\nseed {seed}\n", said
        )
        fine = re.search(r"(\d+) fine points", said)
        assert fine is not None
        assert f"element vertex {fine[1]}\n".encode() in (tmp_path / "table.ply").read_bytes()
    wrong = subprocess.run(
        [program, " "], cwd=tmp_path, env={**os.environ, "XCUBE_URL": server.url}, capture_output=True, text=True
    )
    assert wrong.returncode == 1
    assert re.fullmatch(r"prompt .* \(400\)\n", wrong.stderr)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_rust_example_with_a_folder_asks_twice_and_gets_everything_once(
    cargo: tuple[list[str | Path], Path], server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XCUBE_CACHE", str(tmp_path / "kept"))
    program, before, said = built(cargo, "generate"), server.log.read_text().count('"status":304'), []
    for name in ("first.ply", "again.ply"):
        said.append(run([program, "a small table", "8", name], server, tmp_path))
    assert said[0] == said[1]
    assert (tmp_path / "first.ply").read_bytes() == (tmp_path / "again.ply").read_bytes()
    assert len(list((tmp_path / "kept").iterdir())) == 2, "the shape and the file"
    wait_for(lambda: server.log.read_text().count('"status":304') == before + 2)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_rust_world_shows_the_coarse_shape_and_then_the_fine_one(
    cargo: tuple[list[str | Path], Path], server: Server, tmp_path: Path
) -> None:
    said = run([built(cargo, "world"), "a round table", "7"], server, tmp_path)
    assert re.fullmatch(r"coarse: \d+ blocks in \d+ chunks\nfine: \d+ blocks in \d+ chunks\n", said)
    shape = server.post("/generate", json={"prompt": "a round table", "seed": 7}).json()
    assert f"fine: {len(shape['fine_xyz'])} blocks" in said
    assert f"coarse: {len(shape['coarse_xyz']) * 4**3} blocks" in said


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_dot_vox_reads_every_voxel_at_its_place_on_the_ground(
    cargo: tuple[list[str | Path], Path], server: Server, tmp_path: Path
) -> None:
    options, crate = cargo[0], cargo[1].parent / "dot_vox"
    lock(options, crate, "crates.io, which has dot_vox")
    build = subprocess.run([*options, "build"], cwd=crate, capture_output=True, text=True)
    assert build.returncode == 0, build.stderr
    said = run([crate / "target" / "debug" / "xcube-dot-vox", "a round table", "7"], server, tmp_path)
    shape = server.post("/generate", json={"prompt": "a round table", "seed": 7}).json()
    places = np.floor(np.array(shape["fine_xyz"]) * 128).astype(int)
    # MagicaVoxel's z is up, and what is in front is towards -y.
    x, y, z = places[:, 0], -places[:, 2] - 1, places[:, 1] - places[:, 1].min()
    ranges = [f"{name}: {axis.min()} to {axis.max()}" for name, axis in (("x", x), ("y", y), ("z", z))]
    assert re.match(rf"{len(places)} blocks in 1 models, of \d+ colours\n", said)
    assert said.splitlines()[1:] == ranges
