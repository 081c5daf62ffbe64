"""Lines of the log: JSON for machines, text for a terminal, and nothing in them that a client could forge."""

from __future__ import annotations

import json
import logging
import re
import sys

import pytest

from api.settings import Settings
from api.telemetry import logs
from api.telemetry.logs import JsonFormatter, TextFormatter, formatter


def record(message: str, level: int = logging.INFO, **fields: object) -> logging.LogRecord:
    made = logging.LogRecord("xcube.access", level, "", 0, message, None, None)
    made.fields = fields
    return made


def test_a_traceback_stays_in_one_line() -> None:
    try:
        raise ValueError("a\nb")
    except ValueError as error:
        record = logging.LogRecord("x", logging.ERROR, "", 0, "it\nbroke", None, (type(error), error, None))
    text = JsonFormatter().format(record)
    assert "\n" not in text
    assert "ValueError" in json.loads(text)["exception"]


@pytest.mark.parametrize("letter", ["x", "ü", "🪑"])
def test_no_text_of_a_line_is_longer_than_1_kb_and_what_was_cut_says_so(letter: str) -> None:
    long = letter * 1500
    made = record(long, client=long, parameters={"prompt": long, "prompts": [long] * 1024, "ddim_steps": 5})
    line = json.loads(JsonFormatter().format(made))
    texts = (line["message"], line["client"], line["parameters"]["prompt"], *line["parameters"]["prompts"][:-1])
    for text in texts:
        assert 1000 < len(text.encode()) <= 1024
        assert re.fullmatch(rf"{letter}+ \[cut\]", text)
    assert line["parameters"]["prompts"][-1] == f"{1024 - len(texts) + 3} more [cut]"
    assert line["parameters"]["ddim_steps"] == 5
    assert len(TextFormatter().format(made).encode()) < 1200


def test_texts_and_lists_that_are_short_stay_as_they_are() -> None:
    fields = {"client": "x" * 1024, "parameters": {"prompts": ["a chair", "a\nboat"], "seed": None}}
    line = json.loads(JsonFormatter().format(record("x", **fields)))
    assert {name: line[name] for name in fields} == fields


def test_a_line_of_json_holds_nothing_that_moves_a_cursor_or_turns_the_direction() -> None:
    odd = "\x00\x1b[31m\x7f\x9b2J\u2028\u202e\u2066\ud800"
    text = JsonFormatter().format(record(odd, path=odd))
    assert text.isprintable()
    assert json.loads(text)["path"] == odd.replace("\ud800", "\\ud800")


# In a terminal


def test_in_a_terminal_a_line_is_text_that_a_client_cannot_break_or_colour() -> None:
    line = TextFormatter().format(record("GET /\x1b[31m\r\nx 404", client="::1"))
    assert re.fullmatch(r"\d\d:\d\d:\d\d GET /\?\[31m\?\?x 404", line)
    assert " ERROR it broke" in TextFormatter().format(record("it broke", logging.ERROR))


def test_in_a_terminal_no_line_of_a_traceback_looks_like_one_of_the_log() -> None:
    try:
        raise ValueError("a\n12:00:00 GET / 200\x1b[2J" + "x" * 5000)
    except ValueError as error:
        made = logging.LogRecord("x", logging.ERROR, "", 0, "broke", None, (type(error), error, None))
    first, *rest = TextFormatter().format(made).split("\n")
    assert first.endswith("ERROR broke")
    assert "  12:00:00 GET / 200?[2Jxx" in rest[-1]
    assert all(line.startswith("  ") and len(line) < 1100 for line in rest)


@pytest.mark.parametrize(
    ("wanted", "terminal", "text"),
    [("auto", True, True), ("auto", False, False), ("json", True, False), ("text", False, True)],
)
def test_lines_are_text_in_a_terminal_and_json_elsewhere_unless_told_otherwise(
    wanted: str, terminal: bool, text: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logs, "load_settings", lambda: Settings(log_format=wanted))
    monkeypatch.setattr(sys.stdout, "isatty", lambda: terminal)
    assert isinstance(formatter(), TextFormatter) is text
