"""Which format a client wants: `format=` in the URL, or else the header Accept (RFC 9110, section 12.5.1)."""

from __future__ import annotations

from dataclasses import dataclass

from api.errors import InvalidRequest, NotAcceptable
from formats.registry import FORMATS, Format

_SHOWN = 80


@dataclass(frozen=True)
class _Range:
    """One part of an Accept header: type/subtype, either may be `*`, with a weight of 0 … 1 and parameters."""

    kind: str
    subkind: str
    weight: float
    parameters: frozenset[str] = frozenset()

    @property
    def specificity(self) -> int:
        return (self.kind != "*") + (self.subkind != "*")

    def holds(self, media_type: str) -> bool:
        kind, _, subkind = media_type.partition("/")
        return self.kind in ("*", kind) and self.subkind in ("*", subkind)


def negotiate(accept: str | None, query: str | None) -> Format:
    """The format for an Accept header and a `format=` parameter, None where there is none; the parameter wins.

    Of formats that a client accepts equally the one whose parameters it names is chosen, or else the first in the
    registry, so `*/*` means JSON. Parameters that no format has are ignored.

    Raises:
        InvalidRequest: `format=` names no format.
        NotAcceptable: the header allows none of the formats.
    """
    if query is not None:
        for format_ in FORMATS:
            if format_.name == query.lower():
                return format_
        names = ", ".join(format_.name for format_ in FORMATS)
        raise InvalidRequest(f"format {query[:_SHOWN]!a} is not known: use one of {names}.")
    ranges = _parse(accept or "*/*")
    weights = [_weight(format_, ranges) for format_ in FORMATS]
    best = max(weights)
    if best[0] <= 0.0:
        types = ", ".join(dict.fromkeys(_essence(format_.media_type) for format_ in FORMATS))
        raise NotAcceptable(f"No format fits Accept: {(accept or '')[:_SHOWN]!a}: ask for one of {types}.")
    return FORMATS[weights.index(best)]


def _weight(format_: Format, ranges: list[_Range]) -> tuple[float, bool]:
    """How much a client wants a format.

    Returns:
        The weight of the most specific range that holds the format, 0 where none does; and whether that range names
        the format's parameters.
    """
    types = [_essence(media_type) for media_type in (format_.media_type, *format_.aliases)]
    holding = [one for one in ranges if any(one.holds(media_type) for media_type in types)]
    best = max(holding, key=lambda one: (one.specificity, one.weight), default=_Range("*", "*", 0.0))
    own = _parameters(format_.media_type)
    return best.weight, bool(own) and own <= best.parameters


def _parse(accept: str) -> list[_Range]:
    """The parts of an Accept header. One that is malformed is left out, as servers do."""
    ranges = []
    for part in accept.split(","):
        media_type, *parameters = (piece.strip().lower() for piece in part.split(";"))
        kind, slash, subkind = media_type.partition("/")
        if not slash or not kind or not subkind:
            continue
        weights = [parameter[2:] for parameter in parameters if parameter.startswith("q=")]
        try:
            weight = min(1.0, max(0.0, float(weights[0]))) if weights else 1.0
        except ValueError:
            continue
        ranges.append(_Range(kind, subkind, weight, _parameters(part)))
    return ranges


def _essence(media_type: str) -> str:
    """A media type without its parameters."""
    return media_type.partition(";")[0].strip()


def _parameters(media_type: str) -> frozenset[str]:
    """The parameters of a media type, as `name=value`."""
    return frozenset(piece.strip().lower() for piece in media_type.split(";")[1:])
