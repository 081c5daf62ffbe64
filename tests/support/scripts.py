"""What scripts say of themselves."""

from __future__ import annotations

import subprocess
from functools import cache

from tests.support.paths import ROOT


@cache
def help_of(script: str) -> str:
    """What a script prints when it is asked for help; each is asked once, since that takes seconds."""
    return subprocess.run([ROOT / script, "--help"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
