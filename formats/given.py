"""Shapes of others as coarse voxels: points, arrays, files of voxels and meshes. Loads no torch.

Functions import what reads meshes themselves: it takes a second, which a service has no use for until it is given one.
"""

from __future__ import annotations

import io
import tempfile
import zipfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from formats.editing import merged
from formats.ply_points import read_ply_points
from models.errors import MeshError
from models.shape import Voxels

KINDS = ("npz", "vox", "ply", "glb", "obj", "stl", "off", "3mf")
"""Files that can be given. glTF is not among them: it names other files."""
MOST_UNPACKED = 256 * 2**20
"""Bytes of everything in a ZIP, which NPZ and 3MF are."""
_UNIT = 1e-3
"""A normal whose length differs from 1 by less is left as it is, to the last bit."""
Floats = NDArray[np.floating]


def from_points(xyz: Floats, normal: Floats | None, resolution: int) -> Voxels:
    """The voxels of a grid that hold points.

    Args:
        xyz: Points in world units, within [-0.5, 0.5], [N, 3]; +y is up.
        normal: Their normals, [N, 3]; without them they are estimated.
        resolution: Voxels of the grid along each axis.

    Raises:
        MeshError: there is no point, one is no number or outside, or there are not as many normals.
    """
    if not len(xyz):
        raise MeshError("has no voxel: send at least one")
    if normal is not None and len(normal) != len(xyz):
        raise MeshError(f"has {len(xyz):,} points and {len(normal):,} normals: send a normal for each point, or none")
    if not (np.isfinite(xyz).all() and (normal is None or np.isfinite(normal).all())):
        raise MeshError("has coordinates or normals that are no finite numbers: leave those points out")
    if np.abs(xyz).max() > 0.5:
        raise MeshError("has points outside of [-0.5, 0.5]: scale it, or send it as a file, which is scaled")
    half = resolution // 2
    ijk = np.floor(np.asarray(xyz, np.float64) * resolution).astype(np.int64).clip(-half, half - 1)
    if normal is None:
        ijk = np.unique(ijk, axis=0)
        return Voxels(ijk.astype(np.int16), estimated_normals(ijk), 1 / resolution)
    return merged(ijk, _unit(np.asarray(normal, np.float32)), 1 / resolution)


def from_file(content: bytes, kind: str, resolution: int, up: str | None = None) -> Voxels:
    """The coarse voxels of a file.

    Args:
        content: The file.
        kind: Its format, one of KINDS.
        resolution: Voxels of the grid along each axis.
        up: The axis that is up in it, "y" or "z". None: what is usual, which is z for VOX, STL, 3MF and points in PLY.

    Raises:
        MeshError: it cannot be read, or holds nothing that could be used; a sentence without its subject.
    """
    from formats.meshes import prepare, read_mesh
    from formats.meshes.preparing import FACTOR

    if kind in ("npz", "3mf"):
        _check_zip(content)
    if kind == "npz" and (found := _own_npz(content, resolution)) is not None:
        return found
    if kind == "ply" and (points := read_ply_points(content)) is not None:
        xyz, normal = (None if each is None else _upright(each, up or "z") for each in points)
        assert xyz is not None
        return from_points(_fitted(xyz), normal, resolution)
    if kind == "glb" and b'"uri"' in content:
        raise MeshError("names other files: export it as one GLB with everything in it")
    with tempfile.NamedTemporaryFile(suffix=f".{kind}") as file:
        file.write(content)
        file.flush()
        path = Path(file.name)
        if kind == "vox":
            return _on_grid(_voxels_of(path, up or "z"), resolution)
        return prepare(read_mesh(path, up), resolution * FACTOR).coarse


def estimated_normals(ijk: NDArray[np.int64]) -> NDArray[np.float32]:
    """Outward unit normals of the voxels of a shell [N, 3], from where its inside is near each of them."""
    from scipy.ndimage import binary_fill_holes, gaussian_filter

    low = ijk.min(0) - 3
    mask = np.zeros(ijk.max(0) - low + 4, np.bool_)
    at = tuple((ijk - low).T)
    mask[at] = True
    smooth = gaussian_filter(binary_fill_holes(mask).astype(np.float32), 1.0)
    return _unit(-np.stack([slope[at] for slope in np.gradient(smooth)], axis=1))


def _unit(normal: NDArray[np.float32]) -> NDArray[np.float32]:
    """Normals of length 1; one without a direction becomes +y."""
    length = np.linalg.norm(normal.astype(np.float64), axis=1, keepdims=True)
    scaled = np.where(length > 1e-6, normal / np.maximum(length, 1e-6), np.array([0.0, 1.0, 0.0]))
    return np.where(np.abs(length - 1) < _UNIT, normal, scaled).astype(np.float32)


def _upright(vectors: Floats, up: str) -> Floats:
    return vectors if up == "y" else np.stack([vectors[:, 0], vectors[:, 2], -vectors[:, 1]], axis=1)


def _fitted(xyz: Floats) -> Floats:
    """Points as they are where they lie in the cube, else moved and scaled into it."""
    from formats.meshes.preparing import LONGEST

    if not len(xyz) or not np.isfinite(xyz).all() or np.abs(xyz).max() <= 0.5:
        return xyz
    wide = np.asarray(xyz, np.float64)
    low, high = wide.min(0), wide.max(0)
    return (wide - (low / 2 + high / 2)) * (LONGEST / (high - low).max())  # type: ignore[no-any-return]


def _check_zip(content: bytes) -> None:
    """Refuses what would be much larger unpacked, before any of it is."""
    try:
        size = sum(entry.file_size for entry in zipfile.ZipFile(io.BytesIO(content)).infolist())
    except (zipfile.BadZipFile, ValueError, NotImplementedError, OSError) as error:
        raise MeshError("cannot be read, since it is no whole ZIP: export it again") from error
    if size > MOST_UNPACKED:
        raise MeshError(f"has {size:,} bytes unpacked, and {MOST_UNPACKED:,} are the most: send less")


def _own_npz(content: bytes, resolution: int) -> Voxels | None:
    """Voxels from an NPZ as this service writes it, or with arrays `xyz` and, if there are any, `normal`."""
    arrays = {}
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        for name in archive.namelist():
            arrays[name.removesuffix(".npy")] = (archive, name)
        if "coarse_ijk" in arrays:
            ijk = _array(*arrays["coarse_ijk"])
            size = _array(*arrays["coarse_voxel_size"]) if "coarse_voxel_size" in arrays else np.array(1 / resolution)
            if size.size != 1 or not 1e-4 <= float(size.reshape(())) <= 1:
                raise MeshError("has a coarse_voxel_size that is none: send the edge of a voxel in world units")
            xyz, normal = (ijk.astype(np.float64) + 0.5) * float(size.reshape(())), "coarse_normal"
        elif "xyz" in arrays:
            xyz, normal = _array(*arrays["xyz"]).astype(np.float64), "normal"
        else:
            return None
        normals = _array(*arrays[normal]).astype(np.float32) if normal in arrays else None
    for each in (xyz, normals):
        if each is not None and (each.ndim != 2 or each.shape[1] != 3):
            raise MeshError(f"has an array of {each.shape}: send points and normals as [N, 3]")
    return from_points(xyz, normals, resolution)


def _array(archive: zipfile.ZipFile, name: str) -> NDArray[np.generic]:
    """An array of numbers, no larger than the bytes that are there."""
    try:
        data = archive.read(name)
        file = io.BytesIO(data)
        version = np.lib.format.read_magic(file)
        reader = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, _, dtype = reader(file)
        if dtype.kind not in "iuf" or int(np.prod(shape, dtype=object)) * dtype.itemsize > len(data):
            raise ValueError(f"{name} is no array of numbers")
        return np.lib.format.read_array(io.BytesIO(data), allow_pickle=False)
    except Exception as error:
        why = " ".join(f"{type(error).__name__}: {error}".split())[:120]
        raise MeshError(f"cannot be read ({why}): write it with numpy.savez again") from error


def _voxels_of(path: Path, up: str) -> NDArray[np.int64]:
    from formats.meshes.voxel_files import vox_voxels

    try:
        ijk = vox_voxels(path)
    except MeshError:
        raise
    except Exception as error:  # whatever is in a file of others
        raise MeshError("cannot be read: export it again from MagicaVoxel") from error
    if not len(ijk):
        raise MeshError("has no voxel: send at least one")
    return ijk if up == "y" else np.stack([ijk[:, 0], ijk[:, 2], -ijk[:, 1] - 1], axis=1)


def _on_grid(ijk: NDArray[np.int64], resolution: int) -> Voxels:
    """Voxels in the middle of a grid; where they are too many for it, two, four, … along each axis become one."""
    factor, low = 1, ijk.min(0)
    while int((ijk.max(0) // factor - low // factor).max()) >= resolution:
        factor *= 2
    ijk = np.unique(ijk // factor, axis=0)
    ijk -= (ijk.min(0) + ijk.max(0) + 1) // 2
    ijk = ijk.clip(-(resolution // 2), resolution // 2 - 1)
    return Voxels(ijk.astype(np.int16), estimated_normals(ijk), 1 / resolution)
