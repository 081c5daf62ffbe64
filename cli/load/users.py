"""Users of a service: what they ask for, when they ask, and what they get."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Iterator
from dataclasses import dataclass

import httpx
import orjson

from cli.connection import ServiceError, client, health, is_here

PROMPTS = ("a tall chair", "a round table", "a small house with a roof", "a tree", "a cup", "an aeroplane", "a torus")
GUIDANCE_SCALES = (1.0, 3.0, 7.5, 12.0)
LONGEST_ANSWER = 320.0
LONGEST_PAUSE = 10.0
"""A user who was told to come back later does so after this time at most."""
BAD_BODY = "bad body"


@dataclass(frozen=True)
class Mix:
    """What users ask for: a range of steps, and the share of requests with the fine stage."""

    steps: tuple[int, int]
    fine: float
    seed: int

    def requests(self) -> Iterator[dict[str, object]]:
        """Yields requests without end, the same ones for the same mix."""
        source = random.Random(self.seed)
        while True:
            yield {
                "prompt": source.choice(PROMPTS),
                "ddim_steps": source.randint(*self.steps),
                "guidance_scale": source.choice(GUIDANCE_SCALES),
                "seed": source.randrange(2**31),
                "use_fine": source.random() < self.fine,
            }


@dataclass(frozen=True)
class Answer:
    """The end of one request.

    Attributes:
        outcome: The status, the name of the error that broke the connection, or BAD_BODY.
        seconds: Time from the request to the end of its answer.
        fine: Whether the request asked for the fine stage.
        bytes: Size of the answer's body.
        user: Number of the user who asked; None where requests come at a rate, from nobody in particular.
    """

    outcome: str
    seconds: float
    fine: bool
    bytes: int
    user: int | None = None


def wait_until_ready(url: str, seconds: float = 300.0) -> None:
    """Waits for a service.

    Raises:
        ServiceError: It does not answer, its models failed to load, or loading takes too long.
    """
    end = time.monotonic() + seconds
    with client(url) as http:
        while True:
            found = health(http, url)
            if found["status"] == "ready":
                return
            if found["status"] == "error" or time.monotonic() > end:
                raise ServiceError(
                    f"The service at {url} is not ready: {found.get('error') or 'its models are loading'}"
                )
            time.sleep(0.5)


class Load:
    """Runs users against the service at `url` and collects their answers.

    The users take their requests from one sequence, so the mix does not depend on how fast the service is.
    """

    def __init__(self, url: str, mix: Mix, *, seconds: float, requests: int | None = None) -> None:
        self.answers: list[Answer] = []
        self._url = url
        self._requests = mix.requests()
        self._left = requests
        self._end = time.monotonic() + seconds

    async def closed(self, users: int) -> None:
        """Each user sends the next request after the last answer, or when the service told it to try again."""
        async with self._client() as http:
            await asyncio.gather(*(self._user(http, user) for user in range(users)))

    async def open(self, rate: float) -> None:
        """Sends `rate` requests per second, whatever the service does."""
        start, sent = time.monotonic(), 0
        async with self._client() as http, asyncio.TaskGroup() as running:
            while self._take():
                running.create_task(self._send(http, next(self._requests)))
                sent += 1
                await asyncio.sleep(max(0.0, start + sent / rate - time.monotonic()))

    async def _user(self, http: httpx.AsyncClient, user: int) -> None:
        while self._take():
            pause = await self._send(http, next(self._requests), user)
            await asyncio.sleep(pause)

    def _take(self) -> bool:
        if self._left is not None:
            self._left -= 1
            if self._left < 0:
                return False
        return time.monotonic() < self._end

    async def _send(self, http: httpx.AsyncClient, request: dict[str, object], user: int | None = None) -> float:
        start, size, pause = time.monotonic(), 0, 0.0
        try:
            answer = await http.post("/generate", json=request)
            outcome, size = str(answer.status_code), len(answer.content)
            if answer.status_code == 200 and not _is_shape(answer.content, fine=bool(request["use_fine"])):
                outcome = BAD_BODY
            pause = min(float(answer.headers.get("Retry-After", 0)), LONGEST_PAUSE)
        except httpx.RequestError as error:
            outcome = type(error).__name__
        self.answers.append(Answer(outcome, time.monotonic() - start, bool(request["use_fine"]), size, user))
        return pause

    def _client(self) -> httpx.AsyncClient:
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=64)
        return httpx.AsyncClient(
            base_url=self._url, timeout=LONGEST_ANSWER, limits=limits, trust_env=not is_here(self._url)
        )


def _is_shape(body: bytes, *, fine: bool) -> bool:
    shape = orjson.loads(body)
    if set(shape) != {"coarse_xyz", "coarse_normal", "fine_xyz", "fine_normal"}:
        return False
    if not fine and shape["fine_xyz"] is not None:
        return False
    pairs = [(shape[f"{stage}_xyz"] or [], shape[f"{stage}_normal"] or []) for stage in ("coarse", "fine")]
    return bool(pairs[0][0]) and all(len(xyz) == len(normal) for xyz, normal in pairs)
