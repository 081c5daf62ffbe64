"""A process in a real control group with a CPU quota; skipped where this user cannot make one."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.paths import ROOT

ASKED = """
import torch
from models.cores import usable_cores
from api.settings import read_settings
from models import threads
threads.use(read_settings().threads)
print(usable_cores(), read_settings().threads, torch.get_num_threads() * threads.lanes())
"""
ENTER = 'echo $$ > "$1/cgroup.procs" && shift && exec "$@"'


@pytest.fixture
def group() -> Iterator[Path]:
    """A control group inside of one with a quota of 1.5 cores."""
    mounts = [line.split(" - ") for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    found = [
        (Path(mount.split()[4]), rest.split()[0])
        for mount, rest in mounts
        if rest.startswith("cgroup2 ") or (rest.startswith("cgroup ") and "cpu" in rest.split()[2].split(","))
    ]
    for point, kind in found:
        outer = point / f"xcube-test-{os.getpid()}"
        try:
            (outer / "inner").mkdir(parents=True)
        except OSError:
            continue
        try:
            if kind == "cgroup":
                (outer / "cpu.cfs_period_us").write_text("100000")
                (outer / "cpu.cfs_quota_us").write_text("150000")
            else:
                (outer / "cpu.max").write_text("150000 100000")
            yield outer / "inner"
            return
        except OSError:  # this hierarchy has no quotas
            continue
        finally:
            for folder in (outer / "inner", outer):
                _remove(folder)
    pytest.skip("this user cannot make a control group with a CPU quota")


def _remove(folder: Path) -> None:
    for _ in range(50):
        try:
            folder.rmdir()
            return
        except OSError:  # its last process is just ending
            time.sleep(0.1)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has control groups")
@pytest.mark.parametrize("namespace", [[], ["unshare", "--cgroup"]], ids=["the system's", "its own"])
def test_threads_of_torch_keep_to_a_quota_around_the_process(group: Path, namespace: list[str]) -> None:
    variables = {name: value for name, value in os.environ.items() if name not in ("XCUBE_THREADS", "OMP_NUM_THREADS")}
    command = ["bash", "-c", ENTER, "bash", str(group), *namespace, sys.executable, "-c", ASKED]
    done = subprocess.run(command, cwd=ROOT, env=variables, capture_output=True, text=True, check=False)
    if namespace and "unshare" in done.stderr:
        pytest.skip(f"this user cannot make a namespace: {done.stderr.strip()}")
    assert done.returncode == 0, done.stderr
    cores, threads, used = map(int, done.stdout.split())
    assert (cores, threads) == (1, 1)
    assert used <= 1
