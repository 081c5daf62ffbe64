from __future__ import annotations

import re
from pathlib import Path

from training.shapes.spec import CATEGORIES, EVERY_KIND, FAMILIES, MORE_FAMILIES, attribute_vocabulary

CARD = (Path(__file__).resolve().parents[2] / "docs/data-card.md").read_text()


def test_the_data_card_lists_the_kinds_and_families_that_there_are() -> None:
    rows = dict(re.findall(r"^\| (\w[\w ]*) \| ([\w ]+(?:, [\w ]+)+) \|$", CARD, re.MULTILINE))
    families = {family.__name__.rpartition(".")[2] for family in FAMILIES}
    more = {family.__name__.rpartition(".")[2].replace("_", " ") for family in MORE_FAMILIES}
    listed = {family: kinds.split(", ") for family, kinds in rows.items() if family in families | more}
    assert set(listed) == families | more
    assert sorted(kind for kinds in listed.values() for kind in kinds) == sorted(EVERY_KIND)
    assert sorted(kind for family in families for kind in listed[family]) == sorted(CATEGORIES)
    assert f"| kinds of shapes | {len(CATEGORIES)}, in {len(families)} families |" in CARD


def test_the_data_card_tells_how_many_attributes_there_are() -> None:
    vocabulary = attribute_vocabulary()
    assert {len(attributes) for attributes in vocabulary.values()} == {3, 4}
    assert min(len(values) for attributes in vocabulary.values() for values in attributes.values()) >= 2
