"""README.md says what is true: its commands and programs run, its tables match the code.

A command or program that is new in README.md makes the first test below fail until a test runs it.
"""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from PIL import Image

from api.schemas import GenerateRequest
from cli.image.variant import IMAGE_NAMES
from tests.support.paths import ROOT
from tests.support.scripts import help_of
from tests.support.service import Server, own_environment

pytestmark = pytest.mark.shared("demo")

README = (ROOT / "README.md").read_text()
CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text()
SCRIPTS = sorted(path.name for path in (ROOT / "scripts").iterdir() if path.is_file() and path.suffix == "")

SERVE = "scripts/serve"
GENERATE = 'scripts/generate "a tall chair" -o chair.glb'
HEALTH = "curl -s http://localhost:8000/health"
CURL = (
    "curl -s http://localhost:8000/generate -H 'Content-Type: application/json' "
    """-d '{"prompt": "a round table", "seed": 7}' -o table.json"""
)
IMPORT = "scripts/import --checkpoint-dir checkpoints"
RUN_BY_CI = {"scripts/check", "scripts/test", "scripts/test_pythons"}
IMAGE = "scripts/image --cpu"
CONTAINER = "docker run --rm --interactive --tty --publish 127.0.0.1:8000:8000 xcube-serve-cpu:0.1.0"
RUN_BY_TEST_PACKAGING = {"pip install -c requirements/lock.txt .", "xcube-serve"}
PROGRAMS = {"import requests", "import bentoml", "from models import Pipeline"}


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def program(first_line: str) -> str:
    (found,) = [block for block in blocks("python") if block.startswith(first_line)]
    return found


def rows(heading: str) -> list[list[str]]:
    """The cells of the table whose head starts with `heading`, head and rule left out."""
    lines = README[README.index(f"| {heading} |") :].split("\n\n")[0].splitlines()
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


# Nothing is left out


def test_every_command_and_program_is_run_by_a_test() -> None:
    commands = {line for block in blocks("bash") for line in block.splitlines()}
    assert commands == {SERVE, GENERATE, HEALTH, CURL, IMPORT, IMAGE, CONTAINER, *RUN_BY_TEST_PACKAGING}
    assert {block.splitlines()[0] for block in blocks("python")} == PROGRAMS
    assert set(re.findall(r"```(\w+)", README)) == {"bash", "bibtex", "python", "text"}


def test_ci_runs_the_checks_and_the_tests() -> None:
    assert set((ROOT / ".ci" / "run").read_text().splitlines()) >= RUN_BY_CI


def test_every_script_is_named_and_every_named_script_exists() -> None:
    assert set(re.findall(r"scripts/(\w+)", README + CONTRIBUTING)) == set(SCRIPTS)


def test_every_option_is_known_to_its_script() -> None:
    used = {(script, option) for script, option in re.findall(r"scripts/(\w+)[^`\n]*?(--[\w-]+)", README)}
    used |= {
        (row[1], option)
        for row in re.finditer(r"^\| `scripts/(\w+)` \|.*$", CONTRIBUTING, re.MULTILINE)
        for option in re.findall(r"`(--[\w-]+)", row[0])
    }
    used |= {("generate", option) for option in ("--no-fine", "--steps", "--preview", "--url")}
    for script, option in sorted(used):
        assert option in help_of(f"scripts/{script}"), f"scripts/{script} {option}"


def test_every_link_into_the_project_leads_somewhere() -> None:
    for target in re.findall(r"\]\((?!http)([^)#]+)\)", README):
        assert (ROOT / target).exists(), target


def test_the_start_that_is_shown_is_what_the_code_says() -> None:
    """Each line but the variable parts: what is installed, imported, loaded, and the last line with the address."""
    shown = "\n".join(blocks("text"))
    code = "\n".join(
        file.read_text()
        for folder in ("api", "cli", "models", "scripts")
        for file in sorted((ROOT / folder).rglob("*.py"))
    )
    for piece in (
        "Installing the Python packages into .venv (minutes the first time, later seconds).",
        "The Python packages are ready after ",
        "imported ",
        "loading the ",
        "Starting the service, then loading the models. Ctrl+C stops it.",
        "warming up",
        "Ready: ", "; for programs: ",
    ):  # fmt: skip
        assert piece in shown
        assert piece in code


def test_the_moving_picture_moves_and_is_soon_loaded() -> None:
    (name,) = re.findall(r"!\[[^]]+\]\((\S+\.webp)\)", README)
    assert (ROOT / name).stat().st_size <= 2_000_000
    with Image.open(ROOT / name) as moving:
        assert moving.n_frames > 50  # type: ignore[attr-defined]
        assert moving.width > 700


def test_the_container_that_is_run_is_the_one_that_is_built_and_only_this_host_reaches_it() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    words = shlex.split(CONTAINER)
    assert words[-1] == f"{IMAGE_NAMES['cpu']}:{version}"
    host, port, inside = words[words.index("--publish") + 1].split(":")
    dockerfile = (ROOT / "deploy" / "image" / "Dockerfile").read_text()
    assert host == "127.0.0.1"
    assert f"EXPOSE {inside}\n" in dockerfile
    assert f"BENTOML_PORT={inside} " in dockerfile
    assert "BENTOML_HOST=0.0.0.0 " in dockerfile, "nothing published would reach it"
    assert f"`Ready: http://localhost:{port}/`" in README
    assert words[-1] in (ROOT / "docs" / "deploy.md").read_text()


def test_xcube_is_cited_as_in_citation_cff() -> None:
    (paper,) = yaml.safe_load((ROOT / "CITATION.cff").read_text())["references"]
    names = " and ".join(f"{author['family-names']}, {author['given-names']}" for author in paper["authors"])
    (entry,) = blocks("bibtex")
    for field, value in {"title": paper["title"], "author": names, "year": paper["year"]}.items():
        assert re.search(rf"^ +{field} += {re.escape(f'{{{value}}}')}", entry, re.MULTILINE), field


# Tables


def test_every_time_and_size_is_one_that_the_documentation_measured() -> None:
    """Rounded, as a table for everybody has it."""
    pages = [(ROOT / "docs" / f"{name}.md").read_text() for name in ("performance", "operations")]
    measured = [figure for page in pages for figure in figures(page)]
    shown = figures("\n".join(" | ".join(row) for row in rows("a shape with 100 steps in each stage")))
    assert len(shown) >= 8
    for low, high, unit in shown:
        digits = len(low.partition(".")[2])
        assert any(
            unit == same
            and [round(float(each or one), digits) for each in (one, other)] == [float(low), float(high or low)]
            for one, other, same in measured
        ), f"{low} {high} {unit}"


def figures(text: str) -> list[tuple[str, str, str]]:
    """Times in s, sizes in GB or GiB: the number or the lower one of a range, the higher one or nothing, the unit."""
    return re.findall(r"(\d+(?:\.\d+)?)(?: (?:to|and) (\d+(?:\.\d+)?))? (s|GB|GiB)\b", text)


def test_the_fields_of_a_request_match_the_schema() -> None:
    table = {cells[0].strip("`"): cells[1].strip("`") for cells in rows("field of `POST /generate`")}
    otherwise = {"seed": "random", "fine_steps": "as `ddim_steps"}
    defaults = {
        name: "required" if field.is_required() else otherwise.get(name) or json.dumps(field.default)
        for name, field in GenerateRequest.model_fields.items()
    }
    assert table == defaults


def test_what_a_user_may_see_is_what_the_code_says() -> None:
    """Each text in the first column, in the parts between what differs."""
    code = "\n".join(
        re.sub(r'"\n\s+f?"', "", file.read_text())
        for folder in ("api", "cli", "models", "scripts")
        for file in (ROOT / folder).rglob("*")
        if file.suffix in (".py", ".sh") or file.parent.name == "scripts"
        if file.is_file() and "static" not in file.parts
    )
    seen = [text for see, _ in rows("what you see") for text in re.findall(r"`([^`]+)`", see)]
    assert len(seen) > 12
    for text in seen:
        if (setting := re.fullmatch(r'"(\w+)": \w+', text)) is not None:
            assert f"    {setting[1]}: " in code, "a field of the health"
        for part in [] if setting or text.startswith("/") else re.split(r" ?… ?| text and no coarse model", text):
            assert part in code, part


# Commands and programs


def here(text: str, fast_demo: Server) -> str:
    """A command or program with the running service's address in place of the default one."""
    return text.replace("http://localhost:8000", fast_demo.url)


def shell(command: str, folder: Path, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """A command as typed in `folder`, except that scripts/ is found in the project."""
    command = re.sub(r"^scripts/", f"{ROOT}/scripts/", command)
    done = subprocess.run(
        ["bash", "-c", command], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done


def test_the_two_commands_give_a_shape(fast_demo: Server, tmp_path: Path) -> None:
    done = shell(f"{GENERATE} --url {fast_demo.url} --preview chair.png", tmp_path, fast_demo.environment)
    assert re.match(r"chair\.glb: [\d,]+ fine points, [\d,]+ coarse points, seed \d+, ", done.stdout)
    content = (tmp_path / "chair.glb").read_bytes()
    tree = json.loads(content[20 : 20 + int.from_bytes(content[12:16], "little")])
    assert tree["nodes"][0]["name"] == "a tall chair"
    assert max(each["count"] for each in tree["accessors"]) > 1000
    assert (tmp_path / "chair.png").stat().st_size > 1000


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_curl_gets_health_and_a_shape(fast_demo: Server, tmp_path: Path) -> None:
    assert json.loads(shell(here(HEALTH, fast_demo), tmp_path, fast_demo.environment).stdout)["status"] == "ready"
    shell(here(CURL, fast_demo), tmp_path, fast_demo.environment)
    table = json.loads((tmp_path / "table.json").read_text())
    assert sorted(table) == ["coarse_normal", "coarse_xyz", "fine_normal", "fine_xyz"]
    assert len(table["coarse_xyz"]) == len(table["coarse_normal"]) > 10
    assert len(table["fine_xyz"]) == len(table["fine_normal"]) > len(table["coarse_xyz"])
    assert all(abs(value) < 0.5 for point in table["fine_xyz"] for value in point), "within ±0.5"


@pytest.mark.parametrize(("first_line", "output"), [
    ("import requests", r"\d+ coarse points, seed 7"),
    ("import bentoml", r"\d+ coarse points"),
    ("from models import Pipeline", r"\d+ coarse voxels"),
])  # fmt: skip
def test_the_python_programs_run(fast_demo: Server, tmp_path: Path, first_line: str, output: str) -> None:
    """After the fast_demo, whose first start has put the demo models into the store."""
    file = tmp_path / "example.py"
    file.write_text(here(program(first_line), fast_demo))
    done = subprocess.run(
        [sys.executable, file], cwd=tmp_path, env=fast_demo.environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert re.fullmatch(output, done.stdout.strip())


@pytest.mark.costly
def test_import_puts_the_models_into_the_store(tmp_path: Path) -> None:
    shell(IMPORT, ROOT, own_environment(tmp_path / "bentoml"))
    stored = {path.name for path in (tmp_path / "bentoml" / "models").iterdir()}
    assert {"xcube-text", "xcube-coarse", "xcube-fine"} <= stored
