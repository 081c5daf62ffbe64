"""How the commands reach a running service, and what they say when it is not there or something else answers."""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterable
from ipaddress import ip_address
from typing import Any

import httpx

HEALTH_SECONDS = 5.0
LARGEST_HEALTH = 65_536
"""Bytes; what sends more as its health is not the service."""
STATUSES = ("loading", "ready", "error")


class ServiceError(Exception):
    """The service cannot be reached or used; the text is one sentence for the user."""


def address(text: str) -> str:
    """The value of an option `--url`: an address without a slash at its end.

    Raises:
        argparse.ArgumentTypeError: It is no address of a service; one sentence that names the right form.
    """
    url = text.strip().rstrip("/")
    form = "write it like http://localhost:8000"
    if "://" not in url:
        raise argparse.ArgumentTypeError(f"{text!r} does not begin with http:// or https://: {form}")
    try:
        parts = httpx.URL(url)
    except httpx.InvalidURL:
        raise argparse.ArgumentTypeError(f"{text!r} is not an address: {form}") from None
    if parts.scheme not in ("http", "https"):
        raise argparse.ArgumentTypeError(f"{text!r} begins with neither http:// nor https://: {form}")
    if not parts.host or parts.query or parts.fragment or not 0 < (parts.port or 80) < 65_536:
        raise argparse.ArgumentTypeError(f"{text!r} is not an address of a service: {form}")
    return url


def seconds(text: str) -> float:
    """The value of an option that takes a time.

    Raises:
        argparse.ArgumentTypeError: It is not a number of seconds above 0.
    """
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds above 0")
    return value


def is_here(url: str) -> bool:
    """Whether an address is one of this machine's own, which no proxy can reach in its place."""
    host = httpx.URL(url).host
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        ip = ip_address(host)
    except ValueError:
        return False
    return ip.is_loopback or ip.is_unspecified


def client(url: str, **options: Any) -> httpx.Client:
    """An HTTP client for a service, with options of httpx; for this machine it ignores HTTP_PROXY and its like.

    Raises:
        ServiceError: The proxy in the environment cannot be used.
    """
    try:
        return httpx.Client(trust_env=not is_here(url), **options)
    except (ImportError, ValueError, httpx.InvalidURL) as error:
        raise ServiceError(
            f"The proxy that the environment names cannot be used ({error}): correct HTTP_PROXY or ALL_PROXY."
        ) from None


def health(http: httpx.Client, url: str) -> dict[str, Any]:
    """What the service at an address says of itself; it has a `status` of STATUSES.

    Raises:
        ServiceError: No service answers, or something that is not this service does.
    """
    end = time.monotonic() + HEALTH_SECONDS
    try:
        with http.stream("GET", f"{url}/health", timeout=HEALTH_SECONDS) as answer:
            body = _limited(answer.iter_bytes(), end)
    except httpx.TimeoutException:
        raise ServiceError(
            f"What listens at {url} did not answer within {HEALTH_SECONDS:g} s: try again later or give another --url."
        ) from None
    except httpx.ProxyError as error:
        raise ServiceError(f"The proxy did not pass on the call to {url} ({error}): correct HTTP_PROXY.") from None
    except (httpx.RemoteProtocolError, httpx.DecodingError):
        raise stranger(url) from None
    except httpx.TransportError as error:
        if "SSL" in str(error):
            raise ServiceError(f"{url} has no usable TLS ({error}): give the right --url, or http:// in it.") from None
        raise ServiceError(f"No service answers at {url}: start scripts/serve or give another --url.") from None
    try:
        content = json.loads(body)
    except ValueError:
        raise stranger(url, answer) from None
    if isinstance(content, dict):
        if answer.is_success and content.get("status") in STATUSES:
            return content
        if "error" in content and "code" in content:
            raise ServiceError(str(content["error"]))
    raise stranger(url, answer)


def stranger(url: str, answer: httpx.Response | None = None) -> ServiceError:
    """The error that something answered which is not this service; with its answer, if it was one in HTTP."""
    kind = "no HTTP" if answer is None else str(answer.status_code)
    if answer is not None and answer.headers.get("Content-Type"):
        kind = f"{kind}, {answer.headers['Content-Type'].partition(';')[0]}"
    return ServiceError(
        f"What answers at {url} is not this service, or is another version of it ({kind}): give the right --url."
    )


def _limited(chunks: Iterable[bytes], end: float) -> bytes:
    """All chunks, but none after a time or a size that no health has."""
    body = b""
    for chunk in chunks:
        body += chunk
        if len(body) > LARGEST_HEALTH:
            break
        if time.monotonic() > end:
            raise httpx.ReadTimeout("it takes too long")
    return body
