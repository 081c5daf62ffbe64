"""A small server for scripts/generate, which answers as told."""

from __future__ import annotations

import contextlib
import http.server
import json
import threading
import urllib.parse
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

READY = {"status": "ready"}
POINTS = {
    "coarse_xyz": [[0.25, 0.25, 0.25], [0.75, 0.25, 0.25]],
    "coarse_normal": [[0.0, 1.0, 0.0], [0.0, 0.0, 1.0]],
    "fine_xyz": [[0.125, 0.125, 0.125], [0.375, 0.125, 0.125], [0.625, 0.125, 0.125]],
    "fine_normal": [[1.0, 0.0, 0.0]] * 3,
}
WAY: list[tuple[str, Any]] = [
    ("queued", {"position": 0}),
    ("progress", {"stage": "coarse", "step": 5, "steps": 10, "seconds_left": 3.5}),
]
ERROR = {"error": "prompt should not be blank: correct the request.", "code": "invalid_request", "retryable": False}
EMPTY = {"error": "The model produced no voxels: take another seed.", "code": "empty_result", "retryable": False}


@dataclass
class Server:
    """What it answers, and what it was asked. `events` and `statuses` are used up, but for their last ones."""

    health: list[Any] = field(default_factory=lambda: [READY])
    statuses: list[int] = field(default_factory=lambda: [200])
    answer: Any = None
    events: list[list[tuple[str, Any]]] = field(default_factory=lambda: [[*WAY, ("completed", dict(POINTS))]])
    headers: dict[str, str] = field(default_factory=lambda: {"X-Seed": "42"})
    content_type: str = "text/event-stream; charset=utf-8"
    delay: Callable[[], object] = lambda: None
    requests: list[dict[str, Any]] = field(default_factory=list)
    files: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    keys: list[str | None] = field(default_factory=list)
    url: str = ""


def next_of(values: list[Any]) -> Any:
    return values.pop(0) if len(values) > 1 else values[0]


@contextlib.contextmanager
def answering() -> Iterator[Server]:
    """The server, as long as the block runs."""
    state = Server()

    class Handler(http.server.BaseHTTPRequestHandler):
        def reply(self, status: int, content: bytes, headers: dict[str, str]) -> None:
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(content))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)

        def do_GET(self) -> None:
            self.reply(200, json.dumps(next_of(state.health)).encode(), {"Content-Type": "application/json"})

        def do_POST(self) -> None:
            request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            url = urllib.parse.urlsplit(self.path)
            if url.path == "/kinds":  # as of a service that is older
                self.reply(404, b"", {})
                return
            state.keys.append(self.headers["Authorization"])
            if url.query not in ("", "shape=npz"):  # which a service that is older does not know
                state.files.append((url.query, request))
                self.reply(200, f"a file with {url.query}".encode(), {})
                return
            state.requests.append(request)
            assert self.headers["Accept"] == "text/event-stream"
            state.delay()
            status = next_of(state.statuses)
            if status != 200:
                body = state.answer if isinstance(state.answer, bytes) else json.dumps(state.answer).encode()
                self.reply(status, body, state.headers)
                return
            seed = {"X-Seed": str(request["seed"])} if "seed" in request else {}
            self.reply(
                200, stream(next_of(state.events)), {"Content-Type": state.content_type, **state.headers, **seed}
            )

        def log_message(self, format: str, *args: object) -> None:
            pass

    listener = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=listener.serve_forever, args=(0.01,), daemon=True).start()
    state.url = f"http://127.0.0.1:{listener.server_port}"
    yield state
    listener.shutdown()
    listener.server_close()


def stream(events: list[tuple[str, Any]]) -> bytes:
    lines = [(name, json.dumps(data, indent=1).split("\n")) for name, data in events]
    texts = [f"event: {name}\n" + "".join(f"data: {line}\n" for line in data) + "\n" for name, data in lines]
    return ": alive\n\n".join(texts).encode()
