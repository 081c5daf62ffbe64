"""The judge of generated shapes: a small 3-D network that tells category and attributes from coarse voxels.

It is trained on held-out procedural shapes, which no model of the pair has seen, disturbed a little so that it judges
shape and not single voxels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional

from models.grids import TorchGrid
from models.shape import Voxels
from training.dataset import Labels, Shapes, balanced, labels_of, pick, unit
from training.engine import Budget, Losses, Trainer
from training.recipe import COARSE, Recipe
from training.shapes import CATEGORIES
from training.text import attribute_loss

CLASSIFIER_FILE = "demo_classifier.safetensors"
WIDTHS = (16, 32, 64)
HIDDEN = 96
CHANNELS = 4
MOST_DROPPED, MOST_ADDED, NORMAL_NOISE, MOST_SHIFT = 0.1, 0.002, 0.3, 1


@dataclass(frozen=True)
class Verdict:
    """Logits of category [B, K] and of the values of every attribute column, each [B, values]."""

    category: Tensor
    attributes: list[Tensor]


class ShapeClassifier(nn.Module):
    """Volumes [B, 4, 32, 32, 32] (occupancy and normal) -> Verdict."""

    def __init__(self, labels: Labels) -> None:
        super().__init__()
        self.labels = labels
        self.sizes = [len(values) for _, _, values in labels.columns]
        layers: list[nn.Module] = []
        for narrow, wide in zip((CHANNELS, *WIDTHS), WIDTHS, strict=False):
            layers += [nn.Conv3d(narrow, wide, 3, stride=2, padding=1), nn.GroupNorm(8, wide), nn.ReLU()]
        cells = (COARSE >> len(WIDTHS)) ** 3
        self.features = nn.Sequential(*layers, nn.Flatten(), nn.Linear(WIDTHS[-1] * cells, HIDDEN), nn.ReLU())
        self.category = nn.Linear(HIDDEN, len(labels.kinds))
        self.attributes = nn.Linear(HIDDEN, sum(self.sizes))

    def forward(self, volumes: Tensor) -> Verdict:
        """[B, C, X, Y, Z] -> logits of category and attributes of B shapes."""
        features = self.features(volumes)
        return Verdict(self.category(features), list(self.attributes(features).split(self.sizes, dim=1)))


def volumes_of(grid: TorchGrid, normals: Tensor) -> Tensor:
    """Coarse voxels of B samples with unit normals -> [B, 4, 32, 32, 32]; voxels outside the cube are left out."""
    ijk = grid.ijk.long() + COARSE // 2
    inside = ((ijk >= 0) & (ijk < COARSE)).all(dim=1)
    cell = ((grid.batch * COARSE + ijk[:, 0]) * COARSE + ijk[:, 1]) * COARSE + ijk[:, 2]
    values = torch.cat((torch.ones_like(normals[:, :1]), normals), dim=1)
    flat = normals.new_zeros(len(grid.counts) * COARSE**3, CHANNELS)
    flat[cell[inside]] = values[inside]
    return flat.view(len(grid.counts), COARSE, COARSE, COARSE, CHANNELS).permute(0, 4, 1, 2, 3).contiguous()


def disturb_volumes(volumes: Tensor, generator: torch.Generator) -> Tensor:
    """Shifts by up to a voxel, drops some voxels, adds a few, and turns normals a little."""
    device, count = volumes.device, len(volumes)

    def uniform(*shape: int) -> Tensor:
        return torch.rand(*shape, generator=generator, device=device)

    cells = (count, 1, COARSE, COARSE, COARSE)
    occupied = volumes[:, :1] * (uniform(*cells) >= MOST_DROPPED * uniform(count, 1, 1, 1, 1))
    added = (uniform(*cells) < MOST_ADDED * uniform(count, 1, 1, 1, 1)).float() * (1 - volumes[:, :1])
    normals = volumes[:, 1:] + added * (2 * uniform(count, 3, COARSE, COARSE, COARSE) - 1)
    normals = normals + NORMAL_NOISE * uniform(count, 1, 1, 1, 1) * (2 * uniform(*normals.shape) - 1)
    present = occupied + added
    disturbed = torch.cat((present, functional.normalize(normals, dim=1) * present), dim=1)
    shifts = torch.randint(-MOST_SHIFT, MOST_SHIFT + 1, (3,), generator=generator, device=device).tolist()
    return disturbed.roll(shifts, dims=(2, 3, 4))


def train_classifier(
    recipe: Recipe, shapes: Shapes, folder: Path, minutes: float | None, generator: torch.Generator
) -> ShapeClassifier:
    """Trains on held-out shapes, resuming from `folder`."""
    device, plan = generator.device, recipe.classifier_plan
    model = ShapeClassifier(shapes.labels).to(device)
    path = folder / "classifier.pt"
    trainer = Trainer("classifier", model, path, Budget(plan.steps, minutes), plan.optimization, generator)
    coarse, category, attributes = shapes.coarse.to(device), shapes.category.to(device), shapes.attributes.to(device)

    def losses(step: int) -> Losses:
        chosen = pick(len(shapes), plan.batch, torch.Generator().manual_seed(step))
        grid, stored = coarse.batch(chosen)
        verdict = model(disturb_volumes(volumes_of(grid, unit(stored)), generator))
        return {
            "category": functional.cross_entropy(verdict.category, category[chosen.to(device)]),
            "attributes": attribute_loss(verdict.attributes, attributes[chosen.to(device)]),
        }

    average = trainer.run(losses)
    assert isinstance(average, ShapeClassifier)
    return average.eval().requires_grad_(False)


@torch.no_grad()
def accuracy(model: ShapeClassifier, shapes: Shapes) -> tuple[float, float]:
    """The shares of right categories and of right attributes (of the true category) on real shapes."""
    device = next(model.parameters()).device
    coarse = shapes.coarse.to(device)
    right, right_attributes, attributes = 0, 0, 0
    for part in balanced(range(len(shapes)), 128):
        chosen = torch.tensor(part)
        grid, stored = coarse.batch(chosen)
        verdict = model(volumes_of(grid, unit(stored)))
        right += int((verdict.category.argmax(1).cpu() == shapes.category[chosen]).sum())
        for logits, label in zip(verdict.attributes, shapes.attributes[chosen].unbind(1), strict=True):
            right_attributes += int(((logits.argmax(1).cpu() == label) & (label >= 0)).sum())
            attributes += int((label >= 0).sum())
    return right / len(shapes), right_attributes / max(attributes, 1)


@dataclass(frozen=True)
class Sight:
    """What the classifier sees in a shape: probabilities of kinds, and the value of every (kind, attribute)."""

    kinds: dict[str, float]
    values: dict[tuple[str, str], str]

    @property
    def kind(self) -> str:
        """The likeliest kind."""
        return max(self.kinds, key=self.kinds.__getitem__)


@torch.no_grad()
def judge(model: ShapeClassifier, shape: Voxels) -> Sight:
    """What a shape that is not empty looks like; each attribute as it would be if the shape were of its kind."""
    device = next(model.parameters()).device
    grid = TorchGrid.from_ijk(torch.from_numpy(shape.ijk).int().to(device))
    verdict = model(volumes_of(grid, torch.from_numpy(shape.normal).to(device)))
    values = {
        (category, attribute): names[int(logits.argmax())]
        for (category, attribute, names), logits in zip(model.labels.columns, verdict.attributes, strict=True)
    }
    return Sight(dict(zip(model.labels.kinds, verdict.category.softmax(1)[0].tolist(), strict=True)), values)


def save_classifier(model: ShapeClassifier, path: Path) -> None:
    """Writes the weights as float16 safetensors."""
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file({name: value.half().cpu().contiguous() for name, value in model.state_dict().items()}, path)


def load_classifier(path: Path, device: torch.device, kinds: Sequence[str] = CATEGORIES) -> ShapeClassifier:
    """Reads what `save_classifier` wrote of a classifier of these kinds."""
    model = ShapeClassifier(labels_of(kinds))
    model.load_state_dict({name: value.float() for name, value in load_file(path).items()})
    return model.to(device).eval().requires_grad_(False)
