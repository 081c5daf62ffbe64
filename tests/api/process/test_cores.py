"""A container's share of the machine is what the service counts with."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from api import settings
from api.process.cores import usable_cores
from api.settings import read_settings


@pytest.fixture(autouse=True)
def _sixteen_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(16)), raising=False)


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
    (tmp_path / "cpu.max").write_text(content)
    assert usable_cores(tmp_path) == cores


@pytest.mark.parametrize(("quota", "cores"), [("-1\n", 16), ("300000\n", 3)])
def test_so_does_one_of_version_1(tmp_path: Path, quota: str, cores: int) -> None:
    (tmp_path / "cpu").mkdir()
    (tmp_path / "cpu" / "cpu.cfs_quota_us").write_text(quota)
    (tmp_path / "cpu" / "cpu.cfs_period_us").write_text("100000\n")
    assert usable_cores(tmp_path) == cores


def test_without_control_groups_all_cores_count_that_this_process_may_run_on(tmp_path: Path) -> None:
    assert usable_cores(tmp_path) == 16


@pytest.mark.parametrize(("cores", "threads"), [(1, 1), (2, 2), (3, 2), (4, 3), (16, 15)])
def test_a_core_is_left_to_http_from_three_on(monkeypatch: pytest.MonkeyPatch, cores: int, threads: int) -> None:
    monkeypatch.delenv("XCUBE_THREADS", raising=False)
    monkeypatch.setattr(settings, "usable_cores", lambda: cores)
    assert read_settings().threads == threads


@pytest.mark.parametrize(("known", "cores"), [(10, 10), (None, 1)])
def test_a_system_that_does_not_tell_which_cores_are_ours_counts_them_all(
    known: int | None, cores: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """As macOS, whose Python has no os.sched_getaffinity."""
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr(os, "cpu_count", lambda: known)
    assert usable_cores(tmp_path) == cores
