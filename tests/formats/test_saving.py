"""A shape of the pipeline as a file: what the ending says, complete or not at all."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import trimesh

from formats import FORMATS, OptionError, Options, save
from models import Shape, Voxels
from tests.support.solids import shell, sphere

BALL = Shape(shell(sphere(0.3), 16), shell(sphere(0.3), 32), seed=7)


@pytest.mark.parametrize("suffix", sorted({format_.suffix for format_ in FORMATS}))
def test_every_ending_of_the_service_s_formats_can_be_saved(suffix: str, tmp_path: Path) -> None:
    file = save(BALL, tmp_path / f"ball{suffix.upper()}")
    assert file.stat().st_size > 100
    assert list(tmp_path.iterdir()) == [file], "no part of it is left beside it"


def test_glb_is_the_surface_and_npz_holds_both_stages_and_the_seed(tmp_path: Path) -> None:
    mesh = trimesh.load_mesh(save(BALL, tmp_path / "ball.glb"))
    assert mesh.is_watertight
    with np.load(save(BALL, str(tmp_path / "ball.npz"))) as arrays:
        np.testing.assert_array_equal(arrays["coarse_ijk"], BALL.coarse.ijk)
        np.testing.assert_array_equal(arrays["fine_ijk"], BALL.finest.ijk)
        assert arrays["seed"] == 7


def test_options_are_those_of_the_service_and_colours_come_from_the_prompt(tmp_path: Path) -> None:
    mesh = trimesh.load_mesh(save(BALL, tmp_path / "ball.stl", Options(length_mm=30, faces=500)))
    assert mesh.extents.max() == pytest.approx(30.0)
    assert len(mesh.faces) == 500
    wooden = replace(BALL, prompt="a wooden ball")
    saved = [save(shape, tmp_path / "ball.ply").read_bytes().partition(b"end_header")[2] for shape in (wooden, BALL)]
    oak = save(BALL, tmp_path / "oak.ply", Options(palette="oak")).read_bytes().partition(b"end_header")[2]
    assert saved[0] == oak != saved[1]
    with pytest.raises(OptionError, match="palette does not apply to npz"):
        save(BALL, tmp_path / "ball.npz", Options(palette="oak"))
    with pytest.raises(ValueError, match="levels makes a ZIP"):
        save(BALL, tmp_path / "ball.npz", Options(levels=2))


def test_an_unknown_ending_and_an_empty_shape_are_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"ball\.fbx should end in one of \.3mf, \.bcf, .*\.vox"):
        save(BALL, tmp_path / "ball.fbx")
    nothing = Voxels(np.zeros((0, 3), np.int16), np.zeros((0, 3), np.float32), 1 / 16)
    with pytest.raises(ValueError, match="no voxel"):
        save(Shape(nothing, None, seed=1), tmp_path / "ball.ply")
    assert list(tmp_path.iterdir()) == []
