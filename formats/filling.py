"""The inside of a shell: filled, or down to a wall."""

from __future__ import annotations

import numpy as np

from formats.editing import keys_of
from formats.limits import check_count
from formats.options import Fill
from formats.surface import solid
from models.shape import Voxels


def filled(voxels: Voxels, fill: Fill, thickness: int) -> Voxels:
    """The shell with its inside ("solid"), with a wall inside ("hollow"), or as it is ("shell").

    Inside is what `surface` encloses, so that a hole of a few voxels does not matter. A voxel that was not there before
    has the normal of the shell's voxel before it in its row.

    Args:
        voxels: The shell.
        fill: What becomes of its inside.
        thickness: Of the wall, in voxels, counted along the axes.

    Raises:
        ShapeError: that makes too many voxels.
    """
    if fill == "shell" or not len(voxels):
        return voxels
    from scipy.ndimage import binary_erosion

    mask, low = solid(voxels)
    if fill == "hollow":
        mask &= ~binary_erosion(mask, iterations=thickness)
        mask[tuple((voxels.ijk - low).T)] = True
    check_count(int(np.count_nonzero(mask)), f"fill={fill}")
    ijk = np.argwhere(mask) + low
    is_shell = np.isin(keys_of(ijk), keys_of(voxels.ijk))
    before = (np.cumsum(is_shell) - 1).clip(min=0)
    return Voxels(ijk.astype(np.int16), voxels.normal[before], voxels.voxel_size)
