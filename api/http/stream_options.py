"""What an event stream may be asked for beside its JSON's options: how it tells of a shape, and what it may skip."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, Self

from api.errors import InvalidRequest

_FLAGS = {"true": True, "1": True, "false": False, "0": False}
_SHAPES = ("json", "npz", "packed")
_SHOWN = 40
MOST_PREVIEWS = 50


class Rule(NamedTuple):
    """One option: what it may be, in words and as a JSON schema, what it does, and how it is read; None is no value."""

    words: str
    schema: dict[str, Any]
    meaning: str
    read: Callable[[str], Any]


RULES = {
    "shape": Rule(
        "json, npz or packed",
        {"enum": list(_SHAPES), "default": "json"},
        "npz: events that hold a shape have `npz` in place of positions and normals, the file of that format in Base64 "
        "as a list of texts to be joined: about a seventh of the bytes; packed: as few bytes as a picture needs, "
        "`coarse` in `coarse` and `preview`, `fine` alone at the end, after a `sending` with its `bytes`",
        lambda text: text if text in _SHAPES else None,
    ),
    "recent": Rule(
        "true or false",
        {"type": "boolean", "default": False},
        "a shape that was made a moment ago, for the same request with the same seed, comes at once: `coarse` and "
        "`completed` alone",
        lambda text: _FLAGS.get(text.lower()),
    ),
    "previews": Rule(
        f"a whole number from 0 to {MOST_PREVIEWS}",
        {"type": "integer", "minimum": 0, "maximum": MOST_PREVIEWS, "default": 0},
        "so many events `preview` at most, each with what the coarse shape seems to become; each takes a step more and "
        "the decoding",
        lambda text: int(text) if text.isascii() and text.isdigit() and int(text[:9]) <= MOST_PREVIEWS else None,
    ),
}


@dataclass(frozen=True)
class StreamOptions:
    """What a stream was asked for; see `RULES`."""

    recent: bool = False
    previews: int = 0
    shape: str = "json"

    @property
    def packed(self) -> bool:
        """Whether shapes are to be packed."""
        return self.shape == "packed"

    @classmethod
    def of(cls, query: Mapping[str, str]) -> Self:
        """The options in the query of a URL; names that are no options mean nothing here.

        Raises:
            InvalidRequest: a value means nothing; the text names every such option.
        """
        given = {name: RULES[name].read(text) for name, text in query.items() if name in RULES}
        faults = [
            f"{name} should be {RULES[name].words}, not {query[name][:_SHOWN]!a}"
            for name, value in given.items()
            if value is None
        ]
        if faults:
            raise InvalidRequest(f"{'; '.join(faults)}: change or leave out these options of the URL.")
        return cls(**given)
