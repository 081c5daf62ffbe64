"""Finds the pair of procedural kinds in a folder of models, and the classifier that judges it."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from models.config import to_dict
from models.cores import usable_cores
from models.errors import CheckpointError, ConfigError
from models.loading import WEIGHTS_FILE, load_coarse, load_fine, load_text
from models.pipeline import Pipeline
from models.presets import Network
from models.runtime import Runtime
from training.classifier import CLASSIFIER_FILE, ShapeClassifier, load_classifier, train_classifier
from training.dataset import SHARD, Shapes, load_shapes, make_shapes
from training.engine import seed_everything
from training.generating import with_students
from training.recipe import Recipe
from training.shapes import CATEGORIES, EVERY_KIND

MODELS = ("text", "coarse", "fine")


@dataclass(frozen=True)
class Pair:
    """The models of one set in a folder, and a mark that no other weights have.

    kinds: the procedural ones that they know; known: those and real ones.
    """

    name: str
    pipeline: Pipeline
    kinds: tuple[str, ...]
    known: frozenset[str]
    mark: str


def load_pair(folder: Path, device: torch.device, network: Network = "standard") -> Pair:
    """The pair in a folder, or its students: the demo's, or else the only one that is there.

    Raises:
        ConfigError: there is none, or more than one.
        CheckpointError: a model cannot be read.
    """
    found = sorted(path.parent.name.removesuffix("_text") for path in folder.glob(f"*_text/{WEIGHTS_FILE}"))
    names = ["demo"] if "demo" in found else found
    if len(names) != 1:
        raise ConfigError(
            f"{folder}: holds {' and '.join(names) or 'no text model'}; give a folder that holds the models of one set "
            "with --checkpoint-dir"
        )
    runtime = Runtime(device)
    places = [folder / f"{names[0]}_{model}" for model in MODELS]
    text = load_text(places[0])
    pipeline = Pipeline(text, load_coarse(places[1], text.null, runtime), load_fine(places[2], runtime))
    if network == "turbo":
        students = [folder / f"{names[0]}_turbo_{model}" for model in MODELS[1:]]
        kinds_of = ("coarse", "fine", "turbo_coarse", "turbo_fine")
        pipeline = with_students(pipeline, dict(zip(kinds_of, places[1:] + students, strict=True)))
        places += students
    mark = hashlib.blake2b(f"{to_dict(pipeline.coarse.config)}".encode(), digest_size=8)
    for place in places:
        mark.update((place / WEIGHTS_FILE).read_bytes())
    # Those with which these weights were trained, and not those that there are today.
    named = text.config.kinds or {}
    kinds = tuple(kind for kind in EVERY_KIND if kind in named) or CATEGORIES
    return Pair(names[0], pipeline, kinds, frozenset((*kinds, *named)), mark.hexdigest())


def classifiers(folder: Path, name: str, given: Path | None) -> list[Path]:
    """Where the classifier of a pair may be. Raises ConfigError if the one that is given is not there."""
    if given is not None and not given.is_file():
        raise ConfigError(f"{given}: is no file; give a classifier that scripts/train has written")
    return [given] if given else [folder / f"{name}_classifier.safetensors", folder / CLASSIFIER_FILE]


def find_classifier(
    places: Sequence[Path], folder: Path, data: Path, recipe: Recipe, device: torch.device
) -> ShapeClassifier:
    """The classifier in the first of some files that is there, or one trained now, which resumes from `folder`.

    Raises:
        CheckpointError: the one that is there is of other kinds, or cannot be read.
    """
    for path in places:
        if path.exists():
            try:
                return load_classifier(path, device, recipe.kinds)
            except Exception as error:  # torch and safetensors have many kinds of errors for a file that does not fit
                raise CheckpointError(
                    f"{path}: is no classifier of these {len(recipe.kinds)} kinds ({str(error)[:80]}); give one of "
                    "them with --classifier"
                ) from error
    shapes = true_shapes(data, recipe.classifier_numbers, recipe)
    state = folder / data.name
    state.mkdir(parents=True, exist_ok=True)
    return train_classifier(recipe, shapes, state, None, seed_everything(0, device))


def true_shapes(data: Path, numbers: range, recipe: Recipe) -> Shapes:
    """Held-out procedural shapes, made if they are not there."""
    numbers = numbers[: len(numbers) // SHARD * SHARD]
    make_shapes(data, numbers, 1, "heldout", usable_cores(), kinds=recipe.kinds)
    return load_shapes(data, numbers, "heldout", kinds=recipe.kinds)
