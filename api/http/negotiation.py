"""Which file a client wants: `format=` in the URL, or else the header Accept, and the options in the URL."""

from __future__ import annotations

from api.call import Call
from api.errors import InvalidRequest, NotAcceptable
from api.http.accept import Range, best_range, readings
from formats import FORMATS, Format, OptionError, Options

_SHOWN = 80


def wanted(call: Call) -> tuple[Format, Options]:
    """The format and the options that a call asks for.

    Raises:
        InvalidRequest: there is no such format, or options are wrong or mean nothing for it; the text names each.
        NotAcceptable: the header Accept allows none of the formats.
    """
    format_ = negotiate(call.accept, call.format)
    return format_, options_for(format_, call)


def options_for(format_: Format, call: Call) -> Options:
    """The options in the URL of a call, for a format.

    Raises:
        InvalidRequest: they are wrong, or mean nothing for the format; the text names each.
    """
    try:
        options = Options.of(call.query)
        format_.check(options)
    except OptionError as error:
        raise InvalidRequest(f"{error}: change or leave out these options of the URL.") from None
    return options


def options_for_events(call: Call) -> Options:
    """The options in the URL of a call whose answer is events: those of JSON, which `completed` holds, as one text.

    Raises:
        InvalidRequest: they are wrong, or mean nothing here; the text names each.
    """
    options = options_for(FORMATS[0], call)
    if options.levels > 1:
        raise InvalidRequest("levels makes a ZIP, which no event holds: ask for a file, or leave it out.")
    return options


def negotiate(accept: str | None, query: str | None) -> Format:
    """The format for an Accept header and a `format=` parameter, None where there is none; the parameter wins.

    Of formats that a client accepts equally the one whose parameters it names is chosen, or else the first in the
    registry, so `*/*` means JSON.

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
    for ranges in readings(accept):
        weights = [_weight(format_, ranges) for format_ in FORMATS]
        best = max(weights)
        if best[0] > 0.0:
            return FORMATS[weights.index(best)]
    types = ", ".join(dict.fromkeys(format_.media_type.partition(";")[0] for format_ in FORMATS))
    raise NotAcceptable(f"No format fits Accept: {(accept or '')[:_SHOWN]!a}: ask for one of {types}.")


def _weight(format_: Format, ranges: list[Range]) -> tuple[float, bool]:
    """How much a client wants a format, and whether it names the format's parameters."""
    best = best_range(ranges, (format_.media_type, *format_.aliases))
    return best.weight, bool(best.parameters)
