"""Folders of small meshes, as a stranger may have them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import trimesh

PARTS = {"table": (0.1, 0.9), "stool": (0.25, 0.4), "bench": (0.12, 0.3)}
"""Kind: how thick the top is, and how wide across, of a length of 1."""


def furniture(kind: str, number: int) -> trimesh.Trimesh:
    """A top on four legs that stands along +y; each number has its own proportions."""
    random = np.random.default_rng([number, list(PARTS).index(kind)])
    thick, wide = PARTS[kind]
    height, wide = random.uniform(0.4, 0.9), wide * random.uniform(0.85, 1.15)
    top = trimesh.creation.box((1, thick, wide))
    top.apply_translation((0, height, 0))
    parts = [top]
    for x in (-0.42, 0.42):
        for z in (-0.42, 0.42):
            leg = trimesh.creation.box((0.1, height, 0.1))
            leg.apply_translation((x, height / 2, z * wide))
            parts.append(leg)
    return trimesh.util.concatenate(parts)


def furniture_folder(folder: Path, count: int) -> Path:
    """`count` meshes of PARTS in one folder for each kind, in several formats, without a table of captions."""
    suffixes = ("obj", "glb", "ply", "off")
    for number in range(count):
        kind = list(PARTS)[number % len(PARTS)]
        path = folder / kind / f"{number:04d}.{suffixes[number % len(suffixes)]}"
        path.parent.mkdir(parents=True, exist_ok=True)
        furniture(kind, number).export(path)
    return folder
