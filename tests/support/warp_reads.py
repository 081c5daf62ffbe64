"""Runs where NVIDIA Warp is installed: what it finds in a NanoVDB file, as NPZ beside it."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import warp as wp

wp.config.quiet = True


@wp.kernel
def look(volume: wp.uint64, at: wp.array(dtype=wp.vec3i), found: wp.array(dtype=wp.float32)):
    place = at[wp.tid()]
    found[wp.tid()] = wp.volume_lookup_f(volume, place[0], place[1], place[2])


path = Path(sys.argv[1])
with path.open("rb") as file:
    volume = wp.Volume.load_from_nvdb(file, device="cpu")
low, high = int(sys.argv[2]), int(sys.argv[3])
places = np.stack(np.meshgrid(*[np.arange(low, high)] * 3, indexing="ij"), axis=-1).reshape(-1, 3).astype(np.int32)
values = wp.zeros(len(places), dtype=wp.float32, device="cpu")
wp.launch(look, len(places), [volume.id, wp.array(places, dtype=wp.vec3i, device="cpu"), values], device="cpu")
info = volume.get_grid_info()
np.savez(
    path.with_suffix(".npz"),
    places=places[values.numpy() == 1.0],
    other=places[(values.numpy() != 1.0) & (values.numpy() != 0.0)],
    edge=volume.get_voxel_size(),
    origin=np.array(info.translation),
    name=info.name,
)
