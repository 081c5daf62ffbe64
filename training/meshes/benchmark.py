"""How fast meshes become a training set on this machine, measured on meshes that are made for it."""

from __future__ import annotations

import math
import resource
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import trimesh

from models.errors import ConfigError
from training.meshes.building import Settings, build

FACES, PARTS = 20_000, 4
MANY = 1_000
"""Meshes for which the time is foretold."""


@dataclass(frozen=True)
class Speed:
    """wall and cpu: seconds that all meshes took, from reading to the finished set; cpu is the sum over all cores."""

    meshes: int
    wall: float
    cpu: float

    def minutes(self, meshes: int, cores: int) -> float:
        """What so many would take on cores that do nothing else."""
        return self.cpu / self.meshes * meshes / cores / 60


def synthetic(number: int, faces: int = FACES) -> trimesh.Trimesh:
    """A mesh of exactly so many faces (a multiple of 4 * 2 * a square): wavy closed bodies that overlap."""
    random = np.random.default_rng(number)
    side = math.isqrt(faces // PARTS // 2)
    assert PARTS * 2 * side * side == faces
    # A torus in parameters, so that every vertex is one and no face lacks an area.
    u, v = np.meshgrid(*(np.arange(side) * (2 * np.pi / side),) * 2, indexing="ij")
    row, column = np.meshgrid(np.arange(side), np.arange(side), indexing="ij")
    a, b = row * side + column, (row + 1) % side * side + column
    c, d = (row + 1) % side * side + (column + 1) % side, row * side + (column + 1) % side
    quads = np.stack((a, b, c, a, c, d), -1).reshape(-1, 3)
    bodies = []
    for _ in range(PARTS):
        wave = random.integers(1, 6, 4)
        radius = 0.35 + 0.06 * np.sin(wave[0] * u + wave[1] * v) + 0.04 * np.sin(wave[2] * u - wave[3] * v)
        ring = 1 + radius * np.cos(v)
        points = np.stack((ring * np.cos(u), radius * np.sin(v), ring * np.sin(u)), -1).reshape(-1, 3)
        turn = np.linalg.qr(random.normal(size=(3, 3)))[0]
        turn *= np.sign(np.linalg.det(turn))
        vertices = (points * random.uniform(0.2, 0.5, 3)) @ turn + random.uniform(-0.4, 0.4, 3)
        bodies.append(trimesh.Trimesh(vertices, quads, process=False))
    whole = trimesh.util.concatenate(bodies)
    assert isinstance(whole, trimesh.Trimesh)
    return whole


def measure(meshes: int, settings: Settings) -> Speed:
    """Makes so many meshes in a temporary folder, and a set of them, which is timed and thrown away."""
    if meshes < 1:
        raise ConfigError("--bench: needs at least one mesh")
    with TemporaryDirectory(prefix="xcube-bench-") as place:
        folder = Path(place) / "meshes"
        folder.mkdir()
        for number in range(meshes):
            synthetic(number).export(folder / f"body {number:04d}.ply")
        with _timed() as spent:
            build(folder, Path(place) / "set", settings, "bench")
    return Speed(meshes, *spent)


@contextmanager
def _timed() -> Iterator[list[float]]:
    """Wall and CPU seconds of a block, processes that have ended within it included."""

    def cpu() -> float:
        both = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
        return sum(usage.ru_utime + usage.ru_stime for usage in both)

    spent: list[float] = []
    wall, used = time.monotonic(), cpu()
    yield spent
    spent += [time.monotonic() - wall, cpu() - used]


def report(speed: Speed, settings: Settings) -> str:
    """The measured times as lines."""
    cores = settings.workers
    return (
        f"{speed.meshes} meshes of {FACES:,} faces to {settings.resolution}³: {speed.wall:.1f} s, "
        f"{speed.cpu / speed.meshes:.2f} s of a core for each\n"
        f"{MANY:,} such meshes take {speed.minutes(MANY, cores):.1f} minutes on {cores} free cores"
    )
