"""One bar for all shapes of a run."""

from __future__ import annotations

import time
from types import TracebackType
from typing import Any, Self

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn

_LONGEST_PROMPT = 32


class Bar:
    """Shows the progress of `count` shapes; shows nothing if the console is not a terminal.

    The service estimates the time that the running shape still needs. The bar assumes that each later shape takes as
    long. Of shapes that are made together it shows how much of all their steps is done.
    """

    def __init__(self, console: Console, prompt: str, count: int) -> None:
        self._name = prompt if len(prompt) <= _LONGEST_PROMPT else prompt[: _LONGEST_PROMPT - 1] + "…"
        self._count, self._index = count, 0
        self._begun: float | None = None
        self._together: dict[int, float] = {}
        columns = (
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.fields[left]}", style="progress.remaining"),
        )
        self.progress = Progress(*columns, console=console, transient=True, disable=not console.is_terminal)
        self._task = self.progress.add_task("waiting for the service", total=None, left="")

    def __enter__(self) -> Self:
        self.progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.progress.stop()

    def begin(self, index: int) -> None:
        """The shape with this index begins."""
        self._index, self._begun = index, None
        self._show("waiting")

    def event(self, name: str, data: dict[str, Any]) -> None:
        """Shows an event of the service about the current shape."""
        match name:
            case "queued" if data["position"] > 0:
                self._show(f"{data['position']} in the queue")
            case "full":
                self._show("the service is full, asking again")
            case "progress" if "index" in data:
                self._part(data)
            case "progress":
                self._step(data)

    def writing(self) -> None:
        """The shape is made, and its file is being written."""
        done = sum(self._together.values()) if self._together else self._index + 1
        self._show("writing", done / self._count)

    def _part(self, data: dict[str, Any]) -> None:
        """Shows the progress of one of the shapes that are made together. Both stages count as much."""
        self._index = data["index"]
        self._together[self._index] = ((data["stage"] == "fine") + data["step"] / max(1, data["steps"])) / 2
        self._show(f"{data['stage']} {data['step']}/{data['steps']}", sum(self._together.values()) / self._count)

    def _step(self, data: dict[str, Any]) -> None:
        now = time.monotonic()
        if self._begun is None:
            self._begun = now
        what = f"{data['stage']} {data['step']}/{data['steps']}"
        if data["seconds_left"] is None:
            self._show(what)
            return
        spent, left = now - self._begun, data["seconds_left"]
        done = spent / max(spent + left, 1e-6)
        waiting = left + (self._count - self._index - 1) * (spent + left)
        self._show(what, (self._index + done) / self._count, f"about {duration(waiting)} left")

    def _show(self, what: str, done: float | None = None, left: str = "") -> None:
        which = f" {self._index + 1}/{self._count}" if self._count > 1 else ""
        done = self._index / self._count if done is None else done
        description = f"{escape(self._name)}{which} · {what}"
        self.progress.update(self._task, description=description, total=1.0, completed=done, left=left)


def duration(seconds: float) -> str:
    """Seconds as people say them: 42 s, 3:20 min, 1:05 h."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    return f"{whole // 60}:{whole % 60:02} min" if whole < 3600 else f"{whole // 3600}:{whole % 3600 // 60:02} h"
