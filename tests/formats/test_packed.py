"""Voxels as few bytes, read as the documentation says."""

from __future__ import annotations

import gzip

import numpy as np

from formats.json_text import write_json
from formats.packed import pack
from models.shape import Shape, Voxels
from tests.support.solids import shell, torus


def read(data: bytes) -> Voxels:
    plain = gzip.decompress(data)
    size, count = np.frombuffer(plain, "<f4", 1)[0], int(np.frombuffer(plain, "<u4", 1, 4)[0])
    differences = np.frombuffer(plain, "<i2", 3 * count, 8).reshape(3, count)
    normal = np.frombuffer(plain, np.int8, 3 * count, 8 + 6 * count).reshape(3, count)
    return Voxels(differences.cumsum(axis=1, dtype=np.int16).T, normal.T.astype(np.float32) / 127, float(size))


def test_packed_voxels_are_the_same_and_take_a_tenth_of_their_json() -> None:
    voxels = shell(torus(0.3, 0.12), 128)
    data = pack(voxels)
    again = read(data)
    np.testing.assert_array_equal(again.ijk, voxels.ijk)
    np.testing.assert_allclose(again.normal, voxels.normal, atol=0.5 / 127 + 1e-6)
    assert again.voxel_size == voxels.voxel_size
    assert len(data) < len(write_json(Shape(voxels, None, 1))) / 10


def test_indices_far_apart_are_kept() -> None:
    ijk = np.array([[-512, 511, 0], [511, -512, 3]], np.int16)
    np.testing.assert_array_equal(read(pack(Voxels(ijk, np.eye(3, dtype=np.float32)[:2], 1 / 1024))).ijk, ijk)
