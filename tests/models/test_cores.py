"""A container's share of the machine is what the service counts with."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

import models.cores as cores_of
from api.settings import read_settings
from models.cores import usable_cores


@pytest.fixture(autouse=True)
def _sixteen_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(16)), raising=False)


def process(folder: Path, kind: str, root: str = "/", group: str = "/") -> tuple[Path, Path]:
    """What the kernel tells of a process with one hierarchy of control groups, and where that is mounted."""
    made, point = folder / "proc", folder / "a mount"
    made.mkdir()
    point.mkdir()
    options, entry = (
        ("rw,nsdelegate", f"0::{group}") if kind == "cgroup2" else ("rw,cpu,cpuacct", f"4:cpu,cpuacct:{group}")
    )
    shown = str(point).replace(" ", "\\040")
    (made / "mountinfo").write_text(
        "22 1 0:5 / /proc rw,nosuid - proc proc rw\n"
        f"31 22 0:28 {root} {shown} ro,nosuid shared:9 - {kind} cgroup {options}\n"
        "32 22 0:29 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
    )
    (made / "cgroup").write_text(f"5:memory:/elsewhere\n{entry}\n")
    return made, point


def grant(group: Path, kind: str, quota: str, period: str = "100000") -> None:
    """Writes the quota of one control group."""
    group.mkdir(parents=True, exist_ok=True)
    if kind == "cgroup2":
        (group / "cpu.max").write_text(f"{quota} {period}\n")
    else:
        (group / "cpu.cfs_quota_us").write_text(f"{quota.replace('max', '-1')}\n")
        (group / "cpu.cfs_period_us").write_text(f"{period}\n")


VERSIONS = pytest.mark.parametrize("kind", ["cgroup", "cgroup2"])


@VERSIONS
@pytest.mark.parametrize(
    ("quotas", "cores"),
    [
        ({"": "200000"}, 2),
        ({"kubepods/pod1/box": "300000"}, 3),
        ({"kubepods/pod1/box": "max", "kubepods/pod1": "400000"}, 4),
        ({"kubepods/pod1/box": "800000", "kubepods": "500000"}, 5),
        ({"kubepods/pod1/box": "200000", "kubepods": "500000"}, 2),
        ({"kubepods/pod2": "100000"}, 16),
        ({}, 16),
    ],
)
def test_the_least_quota_of_all_groups_around_a_process_counts(
    tmp_path: Path, kind: str, quotas: dict[str, str], cores: int
) -> None:
    """As systemd nests slices and services, and Kubernetes pods and containers, without a namespace of their own."""
    made, point = process(tmp_path, kind, group="/kubepods/pod1/box")
    for group, quota in quotas.items():
        grant(point / group, kind, quota)
    assert usable_cores(made) == cores


@VERSIONS
@pytest.mark.parametrize("group", ["/docker/abc", "/docker/abc/own", "/elsewhere", "/../other"])
def test_a_container_that_sees_its_own_part_of_the_tree_is_found_there(tmp_path: Path, kind: str, group: str) -> None:
    made, point = process(tmp_path, kind, root="/docker/abc", group=group)
    grant(point, kind, "300000")
    assert usable_cores(made) == 3


@VERSIONS
@pytest.mark.parametrize(
    ("root", "group", "place"),
    [
        ("/..", "/", "box"),
        ("/../..", "/", "pod1/box"),
        ("/../..", "/own", "pod1/box/own"),
        ("/..", "/../other", "other"),
    ],
)
def test_a_process_whose_namespace_begins_below_the_mount_is_found_in_it(
    tmp_path: Path, kind: str, root: str, group: str, place: str
) -> None:
    """As after `unshare --cgroup`, or with the host's control groups mounted in a container."""
    made, point = process(tmp_path, kind, root=root, group=group)
    (point / "pod0" / "box" / "own").mkdir(parents=True)
    grant(point / place, kind, "300000")
    (point / place / "cgroup.procs").write_text(f"1\n{os.getpid()}\n")
    assert usable_cores(made) == 3


@pytest.mark.parametrize(
    ("content", "cores"),
    [
        ("max 100000\n", 16),
        ("200000 100000\n", 2),
        ("250000 100000\n", 2),
        ("50000 100000\n", 1),
        ("6400000 100000\n", 16),
        ("nonsense", 16),
        ("0 0\n", 16),
    ],
)
def test_a_quota_of_a_control_group_counts(tmp_path: Path, content: str, cores: int) -> None:
    made, point = process(tmp_path, "cgroup2")
    (point / "cpu.max").write_text(content)
    assert usable_cores(made) == cores


@pytest.mark.parametrize(("quota", "cores"), [("-1\n", 16), ("300000\n", 3)])
def test_so_does_one_of_version_1(tmp_path: Path, quota: str, cores: int) -> None:
    made, point = process(tmp_path, "cgroup")
    grant(point, "cgroup", quota.strip())
    assert usable_cores(made) == cores


def test_without_control_groups_all_cores_count_that_this_process_may_run_on(tmp_path: Path) -> None:
    assert usable_cores(tmp_path) == 16


@pytest.mark.parametrize(("cores", "threads"), [(1, 1), (2, 2), (3, 2), (4, 3), (16, 15)])
def test_a_core_is_left_to_http_from_three_on(monkeypatch: pytest.MonkeyPatch, cores: int, threads: int) -> None:
    monkeypatch.delenv("XCUBE_THREADS", raising=False)
    monkeypatch.setattr(cores_of, "usable_cores", lambda: cores)
    assert read_settings().threads == threads


@pytest.mark.parametrize(("known", "cores"), [(10, 10), (None, 1)])
def test_a_system_that_does_not_tell_which_cores_are_ours_counts_them_all(
    known: int | None, cores: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """As macOS, whose Python has no os.sched_getaffinity."""
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr(os, "cpu_count", lambda: known)
    assert usable_cores(tmp_path) == cores
