"""Makes the shapes of an evaluation, and keeps each as a file, so that one that was stopped goes on where it was."""

from __future__ import annotations

import hashlib
import statistics
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from safetensors.numpy import load, save

from models.pipeline import Pipeline
from models.shape import Shape, Voxels
from training.dataset import balanced
from training.engine import progress_bar
from training.evaluation.jobs import Job
from training.generating import Controls, generate
from training.leftovers import write_bytes
from training.meshes.store import NORMAL_SCALE, quantised

UNGUIDED = 1.0


class Maker:
    """A pair with its controls, and the folder of the shapes it has made."""

    def __init__(self, pipeline: Pipeline, folder: Path, controls: Controls) -> None:
        self.pipeline, self.folder, self.controls = pipeline, folder, controls
        self.seconds: list[float] = []
        """What each shape took that was made with its fine shape in this run."""

    @property
    def median_seconds(self) -> float | None:
        """What a coarse and a fine shape take together, None where all were there already."""
        return statistics.median(self.seconds) if self.seconds else None

    def make(self, todo: Sequence[Job], batch: int) -> None:
        """Makes what is not there yet, `batch` shapes at once."""
        missing = [job for job in todo if not self._file(job).exists()]
        done = len(todo) - len(missing)
        with progress_bar("evaluate", len(todo), done) as bar:
            # Shapes of a batch are made in the same way.
            for alike in (
                [job for job in missing if (job.fine, job.group == "no guidance") == way]
                for way in ((True, False), (False, False), (False, True))
            ):
                for part in balanced(range(len(alike)), batch):
                    chosen = [alike[index] for index in part]
                    begun = time.perf_counter()
                    for job, shape in zip(chosen, self.generate(chosen), strict=True):
                        write_bytes(self._file(job), packed(shape))
                    if chosen[0].fine:
                        self.seconds += [(time.perf_counter() - begun) / len(chosen)] * len(chosen)
                    done += len(part)
                    bar.advance(done, fraction=done / len(todo))

    def generate(self, alike: Sequence[Job]) -> list[Shape]:
        """Shapes of jobs that are made in the same way, in one batch."""
        models, wanted = self.pipeline, self.controls
        if not alike[0].fine:
            models = Pipeline(models.text, models.coarse)
        if alike[0].group == "no guidance":
            wanted = replace(wanted, guidance_scale=UNGUIDED)
        return generate(models, [job.prompt for job in alike], [job.seed for job in alike], wanted)

    def shape(self, job: Job) -> Shape:
        """A shape that was made."""
        return unpacked(self._file(job).read_bytes(), job.seed)

    def beside(self, job: Job, suffix: str) -> Path:
        """Where something about the job's shape is kept."""
        mark = hashlib.blake2b(job.key.encode(), digest_size=8).hexdigest()
        return self.folder / "shapes" / f"{mark}{suffix}"

    def _file(self, job: Job) -> Path:
        return self.beside(job, ".safetensors")


def packed(shape: Shape) -> bytes:
    """Coarse and fine voxels as a safetensors file, normals in 127ths."""
    levels = {"coarse": shape.coarse, **({} if shape.fine is None else {"fine": shape.fine})}
    arrays: dict[str, np.ndarray] = {}
    for name, voxels in levels.items():
        arrays[f"{name}_ijk"] = np.ascontiguousarray(voxels.ijk)
        arrays[f"{name}_normal"] = np.ascontiguousarray(quantised(voxels.normal))
        arrays[f"{name}_size"] = np.array([voxels.voxel_size])
    return save(arrays)


def unpacked(data: bytes, seed: int) -> Shape:
    """The inverse of `packed`."""
    arrays = load(data)
    coarse, fine = (
        _voxels(*(arrays[f"{name}_{what}"] for what in ("ijk", "normal", "size"))) if f"{name}_ijk" in arrays else None
        for name in ("coarse", "fine")
    )
    assert coarse is not None
    return Shape(coarse, fine, seed)


def _voxels(ijk: np.ndarray, normal: np.ndarray, size: np.ndarray) -> Voxels:
    long = normal.astype(np.float32) / NORMAL_SCALE
    return Voxels(ijk, long / np.maximum(np.linalg.norm(long, axis=1, keepdims=True), 1e-6), float(size[0]))
