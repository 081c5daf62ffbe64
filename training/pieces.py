"""A whole training in calls of some minutes on one device: stages side by side, each with its part of the time.

Where a machine is lent for a short time, a call stops before its end, and the same call goes on with it. On a GPU a
small model leaves most of the device idle, so two lanes of stages run at the same time.
"""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import torch

GOES_ON = 3
"""Exit status of a call that stopped before the training was done."""
LANES: tuple[tuple[tuple[str, float], ...], ...] = (
    (("text", 0.05), ("coarse-vae", 0.15), ("coarse", 0.7), ("classifier", 0.1)),
    (("fine-vae", 0.4), ("fine", 0.6)),
)
"""Stages that run one after another, with their parts of the whole time. The fine stage loses most of a surface, so it
has a lane for itself."""
NEEDS = {"fine": "text"}
GRACE = 25.0
"""Seconds that a stage has to save its state."""

Start = Callable[[list[str]], "subprocess.Popen[bytes]"]


@dataclass
class Call:
    """One call: which stages are done, and the processes that run. command: of a training without its stages.

    finished: whether a stage needs no process at all, because an earlier call has done it.
    """

    command: Sequence[str]
    minutes: float
    finished: Callable[[str], bool] = lambda _: False
    start: Start = subprocess.Popen
    done: set[str] = field(default_factory=set)
    failed: int = 0
    _changed: threading.Condition = field(default_factory=threading.Condition)
    _running: list[subprocess.Popen[bytes]] = field(default_factory=list)
    _stopped: bool = False

    def run(self, seconds: float | None) -> int:
        """Runs all stages, at most so long. 0: done; GOES_ON: the same call goes on; else a stage's own status."""
        timer = None if seconds is None else threading.Timer(seconds, self._stop)
        lanes = [threading.Thread(target=self._lane, args=(lane,)) for lane in LANES]
        try:
            if timer is not None:
                timer.start()
            if self._stage("data", None):
                for lane in lanes:
                    lane.start()
                for lane in lanes:
                    lane.join()
        finally:
            if timer is not None:
                timer.cancel()
            self._stop()
        if self.failed:
            return self.failed
        return 0 if all(stage in self.done for lane in LANES for stage, _ in lane) else GOES_ON

    def _lane(self, stages: tuple[tuple[str, float], ...]) -> None:
        for stage, share in stages:
            self._await(NEEDS.get(stage))
            if not self._stage(stage, self.minutes * share):
                return

    def _await(self, needed: str | None) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self._stopped or needed is None or needed in self.done)

    def _stage(self, stage: str, minutes: float | None) -> bool:
        with self._changed:
            if self._stopped:
                return False
            if self.finished(stage):
                self.done.add(stage)
                self._changed.notify_all()
                return True
            limit = [] if minutes is None else ["--minutes", f"{minutes:.2f}"]
            process = self.start([*self.command, "--stages", stage, *limit])
            self._running.append(process)
        status = process.wait()
        with self._changed:
            self._running.remove(process)
            if status == 0:
                self.done.add(stage)
            elif not self._stopped:
                self.failed, self._stopped = status, True
            self._changed.notify_all()
        if status and self.failed:
            self._stop()
        return status == 0

    def _stop(self) -> None:
        with self._changed:
            self._stopped = True
            running = list(self._running)
            self._changed.notify_all()
        for process in running:
            process.terminate()
        for process in running:
            try:
                process.wait(GRACE)
            except subprocess.TimeoutExpired:
                process.kill()


def finished(run: Path, models: Path, stage: str) -> bool:
    """Whether a stage of the training in `run` is done, and its model is in `models` if it makes one."""
    state = run / f"{stage.replace('-', '_')}.pt"
    if not state.exists() or not (stage.endswith("-vae") or any(models.glob(f"*_{stage}"))):
        return False
    return bool(torch.load(state, map_location="cpu", weights_only=True, mmap=True)["done"])


def in_pieces(arguments: Sequence[str], minutes: float, stop_after: float | None, run: Path, models: Path) -> int:
    """Trains for `minutes` in all, at most `stop_after` of them in this call.

    arguments: of scripts/train; run, models: the folders that they name.
    """
    # Told to stop, the stages save their states too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    command = [sys.executable, "-m", "training.train", *arguments]
    call = Call(command, minutes, partial(finished, run, models))
    status = call.run(None if stop_after is None else 60 * stop_after)
    if status == GOES_ON:
        print("stopped before the end; the same command goes on", flush=True)
    return status
