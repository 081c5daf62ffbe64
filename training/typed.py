"""Evaluation prompts as people type them, one a kind: a plural, a word about colour or material, or a mistake."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from training.shapes import EvalPrompt, evaluation_prompts
from training.shapes.writing import with_colour, with_mistake, with_plural

FIRST_SEED = 2_000_000


def typed_prompts(kinds: Sequence[str]) -> list[EvalPrompt]:
    """A held-out prompt of each kind in one of the three ways in turn; its words about colour are in no training."""
    prompts = []
    for index, prompt in enumerate(evaluation_prompts(1, kinds)):
        rng = np.random.default_rng([index, 3])
        ways = (
            with_plural(prompt.prompt, prompt.category),
            with_colour(prompt.prompt, prompt.category, rng, "heldout"),
            with_mistake(prompt.prompt, prompt.category, rng),
        )
        prompts.append(replace(prompt, prompt=ways[index % len(ways)], seed=FIRST_SEED + index))
    return prompts
