"""Prompts that the demo's text tower was trained on are known, and all others are told."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import pytest
import torch

from models.config import from_dict, load_config, may_be_kind, to_dict
from models.errors import ConfigError
from models.kinds import BLANK, UNKNOWN, nearest_in
from models.loading import load_text
from models.recognition import NEAREST, Recogniser
from models.text import TextEncoder, tokenize
from tests.support.paths import ROOT
from tests.support.saved_models import TEXT
from training.shapes import CATEGORIES, attribute_vocabulary, evaluation_prompts, names_of_kinds, sample
from training.shapes.registry import REGISTRY

DEMO = ROOT / "checkpoints" / "demo_text"
UNKNOWN_PROMPTS = [
    "椅子", "🪑", "🚗🚗", "xyzzy qwfp", "asdfgh", "a guitar", "an elephant", "a bicycle", "a cat", "a dragon",
    "a robot", "sword", "banana", "the", "...", "!!!", "12345", "please make", "something tall with thin legs",
    "стул", "κάρεκλα", "كرسي", "ein Stuhl", "une chaise", "kursi", "carpet", "\u200b", "a 3d model of a phone",
]  # fmt: skip


@pytest.fixture(scope="module")
def demo() -> Recogniser:
    torch.set_num_threads(1)
    return Recogniser(load_text(DEMO))


def test_the_demo_s_file_lists_what_it_was_trained_on() -> None:
    assert load_config(DEMO / "config.yaml").kinds == names_of_kinds()  # type: ignore[union-attr]


def test_no_prompt_of_the_evaluation_and_none_of_the_training_is_warned_of(demo: Recogniser) -> None:
    asked = [(prompt.category, prompt.prompt) for prompt in evaluation_prompts(40)]
    asked += [(made.category, made.caption) for made in map(sample, range(2000))]
    for category, prompt in asked:
        found = demo.recognise(prompt)
        assert found.known, prompt
        assert category in found.kinds, prompt
        assert not found.warnings


def test_every_kind_with_every_attribute_is_known_under_each_of_its_names(demo: Recogniser) -> None:
    for kind, attributes in attribute_vocabulary().items():
        wordings = [word for name in attributes for words in REGISTRY[kind].attributes[name].values() for word in words]
        for noun, wording in product(REGISTRY[kind].nouns, wordings):
            assert kind in demo.recognise(f"A {wording} {noun.upper()}, {wording}!").kinds


@pytest.mark.parametrize("prompt", UNKNOWN_PROMPTS)
def test_what_no_caption_named_is_told_with_the_nearest_kinds(demo: Recogniser, prompt: str) -> None:
    found = demo.recognise(prompt)
    assert found.known is False
    assert found.kinds == ()
    (warning,) = found.warnings
    assert warning.startswith(UNKNOWN)
    assert warning.isascii()
    assert nearest_in(["something else", *found.warnings]) == found.nearest
    assert len(found.nearest) == NEAREST
    assert set(found.nearest) <= set(CATEGORIES)


@pytest.mark.parametrize(
    ("prompt", "nearest"),
    [("chairs", "chair"), ("an armchair", "chair"), ("a chiar", "chair"), ("airplanes", "airplane")],
)
def test_what_is_spelled_alike_is_the_nearest(demo: Recogniser, prompt: str, nearest: str) -> None:
    assert demo.recognise(prompt).nearest == (nearest,)


@pytest.mark.parametrize("prompt", ["chairs", "Two CHAIRS with thin legs", "please make wooden chairs"])
def test_another_spelling_that_the_tower_reads_as_a_name_is_known(prompt: str) -> None:
    encoder = load_text(DEMO)
    (plural, name) = (tokenize(word, 77)[0][1] for word in ("chairs", "chair"))
    assert Recogniser(encoder).recognise(prompt).nearest == ("chair",)
    words = encoder.text.token_embedding.weight
    with torch.no_grad():
        words[plural] = words[name]
    assert Recogniser(encoder).recognise(prompt).kinds == ("chair",)


@pytest.mark.parametrize("prompt", ["a clamp", "a birdcage", "a chain", "a tablet", "a boot", "a planet", "stable"])
def test_another_word_of_nearly_the_same_letters_is_not_known(demo: Recogniser, prompt: str) -> None:
    assert demo.recognise(prompt).known is False


@pytest.mark.parametrize("prompt", ["&nbsp;", "&#32;", "\u3000 &nbsp;"])
def test_a_blank_that_is_only_blank_once_cleaned_is_told(demo: Recogniser, prompt: str) -> None:
    assert demo.recognise(prompt).warnings == (BLANK,)


def test_a_kind_that_stands_where_the_prompt_is_cut_is_not_known(demo: Recogniser) -> None:
    assert demo.recognise("very " * 60 + "tall chair").known
    assert demo.recognise("very " * 90 + "tall chair").known is False


def test_of_models_that_list_no_kinds_only_blanks_are_known() -> None:
    torch.manual_seed(0)
    unlisted = Recogniser(TextEncoder(TEXT))
    assert unlisted.recognise("椅子").known is None
    assert unlisted.recognise("a guitar").warnings == ()
    assert unlisted.recognise("&nbsp;").warnings == (BLANK,)


def test_the_kinds_of_a_configuration_come_back() -> None:
    config = replace(TEXT, kinds={"wine glass": ("goblet",), "cube": ()})
    assert from_dict(to_dict(config)) == config


@pytest.mark.parametrize(
    "kinds", [["chair"], {"chair": "seat"}, {"a, b": []}, {"a\nb": []}, {"🪑": []}, {"chair": [1]}]
)
def test_kinds_that_no_list_in_a_header_could_name_are_refused(kinds: object) -> None:
    with pytest.raises(ConfigError, match="kinds"):
        from_dict(to_dict(TEXT) | {"kinds": kinds})


OTHER_SCRIPTS = {"椅子": ("안락의자",), "стул": (), "कुर्सी": (), "เก้าอี้": ()}


@pytest.mark.parametrize(
    ("prompt", "kind"),
    [
        ("椅子", "椅子"), ("一把红色的椅子，有扶手", "椅子"), ("큰 안락의자를", "椅子"), ("ein Stuhl: 椅子!", "椅子"),
        ("Красный СТУЛ", "стул"), ("लाल कुर्सी", "कुर्सी"), ("ขอเก้าอี้แดง", "เก้าอี้"),
    ],
)  # fmt: skip
def test_a_kind_of_any_script_is_known_also_where_nothing_stands_between_words(prompt: str, kind: str) -> None:
    torch.manual_seed(0)
    knowing = Recogniser(TextEncoder(replace(TEXT, kinds=OTHER_SCRIPTS)).eval())
    assert knowing.recognise(prompt).kinds == (kind,)
    assert knowing.recognise("一张桌子").known is False
    assert knowing.recognise("стулья").known is False


def test_what_the_tower_does_not_get_to_see_of_a_prompt_is_not_known() -> None:
    torch.manual_seed(0)
    knowing = Recogniser(TextEncoder(replace(TEXT, kinds=OTHER_SCRIPTS)).eval())
    assert knowing.recognise("桌" * 200 + "椅子").known is False


@pytest.mark.parametrize(
    ("name", "fits"),
    [
        ("椅子", True), ("कुर्सी", True), ("bar-stool", True), ("coffee table 2", True), ("l'été", True),
        ("", False), (" x", False), ("a,b", False), ("a\nb", False), ("a" * 65, False), ("<b>", False), ("🪑", False),
    ],
)  # fmt: skip
def test_a_kind_may_be_in_any_script_and_holds_no_comma(name: str, fits: bool) -> None:
    assert may_be_kind(name) is fits
