"""Captions as people type them still name the same kind."""

from __future__ import annotations

import numpy as np
import pytest

from training.shapes import EVERY_KIND, sample
from training.shapes.registry import REGISTRY
from training.shapes.writing import COLOURS, as_written, misspelt, plural, with_colour, with_mistake, with_plural


@pytest.mark.parametrize(
    ("noun", "many"),
    [("chair", "chairs"), ("bus", "buses"), ("box", "boxes"), ("bench", "benches"), ("daisy", "daisies"),
     ("key", "keys"), ("snowman", "snowmen"), ("fish", "fishes"), ("knife", "knives")],
)  # fmt: skip
def test_plurals_are_those_of_english(noun: str, many: str) -> None:
    assert plural(noun) == many


def test_a_plural_has_no_article() -> None:
    assert with_plural("a photo of a tall chair with arms", "chair") == "a photo of tall chairs with arms"
    assert with_plural("generate an elephant", "elephant") == "generate elephants"


def test_a_colour_stands_before_the_noun_and_agrees_with_the_article() -> None:
    rng = np.random.default_rng(0)
    for _ in range(50):
        text = with_colour("make a chair", "chair", rng, "train")
        article, *words = text.removeprefix("make ").removesuffix(" chair").split(" ", 1)
        assert words[0] in COLOURS["train"]
        assert (article == "an") == (words[0][0] in "aeiou")


def test_a_mistake_leaves_all_but_a_letter() -> None:
    rng = np.random.default_rng(0)
    for noun in ("chair", "wine bottle", "elephant"):
        for _ in range(40):
            wrong = misspelt(noun, rng)
            assert abs(len(wrong) - len(noun)) <= 1
            assert wrong[0] == noun[0]
            assert sum(letter in noun for letter in wrong) == len(wrong)
    assert misspelt("cup", rng) == "cup"
    assert with_mistake("a tall chair", "chair", rng).startswith("a tall c")


def test_held_out_captions_stay_and_most_training_captions_do() -> None:
    rng = np.random.default_rng(1)
    specs = [sample(seed, kinds=EVERY_KIND) for seed in range(400)]
    assert all(as_written(s.caption, s.category, rng, "heldout") == s.caption for s in specs)
    changed = [as_written(s.caption, s.category, rng, "train") != s.caption for s in specs]
    assert 0.15 < np.mean(changed) < 0.5


def test_colours_of_evaluation_do_not_occur_in_training() -> None:
    assert not set(COLOURS["train"]) & set(COLOURS["heldout"])
    wordings = {w for c in REGISTRY.values() for values in c.attributes.values() for ws in values.values() for w in ws}
    # A colour or a material must not mean anything about a shape.
    assert not {w for words in COLOURS.values() for w in words} & (wordings - {"old", "modern"})
