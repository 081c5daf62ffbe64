"""The list of categories: names, attributes with their wordings, and the function that builds the solid."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from training.shapes.sdf import Sdf

Wordings = Mapping[str, Mapping[str, tuple[str, ...]]]


class Variation:
    """The continuous variation of one shape: `vary(low, high)` draws uniformly; the calls' order matters."""

    def __init__(self, seed: int) -> None:
        self._rng = np.random.default_rng(seed)

    def __call__(self, low: float, high: float) -> float:
        """Draws a number from `low` to `high`."""
        return float(self._rng.uniform(low, high))


Builder = Callable[[Mapping[str, str], Variation], Sdf]


@dataclass(frozen=True)
class Category:
    """nouns: the names people use. attributes: attribute -> value -> wordings: adjectives, phrases ("with legs")."""

    name: str
    nouns: tuple[str, ...]
    attributes: Wordings
    build: Builder


REGISTRY: dict[str, Category] = {}


def category(*nouns: str, **attributes: Mapping[str, tuple[str, ...]]) -> Callable[[Builder], Builder]:
    """Registers a builder under its own name; the name is the category's first noun."""

    def register(build: Builder) -> Builder:
        name = build.__name__.replace("_", " ")
        REGISTRY[name] = Category(name, (name, *nouns), attributes, build)
        return build

    return register
