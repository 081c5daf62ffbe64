"""Shapes that generated ones are compared with: held-out ones, training ones, and the baseline that looks one up."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch

from models.shape import Shape, Voxels
from training.dataset import Shapes, unit
from training.evaluation.captions import Search
from training.evaluation.jobs import Job
from training.evaluation.making import packed, unpacked
from training.leftovers import write_bytes
from training.recipe import COARSE, Recipe
from training.shapes import ShapeSpec, sample, voxelize

FIRST_HELDOUT, SECOND_HELDOUT = 10_000_000, 20_000_000
"""Numbers of held-out shapes from here on are in no classifier's training."""


class References:
    """Procedural coarse shapes for the jobs of a pair that was trained by a recipe, kept in a folder."""

    def __init__(self, recipe: Recipe, folder: Path) -> None:
        self.recipe, self.folder = recipe, folder

    def heldout(self, jobs: Sequence[Job], first: int) -> list[Voxels]:
        """For each job a shape of its kind and attributes that no training has seen, of numbers from `first` on."""
        return [
            self._kept(f"heldout {n} {job.kind} {sorted(job.asked.items())}", partial(_heldout, job, n))
            for n, job in enumerate(jobs, start=first)
        ]

    def looked_up(self, jobs: Sequence[Job], search: Search) -> list[Voxels]:
        """For each job the training shape that has the caption nearest to the prompt: what needs no model at all."""
        numbers = [search.nearest(job.prompt).number for job in jobs]
        kinds = self.recipe.kinds
        return [self._kept(f"training {n} {kinds}", partial(sample, n, kinds=kinds)) for n in numbers]

    def _kept(self, name: str, spec: Callable[[], ShapeSpec]) -> Voxels:
        path = self.folder / f"{hashlib.blake2b(name.encode(), digest_size=8).hexdigest()}.safetensors"
        if not path.exists():
            made = voxelize(spec())
            coarse = Voxels(made.coarse_ijk.numpy(), made.coarse_normal.numpy(), 1 / COARSE)
            write_bytes(path, packed(Shape(coarse, None, 0)))
        return unpacked(path.read_bytes(), 0).coarse


def coarse_voxels(shapes: Shapes) -> list[Voxels]:
    """The coarse voxels of all shapes."""
    found = []
    for number in range(len(shapes)):
        own = shapes.coarse.gather(torch.tensor([number]))
        found.append(Voxels(own.ijk.short().cpu().numpy(), unit(own.values).cpu().numpy(), 1 / COARSE))
    return found


def _heldout(job: Job, number: int) -> ShapeSpec:
    drawn = sample(number, job.kind, "heldout")
    return replace(drawn, attributes=drawn.attributes | dict(job.asked))
