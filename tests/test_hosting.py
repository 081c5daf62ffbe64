"""What hosts read: the CI workflow, forms, pre-commit's hooks and the citation agree with the project."""

from __future__ import annotations

import re
import shlex
import subprocess
import tomllib
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import yaml

from cli.pythons import promised

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
FORMS = ("bug", "feature")
CHANGES = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


def read(path: str) -> dict[Any, Any]:
    content = yaml.safe_load((ROOT / path).read_text(encoding="utf-8"))
    assert isinstance(content, dict)
    return content


@pytest.fixture
def job() -> dict[str, Any]:
    (found,) = read(".github/workflows/ci.yml")["jobs"].values()
    assert isinstance(found, dict)
    return found


# The workflow


def test_hosted_ci_runs_on_every_promised_version_of_python(job: dict[str, Any]) -> None:
    assert job["strategy"]["matrix"]["python"] == promised()


def test_hosted_ci_runs_the_checks_and_the_tests_that_the_project_runs_itself(job: dict[str, Any]) -> None:
    run = {step["run"] for step in job["steps"] if "run" in step}
    own = set((ROOT / ".ci" / "run").read_text(encoding="utf-8").splitlines())
    for script in ("scripts/check", "scripts/test"):
        assert any(command.split()[0] == script for command in run), script
        assert any(line.split()[:1] == [script] for line in own), script


def test_the_tests_of_the_page_cannot_be_skipped_in_hosted_ci(job: dict[str, Any]) -> None:
    assert job["env"]["XCUBE_TEST_BROWSER"] == "required"


def test_hosted_ci_may_only_read_and_runs_once_a_branch() -> None:
    workflow = read(".github/workflows/ci.yml")
    assert workflow["permissions"] == {"contents": "read"}
    assert workflow["concurrency"]["cancel-in-progress"] is True
    assert "pull_request_target" not in workflow[True], "YAML reads the key `on` as true"


def test_actions_are_pinned_to_commits_with_their_version(job: dict[str, Any]) -> None:
    text = (ROOT / ".github" / "workflows" / "ci.yml").read_text(encoding="utf-8")
    used = [step["uses"] for step in job["steps"] if "uses" in step]
    assert used
    for action in used:
        assert re.fullmatch(r"actions/[\w-]+@[0-9a-f]{40}", action)
        assert re.search(rf"{action} # v\d+\.\d+\.\d+$", text, re.MULTILINE), action


def test_a_change_of_the_locks_renews_the_cache_of_packages(job: dict[str, Any]) -> None:
    (python,) = [step["with"] for step in job["steps"] if "setup-python" in step.get("uses", "")]
    assert python["cache"] == "pip"
    for pattern in python["cache-dependency-path"].split():
        assert list(ROOT.glob(pattern)), pattern


# Forms


@pytest.mark.parametrize("name", FORMS)
def test_a_form_asks_each_question_once_and_says_which_are_required(name: str) -> None:
    form = read(f".github/ISSUE_TEMPLATE/{name}.yml")
    assert form["name"]
    assert form["description"]
    questions = [item for item in form["body"] if item["type"] != "markdown"]
    names = [question["id"] for question in questions]
    assert len(set(names)) == len(names)
    for question in questions:
        assert question["type"] in ("input", "textarea", "dropdown", "checkboxes")
        assert question["attributes"]["label"]
        assert ("options" in question["attributes"]) is (question["type"] in ("dropdown", "checkboxes"))
    assert any(question.get("validations", {}).get("required") for question in questions)


def test_every_issue_goes_through_a_form() -> None:
    forms = {path.stem for path in (ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml")} - {"config"}
    assert forms == set(FORMS)
    assert read(".github/ISSUE_TEMPLATE/config.yml")["blank_issues_enabled"] is False


def test_forms_and_templates_speak_of_files_and_scripts_that_exist() -> None:
    for path in (ROOT / ".github").rglob("*.*"):
        text = path.read_text(encoding="utf-8")
        for name in re.findall(r"\b[A-Z]+\.md\b|\bscripts/\w+|\brequirements/[\w*.]+", text):
            assert list(ROOT.glob(name)), f"{path.name}: {name}"


# pre-commit


@pytest.mark.parametrize("hook", [hook for repo in read(".pre-commit-config.yaml")["repos"] for hook in repo["hooks"]],
                         ids=lambda hook: hook["id"])  # fmt: skip
def test_a_hook_runs_a_tool_of_the_project_s_own_environment(hook: dict[str, Any]) -> None:
    assert hook["language"] == "system", "anything else would install a second version"
    program, *arguments = shlex.split(hook["entry"])
    assert program == ".venv/bin/python"
    tool = arguments[1]
    assert f"-m {tool}" in (ROOT / "scripts" / "check").read_text(encoding="utf-8")
    subprocess.run([ROOT / program, "-m", tool, "--version"], check=True, capture_output=True)


# Versions


def test_the_citation_has_what_cff_requires_and_the_project_s_version() -> None:
    citation = read("CITATION.cff")
    assert {"cff-version", "message", "title", "authors"} <= citation.keys()
    assert citation["cff-version"] == "1.2.0"
    assert str(citation["version"]) == PROJECT["version"]
    assert citation["license"] == PROJECT["license"]
    (paper,) = citation["references"]
    assert {"type", "title", "authors"} <= paper.keys()
    assert paper["authors"][0]["family-names"] == "Ren"
    assert paper["year"] == 2024


def test_the_newest_release_in_the_changelog_is_the_project_s_version_and_the_citation_s_date() -> None:
    newest = re.search(r"^## (\d+\.\d+\.\d+) - (\d{4}-\d{2}-\d{2})$", CHANGES, re.MULTILINE)
    assert newest is not None
    assert newest[1] == PROJECT["version"]
    assert date.fromisoformat(newest[2]) == read("CITATION.cff")["date-released"]


def test_the_changelog_begins_with_what_is_unreleased() -> None:
    assert re.findall(r"^## (.*)$", CHANGES, re.MULTILINE)[0] == "Unreleased"
