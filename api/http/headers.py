"""Headers that every answer carries."""

from __future__ import annotations

from starlette.datastructures import MutableHeaders


def secure(headers: MutableHeaders) -> None:
    """Adds what keeps a browser from guessing types, telling addresses, and keeping answers."""
    headers["X-Content-Type-Options"] = "nosniff"
    headers.setdefault("Referrer-Policy", "no-referrer")
    headers.setdefault("X-Frame-Options", "DENY")
    if headers.get("content-type", "").startswith("application/json"):
        headers.setdefault("Cache-Control", "no-store")
