"""What the report says of shapes that are known."""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from formats import FORMATS, Options, file_of
from formats.report import report
from models.shape import Shape, Voxels
from tests.support.solids import box, shell, sphere, torus

(REPORT,) = (format_ for format_ in FORMATS if format_.name == "report")
BALL = shell(sphere(0.4), 64)


def told(voxels: Voxels, options: Options | None = None) -> dict[str, Any]:
    made: dict[str, Any] = json.loads(
        file_of(REPORT, Shape(voxels, None, 2**64 - 1, prompt="a ball"), "1", options).content
    )
    return made


def without(voxels: Voxels, *places: tuple[float, float, float]) -> Voxels:
    kept = np.ones(len(voxels), bool)
    for place in places:
        kept &= np.linalg.norm(voxels.xyz - np.array(place), axis=1) > 0.03
    return Voxels(voxels.ijk[kept], voxels.normal[kept], voxels.voxel_size)


def test_a_ball_and_a_torus_are_one_watertight_piece() -> None:
    for voxels in (BALL, shell(torus(0.3, 0.1), 64)):
        made = report(voxels)
        assert (made["pieces"], made["watertight"], made["holes"]) == (1, True, 0)
        assert made["inside"] > len(voxels)
        assert made["voxels"] == made["largest_piece"] == len(voxels)


def test_holes_are_counted_and_a_filled_shape_has_none() -> None:
    holed = without(BALL, (0, 0.4, 0), (0.4, 0, 0), (0, 0, -0.4))
    assert (told(holed)["holes"], told(holed)["watertight"]) == (3, False)
    for fill, empty in (("solid", False), ("hollow", True)):
        made = told(holed, Options(fill=fill))  # type: ignore[arg-type]
        assert (made["holes"], made["watertight"], made["inside"] > 0) == (0, True, empty)


def test_every_level_has_its_size_voxels_and_visible_faces() -> None:
    cube = told(shell(box((0.25, 0.25, 0.25)), 32), Options(fill="solid", size=16))
    assert [level["size"] for level in cube["levels"]] == [[16, 16, 16], [8, 8, 8]]
    assert [level["faces"] for level in cube["levels"]] == [6 * 16 * 16, 6 * 8 * 8]
    assert [level["voxels"] for level in cube["levels"]] == [16**3, 8**3]


def test_crumbs_are_counted_and_the_seed_has_all_its_digits() -> None:
    crumbs = Voxels(np.array([[-30, -30, -30], [30, 30, 30]], np.int16), np.array([[0, 1, 0]] * 2, np.float32), 1 / 64)
    voxels = Voxels(
        np.concatenate([BALL.ijk, crumbs.ijk]), np.concatenate([BALL.normal, crumbs.normal]), BALL.voxel_size
    )
    made = told(voxels)
    assert (made["pieces"], made["prompt"], made["seed_text"], made["up"]) == (3, "a ball", str(2**64 - 1), "y")
    assert "removed" not in made
    cleaned = told(voxels, Options(clean=True))
    assert (cleaned["pieces"], cleaned["removed"], cleaned["voxels"]) == (1, 2, len(BALL))


def test_headers_have_the_short_ones() -> None:
    facts = file_of(REPORT, Shape(BALL, None, 1), "1", Options(clean=True)).facts
    assert facts == {
        "Size": "52x52x52", "Voxels": str(len(BALL)), "Removed": "0", "Pieces": "1", "Holes": "0", "Watertight": "yes"
    }  # fmt: skip
