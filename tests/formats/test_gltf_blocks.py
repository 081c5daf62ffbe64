"""Blocks as one mesh, read back by trimesh."""

from __future__ import annotations

import io

import numpy as np
import pytest
import trimesh

from formats.blocks import Block, Blocks
from formats.gltf_blocks import glb_blocks
from tests.support.blocks import ABOUT, PALETTE, no_blocks, scattered


def opened(blocks: Blocks) -> trimesh.Trimesh:
    (mesh,) = trimesh.load_scene(
        io.BytesIO(glb_blocks(blocks, ABOUT)), file_type="glb", process=False
    ).geometry.values()
    assert isinstance(mesh, trimesh.Trimesh)
    return mesh


def cuboid(*size: int, low: tuple[int, int, int] = (0, 0, 0)) -> Blocks:
    position = (np.argwhere(np.ones(size)) + low).astype(np.int32)
    return Blocks(position, np.zeros(len(position), np.uint8), PALETTE, 0.25)


def test_a_cuboid_is_twelve_triangles_at_its_place() -> None:
    mesh = opened(cuboid(4, 3, 2, low=(-2, 5, 1)))
    assert len(mesh.faces) == 12
    np.testing.assert_allclose(mesh.bounds, np.array([[-2, 5, 1], [2, 8, 3]]) * 0.25)
    assert mesh.volume == pytest.approx(24 * 0.25**3)


@pytest.mark.parametrize("count", [1, 40, 700])
def test_what_can_be_seen_is_there_once_and_faces_outwards(count: int) -> None:
    blocks = scattered(-5, 6, count)
    mesh = opened(blocks)
    there = {tuple(place) for place in blocks.position.tolist()}
    steps = [*np.eye(3, dtype=int).tolist(), *(-np.eye(3, dtype=int)).tolist()]
    open_faces = sum(tuple(np.add(place, step)) not in there for place in there for step in steps)
    assert mesh.area == pytest.approx(open_faces * blocks.edge**2)
    assert mesh.volume == pytest.approx(len(blocks) * blocks.edge**3)
    np.testing.assert_allclose(mesh.vertex_normals[mesh.faces[:, 0]], mesh.face_normals, atol=1e-6)


def test_every_face_has_the_colour_of_its_block_in_linear_light() -> None:
    palette = (Block("grey", (128, 128, 128)), Block("gold", (255, 215, 0)))
    blocks = Blocks(np.array([[0, 0, 0], [0, 1, 0]], np.int32), np.array([0, 1], np.uint8), palette, 1.0)
    mesh = opened(blocks)
    upper = mesh.triangles_center[:, 1] > 1
    light = np.asarray(mesh.visual.vertex_attributes["color"])[mesh.faces[:, 0]] / 65535
    assert len(mesh.faces) == 20
    # The sRGB standard has these for 128 and 215 of 255.
    np.testing.assert_allclose(light[~upper], np.tile([0.2159, 0.2159, 0.2159, 1], (10, 1)), atol=1e-4)
    np.testing.assert_allclose(light[upper][2:], np.tile([1, 0.6795, 0, 1], (8, 1)), atol=1e-4)


def test_no_block_is_told_in_a_sentence() -> None:
    with pytest.raises(ValueError, match="no voxel: there is nothing to write"):
        glb_blocks(no_blocks(), {})
