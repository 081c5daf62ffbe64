"""pyproject.toml declares what the code imports, where it is imported: a clean install can run everything."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
OWN = {"api", "cli", "formats", "models", "service", "tests", "training", "xcube_serve"}
# Not declared: fvdb is used where somebody installed it, triton comes with torch's CUDA build, and slow tests
# install open3d, Blender and Warp into environments of their own.
OPTIONAL = {"addon_utils", "bpy", "fvdb", "open3d", "triton", "warp"}
APART = (ROOT / "cli" / "docs", ROOT / "cli" / "mcp")
"""No service needs what builds the documentation, nor what serves assistants, which have extras of their own."""


def declared(*extras: str) -> set[str]:
    """Names of the packages that the project, with these extras, asks for."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = list(project["dependencies"])
    for extra in extras:
        wanted += project["optional-dependencies"][extra]
    return {normal(re.split(r"[\[<>=!~; ]", requirement)[0]) for requirement in wanted}


def normal(name: str) -> str:
    return name.lower().replace("_", "-").replace(".", "-")


def imported(folders: list[str], besides: tuple[Path, ...] = ()) -> dict[str, str]:
    """Top-level modules of other packages that the folders' files import → a file that does; some folders left out."""
    found: dict[str, str] = {}
    for folder in folders:
        path = ROOT / folder
        for file in [path] if path.is_file() else sorted(path.rglob("*.py")):
            if set(besides) & set(file.parents):
                continue
            for node in ast.walk(ast.parse(file.read_text())):
                names: list[str] = []
                if isinstance(node, ast.Import):
                    names = [alias.name for alias in node.names]
                elif isinstance(node, ast.ImportFrom) and node.module is not None and node.level == 0:
                    names = [node.module]
                found |= {name.split(".")[0]: str(file.relative_to(ROOT)) for name in names}
    return {name: file for name, file in found.items() if name not in OWN | OPTIONAL | set(sys.stdlib_module_names)}


@pytest.mark.parametrize(
    ("folders", "extras"),
    [
        (["models", "formats", "api", "cli", "service.py", "xcube_serve"], ()),
        (["training"], ("train",)),
        (["cli/mcp"], ("mcp",)),
        (["tests", "cli/docs", "hatch_build.py"], ("mcp", "train", "dev")),
    ],
)
def test_what_is_imported_is_declared(folders: list[str], extras: tuple[str, ...]) -> None:
    distributions = packages_distributions()
    missing = {
        name: file
        for name, file in imported(folders, besides=() if extras else APART).items()
        if not {normal(d) for d in distributions.get(name, [name])} & declared(*extras)
    }
    assert missing == {}
