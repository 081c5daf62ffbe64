"""The log: one JSON object a line, one line a request, and no prompt unless XCUBE_LOG_PROMPTS is set.

Where a person reads along in a terminal, the lines are text instead, and fewer. The attribute `terminal` of a record is
what stands there in place of its message; if it is empty, the line is for machines alone.
"""

from __future__ import annotations

import logging
import re
import sys
import time
from datetime import UTC, datetime
from itertools import accumulate
from typing import Any

import orjson

from api import call as calls
from api.settings import load_settings
from api.telemetry.bentoml_internals import trace_id

access = logging.getLogger("xcube.access")
LONGEST_PATH = 200
LONGEST_METHOD = 20
LONGEST_VALUE = 1024
"""Bytes of a text in a line. Clients choose headers, prompts and more, and could fill the disk with them."""
CUT = " [cut]"
_BENTOML_HANDLERS = frozenset({"tracehandler", "bentomlhandler", "defaulthandler"})
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069]")
"""What could make a second line, move a terminal's cursor, or turn the direction of what follows."""
_CONFIGURED = ("", "bentoml", "uvicorn.error", "circus")
_TRACE_HEADERS = ("opentelemetry.trace", "opentelemetry.baggage", "opentelemetry.propagate")
"""Loggers with warnings about the headers of a trace, one for each of their entries that is wrong."""


class JsonFormatter(logging.Formatter):
    """A record as one line of JSON: what a client sent, line breaks included, cannot make a second line."""

    def format(self, record: logging.LogRecord) -> str:
        """The line. An attribute `fields` of the record adds to it; a traceback goes into the field `exception`."""
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": short(record.getMessage()),
        }
        if (call := calls.known()) is not None:
            line["request_id"] = call.id
        if (trace := trace_id()) is not None:
            line["trace_id"] = trace
        line |= {name: _bounded(value) for name, value in getattr(record, "fields", {}).items()}
        if record.exc_info:
            line["exception"] = "\n".join(self._traceback(record.exc_info))
        return _CONTROL.sub(lambda found: f"\\u{ord(found[0]):04x}", orjson.dumps(line, default=str).decode())

    def _traceback(self, info: Any) -> list[str]:
        return [short(line) for line in self.formatException(info).splitlines()]


class TextFormatter(JsonFormatter):
    """The same for a terminal: the time, what is worth more attention than usual, and the message."""

    def format(self, record: logging.LogRecord) -> str:
        """The line; a traceback follows on lines of its own, which begin with blanks."""
        level = "" if record.levelno <= logging.INFO else f"{record.levelname} "
        message = short(getattr(record, "terminal", None) or record.getMessage())
        lines = [f"{time.strftime('%H:%M:%S', time.localtime(record.created))} {level}{message}"]
        if record.exc_info:
            lines += [f"  {line}" for line in self._traceback(record.exc_info)]
        return "\n".join(_CONTROL.sub("?", line) for line in lines)


def for_people(record: logging.LogRecord) -> bool:
    """Whether a terminal shows a record: not what is for machines, nor what BentoML tells of its own ways."""
    if record.name.startswith("bentoml") and not logging.getLogger("bentoml").isEnabledFor(logging.DEBUG):
        return record.levelno > logging.INFO
    return getattr(record, "terminal", None) != ""


def short(text: str) -> str:
    """A text of at most LONGEST_VALUE bytes in UTF-8; one that was cut says so at its end."""
    written = text.encode(errors="backslashreplace")
    if len(written) <= LONGEST_VALUE:
        return written.decode()
    return written[: LONGEST_VALUE - len(CUT)].decode(errors="ignore") + CUT


def _bounded(value: Any) -> Any:
    """A value whose texts are short; of a list as many items as have room, and how many more there are."""
    match value:
        case str():
            return short(value)
        case dict():
            return {short(str(name)): _bounded(inner) for name, inner in value.items()}
        case list() | tuple():
            items = [_bounded(item) for item in value]
            sizes = accumulate(len(orjson.dumps(item, default=str)) for item in items)
            room = sum(size <= LONGEST_VALUE for size in sizes)
            return items if room == len(items) else [*items[:room], f"{len(items) - room} more{CUT}"]
        case _:
            return value


def formatter() -> logging.Formatter:
    """The formatter that XCUBE_LOG_FORMAT names; `auto` is text where standard output is a terminal."""
    wanted = load_settings().log_format
    text = sys.stdout.isatty() if wanted == "auto" else wanted == "text"
    return TextFormatter() if text else JsonFormatter()


def configure() -> None:
    """Makes the handlers that BentoML has set up in this process write our lines, each record once."""
    ours = formatter()
    for name in _CONFIGURED:
        logger = logging.getLogger(name)
        for handler in logger.handlers:
            if handler.name in _BENTOML_HANDLERS:
                handler.setFormatter(ours)
                if isinstance(ours, TextFormatter):
                    handler.addFilter(for_people)
        if name and logger.handlers:  # else the root logger would write each record again
            logger.propagate = False
    logging.getLogger("xcube").setLevel(logging.INFO)
    for name in _TRACE_HEADERS:
        logging.getLogger(name).setLevel(logging.ERROR)


def parameters(body: bytes) -> dict[str, Any]:
    """The fields of a valid request for the log: prompts only where the settings ask for them, else their number."""
    fields: dict[str, Any] = orjson.loads(body)
    fields.pop("webhook", None)  # it may hold a secret
    if fields.get("shape"):
        fields["shape"] = [name for name, value in fields["shape"].items() if value is not None]
    if load_settings().log_prompts:
        return fields
    fields.pop("prompt", None)
    if "prompts" in fields:
        fields["prompts"] = len(fields["prompts"])
    return fields


def request(scope: Any, call: calls.Call, status: int, code: str | None, *, by_a_page: bool = False) -> None:
    """Writes the line of a request that has ended.

    Args:
        scope: The ASGI scope.
        call: The call; its `parameters` go into the line.
        status: Status of the answer.
        code: Error code of the answer, if it was an error.
        by_a_page: Whether a page of the service asks for it by itself, so that it tells people nothing.
    """
    path, method = scope["path"][:LONGEST_PATH], scope["method"][:LONGEST_METHOD]
    fields = {
        "request_id": call.id,
        "client": scope["client"][0] if scope.get("client") else None,
        "key": call.client.name if call.client.alone else None,
        "method": method,
        "path": path,
        "status": status,
        "code": code,
        "seconds": round(call.seconds, 4),
        "parameters": call.parameters,
    }
    shown = {name: value for name, value in fields.items() if value is not None}
    outcome = f"{status} {code}" if code else f"{status}"
    reference = f", request {call.id}" if status >= 500 else ""
    terminal = "" if by_a_page and status < 400 else f"{method} {path} {outcome}, {call.seconds:.2f} s{reference}"
    access.info("%s %s %d", method, path, status, extra={"fields": shown, "terminal": terminal})
