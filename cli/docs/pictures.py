"""The pictures of docs/concepts.md, docs/http.md, docs/seeds.md and docs/formats.md, made by the demo models."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from formats import Format, Options, file_of
from formats.about import About
from formats.blocks import Blocks
from formats.preview import contact_sheet, render
from models import Pipeline, Shape, Voxels
from models.presets import PRESETS

FOLDER = Path(__file__).parents[2] / "docs" / "images"
STEPS = 20
MUG, CHAIR, WOODEN, SEED = "a mug", "a tall chair", "a wooden chair", 1
_LAYERS = "dirt=866043,stone,moss_block"
COLOURS = 128
"""Size of the palette: the pictures are shades of grey with a tint, and a palette saves two thirds of the size."""


def draw(folder: Path = FOLDER, steps: int = STEPS) -> Iterator[Path]:
    """Draws the pictures; yields the path of each."""
    demo = Pipeline.from_store("demo", device="cpu")
    mug = demo.generate(MUG, seed=SEED, steps=steps)
    yield _write(folder / "concept-stages.png", {"coarse": mug.coarse, "fine": mug.finest}, 256)
    yield _write(folder / "concept-steps.png", guesses(demo, steps))
    chairs = {
        f"s = {scale:g}": demo.generate(CHAIR, seed=2, steps=steps, guidance_scale=scale, use_fine=False).coarse
        for scale in (1.0, 2.0, 7.5, 20.0)
    }
    yield _write(folder / "concept-guidance.png", chairs)
    houses = {f"seed {seed}": demo.generate("a house", seed=seed, steps=steps).finest for seed in (1, 2, 3, 4)}
    yield _write(folder / "concept-seeds.png", houses)
    presets: dict[str, Voxels] = {name: demo.generate(CHAIR, seed=2, preset=name).finest for name in PRESETS}
    yield _write(folder / "presets.png", presets, 256)
    yield _write_options(folder / "formats.png", demo.generate(WOODEN, seed=SEED, steps=steps))


def guesses(demo: Pipeline, steps: int) -> dict[str, Voxels]:
    """The coarse stage's guess of the clean latent after some of its steps, decoded."""
    state = demo.coarse.start(demo.text.encode([MUG])[0], seed=SEED, steps=steps, scheduler="dpm++")
    shown: dict[str, Voxels] = {}
    wanted = {1, steps // 4, steps // 2, steps - 1}
    while not state.done:
        state = demo.coarse.denoise([state], 1)[0]
        if state.step in wanted and state.previous is not None:
            shown[f"step {state.step}"] = demo.coarse.decode([replace(state, x=state.previous)])[0]
    return shown | {f"step {steps}": demo.coarse.decode([state])[0]}


def _write_options(path: Path, shape: Shape) -> Path:
    """Blocks of a shape in some sizes and palettes, as a program that shows flat colours has them."""
    chosen = {f"size={size}": Options(size=size) for size in (16, 32, 64, 256)}
    chosen |= {f"palette={palette}": Options(palette=palette) for palette in ("height", "direction", "gold", _LAYERS)}
    pictures = []
    for options in chosen.values():
        seen: list[Blocks] = []
        file_of(_looking(seen), shape, "", options)
        (blocks,) = seen
        colour = np.array([block.colour for block in blocks.palette], np.uint8)[blocks.block]
        pictures.append(render(blocks.position, np.zeros_like(blocks.position), size=176, colour=colour))
    contact_sheet(pictures, list(chosen), 4).quantize(COLOURS).save(path, optimize=True)
    return path


def _looking(seen: list[Blocks]) -> Format:
    """A format that keeps the blocks and writes nothing."""

    def write(blocks: Blocks, _: About) -> bytes:
        seen.append(blocks)
        return b""

    return Format("", "", "", "", "blocks", write, coloured=True)


def _write(path: Path, shapes: Mapping[str, Voxels], size: int = 176) -> Path:
    pictures = [
        render(voxels.ijk, voxels.normal, round(1 / voxels.voxel_size), size=size) for voxels in shapes.values()
    ]
    contact_sheet(pictures, list(shapes), len(shapes)).quantize(COLOURS).save(path, optimize=True)
    return path
