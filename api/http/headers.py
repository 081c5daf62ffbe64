"""Headers that every answer carries, and which origins a browser lets read them."""

from __future__ import annotations

from typing import Any

from starlette.datastructures import MutableHeaders

READABLE = ("X-Request-ID", "X-Seed", "X-XCube-Warning", "Server-Timing", "Retry-After", "Location")
SENT = ("Content-Type", "Authorization", "X-API-Key", "X-Request-ID", "Idempotency-Key")


def secure(headers: MutableHeaders) -> None:
    """Adds what keeps a browser from guessing types, telling addresses, and keeping answers."""
    headers["X-Content-Type-Options"] = "nosniff"
    headers.setdefault("Referrer-Policy", "no-referrer")
    headers.setdefault("X-Frame-Options", "DENY")
    if headers.get("content-type", "").startswith("application/json"):
        headers.setdefault("Cache-Control", "no-store")


def cors(origins: str) -> dict[str, Any]:
    """Arguments of Starlette's CORSMiddleware for origins that are separated by commas."""
    return {
        "allow_origins": [origin.strip() for origin in origins.split(",") if origin.strip()],
        "allow_methods": ["GET", "POST", "DELETE"],
        "allow_headers": SENT,
        "expose_headers": READABLE,
    }
