"""Captions in varied wording, and the sampling of shapes.

The two splits share nouns and attribute words, but no template: a held-out caption never occurs in training.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from training.shapes.registry import REGISTRY
from training.shapes.spec import CATEGORIES, ShapeSpec, Split

# {x} is the description, {a} the description with its article.
TEMPLATES: dict[Split, tuple[str, ...]] = {
    "train": (
        "{x}", "{a}", "{a}.", "the {x}", "one {x}", "3d {x}", "3d model of {a}", "a 3d model of {a}",
        "a voxel model of {a}",
        "a shape of {a}", "the shape of {a}", "a 3d shape, {x}", "a render of {a}", "a 3d rendering of {a}", "make {a}",
        "please make {a}",
        "generate {a}", "create {a}", "i want {a}", "i would like {a}", "show me {a}", "this is {a}", "there is {a}",
        "a photo of {a}",
        "an image of {a}", "a picture of {a}", "a simple {x}", "a low poly {x}", "a detailed {x}", "a toy {x}",
        "an object: {a}",
        "{a} on a white background", "{x} in 3d", "{x}, 3d object", "{a} made of voxels", "model of {a}",
    ),
    "heldout": (
        "please create {a}", "i want a 3d model of {a}", "the picture of {a} in 3d", "show me the shape of {a}",
        "generate a simple {x}",
        "a photo of one {x}", "make a voxel {x}", "there is {a} on a white background", "a detailed 3d model, {x}",
        "i would like a toy {x}",
        "this is a render of {a}", "a 3d object: {a}",
    ),
}  # fmt: skip

_SPLIT_SEED: dict[Split, int] = {"train": 0, "heldout": 1}
# How often a caption is the description alone, as most people type it.
_ALONE = 0.3
_DESCRIPTION = ("{x}", "{a}")
# How often a caption names 0, 1, 2 or 3 attributes.
_NAMED = (0.15, 0.4, 0.3, 0.15)


@dataclass(frozen=True)
class EvalPrompt:
    """A held-out prompt for a category; when it names an attribute, attribute_name and attribute_value say which."""

    category: str
    attribute_name: str | None
    attribute_value: str | None
    prompt: str
    seed: int


def sample(
    seed: int, category: str | None = None, split: Split = "train", kinds: Sequence[str] = CATEGORIES
) -> ShapeSpec:
    """The shape of a seed among `kinds`, the same on every machine; the splits share no shape.

    Raises KeyError for an unknown category.
    """
    rng = np.random.default_rng([seed, _SPLIT_SEED[split]])
    drawn = kinds[int(rng.integers(len(kinds)))]
    name = drawn if category is None else category
    attributes = {a: tuple(values)[int(rng.integers(len(values)))] for a, values in REGISTRY[name].attributes.items()}
    spec = ShapeSpec(name, attributes, int(rng.integers(2**62)), "")
    return ShapeSpec(spec.category, spec.attributes, spec.variation, caption(spec, rng, split))


def caption(spec: ShapeSpec, rng: np.random.Generator, split: Split = "train") -> str:
    """A new caption that names up to three of the shape's attributes, in random order and wording."""
    count = int(rng.choice(len(_NAMED), p=_NAMED))
    names = [str(name) for name in rng.permutation(list(spec.attributes))[:count]]
    return _word(spec.category, {name: spec.attributes[name] for name in names}, rng, split)


def evaluation_prompts(n_per_category: int, kinds: Sequence[str] = CATEGORIES) -> list[EvalPrompt]:
    """Held-out prompts, `n_per_category` for each category in order.

    One in four names no attribute; the others name one each and go through all values.
    """
    prompts = []
    for index, name in enumerate(kinds):
        rng = np.random.default_rng([index, 2])
        values = [(a, v) for a, wordings in REGISTRY[name].attributes.items() for v in wordings]
        order = rng.permutation(len(values))
        named = 0
        for n in range(n_per_category):
            attribute, value = (None, None) if n % 4 == 3 else values[order[named % len(values)]]
            named += attribute is not None
            chosen = {} if attribute is None or value is None else {attribute: value}
            prompts.append(EvalPrompt(name, attribute, value, _word(name, chosen, rng, "heldout"), 1000 * index + n))
    return prompts


def plain_prompt(kind: str) -> str:
    """What most people type first: the kind with its article, and no more."""
    return _with_article(kind)


def held_out_caption(noun: str, wordings: Sequence[str], rng: np.random.Generator) -> str:
    """A caption in a held-out template that calls a shape by a noun, with all of these wordings of its attributes."""
    adjectives = [w for w in wordings if not _is_phrase(w)]
    phrases = _join([w for w in wordings if _is_phrase(w)], rng)
    text = " ".join([*adjectives, noun, *phrases])
    return _pick(TEMPLATES["heldout"], rng).format(x=text, a=_with_article(text))


def _word(category: str, attributes: dict[str, str], rng: np.random.Generator, split: Split) -> str:
    entry = REGISTRY[category]
    words = [_pick(entry.attributes[name][value], rng) for name, value in attributes.items()]
    phrases = [w for w in words if _is_phrase(w)]
    # Some captions put an adjective behind the noun instead: "a chair that is tall".
    adjectives = [w for w in words if not _is_phrase(w)]
    behind = adjectives.pop() if adjectives and rng.random() < 0.15 else None
    text = " ".join([*adjectives, _pick(entry.nouns, rng), *_join(phrases, rng)])
    if behind is not None:
        text += f" that is {behind}" if not phrases or rng.random() < 0.5 else f", {behind}"
    alone = split == "train" and rng.random() < _ALONE
    return _pick(_DESCRIPTION if alone else TEMPLATES[split], rng).format(x=text, a=_with_article(text))


def _pick(options: tuple[str, ...], rng: np.random.Generator) -> str:
    return options[int(rng.integers(len(options)))]


def _is_phrase(words: str) -> bool:
    return words.split(" ")[0] in ("with", "without", "in", "on")


def _join(phrases: list[str], rng: np.random.Generator) -> list[str]:
    """The phrases as one list of things ("with a, b and c"), or none. Half the time a repeated "with" is left out."""
    if len(phrases) < 2:
        return phrases
    if rng.random() < 0.5 and all(p.startswith("with ") for p in phrases):
        phrases = [phrases[0], *(p.removeprefix("with ") for p in phrases[1:])]
    return [f"{', '.join(phrases[:-1])} and {phrases[-1]}"]


def _with_article(text: str) -> str:
    return f"{'an' if text[0] in 'aeiou' and not text.startswith('one-') else 'a'} {text}"
