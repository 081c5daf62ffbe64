"""The tests' own order: helpers lie in tests/support, and a test file is no library for others."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from tests.support.paths import ROOT

FILES = sorted(path for path in (ROOT / "tests").rglob("*.py"))


def imported(file: Path) -> set[str]:
    """Modules that a file imports from."""
    nodes = list(ast.walk(ast.parse(file.read_text())))
    found = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    return found | {str(node.module) for node in nodes if isinstance(node, ast.ImportFrom)}


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(ROOT / "tests")))
def test_tests_share_code_through_support_alone(file: Path) -> None:
    ours = {name for name in imported(file) if name == "tests" or name.startswith("tests.")}
    assert {name for name in ours if not name.startswith("tests.support")} == set()
