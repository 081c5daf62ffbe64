"""What a shape is before it has voxels: category, attributes and a seed for its continuous variation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch

from training.shapes import (
    animals,
    buildings,
    furniture,
    gear,
    household,
    kitchen,
    music,
    outdoors,
    plants,
    primitives,
    tableware,
    tools,
    transport,
    vehicles,
    wild_animals,
)
from training.shapes.registry import REGISTRY, Variation
from training.shapes.sdf import Sdf
from training.shapes.voxelize import VoxelShape, voxelize_solid

FAMILIES = (furniture, vehicles, tableware, tools, buildings, plants, animals, primitives)
"""Of the kinds that the demo's weights know."""
MORE_FAMILIES = (household, transport, kitchen, gear, outdoors, wild_animals, music)
"""Of kinds for the next weights."""
EVERY_KIND: tuple[str, ...] = tuple(REGISTRY)
CATEGORIES: tuple[str, ...] = tuple(
    name for name, entry in REGISTRY.items() if entry.build.__module__ in {family.__name__ for family in FAMILIES}
)
"""The kinds that the demo's weights know."""

Split = Literal["train", "heldout"]


@dataclass(frozen=True)
class ShapeSpec:
    """attributes: every attribute of the category with its value. variation: the seed of the continuous variation."""

    category: str
    attributes: dict[str, str]
    variation: int
    caption: str


def attribute_vocabulary(kinds: Sequence[str] = CATEGORIES) -> dict[str, dict[str, tuple[str, ...]]]:
    """category -> attribute -> values, in fixed order."""
    return {name: {a: tuple(values) for a, values in REGISTRY[name].attributes.items()} for name in kinds}


def names_of_kinds(kinds: Sequence[str] = CATEGORIES) -> dict[str, tuple[str, ...]]:
    """category -> the other nouns that captions call it."""
    return {name: REGISTRY[name].nouns[1:] for name in kinds}


def build(spec: ShapeSpec) -> Sdf:
    """The solid of a shape, inside about [-0.45, 0.45]³ with +y up. Raises KeyError for an unknown category."""
    return REGISTRY[spec.category].build(spec.attributes, Variation(spec.variation))


def voxelize(spec: ShapeSpec, device: torch.device | str = "cpu") -> VoxelShape:
    """The surface voxels of a shape with normals, on `device`."""
    return voxelize_solid(build(spec), device)
