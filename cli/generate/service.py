"""What scripts/generate asks of the service: health, a shape with progress, the same shape as a file."""

from __future__ import annotations

import base64
import io
import json
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import httpx
import numpy as np
from numpy.typing import NDArray

from cli.connection import ServiceError, client, health, stranger
from cli.generate.shapes import GENERATE

LONGEST_QUOTE = 200
"""Characters of an answer that is not the service's."""
EVENTS = "text/event-stream"
OF_THE_SEED = ("empty_result", "too_many_voxels", "not_finite")
"""Codes of errors that may not occur with another seed."""

Points = tuple[NDArray[np.float32], NDArray[np.float32]]
Report = Callable[[str, dict[str, Any]], None]


class GenerateError(ServiceError):
    """No shape was made; the text is one sentence for the user.

    Attributes:
        code: The service's error code; None if the error does not come from the service.
    """

    def __init__(self, text: str, code: str | None = None) -> None:
        super().__init__(text)
        self.code = code


@dataclass(frozen=True)
class Shape:
    """A shape that the service made.

    Attributes:
        body: The answer of POST /generate, as JSON; None of one among several.
        stages: Positions and normals, float32 [N, 3] each, of the stages that have run, finest first.
        seed: The seed that was used.
        warnings: Notes on the result.
    """

    body: bytes | None
    stages: dict[str, Points]
    seed: int
    warnings: tuple[str, ...]


Made = tuple[int, Shape | GenerateError]


class Service(AbstractContextManager["Service"]):
    """A running service; its connections are closed at the end of a `with`.

    Args:
        url: Its address.
        timeout: Longest time to wait for its start, and for a shape, in seconds.
        key: Its API key, if it has one.

    Raises:
        ServiceError: The key has a character that a header cannot carry, or the environment names a wrong proxy.
    """

    def __init__(self, url: str, timeout: float, key: str | None) -> None:
        self._url, self._timeout = url, timeout
        self._http = client(url, timeout=timeout, headers=_authorization(key.strip()) if key else {})

    def __exit__(self, *_: object) -> None:
        """Closes the connections."""
        self._http.close()

    def wait_until_ready(self) -> None:
        """Waits until the service can generate; asks /health once a second while the models load.

        Raises:
            ServiceError: No service answers, its models failed to load, or loading takes longer than the timeout.
        """
        end = time.monotonic() + self._timeout
        while True:
            found = health(self._http, self._url)
            if found["status"] == "ready":
                return
            if found["status"] == "error":
                raise ServiceError(f"The service has no models: {found.get('error')}")
            if time.monotonic() > end:
                raise ServiceError(
                    f"The service at {self._url} was still loading after {self._timeout:g} s: try again later."
                )
            time.sleep(1.0)

    def notes(self, prompt: str) -> tuple[str, ...]:
        """What every shape of a prompt will be said to have wrong, such as that the models know no such kind.

        A service that cannot tell, as an older one, says nothing: the shape will.
        """
        try:
            answer = self._http.post(f"{self._url}/kinds", json={"prompt": prompt})
            return tuple(answer.json()["warnings"]) if answer.is_success else ()
        except (httpx.TransportError, ValueError, TypeError, KeyError):
            return ()

    def generate(
        self, request: dict[str, Any], report: Report, *, compact: bool = True, path: str = GENERATE
    ) -> Iterator[Made]:
        """Makes the shapes of a request, and gives each as soon as it is made.

        If the service is full, it tries again when the service says so.

        Args:
            request: The fields of POST /generate.
            report: Called for every event with its name and data.
            compact: Whether shapes may come as npz, which are a seventh of the bytes but have no `body`. A service
                that is older sends JSON all the same.
            path: Of the service; the request has its fields.

        Yields:
            Number of the shape among those of the request, and the shape, or why it was not made.

        Raises:
            GenerateError: The service refused or failed, the connection broke, or the time is over.
            ServiceError: What answers is not this service.
        """
        end = time.monotonic() + self._timeout
        while True:
            try:
                with self._http.stream(
                    "POST",
                    f"{self._url}{path}",
                    json=request,
                    headers={"Accept": EVENTS},
                    params={"shape": "npz"} if compact else {},
                ) as answer:
                    if answer.status_code != 429:
                        yield from self._shapes(answer, report, end)
                        return
                    answer.read()
                    pause = _pause(answer)
                    if time.monotonic() + pause > end:
                        raise _refusal(answer)
            except httpx.TimeoutException:
                raise self._late() from None
            except httpx.RequestError as error:
                raise self._broken(type(error).__name__) from None
            report("full", {"seconds": pause})
            time.sleep(pause)

    def file(self, request: dict[str, Any], format_: str, options: dict[str, Any], path: str = GENERATE) -> bytes:
        """Gets the shape of a request as a file. The service keeps recent shapes, so it need not make this one again.

        Raises:
            GenerateError: The service refused or failed, or the connection broke.
        """
        try:
            answer = self._http.post(f"{self._url}{path}", params={"format": format_, **options}, json=request)
        except httpx.TimeoutException:
            raise self._late() from None
        except httpx.RequestError as error:
            raise self._broken(type(error).__name__) from None
        if not answer.is_success:
            raise _refusal(answer)
        return answer.content

    def _shapes(self, answer: httpx.Response, report: Report, end: float) -> Iterator[Made]:
        if not answer.is_success:
            answer.read()
            raise _refusal(answer)
        if not answer.headers.get("Content-Type", "").startswith(EVENTS):
            raise stranger(self._url, answer)
        try:
            yield from self._read(answer, report, end)
        except (ValueError, TypeError, KeyError):
            raise stranger(self._url, answer) from None

    def _read(self, answer: httpx.Response, report: Report, end: float) -> Iterator[Made]:
        warnings: tuple[str, ...] = ()
        several = False
        for name, data in read_events(self._in_time(answer.iter_bytes(), end)):
            content = json.loads(data)
            if name == "completed" and several:
                return
            if name == "completed":
                body = None if "npz" in content else data.replace(b"\n", b"")
                yield 0, Shape(body, _stages(content), int(answer.headers["X-Seed"]), warnings)
                return
            if name == "failed":
                raise GenerateError(content["error"], content["code"])
            if name == "variant":
                several = True
                yield content["index"], _variant(content)
            if name == "warning":
                warnings = tuple(content["warnings"])
            report(name, content)
        raise self._broken("it ended early")

    def _in_time(self, chunks: Iterable[bytes], end: float) -> Iterator[bytes]:
        for chunk in chunks:
            if time.monotonic() > end:
                raise self._late()
            yield chunk

    def _late(self) -> GenerateError:
        return GenerateError(f"No answer in {self._timeout:g} s: use fewer --steps, --no-fine or more --timeout.")

    def _broken(self, why: str) -> GenerateError:
        return GenerateError(f"The connection to {self._url} broke ({why}): see the service's log.")


def _variant(content: dict[str, Any]) -> Shape | GenerateError:
    """One of several shapes, as an item of a batch has it."""
    if "error" in content:
        return GenerateError(content["error"], content["code"])
    return Shape(None, _stages(content), content["seed"], tuple(content["warnings"]))


def _stages(content: dict[str, Any]) -> dict[str, Points]:
    if "npz" in content:
        return _unpacked(base64.b64decode("".join(content["npz"])))

    def points(name: str) -> NDArray[np.float32]:
        return np.asarray(content[name], np.float32).reshape(-1, 3)

    return {
        stage: (points(f"{stage}_xyz"), points(f"{stage}_normal"))
        for stage in ("fine", "coarse")
        if stage == "coarse" or content["fine_xyz"] is not None
    }


def _unpacked(npz: bytes) -> dict[str, Points]:
    """The stages in a file of NumPy, as `format=npz` has it."""
    with np.load(io.BytesIO(npz), allow_pickle=False) as file:
        return {
            stage: (
                ((file[f"{stage}_ijk"] + 0.5) * file[f"{stage}_voxel_size"]).astype(np.float32),
                file[f"{stage}_normal"].astype(np.float32),
            )
            for stage in ("fine", "coarse")
            if f"{stage}_ijk" in file
        }


def _pause(answer: httpx.Response) -> float:
    """Seconds to wait before asking again: Retry-After, or 1 if that is missing or a date."""
    told = answer.headers.get("Retry-After", "")
    return float(told) if told.isascii() and told.isdigit() else 1.0


def _refusal(answer: httpx.Response) -> GenerateError:
    """The sentence in the service's error body, or the body itself if something else answered."""
    try:
        body = answer.json()
        return GenerateError(str(body["error"]), str(body["code"]))
    except (ValueError, TypeError, KeyError):
        quote = " ".join(answer.text.split())[:LONGEST_QUOTE]
        return GenerateError(f"The service answered {answer.status_code}: {quote or 'nothing'}")


def read_events(chunks: Iterable[bytes]) -> Iterator[tuple[str, bytes]]:
    """Yields name and data of each server-sent event; leaves out comments and an incomplete event at the end."""
    buffer = bytearray()
    for chunk in chunks:
        start = max(0, len(buffer) - 1)
        buffer += chunk
        while (end := buffer.find(b"\n\n", start)) >= 0:
            lines = bytes(buffer[:end]).split(b"\n")
            del buffer[: end + 2]
            start = 0
            fields = [line.split(b": ", 1) for line in lines if line and not line.startswith(b":")]
            data = b"\n".join(text for name, text in fields if name == b"data")
            for event in (text.decode() for name, text in fields if name == b"event"):
                yield event, data


def _authorization(key: str) -> dict[str, str]:
    if not (key.isascii() and key.isprintable()):
        raise GenerateError(
            "XCUBE_API_KEY has a character that a key cannot have: set it to the service's key, or unset it."
        )
    return {"Authorization": f"Bearer {key}"}
