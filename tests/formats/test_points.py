from __future__ import annotations

import io
import zipfile

import numpy as np
import pytest

import formats


def points(count: int) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(0)
    return generator.random((count, 3), np.float32), generator.random((count, 3), np.float32)


@pytest.mark.parametrize("count", [0, 1, 1000])
def test_a_ply_file_says_what_it_holds(count: int) -> None:
    xyz, normal = points(count)
    header, body = formats.ply(xyz, normal).split(b"end_header\n", 1)
    lines = header.decode("ascii").splitlines()
    assert lines[:3] == ["ply", "format binary_little_endian 1.0", f"element vertex {count}"]
    assert lines[3:] == [f"property float {name}" for name in ("x", "y", "z", "nx", "ny", "nz")]
    values = np.frombuffer(body, "<f4").reshape(count, 6)
    np.testing.assert_array_equal(values[:, :3], xyz)
    np.testing.assert_array_equal(values[:, 3:], normal)


@pytest.mark.parametrize(("xyz", "normal"), [((4, 3), (5, 3)), ((4, 2), (4, 2)), ((12,), (12,))])
def test_a_ply_file_of_mismatched_arrays_is_refused(xyz: tuple[int, ...], normal: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"shape \[N, 3\]"):
        formats.ply(np.zeros(xyz, np.float32), np.zeros(normal, np.float32))


def test_an_npz_file_loads_without_pickle() -> None:
    xyz, normal = points(10)
    content = formats.npz({"xyz": xyz, "normal": normal, "seed": np.array(-1), "prompt": np.array("a chair")})
    with np.load(io.BytesIO(content), allow_pickle=False) as loaded:
        np.testing.assert_array_equal(loaded["xyz"], xyz)
        assert loaded["seed"] == -1
        assert loaded["prompt"] == "a chair"


def test_an_npz_file_spends_no_time_on_compressing_what_hardly_shrinks() -> None:
    generator = np.random.default_rng(0)
    normal = generator.normal(size=(5000, 3)).astype(np.float16)
    content = formats.npz({"ijk": np.argwhere(np.ones((16, 16, 16))).astype(np.int16), "normal": normal})
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        ijk, stored = archive.getinfo("ijk.npy"), archive.getinfo("normal.npy")
    assert ijk.compress_size < ijk.file_size / 2
    assert stored.compress_type == zipfile.ZIP_STORED


def test_an_npz_file_of_the_same_arrays_has_the_same_bytes_on_another_day(monkeypatch: pytest.MonkeyPatch) -> None:
    xyz, _ = points(10)
    today = formats.npz({"xyz": xyz})
    monkeypatch.setattr("time.time", lambda: 2e9)
    assert formats.npz({"xyz": xyz}) == today


def test_an_npz_file_of_python_objects_is_refused() -> None:
    with pytest.raises(ValueError, match="Python objects of seed"):
        formats.npz({"seed": np.array(None)})


@pytest.mark.parametrize("resolution", [32, 128, 512])
def test_voxel_indices_come_back_from_float32_centres(resolution: int) -> None:
    generator = np.random.default_rng(resolution)
    ijk = np.unique(generator.integers(-resolution // 2, resolution // 2, (4000, 3)), axis=0)
    size = np.float32(1 / resolution)
    xyz = (ijk.astype(np.float32) + np.float32(0.5)) * size
    np.testing.assert_array_equal(formats.voxel_indices(xyz), ijk)


@pytest.mark.parametrize("count", [0, 1])
def test_too_few_voxels_to_measure_give_zeros(count: int) -> None:
    assert formats.voxel_indices(np.full((count, 3), 0.25, np.float32)).tolist() == [[0, 0, 0]] * count
