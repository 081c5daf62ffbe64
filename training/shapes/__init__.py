"""Procedural captioned shapes: signed distance functions, made into voxels with normals."""

from __future__ import annotations

from training.shapes.captions import EvalPrompt, caption, evaluation_prompts, plain_prompt, sample
from training.shapes.spec import (
    CATEGORIES,
    EVERY_KIND,
    ShapeSpec,
    Split,
    attribute_vocabulary,
    build,
    names_of_kinds,
    voxelize,
)
from training.shapes.voxelize import VoxelShape

__all__ = [
    "CATEGORIES",
    "EVERY_KIND",
    "EvalPrompt",
    "ShapeSpec",
    "Split",
    "VoxelShape",
    "attribute_vocabulary",
    "build",
    "caption",
    "evaluation_prompts",
    "names_of_kinds",
    "plain_prompt",
    "sample",
    "voxelize",
]
