"""Runs a module that Ctrl+C ends without a traceback, also while it is imported: `python -m cli.quietly MODULE ...`."""

from __future__ import annotations

import runpy
import signal
import sys


def end_on_interrupt() -> None:
    """From now on Ctrl+C ends this process without a word, until something else handles it."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


if __name__ == "__main__":
    end_on_interrupt()
    del sys.argv[0]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
