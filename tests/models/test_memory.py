"""Memory that is free is that of the container, where it grants less than the machine has."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from models.memory import free_memory

MACHINE = 64 << 30
NAMES = {
    "cgroup2": ("memory.max", "memory.current", "inactive_file"),
    "cgroup": ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
}


@pytest.fixture(autouse=True)
def _large_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(available=MACHINE))


def process(folder: Path, kind: str, group: str) -> tuple[Path, Path]:
    """What the kernel tells of a process in a control group, and where the groups are mounted."""
    made, point = folder / "proc", folder / "mount"
    made.mkdir()
    point.mkdir()
    options, entry = ("rw", f"0::{group}") if kind == "cgroup2" else ("rw,memory", f"5:memory:{group}")
    (made / "mountinfo").write_text(f"31 22 0:28 / {point} ro,nosuid shared:9 - {kind} cgroup {options}\n")
    (made / "cgroup").write_text(f"{entry}\n")
    return made, point


def grant(group: Path, kind: str, limit: str, used: int, files: int) -> None:
    """Writes the memory of one control group."""
    group.mkdir(parents=True, exist_ok=True)
    for name, value in zip(NAMES[kind][:2], (limit, str(used)), strict=True):
        (group / name).write_text(f"{value}\n")
    (group / "memory.stat").write_text(f"anon 1\n{NAMES[kind][2]} {files}\n")


@pytest.mark.parametrize("kind", NAMES)
def test_a_container_s_limit_counts_less_what_it_uses_and_files_make_room(kind: str, tmp_path: Path) -> None:
    made, point = process(tmp_path, kind, "/box/inner")
    grant(point / "box", kind, str(8 << 30), 3 << 30, 1 << 30)
    grant(point / "box" / "inner", kind, str(16 << 30), 3 << 30, 0)
    assert free_memory(made) == 6 << 30


@pytest.mark.parametrize(("kind", "limit"), [("cgroup2", "max"), ("cgroup", str(2**63 - 4096))])
def test_without_a_limit_it_is_that_of_the_machine(kind: str, limit: str, tmp_path: Path) -> None:
    made, point = process(tmp_path, kind, "/")
    grant(point, kind, limit, 1 << 30, 0)
    assert free_memory(made) == MACHINE
    assert free_memory(tmp_path / "nowhere") == MACHINE


def test_a_container_that_is_full_has_nothing_left(tmp_path: Path) -> None:
    made, point = process(tmp_path, "cgroup2", "/")
    grant(point, "cgroup2", "1000", 2000, 0)
    assert free_memory(made) == 0
