"""scripts/test_pythons: tests the project on every Python that it promises, each in a clean clone."""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
TESTS = ("tests/test_start.py", "tests/models")
"""What has to pass on each: the project starts, serves and answers; and the models match the golden tensors."""
COMMANDS = (("scripts/test", "-q", *TESTS), ("scripts/parity",))
_VERSION = re.compile(r"Programming Language :: Python :: (3\.\d+)$")


class MissingError(Exception):
    """Something that the test needs is not on this machine; the text is one sentence."""


def promised() -> list[str]:
    """The versions of Python that pyproject.toml names, such as "3.12"."""
    return [match[1] for text in _project()["classifiers"] if (match := _VERSION.match(text))]


def own() -> str:
    """The version of Python that this process runs on."""
    return f"{sys.version_info.major}.{sys.version_info.minor}"


def find(version: str) -> Path | None:
    """An interpreter of this version that has venv, from the PATH, pyenv or uv."""
    candidates = [shutil.which(f"python{version}")]
    candidates += sorted(map(str, Path(_said("pyenv", "root") or "/nowhere").glob(f"versions/{version}.*/bin/python")))
    candidates.append(_said("uv", "python", "find", "--no-python-downloads", version))
    for candidate in filter(None, candidates):
        code = "import sys, venv, ensurepip; print('%d.%d' % sys.version_info[:2])"
        if _said(candidate, "-I", "-c", code) == version:
            return Path(candidate)
    return None


def try_on(version: str, *, lowest: bool) -> None:
    """Clones the project, makes an environment on a version of Python, and runs what has to pass.

    Raises:
        MissingError: There is no such Python here, or no uv and `lowest` is set.
        subprocess.CalledProcessError: A command failed; its output has been shown.
    """
    python = find(version)
    if python is None:
        raise MissingError(
            f"There is no Python {version} with venv here: install it, or name other versions with --python."
        )
    with tempfile.TemporaryDirectory(prefix=f"xcube-python{version}-") as folder:
        clone = Path(folder) / "clone"
        _run("git", "clone", "--quiet", str(ROOT), str(clone), cwd=ROOT)
        if lowest:
            _lower(clone, version)
        _run(str(python), "-m", "venv", ".venv", cwd=clone)
        for command in COMMANDS:
            _run(*command, cwd=clone)


def _lower(clone: Path, version: str) -> None:
    """Writes the lowest versions that pyproject.toml allows into a clone's locks, from which its scripts install."""
    if shutil.which("uv") is None:
        raise MissingError("--lowest needs uv: pip install uv.")
    lock = clone / "requirements" / "lock.txt"
    pins = lock.with_name("lowest.in")
    # torchvision, which open_clip asks for in any version, would come in the newest one and bring its own torch along.
    pins.write_text(f"torch=={_lowest('torch')}\n", encoding="utf-8")
    _run(
        "uv", "pip", "compile", "pyproject.toml", "--extra", "dev", "--resolution", "lowest-direct", "--quiet",
        "--python-version", version, "--no-annotate", "--output-file", str(lock), "--no-header",
        "--constraint", str(pins),
        cwd=clone,
    )  # fmt: skip
    shutil.copy(lock, lock.with_name("lock-cpu.txt"))


def _lowest(package: str) -> str:
    dependencies: list[str] = _project()["dependencies"]
    return next(text.partition(">=")[2] for text in dependencies if text.startswith(f"{package}>="))


def _project() -> dict[str, Any]:
    project: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return project


def _said(*command: str) -> str | None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.strip() or None


def _run(*command: str, cwd: Path) -> None:
    subprocess.run(command, cwd=cwd, check=True)


def main(arguments: list[str] | None = None) -> int:
    """Runs the command; returns 0 if everything passed, 1 if something failed or a version is missing."""
    parser = argparse.ArgumentParser(
        prog="scripts/test_pythons",
        description="Tests the last commit on every Python that the project promises except the one in .venv, on which "
        "scripts/test runs. For each it installs the lock in a clean clone, starts the service, generates a shape, and "
        "compares the models with golden tensors. This takes some minutes and 6 GB for each.",
    )
    parser.add_argument(
        "--python",
        action="append",
        metavar="VERSION",
        help="test only this version, such as 3.12; may be given several times",
    )
    parser.add_argument(
        "--lowest", action="store_true",
        help="use the lowest versions that pyproject.toml allows instead of the lock (needs uv)",
    )  # fmt: skip
    options = parser.parse_args(arguments)
    versions = options.python or ([promised()[0]] if options.lowest else [v for v in promised() if v != own()])
    failed = []
    for version in versions:
        start = time.monotonic()
        print(f"Python {version}: a clean clone", flush=True)
        try:
            try_on(version, lowest=options.lowest)
        except (MissingError, OSError, subprocess.CalledProcessError) as error:
            print(f"Python {version}: {error}", file=sys.stderr, flush=True)
            failed.append(version)
        else:
            print(f"Python {version}: passed in {time.monotonic() - start:.0f} s", flush=True)
    if failed:
        print(f"failed: Python {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
