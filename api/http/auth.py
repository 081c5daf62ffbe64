"""Whose a request is: clients send a key as `Authorization: Bearer KEY` or `X-API-Key: KEY`."""

from __future__ import annotations

import hashlib
import hmac
from functools import cached_property

from pydantic import SecretStr
from starlette.datastructures import Headers

from api.clients import Client
from api.errors import Unauthorized
from api.http.routes import READ, route_of
from api.http.web_page import wants_page
from api.keys import KeyFile, digest_of
from api.networks import site_of


class Keys:
    """Knows clients by their keys, and asks for one where the table of routes says; without keys all may pass.

    Args:
        single: The key that tells no clients apart: each address has a share of its own, and all see all jobs.
        file: Keys of several clients.
        everywhere: Whether open paths are closed as well.
    """

    def __init__(self, single: SecretStr | None, file: KeyFile | None = None, *, everywhere: bool = False) -> None:
        self._single = single
        self._digest = None if single is None else digest_of(single.get_secret_value())
        self._file = file
        self._everywhere = everywhere

    def client(self, method: str, path: str, headers: Headers, address: str) -> Client:
        """Who sends a request.

        Args:
            method: HTTP method in capitals.
            path: The whole path.
            headers: The request's headers.
            address: Where it comes from.

        Raises:
            Unauthorized: It needs a key and has none that is known.
        """
        stranger = Client(site_of(address))
        if method in READ and path == "/" and wants_page(headers):
            return stranger  # a browser is sent to the page, which everybody may read and which asks for the key
        closed = not route_of(path).is_open(method, path, everywhere=self._everywhere)
        if not closed or (self._digest is None and self._file is None):
            return stranger
        scheme, _, token = headers.get("authorization", "").partition(" ")
        given = token.strip() if scheme.lower() == "bearer" else headers.get("x-api-key", "")
        if self._digest is not None and hmac.compare_digest(digest_of(given), self._digest):
            return Client(stranger.share, name=self._name)
        if self._file is not None and (found := self._file.client_of(given)) is not None:
            return found
        raise Unauthorized("This path needs the API key: send it as Authorization: Bearer KEY, or X-API-Key: KEY.")

    @cached_property
    def _name(self) -> str:
        """A name for the single key that does not tell it, not even to who guesses."""
        key = b"" if self._single is None else self._single.get_secret_value().encode()
        return hashlib.scrypt(key, salt=b"xcube jobs", n=2**14, r=8, p=1, dklen=16).hex()
