"""The state of a running generation as bytes, and which of them a service can go on with."""

from __future__ import annotations

import json
from hashlib import blake2b

from api.generation.generator import Saved
from api.messages import Progress

VERSION = 3


def pack(saved: Saved, arithmetic: str) -> bytes:
    """A state without its coarse shape.

    Args:
        saved: The state.
        arithmetic: What changes the bits of a result, besides the request.
    """
    progress = saved.progress
    head = {
        "version": VERSION, "arithmetic": arithmetic, "stage": progress.stage, "step": progress.step,
        "steps": progress.steps, "coarse": name_of(saved.coarse), "warnings": saved.warnings,
    }  # fmt: skip
    return json.dumps(head).encode() + b"\n" + progress.state


def unpack(data: bytes, arithmetic: str, coarse: bytes | None) -> Saved | None:
    """The inverse of `pack`.

    None if another version, or a service with another arithmetic, has saved it, or if the coarse shape is not the one
    that it was saved with: the job starts again instead of becoming a mixture.

    Args:
        data: The bytes.
        arithmetic: As it is now.
        coarse: The coarse shape that was kept beside the state, if any.
    """
    line, _, state = data.partition(b"\n")
    try:
        head = json.loads(line)
        if (head["version"], head["arithmetic"]) != (VERSION, arithmetic):
            return None
        if head["coarse"] is None:
            coarse = None
        elif head["coarse"] != name_of(coarse):
            return None
        progress = Progress(state=state, stage=head["stage"], step=head["step"], steps=head["steps"])
        return Saved(progress, coarse, tuple(head["warnings"]))
    except (ValueError, KeyError, TypeError):
        return None


def coarse_of(data: bytes) -> str | None:
    """The name of the coarse shape that a state was saved with; None if it has none, or cannot be read."""
    try:
        name = json.loads(data.partition(b"\n")[0])["coarse"]
    except (ValueError, KeyError, TypeError):
        return None
    return name if isinstance(name, str) else None


def name_of(coarse: bytes | None) -> str | None:
    """What tells a coarse shape from any other."""
    return None if coarse is None else blake2b(coarse, digest_size=32).hexdigest()
