"""Origins as settings name them: scheme, host and port of the pages that may call the service."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

ALL = "*"
_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*")
_HOST = re.compile(r"[a-z0-9._-]+|\[[0-9a-f:.]+\]")
_DEFAULT_PORTS = {"http": 80, "https": 443}


def origins_of(text: str) -> tuple[str, ...]:
    """The origins in a text, separated by commas, as browsers write them; `*` stands for all.

    Raises:
        ValueError: one of them is no origin.
    """
    return tuple(_origin(part.strip()) for part in text.split(",") if part.strip())


def _origin(text: str) -> str:
    if text == ALL:
        return ALL
    parts = urlsplit(text)
    scheme, host, port = parts.scheme.lower(), parts.netloc.lower(), parts.port
    if port is not None:
        host = host.rpartition(":")[0]
    more = parts.path.rstrip("/") or "?" in text or "#" in text
    if more or not _SCHEME.fullmatch(scheme) or not _HOST.fullmatch(host):
        raise ValueError(text)
    return f"{scheme}://{host}" if port in (None, _DEFAULT_PORTS.get(scheme)) else f"{scheme}://{host}:{port}"
