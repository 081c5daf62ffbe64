"""Tables and docstrings in the documentation, generated from the code that they describe, so that they match it."""

from __future__ import annotations

import importlib
import inspect
import json
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from operator import attrgetter
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from pydantic.fields import FieldInfo

from api.environment import PREFIX
from api.errors import TABLE
from api.http import stream_options
from api.settings import Settings
from formats import FORMATS, Format
from formats.materials import MATERIALS
from formats.options import RULES
from models.presets import PRESETS

MARK = re.compile(
    r"^<!-- (table|docstring): ([\w. ]+) -->\n(?:\n(?:(?!<!-- ).*\n)*\n<!-- end of \1 -->\n)?", re.MULTILINE
)
CORES = "usable cores - 1 (2 if there are only 2)"
"""In words, the only default that depends on the machine."""
_UNITS = {"world": "cube of 1", "metre": "metre", "millimetre": "millimetre", "block": "block"}
_KINDS = {
    "stages": "voxels of both stages", "points": "the finest voxels as points with normals",
    "surface": "a closed surface of triangles", "blocks": "the finest voxels as blocks",
}  # fmt: skip
_BOUNDS = (("ge", "from {}"), ("gt", "above {}"), ("le", "to {}"), ("min_length", "{} character or more"))


@dataclass(frozen=True)
class Setting:
    """One environment variable in words: Markdown for each column of a table."""

    variable: str
    default: str
    values: str
    meaning: str
    choices: tuple[str, ...] = ()


def settings() -> list[Setting]:
    """The settings in the order of the class."""
    return [_setting(name, field) for name, field in Settings.model_fields.items()]


def _setting(name: str, field: FieldInfo) -> Setting:
    if field.default_factory is not None:
        default = CORES
    elif field.default is None:
        default = ""
    else:
        default = f"`{str(field.default).lower() if isinstance(field.default, bool) else field.default}`"
    choices = get_args(field.annotation) if get_origin(field.annotation) is Literal else ()
    return Setting(f"{PREFIX}{name.upper()}", default, _values(field, choices), field.description or "", choices)


def _values(field: FieldInfo, choices: tuple[str, ...]) -> str:
    if choices:
        return ", ".join(f"`{choice}`" for choice in choices)
    if field.annotation is bool:
        return "`true`, `false`"
    limits = {name: value for item in field.metadata for name, value in _limits(item).items()}
    return " ".join(words.format(_number(limits[name])) for name, words in _BOUNDS if name in limits)


def _limits(constraint: Any) -> dict[str, Any]:
    names = [name for name, _ in _BOUNDS]
    return {name: value for name in names if (value := getattr(constraint, name, None)) is not None}


def _number(value: float) -> str:
    return f"{value:,}"


def _settings_table() -> str:
    rows = ([f"`{one.variable}`", one.default, one.values, one.meaning] for one in settings())
    return table(["variable", "default", "values", "meaning"], rows)


def _errors_table() -> str:
    rules = {rule.code: rule for rule in reversed(TABLE)}.values()
    rows = sorted((rule.status, rule.code, "yes" if rule.retryable else "no") for rule in rules)
    return table(["status", "`code`", "`retryable`"], ([str(s), f"`{code}`", retry] for s, code, retry in rows))


def _formats_table() -> str:
    rows = ([f"`{f.name}`", f"`{f.media_type}`", f.description, f"`{f.suffix}`"] for f in FORMATS)
    return table(["`format=`", "`Accept`", "what is in it", "file"], rows)


def _frames_table() -> str:
    rows = []
    for each in FORMATS:
        if each.kind == "report":
            continue
        up, origin = (f"`{first}`" + (f" or {' or '.join(rest)}" if rest else "") for first, *rest in _choices(each))
        rows.append([f"`{each.name}`", up, _UNITS[each.frame.unit], origin, _KINDS[each.kind]])
    return table(["format", "up", "unit", "origin", "what it holds"], rows)


def _choices(format_: Format) -> tuple[tuple[str, ...], tuple[str, ...]]:
    return format_.frame.ups, format_.frame.origins


def _options_table() -> str:
    rows = []
    for name, rule in RULES.items():
        taking = [each.name for each in FORMATS if name in each.options]
        missing = [each.name for each in FORMATS if name not in each.options]
        where = (
            "all" if not missing else ", ".join(taking) if len(taking) < len(missing) else f"not {', '.join(missing)}"
        )
        rows.append([f"`{name}=`", re.sub(r" \([^)]*\)", "", rule.words), rule.meaning, where])
    return table(["option", "values", "what it does", "formats"], rows)


def _streams_table() -> str:
    rows = [[f"`{name}=`", rule.words, rule.meaning] for name, rule in stream_options.RULES.items()]
    return table(["option", "values", "what it does"], rows)


def _materials_table() -> str:
    rows = [
        [
            f"`{each.name}`",
            "#" + "".join(f"{value:02x}" for value in each.colour),
            ", ".join(each.words),
            ", ".join(each.things),
            ", ".join(block.name.removeprefix("minecraft:") for block in each.blocks),
        ]
        for each in MATERIALS
    ]
    return table(["material", "colour", "words", "things", "Minecraft's blocks, dark to light"], rows)


def _presets_table() -> str:
    rows = []
    for name, preset in PRESETS.items():
        fine = "as `ddim_steps`" if preset.fine_steps is None else str(preset.fine_steps)
        interval = json.dumps(preset.guidance_interval)
        rows.append([f"`{name}`", preset.meaning, f"`{preset.scheduler}`", str(preset.steps), fine, f"`{interval}`"])
    return table(["`preset`", "for", "`scheduler`", "`ddim_steps`", "`fine_steps`", "`guidance_interval`"], rows)


def table(head: list[str], rows: Iterable[list[str]]) -> str:
    """A table in Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


TABLES: dict[str, Callable[[], str]] = {
    "settings": _settings_table, "errors": _errors_table, "formats": _formats_table,
    "frames": _frames_table, "options": _options_table, "materials": _materials_table,
    "streams": _streams_table,
    "presets": _presets_table,
}  # fmt: skip


def docstring(module: str, name: str) -> str:
    """A docstring as a block of text.

    Args:
        module: Name of the module.
        name: Name in the module, with dots for what lies inside a class.

    Raises:
        AttributeError: There is no such name, or it has no docstring.
    """
    text = inspect.getdoc(attrgetter(name)(importlib.import_module(module)))
    if text is None:
        raise AttributeError(f"{module}.{name} has no docstring")
    return f"```text\n{text}\n```"


def kept(markdown: str) -> str:
    """A page with its tables and docstrings renewed below their marks, so that whoever reads the file sees them too.

    A mark is a line of its own: `<!-- table: NAME -->`, with a name in `TABLES`, or `<!-- docstring: MODULE NAME -->`.
    """

    def renewed(mark: re.Match[str]) -> str:
        kind, what = mark[1], mark[2]
        text = TABLES[what]() if kind == "table" else docstring(*what.split())
        return f"<!-- {kind}: {what} -->\n\n{text}\n\n<!-- end of {kind} -->\n"

    return MARK.sub(renewed, markdown)


def renew(folder: Path) -> list[Path]:
    """Renews tables and docstrings of all pages in a folder; gives those that have changed."""
    pages = {page: page.read_text(encoding="utf-8") for page in sorted(folder.glob("*.md"))}
    changed = [page for page, text in pages.items() if kept(text) != text]
    for page in changed:
        page.write_text(kept(pages[page]), encoding="utf-8")
    return changed
