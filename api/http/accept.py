"""The header Accept: which media types a client takes, and how gladly (RFC 9110, sections 12.4.2 and 12.5.1)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from starlette.datastructures import Headers

ANYTHING = "*/*"
_TOKEN = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_QUOTED = r'"(?:[^"\\]|\\.)*"'
_PARTS = re.compile(rf"(?:[^,\"]|{_QUOTED})+")
_PARAMETER = re.compile(rf"\s*;\s*(?:({_TOKEN})=({_TOKEN}|{_QUOTED}))?")
_RANGE = re.compile(rf"\s*({_TOKEN})/({_TOKEN})")
_WEIGHT = re.compile(r"0(\.[0-9]{0,3})?|1(\.0{0,3})?")
_UTF8 = ("charset", "utf-8")
"""Said of JSON by habit; all text here is in UTF-8."""


@dataclass(frozen=True)
class Range:
    """One part of an Accept header: type/subtype, either may be `*`, with a weight of 0 … 1 and parameters."""

    kind: str
    subkind: str
    weight: float = 0.0
    parameters: frozenset[tuple[str, str]] = frozenset()

    @property
    def specificity(self) -> tuple[bool, bool, int]:
        """Of several ranges that hold a type, the one with the greatest counts."""
        return self.kind != "*", self.subkind != "*", len(self.parameters)

    def holds(self, media_type: str) -> bool:
        """Whether a media type, with parameters or without, is in the range."""
        found = _parse_range(media_type)
        return (
            found is not None
            and self.kind in ("*", found.kind)
            and self.subkind in ("*", found.subkind)
            and self.parameters <= found.parameters
        )


def accept_of(headers: Headers) -> str | None:
    """The header Accept; lines of that name make one list. None where there is no such line."""
    return ", ".join(headers.getlist("accept")) or None


def readings(accept: str | None) -> Iterator[list[Range]]:
    """The ranges of an Accept header, twice: to the letter, and without parameters, for when nothing fits else.

    Nobody has a type with parameters of a client's own, and it is better off with the type than with an error. A part
    that is malformed is left out, as servers do.
    """
    parts = (_parse_range(part) for part in _PARTS.findall(accept or ANYTHING))
    ranges = [part for part in parts if part is not None]
    yield ranges
    yield [replace(part, parameters=frozenset()) for part in ranges]


def best_range(ranges: Iterable[Range], media_types: Iterable[str]) -> Range:
    """The most specific range that holds one of several names of a type; one of weight 0 if there is none."""
    names = list(media_types)
    holding = [part for part in ranges if any(part.holds(name) for name in names)]
    return max(holding, key=lambda part: (part.specificity, part.weight), default=Range("*", "*"))


def prefers(accept: str | None, media_type: str, others: Iterable[str]) -> bool:
    """Whether a client wants a type rather than each of the others.

    If it wants both equally, that counts as yes where it names the type: a client that takes everything has no wish.
    """
    others = list(others)
    for ranges in readings(accept):
        found = best_range(ranges, [media_type])
        most = max(best_range(ranges, [other]).weight for other in others)
        if max(found.weight, most) > 0:
            named = found.subkind != "*"
            return found.weight > most or (named and found.weight == most)
    return False


def _parse_range(text: str) -> Range | None:
    """A part of an Accept header, or a media type; None where it is malformed."""
    found = _RANGE.match(text)
    if found is None:
        return None
    kind, subkind = found[1].lower(), found[2].lower()
    if kind == "*" and subkind != "*":
        return None
    parameters: set[tuple[str, str]] = set()
    position = found.end()
    while (parameter := _PARAMETER.match(text, position)) is not None:
        position = parameter.end()
        if parameter[1] is None:  # an empty one
            continue
        name, value = parameter[1].lower(), _unquoted(parameter[2]).lower()
        if name == "q":  # what follows belongs to the weight, and has no meaning any more
            weight = _WEIGHT.fullmatch(parameter[2])
            return None if weight is None else Range(kind, subkind, float(weight[0]), frozenset(parameters))
        parameters |= {(name, value)} - {_UTF8}
    return None if text[position:].strip() else Range(kind, subkind, 1.0, frozenset(parameters))


def _unquoted(value: str) -> str:
    return re.sub(r"\\(.)", r"\1", value[1:-1]) if value.startswith('"') else value
