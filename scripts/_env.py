"""Creates `.venv` and keeps it up to date with pyproject.toml and the lock files. Standard library only; see _env.sh.

The versions come from one of two locks, used as pip constraints. If there is no NVIDIA GPU and PyTorch's index answers,
it is requirements/lock-cpu.txt with PyTorch's CPU wheels; otherwise requirements/lock.txt with the default wheels.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import shutil
import subprocess
import sys
import threading
import time
import tomllib
import urllib.request
import venv
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

CPU_WHEELS = "https://download.pytorch.org/whl/cpu"
PROBE_SECONDS = 3.0
ROOT = Path(__file__).resolve().parents[1]


class InstallError(Exception):
    """pip failed; the text holds the end of its output."""


def fingerprint(root: Path) -> str:
    """A hash that changes with everything that the environment depends on, including the project's own path."""
    pyproject = tomllib.loads((root / "pyproject.toml").read_text())
    # Settings of ruff, mypy and pytest need no install.
    relevant = [pyproject.get("build-system"), pyproject["project"], pyproject.get("tool", {}).get("hatch")]
    digest = hashlib.sha256(f"{root} {json.dumps(relevant)}".encode())
    for path in sorted((root / "requirements").glob("*.txt")):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def has_nvidia_gpu() -> bool:
    """Whether nvidia-smi lists a GPU."""
    command = shutil.which("nvidia-smi")
    if command is None:
        return False
    try:
        listing = subprocess.run([command, "-L"], capture_output=True, text=True, timeout=30, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return listing.returncode == 0 and "GPU " in listing.stdout


def answers(url: str, seconds: float = PROBE_SECONDS) -> bool:
    """Whether `url` answers within `seconds`, including the name lookup, which urllib's own timeout leaves out."""
    success = threading.Event()

    def probe() -> None:
        try:
            with urllib.request.urlopen(urllib.request.Request(url, method="HEAD"), timeout=seconds):
                success.set()
        except (OSError, ValueError):
            pass

    thread = threading.Thread(target=probe, daemon=True)
    thread.start()
    thread.join(seconds)
    return success.is_set()


def pip_installs(gpu: bool, cpu_wheels: bool) -> list[list[str]]:
    """The arguments of each `pip install` to run, in order."""
    if gpu or not cpu_wheels:
        return [["-c", "requirements/lock.txt", "-e", ".[dev]"]]
    lock = ["-c", "requirements/lock-cpu.txt"]
    return [
        # Only these two come from PyTorch's index, which also holds old copies of other packages.
        ["--no-deps", "--index-url", CPU_WHEELS, *lock, "torch", "torchvision"],
        [*lock, "-e", ".[dev]"],
    ]


def run_pip(python: Path, root: Path, arguments: list[str], show: Callable[[str], None]) -> None:
    """Runs one `pip install`; its output also goes to .venv/install.log.

    Args:
        python: Interpreter of the environment.
        root: The project's folder.
        arguments: Arguments of `pip install`.
        show: Called with each line of the output.

    Raises:
        InstallError: pip failed.
    """
    command = [str(python), "-m", "pip", "--disable-pip-version-check", "install", *arguments]
    lines: list[str] = []
    with (
        (python.parents[1] / "install.log").open("a") as log,
        subprocess.Popen(
            command, cwd=root, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
        ) as pip,
    ):
        assert pip.stdout is not None
        for line in pip.stdout:
            log.write(line)
            lines.append(line)
            show(line.strip())
    if pip.returncode:
        raise InstallError("".join(lines[-15:]))


@contextmanager
def progress() -> Iterator[Callable[[str], None]]:
    """Shows on stderr that packages are installed; on a terminal, one line that says which."""
    terminal, start = sys.stderr.isatty(), time.monotonic()
    print("Installing the Python packages into .venv (minutes the first time, later seconds).", file=sys.stderr)

    def show(line: str) -> None:
        words = line.split()
        if terminal and words and words[0] in {"Collecting", "Downloading", "Installing", "Building", "Using"}:
            text = f"  {time.monotonic() - start:4.0f} s  {line}"
            print(f"\r\033[K{text[: shutil.get_terminal_size().columns - 1]}", end="", file=sys.stderr, flush=True)

    yield show
    end = "\r\033[K" if terminal else ""
    print(f"{end}The Python packages are ready after {time.monotonic() - start:.0f} s.", file=sys.stderr)


def inside(environment: Path) -> bool:
    """Whether this process runs on the environment's Python."""
    return Path(sys.prefix) == environment


def starts(python: Path) -> bool:
    """Whether an interpreter can be started."""
    try:
        return subprocess.run([python, "-c", ""], capture_output=True, check=False).returncode == 0
    except OSError:
        return False


def install(root: Path) -> None:
    """Creates the environment, unless this process runs in it, and installs everything into it."""
    environment = root / ".venv"
    python = environment / "bin" / "python"
    gpu = has_nvidia_gpu()
    with progress() as show:
        # Another Python runs this only where .venv's own is missing, broken or of a version that will not do (_env.sh).
        if not inside(environment):
            venv.create(environment, clear=True, with_pip=True)
        for arguments in pip_installs(gpu, cpu_wheels=not gpu and answers(f"{CPU_WHEELS}/torch/")):
            run_pip(python, root, arguments, show)


def ensure(root: Path, install: Callable[[Path], None] = install) -> None:
    """Installs if the files have changed since the last complete install; one process installs, the others wait."""
    environment = root / ".venv"
    stamp = environment / ".installed"
    wanted = fingerprint(root)

    def up_to_date() -> bool:
        complete = stamp.exists() and stamp.read_text() == wanted
        return complete and (inside(environment) or starts(environment / "bin" / "python"))

    if up_to_date():
        return
    with (root / ".venv.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not up_to_date():
            stamp.unlink(missing_ok=True)
            install(root)
            stamp.write_text(wanted)


def main() -> int:
    """Brings the environment up to date; returns 0, or after a sentence on stderr 1, or 130 after Ctrl+C."""
    try:
        ensure(ROOT)
    except OSError as error:
        print(
            f"{ROOT / '.venv'} cannot be created or used ({error.strerror or error}): check who owns this folder and "
            "whether the disk is full, then run the script again.",
            file=sys.stderr,
        )
        return 1
    except KeyboardInterrupt:
        print("\nStopped. The next start goes on where this one stopped.", file=sys.stderr)
        return 130
    except InstallError as error:
        message = "The Python packages could not be installed: check the network and run the script again"
        print(f"\n{error}\n{message} (all output: .venv/install.log).", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
