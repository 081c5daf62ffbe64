"""What scripts say of themselves."""

from __future__ import annotations

import contextlib
import io
import re
import runpy
import subprocess
import sys
import warnings
from functools import cache
from unittest.mock import patch

from tests.support.paths import ROOT


@cache
def help_of(script: str) -> str:
    """What a script prints when it is asked for help.

    The module that it calls is run in this process, which has most of what that imports; a script that is more than
    such a call is run as it is.
    """
    call = re.search(r"-m ((?:cli|training)[\w.]*) ", (ROOT / script).read_text())
    if call is None:
        return subprocess.run([ROOT / script, "--help"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    printed = io.StringIO()
    with (
        patch.object(sys, "argv", [script, "--help"]),
        contextlib.redirect_stdout(printed),
        contextlib.suppress(SystemExit),
        warnings.catch_warnings(action="ignore", category=RuntimeWarning),  # the module may be imported already
    ):
        runpy.run_module(call[1], run_name="__main__")
    return printed.getvalue()
