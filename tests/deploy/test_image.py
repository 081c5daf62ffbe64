"""The CPU image: built without a daemon, started with every protection on and no network, called, and stopped."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from cli.audit import packages
from cli.image.variant import ROOT
from tests.support import container_engine as engines
from tests.support.image import Image, built, call, container

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(1800),
    pytest.mark.skipif(engines.missing() != "", reason=engines.missing()),
]
TAG = "localhost/xcube-serve-cpu:test"


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Image]:
    with built(tmp_path_factory.mktemp("image"), "cpu") as image:
        yield image


@pytest.fixture(scope="module")
def settings(image: Image) -> dict[str, Any]:
    (shown,) = json.loads(image.engine.run("podman", "image", "inspect", TAG))
    config: dict[str, Any] = shown["Config"] | {"Healthcheck": shown["Healthcheck"]}
    return config


def test_its_size_and_layers_are_printed(image: Image) -> None:
    total, count = map(int, re.search(rf"{TAG}: (\d+) MB in (\d+) layers", image.printed).groups())  # type: ignore[union-attr]
    layers = [float(size) for size in re.findall(r"^ +([\d.]+) MB  \S", image.printed, re.MULTILINE)]
    assert len(layers) == count >= 2
    assert sum(layers) == pytest.approx(total, abs=2)
    assert 500 < total < 4000, "without CUDA, and with PyTorch"


def test_its_bill_of_materials_has_everything_of_the_lock(image: Image) -> None:
    text = image.bill.read_text()
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    components = json.loads(text)["components"]
    assert f"{len(components)} components in" in image.printed
    python = {each["name"].lower().replace("_", "-"): each for each in components if "pkg:pypi/" in each["purl"]}
    for name, version in packages("cpu").items():
        assert python[name]["version"].partition("+")[0] == version, name
    assert len([each for each in components if "pkg:deb/" in each["purl"]]) > 50


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


def test_nothing_of_the_building_machine_is_in_it(image: Image, settings: dict[str, Any]) -> None:
    words = ("TOKEN", "SECRET", "PASSWORD", "INDEX_URL", "PROXY", "CERT")
    assert not [each for each in settings["Env"] if any(word in each.split("=")[0].upper() for word in words)]
    shown = image.python(
        "from pathlib import Path\n"
        "files = map(Path, ('/etc/pip.conf', '/etc/uv/uv.toml'))\n"
        "print([file for file in files if file.exists() and file.stat().st_size])"
    )
    assert shown == "[]"


def test_open_clip_is_in_it_without_weights_and_cuda_is_not(image: Image) -> None:
    shown = image.python(
        "import pathlib, site\n"
        "packages = pathlib.Path(site.getsitepackages()[0])\n"
        "big = [f for f in packages.rglob('*') if f.suffix in {'.safetensors', '.bin', '.pt', '.pth', '.ckpt'}\n"
        "       and f.stat().st_size > 2**20]\n"
        "print((packages / 'open_clip').is_dir(), big, list(packages.glob('nvidia/cu*')))"
    )
    assert shown == "True [] []"


def test_what_only_the_build_needs_is_not_in_it(image: Image) -> None:
    assert image.shell("command -v gcc g++ make git uv; true") == ""
    assert image.shell("find /app -name '*.a' -o -path '*/torch/include/*'") == ""


def test_nothing_but_mounted_folders_can_be_written(image: Image) -> None:
    shown = image.python(
        "import pathlib\n"
        "def writable(folder):\n"
        "    try:\n"
        "        pathlib.Path(folder, 'x').touch()\n"
        "        return True\n"
        "    except OSError:\n"
        "        return False\n"
        "folders = ('/', '/app', '/etc', '/home/bentoml', '/home/bentoml/bento', '/tmp', '/usr')\n"
        "print([folder for folder in folders if writable(folder)])"
    )
    assert shown == "['/tmp']"


def test_it_serves_without_network_as_nobody_special_and_stops_on_sigterm(image: Image) -> None:
    engine, name = image.engine, "xcube-test"
    with container(image, name) as pid:
        assert [call(pid, path)[0] for path in ("/livez", "/health", "/metrics")] == [200, 200, 200]
        assert json.loads(call(pid, "/")[1])["version"] == project_version()
        status, body = call(pid, "/generate", {"prompt": "a chair", "ddim_steps": 2, "seed": 3})
        assert status == 200, body
        shape = json.loads(body)
        assert len(shape["fine_xyz"]) > len(shape["coarse_xyz"]) > 0
        assert "Uid:\t1034\t1034" in Path(f"/proc/{pid}/status").read_text()
        assert "CapEff:\t0000000000000000" in Path(f"/proc/{pid}/status").read_text()
        engine.run("podman", "healthcheck", "run", name)
        engine.run("podman", "stop", "--time", "60", name)
        (state,) = json.loads(engine.run("podman", "inspect", name))
        assert state["State"]["ExitCode"] == 0, engine.logs(name)


def test_it_serves_as_any_user_of_group_0_as_openshift_has_it(image: Image) -> None:
    with container(image, "xcube-any-user", "--user", "54321:0") as pid:
        assert "Uid:\t54321\t54321" in Path(f"/proc/{pid}/status").read_text()
        request = {"prompt": "a chair", "ddim_steps": 2, "seed": 3}
        assert call(pid, "/generate", request)[0] == 200
        assert call(pid, "/jobs", request)[0] == 202, "its folder can be written"


def project_version() -> str:
    return str(tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"])
