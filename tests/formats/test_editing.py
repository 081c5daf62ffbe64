"""What options do to voxels."""

from __future__ import annotations

import numpy as np
import pytest

from formats import limits
from formats.editing import ascending, halved, mirrored, pieces, placed, turned, without_crumbs
from formats.filling import filled
from formats.limits import check_size
from formats.resampling import resampled
from models.errors import ShapeError
from models.shape import Voxels
from tests.support.solids import box, shell, sphere, torus

UP = np.array([[0, 1, 0]], np.float32)


def voxels(*ijk: tuple[int, int, int], size: float = 1 / 64) -> Voxels:
    return Voxels(np.array(ijk, np.int16).reshape(-1, 3), np.repeat(UP, len(ijk), axis=0), size)


def rows(made: Voxels) -> list[tuple[int, ...]]:
    return [tuple(row) for row in made.ijk.tolist()]


def both(one: Voxels, other: Voxels) -> Voxels:
    return Voxels(np.concatenate([one.ijk, other.ijk]), np.concatenate([one.normal, other.normal]), one.voxel_size)


def test_a_turn_keeps_what_is_right_and_in_front() -> None:
    made = turned(voxels((3, 5, 7)), "z")
    assert rows(made) == [(3, -8, 5)]
    np.testing.assert_array_equal(made.normal, [[0, 0, 1]])
    for ball in (shell(sphere(0.3), 32), shell(torus(0.3, 0.1), 64)):
        back = ascending(turned(turned(turned(turned(ball, "z"), "z"), "z"), "z"))
        np.testing.assert_array_equal(back.ijk, ball.ijk)
        np.testing.assert_array_equal(back.normal, ball.normal)


def test_the_ground_moves_one_axis_and_the_corner_all() -> None:
    made = voxels((-4, -3, -2), (5, 6, 7))
    assert rows(placed(made, "ground", "y"))[0] == (-4, 0, -2)
    assert rows(placed(made, "ground", "z"))[0] == (-4, -3, 0)
    assert rows(placed(made, "corner", "y")) == [(0, 0, 0), (9, 9, 9)]
    assert placed(made, "centre", "y") is made


def test_a_mirrored_shape_is_symmetric_and_as_large_as_before() -> None:
    ball = shell(sphere(0.35), 64)
    part = Voxels(ball.ijk[ball.ijk[:, 0] < 9], ball.normal[ball.ijk[:, 0] < 9], ball.voxel_size)
    for axis, name in enumerate("xyz"):
        made = mirrored(part, name)  # type: ignore[arg-type]
        np.testing.assert_array_equal(made.ijk.min(axis=0), part.ijk.min(axis=0))
        np.testing.assert_array_equal(made.ijk.max(axis=0), part.ijk.max(axis=0))
        again = mirrored(made, name)  # type: ignore[arg-type]
        np.testing.assert_array_equal(again.ijk, made.ijk)
        np.testing.assert_allclose(again.normal, made.normal, atol=1e-5)
        image = made.ijk.astype(int).copy()
        image[:, axis] = made.ijk[:, axis].min() + made.ijk[:, axis].max() - image[:, axis]
        assert {tuple(row) for row in image.tolist()} == set(rows(made))


def test_levels_hold_what_the_finer_one_holds_in_the_same_place() -> None:
    ball = shell(sphere(0.4), 64)
    half = halved(ball)
    assert half.voxel_size == 2 * ball.voxel_size
    assert set(rows(half)) == {tuple(row) for row in (ball.ijk >> 1).tolist()}
    outward = half.xyz / np.linalg.norm(half.xyz, axis=1, keepdims=True)
    assert ((half.normal * outward).sum(axis=1) > 0.9).all()
    assert rows(halved(voxels((-1, 0, 0), (1, 1, 1)))) == [(-1, 0, 0), (0, 0, 0)]


def test_normals_that_cancel_out_leave_one_of_them() -> None:
    made = halved(Voxels(np.array([[0, 0, 0], [1, 0, 0]], np.int16), np.concatenate([UP, -UP]), 1 / 64))
    np.testing.assert_array_equal(made.normal, UP)


def test_pieces_touch_at_corners_and_crumbs_are_counted() -> None:
    ball = shell(sphere(0.3), 64)
    crumbs = voxels((-30, -30, -30), (-29, -29, -29), (30, 30, 30))
    _, sizes = pieces(both(ball, crumbs))
    assert sorted(sizes.tolist()) == [1, 2, len(ball)]
    made, removed = without_crumbs(both(crumbs, ball))
    assert removed == 2
    np.testing.assert_array_equal(made.ijk, ball.ijk)
    assert without_crumbs(ball) == (ball, 0)
    assert without_crumbs(voxels((0, 0, 0), (9, 9, 9)), share=0.9)[1] == 1, "one piece always stays"


@pytest.mark.parametrize("size", [1, 7, 32, 51, 52, 53, 100, 150])
def test_size_is_the_longest_side_to_the_voxel_and_the_shape_stays_in_place(size: int) -> None:
    ball = shell(sphere(0.4), 64)
    made = resampled(ball, size)
    assert int(np.ptp(made.ijk, axis=0).max()) + 1 == size
    assert (np.diff(made.ijk[:, 0]) >= 0).all()
    np.testing.assert_allclose(np.linalg.norm(made.normal, axis=1), 1.0, atol=1e-5)
    middle = (made.xyz.max(axis=0) + made.xyz.min(axis=0)) / 2
    assert np.abs(middle).max() <= 0.5 * made.voxel_size + 1 / 64
    if size > 2:
        away = np.abs(np.linalg.norm(made.xyz, axis=1) - 0.4)
        assert away.max() < max(made.voxel_size, 1 / 64) * 2.2
        outward = made.xyz / np.linalg.norm(made.xyz, axis=1, keepdims=True)
        assert (made.normal * outward).sum(axis=1).mean() > (0.95 if size > 16 else 0.8)


@pytest.mark.parametrize("size", [40, 97])
def test_a_resampled_shell_lets_no_walk_along_the_axes_in(size: int) -> None:
    from scipy.ndimage import binary_fill_holes

    made = resampled(shell(torus(0.3, 0.12), 64), size)
    grid = np.zeros(np.ptp(made.ijk, axis=0) + 1, bool)
    grid[tuple((made.ijk - made.ijk.min(axis=0)).T)] = True
    inside = int(binary_fill_holes(grid).sum()) * made.voxel_size**3
    assert inside == pytest.approx(2 * np.pi**2 * 0.3 * 0.12**2, rel=0.25)


def test_a_shell_is_filled_though_it_has_a_hole() -> None:
    ball = shell(sphere(0.4), 64)
    open_ = np.linalg.norm(ball.xyz - np.array([0.0, 0.4, 0.0]), axis=1) > 0.03
    assert 2 < (~open_).sum() < 20
    holed = Voxels(ball.ijk[open_], ball.normal[open_], ball.voxel_size)
    made = filled(holed, "solid", 1)
    assert len(made) * made.voxel_size**3 == pytest.approx(4 / 3 * np.pi * 0.4**3, rel=0.12)
    assert set(rows(holed)) <= set(rows(made))
    np.testing.assert_allclose(np.linalg.norm(made.normal, axis=1), 1.0, atol=1e-5)


def test_a_wall_is_as_thick_as_asked() -> None:
    made = filled(shell(box((0.4, 0.4, 0.4)), 64), "hollow", 5)
    row = made.ijk[(made.ijk[:, 1] == 0) & (made.ijk[:, 2] == 0), 0]
    left = row[row < 0]
    assert len(left) == 5
    np.testing.assert_array_equal(np.diff(left), 1)


def test_too_many_voxels_and_too_large_a_grid_are_refused_in_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MOST_VOXELS", 1000)
    with pytest.raises(ShapeError, match=r"fill=solid makes 10,\d+ voxels of this shape, and 1,000 are the most"):
        filled(shell(sphere(0.4), 32), "solid", 1)
    far = voxels((-600, -600, -600), (600, 600, 600), size=1 / 2048)
    with pytest.raises(ShapeError, match="takes too much memory: use a smaller size"):
        filled(far, "solid", 1)


def test_a_size_that_takes_too_much_is_refused_before_it_is_made_with_one_that_does_not() -> None:
    sides = np.array([100, 50, 80])
    with pytest.raises(ShapeError, match=r"with size=1024 takes too much memory: use size=368 or less\.$"):
        check_size(sides, 1024)
    check_size(sides, 368)
    check_size(np.array([512, 512, 512]), 512)
    with pytest.raises(ShapeError, match="use size=512 or less"):
        check_size(np.array([512, 512, 512]), 513)
    with pytest.raises(ShapeError, match=r"^size makes [4-6],\d{3},\d{3} voxels of this shape"):
        resampled(shell(box((0.45, 0.45, 0.45)), 32), 1024)
