"""How many CPU cores there are to use."""

from __future__ import annotations

import os
from pathlib import Path

CGROUP = Path("/sys/fs/cgroup")


def usable_cores(cgroup: Path = CGROUP) -> int:
    """CPU cores that this process may use: those that it may run on, or what its container grants if that is less."""
    allowed = _allowed()
    granted = _granted(cgroup)
    return allowed if granted is None else max(1, min(allowed, int(granted)))


def _allowed() -> int:
    """Cores that this process may run on; all of them where the system cannot say, as macOS cannot."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _granted(cgroup: Path) -> float | None:
    """The quota of a control group in cores, version 2 or 1; None where there is none."""
    try:
        quota, period = (cgroup / "cpu.max").read_text().split()
    except (OSError, ValueError):
        try:
            quota, period = ((cgroup / f"cpu/cpu.cfs_{part}_us").read_text().strip() for part in ("quota", "period"))
        except OSError:
            return None
    try:
        return float(quota) / float(period) if float(quota) > 0 else None
    except (ValueError, ZeroDivisionError):  # "max"
        return None
