"""The models' side of the service in one process: slices, batches, limits, what is missing."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from api.messages import Slice
from api.sampler.engine import Engine
from models.cache import LRUCache
from models.errors import CheckpointError
from models.graphed import Graphed
from models.pipeline import NO_FINE_MODEL, Pipeline
from models.shape import Voxels
from models.stage import DiffusionStage
from models.stages import CoarseStage
from models.state import DiffusionState
from models.text import TextEncoder
from tests.support.engines import ORDER, finish, generate, loaded
from tests.support.saved_models import save_models

pytestmark = pytest.mark.usefixtures("store")


def test_slices_give_what_the_pipeline_gives(engine: Engine, tiny_models: Path) -> None:
    coarse, fine = generate(engine, ORDER)
    folders = [tiny_models / f"demo_{kind}" for kind in ("text", "coarse", "fine")]
    whole = Pipeline.from_dirs(*folders, device="cpu").generate("a chair", steps=6, seed=1)
    assert whole.fine is not None
    for sliced, direct in ((coarse, whole.coarse), (fine, whole.fine)):
        voxels = Voxels.from_bytes(sliced.voxels)
        assert (voxels.ijk == direct.ijk).all()
        assert (voxels.normal == direct.normal).all()
        assert voxels.voxel_size == direct.voxel_size


def test_the_batch_and_the_length_of_slices_change_no_bit(engine: Engine) -> None:
    alone = finish(engine, engine.begin(ORDER))
    others = [engine.begin(ORDER.model_copy(update={"seed": seed, "guidance_scale": 1.0})) for seed in (5, 6)]
    batch = [others[0], engine.begin(ORDER), others[1]]
    for _ in range(ORDER.ddim_steps):
        engine.times.forget()  # as long as nothing was measured a slice is one step
        batch = engine.denoise([Slice.after(progress) for progress in batch])
    assert [progress.step for progress in batch] == [6, 6, 6]
    assert batch[1].state == alone.state


def test_a_batch_may_hold_both_stages(engine: Engine) -> None:
    coarse, fine = generate(engine, ORDER)
    assert coarse.fine is not None
    mixed = engine.denoise([Slice.after(coarse.fine), Slice.after(engine.begin(ORDER))])
    assert [progress.stage for progress in mixed] == ["fine", "coarse"]
    again = finish(engine, mixed[0])
    assert engine.decode(again.state).voxels == fine.voxels


def test_one_bad_item_does_not_fail_the_others(engine: Engine) -> None:
    good, sick = engine.begin(ORDER), DiffusionState.from_bytes(engine.begin(ORDER).state)
    sick.x[0, 0] = float("nan")
    misfit = replace(sick, x=sick.x[:9])
    states = (good.state, b"nonsense", sick.to_bytes(), misfit.to_bytes(), good.state)
    outcomes = engine.denoise([Slice(state=state) for state in states])
    assert [outcome.code for outcome in outcomes] == [None, "unreadable_state", "not_finite", "unreadable_state", None]
    assert outcomes[0].state == outcomes[4].state
    assert engine.decode(misfit.to_bytes()).code == "unreadable_state"


def test_an_empty_shape_is_told_as_such(tmp_path: Path) -> None:
    save_models(tmp_path, keep=-9)
    engine = loaded(tmp_path)
    assert engine.decode(finish(engine, engine.begin(ORDER)).state, fine_steps=ORDER.ddim_steps).code == "empty_result"


def test_a_shape_with_too_many_voxels_is_refused(tiny_models: Path) -> None:
    engine = loaded(tiny_models, max_voxels=10)
    decoded = engine.decode(finish(engine, engine.begin(ORDER)).state, fine_steps=ORDER.ddim_steps)
    assert decoded.code == "too_many_voxels"
    assert decoded.fine is None


def test_a_fine_shape_with_too_many_voxels_is_refused_before_it_is_written(engine: Engine) -> None:
    coarse, fine = (len(Voxels.from_bytes(decoded.voxels)) for decoded in generate(engine, ORDER))
    assert coarse < fine
    engine.settings = engine.settings.model_copy(update={"max_voxels": coarse})
    decoded = generate(engine, ORDER)[1]
    assert (decoded.code, decoded.voxels) == ("too_many_voxels", b"")
    assert "fine shape" in decoded.error


def test_a_state_names_its_weights_and_means_nothing_to_others(engine: Engine, tmp_path: Path) -> None:
    begun = engine.begin(ORDER)
    state = DiffusionState.from_bytes(begun.state)
    assert [tag.split(":")[0] for tag in state.weights.split()] == ["xcube-text", "xcube-coarse", "xcube-fine"]
    assert loaded(engine.settings.checkpoint_dir).denoise([Slice.after(begun)])[0].code is None
    save_models(tmp_path / "other", keep=-0.2)
    (tmp_path / "models.yaml").write_text("coarse: other/demo_coarse\n")
    other = loaded(engine.settings.checkpoint_dir, config=tmp_path / "models.yaml")
    unnamed = replace(state, weights="").to_bytes()
    named = ORDER.model_copy(update={"weights": state.weights})
    assert engine.begin(named).state == begun.state
    for outcome in (
        other.begin(named),
        *other.denoise([Slice.after(begun), Slice(state=unnamed)]),
        other.decode(finish(engine, begun).state, fine_steps=ORDER.ddim_steps),
    ):
        assert outcome.code == "models_changed"
        assert "replaced" in outcome.error


def test_weights_outside_of_the_store_are_known_by_their_content(tiny_models: Path, tmp_path: Path) -> None:
    def tags(folder: str) -> str:
        file = tmp_path / f"{folder}.yaml"
        file.write_text(f"fine: {folder}/demo_fine\n")
        return loaded(tiny_models, config=file).models.tags

    for folder in ("first", "same"):
        shutil.copytree(tiny_models / "demo_fine", tmp_path / folder / "demo_fine")
    save_models(tmp_path / "other", seed=8)
    assert tags("first") == tags("same") != tags("other")


def test_warnings_say_what_is_missing_or_cut(engine: Engine) -> None:
    assert engine.begin(ORDER).warnings == ()
    engine.models._fine_folder = None
    assert "fine" in engine.begin(ORDER).warnings[0]
    assert engine.begin(ORDER.model_copy(update={"use_fine": False})).warnings == ()
    assert "77" in engine.begin(ORDER.model_copy(update={"prompt": "chair " * 99, "use_fine": False})).warnings[0]


def test_a_prompt_is_encoded_once_until_many_others_came(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    encoded: list[str] = []
    encode = TextEncoder.encode

    def counted(tower: TextEncoder, prompts: list[str]) -> object:
        encoded.extend(prompts)
        return encode(tower, prompts)

    monkeypatch.setattr(TextEncoder, "encode", counted)
    monkeypatch.setattr(engine.models, "_embeddings", LRUCache(2))
    first, again = (engine.begin(ORDER) for _ in range(2))
    assert first.state == again.state
    assert encoded == ["a chair"]
    for prompt in ("a boat", "a tree", "a chair"):
        engine.begin(ORDER.model_copy(update={"prompt": prompt}))
    assert encoded == ["a chair", "a boat", "a tree", "a chair"]


def test_without_models_the_status_says_what_to_do_and_work_is_refused(tmp_path: Path) -> None:
    engine = loaded(tmp_path, model="official")
    health = engine.status().health
    assert (health.status, health.model_loaded) == ("error", False)
    assert health.error is not None
    assert "objaverse_coarse" in health.error
    assert "XCUBE_CHECKPOINT_DIR" in health.error
    for outcome in (
        engine.begin(ORDER),
        *engine.denoise([Slice(state=b"")]),
        engine.decode(b""),
    ):
        assert outcome.code == "models_unavailable"
        assert outcome.error == health.error


def test_a_model_that_cannot_be_read_is_named_in_full_in_the_log_alone(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def unreadable() -> None:
        raise CheckpointError("/srv/models/xcube-fine/ab12/model.safetensors: not a readable safetensors file")

    coarse = finish(engine, engine.begin(ORDER))
    monkeypatch.setattr(engine.models, "fine", unreadable)
    outcome = engine.decode(coarse.state, fine_steps=ORDER.ddim_steps)
    assert outcome.error == "ab12/model.safetensors: not a readable safetensors file"
    assert "/srv/models/xcube-fine/ab12/model.safetensors" in caplog.text


def test_a_configuration_file_overrides_models_of_the_store(tiny_models: Path, tmp_path: Path) -> None:
    save_models(tmp_path / "other", keep=-9)
    file = tmp_path / "models.yaml"
    file.write_text("coarse: other/demo_coarse\nfine: null\n")
    engine = loaded(tiny_models, config=file)
    assert engine.begin(ORDER).warnings == (NO_FINE_MODEL,)
    assert engine.decode(finish(engine, engine.begin(ORDER)).state, fine_steps=ORDER.ddim_steps).code == "empty_result"


def test_warming_up_measures_the_step_time(engine: Engine) -> None:
    status = engine.status()
    assert (status.health.status, status.health.model_loaded, status.fine_model) == ("ready", True, True)
    assert 0 < status.step_seconds["coarse"] < 5


@pytest.mark.parametrize(("lost", "ends"), [(True, [70]), (False, [])])
def test_a_process_whose_gpu_is_lost_ends_and_any_other_fault_does_not_end_it(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, lost: bool, ends: list[int]
) -> None:
    exits: list[int] = []
    monkeypatch.setattr("api.sampler.engine.os._exit", exits.append)
    monkeypatch.setattr(engine.models, "lost", lambda: lost)
    state = engine.begin(ORDER).state

    def fault(*_: object) -> object:
        raise RuntimeError("CUDA error: an illegal memory access was encountered\nand more")

    monkeypatch.setattr(CoarseStage, "denoise", fault)
    assert engine.denoise([Slice(state=state)])[0].code == "internal"
    assert exits == ends


def test_where_samples_share_batches_every_size_of_them_and_the_fine_stage_run_before_ready(
    tiny_models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran = set()

    def noting(graphed: Graphed[Any], states: Sequence[DiffusionState], steps: int) -> list[DiffusionState]:
        ran.add((states[0].stage, sum(1 + (state.guidance_scale != 1.0) for state in states)))
        return advance(graphed, states, steps)

    def together(stage: DiffusionStage, *arguments: Any) -> None:
        make(stage, *arguments)
        stage.run_together()

    advance, make = Graphed.advance, DiffusionStage.__init__
    monkeypatch.setattr(Graphed, "advance", noting)
    monkeypatch.setattr(DiffusionStage, "__init__", together)
    loaded(tiny_models, max_running=4)
    assert ran == {("coarse", 1), ("coarse", 2), ("coarse", 4), ("coarse", 8), ("fine", 1)}
