"""What the engine tries, and in which order, when a GPU's memory does not suffice."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import torch
from prometheus_client import REGISTRY

from api.errors import ModelsUnavailable
from api.messages import Slice
from api.sampler.engine import Engine
from api.sampler.loaded_models import LoadedModels, limit_memory
from api.sampler.warm_up import WarmUp
from models.runtime import Runtime
from models.stage import DiffusionStage
from models.stages import CoarseStage, FineStage
from models.state import DiffusionState
from models.text import TextEncoder
from tests.support.engines import ORDER, finish, generate, loaded

Lacks = Callable[[DiffusionStage, Sequence[DiffusionState]], bool]


class Memory:
    """A GPU's memory that is made up, and what was done about it, in order."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.events: list[str] = []
        self.lacks: Lacks = lambda *_: False
        for kind in (CoarseStage, FineStage):
            for name in ("denoise", "decode"):
                monkeypatch.setattr(kind, name, self._checked(getattr(kind, name), name))
        for name in ("empty_caches", "unload_idle"):
            monkeypatch.setattr(LoadedModels, name, self._told(getattr(LoadedModels, name), name))

    def _checked(self, work: Callable[..., object], name: str) -> Callable[..., object]:
        def checked(stage: DiffusionStage, states: Sequence[DiffusionState], *rest: object) -> object:
            self.events.append(f"{name} {len(states)} {stage.stage}")
            if self.lacks(stage, states):
                raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
            return work(stage, states, *rest)

        return checked

    def _told(self, work: Callable[..., None], name: str) -> Callable[..., None]:
        def told(models: LoadedModels, *rest: object) -> None:
            if not (self.events and self.events[-1].startswith("unload_idle")):  # which empties caches itself
                self.events.append(" ".join([name, *map(str, rest)]))
            work(models, *rest)

        return told


@pytest.fixture
def engine(tiny_models: Path, store: Path) -> Engine:
    """An engine whose slices are so long that a busy machine makes no sample wait for another one."""
    return loaded(tiny_models, slice_seconds=10)


@pytest.fixture
def memory(monkeypatch: pytest.MonkeyPatch) -> Memory:
    return Memory(monkeypatch)


def begun(engine: Engine, *seeds: int) -> list[Slice]:
    return [Slice.after(engine.begin(ORDER.model_copy(update={"seed": seed}))) for seed in seeds]


def times_out_of_memory() -> float:
    return REGISTRY.get_sample_value("xcube_gpu_oom_total") or 0.0


def test_a_batch_that_is_too_large_is_halved_once_empty_caches_did_not_help(engine: Engine, memory: Memory) -> None:
    generate(engine, ORDER)
    items = begun(engine, 1, 2, 3)
    alone = engine.denoise(items[1:2])[0]
    before = times_out_of_memory()
    memory.events.clear()
    memory.lacks = lambda _, states: len(states) > 1
    outcomes = engine.denoise(items)
    assert memory.events == [
        "denoise 3 coarse", "empty_caches", "denoise 3 coarse", "denoise 1 coarse",
        "denoise 2 coarse", "empty_caches", "denoise 2 coarse", "denoise 1 coarse", "denoise 1 coarse",
    ]  # fmt: skip
    assert [outcome.code for outcome in outcomes] == [None] * 3
    assert times_out_of_memory() == before + 4
    assert engine.models._fine is not None, "a smaller batch was enough"
    assert finish(engine, outcomes[1]).state == finish(engine, alone).state


def test_empty_caches_may_be_enough(engine: Engine, memory: Memory) -> None:
    memory.lacks = lambda *_: "empty_caches" not in memory.events
    assert [outcome.code for outcome in engine.denoise(begun(engine, 1, 2))] == [None, None]
    assert memory.events == ["denoise 2 coarse", "empty_caches", "denoise 2 coarse"]


def test_the_fine_model_leaves_when_the_smallest_batch_does_not_fit_and_comes_back(
    engine: Engine, memory: Memory
) -> None:
    first = generate(engine, ORDER)[1]
    items = begun(engine, 1, 2)
    memory.events.clear()
    memory.lacks = lambda stage, _: stage.stage == "coarse" and engine.models._fine is not None
    outcomes = engine.denoise(items)
    assert memory.events == [
        "denoise 2 coarse", "empty_caches", "denoise 2 coarse",
        "denoise 1 coarse", "empty_caches", "denoise 1 coarse", "unload_idle coarse", "denoise 1 coarse",
        "denoise 1 coarse",
    ]  # fmt: skip
    assert [outcome.code for outcome in outcomes] == [None, None]
    assert generate(engine, ORDER)[1].voxels == first.voxels
    assert engine.models._fine is not None


def test_the_coarse_model_leaves_for_the_fine_stage_and_comes_back(engine: Engine, memory: Memory) -> None:
    first = generate(engine, ORDER)
    memory.events.clear()
    memory.lacks = lambda stage, _: stage.stage == "fine" and engine.models._coarse is not None
    assert generate(engine, ORDER)[1].voxels == first[1].voxels
    assert "unload_idle fine" in memory.events
    assert engine.models._coarse is None
    memory.lacks = lambda *_: False
    assert generate(engine, ORDER)[0].voxels == first[0].voxels


@pytest.mark.parametrize("stage", ["coarse", "fine"])
def test_what_fits_in_no_way_is_told_and_the_next_request_works(engine: Engine, memory: Memory, stage: str) -> None:
    first = generate(engine, ORDER)
    start = engine.begin(ORDER) if stage == "coarse" else first[0].fine
    assert start is not None
    memory.events.clear()
    memory.lacks = lambda *_: True
    outcomes = engine.denoise([Slice.after(start)] * 2)
    alone = [f"denoise 1 {stage}", "empty_caches", f"denoise 1 {stage}", f"unload_idle {stage}", f"denoise 1 {stage}"]
    assert memory.events == [f"denoise 2 {stage}", "empty_caches", f"denoise 2 {stage}", *alone, *alone]
    for outcome in outcomes:
        assert outcome.code == "out_of_memory"
        assert "set use_fine to false" in outcome.error
        assert "GiB" not in outcome.error
    memory.lacks = lambda *_: False
    assert [decoded.voxels for decoded in generate(engine, ORDER)] == [decoded.voxels for decoded in first]


def test_one_that_is_too_large_alone_does_not_fail_the_others(engine: Engine, memory: Memory) -> None:
    items = begun(engine, 1, 13, 3)
    memory.lacks = lambda _, states: any(state.seed == 13 for state in states)
    assert [outcome.code for outcome in engine.denoise(items)] == [None, "out_of_memory", None]


def test_decoding_gets_more_room_in_the_same_order(engine: Engine, memory: Memory) -> None:
    done = finish(engine, engine.begin(ORDER))
    memory.events.clear()
    memory.lacks = lambda *_: True
    assert engine.decode(done.state, fine_steps=ORDER.ddim_steps).code == "out_of_memory"
    assert memory.events == [
        "decode 1 coarse", "empty_caches", "decode 1 coarse", "unload_idle coarse", "decode 1 coarse"
    ]  # fmt: skip
    memory.lacks = lambda *_: False
    assert engine.decode(done.state, fine_steps=ORDER.ddim_steps).code is None


def test_so_does_the_text_tower(engine: Engine, memory: Memory, monkeypatch: pytest.MonkeyPatch) -> None:
    generate(engine, ORDER)
    encode = TextEncoder.encode

    def crowded(tower: TextEncoder, prompts: list[str]) -> object:
        if engine.models._fine is not None:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return encode(tower, prompts)

    monkeypatch.setattr(TextEncoder, "encode", crowded)
    memory.events.clear()
    assert engine.begin(ORDER.model_copy(update={"prompt": "another"})).code is None
    assert memory.events == ["empty_caches", "unload_idle text"]


def test_where_the_fine_stage_does_not_fit_the_coarse_one_is_served(
    engine: Engine, memory: Memory, caplog: pytest.LogCaptureFixture
) -> None:
    engine.models.coarse().run_together()
    memory.lacks = lambda stage, _: stage.stage == "fine"
    WarmUp(engine).run()
    assert "too little memory for the fine stage" in caplog.text
    assert engine.denoise(begun(engine, 1))[0].code is None


class _Card:
    total_memory = 79 * 2**30


def test_a_limit_of_the_gpus_memory_counts_for_what_is_taken_and_for_the_lanes(monkeypatch: pytest.MonkeyPatch) -> None:
    shares = [1.0]
    gpu = torch.device("cuda", 0)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: _Card)
    monkeypatch.setattr(torch.cuda, "set_per_process_memory_fraction", lambda share, device: shares.append(share))
    monkeypatch.setattr(torch.cuda, "get_per_process_memory_fraction", lambda device: shares[-1])
    assert Runtime.choose(gpu, "bf16", "torch").lanes == 2
    limit_memory(gpu, 12)
    assert shares[-1] == pytest.approx(12 / 79)
    assert Runtime.choose(gpu, "bf16", "torch").lanes == 1


def test_a_limit_above_the_gpus_memory_is_refused_in_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: _Card)
    with pytest.raises(ModelsUnavailable, match=r"^XCUBE_GPU_MEMORY_GIB is 80, but the GPU has 79\.0 GiB: set it"):
        limit_memory(torch.device("cuda", 0), 80)
