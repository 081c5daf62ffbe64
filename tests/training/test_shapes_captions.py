from __future__ import annotations

import re
from collections import Counter

import numpy as np
import pytest

from training.shapes import (
    CATEGORIES,
    EVERY_KIND,
    Split,
    attribute_vocabulary,
    caption,
    evaluation_prompts,
    plain_prompt,
    sample,
)
from training.shapes.captions import TEMPLATES
from training.shapes.registry import REGISTRY


def captions(split: Split, each: int) -> set[str]:
    """`each` captions of every category."""
    rng = np.random.default_rng(5)
    return {caption(sample(n, name, split), rng, split) for name in EVERY_KIND for n in range(each)}


def words(texts: set[str]) -> set[str]:
    return {word for text in texts for word in re.findall(r"[a-z0-9-]+", text)}


def test_held_out_captions_never_occur_in_training() -> None:
    assert not set(TEMPLATES["train"]) & set(TEMPLATES["heldout"])
    held_out = captions("heldout", 40) | {p.prompt for p in evaluation_prompts(20, EVERY_KIND)}
    assert len(held_out) > 1000
    assert not held_out & captions("train", 150)


def test_every_word_of_a_held_out_caption_is_known_from_training() -> None:
    assert words({p.prompt for p in evaluation_prompts(20, EVERY_KIND)} | captions("heldout", 40)) <= words(
        captions("train", 150)
    )


def test_captions_of_one_shape_vary() -> None:
    spec, rng = sample(1, "chair"), np.random.default_rng(0)
    assert len({caption(spec, rng) for _ in range(200)}) > 150


def test_captions_are_the_same_for_the_same_generator() -> None:
    spec = sample(1, "chair")
    assert caption(spec, np.random.default_rng(3)) == caption(spec, np.random.default_rng(3))


def test_a_caption_never_names_a_value_that_the_shape_lacks() -> None:
    rng = np.random.default_rng(1)
    for seed in range(300):
        spec = sample(seed)
        text = f" {caption(spec, rng)} "
        for attribute, values in REGISTRY[spec.category].attributes.items():
            true = values[spec.attributes[attribute]]
            for value, wordings in values.items():
                wrong = [w for w in wordings if value != spec.attributes[attribute] and len(w.split()) > 2]
                assert not [w for w in wrong if f" {w} " in text and w not in " ".join(true)], text


def test_the_wordings_of_an_attribute_tell_its_values_apart() -> None:
    for name, entry in REGISTRY.items():
        meanings = Counter(w for values in entry.attributes.values() for ws in values.values() for w in set(ws))
        assert [w for w, n in meanings.items() if n > 1] == [], name


def test_nouns_belong_to_one_category() -> None:
    nouns = Counter(noun for entry in REGISTRY.values() for noun in entry.nouns)
    assert [noun for noun, n in nouns.items() if n > 1] == []


def test_articles_agree_with_the_next_word() -> None:
    for text in captions("train", 60):
        for article, word in re.findall(r"\b(an?) ([a-z0-9-]+)", text):
            vowel = word[0] in "aeiou" and not word.startswith("one-")
            assert (article == "an") == vowel, text


def test_the_kinds_of_the_weights_stay_what_they_are_whatever_kinds_are_added() -> None:
    assert len(CATEGORIES) == 36
    assert set(CATEGORIES) < set(EVERY_KIND)
    assert evaluation_prompts(3) == [p for p in evaluation_prompts(3, CATEGORIES) if p.category in CATEGORIES]
    drawn = {sample(seed, kinds=EVERY_KIND).category for seed in range(1500)}
    assert drawn == set(EVERY_KIND)
    assert {sample(seed).category for seed in range(600)} == set(CATEGORIES)


def test_every_kind_is_often_called_by_its_plain_name_in_training() -> None:
    for kind in ("mug", "elephant"):
        rng = np.random.default_rng(0)
        texts = [caption(sample(n, kind), rng, "train") for n in range(800)]
        plain = sum(text in {kind, plain_prompt(kind)} for text in texts)
        assert 8 <= plain <= 40, "of a hundred one or more"


@pytest.mark.parametrize("each", [1, 10])
def test_evaluation_prompts_cover_every_category_and_repeat_exactly(each: int) -> None:
    prompts = evaluation_prompts(each)
    assert Counter(p.category for p in prompts) == {name: each for name in CATEGORIES}
    assert prompts == evaluation_prompts(each)
    assert len({p.seed for p in prompts}) == len(prompts)


def test_an_evaluation_prompt_names_the_attribute_it_says() -> None:
    vocabulary = attribute_vocabulary()
    prompts = evaluation_prompts(10)
    named = [p for p in prompts if p.attribute_name is not None]
    assert len(named) >= len(prompts) / 2
    for p in named:
        assert p.attribute_name is not None
        assert p.attribute_value is not None
        assert p.attribute_value in vocabulary[p.category][p.attribute_name]
        wordings = REGISTRY[p.category].attributes[p.attribute_name][p.attribute_value]
        assert any(w in p.prompt for w in wordings), p
        assert any(noun in p.prompt for noun in REGISTRY[p.category].nouns), p
