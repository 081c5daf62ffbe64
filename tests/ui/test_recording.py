"""The moving picture of README.md can be recorded of the page as it is."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import Page, expect

from cli.docs import recording
from tests.support.page import Site


def test_the_recording_types_a_prompt_turns_the_shape_and_shows_its_files(
    page: Page, site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recording, "TURNS", 4)
    film = recording.Film(page)
    recording.use(page, site.url, film)
    assert {json.loads(request)["prompt"] for request in site.replay.requests} == {recording.PROMPT}
    expect(page.locator("#download [data-format=glb]")).to_be_visible()
    film.write(tmp_path / "page.webp")
    with Image.open(tmp_path / "page.webp") as moving:
        assert moving.n_frames > len(recording.PROMPT)  # type: ignore[attr-defined]
        assert moving.size == (recording.WIDTH, recording.HEIGHT)
        assert moving.info["loop"] == 0


def test_without_a_chromium_one_sentence_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recording, "CHROMIUM", None)
    with pytest.raises(recording.RecordingError, match="apt-get install chromium"):
        recording.record()
