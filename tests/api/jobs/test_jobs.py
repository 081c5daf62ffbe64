"""What is kept of a job, and when a job goes on from it, begins anew or fails."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from api.errors import ModelsChanged
from api.generation.events import CoarseMade, Report, Stepped
from api.generation.generator import Saved
from api.jobs import files as module
from api.jobs.files import Files
from api.jobs.records import ENDED, Record, Records
from api.jobs.runner import Runner
from api.messages import Order, Progress
from api.schemas import GenerateRequest
from models.errors import StateError
from models.shape import Shape, Voxels

COARSE = Voxels(np.zeros((1, 3), np.int16), np.array([[0, 0, 1]], np.float32), 1 / 32).to_bytes()
OTHER = Voxels(np.ones((1, 3), np.int16), np.array([[0, 0, 1]], np.float32), 1 / 32).to_bytes()
HALF = Saved(Progress(state=b"half", stage="fine", step=3, steps=9), COARSE, ("a warning",))


def test_what_was_saved_comes_back(tmp_path: Path) -> None:
    files = Files(tmp_path, lambda: "cpu")
    assert files.load("x") is None
    files.save("x", HALF)
    assert Files(tmp_path, lambda: "cpu").load("x") == HALF
    files.remove("x")
    assert files.load("x") is None
    assert not list(tmp_path.iterdir())


def test_a_state_of_another_version_or_arithmetic_is_not_taken_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Files(tmp_path, lambda: "cpu, 1 threads").save("x", HALF)
    assert Files(tmp_path, lambda: "cpu, 2 threads").load("x") is None
    monkeypatch.setattr(module, "VERSION", module.VERSION + 1)
    assert Files(tmp_path, lambda: "cpu, 1 threads").load("x") is None


def test_a_damaged_state_is_not_taken_up(tmp_path: Path) -> None:
    files = Files(tmp_path, lambda: "cpu")
    files.save("x", HALF)
    state = tmp_path / "x.state"
    head, _, rest = state.read_bytes().partition(b"\n")
    without_step = {name: field for name, field in json.loads(head).items() if name != "step"}
    for content in (b"", b"\n", b"{}\n", head[:-3] + b"\n" + rest, json.dumps(without_step).encode() + b"\n" + rest):
        state.write_bytes(content)
        assert files.load("x") is None
    state.write_bytes(head + b"\n" + rest)
    (tmp_path / "x.coarse").unlink()
    assert files.load("x") is None


class Generator:
    """Remembers from where each run began; each of `faults` ends a run, the one after them succeeds."""

    def __init__(self, *faults: Exception) -> None:
        self.monitor = SimpleNamespace(health=SimpleNamespace(status="ready"))
        self.faults = list(faults)
        self.began: list[Saved | None] = []
        self.coarse = COARSE

    async def run_job(self, order: Order, report: Report, saved: Saved | None) -> Shape:
        self.began.append(saved)
        report(CoarseMade(self.coarse, None))
        report(Stepped(Progress(state=b"later", stage="fine", step=4, steps=9), None))
        await asyncio.sleep(0.05)
        if self.faults:
            raise self.faults.pop(0)
        shape = Voxels(np.zeros((1, 3), np.int16), np.array([[0, 0, 1]], np.float32), 1 / 32)
        return Shape(shape, None, order.seed)


def run(
    folder: Path, generator: Generator, saved: Saved | None, look: Callable[[str], None] = lambda _: None
) -> Record:
    """Runs one job to its end; `look` gets its id several times on the way."""

    async def main() -> Record:
        records, files = Records(folder / "jobs.sqlite"), Files(folder, lambda: "cpu")
        request = GenerateRequest(prompt="x", seed=1).model_dump_json()
        job = records.add(request, 1, None, 9)
        assert job is not None
        if saved is not None:
            files.save(job.id, saved)
        runner = asyncio.create_task(Runner(generator, records, files, 1, 1e6).run())  # type: ignore[arg-type]
        while (now := records.get(job.id)) is not None and now.state not in ENDED:
            await asyncio.sleep(0.01)
            look(job.id)
        runner.cancel()
        assert now is not None
        return now

    return asyncio.run(main())


def test_a_job_goes_on_where_it_was_saved(tmp_path: Path) -> None:
    generator = Generator()
    assert run(tmp_path, generator, HALF).state == "completed"
    assert generator.began == [HALF]


@pytest.mark.parametrize("fault", [ModelsChanged("other models"), StateError("another version")])
def test_a_job_whose_half_made_state_means_nothing_any_more_begins_anew(
    tmp_path: Path, fault: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    generator = Generator(fault)
    done = run(tmp_path, generator, HALF)
    assert done.state == "completed"
    assert generator.began == [HALF, None]
    assert f"job {done.id} starts anew: {fault}" in caplog.text


def test_the_coarse_shape_of_the_models_before_is_not_mixed_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("api.jobs.runner.PERIOD", 0.01)
    generator = Generator(ModelsChanged("other models"))
    generator.coarse = OTHER
    kept = set()

    def look(id_: str) -> None:
        path = tmp_path / f"{id_}.coarse"
        if len(generator.began) == 2 and path.exists() and (tmp_path / f"{id_}.state").exists():
            kept.add(path.read_bytes())

    assert run(tmp_path, generator, HALF, look).state == "completed"
    assert kept == {OTHER}


def test_a_job_whose_models_are_replaced_again_and_again_fails_with_a_sentence(tmp_path: Path) -> None:
    generator = Generator(*(ModelsChanged("The models were replaced during the request.") for _ in range(9)))
    failed = run(tmp_path, generator, HALF)
    assert (failed.state, failed.code) == ("failed", "models_changed")
    assert failed.error == "The models were replaced during the request."
    assert len(generator.began) == 4
    assert not list(tmp_path.glob("*.state"))
    assert not list(tmp_path.glob("*.coarse"))
