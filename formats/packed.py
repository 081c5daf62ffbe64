"""Voxels as few bytes, for clients that draw them: indices without loss, normals rounded to a 127th."""

from __future__ import annotations

import struct
import zlib

import numpy as np

from models.shape import Voxels

_GZIP = 16 + zlib.MAX_WBITS
_LEVEL = 6


def pack(voxels: Voxels) -> bytes:
    """The voxels in gzip: size (float32), count N (uint32); i, j, k as int16 [N] each; x, y, z as int8 [N] each.

    All numbers are little-endian. Each index is the difference to the one before, modulo 2 ** 16, and the first to 0.
    """
    differences = np.diff(voxels.ijk, axis=0, prepend=np.zeros((1, 3), np.int16))
    normals = np.rint(voxels.normal * 127).astype(np.int8)
    parts = (
        struct.pack("<fI", voxels.voxel_size, len(voxels)),
        np.ascontiguousarray(differences.T).astype("<i2").tobytes(),
        np.ascontiguousarray(normals.T).tobytes(),
    )
    compressor = zlib.compressobj(_LEVEL, wbits=_GZIP)
    return b"".join([*(compressor.compress(part) for part in parts), compressor.flush()])
