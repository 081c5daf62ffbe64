"""What a connection gets that came when all places were taken: an answer to a probe, or else an error; then its end."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from starlette.responses import Response

from api.errors import TooManyConnections, problem_of
from api.process.probes import is_always_answered

App = Any
_CLOSE = (b"connection", b"close")
_RETRY_SECONDS = 5.0


def probes_alone(app: App, refused: Callable[[bool], None]) -> App:
    """An application that lets probes through to `app` and calls `refused` for everything else."""

    async def answer(scope: Any, receive: Any, send: Any) -> None:
        async def send_and_close(message: Any) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message.get("headers", []), _CLOSE]}
            await send(message)

        if is_always_answered(scope["path"]):
            await app(scope, receive, send_and_close)
            return
        refused(True)
        problem = problem_of(
            TooManyConnections("The service has too many connections: try again later.", retry_after=_RETRY_SECONDS)
        )
        response = Response(problem.body(), problem.status, problem.headers(), "application/json")
        await response(scope, receive, send_and_close)

    return answer
