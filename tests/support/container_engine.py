"""Buildah and podman for a test: no daemon, all their files in one folder, and a stand-in where no registry answers.

What a machine needs to reach package indexes (a CA bundle, pip's settings) is mounted into the build and stays out of
the image.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

# Each with its Debian package.
TOOLS = {
    "buildah": "buildah",
    "podman": "podman",
    "runc": "runc",
    "mmdebstrap": "mmdebstrap",
    "nsenter": "util-linux",
    "umount": "mount",
}
CA_BUNDLE = Path("/etc/ssl/certs/ca-certificates.crt")
CODENAMES = {"3.11": "bookworm", "3.13": "trixie"}


def missing() -> str:
    """What keeps this machine from building images; empty if nothing does."""
    absent = [package for tool, package in TOOLS.items() if shutil.which(tool) is None]
    if absent:
        return f"not installed: apt-get install {' '.join(absent)}"
    return "" if os.geteuid() == 0 else "only root can build images without a daemon"


@dataclass(frozen=True)
class Engine:
    """Settings of the engines in a folder. environment: for commands that use them."""

    folder: Path
    environment: Mapping[str, str]

    def run(self, *command: str | Path, timeout: float = 900, check: bool = True) -> str:
        """Runs a command with these engines; returns its output."""
        done = subprocess.run(
            command,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
        assert done.returncode == 0 or not check, f"{command}\n{done.stdout[-4000:]}{done.stderr[-4000:]}"
        return done.stdout

    def logs(self, container: str) -> str:
        """What a container wrote, errors included."""
        command = ["podman", "logs", container]
        done = subprocess.run(command, env=self.environment, capture_output=True, text=True, check=False)
        return done.stdout + done.stderr


@contextlib.contextmanager
def temporary(environment: Mapping[str, str]) -> Iterator[Engine]:
    """Engines in a folder of their own, of which nothing stays: no container, image, mount or file."""
    folder = Path(tempfile.mkdtemp(prefix="xcube-"))  # podman's folders must have short paths
    try:
        engine = _make(folder, environment)
        try:
            yield engine
        finally:
            engine.run("podman", "system", "reset", "--force", check=False)
    finally:
        for mount in reversed(_mounts(folder)):
            subprocess.run(["umount", mount], check=True)
        shutil.rmtree(folder)


def _mounts(folder: Path) -> list[str]:
    """What is mounted in a folder, in the order of mounting: the engines mount their storage onto itself."""
    places = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    return [place for place in places if Path(place).is_relative_to(folder)]


def _make(folder: Path, environment: Mapping[str, str]) -> Engine:
    storage, containers = folder / "storage.conf", folder / "containers.conf"
    driver = "overlay" if overlay_works(folder) else "vfs"
    storage.write_text(
        f'[storage]\ndriver = "{driver}"\ngraphroot = "{folder}/storage"\nrunroot = "{folder}/run"\n',
    )
    containers.write_text(
        f"""[containers]
default_ulimits = []
log_driver = "k8s-file"
volumes = [{", ".join(f'"{volume}"' for volume in build_volumes(folder))}]
[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
runtime = "runc"
static_dir = "{folder}/libpod"
tmp_dir = "{folder}/libpod-tmp"
"""
    )
    return Engine(
        folder,
        {
            **environment,
            "CONTAINERS_STORAGE_CONF": str(storage),
            "CONTAINERS_CONF": str(containers),
            "BUILDAH_ISOLATION": "chroot",
            "TMPDIR": str(folder),
        },
    )


def without_build_volumes(engine: Engine) -> None:
    """From now on containers run with nothing of this machine."""
    conf = Path(engine.environment["CONTAINERS_CONF"])
    lines = conf.read_text().splitlines(keepends=True)
    conf.write_text("".join(line for line in lines if not line.startswith("volumes")))


def overlay_works(folder: Path) -> bool:
    """Whether the kernel mounts overlays here."""
    parts = [folder / "probe" / name for name in ("lower", "upper", "work", "merged")]
    for part in parts:
        part.mkdir(parents=True)
    options = f"lowerdir={parts[0]},upperdir={parts[1]},workdir={parts[2]}"
    command = ["mount", "-t", "overlay", "overlay", "-o", options, parts[3]]
    works = subprocess.run(command, capture_output=True, check=False).returncode == 0
    if works:
        subprocess.run(["umount", parts[3]], check=True)
    return works


def build_volumes(folder: Path) -> list[str]:
    """Mounts for every step of a build: this machine's CA bundle and pip's and uv's settings."""
    bundle = Path(os.environ.get("SSL_CERT_FILE", CA_BUNDLE))
    found = links()
    pip = [f"cert = {CA_BUNDLE}", *([f"find-links = {' '.join(found)}"] if found else [])]
    uv = ["system-certs = true", f"find-links = [{', '.join(repr(link) for link in found)}]"]
    (folder / "pip.conf").write_text("[global]\n" + "\n".join(pip) + "\n")
    (folder / "uv.toml").write_text("\n".join(uv) + "\n")
    mounts = {
        bundle: CA_BUNDLE,
        folder / "pip.conf": Path("/etc/pip.conf"),
        folder / "uv.toml": Path("/etc/uv/uv.toml"),
    }
    mounts |= {Path(link): Path(link) for link in found}
    return [f"{source}:{target}:ro" for source, target in mounts.items()]


def links() -> list[str]:
    """Folders with wheels that pip looks into on this machine."""
    shown = subprocess.run([sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True, check=True)
    values = [line.partition("=")[2].strip("'\"") for line in shown.stdout.splitlines() if "find-links" in line]
    return sorted({place for value in values for place in value.split() if Path(place).is_dir()})


def provide_base(engine: Engine, image: str, python: str) -> str:
    """Makes sure that the base image is there: from its registry, or else as a Debian with the same Python.

    Returns where it comes from: "registry" or "stand-in".
    """
    try:
        engine.run("buildah", "pull", "--quiet", image, timeout=120)
        return "registry"
    except (AssertionError, subprocess.TimeoutExpired):
        pass
    archive = engine.folder / "base.tar"
    engine.run(
        *(
            "mmdebstrap",
            "--mode=root",
            "--variant=minbase",
            # The C headers of Python are in Python's own image too: Triton needs them.
            "--include=ca-certificates,python3,python3-venv,python3-pip,libpython3-dev",
        ),
        *("--dpkgopt=path-exclude=/usr/share/doc/*", "--dpkgopt=path-exclude=/usr/share/man/*"),
        '--customize-hook=rm -f "$1"/usr/lib/python3*/EXTERNALLY-MANAGED',
        '--customize-hook=ln -sf python3 "$1"/usr/bin/python',
        *(CODENAMES[python], archive, *apt_sources()),
    )
    container = engine.run("buildah", "from", "scratch").strip()
    engine.run("buildah", "add", "--quiet", container, archive, "/")
    path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    engine.run("buildah", "config", "--env", path, "--cmd", "python3", container)
    engine.run("buildah", "commit", "--quiet", "--rm", container, image)
    archive.unlink()
    return "stand-in"


def apt_sources() -> list[Path]:
    """This machine's Debian sources."""
    places = [Path("/etc/apt/sources.list"), *sorted(Path("/etc/apt/sources.list.d").glob("debian*"))]
    return [place for place in places if place.is_file() and place.stat().st_size]
