"""Training of the text tower: its states must tell what a caption says about the shape, whatever else it says.

A small tower has no image tower to learn from, so it learns from the shapes themselves: from the states of a caption,
linear heads predict category, attributes and which of 8³ cells the shape touches. The heads are then thrown away.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.config import TextConfig
from models.text import TextEncoder
from training.dataset import Labels, Shapes, choose_captions, pick
from training.engine import Budget, Losses, Trainer
from training.recipe import Recipe
from training.rows import AnyRows
from training.start import Start, fill
from training.tokens import END, START, insert_random_words, lengths

MOST_RANDOM_WORDS = 4
SHARE_WITH_RANDOM_WORDS = 0.5
SMALL_EMBEDDING = 0.005
CELLS = 8
"""Along each axis, of which captions tell whether they are touched."""


class TextProbe(nn.Module):
    """The tower with the heads that teach it."""

    def __init__(self, config: TextConfig, labels: Labels) -> None:
        super().__init__()
        self.encoder = TextEncoder(config)
        # Words that never occur keep their first embedding: a small one says little.
        nn.init.normal_(self.encoder.text.token_embedding.weight, std=SMALL_EMBEDDING)
        self.sizes = [len(values) for _, _, values in labels.columns]
        self.category = nn.Linear(2 * config.width, len(labels.kinds))
        self.attributes = nn.Linear(2 * config.width, sum(self.sizes)) if self.sizes else None
        self.cells = nn.Linear(2 * config.width, CELLS**3)

    def forward(self, tokens: Tensor) -> tuple[Tensor, list[Tensor], Tensor]:
        """tokens int64 [B, L] -> logits of category [B, K], of each attribute [B, values], of cells [B, 512]."""
        states, mask = embed(self.encoder, tokens)
        mean = states.sum(dim=1) / mask.sum(dim=1, keepdim=True)
        last = states[torch.arange(len(tokens), device=tokens.device), lengths(tokens) - 1]
        pooled = torch.cat((mean, last), dim=1)
        attributes = list(self.attributes(pooled).split(self.sizes, dim=1)) if self.attributes is not None else []
        return self.category(pooled), attributes, self.cells(pooled)


def embed(encoder: TextEncoder, tokens: Tensor) -> tuple[Tensor, Tensor]:
    """Tokens int64 [B, L], zeros after the end, to states [B, L, C], zero there too, and the mask bool [B, L]."""
    mask = torch.arange(tokens.shape[1], device=tokens.device) < lengths(tokens)[:, None]
    return encoder(tokens) * mask[:, :, None], mask


def drop_text(tokens: Tensor, share: float, generator: torch.Generator) -> Tensor:
    """Replaces a `share` of the captions by the empty prompt: int [B, L] -> the same shape."""
    empty = torch.zeros_like(tokens)
    empty[:, 0], empty[:, 1] = START, END
    dropped = torch.rand(len(tokens), 1, generator=generator, device=tokens.device) < share
    return torch.where(dropped, empty, tokens)


def train_text(
    recipe: Recipe, shapes: Shapes, start: Start, folder: Path, minutes: float | None, generator: torch.Generator
) -> TextEncoder:
    """Trains the tower, resuming from `folder`, and returns it frozen; one that is to be kept is only read."""
    device, plan = generator.device, recipe.text_plan
    if start.keep_text:
        return start.encoder().to(device)
    probe = TextProbe(recipe.text, shapes.labels).to(device)
    fill(probe.encoder, start.text)
    trainer = Trainer("text", probe, folder / "text.pt", Budget(plan.steps, minutes), plan.optimization, generator)
    tokens, category, attributes, cells = (
        value.to(device)
        for value in (
            shapes.tokens,
            shapes.category,
            shapes.attributes,
            occupied_cells(shapes.coarse, recipe.coarse_resolution),
        )
    )

    def losses(step: int) -> Losses:
        chosen = pick(len(shapes), plan.batch, torch.Generator().manual_seed(step)).to(device)
        captions = choose_captions(tokens, chosen, generator)
        noisy = insert_random_words(captions, MOST_RANDOM_WORDS, SHARE_WITH_RANDOM_WORDS, generator)
        of_category, of_attributes, of_cells = probe(noisy[:, : recipe.text.context_length])
        return {
            "category": functional.cross_entropy(of_category, category[chosen]),
            "attributes": attribute_loss(of_attributes, attributes[chosen]),
            "cells": functional.binary_cross_entropy_with_logits(of_cells, cells[chosen].float()),
        }

    average = trainer.run(losses)
    assert isinstance(average, TextProbe)
    return average.encoder.eval().requires_grad_(False)


def attribute_loss(logits: list[Tensor], labels: Tensor) -> Tensor:
    """Mean cross-entropy over the attributes that a shape has: labels int64 [B, A], -1 = not an attribute of it."""
    if not logits:
        return labels.new_zeros((), dtype=torch.float32)
    parts = [
        functional.cross_entropy(column, label, ignore_index=-1, reduction="sum")
        for column, label in zip(logits, labels.unbind(1), strict=True)
    ]
    total: Tensor = torch.stack(parts).sum() / (labels >= 0).sum().clamp(min=1)
    return total


def occupied_cells(coarse: AnyRows, resolution: int, size: int = 64) -> Tensor:
    """Which of the CELLS³ cells hold a voxel of a grid of `resolution`: bool [shapes, CELLS³], `size` shapes a time."""
    parts = []
    for chosen in torch.arange(len(coarse)).split(size):
        found = coarse.gather(chosen)
        cell = (found.ijk.long() + resolution // 2) // (resolution // CELLS)
        cells = torch.zeros(len(chosen), CELLS**3, dtype=torch.bool, device=cell.device)
        cells[found.owner, (cell[:, 0] * CELLS + cell[:, 1]) * CELLS + cell[:, 2]] = True
        parts.append(cells)
    return torch.cat(parts)
