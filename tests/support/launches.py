"""Which kernels a shape of any size needs, beside those that are there before it comes. Nothing is computed.

A program of its own, because it has Triton note down each launch in place of compiling a kernel; so it needs Triton,
but no GPU. Prints what a shape would have to wait for, if anything.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from triton.runtime.jit import JITFunction

from models import kernels
from models.decoding import FixedDecoder, room_for
from models.graphed_fine import FINE_TOGETHER, SMALL, GraphedFine
from models.grids import rooms_for
from models.stages import CoarseStage, FineStage
from tests.support.tiny import coarse_stage, fine_stage

LAUNCHED: set[tuple[object, ...]] = set()


def note(self: Any, *arguments: object, grid: object, **options: object) -> None:
    """In place of a launch: what Triton tells kernels apart by."""
    values = dict(zip((parameter.name for parameter in self.params), arguments, strict=False)) | options
    key: list[object] = [self.fn.__name__, options["num_warps"], options.get("num_stages")]
    for parameter in self.params:
        value = values[parameter.name]
        if parameter.is_constexpr or isinstance(value, float):
            key.append(value if parameter.is_constexpr else float)
        elif isinstance(value, torch.Tensor):
            key.append(value.dtype)
        elif isinstance(value, int) and not parameter.do_not_specialize:
            key.append((value == 1, value % 16 == 0))
    LAUNCHED.add(tuple(key))


def sizes(most: int) -> Iterator[int]:
    """Numbers of voxels: one, few, and many up to `most`."""
    yield from range(1, 300, 37)
    yield from np.unique(np.geomspace(300, most, 40).astype(int)).tolist()


def step(lane: GraphedFine, count: int, places: int, share: float) -> None:
    """A step of samples of so many voxels, of which each coarser level has a share."""
    counts = tuple(max(1, int(count * share**level)) for level in range(lane._levels))
    tokens = torch.zeros(1, lane._unet.config.context_dim)
    slot = lane.empty_slot(rooms_for(counts), places, [tokens] * places)
    slot.predict(torch.zeros(places, dtype=torch.int64))


def decode(decoder: FixedDecoder, latents: int, dense: bool) -> None:
    """Every level of shapes of all sizes that so many latents can become."""
    for level in range(decoder._levels + 1):
        most = latents * 8**level
        for count in [most] if dense and level == 0 else sizes(min(most, 200_000)):
            decoder._new_piece(level, room_for(count)).run(None)


@torch.inference_mode()
def main() -> None:
    JITFunction.run = note
    kernels.usable = lambda kind, x: not torch.is_grad_enabled()  # type: ignore[assignment]
    stages: tuple[CoarseStage | FineStage, ...] = (coarse_stage(), fine_stage())
    for stage in stages:
        stage.run_together()
        stage.unet.tabulate(1000)
        stage.load_kernels()
    there = set(LAUNCHED)
    assert len(there) > 50
    for stage in stages:
        config = stage.config.vae
        assert stage._fixed_decoder is not None
        decode(stage._fixed_decoder, config.latent_resolution**3, config.dense_latent)
    (lane,) = stages[1].graphed
    assert isinstance(lane, GraphedFine)
    for count in sizes(stages[1].config.vae.latent_resolution ** 3):
        for share in (0.25, 0.5, 1.0):
            for places in (1, FINE_TOGETHER) if count <= SMALL else (1,):
                step(lane, count, places, share)
    for missing in sorted(map(str, LAUNCHED - there)):
        print(missing)


if __name__ == "__main__":
    main()
