"""Addresses as settings name them: a database of jobs, and where their results are kept."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qsl, unquote, urlsplit

_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_DATABASE = "should be the address of a PostgreSQL database, such as postgresql://user:password@host:5432/database"
_RESULTS = "should be a bucket or a folder, such as s3://bucket/folder or file:///folder"


@dataclass(frozen=True)
class BucketAddress:
    """Objects in an S3-compatible store, below a prefix. endpoint: its URL; None for that of AWS."""

    name: str
    prefix: str
    endpoint: str | None = None
    region: str | None = None


def check_database(text: str) -> None:
    """Lets pass the address of a database.

    Raises:
        ValueError: What is wrong with it, as the end of a sentence that does not tell it: it holds a password.
    """
    try:
        url = urlsplit(text)
        named = url.port is None or url.port > 0
    except ValueError:
        raise ValueError(_DATABASE) from None
    host = url.hostname or dict(parse_qsl(url.query)).get("host")
    if url.scheme not in ("postgresql", "postgres") or not named or not host or len(url.path) < 2:
        raise ValueError(_DATABASE)


def results_at(text: str) -> BucketAddress | Path:
    """Where results are kept.

    Raises:
        ValueError: What is wrong with the address, as the end of a sentence.
    """
    try:
        url = urlsplit(text)
        named = url.hostname or ""
    except ValueError:
        raise ValueError(_RESULTS) from None
    if url.username is not None or url.password is not None:
        raise ValueError("should hold no password: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY instead")
    options = dict(parse_qsl(url.query, keep_blank_values=True))
    if url.scheme == "file" and named in ("", "localhost") and len(url.path) > 1 and not options:
        return Path(unquote(url.path))
    if url.scheme != "s3" or not _BUCKET.fullmatch(named):
        raise ValueError(_RESULTS)
    if unknown := set(options) - {"endpoint", "region"}:
        raise ValueError(f"has the unknown option {sorted(unknown)[0]}, besides endpoint and region")
    endpoint = options.get("endpoint")
    if endpoint is not None and not re.match(r"https?://[^/\s@]+/?$", endpoint):
        raise ValueError("should name its endpoint as in s3://bucket/folder?endpoint=https://host:9000")
    return BucketAddress(named, unquote(url.path).strip("/"), endpoint, options.get("region"))
