"""What a newcomer does: clone, start, ask."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support.paths import ROOT
from tests.support.running import serve


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("git") is None or not (ROOT / ".git").exists(), reason="not a git checkout")
@pytest.mark.timeout(900)
def test_a_clean_clone_serves_within_5_minutes_and_again_within_20_seconds(tmp_path: Path) -> None:
    clone = tmp_path / "clone"
    subprocess.run(["git", "clone", "--quiet", ROOT, clone], check=True)
    with serve(clone, tmp_path, ready_within=300) as first:
        print(f"ready after {first.seconds:.0f} s")
    with serve(clone, tmp_path, ready_within=20) as second:
        print(f"ready again after {second.seconds:.0f} s")
    status = subprocess.run(["git", "status", "--short"], cwd=clone, capture_output=True, text=True, check=True)
    assert status.stdout == "", "what the scripts leave behind is ignored by git"
