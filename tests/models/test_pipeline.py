"""The pipeline as a notebook uses it: from an empty store to a shape, and what it refuses in plain words."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from bentoml._internal.configuration.containers import BentoMLContainer
from bentoml._internal.models import ModelStore

from models import CheckpointError, Pipeline, Shape, Voxels, pipeline, threads
from models.cores import default_threads
from models.joining import Box
from models.presets import PRESETS
from models.store import find
from tests.support.paths import DEMO


def use_store(root: Path) -> None:
    root.mkdir(parents=True)
    BentoMLContainer.model_store.set(ModelStore(root))


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pipeline]:
    """The demo models, from a store that was empty."""
    use_store(tmp_path_factory.mktemp("bentoml") / "models")
    yield Pipeline.from_store(device="cpu")
    BentoMLContainer.model_store.reset()


@pytest.fixture
def empty_store(tmp_path: Path) -> Iterator[None]:
    use_store(tmp_path / "empty" / "models")
    yield
    BentoMLContainer.model_store.reset()


def test_an_empty_store_gets_the_demo_models_of_the_checkout(demo: Pipeline) -> None:
    assert demo.fine is not None
    found = find("demo")
    assert None not in (found.text, found.coarse, found.fine)
    assert find("official").coarse is None


@pytest.mark.parametrize("chosen", [False, True])
@pytest.mark.parametrize("place", ["store", "folders"])
def test_work_is_divided_as_the_service_does_unless_somebody_has_chosen(
    demo: Pipeline, monkeypatch: pytest.MonkeyPatch, place: str, chosen: bool
) -> None:
    used: list[int] = []
    monkeypatch.setattr(threads, "_chosen", chosen)
    monkeypatch.setattr(threads, "use", used.append)
    if place == "store":
        Pipeline.from_store("demo", device="cpu")
    else:
        Pipeline.from_dirs(DEMO / "demo_text", DEMO / "demo_coarse", device="cpu")
    assert used == ([] if chosen else [min(default_threads(), torch.get_num_threads())])


def test_a_shape_has_arrays_of_the_types_that_are_documented(demo: Pipeline) -> None:
    calls: list[tuple[str, int, int]] = []
    mug = demo.generate("a mug", seed=1, steps=4, progress=lambda *call: calls.append(call))
    assert calls == [(stage, step, 4) for stage in ("coarse", "fine") for step in (1, 2, 3, 4)]
    assert mug.finest is mug.fine
    for voxels in (mug.coarse, mug.finest):
        assert voxels.ijk.dtype == np.int16
        assert voxels.normal.dtype == voxels.xyz.dtype == np.float32
        assert voxels.ijk.shape == voxels.normal.shape == voxels.xyz.shape == (len(voxels), 3)
        assert np.abs(voxels.xyz).max() < 0.5
        np.testing.assert_allclose(np.linalg.norm(voxels.normal, axis=1), 1, atol=1e-5)
    assert mug.coarse.voxel_size == 4 * mug.finest.voxel_size == 1 / 32
    assert mug.prompt == "a mug"


def test_a_seed_that_was_drawn_gives_the_shape_again(demo: Pipeline) -> None:
    first = demo.generate("a mug", steps=2, use_fine=False)
    again = demo.generate("a mug", steps=2, use_fine=False, seed=first.seed)
    assert 0 <= first.seed < 2**31
    np.testing.assert_array_equal(first.coarse.ijk, again.coarse.ijk)
    assert first.finest is first.coarse


def test_the_fine_stage_can_take_steps_of_its_own(demo: Pipeline) -> None:
    taken: list[tuple[str, int, int]] = []
    shape = demo.generate("a mug", seed=1, steps=3, fine_steps=2, progress=lambda *step: taken.append(step))
    assert taken == [("coarse", 1, 3), ("coarse", 2, 3), ("coarse", 3, 3), ("fine", 1, 2), ("fine", 2, 2)]
    same = demo.generate("a mug", seed=1, steps=3)
    np.testing.assert_array_equal(shape.coarse.ijk, same.coarse.ijk)
    assert shape.fine is not None


def test_a_preset_chooses_what_is_not_given(demo: Pipeline) -> None:
    draft = PRESETS["draft"]
    taken: list[tuple[str, int, int]] = []
    shape = demo.generate("a mug", seed=1, preset="draft", fine_steps=2, progress=lambda *step: taken.append(step))
    assert {(stage, steps) for stage, _, steps in taken} == {("coarse", draft.steps), ("fine", 2)}
    same = demo.generate("a mug", seed=1, steps=draft.steps, fine_steps=2, scheduler=draft.scheduler)
    np.testing.assert_array_equal(shape.coarse.ijk, same.coarse.ijk)


def test_variants_are_the_shapes_of_the_seeds_that_follow(demo: Pipeline) -> None:
    shapes = demo.variants("a mug", 2, seed=5, steps=2, use_fine=False)
    assert [shape.seed for shape in shapes] == [5, 6]
    alone = demo.generate("a mug", seed=6, steps=2, use_fine=False)
    np.testing.assert_array_equal(shapes[1].coarse.ijk, alone.coarse.ijk)


def test_what_is_out_of_range_is_refused_before_any_work(demo: Pipeline) -> None:
    for steps in (0, 1001):
        for wrong in ({"steps": steps}, {"fine_steps": steps}):
            with pytest.raises(ValueError, match="steps must be 1 to 1000"):
                demo.generate("a mug", **wrong)
    for interval in ((0.5, 0.2), (-0.1, 1.0), (0.0, 1.01), (float("nan"), 1.0)):
        with pytest.raises(ValueError, match="guidance_interval must be two numbers of 0 to 1, ascending"):
            demo.generate("a mug", guidance_interval=interval)
    with pytest.raises(ValueError, match="preset must be one of draft, standard, best, turbo, not 'fast'"):
        demo.generate("a mug", preset="fast")
    with pytest.raises(ValueError, match=r"scheduler must be one of ddim, dpm\+\+"):
        demo.generate("a mug", scheduler="euler")
    with pytest.raises(ValueError, match="model_set must be auto, demo, official or the name of a set"):
        Pipeline.from_store("De mos")
    with pytest.raises(CheckpointError, match="the model store has no demos text tower"):
        Pipeline.from_store("demos")


def test_missing_models_are_one_sentence_that_says_what_to_run(
    empty_store: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(CheckpointError, match=r"no official text tower.*scripts/import"):
        Pipeline.from_store("official")
    assert find("demo").coarse is None, "another set is not imported unasked"
    monkeypatch.setattr(pipeline, "DEMO_FOLDER", tmp_path / "nothing")
    with pytest.raises(CheckpointError, match=r"no demo text tower.*scripts/import") as caught:
        Pipeline.from_store()
    assert "\n" not in str(caught.value)


def test_without_a_fine_shape_the_finest_is_the_coarse_one() -> None:
    coarse = Voxels(np.zeros((1, 3), np.int16), np.array([[0, 1, 0]], np.float32), 1 / 32)
    assert Shape(coarse, None, seed=1).finest is coarse


def test_the_coarse_voxels_of_a_shape_are_refined_into_that_shape_again(demo: Pipeline) -> None:
    made = demo.generate("a mug", seed=1, steps=3)
    again = demo.refine(made.coarse, "a mug", seed=1, steps=3)
    assert made.fine is not None
    assert again.fine is not None
    assert again.coarse is made.coarse
    assert np.array_equal(again.fine.ijk, made.fine.ijk)
    assert np.array_equal(again.fine.normal, made.fine.normal)


def test_voxels_of_another_grid_are_not_refined(demo: Pipeline) -> None:
    outside = Voxels(np.full((1, 3), 16, np.int16), np.ones((1, 3), np.float32), 1 / 32)
    with pytest.raises(ValueError, match="outside of the grid, which is -16 to 15"):
        demo.refine(outside, "a mug")
    with pytest.raises(ValueError, match="no voxel"):
        demo.refine(Voxels(outside.ijk[:0], outside.normal[:0], 1 / 32), "a mug")
    with pytest.raises(ValueError, match="no fine model"):
        Pipeline(demo.text, demo.coarse).refine(outside, "a mug")


def test_a_variation_of_full_strength_is_the_shape_of_its_seed(demo: Pipeline) -> None:
    made = demo.generate("a mug", seed=1, steps=4)
    again = demo.vary(made, "a chair", strength=1.0, seed=2, steps=4)
    wanted = demo.generate("a chair", seed=2, steps=4)
    assert np.array_equal(again.finest.ijk, wanted.finest.ijk)
    assert np.array_equal(again.finest.normal, wanted.finest.normal)


def test_the_stronger_a_variation_the_less_is_left_of_the_shape(demo: Pipeline) -> None:
    made = demo.generate("a mug", seed=1, steps=20, use_fine=False)
    other = [demo.vary(made, "a mug", strength=s, seed=2, steps=20, use_fine=False) for s in (0.05, 0.5, 1)]
    shared = [_overlap(made, each) for each in other]
    assert shared[0] > 0.95
    assert shared[0] > shared[1] > shared[2]


def test_what_lies_outside_of_the_box_of_a_variation_stays(demo: Pipeline) -> None:
    made = demo.generate("a mug", seed=1, steps=20)
    box = Box((-0.5, 0.0, -0.5), (0.5, 0.5, 0.5))
    other = demo.vary(made, "a mug", strength=0.9, seed=2, steps=20, box=box)
    assert made.fine is not None
    assert other.fine is not None
    for old, new in ((made.coarse, other.coarse), (made.fine, other.fine)):
        was, there = ~box.holds(old.ijk, old.voxel_size), ~box.holds(new.ijk, new.voxel_size)
        assert np.array_equal(old.ijk[was], new.ijk[there])
        assert np.array_equal(old.normal[was], new.normal[there])
        assert not np.array_equal(old.ijk[~was], new.ijk[~there])


def _overlap(one: Shape, other: Shape) -> float:
    ours, theirs = (set(map(tuple, shape.coarse.ijk.tolist())) for shape in (one, other))
    return len(ours & theirs) / len(ours | theirs)


def test_a_given_shape_is_varied_little_or_in_a_box_alone(demo: Pipeline) -> None:
    made = demo.generate("a mug", seed=1, steps=20, use_fine=False)
    weak = demo.vary(made.coarse, "a mug", strength=0.01, seed=2, steps=100, use_fine=False)
    assert _overlap(made, weak) > 0.9
    assert demo.vary(weak, "a mug", strength=0.5, seed=3, steps=4, use_fine=False).latent
    box = Box((-0.5, 0.0, -0.5), (0.5, 0.5, 0.5))
    other = demo.vary(made.coarse, "a chair", strength=1.0, seed=2, steps=4, box=box)
    was, there = (~box.holds(each.coarse.ijk, 1 / 32) for each in (made, other))
    assert np.array_equal(made.coarse.ijk[was], other.coarse.ijk[there])
    assert np.array_equal(made.coarse.normal[was], other.coarse.normal[there])
    assert other.fine is not None


def test_a_prompt_that_the_models_do_not_know_is_told_of_shapes_made_of_others_too(demo: Pipeline) -> None:
    made = demo.generate("a mug", seed=1, steps=1, use_fine=False)
    for other in (
        demo.refine(made.coarse, "an armchair", seed=1, steps=1),
        demo.vary(made, "an armchair", strength=1.0, seed=1, steps=1),
    ):
        assert sum("nearest are" in warning for warning in other.warnings) == 1


def test_a_variation_of_nothing_or_of_no_strength_is_refused(demo: Pipeline) -> None:
    made = demo.generate("a mug", seed=1, steps=1, use_fine=False)
    with pytest.raises(ValueError, match="no voxel"):
        demo.vary(Voxels(made.coarse.ijk[:0], made.coarse.normal[:0], 1 / 32), "a mug")
    for strength in (0.0, 1.1, float("nan")):
        with pytest.raises(ValueError, match="strength must be above 0"):
            demo.vary(made, "a mug", strength=strength)
