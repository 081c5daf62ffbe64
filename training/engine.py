"""What every training stage shares: a loop with a time budget, averaged weights, and a state that survives a kill."""

from __future__ import annotations

import copy
import math
import random
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from tqdm import tqdm

from training import workers
from training.curve import Curve
from training.interrupting import delayed
from training.leftovers import clear, half_of

Losses = dict[str, Tensor]


@dataclass(frozen=True)
class Budget:
    """How long a stage trains: at most `steps` steps and, where given, at most `minutes` minutes over all its runs."""

    steps: int
    minutes: float | None = None

    def fraction(self, step: int, seconds: float) -> float:
        """The part of the budget used so far; training ends at 1."""
        by_time = seconds / (60 * self.minutes) if self.minutes else 0.0
        return max(step / self.steps, by_time)


@dataclass(frozen=True)
class Optimization:
    """AdamW with a linear warm-up of `warmup` steps and a cosine decay to 2% of `lr` over the budget."""

    lr: float
    warmup: int = 200
    weight_decay: float = 0.01
    clip: float = 1.0
    ema: float | None = 0.999

    def scaled(self, factor: float) -> Optimization:
        """The same with another learning rate."""
        return replace(self, lr=self.lr * factor)

    def rate(self, step: int, fraction: float) -> float:
        """The learning rate at this step, `fraction` of the budget into the run."""
        decay = 0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * min(fraction, 1.0)))
        return self.lr * min(1.0, (step + 1) / self.warmup) * decay


class Trainer:
    """Trains `modules` by calling `losses(step)`, which returns named losses whose sum is minimised.

    Losses without a gradient function stand for gradients that are in place already (`training.recorded.Recorded`).

    The state (weights, averaged weights, optimizer, time used, losses so far) goes to `path` every `save_every`
    seconds, written to a temporary file and renamed, so that a run may be killed at any moment. A finished stage is not
    trained again. Who stops a run by a signal waits for the end of the step, so that what is saved then is whole.
    `generator` is seeded anew for every step, from its first seed and the step's number: what is random in a step
    depends on nothing before it, and a run goes on as if it had never been stopped, on another machine too.
    """

    def __init__(
        self,
        name: str,
        modules: nn.Module,
        path: Path,
        budget: Budget,
        optimization: Optimization,
        generator: torch.Generator,
        save_every: float = 60.0,
    ) -> None:
        self.name, self.modules, self.path = name, modules, path
        self.budget, self.optimization, self.generator = budget, optimization, generator
        self.save_every = save_every
        self.seed = generator.initial_seed()
        self.step, self.seconds, self.done, self.curve = 0, 0.0, False, Curve()
        self.average = copy.deepcopy(modules).eval() if optimization.ema is not None else modules
        for parameter in self.average.parameters() if self.average is not modules else ():
            parameter.requires_grad_(False)
        self.optimizer = torch.optim.AdamW(
            _decay_groups(modules, optimization.weight_decay),
            lr=optimization.lr,
            betas=(0.9, 0.99),
            fused=True,
        )
        if workers.rank() == 0:
            clear(path.parent)
        if path.exists():
            self._load()

    def run(
        self,
        losses: Callable[[int], Losses],
        sample: Callable[[int], None] | None = None,
        samples: int = 4,
        waited: Callable[[], float] | None = None,
    ) -> nn.Module:
        """Trains to the end of the budget and returns the averaged modules; `sample` is called `samples` times.

        waited: gives the seconds in which the device has had no data, which are shown as a share of all.
        """
        if self.done:
            print(f"{self.name}: done before ({self.step} steps, {self.seconds:.0f} s)", flush=True)
            return self.average
        self.modules.train()
        started = time.monotonic()
        begin, saved = started - self.seconds, started

        def waiting() -> str:
            share = 0.0 if waited is None else waited() / max(time.monotonic() - started, 1e-9)
            return "" if waited is None else f"waited for data {share:.0%}"

        timed = self.budget.minutes is not None
        trained = [parameter for parameter in self.modules.parameters() if parameter.requires_grad]
        shown = {round(self.budget.fraction(self.step, self.seconds) * samples)}
        try:
            with progress_bar(self.name, self.budget.steps, self.step) as bar:
                while (fraction := self.budget.fraction(self.step, self.seconds)) < 1:
                    with delayed(signal.SIGINT, signal.SIGTERM):
                        parts = self._update(losses, fraction, trained)
                    (self.seconds,) = workers.agree([time.monotonic() - begin]) if timed else [time.monotonic() - begin]
                    if self.curve.wants(self.step):
                        self.curve.add(self.step, {name: value.item() for name, value in parts.items()})
                    bar.advance(self.step, parts, fraction, waiting)
                    if time.monotonic() - saved > self.save_every:
                        self._save()
                        saved = time.monotonic()
                    if sample is not None and workers.rank() == 0 and (turn := int(fraction * samples)) not in shown:
                        shown.add(turn)
                        sample(self.step)
                        self.modules.train()
        except (KeyboardInterrupt, SystemExit, workers.WorkerError) as why:
            if isinstance(why, workers.WorkerError):  # told at once: torchrun ends this process too
                print(why, file=sys.stderr, flush=True)
            with delayed(signal.SIGTERM):
                self._save()
            raise
        self.done = True
        self._save()
        if workers.rank() == 0:
            print(f"{self.name}: losses {self.curve.line()}", flush=True)
            if waited is not None:
                print(f"{self.name}: {waiting()} of the time", flush=True)
        if sample is not None and workers.rank() == 0:
            sample(self.step)
        return self.average

    def _update(self, losses: Callable[[int], Losses], fraction: float, trained: list[nn.Parameter]) -> Losses:
        turn = self.step * workers.size() + workers.rank()
        self.generator.manual_seed((self.seed * 1_000_003 + turn) % 2**63)
        rate = self.optimization.rate(self.step, fraction)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        parts = losses(turn)
        total = torch.stack([value.float() for value in parts.values()]).sum()
        if total.requires_grad:  # else the gradients are there already: see training/recorded.py
            self.optimizer.zero_grad(set_to_none=True)
            total.backward()
        workers.average([parameter.grad for parameter in trained if parameter.grad is not None])
        norm = nn.utils.clip_grad_norm_(trained, self.optimization.clip)
        # A rare overflow must not end a run that nobody watches: the fused optimizer leaves such a step out.
        self.optimizer.found_inf = (~torch.isfinite(norm)).float()  # type: ignore[attr-defined]
        self.optimizer.step()
        self.step += 1
        if self.average is not self.modules:
            self._average()
        return parts

    @torch.no_grad()
    def _average(self) -> None:
        assert self.optimization.ema is not None
        decay = min(self.optimization.ema, (1 + self.step) / (10 + self.step))
        ours: list[Tensor] = list(self.average.parameters())
        theirs: list[Tensor] = list(self.modules.parameters())
        torch._foreach_lerp_(ours, theirs, 1 - decay)

    def _save(self) -> None:
        if workers.rank() != 0:
            return
        self.curve.draw(self.path.parent / "losses" / f"{self.name}.png", f"{self.name}: {self.step:,} steps")
        save_atomically(
            {
                "modules": self.modules.state_dict(),
                "average": self.average.state_dict() if self.average is not self.modules else None,
                "optimizer": self.optimizer.state_dict(),
                "curve": asdict(self.curve),
                "seed": self.seed,
                "step": self.step,
                "seconds": self.seconds,
                "done": self.done,
            },
            self.path,
        )

    def _load(self) -> None:
        device = next(self.modules.parameters()).device
        state = torch.load(self.path, map_location=device, weights_only=True)
        self.modules.load_state_dict(state["modules"])
        if state["average"] is not None:
            self.average.load_state_dict(state["average"])
        if state["optimizer"] is not None:  # of a parcel, which leaves it out
            self.optimizer.load_state_dict(state["optimizer"])
            self._lay_out()
        self.seed, self.curve = state["seed"], Curve(**state["curve"])
        self.step, self.seconds, self.done = state["step"], state["seconds"], state["done"]

    def _lay_out(self) -> None:
        """Moments lie in memory as their parameters do, which may differ from machine to machine."""
        for parameter, moments in self.optimizer.state.items():
            for name, value in moments.items():
                if value.shape == parameter.shape:
                    moments[name] = torch.empty_like(parameter).copy_(value)


class ProgressBar:
    """A progress bar on a terminal; elsewhere a plain line every `interval` seconds."""

    def __init__(self, name: str, total: int, start: int = 0, interval: float = 15.0) -> None:
        self.name, self.interval, self.last = name, interval, 0.0
        self.begin, self.start = time.monotonic(), start
        self.silent = workers.rank() != 0
        shown = sys.stderr.isatty() and not self.silent
        self.bar = tqdm(total=total, initial=start, desc=name, file=sys.stderr) if shown else None

    def advance(
        self,
        step: int,
        parts: Losses | None = None,
        fraction: float | None = None,
        note: Callable[[], str] = str,
    ) -> None:
        """Shows that `step` steps are done, with the losses (read back seldom: it waits for the GPU) and a note."""
        if self.bar is not None:
            self.bar.update(step - self.bar.n)
        if self.silent or time.monotonic() - self.last < (1.0 if self.bar is not None else self.interval):
            return
        self.last = time.monotonic()
        told = [f"{key} {value.item():.4f}" for key, value in (parts or {}).items()]
        text = " ".join(filter(None, [*told, note()]))
        if self.bar is not None:
            self.bar.set_postfix_str(text)
            return
        part = "" if fraction is None else f" {100 * fraction:.0f}%"
        rate = (step - self.start) / max(self.last - self.begin, 1e-9)
        print(f"{self.name}:{part} step {step} ({rate:.2f}/s) {text}", flush=True)

    def close(self) -> None:
        """Ends the bar."""
        if self.bar is not None:
            self.bar.close()


@contextmanager
def progress_bar(name: str, total: int, start: int = 0) -> Iterator[ProgressBar]:
    """A progress bar that is closed at the end of the block."""
    shown = ProgressBar(name, total, start)
    try:
        yield shown
    finally:
        shown.close()


def mixed_precision(device: torch.device) -> torch.autocast:
    """bfloat16 for what stands it, on a GPU; no weight is kept in it beyond the operation, as a record needs it."""
    return torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda", cache_enabled=False)


def seed_everything(seed: int, device: torch.device) -> torch.Generator:
    """Seeds Python, NumPy and torch, and returns a generator of `device` with the same seed."""
    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.manual_seed(seed)
    generator = torch.Generator(device)
    generator.manual_seed(seed)
    return generator


def save_atomically(state: Any, path: Path) -> None:
    """torch.save to a temporary file beside `path`, then a rename: a reader never sees half a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = half_of(path)
    try:
        with temporary.open("wb") as file:
            torch.save(state, file)
        temporary.replace(path)
    except RuntimeError as error:
        # torch notices that its file has not grown, after the disk has said why.
        if not isinstance(error.__context__, OSError):
            raise
        raise OSError(error.__context__.errno, error.__context__.strerror, str(path)) from error
    finally:
        temporary.unlink(missing_ok=True)


def _decay_groups(modules: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Matrices and kernels decay; biases, norms and embeddings (whose unseen rows must stay as they are) do not."""
    embeddings = {id(m.weight) for m in modules.modules() if isinstance(m, nn.Embedding)}
    decayed: list[Tensor] = []
    others: list[Tensor] = []
    for parameter in modules.parameters():
        keep = parameter.ndim < 2 or id(parameter) in embeddings
        (others if keep else decayed).append(parameter)
    return [{"params": decayed, "weight_decay": weight_decay}, {"params": others, "weight_decay": 0.0}]
