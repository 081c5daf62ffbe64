"""How much memory there is to use."""

from __future__ import annotations

from pathlib import Path

import psutil

from models.cores import PROCESS, groups

_FILES = (
    ("memory.max", "memory.current", "inactive_file"),
    ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
)
"""Limit, use, and what of it is files that make room, in version 2 and 1 of control groups."""


def free_memory(process: Path = PROCESS) -> int:
    """Bytes that this process may still take: what the machine has free, or its container if that is less."""
    left = [free for group in groups(process, "memory") if (free := _left(group)) is not None]
    return max(0, min([psutil.virtual_memory().available, *left]))


def _left(group: Path) -> int | None:
    """Bytes that a control group still grants; None where it has no limit."""
    for limit, used, files in _FILES:
        try:
            granted, taken = int((group / limit).read_text()), int((group / used).read_text())
            stat = dict(line.split() for line in (group / "memory.stat").read_text().splitlines())
            return granted - taken + int(stat.get(files, 0))
        except (OSError, ValueError):  # of the other version, or "max"
            continue
    return None
