"""Procedural and real shapes as one collection keep their voxels, captions and labels."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import torch

from models.config import may_be_kind
from training.dataset import Labels, Shapes
from training.meshes.source import MeshSource
from training.meshes.store import Item, TrainingSet
from training.mixing import MixedSource, first, joined, mirrored, with_own_names
from training.recipe import NEXT_SMOKE
from training.rows import Rows
from training.shapes import EVERY_KIND
from training.sources import ProceduralSource


def shapes(kinds: tuple[str, ...], columns: tuple[tuple[str, str, tuple[str, ...]], ...], captions: int) -> Shapes:
    """A shape of each kind, with `n + 1` voxels for shape n."""
    sizes = [n + 1 for n in range(len(kinds))]
    ijk = torch.cat([torch.tensor([[n, row, -3] for row in range(size)]) for n, size in enumerate(sizes)])
    rows = Rows(ijk.to(torch.int8), torch.full((len(ijk), 3), 5, dtype=torch.int8), torch.tensor([0, *sizes]).cumsum(0))
    return Shapes(
        torch.arange(len(kinds)), torch.zeros(len(kinds), len(columns), dtype=torch.int64),
        torch.arange(1, captions + 1).repeat(len(kinds), 1)[:, :, None].int(), rows, rows, Labels(kinds, columns),
    )  # fmt: skip


def test_kinds_of_the_same_name_are_one_and_missing_attributes_are_unknown() -> None:
    column = ("chair", "legs", ("thin", "thick"))
    both = joined([shapes(("chair", "car"), (column,), 2), shapes(("sofa", "chair"), (), 3)])
    assert both.labels == Labels(("chair", "car", "sofa"), (column,))
    assert both.category.tolist() == [0, 1, 2, 0]
    assert both.attributes.tolist() == [[0], [0], [-1], [-1]]
    assert both.tokens[:, :, 0].tolist() == [[1, 2, 1]] * 2 + [[1, 2, 3]] * 2
    assert both.coarse.sizes().tolist() == [1, 2, 1, 2]
    assert both.fine is not None
    assert len(both.fine) == 4


def test_a_kind_that_is_in_no_list_stays_so() -> None:
    unknown = shapes(("chair",), (), 1)
    part = Shapes(torch.tensor([-1]), unknown.attributes, unknown.tokens, unknown.coarse, None, unknown.labels)
    assert joined([part, part]).category.tolist() == [-1, -1]
    assert joined([part, unknown]).fine is None


def test_a_mirrored_shape_is_the_other_side_of_the_origin_in_order() -> None:
    made = shapes(("a", "b", "c"), (), 1)
    turned = mirrored(made)
    assert (turned.coarse.ijk[:, 0] == -1 - made.coarse.ijk[:, 0]).all()
    assert turned.coarse.values[:, 0].tolist() == [-5] * 6
    again = mirrored(turned)
    assert torch.equal(again.coarse.ijk, made.coarse.ijk)
    assert torch.equal(again.coarse.values, made.coarse.values)
    wide = Rows(torch.tensor([[-2, 0, 0], [1, 4, 0]], dtype=torch.int8), torch.zeros(2, 3), torch.tensor([0, 2]))
    lone = Shapes(made.category[:1], made.attributes[:1], made.tokens[:1], wide, None, made.labels)
    assert mirrored(lone).coarse.ijk.tolist() == [[-2, 4, 0], [1, 0, 0]]


def test_the_first_shapes_are_cut_with_all_that_belongs_to_them() -> None:
    cut = first(shapes(("a", "b", "c"), (), 2), 2)
    assert (len(cut), len(cut.coarse), len(cut.tokens)) == (2, 2, 2)


def test_a_plain_name_stays_with_procedural_shapes_and_real_ones_keep_names_of_their_own(tmp_path: Path) -> None:
    captions = {
        "office chair": ("office chair", "an office chair", "a tall office chair", "chair", "a tall chair", "Low seat"),
        "chair": ("chair", "a chair", "a wide seat"),
        "plate": ("plate", "a dish"),
    }
    items = tuple(
        Item(name, name, name, texts, "", "train", "s", row) for row, (name, texts) in enumerate(captions.items())
    )
    real = MeshSource(TrainingSet(tmp_path, "mine", 128, items))
    kept = with_own_names(real, {"chair": ("seat",), "bowl": ("dish",)})
    assert {item.kind: item.captions for item in kept.items} == {
        "office chair": ("office chair", "an office chair", "a tall office chair"), "plate": ("plate",),
    }  # fmt: skip
    assert [item.row for item in kept.items] == [0, 2]
    assert len(real.items) == 3


class _Real:
    """What MixedSource asks a set of meshes for its kinds."""

    def __init__(self) -> None:
        self.kinds = {
            "chair": ("seat", "lift"), "bookcase": ("shelf",), "toaster": ("roaster", "set"), "lone": (),
        }  # fmt: skip
        captions = ("seat", "chair lift", "shelf", "roaster", "toaster set")
        kinds = ["chair", "bookcase", "toaster"] * 4 + ["lone"]
        self.items = [SimpleNamespace(kind=kind, captions=captions) for kind in kinds]


def test_real_kinds_add_to_procedural_ones_and_no_noun_means_two_kinds(tmp_path) -> None:  # type: ignore[no-untyped-def]
    source = MixedSource(ProceduralSource(NEXT_SMOKE, tmp_path, 1, torch.device("cpu")), _Real())  # type: ignore[arg-type]
    kinds = source.kinds
    assert set(kinds) == {*EVERY_KIND, "toaster"}
    assert "seat" in kinds["chair"]
    assert kinds["toaster"] == ("roaster",)
    assert "lift" not in kinds["chair"]
    nouns = [noun for kind, others in kinds.items() for noun in (kind, *others)]
    assert len(nouns) == len(set(nouns))
    assert all(may_be_kind(noun) for noun in nouns)
