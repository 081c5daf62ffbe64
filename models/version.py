"""The version of the service."""

from __future__ import annotations

import tomllib
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

PYPROJECT = Path(__file__).parents[1] / "pyproject.toml"


@lru_cache(maxsize=1)
def service_version() -> str:
    """From pyproject.toml, which a checkout and a Bento have, or else from the installed package; `0` without both."""
    try:
        return str(tomllib.loads(PYPROJECT.read_text(encoding="utf-8"))["project"]["version"])
    except (OSError, KeyError):
        pass
    try:
        return version("xcube-serve")
    except PackageNotFoundError:
        return "0"
