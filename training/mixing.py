"""Procedural shapes and real ones as one source: the demo's data with pieces of a set that scripts/dataset has made."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from itertools import chain

import torch
from torch import Tensor
from torch.nn import functional

from models.config import Kinds
from training.dataset import Labels, Shapes
from training.meshes.source import MeshSource
from training.real.words import SIDES
from training.rows import AnyRows, Rows
from training.sources import ProceduralSource

TIMES = 4
"""How often a real shape stands among the others, half of them mirrored: real shapes are few."""
_SAYS_LITTLE = frozenset({"a", "an", "the", *chain.from_iterable(SIDES.values())})
FEWEST = 4
"""Real shapes of a kind from which on the models may say that they know it."""


class MixedSource(ProceduralSource):
    """The demo's procedural shapes and real ones; the first `recipe.fine_shapes` and all real ones have fine voxels."""

    def __init__(self, procedural: ProceduralSource, real: MeshSource) -> None:
        super().__init__(procedural.recipe, procedural.folder, procedural.workers, procedural.device)
        self.real = real

    @property
    def kinds(self) -> Kinds:
        """Procedural kinds and real ones of which there are enough, each noun under one kind alone."""
        counted = Counter(item.kind for item in self.real.items)
        kinds = super().kinds
        known = set(kinds) | {noun for nouns in kinds.values() for noun in nouns}
        # The last word of "car model" is no name of a car; that of a caption of one word is.
        alone = {(item.kind, caption) for item in self.real.items for caption in item.captions}
        for kind, nouns in self.real.kinds.items():
            if kind not in kinds and (kind in known or counted[kind] < FEWEST):
                continue
            fresh = tuple(noun for noun in nouns if (kind, noun) in alone and noun not in known and noun not in counted)
            known |= {kind, *fresh}
            kinds[kind] = (*kinds.get(kind, ()), *fresh)
        return kinds

    def shapes(self, fine: bool = False) -> Shapes:
        """The training shapes of both; with `fine`, those that have fine voxels."""
        ours, real = super().shapes(fine), self.real.shapes(fine)
        if fine:
            ours = first(ours, self.recipe.fine_shapes)
        both = joined([real, mirrored(real)])
        return joined([ours, *[both] * (TIMES // 2)])


def with_own_names(real: MeshSource, kinds: Kinds) -> MeshSource:
    """The real shapes whose captions say more than a name in `kinds` and a height or width, with these captions alone.

    Most procedural captions are whole sentences, so that of "a mug" and "a tall mug" alone real shapes, of which there
    are few, would be what is learnt.
    """
    names = {name for kind, others in kinds.items() for name in (kind, *others)}

    def says_more(caption: str) -> bool:
        words = caption.lower().split()
        while words and words[0] in _SAYS_LITTLE:
            del words[0]
        return " ".join(words) not in names

    return real.captioned(lambda item: tuple(filter(says_more, item.captions)))


def first(shapes: Shapes, count: int) -> Shapes:
    """The first shapes only."""
    return replace(
        shapes, category=shapes.category[:count], attributes=shapes.attributes[:count], tokens=shapes.tokens[:count],
        coarse=_table(shapes.coarse).first(count),
        fine=None if shapes.fine is None else _table(shapes.fine).first(count),
    )  # fmt: skip


def mirrored(shapes: Shapes) -> Shapes:
    """Every shape with left and right exchanged."""
    return replace(
        shapes, coarse=_mirrored(shapes.coarse), fine=None if shapes.fine is None else _mirrored(shapes.fine)
    )


def joined(parts: Sequence[Shapes]) -> Shapes:
    """Several collections as one: kinds of the same name are one; attributes that a part lacks are unknown in it."""
    kinds = tuple(dict.fromkeys(kind for part in parts for kind in part.labels.kinds))
    columns = tuple(dict.fromkeys(column for part in parts for column in part.labels.columns))
    captions = max(part.tokens.shape[1] for part in parts)
    longest = max(part.tokens.shape[2] for part in parts)
    fine = [part.fine for part in parts]
    return Shapes(
        torch.cat([_renumbered(part.category, part.labels.kinds, kinds) for part in parts]),
        torch.cat([_widened(part, columns) for part in parts]),
        torch.cat([_as_many(part.tokens, captions, longest) for part in parts]),
        Rows.join(_table(part.coarse) for part in parts),
        None if any(rows is None for rows in fine) else Rows.join(_table(rows) for rows in fine if rows is not None),
        Labels(kinds, columns),
    )


def _renumbered(category: Tensor, own: tuple[str, ...], kinds: tuple[str, ...]) -> Tensor:
    # The last entry is for -1, a kind that is not in the labels.
    numbers = torch.tensor([*(kinds.index(kind) for kind in own), -1])
    return numbers[category]


def _widened(part: Shapes, columns: tuple[tuple[str, str, tuple[str, ...]], ...]) -> Tensor:
    wide = torch.full((len(part), len(columns)), -1, dtype=torch.int64)
    for number, column in enumerate(part.labels.columns):
        wide[:, columns.index(column)] = part.attributes[:, number]
    return wide


def _as_many(tokens: Tensor, captions: int, longest: int) -> Tensor:
    rows = torch.arange(captions) % tokens.shape[1]
    return functional.pad(tokens[:, rows], (0, longest - tokens.shape[2]))


def _table(rows: AnyRows) -> Rows:
    """All rows in memory: a set that is added to the demo's is small."""
    return rows if isinstance(rows, Rows) else rows.in_memory(torch.device("cpu"))


def _mirrored(made: AnyRows) -> Rows:
    rows = _table(made)
    ijk, values = rows.ijk.clone(), rows.values.clone()
    # Voxel 0 lies beside voxel -1, on the other side of the origin.
    ijk[:, 0], values[:, 0] = -1 - ijk[:, 0], -values[:, 0]
    owner = torch.arange(len(rows)).repeat_interleave(rows.sizes())
    i, j, k = (ijk.long() + 2**15).unbind(1)
    order = torch.argsort((owner << 48) | (i << 32) | (j << 16) | k)
    return Rows(ijk[order], values[order], rows.offset)
