"""Container engines: which one is there, and what it says about an image."""

from __future__ import annotations

import json
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

Name = Literal["docker", "podman", "buildah"]
_PROBE = {"docker": ["docker", "version"], "podman": ["podman", "--version"], "buildah": ["buildah", "--version"]}


class EngineError(Exception):
    """There is no engine, or an engine failed; the text says what to do."""


@dataclass(frozen=True)
class Layer:
    """A layer of an image.

    Attributes:
        made_by: The command that made it.
        size: Its size in bytes, uncompressed.
    """

    made_by: str
    size: int


def runner(engine: Name) -> str:
    """The engine that starts what an engine built: buildah only builds, and podman starts images of the same storage.

    Raises:
        EngineError: There is no such engine.
    """
    name = "podman" if engine == "buildah" else engine
    if shutil.which(name) is None:
        raise EngineError(f"{engine} needs {name} as well: install {name}.")
    return name


def find() -> Name:
    """The first engine that works: docker with a daemon, podman, buildah.

    Raises:
        EngineError: None works.
    """
    for name in get_args(Name):
        if shutil.which(name) and subprocess.run(_PROBE[name], capture_output=True, check=False).returncode == 0:
            found: Name = name
            return found
    raise EngineError("No container engine answers: install docker (and start its daemon), podman or buildah.")


def build(engine: Name, dockerfile: Path, tag: str, arguments: dict[str, str]) -> None:
    """Builds an image. The format is Docker's: OCI's has no health check."""
    command = [engine, "build", "--file", str(dockerfile), "--tag", tag]
    if engine != "docker":
        command += ["--format", "docker", "--pull-never" if engine == "buildah" else "--pull=never"]
    if engine == "buildah":
        command += ["--layers"]  # the others make a layer of each step anyway
    for name, value in arguments.items():
        command += ["--build-arg", f"{name}={value}"]
    if subprocess.run([*command, str(dockerfile.parent)], check=False).returncode:
        raise EngineError(f"{engine} could not build {tag}: its output is above.")


def variables(engine: Name, tag: str) -> dict[str, str]:
    """The environment variables that an image sets."""
    command = [runner(engine), "image", "inspect", "--format", "{{json .Config.Env}}", tag]
    shown = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout
    return dict(each.split("=", 1) for each in json.loads(shown) or ())


def layers(engine: Name, tag: str) -> list[Layer]:
    """The layers of an image that hold files, newest first."""
    shown = subprocess.run(
        [runner(engine), "history", "--no-trunc", "--human=false", "--format", "{{json .}}", tag],
        capture_output=True,
        text=True,
        check=True,
    )
    return read_history(shown.stdout)


def read_history(text: str) -> list[Layer]:
    """Reads the output of `history` as layers: docker prints one object per line, podman one list."""
    entries = json.loads(text) if text.lstrip().startswith("[") else [json.loads(line) for line in text.splitlines()]
    found = [Layer(str(each.get("CreatedBy", "")), int(each.get("Size", each.get("size", 0)))) for each in entries]
    return [layer for layer in found if layer.size]
