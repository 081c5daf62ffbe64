"""The pages' examples print what the pages show, run in order against one service."""

from __future__ import annotations

import json
import re
import shlex
import shutil
from pathlib import Path

import pytest
import trimesh

from cli.docs import tables
from cli.docs.openapi import SNAPSHOT, changes
from tests.support.examples import Example, Reader, assert_as_shown, examples
from tests.support.paths import DOCS, ROOT
from tests.support.scripts import help_of
from tests.support.service import Server

pytestmark = pytest.mark.shared("demo")

NEEDS_CURL = pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
START = "scripts/serve\n"
RUN = ("quickstart.md", "http.md", "formats.md", "configuration.md", "seeds.md", "python.md", "faq.md")
ELSEWHERE = {"deploy.md": "tests/deploy/test_docs.py", "operations.md": "tests/service/test_operations.py"}
IN_PARTS = {"errors.md": "tests/docs/test_errors.py"}
LONG = ("training.md", "performance.md", "gpu-report.md")
"""Their commands take minutes to hours: here only that the scripts know them is tested."""


def test_every_page_with_examples_is_tested_somewhere() -> None:
    with_examples = {page.name for page in DOCS.glob("*.md") if examples(page.name)}
    assert with_examples == {*RUN, *ELSEWHERE, *IN_PARTS, *LONG}
    for test in (*ELSEWHERE.values(), *IN_PARTS.values()):
        assert (ROOT / test).is_file()


@NEEDS_CURL
@pytest.mark.parametrize(
    "example", [one for page in RUN for one in examples(page) if one.source != START], ids=str
)  # fmt: skip
def test_an_example_prints_what_is_shown(example: Example, reader: Reader) -> None:
    reader.check(example)


@NEEDS_CURL
def test_the_files_that_the_examples_have_written_can_be_read(reader: Reader) -> None:
    """After the examples above."""
    assert trimesh.load_mesh(reader.folder / "chair.glb").is_watertight
    assert trimesh.load_mesh(reader.folder / "table.stl").is_watertight
    assert len(trimesh.load(reader.folder / "table.ply").vertices) > 1000


def test_the_service_answers_with_the_snapshot_of_its_api(fast_demo: Server) -> None:
    agreed = json.loads(SNAPSHOT.read_text(encoding="utf-8"))
    assert list(changes(agreed, fast_demo.get("/openapi.json").json())) == []


@pytest.mark.parametrize("page", LONG)
def test_the_scripts_know_the_options_of_long_commands(page: str) -> None:
    for example in examples(page):
        for line in example.source.splitlines():
            script, *words = shlex.split(line, comments=True)
            assert script.startswith("scripts/"), line
            if script == "scripts/test":
                assert all((ROOT / word).exists() for word in words if not word.startswith("-"))
                continue
            for option in (word for word in words if word.startswith("--")):
                assert re.search(rf"{option}\b", help_of(script)), f"{page}: {line}"


@pytest.mark.parametrize("page", sorted(DOCS.glob("*.md")), ids=lambda page: page.name)
def test_tables_and_docstrings_in_the_pages_are_those_of_the_code(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert text == tables.kept(text), "run scripts/docs --tables"
    marks = text.count("<!-- table: ") + text.count("<!-- docstring: ")
    assert marks == len(re.findall(r"^<!-- (?:table: \w+ -->\n\n\||docstring: [\w. ]+ -->\n\n```)", text, re.MULTILINE))


@pytest.mark.parametrize("page", sorted(DOCS.glob("*.md")), ids=lambda page: page.name)
def test_links_between_the_pages_lead_to_files_that_are_there(page: Path) -> None:
    links = re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8"))
    missing = [link for link in links if "://" not in link and not (page.parent / link).exists()]
    assert missing == []


def test_guidance_is_said_plainly() -> None:
    for page in ("http.md", "concepts.md", "faq.md"):
        text = " ".join((DOCS / page).read_text(encoding="utf-8").replace("**", "").split())
        assert "conventional weight of 1 + s" in text, page
        assert re.search(r"xactly 1\.0 switches (guidance|it) off", text), page


def test_no_page_names_a_folder_of_somebody_s_machine() -> None:
    for page in [*DOCS.glob("*.md"), DOCS / "notebook.ipynb", DOCS / "openapi.json", ROOT / "mkdocs.yml"]:
        assert not re.search(r"/(home|root|Users|work|tmp)/(?!bentoml)", page.read_text(encoding="utf-8")), page.name


# The comparison itself


@pytest.mark.parametrize(
    ("language", "shown", "output"),
    [
        ("text", "1 point, seed 7", "12,345 points, seed -7"),
        ("json", '{"seed":1,…}', '{"seed":2}'),
        ("text", "200\n200", "200"),
        ("http", "HTTP/1.1 200 OK\n\n{}", "HTTP/1.1 201 OK\r\n\r\n{}"),
        ("http", "HTTP/1.1 200 OK\nx-seed: 1\n\n{}", "HTTP/1.1 200 OK\r\nx-other: 1\r\n\r\n{}"),
        ("http", 'HTTP/1.1 400 Bad\n\n{"code":"a"}', 'HTTP/1.1 400 Bad\r\n\r\n{"code":"b"}'),
    ],
)
def test_an_output_that_differs_is_seen(language: str, shown: str, output: str) -> None:
    with pytest.raises(AssertionError):
        assert_as_shown(output, language, shown, "here")


def test_an_output_of_the_same_form_passes() -> None:
    assert_as_shown("12,345 points, seed 7\n", "text", "1 points, seed 99\n", "here")
    assert_as_shown("999 points\n", "text", "12,345 points\n", "here")
    assert_as_shown(
        'HTTP/1.1 200 OK\r\nx-seed: 5\r\nserver: x\r\n\r\n{"id":"' + "a" * 32 + '","xyz":[[-1.5e-7,2],[3,4]]}',
        "http",
        'HTTP/1.1 200 OK\nx-seed: 1\n\n{"id":"' + "0" * 32 + '",\n "xyz":[[0.1,2],…]}\n',
        "here",
    )
