"""The API key: one secret that clients send as `Authorization: Bearer KEY` or `X-API-Key: KEY`."""

from __future__ import annotations

import hmac

from pydantic import SecretStr
from starlette.datastructures import Headers

from api.errors import Unauthorized
from api.http.routes import READ, route_of
from api.http.web_page import wants_page


class ApiKey:
    """Checks requests for the key, as the table of routes says; without a key every request passes."""

    def __init__(self, key: SecretStr | None, *, everywhere: bool) -> None:
        self._key = None if key is None else key.get_secret_value().encode()
        self._everywhere = everywhere

    def check(self, method: str, path: str, headers: Headers) -> None:
        """Lets pass a request that has the key or needs none.

        Raises:
            Unauthorized: It needs the key and does not have it.
        """
        if method in READ and path == "/" and wants_page(headers):
            return  # a browser is sent to the page, which everybody may read and which asks for the key
        if self._key is None or route_of(path).is_open(method, path, everywhere=self._everywhere):
            return
        scheme, _, token = headers.get("authorization", "").partition(" ")
        given = token.strip() if scheme.lower() == "bearer" else headers.get("x-api-key", "")
        if not hmac.compare_digest(given.encode(), self._key):
            raise Unauthorized("This path needs the API key: send it as Authorization: Bearer KEY, or X-API-Key: KEY.")
