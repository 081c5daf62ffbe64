"""Examples of the documentation: found, run as a reader would run them, and held against what is shown below them.

An example is a block in `bash` or `python`; a block in `http`, `json` or `text` right after it is what it prints. Shown
numbers and ids stand for any, `…` for anything that was left out; statuses and words have to be as shown.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.support.paths import DOCS, ROOT

ADDRESS = "http://localhost:8000"
SHOWN = ("http", "json", "text")
_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)
_ANY = re.compile(r"…|[0-9a-f]{32}|\d{1,3}(?:,\d{3})+\b|-?\d+(?:\.\d+)?(?:e-?\d+)?|\s+")
_END = "__end_of_example__"


@dataclass(frozen=True)
class Example:
    """page: name of its file. line: where it begins. shown: language and text of the block that follows, if any."""

    page: str
    line: int
    language: str
    source: str
    shown: tuple[str, str] | None

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


def examples(page: str, text: str | None = None) -> list[Example]:
    """The examples of a page in docs/, in order."""
    text = (DOCS / page).read_text(encoding="utf-8") if text is None else text
    blocks = list(_BLOCK.finditer(text))
    found = []
    for block, following in zip(blocks, [*blocks, None][1:], strict=True):
        if block[1] not in ("bash", "python"):
            continue
        line = text.count("\n", 0, block.start()) + 1
        adjacent = following is not None and not text[block.end() : following.start()].strip()
        shown = (following[1], following[2]) if adjacent and following and following[1] in SHOWN else None
        found.append(Example(page, line, block[1], block[2], shown))
    return found


class Reader:
    """A reader's terminal: examples run one after the other in one shell, and so share its variables and its folder."""

    def __init__(self, url: str, folder: Path, environment: dict[str, str]) -> None:
        self.url, self.folder = url, folder
        self._shell = subprocess.Popen(
            ["bash", "--norc"], cwd=folder, env={**os.environ, **environment}, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip

    def run(self, example: Example) -> str:
        """What an example prints, errors included. Fails if it ends with a status other than 0."""
        source = example.source.replace(ADDRESS, self.url)
        if example.language == "python":
            (self.folder / "example.py").write_text(source)
            source = f"{sys.executable} example.py"
        source = re.sub(r"(?<![\w/])scripts/", f"{ROOT}/scripts/", source)
        source = source.replace(f"{ROOT}/scripts/generate ", f"{ROOT}/scripts/generate --url {self.url} ")
        assert self._shell.stdin is not None
        assert self._shell.stdout is not None
        self._shell.stdin.write(f"{source}\necho {_END}$?\n")
        self._shell.stdin.flush()
        output = ""
        while _END not in output:
            line = self._shell.stdout.readline()
            assert line, f"{example}: the shell ended:\n{output}"
            output += line
        output, _, status = output.rpartition(_END)
        assert status.strip() == "0", f"{example} ends with status {status.strip()}:\n{output[-2000:]}"
        return output

    def check(self, example: Example) -> str:
        """Runs an example and holds what it prints against what is shown. Returns what it prints."""
        output = self.run(example)
        if example.shown is not None:
            assert_as_shown(output, *example.shown, str(example))
        return output

    def close(self) -> None:
        """Ends the shell."""
        self._shell.kill()
        self._shell.communicate()


def assert_as_shown(output: str, language: str, shown: str, where: str) -> None:
    """Fails unless an output has the form of the block that shows it.

    In an `http` block the status is exact, each header shown has to be there, and the body has to fit.
    """
    if language == "http":
        head, _, body = output.replace("\r\n", "\n").partition("\n\n")
        shown_head, _, shown_body = shown.partition("\n\n")
        status, *headers = head.splitlines()
        shown_status, *shown_headers = shown_head.splitlines()
        assert status.strip() == shown_status.strip(), f"{where}: {status}"
        for header in shown_headers:
            assert any(_fits(line, header) for line in headers), f"{where}: no header like {header!r} in\n{head}"
        output, shown = body, shown_body
    assert _fits(output, shown), f"{where} shows\n{shown}\nbut this came:\n{output[:3000]}"


def _fits(output: str, shown: str) -> bool:
    return re.fullmatch("".join(_pattern(shown.strip())), output.strip(), re.DOTALL) is not None


def _pattern(shown: str) -> Iterator[str]:
    """A regular expression, piece by piece, for a text that is shown; white space counts only between words."""
    end = 0
    for match in _ANY.finditer(shown):
        yield re.escape(shown[end : match.start()])
        end = match.end()
        if match[0] == "…":
            yield ".*?"
        elif len(match[0]) == 32:
            yield "[0-9a-f]{32}"
        elif match[0].isspace():
            yield r"\s+" if shown[match.start() - 1].isalnum() and shown[match.end()].isalnum() else r"\s*"
        else:
            yield r"-?[\d,]*\d(?:\.\d+)?(?:e-?\d+)?"
    yield re.escape(shown[end:])
