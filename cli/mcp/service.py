"""What the server of the Model Context Protocol asks of the service."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

import httpx

from cli.connection import is_here

SECONDS = 600.0


class AskError(Exception):
    """The service cannot be reached or refuses; the text is one sentence that says what to do."""


@dataclass(frozen=True)
class Made:
    """A file of the service. about: what its headers tell."""

    content: bytes
    name: str
    seed: int
    about: dict[str, str]


class Service:
    """A running service at an address, with its API key, if it has one."""

    def __init__(self, url: str, key: str | None) -> None:
        self._url = url
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        self._http = httpx.AsyncClient(timeout=SECONDS, headers=headers, trust_env=not is_here(url))

    async def kinds(self) -> list[list[str]]:
        """What the models know: each kind with its other names. Raises AskError."""
        answer = await self._answer("GET", "/kinds")
        try:
            return [list(kind["names"]) for kind in answer.json()["kinds"]]
        except (ValueError, KeyError, TypeError):
            raise self._stranger(answer) from None

    async def file(self, path: str, body: dict[str, Any], format_: str, **options: object) -> Made:
        """The file that a path of the service makes of a request. Raises AskError."""
        query = {"format": format_, **{name: value for name, value in options.items() if value is not None}}
        answer = await self._answer("POST", path, params=query, json=body)
        known = ("Size", "Voxels", "Faces", "Warning", "Models", "Version")
        facts = {name.lower(): answer.headers.get(f"X-XCube-{name}") for name in known}
        about = {name: unquote(text) for name, text in facts.items() if text}
        if not {"content-disposition", "x-seed"} <= set(answer.headers):
            raise self._stranger(answer)
        name = answer.headers["content-disposition"].partition('"')[2].rstrip('"')
        return Made(answer.content, name, int(answer.headers["x-seed"]), about)

    async def _answer(self, method: str, path: str, **options: Any) -> httpx.Response:
        try:
            answer = await self._http.request(method, f"{self._url}{path}", **options)
        except httpx.TimeoutException:
            raise AskError(f"The service did not answer within {SECONDS:g} s: ask for fewer steps.") from None
        except httpx.TransportError:
            raise AskError(f"No service answers at {self._url}: start scripts/serve, or set XCUBE_URL.") from None
        if answer.is_success:
            return answer
        try:
            raise AskError(str(answer.json()["error"]))
        except (ValueError, KeyError, TypeError):
            raise self._stranger(answer) from None

    def _stranger(self, answer: httpx.Response) -> AskError:
        return AskError(f"What answers at {self._url} is not this service ({answer.status_code}): set XCUBE_URL.")
