"""What a mesh shows, in words: from a table beside the meshes, from file names or from folders' names."""

from __future__ import annotations

import codecs
import csv
import io
import json
import re
import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from models.errors import ConfigError

TABLES = ("captions.csv", "captions.json", "metadata.csv", "metadata.json")
"""Files that hold captions without being told."""
LONGEST = 300
_FILE = ("file", "path", "filename", "file_name", "mesh", "model", "uid", "id")
_TEXT = ("caption", "captions", "text", "texts", "prompt", "description")
_KIND = ("kind", "category", "class", "label")
_CREDIT = ("credit", "attribution", "author", "creator", "license", "licence")
_ARTICLES = ("a ", "an ", "the ", "some ", "two ", "three ")


@dataclass(frozen=True)
class Words:
    """captions: at least one; kind: the noun; credit: whom to name and the licence, "" where nobody says."""

    captions: tuple[str, ...]
    kind: str
    credit: str = ""


@dataclass(frozen=True)
class Table:
    """Rows of a table of captions by the file's name as it stands there."""

    rows: dict[str, Words] = field(default_factory=dict)

    def of(self, file: str) -> str | None:
        """The name under which the table knows a file (a path inside the folder): as path, as name, or without end."""
        path = Path(_slashed(file))
        names = (str(path), path.name, str(path.with_suffix("")), path.stem)
        found = (known for name in names if (known := name if name in self.rows else self._folded.get(name.casefold())))
        return next(found, None)

    @cached_property
    def _folded(self) -> dict[str, str]:
        """Names without regard to upper and lower case: who wrote the table may use a system that has none."""
        return {name.casefold(): name for name in reversed(self.rows)}


def read_table(path: Path) -> Table:
    """A table of captions.

    CSV needs a column for the file and one for the caption; JSON is {file: caption or captions}, or a list of objects
    with those keys. A column for the kind, and columns that say whom to credit, are optional.

    Raises:
        ConfigError: it cannot be read, or has no such columns.
    """
    try:
        text = _decoded(path.read_bytes())
        rows = list(_of_json(json.loads(text)) if path.suffix.lower() == ".json" else _of_csv(text))
    except (OSError, UnicodeDecodeError, ValueError, csv.Error) as error:
        why = "its text is not UTF-8" if isinstance(error, UnicodeDecodeError) else error
        raise ConfigError(
            f"{path}: cannot be read as a table of captions ({why}); save it as UTF-8 or correct it, or use "
            "--captions names"
        ) from error
    found: dict[str, list[str]] = {}
    others: dict[str, tuple[str, str]] = {}
    for row in rows:
        name, texts = _value(row, _FILE), _texts(row)
        if name is None:
            columns = ", ".join(map(str, row)) or "it is empty"
            raise ConfigError(f"{path}: a row has no file ({columns}); name the columns file and caption")
        kind = _value(row, _KIND) or ""
        name = _slashed(name).removeprefix("./")
        found.setdefault(name, []).extend(texts or [kind] * bool(kind))
        credit = ", ".join(dict.fromkeys(str(row[key]) for key in row if key in _CREDIT and row[key]))
        others[name] = (kind, credit)
    return Table(
        {
            name: Words(tuple(dict.fromkeys(texts)), others[name][0] or noun(texts[0]), others[name][1])
            for name, texts in found.items()
            if texts
        }
    )


def _decoded(data: bytes) -> str:
    """Text as spreadsheets save it: UTF-8, or UTF-16 with its mark."""
    marked = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    return data.decode("utf-16" if marked else "utf-8-sig")


def _of_csv(text: str) -> Iterator[dict[str, Any]]:
    # Excel's own first line, which tells what is between the columns.
    text = re.sub(r"\Asep=.[\r\n]+", "", text.lstrip("\r\n"))
    sample = text.splitlines()[0] if text else ""
    delimiter = max(",;\t", key=sample.count)
    reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=delimiter, skipinitialspace=True)
    columns = [str(name).strip().lower() for name in reader.fieldnames or ()]
    if columns and not (set(columns) & set(_FILE) and set(columns) & {*_TEXT, *_KIND}):
        raise ValueError(f"its columns are {', '.join(columns)}, and not file and caption")
    for row in reader:
        yield {str(key).strip().lower(): value for key, value in row.items() if key is not None}


def _of_json(values: Any) -> Iterator[dict[str, Any]]:
    if isinstance(values, dict):
        values = [
            {**value, "file": key} if isinstance(value, dict) else {"file": key, "caption": value}
            for key, value in values.items()
        ]
    if not isinstance(values, list) or not all(isinstance(value, dict) for value in values):
        raise ValueError("it is neither an object by file nor a list of objects")
    for value in values:
        yield {str(key).strip().lower(): entry for key, entry in value.items()}


def _value(row: dict[str, Any], names: tuple[str, ...]) -> str | None:
    return next((str(row[name]).strip() for name in names if row.get(name)), None)


def _texts(row: dict[str, Any]) -> list[str]:
    for name in _TEXT:
        value = row.get(name)
        if value:
            parts = value if isinstance(value, list) else [value]
            return [text for part in parts if isinstance(part, str) and (text := tidy(part))]
    return []


def tidy(text: str) -> str:
    """Text on one line, at most LONGEST characters."""
    printable = "".join(" " if unicodedata.category(letter) == "Cc" else letter for letter in text)
    return " ".join(unicodedata.normalize("NFC", printable).split())[:LONGEST].rstrip(" .")


def _slashed(file: str) -> str:
    """A path as all tables and files are compared by, whatever system wrote it."""
    return unicodedata.normalize("NFC", file).replace("\\", "/")


def from_name(name: str) -> str:
    """The words in a file's or folder's name, without numbers and keys: `Office_Chair-03` -> `office chair`."""
    apart = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name)
    # A single Latin letter is a number of sorts; in other scripts it may be a word.
    words = _split(apart, lambda letter: unicodedata.category(letter)[0] in "LM")
    return " ".join(word for word in words if len(word) > 1 or word == "a" or not _latin(word)).lower()


def noun(caption: str) -> str:
    """The kind that a caption names, the last word before `with` and the like. `a tall chair with arms`: chair."""
    head = re.split(r"\s+(?:with|without|of|for|in|on|and|that|which|made|from|having|by)\s+|,", caption.lower())[0]
    parts = _split(head, lambda letter: letter == "-" or unicodedata.category(letter)[0] in "LM")
    words = [word for part in parts if (word := part.strip("-")) not in {"", "a", "an", "the"}]
    return words[-1] if words else caption.lower()


def _split(text: str, belongs: Callable[[str], bool]) -> list[str]:
    """The words of a text, of letters that belong to one; file systems keep names with accents apart or not."""
    composed = unicodedata.normalize("NFC", text)
    return "".join(letter if belongs(letter) else " " for letter in composed).split()


def _latin(word: str) -> bool:
    return unicodedata.name(word[0], "").startswith("LATIN")


def words_of(file: str, table: Table, way: str) -> Words | None:
    """What a mesh (a path inside the folder) shows; None where nothing says so.

    Args:
        file: The path inside the folder.
        table: What a table says; it comes first.
        way: `names`, `folders`, or `auto` for the first that holds a word.
    """
    if (row := table.of(file)) is not None:
        return table.rows[row]
    path = Path(file)
    folder = from_name(path.parent.name)
    by_name = from_name(path.stem)
    if way == "folders" or (way == "auto" and not _speaks(by_name)):
        return Words((folder,), folder) if folder else None
    if not by_name:
        return None
    # A folder of its own for every mesh names no kind.
    return Words((by_name,), folder if folder and folder != by_name else noun(by_name))


def _speaks(words: str) -> bool:
    """Whether a name holds words: a key of hexadecimal digits, and `mesh` or `model`, say nothing."""
    left = [word for word in words.split() if word not in {"mesh", "model", "object", "untitled", "scene", "final"}]
    return any(
        not word.isascii() or (len(word) > 2 and re.search("[aeiouy]", word) and re.search("[^a-f]", word))
        for word in left
    )


def spoken(words: Words) -> tuple[str, ...]:
    """The captions as prompts are written: with and without an article, and the kind alone."""
    found: list[str] = []
    for caption in (*words.captions, words.kind):
        found.append(caption)
        if _latin(caption) and not caption.lower().startswith(_ARTICLES):
            found.append(f"{'an' if caption[:1].lower() in 'aeiou' else 'a'} {caption}")
    return tuple(dict.fromkeys(found))
