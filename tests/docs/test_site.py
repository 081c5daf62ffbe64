"""The site builds without a warning, holds everything that belongs to it, and asks nobody for anything."""

from __future__ import annotations

import html
import re
import subprocess
from pathlib import Path

import pytest

from api.errors import TABLE
from api.settings import Settings
from cli.docs import tables
from cli.docs.hooks import OUTSIDE
from formats import FORMATS
from tests.support.paths import DOCS, ROOT

pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built as the command does it: any warning fails it."""
    folder = tmp_path_factory.mktemp("site")
    done = subprocess.run([ROOT / "scripts" / "docs", "--site", folder], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def text_of(page: Path) -> str:
    return html.unescape(re.sub(r"<[^>]+>", "", page.read_text(encoding="utf-8")))


def test_every_page_of_docs_and_of_the_project_is_in_it(site: Path) -> None:
    pages = {path.stem for path in DOCS.glob("*.md")} | {Path(page).stem for page in OUTSIDE.values()} | {"notebook"}
    assert {path.stem for path in site.glob("*.html")} == pages | {"404"}
    assert (site / "notebook.ipynb").is_file()
    assert (site / "openapi.json").is_file()
    assert len(list((site / "images").glob("notebook-*.png"))) >= 7


def test_no_page_loads_anything_from_elsewhere(site: Path) -> None:
    loaded = r"<(?:script|link|img|iframe|source|video|audio)\b[^>]*?\b(?:src|href)=[\"']?((?:https?:)?//[^\"'\s>]+)"
    for page in site.glob("*.html"):
        assert re.findall(loaded, page.read_text(encoding="utf-8")) == [], page.name
    for sheet in site.rglob("*.css"):
        assert not re.search(r"@import|url\(\s*[\"']?(?:https?:)?//", sheet.read_text(encoding="utf-8")), sheet.name


def test_configuration_errors_and_formats_are_those_of_the_code(site: Path) -> None:
    configuration = text_of(site / "configuration.html")
    for name, field in Settings.model_fields.items():
        assert f"XCUBE_{name.upper()}" in configuration
        assert (field.description or "").replace("`", "") in configuration
    errors, files = text_of(site / "errors.html"), text_of(site / "http.html")
    assert all(rule.code in errors for rule in TABLE)
    assert all(format_.media_type in files and format_.description in files for format_ in FORMATS)
    assert "Denoising steps of each stage, 1 to 1000" in text_of(site / "python.html")
    assert "table:" not in configuration + errors + files


def test_values_of_a_setting_are_said_in_words() -> None:
    words = {setting.variable: (setting.default, setting.values) for setting in tables.settings()}
    assert words["XCUBE_PORT"] == ("`8000`", "from 1 to 65,535")
    assert words["XCUBE_DTYPE"] == ("`auto`", "`auto`, `bf16`, `fp32`")
    assert words["XCUBE_LOG_PROMPTS"] == ("`false`", "`true`, `false`")
    assert words["XCUBE_SLICE_SECONDS"] == ("`0.15`", "above 0 to 10")
    assert words["XCUBE_THREADS"][0] == tables.CORES


def test_a_mark_that_names_nothing_fails_the_build() -> None:
    with pytest.raises(KeyError):
        tables.kept("<!-- table: nothing -->\n")
    with pytest.raises(AttributeError):
        tables.kept("<!-- docstring: models.pipeline Nothing -->\n")


def test_pictures_are_small() -> None:
    drawn = list((DOCS / "images").glob("concept-*.png"))
    assert len(drawn) == 4
    assert sum(path.stat().st_size for path in (DOCS / "images").glob("*.png")) < 1_000_000
