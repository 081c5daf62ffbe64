"""The files of a training set: voxels in shards that are mapped into memory, and what they show in one JSON file.

A shard is written whole and then named; what a kill interrupts is made again. The geometry of a mesh is found by a key
of its content, so that a set grows, and its captions change, without any mesh being voxelised twice.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors import safe_open
from safetensors.numpy import save

from formats.meshes import Prepared
from models.errors import ConfigError
from models.shape import Voxels
from training.leftovers import write_bytes

FORMAT = 1
SET_FILE = "set.json"
NORMAL_SCALE = 127.0


@dataclass(frozen=True)
class Item:
    """A shape of a set. key: of the file's content; shard and row: where its voxels are."""

    key: str
    file: str
    kind: str
    captions: tuple[str, ...]
    credit: str
    split: str
    shard: str
    row: int


@dataclass(frozen=True)
class TrainingSet:
    """What `set.json` holds. resolution: fine voxels a side; coarse ones are a quarter."""

    folder: Path
    name: str
    resolution: int
    items: tuple[Item, ...]

    def split(self, name: str) -> list[Item]:
        """The items of `train` or `heldout`."""
        return [item for item in self.items if item.split == name]

    @property
    def kinds(self) -> tuple[str, ...]:
        """Every kind that the training part holds, sorted."""
        return tuple(sorted({item.kind for item in self.split("train")}))


def write_set(made: TrainingSet) -> None:
    """Writes `set.json`."""
    values = {
        "format": FORMAT,
        "name": made.name,
        "resolution": made.resolution,
        "items": [asdict(item) for item in made.items],
    }
    write_text(made.folder / SET_FILE, json.dumps(values, indent=1, ensure_ascii=False))


def read_set(folder: Path) -> TrainingSet:
    """The training set in a folder.

    Raises:
        ConfigError: there is none, or one of another version.
    """
    try:
        values = json.loads((folder / SET_FILE).read_text(encoding="utf-8"))
        items = tuple(Item(**{**item, "captions": tuple(item["captions"])}) for item in values["items"])
        if values["format"] != FORMAT:
            raise ValueError(f"its format is {values['format']}")
        return TrainingSet(folder, values["name"], values["resolution"], items)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigError(f"{folder}: holds no training set ({error}); make one with scripts/dataset") from error


@dataclass(frozen=True)
class Entry:
    """A shape before it is in a shard."""

    key: str
    digest: str
    notes: tuple[str, ...]
    coarse: Voxels
    fine: Voxels

    @classmethod
    def of(cls, key: str, made: Prepared) -> Entry:
        """A prepared mesh under its key."""
        return cls(key, made.digest, made.notes, made.coarse, made.fine)


def write_shard(folder: Path, entries: Sequence[Entry]) -> None:
    """Writes shapes as one file, named after the first."""
    arrays: dict[str, NDArray[np.generic]] = {}
    for level in ("coarse", "fine"):
        voxels: list[Voxels] = [getattr(entry, level) for entry in entries]
        small = np.int8 if voxels[0].voxel_size * 256 >= 1 else np.int16
        arrays[f"{level}_ijk"] = np.concatenate([each.ijk for each in voxels]).astype(small, copy=False)
        arrays[f"{level}_normal"] = np.concatenate([quantised(each.normal) for each in voxels])
        arrays[f"{level}_offset"] = np.cumsum([0, *(len(each) for each in voxels)])
    about = [{"key": entry.key, "digest": entry.digest, "notes": entry.notes} for entry in entries]
    write_bytes(folder / f"{entries[0].key}.safetensors", save(arrays, {"items": json.dumps(about)}))


def quantised(normal: NDArray[np.floating]) -> NDArray[np.int8]:
    """Unit normals as int8, 127 = 1."""
    result: NDArray[np.int8] = np.rint(normal * NORMAL_SCALE).astype(np.int8)
    return result


@dataclass(frozen=True)
class Place:
    """Where the voxels of a key are, and what was noted when they were made."""

    shard: str
    row: int
    digest: str
    notes: tuple[str, ...]


def places(folder: Path) -> dict[str, Place]:
    """All shapes in the shards of a set by their keys; a shard that is damaged is left out."""
    return {key: place for path in sorted(folder.glob("*.safetensors")) for key, place in _listed(path)}


def _listed(path: Path) -> Iterator[tuple[str, Place]]:
    try:
        with safe_open(path, "numpy") as file:
            about = json.loads(file.metadata()["items"])
    except Exception:  # safetensors has its own exceptions for each fault of a file
        return
    for row, item in enumerate(about):
        yield item["key"], Place(path.stem, row, item["digest"], tuple(item["notes"]))


def read_voxels(made: TrainingSet, item: Item, level: str) -> Voxels:
    """The `coarse` or `fine` voxels of one item; nothing else of its shard is read."""
    resolution = made.resolution if level == "fine" else made.resolution // 4
    with safe_open(made.folder / f"{item.shard}.safetensors", "numpy") as file:
        offset = file.get_slice(f"{level}_offset")[item.row : item.row + 2]
        low, high = int(offset[0]), int(offset[1])
        ijk = file.get_slice(f"{level}_ijk")[low:high].astype(np.int16)
        normal = file.get_slice(f"{level}_normal")[low:high].astype(np.float32)
    return Voxels(ijk, normal / np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-6), 1 / resolution)


def write_text(path: Path, text: str) -> None:
    """Writes a file in one step."""
    write_bytes(path, text.encode())
