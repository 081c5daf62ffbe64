"""What tests do with an engine."""

from __future__ import annotations

from pathlib import Path

from api.messages import Decoded, Order, Progress, Slice
from api.sampler.engine import Engine
from api.settings import Settings

ORDER = Order(prompt="a chair", ddim_steps=6, guidance_scale=7.5, seed=1, use_fine=True)


def loaded(checkpoints: Path, **settings: object) -> Engine:
    """An engine of a process of its own, as it were."""
    engine = Engine(Settings.model_validate({"checkpoint_dir": checkpoints, "device": "cpu", "threads": 1, **settings}))
    engine.load()
    return engine


def finish(engine: Engine, progress: Progress) -> Progress:
    """Takes a state to its last step."""
    while not progress.done:
        progress.check()
        progress = engine.denoise([Slice.after(progress)])[0]
    return progress


def generate(engine: Engine, order: Order) -> tuple[Decoded, Decoded]:
    """Coarse and fine shape of an order."""
    coarse = engine.decode(finish(engine, engine.begin(order)).state, fine_steps=order.ddim_steps)
    coarse.check()
    assert coarse.fine is not None
    return coarse, engine.decode(finish(engine, coarse.fine).state)
