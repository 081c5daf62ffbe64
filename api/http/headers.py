"""Headers that every answer carries, and what requests say about caches."""

from __future__ import annotations

from starlette.datastructures import Headers, MutableHeaders


def secure(headers: MutableHeaders) -> None:
    """Adds what keeps a browser from guessing types, telling addresses, and keeping answers."""
    headers["X-Content-Type-Options"] = "nosniff"
    headers.setdefault("Referrer-Policy", "no-referrer")
    headers.setdefault("X-Frame-Options", "DENY")
    if headers.get("content-type", "").startswith("application/json"):
        headers.setdefault("Cache-Control", "no-store")


def wants_anew(headers: Headers) -> bool:
    """Whether a client wants no answer that was made before: Cache-Control says no-cache or no-store."""
    said = ",".join(headers.getlist("cache-control")).lower().split(",")
    return not {"no-cache", "no-store"}.isdisjoint(directive.strip() for directive in said)
