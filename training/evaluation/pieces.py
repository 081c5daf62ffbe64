"""Real furniture: is what a pair makes of captions of pieces that nobody trained on recognised as their kind?"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from models.shape import Voxels
from training.evaluation.jobs import Job
from training.evaluation.novelty import above, nearest_iou
from training.evaluation.recognising import PieceClassifier
from training.meshes.store import SET_FILE, Item, TrainingSet, read_set, read_voxels
from training.real.catalogue import PACKAGE, PLACE

FEWEST = 8
"""Training pieces of a kind from which on the classifier can learn it."""
CAPTIONS = 3
FIRST_SEED = 3_000_000


@dataclass(frozen=True)
class Recognised:
    """Of real pieces of some kinds, and of shapes generated from captions of the held-out ones.

    classifier: its share of right kinds of held-out pieces; generated: of generated shapes.

    training_iou, heldout_iou: intersection over union with the most similar training piece, in the median, of
    generated shapes and of held-out pieces. copied: as in `Spread`.
    """

    kinds: int
    pieces: int
    shapes: int
    classifier: float
    generated: float
    training_iou: float
    heldout_iou: float
    copied: float


def missing(folder: Path) -> str | None:
    """Why nothing can be measured on the set in a folder, as a sentence; None where it is there."""
    if (folder / SET_FILE).exists():
        return None
    if not any(PLACE.glob("*.sh3f")):
        return f"not measured: Debian's package {PACKAGE} is not installed"
    return f"not measured: {folder} holds no set; scripts/dataset --sweethome3d makes it, and --real says where it is"


class RealPieces:
    """The real pieces of kinds that a pair knows, and of which there are enough.

    Args:
        folder: Of the set.
        known: Kinds that the pair knows.
        quick: One caption of each piece, and not CAPTIONS.
    """

    def __init__(self, folder: Path, known: Collection[str], quick: bool) -> None:
        self.made = made = read_set(folder)
        counted = Counter(item.kind for item in made.split("train"))
        self.kinds = tuple(sorted(kind for kind, count in counted.items() if count >= FEWEST and kind in known))
        self.training, self.heldout = (
            [item for item in made.split(split) if item.kind in self.kinds] for split in ("train", "heldout")
        )
        self.jobs = [
            Job(
                "real captions", item.captions[(n + turn) % len(item.captions)], FIRST_SEED + 1000 * turn + n, item.kind
            )
            for turn in range(1 if quick else CAPTIONS)
            for n, item in enumerate(self.heldout)
        ]

    def recognised(self, shapes: Sequence[Voxels]) -> Recognised:
        """The figures of the coarse shapes of `jobs`."""
        training, heldout = _coarse(self.made, self.training), _coarse(self.made, self.heldout)
        classifier = PieceClassifier(training, [item.kind for item in self.training])
        similar = nearest_iou(
            [s.ijk for s in (*shapes, *heldout)], [s.ijk for s in training], self.made.resolution // 4
        )
        ours, theirs = similar[: len(shapes)], similar[len(shapes) :]
        return Recognised(
            len(self.kinds), len(self.heldout), len(shapes),
            _share(classifier.recognise(heldout), [item.kind for item in self.heldout]),
            _share(classifier.recognise(shapes), [job.kind for job in self.jobs]),
            float(np.median(ours)), float(np.median(theirs)), above(ours, theirs),
        )  # fmt: skip


def _share(seen: Sequence[str], wanted: Sequence[str]) -> float:
    return float(np.mean([one == other for one, other in zip(seen, wanted, strict=True)]))


def _coarse(made: TrainingSet, items: Sequence[Item]) -> list[Voxels]:
    return [read_voxels(made, item, "coarse") for item in items]
