"""What a service does while something in it hangs: the stacks of all its threads, whatever holds them up."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Timer

import psutil

from tests.support.service import Server, command_of

LOG_LINES = 200
_REGISTER = """
import faulthandler, os, signal
_stacks = open(f"{folder}/{{os.getpid()}}", "w")
faulthandler.register(signal.SIGUSR1, _stacks)
"""


def telling_stacks(folder: Path) -> dict[str, str]:
    """Variables with which each Python process of a service writes its threads' stacks into a folder, at SIGUSR1."""
    (folder / "sitecustomize.py").write_text(_REGISTER.format(folder=folder))
    inherited = os.environ.get("PYTHONPATH")
    return {"PYTHONPATH": os.pathsep.join(filter(None, (str(folder), inherited)))}


@contextmanager
def ending_within(seconds: float, what: str, server: Server, folder: Path) -> Iterator[None]:
    """Kills a service when a block takes longer, so that whoever waits for it in there fails.

    Args:
        seconds: How long it may take.
        what: What the block does, for the failure.
        server: Was started with the variables of `telling_stacks(folder)`.
        folder: See there.

    Raises:
        AssertionError: It took longer; the text has the stacks and the end of the log.
    """
    told: list[str] = []

    def end() -> None:
        log = server.log.read_text(errors="replace").splitlines()[-LOG_LINES:]
        told.append("\n".join([f"{what} took more than {seconds:g} s", *_stacks(server, folder), "The log:", *log]))
        server.kill()

    timer = Timer(seconds, end)
    timer.start()
    try:
        yield
    except Exception as error:
        if told:
            raise AssertionError(told[0]) from error
        raise
    finally:
        timer.cancel()
        timer.join()
    assert not told, told[0]


def _stacks(server: Server, folder: Path) -> Iterator[str]:
    """What each process does now, a Sampler's first."""
    processes = [psutil.Process(server.process.pid), *server.processes()]
    processes.sort(key=lambda process: "Sampler" not in command_of(process))
    files = {process: folder / str(process.pid) for process in processes if (folder / str(process.pid)).exists()}
    for process in files:
        process.send_signal(signal.SIGUSR1)
    end = time.monotonic() + 10
    while time.monotonic() < end and not all(file.stat().st_size for file in files.values()):
        time.sleep(0.1)
    time.sleep(0.5)  # until those that have begun have written all
    for process, file in files.items():
        age = time.time() - process.create_time()  # a Sampler that died and was started again is young
        yield f"Process {process.pid}, {age:.0f} s old, {' '.join(command_of(process))[-150:]}:"
        yield file.read_text()
