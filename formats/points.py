"""Files of points with normals: PLY for viewers and mesh tools, NPZ for Python. Arrays are float32 [N, 3]."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterable, Mapping

import numpy as np
from numpy.typing import NDArray

_QUICK = 1
"""Level of deflate. NumPy's own 6 takes longer and makes no smaller file of voxel indices."""
_PLY_HEADER = """\
ply
format binary_little_endian 1.0
{comments}element vertex {count}
property float x
property float y
property float z
property float nx
property float ny
property float nz
{colours}end_header
"""


_PLY_COLOURS = """\
property uchar red
property uchar green
property uchar blue
"""


def ply(
    xyz: NDArray[np.floating],
    normal: NDArray[np.floating],
    colour: NDArray[np.uint8] | None = None,
    comments: Iterable[str] = (),
) -> bytes:
    """A binary little-endian PLY point cloud of positions, normals and, if there are any, colours, all [N, 3].

    Comments are lines of ASCII.

    Raises:
        ValueError: the shapes are not all [N, 3].
    """
    shapes = [array.shape for array in (xyz, normal, colour) if array is not None]
    if shapes != [(len(xyz), 3)] * len(shapes):
        raise ValueError(f"A PLY file needs arrays of shape [N, 3], not {', '.join(map(str, shapes))}.")
    columns = [("xyz", "<f4", 3), ("normal", "<f4", 3), ("colour", "u1", 3)][: len(shapes)]
    rows = np.empty(len(xyz), columns)
    rows["xyz"], rows["normal"] = xyz, normal
    if colour is not None:
        rows["colour"] = colour
    told = "".join(f"comment {comment}\n" for comment in comments)
    header = _PLY_HEADER.format(comments=told, count=len(xyz), colours="" if colour is None else _PLY_COLOURS)
    return header.encode() + rows.tobytes()


def npz(arrays: Mapping[str, NDArray[np.generic]]) -> bytes:
    """An NPZ file of named arrays; `numpy.load` reads it without pickle.

    Whole numbers are compressed, to about a third of their size. Floating-point numbers are stored as they are:
    normals would take twice as long as all else and become only 10 to 17 % smaller.

    Raises:
        ValueError: an array holds Python objects.
    """
    if objects := [name for name, array in arrays.items() if array.dtype.hasobject]:
        raise ValueError(f"An NPZ file holds numbers and strings only, not the Python objects of {', '.join(objects)}.")
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, array in arrays.items():
            file = io.BytesIO()
            np.lib.format.write_array(file, np.asanyarray(array), allow_pickle=False)
            kind = zipfile.ZIP_STORED if array.dtype.kind == "f" else zipfile.ZIP_DEFLATED
            archive.writestr(zipfile.ZipInfo(f"{name}.npy"), file.getbuffer(), kind, _QUICK)
    return buffer.getvalue()


def voxel_indices(xyz: NDArray[np.floating]) -> NDArray[np.int64]:
    """Integer positions [N, 3] of voxel centres xyz = (ijk + 0.5) · size [N, 3], the size being read off the centres.

    The size is the smallest gap between two coordinates of one axis, so it needs two voxels that are neighbours along
    some axis, as any connected shape has; without any gap (one voxel) the indices are zeros.
    """
    gaps = np.concatenate([np.diff(np.unique(axis)) for axis in xyz.astype(np.float64).T] or [np.zeros(0)])
    # float32 centres of one plane are equal to the last bit or differ by far less than a voxel.
    gaps = gaps[gaps > 1e-5]
    if len(gaps) == 0:
        return np.zeros(xyz.shape, np.int64)
    indices: NDArray[np.int64] = np.rint(xyz / gaps.min() - 0.5).astype(np.int64)
    return indices
