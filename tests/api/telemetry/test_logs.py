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


def test_a_traceback_stays_in_one_line() -> None:
    try:
        raise ValueError("a\nb")
    except ValueError as error:
        record = logging.LogRecord("x", logging.ERROR, "", 0, "it\nbroke", None, (type(error), error, None))
    text = JsonFormatter().format(record)
    assert "\n" not in text
    assert "ValueError" in json.loads(text)["exception"]


# In a terminal


def record(message: str, level: int = logging.INFO, **fields: object) -> logging.LogRecord:
    made = logging.LogRecord("xcube.access", level, "", 0, message, None, None)
    made.fields = fields
    return made


def test_in_a_terminal_a_line_is_text_that_a_client_cannot_break_or_colour() -> None:
    line = TextFormatter().format(record("GET /\x1b[31m\r\nx 404", code="not_found", seconds=0.1, client="::1"))
    assert re.fullmatch(r"\d\d:\d\d:\d\d GET /\?\[31m\?\?x 404  code=not_found seconds=0\.1", line)
    assert " ERROR it broke" in TextFormatter().format(record("it broke", logging.ERROR))


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
