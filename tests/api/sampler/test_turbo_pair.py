"""An engine with a turbo pair: both networks in one service, each sample as it is alone, and what is told of a pair."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file

from api.given import Given, Variation
from api.messages import Order, Slice
from api.sampler.engine import Engine
from api.sampler.warm_up import WarmUp
from api.schemas import GenerateRequest
from models.pipeline import Pipeline
from models.shape import Voxels
from tests.support.engines import finish, generate, loaded
from tests.support.saved_models import save_models

pytestmark = pytest.mark.usefixtures("store")
TURBO = Order.of(GenerateRequest(prompt="a chair", preset="turbo"), 1)
SAME_STEPS = Order(prompt="a chair", ddim_steps=4, guidance_scale=1.0, seed=1)


@pytest.fixture(scope="module")
def engine(turbo_models: Path, store: Path) -> Engine:
    return loaded(turbo_models)


def test_a_turbo_shape_is_that_of_the_pipeline_and_another_than_its_teachers(engine: Engine) -> None:
    coarse, fine = generate(engine, TURBO)
    made = Pipeline.from_store("demo", device="cpu").generate("a chair", seed=1, preset="turbo")
    assert coarse.voxels == made.coarse.to_bytes()
    assert made.fine is not None
    assert fine.voxels == made.fine.to_bytes()
    own_coarse, own_fine = generate(engine, SAME_STEPS)
    assert own_coarse.voxels != coarse.voxels
    assert own_fine.voxels != fine.voxels
    times = engine.status().step_seconds
    assert {"coarse", "fine", "turbo_coarse", "turbo_fine"} <= times.keys()


def test_samples_of_both_networks_in_one_call_are_as_alone_and_share_no_batch(engine: Engine) -> None:
    orders = [TURBO, SAME_STEPS, TURBO.model_copy(update={"seed": 2}), Order(prompt="a box", ddim_steps=5, seed=3)]
    alone = [finish(engine, engine.begin(order)).state for order in orders]
    together = [engine.begin(order) for order in orders]
    assert len({each.batch_key for each in together}) == 2
    assert together[0].batch_key == together[2].batch_key
    while not all(each.done for each in together):
        going = [index for index, each in enumerate(together) if not each.done]
        for index, after in zip(going, engine.denoise([Slice.after(together[index]) for index in going]), strict=True):
            after.check()
            together[index] = after
    assert [each.state for each in together] == alone


def test_a_shape_is_refined_and_varied_by_students_too(engine: Engine) -> None:
    coarse, fine = generate(engine, TURBO)
    again = TURBO.model_copy(update={"given": Given(coarse=coarse.voxels)})
    assert engine.decode(finish(engine, engine.begin(again)).state).voxels == fine.voxels
    own_latent = finish(engine, engine.begin(SAME_STEPS)).state
    varied = TURBO.model_copy(update={"variation": Variation(latent=own_latent, strength=0.5), "seed": 5})
    begun = engine.begin(varied)
    assert (begun.network, begun.step, begun.steps) == ("turbo", 2, 4)
    finished = engine.decode(finish(engine, begun).state)
    assert len(Voxels.from_bytes(finished.voxels))
    preview = engine.decode(engine.denoise([Slice.after(engine.begin(TURBO))])[0].state)
    assert len(Voxels.from_bytes(preview.voxels))


def test_a_pair_that_had_to_make_room_comes_back_with_the_same_bits(engine: Engine) -> None:
    before = [each.voxels for each in generate(engine, TURBO)]
    for needed in ("coarse", "turbo_fine", "fine"):
        engine.models.unload_idle(needed)
        assert [each.voxels for each in generate(engine, TURBO)] == before


def test_where_steps_are_recorded_those_of_students_are_before_anybody_asks(turbo_models: Path, tmp_path: Path) -> None:
    """As on a GPU; each network records for itself, in batches of every size that a service makes."""
    engine = loaded(turbo_models, max_running=4)
    own = engine.models.coarse()
    own.run_together()
    fine = engine.models.fine()
    assert fine is not None
    fine.run_together()
    WarmUp(engine).run()
    student = engine.models.stage("coarse", "turbo")
    assert student is not None
    recorded = [len(stage.graphed[0].slots) for stage in (own, student)]
    assert recorded == [4, 3]  # of 1, 2, 4 and 8 rows, and of 1, 2 and 4 without guidance
    assert {"turbo_coarse", "turbo_fine"} <= engine.status().step_seconds.keys()
    begun = [engine.begin(order) for order in (TURBO, SAME_STEPS, TURBO.model_copy(update={"seed": 2}))]
    for after in engine.denoise([Slice.after(each) for each in begun]):
        after.check()
    assert [len(stage.graphed[0].slots) for stage in (own, student)] == recorded


def test_who_has_a_pair_says_so_and_who_has_none_refuses_in_a_sentence(engine: Engine, tmp_path: Path) -> None:
    status = engine.status()
    assert status.health.presets == ["draft", "standard", "best", "turbo"]
    assert {name for name, model in status.models.items() if model.usable} >= {"turbo_coarse", "turbo_fine"}
    assert "xcube-turbo_coarse:" in status.weights
    save_models(tmp_path / "plain", seed=11)
    without = loaded(tmp_path / "plain", config=_own(tmp_path / "plain"))
    assert without.status().health.presets == ["draft", "standard", "best"]
    refused = without.begin(TURBO)
    assert refused.code == "invalid_request"
    assert refused.error.startswith("preset turbo needs a turbo pair, which these models do not have")


@pytest.mark.parametrize("kind", ["turbo_coarse", "turbo_fine"])
def test_a_broken_student_is_told_at_the_start_and_the_own_networks_serve_on(
    turbo_models: Path, tmp_path: Path, kind: str
) -> None:
    own = tmp_path / "own"
    shutil.copytree(turbo_models, own)
    weights = load_file(own / f"demo_{kind}" / "model.safetensors")
    weights[next(iter(sorted(weights)))].view(-1)[0] = float("nan")
    save_file(weights, own / f"demo_{kind}" / "model.safetensors")
    engine = loaded(turbo_models, config=_own(own))
    status = engine.status()
    assert status.health.status == "ready"
    assert status.health.presets == ["draft", "standard", "best"]
    told = f"The turbo pair cannot be used, so ask for another preset until it is repaired: demo_{kind}/model.safeten"
    assert told in str(status.health.error)
    refused = engine.begin(TURBO)
    assert (refused.code, refused.error) == ("models_unavailable", status.turbo_fault)
    engine.begin(SAME_STEPS).check()


def test_half_a_pair_is_told_and_students_of_other_models_are_left_out(turbo_models: Path, tmp_path: Path) -> None:
    own = tmp_path / "own"
    shutil.copytree(turbo_models, own)
    shutil.rmtree(own / "demo_turbo_fine")
    assert "there is no turbo_fine model" in loaded(turbo_models, config=_own(own)).status().turbo_fault
    save_models(tmp_path / "other", seed=11)
    for kind in ("turbo_coarse", "turbo_fine"):
        shutil.copytree(turbo_models / f"demo_{kind}", tmp_path / "other" / f"demo_{kind}")
    foreign = loaded(turbo_models, config=_own(tmp_path / "other")).status()
    assert (foreign.health.presets, foreign.health.error) == (["draft", "standard", "best"], None)
    file = own / "plain.yaml"
    file.write_text("coarse: demo_coarse\nfine: demo_fine\n")
    status = loaded(turbo_models, config=file).status()  # the store has a pair, but of its own models
    assert status.models.keys() == {"text", "coarse", "fine"}
    assert status.health.presets == ["draft", "standard", "best"]


def _own(folder: Path) -> Path:
    """A file for XCUBE_CONFIG that names every model of a folder."""
    file = folder / "models.yaml"
    names = sorted(path.name for path in folder.glob("demo_*/"))
    file.write_text("".join(f"{name.removeprefix('demo_')}: {name}\n" for name in names))
    return file
