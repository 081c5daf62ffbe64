"""The log of a real service."""

from __future__ import annotations

import json
import uuid
from typing import Any

from tests.support.figures import wait_for
from tests.support.service import Server


def lines(server: Server) -> list[dict[str, Any]]:
    """All lines of the log, each of which has to be a JSON object with the common fields.

    A request of its own, whose line is left out, shows that the lines of those before it are there.
    """
    mark = f"mark-{uuid.uuid4()}"
    server.get("/nothing", headers={"X-Request-ID": mark})
    wait_for(lambda: mark in server.log.read_text())
    parsed = [json.loads(line) for line in server.log.read_text().splitlines()]
    for line in parsed:
        assert {"time", "level", "logger", "message"} <= set(line)
    return [line for line in parsed if not line.get("request_id", "").startswith("mark-")]
