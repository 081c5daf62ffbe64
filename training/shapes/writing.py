"""Captions as people type them: plurals, colours, misspellings. A shape has none of these, so they must not matter."""

from __future__ import annotations

import re

import numpy as np

from training.shapes.registry import REGISTRY
from training.shapes.spec import Split

PLURAL, COLOURED, MISSPELT = 0.08, 0.15, 0.1
"""Shares of captions with one of each."""
COLOURS: dict[Split, tuple[str, ...]] = {
    "train": (
        "red", "blue", "green", "yellow", "black", "white", "brown", "grey", "pink", "wooden", "metal", "old", "modern",
        "beautiful", "nice", "shiny", "dark blue", "light green", "plastic", "colourful",
    ),
    "heldout": ("orange", "purple", "golden", "silver", "stone", "new", "pretty", "dark red"),
}  # fmt: skip
"""Words about what voxels do not show."""
_ARTICLES = re.compile(r"\b(a|an|the|one) $")


def plural(noun: str) -> str:
    """The plural of a noun, regular as nearly all are."""
    if noun.endswith(("s", "x", "z", "ch", "sh")):
        return noun + "es"
    if noun.endswith("y") and noun[-2:-1] not in "aeiou":
        return noun[:-1] + "ies"
    if noun.endswith("fe"):
        return noun[:-2] + "ves"
    if noun.endswith("man"):
        return noun[:-2] + "en"
    if noun in ("fish", "scissors"):
        return noun
    return noun + "s"


def misspelt(noun: str, rng: np.random.Generator) -> str:
    """A noun with one mistake of typing: two letters swapped, one missing, or one twice; short ones stay."""
    if len(noun) < 4:
        return noun
    at = int(rng.integers(1, len(noun) - 1))
    before, letter, after = noun[:at], noun[at], noun[at + 1 :]
    choice = int(rng.integers(3))
    if choice == 0:
        return before + after[0] + letter + after[1:]
    return before + after if choice == 1 else before + letter * 2 + after


def as_written(text: str, category: str, rng: np.random.Generator, split: Split) -> str:
    """A caption of a shape as somebody may type it; held-out captions stay as they are.

    Args:
        text: The caption.
        category: The kind of shape, by one of whose nouns the caption calls it.
        rng: Where chance comes from.
        split: `train` or `heldout`.
    """
    chances = rng.random(3)
    if split == "heldout":
        return text
    if chances[0] < PLURAL:
        text = with_plural(text, category)
    if chances[1] < COLOURED:
        text = with_colour(text, category, rng, split)
    if chances[2] < MISSPELT:
        text = with_mistake(text, category, rng)
    return text


def with_plural(text: str, category: str) -> str:
    """The caption with its noun in the plural, and without the article."""
    found = _noun(text, category)
    if found is None:
        return text
    head, noun, tail = found
    # The article of the noun is the last one before it.
    return re.sub(r"^(.*)\b(?:an?|one) ", r"\1", head) + plural(noun) + tail.replace(" that is ", " that are ")


def with_colour(text: str, category: str, rng: np.random.Generator, split: Split) -> str:
    """The caption with a word before its noun that tells nothing about the shape."""
    found = _noun(text, category)
    if found is None:
        return text
    head, noun, tail = found
    words = COLOURS[split]
    word = words[int(rng.integers(len(words)))]
    article = _ARTICLES.search(head)
    if article is not None and article[1] in ("a", "an"):
        head = head[: article.start()] + ("an " if word[0] in "aeiou" else "a ")
    return f"{head}{word} {noun}{tail}"


def with_mistake(text: str, category: str, rng: np.random.Generator) -> str:
    """The caption with its noun misspelt."""
    found = _noun(text, category)
    return text if found is None else found[0] + misspelt(found[1], rng) + found[2]


def _noun(text: str, category: str) -> tuple[str, str, str] | None:
    """What comes before the noun of a caption, the noun, and what comes after it."""
    for noun in sorted(REGISTRY[category].nouns, key=len, reverse=True):
        match = re.search(rf"\b{re.escape(noun)}\b", text)
        if match is not None:
            return text[: match.start()], noun, text[match.end() :]
    return None
