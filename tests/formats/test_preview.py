from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from formats.preview import contact_sheet, render, save_png


def ball(radius: int) -> tuple[NDArray[np.int16], NDArray[np.float32]]:
    axis = np.arange(-radius - 1, radius + 1)
    ijk = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), -1).reshape(-1, 3)
    distance = np.linalg.norm(ijk + 0.5, axis=1)
    ijk = ijk[np.abs(distance - radius) < 0.9].astype(np.int16)
    normal = (ijk + 0.5) / np.linalg.norm(ijk + 0.5, axis=1, keepdims=True)
    return ijk, normal.astype(np.float32)


def slab(z: int, facing: float) -> tuple[NDArray[np.int16], NDArray[np.float32]]:
    axis = np.arange(-8, 8)
    x, y = (a.reshape(-1) for a in np.meshgrid(axis, axis, indexing="ij"))
    ijk = np.stack([x, y, np.full_like(x, z)], 1).astype(np.int16)
    return ijk, np.tile(np.array([0, 0, facing], np.float32), (len(ijk), 1))


def test_the_front_hides_the_back_whatever_the_order_of_the_voxels() -> None:
    front, back = slab(6, 1.0), slab(-6, -1.0)
    alone = render(*front, 32, size=64, azimuth_deg=0, elevation_deg=0)
    for first, second in ((front, back), (back, front)):
        ijk, normal = np.concatenate([first[0], second[0]]), np.concatenate([first[1], second[1]])
        both = render(ijk, normal, 32, size=64, azimuth_deg=0, elevation_deg=0)
        assert np.array_equal(both, alone)
    behind = render(*back, 32, size=64, azimuth_deg=0, elevation_deg=0)
    assert alone[32, 32].mean() > behind[32, 32].mean() + 50


def test_up_in_the_world_is_up_in_the_picture_and_x_points_right() -> None:
    normal = np.array([[0, 0, 1]], np.float32)
    above = render(np.array([[0, 10, 0]], np.int16), normal, 32, size=64, azimuth_deg=0, elevation_deg=0)
    right = render(np.array([[10, 0, 0]], np.int16), normal, 32, size=64, azimuth_deg=0, elevation_deg=0)
    rows, _ = np.nonzero((above < 255).any(2))
    _, columns = np.nonzero((right < 255).any(2))
    assert rows.max() < 28
    assert columns.min() > 36


def test_a_view_from_the_right_shows_the_right_side() -> None:
    ijk = np.array([[-6, 0, 0], [6, 0, 0]], np.int16)
    normal = np.array([[-1, 0, 0], [1, 0, 0]], np.float32)
    picture = render(ijk, normal, 32, size=64, azimuth_deg=90, elevation_deg=0)
    only = render(ijk[1:], normal[1:], 32, size=64, azimuth_deg=90, elevation_deg=0)
    assert np.array_equal(picture, only)


@pytest.mark.parametrize("radius", [10, 50])
def test_a_closed_surface_has_no_holes_in_the_picture(radius: int) -> None:
    picture = render(*ball(radius), size=128)
    assert picture.shape == (128, 128, 3)
    assert picture.dtype == np.uint8
    rows, columns = np.indices((128, 128)) - 63.5
    disc = np.hypot(rows, columns) < 50
    assert (picture[disc] < 255).any(1).all()
    assert (picture[0] == 255).all()


def test_the_lit_side_of_a_ball_is_brighter() -> None:
    picture = render(*ball(30), size=128, azimuth_deg=0, elevation_deg=0).astype(float)
    assert picture[30, 70].mean() > picture[98, 58].mean() + 30


def test_no_voxels_give_a_white_picture() -> None:
    picture = render(np.zeros((0, 3), np.int16), np.zeros((0, 3), np.float32), size=32)
    assert picture.shape == (32, 32, 3)
    assert (picture == 255).all()


def test_a_contact_sheet_places_images_in_rows_and_is_written_as_png(tmp_path: Path) -> None:
    images = [np.full((40, 40, 3), shade, np.uint8) for shade in (10, 90, 170)]
    sheet = contact_sheet(images, ["one", "a label much longer than its picture", "three"], columns=2)
    pixels = np.asarray(sheet)
    assert pixels.shape[1] == 80
    assert [pixels[20, 20, 0], pixels[20, 60, 0], pixels[pixels.shape[0] // 2 + 20, 20, 0]] == [10, 90, 170]
    save_png(sheet, tmp_path / "new" / "sheet.png")
    with Image.open(tmp_path / "new" / "sheet.png") as written:
        assert np.array_equal(np.asarray(written), pixels)


def test_a_contact_sheet_refuses_labels_that_do_not_match() -> None:
    with pytest.raises(ValueError, match="a label for each"):
        contact_sheet([np.zeros((4, 4, 3), np.uint8)], [], columns=1)


def test_colours_are_shown_as_they_are() -> None:
    ijk, normal = ball(12)
    colour = np.where(ijk[:, 1:2] < 0, np.array([[200, 30, 30]]), np.array([[30, 200, 30]])).astype(np.uint8)
    picture = render(ijk, normal, size=64, elevation_deg=0.0, colour=colour)
    assert picture[24, 32].tolist() == [30, 200, 30]
    assert picture[40, 32].tolist() == [200, 30, 30]
    assert picture[0, 0].tolist() == [255, 255, 255]
