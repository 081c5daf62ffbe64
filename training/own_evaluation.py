"""Measures models on shapes of one's own: on the held-out part of their data set, which training never saw.

No classifier knows such shapes, so everything here is a distance between shapes. The same figures of training shapes,
taken as if they had been made, tell what can be reached.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from safetensors.numpy import load, save

from formats.editing import pieces
from formats.preview import contact_sheet, render, save_png
from models.errors import ConfigError
from models.pipeline import Pipeline
from models.shape import Voxels
from training.closeness import Closeness, cells, chamfer_distances, closeness, iou_distances, nearest
from training.dataset import balanced
from training.engine import progress_bar
from training.generating import Controls, generate
from training.leftovers import write_bytes
from training.meshes.store import Item, TrainingSet, read_voxels

MOST_HELDOUT, MOST_TRAINING = 128, 256
"""Shapes that are compared, evenly chosen where there are more."""
FINEST = 128
"""Voxels a side up to which distances are between fine shapes; of a set with more, between coarse ones."""
FEW = 30
PICTURES, PICTURE = 48, 160


@dataclass(frozen=True)
class Pair:
    """A shape as it is compared: coarse, and at the finest level that is."""

    coarse: Voxels
    finest: Voxels


@dataclass(frozen=True)
class Figures:
    """Of one collection of shapes. kind: share whose nearest training shape is of the wanted kind; empty: their number.

    one_piece: share of shapes whose voxels all hang together, be it by corners.
    """

    shapes: int
    chamfer: Closeness
    iou: Closeness
    kind: float
    one_piece: float
    empty: int


def evenly(items: Sequence[Item], most: int) -> list[Item]:
    """At most so many items, spread over all of them."""
    rows = np.unique(np.linspace(0, len(items) - 1, min(most, len(items))).round().astype(int))
    return [items[row] for row in rows]


def heldout_of(made: TrainingSet, most: int = MOST_HELDOUT) -> list[Item]:
    """The held-out shapes that are measured, at most so many. Raises ConfigError if there are none."""
    found = evenly(made.split("heldout"), most)
    if not found:
        raise ConfigError(
            f"{made.folder}: holds out no shape to measure with; make it again with scripts/dataset --heldout 0.15, "
            "or with more meshes"
        )
    return found


def check_fits(pipeline: Pipeline, made: TrainingSet) -> None:
    """Raises ConfigError if the models make shapes of another resolution than those of the set."""
    makes = round(1 / pipeline.coarse.config.voxel_size)
    if makes * 4 != made.resolution:
        raise ConfigError(
            f"{made.folder}: holds coarse shapes of {made.resolution // 4} voxels a side, and the models make {makes}; "
            "give the set that they were trained on"
        )


class OwnEvaluation:
    """Models, a set, and the folder that keeps the shapes that are done, so that a stopped run goes on."""

    def __init__(
        self, pipeline: Pipeline, made: TrainingSet, folder: Path, controls: Controls, most: int = MOST_HELDOUT
    ) -> None:
        check_fits(pipeline, made)
        self.pipeline, self.made, self.folder, self.controls = pipeline, made, folder, controls
        self.heldout = heldout_of(made, most)
        self.training = evenly(made.split("train"), MOST_TRAINING)
        # A caption of every held-out shape, not always the first: sets have short and long ones.
        self.prompts = [item.captions[n % len(item.captions)] for n, item in enumerate(self.heldout)]
        with_fine = made.resolution <= FINEST and pipeline.fine is not None
        self.level, self.side = ("fine", made.resolution) if with_fine else ("coarse", made.resolution // 4)

    def generated(self, batch: int) -> list[Pair]:
        """A shape for a caption of each held-out shape, those read that are there already."""
        self.folder.mkdir(parents=True, exist_ok=True)
        missing = [seed for seed in range(len(self.prompts)) if not self._file(seed).exists()]
        done = len(self.prompts) - len(missing)
        with progress_bar("evaluate", len(self.prompts), done) as bar:
            for part in balanced(missing, batch):
                texts = [self.prompts[seed] for seed in part]
                for seed, shape in zip(part, generate(self.pipeline, texts, part, self.controls), strict=True):
                    finest = shape.fine if self.level == "fine" else shape.coarse
                    write_bytes(self._file(seed), _packed(shape.coarse, finest))
                done += len(part)
                bar.advance(done, fraction=done / len(self.prompts))
        return [_unpacked(self._file(seed)) for seed in range(len(self.prompts))]

    def compare(self, made: Sequence[Pair]) -> dict[str, Figures]:
        """The figures of the shapes that were made, and of as many training shapes in their place."""
        real = [self._pair(item) for item in (*self.heldout, *self.training)]
        pairs = [*made, *real]
        coarse = cells([pair.coarse.ijk for pair in pairs], self.made.resolution // 4)
        table = cells([pair.finest.ijk for pair in pairs], self.side)
        with progress_bar("compare", len(pairs)) as bar:
            chamfer = chamfer_distances(table, self.side, lambda n: bar.advance(n, fraction=n / len(pairs)))
        iou = iou_distances(coarse)
        first, second = len(made), len(made) + len(self.heldout)
        heldout, training = range(first, second), range(second, len(pairs))
        stand_ins = [training[row] for row in np.unique(np.linspace(0, len(training) - 1, first).round().astype(int))]
        kinds = [item.kind for item in (*self.heldout, *self.heldout, *self.training)]

        def figures(rows: Sequence[int]) -> Figures:
            found = [kinds[row] for row in nearest(chamfer, rows, training)]
            wanted = [kinds[row] for row in rows]
            whole = [_in_one_piece(pairs[row].finest) for row in rows]
            return Figures(
                len(rows), closeness(chamfer, rows, heldout), closeness(iou, rows, heldout),
                float(np.mean([one == other for one, other in zip(found, wanted, strict=True)])),
                float(np.mean(whole)), sum(not len(pairs[row].coarse) for row in rows),
            )  # fmt: skip

        return {"generated": figures(range(first)), "training": figures(stand_ins)}

    def sheet(self, made: Sequence[Pair], path: Path) -> None:
        """A picture of the first shapes with their prompts."""
        images = [
            render(pair.finest.ijk, pair.finest.normal, resolution=self.side, size=PICTURE) for pair in made[:PICTURES]
        ]
        save_png(contact_sheet(images, self.prompts[:PICTURES], columns=min(8, len(images))), path)

    def _pair(self, item: Item) -> Pair:
        coarse = read_voxels(self.made, item, "coarse")
        return Pair(coarse, read_voxels(self.made, item, "fine") if self.level == "fine" else coarse)

    def _file(self, seed: int) -> Path:
        mark = hashlib.blake2b(f"{seed} {self.prompts[seed]}".encode(), digest_size=8)
        return self.folder / "shapes" / f"{mark.hexdigest()}.safetensors"


def _in_one_piece(voxels: Voxels) -> bool:
    return len(voxels) > 0 and len(pieces(voxels)[1]) == 1


def _packed(coarse: Voxels, finest: Voxels | None) -> bytes:
    if finest is None:
        finest = Voxels(np.zeros((0, 3), np.int16), np.zeros((0, 3), np.float32), coarse.voxel_size)
    arrays = {f"{name}_{what}": np.ascontiguousarray(getattr(voxels, what)) for name, voxels in
              (("coarse", coarse), ("finest", finest)) for what in ("ijk", "normal")}  # fmt: skip
    return save(arrays | {"voxel_sizes": np.array([coarse.voxel_size, finest.voxel_size])})


def _unpacked(path: Path) -> Pair:
    arrays = load(path.read_bytes())
    sizes = arrays["voxel_sizes"]
    return Pair(*(Voxels(arrays[f"{name}_ijk"], arrays[f"{name}_normal"], float(size))
                  for name, size in zip(("coarse", "finest"), sizes, strict=True)))  # fmt: skip
