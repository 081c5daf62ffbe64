"""Bodies become what the schemas describe, or a sentence that names all that is wrong with them."""

from __future__ import annotations

import re
from typing import Any, TypeVar

import orjson
from pydantic import BaseModel, TypeAdapter, ValidationError

from api.errors import InvalidRequest
from api.schemas import BatchItem

Model = TypeVar("Model", bound=BaseModel)
_NAMED_FIELDS = 20
_PYDANTIC_S_WORDS = re.compile(r"^(Value error, |Input |String |List )| after validation, not \d+$")


def parse(model: type[Model], body: bytes, guide: str = "/docs") -> Model:
    """A model from a JSON body; `guide` is where clients find the page that lists the fields.

    Raises:
        InvalidRequest: no JSON (NaN, numbers beyond a double and lone surrogates are none), no object, or fields that
            are missing, unknown or wrong; the text names every one of them.
    """
    try:
        value: Any = orjson.loads(body or b"{}")
    except orjson.JSONDecodeError as error:
        raise InvalidRequest(f"The body is not valid JSON ({error}): send one JSON object.") from None
    if not isinstance(value, dict):
        raise InvalidRequest(f"The body is not a JSON object: send one object with the fields that {guide} lists.")
    try:
        return TypeAdapter(model).validate_python(value)
    except ValidationError as error:
        faults = sentence_of(error, value)
    raise InvalidRequest(f"{faults}: correct the request; {guide} lists every field.")


def sentence_of(error: ValidationError, value: Any = None) -> str:
    """What is wrong with the fields of a body: the first faults, and how many more there are.

    Args:
        error: What pydantic found.
        value: The body, where it may be a batch.
    """
    told = (_of_item(value, one["loc"], one["type"], one["msg"]) for one in error.errors(include_url=False))
    faults = list(dict.fromkeys(_fault(*one) for one in told if one is not None))
    more = f"; and {len(faults) - _NAMED_FIELDS} more" if len(faults) > _NAMED_FIELDS else ""
    return "; ".join(faults[:_NAMED_FIELDS]) + more


Fault = tuple[tuple[int | str, ...], str, str]


def _of_item(value: dict[str, Any], location: tuple[int | str, ...], kind: str, message: str) -> Fault | None:
    """A fault as it is told; None for one in the other of the two forms that an item of a batch may have.

    pydantic tells the faults of both, under names of its own.
    """
    match location:
        case ("prompts", int(index), form, *rest):
            item, place = value["prompts"][index], ("prompts", index, *rest)
            if not isinstance(item, str | dict):
                return place[:2], "neither", "should be a string, or an object with a prompt"
            return (place, kind, message) if isinstance(item, dict) == (form == BatchItem.__name__) else None
        case _:
            return location, kind, message


def _fault(location: tuple[int | str, ...], kind: str, message: str) -> str:
    name = ascii(".".join(map(str, location))[:60])[1:-1] or "the body"
    match kind:
        case "missing":
            return f"{name} is missing"
        case "extra_forbidden":
            return f"{name} is not a known field"
        case _:
            return f"{name} {_PYDANTIC_S_WORDS.sub('', message)}"
