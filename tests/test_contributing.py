"""CONTRIBUTING.md says what is true: tests run its commands, and the files and names that it sends people to exist."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from tests.support.scripts import help_of

ROOT = Path(__file__).resolve().parents[1]
TEXT = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
RUN_BY_CI = {"scripts/check", "scripts/test"}
QUICK = "scripts/test --quick"


def commands(text: str) -> set[str]:
    """The lines of the blocks in bash."""
    return {line for block in re.findall(r"```bash\n(.*?)```", text, re.DOTALL) for line in block.splitlines()}


def test_every_command_is_one_that_ci_runs() -> None:
    assert commands(TEXT) - {QUICK} == RUN_BY_CI
    assert set((ROOT / ".ci" / "run").read_text().splitlines()) >= RUN_BY_CI


def test_every_option_is_one_that_its_script_knows(
    pytestconfig: pytest.Config,
) -> None:
    options = set(re.findall(r"`(scripts/\w+ --\w+)", TEXT)) | {QUICK, "scripts/test --slow"}
    for option in options:
        script, _, name = option.partition(" ")
        if script == "scripts/test":
            assert pytestconfig.getoption(name, default=None) is not None, option
        else:
            assert name in help_of(script), option


def test_every_file_and_folder_that_is_named_exists() -> None:
    named = {
        word
        for code in re.findall(r"`([^`\n]+)`", TEXT)
        for word in code.split()
        if re.fullmatch(r"[\w.-]+/[\w./*-]*|[\w-]+\.(?:py|md|toml|cff)", word) and word != ".venv"
    }
    assert len(named) > 20
    assert [name for name in sorted(named) if not list(ROOT.glob(name.rstrip("/")))] == []


def test_every_folder_of_the_service_is_in_the_table_of_processes() -> None:
    folders = {f"api/{path.parent.name}/" for path in (ROOT / "api").glob("*/__init__.py")}
    listed = set(re.findall(r"^\| `(api/\w+/)`", TEXT, re.MULTILINE))
    assert folders == listed


def test_schedulers_are_in_a_table_at_the_end_of_their_file_and_in_the_docstring_of_generate() -> None:
    classes, _, table = (ROOT / "models" / "schedulers.py").read_text(encoding="utf-8").partition('{"ddim": DDIM()')
    assert "class DDIM" in classes
    assert "class " not in table, "no scheduler comes after the table"
    (pipeline,) = [
        node
        for node in ast.walk(ast.parse((ROOT / "models" / "pipeline.py").read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef) and node.name == "generate"
    ]
    names = re.findall(r'"([\w+-]+)"', '{"ddim": DDIM()' + table.splitlines()[0])
    assert len(names) > 1
    assert all(f'"{name}"' in (ast.get_docstring(pipeline) or "") for name in names)
