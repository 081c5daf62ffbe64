"""Real pieces: a classifier learns kinds from few of them, and held-out ones alone give captions to an evaluation."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from models.shape import Voxels
from training.evaluation.pieces import FEWEST, RealPieces
from training.evaluation.recognising import PieceClassifier
from training.meshes.store import Entry, Item, TrainingSet, write_set, write_shard


def solid(size: tuple[int, int, int], resolution: int = 32) -> Voxels:
    """A block around the origin."""
    ijk = np.stack(np.meshgrid(*(np.arange(-n, n) for n in size), indexing="ij"), -1).reshape(-1, 3).astype(np.int16)
    normal = ijk + np.float32(0.5)
    return Voxels(ijk, normal / np.linalg.norm(normal, axis=1, keepdims=True), 1 / resolution)


def poles_and_slabs(count: int, seed: int) -> tuple[list[Voxels], list[str]]:
    rng = np.random.default_rng(seed)
    made, kinds = [], []
    for number in range(count):
        thick, long = int(rng.integers(1, 4)), int(rng.integers(9, 14))
        kinds.append(("lamp", "table")[number % 2])
        made.append(solid((thick, long, thick) if number % 2 == 0 else (long, thick, long)))
    return made, kinds


def test_a_classifier_of_few_pieces_tells_poles_from_slabs_that_it_has_not_seen() -> None:
    classifier = PieceClassifier(*poles_and_slabs(12, seed=0))
    unseen, kinds = poles_and_slabs(8, seed=1)
    assert classifier.recognise(unseen) == kinds
    empty = Voxels(np.zeros((0, 3), np.int16), np.zeros((0, 3), np.float32), 1 / 32)
    assert classifier.recognise([unseen[0], empty]) == [kinds[0], ""]
    assert classifier.recognise([]) == []


def real_set(folder: Path, heldout: int) -> None:
    made, kinds = poles_and_slabs(2 * FEWEST + 2 * heldout, seed=2)
    # One kind more than a pair knows, and one of which there are few.
    kinds[-1] = "harp"
    entries = [Entry(f"{n:032x}", "", (), piece, solid((4, 4, 4), 128)) for n, piece in enumerate(made)]
    write_shard(folder, entries)
    items = [
        Item(entry.key, f"{n}.obj", kind, (f"{kind} {n}", f"a {kind} {n}"), "", split, entries[0].key, n)
        for n, (entry, kind) in enumerate(zip(entries, kinds, strict=True))
        for split in ("train" if n < 2 * FEWEST else "heldout",)
    ]
    write_set(TrainingSet(folder, "real", 128, tuple(items)))


def test_captions_of_held_out_pieces_of_kinds_that_are_known_are_asked_for(tmp_path: Path) -> None:
    real_set(tmp_path, heldout=3)
    quick = RealPieces(tmp_path, {"lamp", "table", "harp"}, quick=True)
    assert quick.kinds == ("lamp", "table")
    assert [job.prompt for job in quick.jobs] == ["lamp 16", "a table 17", "lamp 18", "a table 19", "lamp 20"]
    assert len({job.key for job in RealPieces(tmp_path, {"lamp"}, quick=False).jobs}) == 9
    assert RealPieces(tmp_path, {"lamp"}, quick=False).kinds == ("lamp",)


def test_figures_of_copies_of_training_pieces_say_so(tmp_path: Path) -> None:
    real_set(tmp_path, heldout=3)
    pieces = RealPieces(tmp_path, {"lamp", "table"}, quick=True)
    copies = poles_and_slabs(5, seed=2)[0]
    found = pieces.recognised(copies)
    assert (found.kinds, found.pieces, found.shapes) == (2, 5, 5)
    assert found.generated == found.classifier == 1
    assert found.training_iou == pytest.approx(1)
    # A held-out piece may be like a training piece too: of blocks there are few.
    assert found.copied == pytest.approx(0.5 + 0.5 * (1 - np.mean(_is_copy(pieces))))
    swapped = pieces.recognised([*copies[1:], copies[0]])
    assert swapped.generated == pytest.approx(1 / 5)


def _is_copy(pieces: RealPieces) -> list[bool]:
    made = poles_and_slabs(2 * FEWEST + 6, seed=2)[0]
    training = {piece.ijk.tobytes() for piece in made[: 2 * FEWEST]}
    return [made[2 * FEWEST + n].ijk.tobytes() in training for n in range(len(pieces.heldout))]
