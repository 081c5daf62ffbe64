"""The project's images, built by scripts/image without a daemon, and containers of them with every protection on."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cli.image.variant import IMAGE_NAMES, Device
from tests.support import container_engine as engines
from tests.support.bento import build, tool
from tests.support.container_engine import Engine

BASE = "docker.io/library/python:3.11-slim"
HARDENED = (
    *("--network", "none", "--read-only", "--cap-drop", "ALL", "--security-opt", "no-new-privileges"),
    *("--memory", "4g", "--tmpfs", "/tmp:rw,size=1g", "--env", "XCUBE_THREADS=1"),
)


@dataclass(frozen=True)
class Image:
    """An image in its engine. printed: what scripts/image said of it. bill: its bill of materials."""

    engine: Engine
    tag: str
    printed: str
    bill: Path

    def python(self, program: str, *options: str) -> str:
        """What a Python program prints in the image, started with more of podman's options."""
        return self.engine.run("podman", "run", "--rm", *options, *HARDENED, self.tag, "python", "-c", program).strip()

    def shell(self, command: str) -> str:
        """What a shell command prints in the image."""
        return self.engine.run("podman", "run", "--rm", *HARDENED, self.tag, "sh", "-c", command).strip()


@contextlib.contextmanager
def built(folder: Path, device: Device) -> Iterator[Image]:
    """The image for a device, with the demo's kind of models, but tiny; for CUDA without fvdb-core."""
    bento, bill = build(folder, device, fvdb=False), folder / "bill.json"
    tag = f"localhost/{IMAGE_NAMES[device]}:test"
    with engines.temporary(bento.environment) as engine:
        source = engines.provide_base(engine, BASE, "3.11")
        start = time.monotonic()
        printed = tool(
            *("cli.image", *(["--cpu"] if device == "cpu" else []), "--engine", "buildah"),
            *("--bento", bento.tag, "--tag", tag, "--sbom", bill),
            environment=engine.environment,
        )
        report = printed[printed.rindex(f"{tag}: ") :]
        print(f"\nbase image: {source}; built in {time.monotonic() - start:.0f} s\n{report}")
        engines.without_build_volumes(engine)
        yield Image(engine, tag, printed, bill)


@contextlib.contextmanager
def container(image: Image, name: str, *options: str) -> Iterator[str]:
    """A container of an image, ready; gives the number of its first process."""
    engine = image.engine
    volume = ("--volume", f"{name}:/var/cache/xcube")
    engine.run("podman", "run", "--detach", "--name", name, *volume, *options, *HARDENED, image.tag)
    try:
        (state,) = json.loads(engine.run("podman", "inspect", name))
        pid = str(state["State"]["Pid"])
        start = time.monotonic()
        while call(pid, "/readyz")[0] != 200:
            assert time.monotonic() < start + 180, engine.logs(name)
            time.sleep(0.25)
        print(f"ready after {time.monotonic() - start:.1f} s")
        yield pid
    finally:
        engine.run("podman", "rm", "--force", "--time", "2", name, check=False)


# Runs in the network of a container, which has no way in or out, with this machine's Python.
_CALL = """
import sys
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen
path, *body = sys.argv[1:]
request = Request(f"http://127.0.0.1:8000{path}", body[0].encode() if body else None)
request.add_header("Content-Type", "application/json")
try:
    answer = urlopen(request, timeout=60)
except HTTPError as error:
    answer = error
except URLError:
    sys.exit("0 ")
print(answer.status, answer.read().decode())
"""


def call(pid: str, path: str, body: dict[str, Any] | None = None) -> tuple[int, str]:
    """Status and body of an answer from a container; 0 where nobody answers."""
    command = ["nsenter", "--target", pid, "--net", sys.executable, "-I", "-c", _CALL, path]
    command += [] if body is None else [json.dumps(body)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    status, _, text = (done.stdout if done.returncode == 0 else "0 ").partition(" ")
    return int(status), text
