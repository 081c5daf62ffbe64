"""A classifier of pieces of which there are few of each kind: multinomial logistic regression on what voxels hold.

A network would have to be trained for long, and learns no more from some hundred pieces. Features are blurred
occupancy and normals in coarser cells, of which the principal components are kept (Turk and Pentland, "Eigenfaces for
recognition", 1991).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.grids import TorchGrid
from models.shape import Voxels
from training.classifier import volumes_of

COMPONENTS, DECAY, ITERATIONS = 96, 1e-3, 100
SHIFTS = ((0, 2), (1, 2), (1, 3), (-1, 3), (1, 4), (-1, 4))
"""Voxels by which training pieces are moved, and the axis of the volumes."""
LEFT_RIGHT = 2


class PieceClassifier:
    """Tells the kind of coarse shapes of 32³ voxels after it has seen some of each kind; the same pieces give the same.

    Args:
        shapes: Training pieces; each is also seen mirrored, and moved by a voxel.
        kinds: Their kinds.
    """

    def __init__(self, shapes: Sequence[Voxels], kinds: Sequence[str]) -> None:
        self.kinds = tuple(sorted(set(kinds)))
        plain = _volumes(shapes)
        both = torch.cat((plain, _mirrored(plain)))
        labels = torch.tensor([self.kinds.index(kind) for kind in kinds]).repeat(2)
        base = _features(both)
        self.mean = base.mean(0)
        _, values, vectors = torch.linalg.svd(base - self.mean, full_matrices=False)
        kept = int((values[:COMPONENTS] > 1e-4 * values[0]).sum())
        # Between raw and whitened: small components are noise where there are few pieces.
        deviations = values[:kept] / len(base) ** 0.5
        self.axes = vectors[:kept].T / (deviations * deviations.norm()).sqrt()
        seen = torch.cat([self._components(both.roll(step, axis)) for step, axis in SHIFTS])
        self.layer = _fitted(seen, labels.repeat(len(SHIFTS)), len(self.kinds))

    def recognise(self, shapes: Sequence[Voxels]) -> list[str]:
        """The likeliest kind of each shape; "" of one without a voxel."""
        if not shapes:
            return []
        with torch.no_grad():
            found = self.layer(self._components(_volumes(shapes))).argmax(1).tolist()
        return [self.kinds[number] if len(shape) else "" for number, shape in zip(found, shapes, strict=True)]

    def _components(self, volumes: Tensor) -> Tensor:
        components: Tensor = (_features(volumes) - self.mean) @ self.axes
        return components


def _fitted(seen: Tensor, labels: Tensor, kinds: int) -> nn.Linear:
    layer = nn.Linear(seen.shape[1], kinds)
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)
    # A kind of many pieces counts for more than one of few, and yet not as much more as it has pieces.
    weights = torch.bincount(labels, minlength=kinds)[labels].float().rsqrt()
    optimizer = torch.optim.LBFGS(layer.parameters(), max_iter=ITERATIONS, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        optimizer.zero_grad()
        errors = functional.cross_entropy(layer(seen), labels, reduction="none")
        total = (errors * weights).sum() / weights.sum() + DECAY * layer.weight.square().sum()
        total.backward()
        return total

    optimizer.step(loss)
    return layer.requires_grad_(False)


def _volumes(shapes: Sequence[Voxels]) -> Tensor:
    """Occupancy and normals [N, 4, 32, 32, 32]."""
    sizes = [len(shape) for shape in shapes]
    ijk = torch.cat([torch.from_numpy(shape.ijk) for shape in shapes]).int()
    owner = torch.arange(len(shapes)).repeat_interleave(torch.tensor(sizes))
    grid = TorchGrid.from_ijk(ijk, owner, len(shapes))
    return volumes_of(grid, torch.cat([torch.from_numpy(shape.normal) for shape in shapes]))


def _mirrored(volumes: Tensor) -> Tensor:
    """Left and right exchanged: the component of the normals along that axis, the first, changes its sign."""
    mirrored = volumes.flip(LEFT_RIGHT)
    mirrored[:, 1] *= -1
    return mirrored


def _features(volumes: Tensor) -> Tensor:
    """Blurred occupancy in 16³ cells, and mean normals and their sizes in 8³: [N, F]."""
    parts = []
    for some in volumes.split(64):
        blurred = functional.avg_pool3d(functional.avg_pool3d(some[:, :1], 3, 1, 1), 2)
        sizes, means = functional.avg_pool3d(some[:, 1:].abs(), 4), functional.avg_pool3d(some, 4)
        parts.append(torch.cat([blurred.flatten(1).sqrt(), sizes.flatten(1).sqrt(), means.flatten(1)], dim=1))
    return torch.cat(parts)
