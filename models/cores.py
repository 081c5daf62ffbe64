"""How many CPU cores there are to use."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

PROCESS = Path("/proc/self")
_OCTAL = re.compile(r"\\([0-7]{3})")


def usable_cores(process: Path = PROCESS) -> int:
    """CPU cores that this process may use: those that it may run on, or what its container grants if that is less."""
    allowed = _allowed()
    granted = _granted(process)
    return allowed if granted is None else max(1, min(allowed, int(granted)))


def default_threads() -> int:
    """All cores but one, which is left to HTTP; two of two, since what uses them there makes way."""
    cores = usable_cores()
    return max(min(cores, 2), cores - 1)


def _allowed() -> int:
    """Cores that this process may run on; all of them where the system cannot say, as macOS cannot."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _granted(process: Path) -> float | None:
    """The least quota of the control groups that hold this process, in cores; None where there is none."""
    quotas = [quota for group in groups(process, "cpu") if (quota := _quota(group)) is not None]
    return min(quotas, default=None)


def groups(process: Path, controller: str) -> Iterator[Path]:
    """The folders of this process's control groups with a say about `cpu` or `memory`, and of all above them.

    Either version of control groups is understood.

    A container may see no more than a part of the tree: then the folder that is mounted is the last one.
    """
    try:
        mounts = (process / "mountinfo").read_text().splitlines()
        own = [line.split(":", 2) for line in (process / "cgroup").read_text().splitlines()]
    except (OSError, UnicodeDecodeError):
        return
    for mount in mounts:
        fields, _, rest = mount.partition(" - ")
        kind, _, options = rest.split(" ", 2) if rest.count(" ") > 1 else ("", "", "")
        if kind not in ("cgroup", "cgroup2") or (kind == "cgroup" and controller not in options.split(",")):
            continue
        root, point = (PurePosixPath(_unescaped(field)) for field in fields.split(" ")[3:5])
        for entry in own:
            if len(entry) == 3 and (controller in entry[1].split(",") if kind == "cgroup" else entry[0] == "0"):
                yield from _upwards(Path(point), _below(Path(point), root, PurePosixPath(entry[2])))


def _below(point: Path, root: PurePosixPath, group: PurePosixPath) -> PurePosixPath:
    """Where a group lies below what is mounted; the mounted folder itself if it lies elsewhere.

    A process in a namespace of its own sees the groups above that only as `/..`, even where they are mounted with their
    names: then the group is found by this process, which is in it.
    """
    if group.is_relative_to(root) and ".." not in (below := group.relative_to(root)).parts:
        return below
    hidden = root.parts[1:]
    if hidden and set(hidden) == {".."} and ".." not in group.parts:
        for folder in point.glob("/".join("*" for _ in hidden)):
            if _holds_this_process(found := folder / group.relative_to("/")):
                return PurePosixPath(found.relative_to(point))
    return PurePosixPath()


def _holds_this_process(group: Path) -> bool:
    try:
        return str(os.getpid()) in (group / "cgroup.procs").read_text().split()
    except OSError:
        return False


def _upwards(point: Path, group: PurePosixPath) -> Iterator[Path]:
    yield point / group
    for parent in group.parents:
        yield point / parent


def _quota(group: Path) -> float | None:
    """The quota of one control group in cores, version 2 or 1."""
    try:
        quota, period = (group / "cpu.max").read_text().split()
    except (OSError, ValueError):
        try:
            quota, period = ((group / f"cpu.cfs_{part}_us").read_text() for part in ("quota", "period"))
        except OSError:
            return None
    try:
        return float(quota) / float(period) if float(quota) > 0 else None
    except (ValueError, ZeroDivisionError):  # "max"
        return None


def _unescaped(text: str) -> str:
    """A path from mountinfo, which writes blanks and some others as three octal digits."""
    return _OCTAL.sub(lambda match: chr(int(match[1], 8)), text)
