"""Prompts of an evaluation hold words that training never saw together, and say what must be recognised."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from training.dataset import _write_shard
from training.evaluation.captions import Search, TrainingCaption, recipe_of, training_captions
from training.evaluation.compositions import WAYS, composed_jobs, seen_together
from training.recipe import DEMO, NEXT
from training.shapes import CATEGORIES, EVERY_KIND, attribute_vocabulary
from training.shapes.registry import REGISTRY
from training.shapes.writing import COLOURS
from training.tokens import CaptionTokenizer

SMALL = replace(DEMO, shapes=300, captions=8)


def captions(*texts: str, kind: str = "chair") -> list[TrainingCaption]:
    return [TrainingCaption(number, kind, text) for number, text in enumerate(texts)]


def test_captions_that_are_drawn_again_are_those_of_the_training_data(tmp_path: Path) -> None:
    _write_shard(tmp_path, "train", range(2), 8, "cpu", CATEGORIES)
    (file,) = tmp_path.iterdir()
    drawn = training_captions(replace(SMALL, shapes=2), tmp_path)
    assert [caption.number for caption in drawn] == [0] * 8 + [1] * 8
    texts = [[caption.text for caption in drawn if caption.number == number] for number in (0, 1)]
    assert torch.equal(torch.load(file, weights_only=True)["tokens"], CaptionTokenizer().encode_all(texts))


def test_kept_captions_are_those_that_were_drawn(tmp_path: Path) -> None:
    assert training_captions(replace(SMALL, shapes=20), tmp_path) == training_captions(
        replace(SMALL, shapes=20), tmp_path
    )
    assert len(list(tmp_path.iterdir())) == 1


def test_the_recipe_is_that_of_the_kinds() -> None:
    assert recipe_of(CATEGORIES) == DEMO
    assert recipe_of(EVERY_KIND) == NEXT
    assert recipe_of(["mug"]).kinds == ("mug",)


def test_every_kind_gets_a_prompt_with_all_its_attributes_that_no_caption_holds(tmp_path: Path) -> None:
    drawn = training_captions(SMALL, tmp_path)
    jobs = composed_jobs(CATEGORIES, drawn, rounds=2)
    assert [job.kind for job in jobs] == [*CATEGORIES] * 2
    assert {job.way for job in jobs} == set(WAYS)
    assert len({job.seed for job in jobs}) == len(jobs)
    known = {caption.text for caption in drawn}
    for job in jobs:
        assert set(job.asked) == set(attribute_vocabulary([job.kind])[job.kind])
        assert job.prompt not in known
        entry = REGISTRY[job.kind]
        for name, value in job.asked.items():
            assert any(word.removeprefix("with ") in job.prompt for word in entry.attributes[name][value])
        if job.way == "a colour":
            assert any(colour in job.prompt for colour in COLOURS["heldout"])
        if job.way == "a synonym":
            assert any(noun in job.prompt for noun in entry.nouns[1:])
    assert jobs == composed_jobs(CATEGORIES, drawn, rounds=2)


def test_where_training_has_seen_all_words_together_the_next_way_is_taken() -> None:
    words = [word for values in REGISTRY["mug"].attributes.values() for ws in values.values() for word in ws]
    everything = " ".join([*words, *REGISTRY["mug"].nouns])
    (free,) = composed_jobs(["mug"], [], rounds=1)
    (taken,) = composed_jobs(["mug"], captions(everything, kind="mug"), rounds=1)
    assert (free.way, taken.way) == ("attributes", "a colour")


@pytest.mark.parametrize(
    ("words", "seen"),
    [(("chair", "tall", "with arms"), True), (("chair", "tall", "with thin legs"), True),
     (("chair", "short", "with arms"), False), (("stool", "tall"), False)],
)  # fmt: skip
def test_words_are_seen_together_only_in_one_caption(words: tuple[str, ...], seen: bool) -> None:
    some = [caption.text for caption in captions("a tall chair with arms and thin legs", "a short stool")]
    assert seen_together(words, some) == seen


def test_the_nearest_caption_shares_the_rare_words() -> None:
    search = Search(captions("a chair", "a chair with arms", "a tall chair", "a table", "a table with arms"))
    assert search.nearest("a tall chair").text == "a tall chair"
    # "a" is in all captions and tells nothing; "tall" is in one.
    assert search.nearest("a tall table").text == "a tall chair"
    assert search.nearest("tables and nothing known").text == "a chair"
