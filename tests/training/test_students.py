"""Students of a pair: from a folder of models to models of the same form, with the tower as it was."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from models.dense import DenseUNet
from models.loading import check_student
from models.runtime import Runtime
from models.sparse import SparseUNet
from models.stages import CoarseStage, FineStage
from models.text import TextEncoder
from models.vae import Decoder
from training.cubes import Cubes
from training.dataset import Labels, Shapes
from training.engine import Optimization
from training.export import export_stage, export_student, export_text
from training.recipe import SMOKE, Plan
from training.rows import Rows
from training.start import Start
from training.students import _captions, _contexts, distil_coarse, distil_fine
from training.text import embed
from training.tokens import END, START
from training.train import main

PLAN = Plan(6, 4, Optimization(lr=1e-3, warmup=1, ema=0.5))


def shapes() -> Shapes:
    rows = Rows(torch.zeros(4, 3, dtype=torch.int8), torch.zeros(4, 3, dtype=torch.int8), torch.arange(5))
    tokens = torch.tensor([[[START, 600 + n, END]] for n in range(4)], dtype=torch.int32)
    return Shapes(torch.zeros(4).long(), torch.zeros(4, 0).long(), tokens, rows, None, Labels(("box",), ()))


def encoder() -> TextEncoder:
    torch.manual_seed(0)
    return TextEncoder(SMOKE.text).eval().requires_grad_(False)


def test_a_coarse_student_has_the_form_of_its_teacher_and_other_weights(tmp_path: Path) -> None:
    recipe, tower = replace(SMOKE, coarse_plan=PLAN), encoder()
    unet, decoder = DenseUNet(recipe.coarse.unet), Decoder(recipe.coarse.vae)  # type: ignore[arg-type]
    export_text(tower, recipe.text, {}, tmp_path / "demo_text")
    export_stage(
        CoarseStage(recipe.coarse, unet, decoder, 0.5, tower.null, Runtime(torch.device("cpu"))),
        tmp_path / "demo_coarse",
    )
    start = Start.of(str(tmp_path), None)
    latents = torch.randn(4, *(recipe.coarse.vae.latent_resolution,) * 3, recipe.coarse.vae.latent_channels)
    cubes = Cubes([latents], latents.device)
    stage = distil_coarse(
        recipe, shapes(), cubes, tower, decoder, start, tmp_path, None, torch.Generator().manual_seed(0)
    )
    export_student(stage, start.coarse, tmp_path / "demo_turbo_coarse")  # type: ignore[arg-type]
    check_student(tmp_path / "demo_turbo_coarse", tmp_path / "demo_coarse")
    assert stage.scale_factor == 0.5
    assert (tmp_path / "coarse_guided.pt").exists()
    assert (tmp_path / "coarse.pt").exists()
    student = stage.unet.state_dict()
    teacher = unet.state_dict()
    assert student.keys() == teacher.keys()
    assert any(not torch.allclose(student[name], teacher[name], atol=1e-4) for name in student)
    assert all(torch.isfinite(value).all() for value in student.values())


def test_a_fine_student_learns_from_latents_on_voxels(tmp_path: Path) -> None:
    recipe, tower = replace(SMOKE, fine_plan=PLAN), encoder()
    config = recipe.fine
    unet, decoder = SparseUNet(config.unet), Decoder(config.vae)  # type: ignore[arg-type]
    export_text(tower, recipe.text, {}, tmp_path / "demo_text")
    export_stage(FineStage(config, unet, decoder, 0.5, Runtime(torch.device("cpu"))), tmp_path / "demo_fine")
    line = torch.tensor([[0, 0, k] for k in range(6)], dtype=torch.int8)
    values = torch.randn(24, config.vae.latent_channels + 4)
    values[:, -1] = torch.arange(24) % 3 > 0
    latents = Rows(line.repeat(4, 1), values, torch.arange(0, 25, 6))
    stage = distil_fine(
        recipe, shapes(), latents, tower, decoder, Start.of(str(tmp_path), None), tmp_path, None,
        torch.Generator().manual_seed(0),
    )  # fmt: skip
    assert not (tmp_path / "fine_guided.pt").exists()
    student, teacher = stage.unet.state_dict(), unet.state_dict()
    assert student.keys() == teacher.keys()
    assert any(not torch.allclose(student[name], teacher[name], atol=1e-4) for name in student)
    assert all(torch.isfinite(value).all() for value in student.values())


def test_without_a_caption_a_batch_has_the_empty_prompt() -> None:
    tower = encoder()
    captions = _captions(tower, shapes().tokens, torch.tensor([0, 2]), torch.Generator().manual_seed(0))
    untold, told = _contexts(*captions)
    states, mask = embed(tower, torch.tensor([[START, END, 0]]))
    torch.testing.assert_close(untold.tokens, states.expand_as(untold.tokens))
    assert untold.mask is not None
    assert torch.equal(untold.mask == 0, mask.expand(2, 3))
    assert told.tokens.shape[0] == 2


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [(["--distill"], "give them with --from"), (["--real", "a", "--data", "b"], "--data trains on a set alone")],
)
def test_what_does_not_go_together_is_told(
    arguments: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        main(arguments)
    assert sentence in capsys.readouterr().err
