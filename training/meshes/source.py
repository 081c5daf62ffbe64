"""A training set of meshes as a source of shapes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import torch
from safetensors import safe_open

from models.config import MOST_NAMES, Kinds, may_be_kind
from training.dataset import Labels, Shapes
from training.meshes.captions import noun
from training.meshes.store import Item, TrainingSet, read_set
from training.rows import AnyRows, MappedRows, Rows, fits
from training.tokens import CaptionTokenizer

MOST_CAPTIONS = 16
PREVIEWS = 8


class MeshSource:
    """The training part of a set that `scripts/dataset` has made."""

    def __init__(self, made: TrainingSet) -> None:
        self.made = made
        self.items = made.split("train")

    @classmethod
    def open(cls, folder: Path) -> MeshSource:
        """The set in a folder. Raises ConfigError if there is none."""
        return cls(read_set(folder))

    def captioned(self, captions: Callable[[Item], tuple[str, ...]]) -> MeshSource:
        """The same shapes with other captions, without those that get none."""
        other = MeshSource(self.made)
        changed = (replace(item, captions=captions(item)) for item in self.items)
        other.items = [item for item in changed if item.captions]
        return other

    @property
    def name(self) -> str:
        """The set's name."""
        return self.made.name

    @property
    def kinds(self) -> Kinds:
        """Every kind with the nouns of its captions, as far as a configuration may hold them."""
        found: dict[str, dict[str, None]] = {}
        for item in self.items:
            names = found.setdefault(item.kind, {})
            names.update(dict.fromkeys(noun(caption) for caption in item.captions))
        return {
            kind: tuple(name for name in names if name != kind and may_be_kind(name))[:MOST_NAMES]
            for kind, names in sorted(found.items())
            if may_be_kind(kind)
        }

    @property
    def previews(self) -> tuple[str, ...]:
        """A caption of shapes spread over the set."""
        step = max(1, len(self.items) // PREVIEWS)
        return tuple(item.captions[0] for item in self.items[::step][:PREVIEWS])

    def prepare(self) -> None:
        """Nothing: the set is there."""

    def shapes(self, fine: bool = False) -> Shapes:
        """All shapes of the training part."""
        return shapes_of(self.made, self.items, fine)


def shapes_of(made: TrainingSet, items: Sequence[Item], fine: bool) -> Shapes:
    """Some items of a set as tensors, in their order."""
    kinds = made.kinds
    most = min(max(len(item.captions) for item in items), MOST_CAPTIONS)
    # As many captions for each shape: who has fewer has them more often.
    texts = [[item.captions[n % len(item.captions)] for n in range(most)] for item in items]
    return Shapes(
        torch.tensor([kinds.index(item.kind) if item.kind in kinds else -1 for item in items]),
        torch.zeros(len(items), 0, dtype=torch.int64),
        CaptionTokenizer().encode_all(texts),
        _rows(made, items, "coarse"),
        _rows(made, items, "fine") if fine else None,
        Labels(kinds, ()),
    )


def _rows(made: TrainingSet, items: Sequence[Item], level: str) -> AnyRows:
    """Voxels of items in mapped shards, each opened once; in memory where they fit."""
    numbers: dict[str, int] = {}
    for item in items:
        numbers.setdefault(item.shard, len(numbers))
    mapped = MappedRows(
        [_table(made.folder / f"{shard}.safetensors", level) for shard in numbers],
        torch.tensor([numbers[item.shard] for item in items]),
        torch.tensor([item.row for item in items]),
    )
    memory = torch.device("cpu")
    return mapped.in_memory(memory) if fits(mapped.nbytes, memory) else mapped


def _table(path: Path, level: str) -> Rows:
    """A whole shard, of which the operating system reads what is looked at."""
    with safe_open(path, "pt") as file:
        return Rows(*(file.get_tensor(f"{level}_{name}") for name in ("ijk", "normal", "offset")))
