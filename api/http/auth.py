"""The API key: one secret that clients send as `Authorization: Bearer KEY` or `X-API-Key: KEY`."""

from __future__ import annotations

import hmac

from pydantic import SecretStr
from starlette.datastructures import Headers

from api.errors import Unauthorized

OPEN_PATHS = frozenset({"/health", "/livez", "/readyz", "/healthz", "/metrics"})
"""Open to all unless told otherwise. Everything that is not named is closed."""
_PAGE = "/ui/"


class ApiKey:
    """Checks requests for the key; without a key every request passes.

    The web page's own files stay open, since a browser cannot send a key when it opens a page; they hold no secret.
    """

    def __init__(self, key: SecretStr | None, *, everywhere: bool) -> None:
        self._key = None if key is None else key.get_secret_value().encode()
        self._everywhere = everywhere

    def check(self, method: str, path: str, headers: Headers) -> None:
        """Raises Unauthorized if the request needs the key and does not have it."""
        if self._key is None or self._is_open(method, path):
            return
        scheme, _, token = headers.get("authorization", "").partition(" ")
        given = token.strip() if scheme.lower() == "bearer" else headers.get("x-api-key", "")
        if not hmac.compare_digest(given.encode(), self._key):
            raise Unauthorized("This needs the API key: send it as Authorization: Bearer KEY, or X-API-Key: KEY.")

    def _is_open(self, method: str, path: str) -> bool:
        if path.startswith(_PAGE) or path == _PAGE[:-1]:
            return method in ("GET", "HEAD")
        return path in OPEN_PATHS and not self._everywhere
