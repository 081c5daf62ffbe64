"""The pictures of docs/concepts.md, docs/http.md, docs/seeds.md and docs/formats.md, made by the demo models."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from formats import Format, Options, file_of
from formats.about import About
from formats.blocks import Blocks
from formats.given import from_points
from formats.preview import contact_sheet, render
from models import Pipeline, Shape, Voxels
from models.joining import Box
from models.presets import OF_ANY_MODELS

FOLDER = Path(__file__).parents[2] / "docs" / "images"
STEPS = 20
MUG, CHAIR, WOODEN, HOUSE, SEED = "a mug", "a tall chair", "a wooden chair", "a house", 1
UPPER_HALF = Box((-0.5, 0.0, -0.5), (0.5, 0.5, 0.5))
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
    houses = {f"seed {seed}": demo.generate(HOUSE, seed=seed, steps=steps).finest for seed in (1, 2, 3, 4)}
    yield _write(folder / "concept-seeds.png", houses)
    presets: dict[str, Voxels] = {name: demo.generate(CHAIR, seed=2, preset=name).finest for name in OF_ANY_MODELS}
    yield _write(folder / "presets.png", presets, 256)
    yield from draw_controls(demo, folder, steps)
    yield _write_options(folder / "formats.png", demo.generate(WOODEN, seed=SEED, steps=steps))


def draw_controls(demo: Pipeline, folder: Path, steps: int) -> Iterator[Path]:
    """Draws what refining, variations and the interval of guidance change; yields the path of each picture."""
    blocks = chair_of_blocks()
    refined = {f"seed {seed}": demo.refine(blocks, CHAIR, seed=seed, steps=steps).finest for seed in (1, 2)}
    yield _write(folder / "refine.png", {"sent": blocks, **refined}, 256)
    house = demo.generate(HOUSE, seed=1, steps=steps)
    varied = {
        f"strength {strength}": demo.vary(house, HOUSE, strength=strength, seed=5, steps=steps).finest
        for strength in (0.3, 0.6, 0.9)
    }
    upper = demo.vary(house, HOUSE, strength=0.9, seed=5, steps=steps, box=UPPER_HALF).finest
    yield _write(folder / "variations.png", {"earlier": house.finest, **varied, "0.9, upper half": upper})
    intervals = {
        f"{low:g} to {high:g}": demo.generate(
            CHAIR, seed=2, steps=steps, guidance_interval=(low, high), use_fine=False
        ).coarse
        for low, high in ((0.0, 1.0), (0.2, 0.9), (0.0, 0.5), (0.5, 1.0), (0.0, 0.0))
    }
    yield _write(folder / "guidance-interval.png", intervals)


def chair_of_blocks() -> Voxels:
    """A chair as somebody builds one of five boxes, on the grid of the coarse stage."""
    solid = np.zeros((32, 32, 32), np.bool_)
    solid[9:23, 14:16, 9:23] = solid[9:23, 16:29, 9:11] = True
    for x in (9, 21):
        for z in (9, 21):
            solid[x : x + 2, 3:14, z : z + 2] = True
    return from_points((np.argwhere(solid) - 15.5) / 32, None, 32)


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
