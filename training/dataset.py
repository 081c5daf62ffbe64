"""Procedural shapes as tensors: made by all cores into shard files, then held whole on the training device."""

from __future__ import annotations

import multiprocessing
from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from training.children import end_with_parent
from training.engine import progress_bar, save_atomically
from training.rows import AnyRows, Rows
from training.shapes import CATEGORIES, ShapeSpec, Split, attribute_vocabulary, caption, sample, voxelize
from training.shapes.writing import as_written
from training.tokens import CaptionTokenizer

SHARD = 40
GPU_WORKERS = 4
NORMAL_SCALE = 127.0


@dataclass(frozen=True)
class Labels:
    """What `Shapes.category` and the columns of `Shapes.attributes` mean: (category, attribute, values) for each."""

    kinds: tuple[str, ...]
    columns: tuple[tuple[str, str, tuple[str, ...]], ...]


@dataclass(frozen=True)
class Shapes:
    """Labels, caption tokens and coarse voxels of many shapes; `fine` may hold fewer shapes, or be left out.

    category: int64 [S], -1 for one that is not in `labels`; attributes: int64 [S, A], the index of each attribute's
    value, -1 where the category does not have that attribute; tokens: int32 [S, captions, L].
    """

    category: Tensor
    attributes: Tensor
    tokens: Tensor
    coarse: AnyRows
    fine: AnyRows | None
    labels: Labels

    def __len__(self) -> int:
        return len(self.category)


def unit(normals: Tensor) -> Tensor:
    """Stored normals int8 [N, 3] as float32 of unit length."""
    return functional.normalize(normals.float(), dim=1)


def labels_of(kinds: Sequence[str] = CATEGORIES) -> Labels:
    """What categories and columns of attributes mean for shapes of these kinds."""
    return Labels(
        tuple(kinds),
        tuple(
            (category, attribute, values)
            for category, attributes in attribute_vocabulary(kinds).items()
            for attribute, values in attributes.items()
        ),
    )


def make_shapes(
    folder: Path, numbers: range, captions: int, split: Split, workers: int, device: torch.device | None = None,
    kinds: Sequence[str] = CATEGORIES,
) -> None:  # fmt: skip
    """Writes the shapes of a split with these numbers (from a multiple of SHARD) as shard files; those there stay.

    `workers` processes compute on the CPU; with a CUDA device, GPU_WORKERS more do so on the GPU.
    """
    missing = [part for part in _shards(numbers) if not _path(folder, split, part).exists()]
    if not missing:
        return
    folder.mkdir(parents=True, exist_ok=True)
    sizes = {"cpu": min(workers, len(missing))}
    if device is not None and device.type == "cuda":
        sizes["cuda"] = GPU_WORKERS
    # Fresh processes rather than forks: torch's thread pools do not survive a fork.
    context = multiprocessing.get_context("spawn")
    with ExitStack() as stack:
        pools = {
            kind: stack.enter_context(ProcessPoolExecutor(size, context, _one_thread)) for kind, size in sizes.items()
        }
        bar = stack.enter_context(progress_bar(f"shapes ({split})", len(missing)))
        todo, running = missing[::-1], dict[Future[None], str]()
        done = 0
        while todo or running:
            for kind, pool in pools.items():
                while todo and list(running.values()).count(kind) < sizes[kind]:
                    job = pool.submit(_write_shard, folder, split, todo.pop(), captions, kind, tuple(kinds))
                    running[job] = kind
            for job in wait(running, return_when=FIRST_COMPLETED).done:
                del running[job]
                job.result()
                done += 1
                bar.advance(done, fraction=done / len(missing))


def load_shapes(folder: Path, numbers: range, split: Split, fine: int = 0, kinds: Sequence[str] = CATEGORIES) -> Shapes:
    """Reads what `make_shapes` wrote, the first `fine` shapes with fine voxels."""
    parts = [torch.load(_path(folder, split, part), weights_only=True, mmap=True) for part in _shards(numbers)]
    tokens = [part["tokens"] for part in parts]
    longest = max(part.shape[2] for part in tokens)
    tokens = [functional.pad(part, (0, longest - part.shape[2])) for part in tokens]
    return Shapes(
        torch.cat([part["category"] for part in parts]),
        torch.cat([part["attributes"] for part in parts]),
        torch.cat(tokens),
        Rows.join(Rows(*part["coarse"]) for part in parts),
        Rows.join(Rows(*part["fine"]) for part in parts[: -(-fine // SHARD)]).first(fine) if fine else None,
        labels_of(kinds),
    )


def _shards(numbers: range) -> list[range]:
    return [numbers[start : start + SHARD] for start in range(0, len(numbers), SHARD)]


def _path(folder: Path, split: Split, part: range) -> Path:
    return folder / f"{split}_{part.start:06d}_{part.stop:06d}.pt"


def _one_thread() -> None:
    end_with_parent()
    torch.set_num_threads(1)


def captions_of(spec: ShapeSpec, number: int, captions: int, split: Split) -> list[str]:
    """The captions with which a shape of this number is trained on."""
    words = np.random.default_rng([number, captions])
    return [as_written(caption(spec, words, split), spec.category, words, split) for _ in range(captions)]


def _write_shard(
    folder: Path, split: Split, numbers: range, captions: int, device: str, kinds: tuple[str, ...]
) -> None:
    labels = labels_of(kinds)
    columns = {(category, name): (i, v) for i, (category, name, v) in enumerate(labels.columns)}
    attributes = torch.full((len(numbers), len(columns)), -1, dtype=torch.int64)
    categories, texts = [], []
    coarse: list[Rows] = []
    fine: list[Rows] = []
    for row, number in enumerate(numbers):
        spec = sample(number, split=split, kinds=kinds)
        categories.append(kinds.index(spec.category))
        texts.append(captions_of(spec, number, captions, split))
        for name, value in spec.attributes.items():
            column, values = columns[spec.category, name]
            attributes[row, column] = values.index(value)
        shape = voxelize(spec, device)
        coarse.append(_rows(shape.coarse_ijk, shape.coarse_normal))
        fine.append(_rows(shape.fine_ijk, shape.fine_normal))
    whole_coarse, whole_fine = Rows.join(coarse), Rows.join(fine)
    state = {
        "category": torch.tensor(categories),
        "attributes": attributes,
        "tokens": CaptionTokenizer().encode_all(texts),
        "coarse": (whole_coarse.ijk, whole_coarse.values, whole_coarse.offset),
        "fine": (whole_fine.ijk, whole_fine.values, whole_fine.offset),
    }
    save_atomically(state, _path(folder, split, numbers))


def _rows(ijk: Tensor, normal: Tensor) -> Rows:
    values = (normal * NORMAL_SCALE).round().to(torch.int8)
    return Rows(ijk.to(torch.int8).cpu(), values.cpu(), torch.tensor([0, len(ijk)]))


def pick(options: int, count: int, generator: torch.Generator) -> Tensor:
    """`count` indices below `options` with replacement, int64 on the CPU. generator: one of the CPU."""
    return torch.randint(options, (count,), generator=generator)


def choose_captions(tokens: Tensor, shapes: Tensor, generator: torch.Generator) -> Tensor:
    """A random caption of each of the given shapes (int64 on the tokens' device): int32 [B, L]."""
    which = torch.randint(tokens.shape[1], shapes.shape, generator=generator, device=tokens.device)
    return tokens[shapes, which]


def balanced(sequence: Sequence[int], size: int) -> list[list[int]]:
    """A sequence cut into consecutive parts of at most `size`."""
    return [list(sequence[start : start + size]) for start in range(0, len(sequence), size)]
