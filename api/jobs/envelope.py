"""Bytes that tell whether they are whole: what a store keeps carries its length and its checksum with it."""

from __future__ import annotations

import json
from hashlib import blake2b

_START = b'{"xcube_job": '
_LONGEST_HEAD = 1024


class DamagedError(ValueError):
    """What was kept is not what was given."""


def seal(id_: str, kind: str, data: bytes) -> bytes:
    """Data as it is kept, as the one thing of a kind that a job has."""
    return _head(id_, kind, data) + data


def unseal(id_: str, kind: str, kept: bytes) -> bytes:
    """The inverse of `seal`.

    Raises:
        DamagedError: Bytes are missing or other ones, or they belong to another job or kind.
    """
    head, line, data = kept[:_LONGEST_HEAD].partition(b"\n")
    data = kept[len(head) + len(line) :]
    if head + line != _head(id_, kind, data):
        raise DamagedError(f"{kind} of job {id_} is damaged: {len(kept)} bytes")
    return data


def is_sealed(kept: bytes) -> bool:
    """Whether bytes begin as sealed ones do; those of earlier versions do not."""
    return kept.startswith(_START)


def _head(id_: str, kind: str, data: bytes) -> bytes:
    values = {
        "xcube_job": id_, "kind": kind, "length": len(data), "blake2b": blake2b(data, digest_size=32).hexdigest()
    }  # fmt: skip
    return json.dumps(values).encode() + b"\n"
