"""The OpenAPI document in docs/openapi.json: the agreed contract, with which tests compare the code."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from api.http.endpoints import document
from models.version import service_version

SNAPSHOT = Path(__file__).parents[2] / "docs" / "openapi.json"
_SHOWN = 120


def current() -> dict[str, Any]:
    """The document that a service with this code returns at /openapi.json; no service has to run."""
    import service  # reads the settings when it is imported, which reading a snapshot should not

    paths: dict[str, Any] = service.entry.openapi_spec.asdict()["paths"]
    agreed: dict[str, Any] = json.loads(json.dumps(document(service_version(), paths)))
    return agreed


def write(path: Path = SNAPSHOT) -> None:
    """Writes the snapshot."""
    path.write_text(json.dumps(current(), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def changes(agreed: Any, found: Any, place: str = "") -> Iterator[str]:
    """One line for each place where two JSON values differ: `- gone`, `+ new`, or `! old -> new`, with its path."""
    if isinstance(agreed, dict) and isinstance(found, dict):
        for name in [*agreed, *(name for name in found if name not in agreed)]:
            inner = f"{place}.{name}" if place else name
            if name not in found:
                yield f"- {inner}: {_shown(agreed[name])}"
            elif name not in agreed:
                yield f"+ {inner}: {_shown(found[name])}"
            else:
                yield from changes(agreed[name], found[name], inner)
    elif isinstance(agreed, list) and isinstance(found, list) and len(agreed) == len(found):
        for index, (old, new) in enumerate(zip(agreed, found, strict=True)):
            yield from changes(old, new, f"{place}[{index}]")
    elif agreed != found or isinstance(agreed, bool) != isinstance(found, bool):
        yield f"! {place}: {_shown(agreed)} -> {_shown(found)}"


def _shown(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"
