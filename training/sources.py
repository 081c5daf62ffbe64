"""Where shapes and captions of a training come from: one interface, and the procedural shapes behind it."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import torch

from models.config import Kinds
from training.dataset import Shapes, load_shapes, make_shapes
from training.recipe import Recipe
from training.shapes import names_of_kinds


class Source(Protocol):
    """Shapes with captions. name: of the models that learn from them; previews: prompts of pictures on the way."""

    @property
    def name(self) -> str:
        """The set of models that learns from this source: folders of models begin with it."""

    @property
    def kinds(self) -> Kinds:
        """All kinds of shapes, with the other names that captions call them."""

    @property
    def previews(self) -> tuple[str, ...]:
        """Prompts whose shapes are drawn while the coarse stage trains."""

    def prepare(self) -> None:
        """Makes what is missing, once, before anything trains."""

    def shapes(self, fine: bool = False) -> Shapes:
        """The shapes to train on; with `fine`, those that have fine voxels, with them."""


class ProceduralSource:
    """The demo's shapes, made by programs into a folder of the run."""

    name = "demo"
    previews = (
        "a tall chair with armrests",
        "a round table",
        "a car with large wheels",
        "an airplane",
        "a mug",
        "a castle",
        "a dog with a long tail",
        "a hammer",
    )

    def __init__(self, recipe: Recipe, folder: Path, workers: int, device: torch.device) -> None:
        self.recipe, self.folder, self.workers, self.device = recipe, folder, workers, device

    @property
    def kinds(self) -> Kinds:
        """Every category with its nouns."""
        return names_of_kinds(self.recipe.kinds)

    def prepare(self) -> None:
        """Makes the shapes of all splits, or what is missing of them."""
        recipe, kinds = self.recipe, self.recipe.kinds
        make_shapes(self.folder, range(recipe.shapes), recipe.captions, "train", self.workers, self.device, kinds)
        for numbers in (recipe.classifier_numbers, recipe.test_numbers):
            make_shapes(self.folder, numbers, 1, "heldout", self.workers, self.device, kinds)

    def shapes(self, fine: bool = False) -> Shapes:
        """The training shapes; only the first of them have fine voxels."""
        recipe = self.recipe
        return load_shapes(self.folder, range(recipe.shapes), "train", recipe.fine_shapes if fine else 0, recipe.kinds)

    def heldout(self, numbers: range) -> Shapes:
        """Shapes that no model of the pair has seen."""
        return load_shapes(self.folder, numbers, "heldout", kinds=self.recipe.kinds)
