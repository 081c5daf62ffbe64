"""Prompts whose words training never saw together, one way or another.

Each names a value of every attribute of its kind. One does so in words that no training caption of that kind holds all
at once; another has a colour that training never named as well, or its noun in the plural, another noun, or a mistake.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from training.evaluation.captions import TrainingCaption
from training.evaluation.jobs import Job
from training.shapes import attribute_vocabulary
from training.shapes.captions import held_out_caption
from training.shapes.registry import REGISTRY
from training.shapes.writing import COLOURS, misspelt, plural, with_plural

WAYS = ("attributes", "a colour", "a plural", "a synonym", "a mistake")
FIRST_SEED = 2_000_000
TRIES = 20


def composed_jobs(kinds: Sequence[str], captions: Sequence[TrainingCaption], rounds: int) -> list[Job]:
    """`rounds` prompts of each kind, with the ways in turn.

    Of some kinds training has seen all words together: where one way gives nothing new, the next is taken.
    """
    seen: dict[str, list[str]] = {kind: [] for kind in kinds}
    for caption in captions:
        seen[caption.kind].append(caption.text)
    jobs = []
    for turn in range(rounds):
        for index, kind in enumerate(kinds):
            rng = np.random.default_rng([index, turn, 4])
            first = (index + turn) % len(WAYS)
            for way in (*WAYS[first:], *WAYS[:first]):
                found = _unseen(kind, way, seen[kind], rng)
                if found is not None:
                    prompt, asked = found
                    seed = FIRST_SEED + 1000 * index + turn
                    jobs.append(Job("composed", prompt, seed, kind, asked, way=way))
                    break
    return jobs


def _unseen(
    kind: str, way: str, captions: Sequence[str], rng: np.random.Generator
) -> tuple[str, dict[str, str]] | None:
    """A prompt in this way that no caption holds all words of, and what it asks for; None if none was found."""
    entry = REGISTRY[kind]
    nouns = entry.nouns[1:] if way == "a synonym" else entry.nouns[:1]
    for _ in range(TRIES if nouns else 0):
        asked = {name: _pick(values, rng) for name, values in attribute_vocabulary((kind,))[kind].items()}
        wordings = [_pick(entry.attributes[name][value], rng) for name, value in asked.items()]
        noun = _pick(nouns, rng)
        named = _changed(noun, way, rng)
        if not seen_together((named, *wordings), captions):
            if way == "a plural":
                return with_plural(held_out_caption(noun, wordings, rng), kind), asked
            return held_out_caption(named, wordings, rng), asked
    return None


def seen_together(words: Sequence[str], captions: Sequence[str]) -> bool:
    """Whether one caption holds all of these wordings; what stands in a list has no "with" of its own there."""
    bare = [word.removeprefix("with ") for word in words]
    return any(all(word in caption for word in bare) for caption in captions)


def _changed(noun: str, way: str, rng: np.random.Generator) -> str:
    if way == "a colour":
        return f"{_pick(COLOURS['heldout'], rng)} {noun}"
    if way == "a plural":
        return plural(noun)
    return misspelt(noun, rng) if way == "a mistake" else noun


def _pick(options: Sequence[str], rng: np.random.Generator) -> str:
    return options[int(rng.integers(len(options)))]
