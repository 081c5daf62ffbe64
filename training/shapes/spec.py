"""What a shape is before it has voxels: category, attributes and a seed for its continuous variation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch

from training.shapes import animals, buildings, furniture, plants, primitives, tableware, tools, vehicles
from training.shapes.registry import REGISTRY, Variation
from training.shapes.sdf import Sdf
from training.shapes.voxelize import VoxelShape, voxelize_solid

FAMILIES = (furniture, vehicles, tableware, tools, buildings, plants, animals, primitives)
CATEGORIES: tuple[str, ...] = tuple(REGISTRY)

Split = Literal["train", "heldout"]


@dataclass(frozen=True)
class ShapeSpec:
    """attributes: every attribute of the category with its value. variation: the seed of the continuous variation."""

    category: str
    attributes: dict[str, str]
    variation: int
    caption: str


def attribute_vocabulary() -> dict[str, dict[str, tuple[str, ...]]]:
    """category -> attribute -> values, in fixed order."""
    return {name: {a: tuple(values) for a, values in c.attributes.items()} for name, c in REGISTRY.items()}


def names_of_kinds() -> dict[str, tuple[str, ...]]:
    """category -> the other nouns that captions call it."""
    return {name: entry.nouns[1:] for name, entry in REGISTRY.items()}


def build(spec: ShapeSpec) -> Sdf:
    """The solid of a shape, inside about [-0.45, 0.45]³ with +y up. Raises KeyError for an unknown category."""
    return REGISTRY[spec.category].build(spec.attributes, Variation(spec.variation))


def voxelize(spec: ShapeSpec, device: torch.device | str = "cpu") -> VoxelShape:
    """The surface voxels of a shape with normals, on `device`."""
    return voxelize_solid(build(spec), device)
