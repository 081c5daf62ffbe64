"""Run by a Python that has Open3D: reads files, and saves what Open3D made of each as FILE.read.npz beside it."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import open3d

for path in map(Path, sys.argv[1:]):
    found = {}
    if path.suffix == ".ply":
        points = open3d.io.read_point_cloud(str(path))
        found = {"vertices": np.asarray(points.points), "normals": np.asarray(points.normals)}
    else:
        mesh = open3d.io.read_triangle_mesh(str(path))
        found = {"vertices": np.asarray(mesh.vertices).copy(), "normals": np.asarray(mesh.vertex_normals).copy()}
        # An STL names each corner of each triangle anew.
        mesh.merge_close_vertices(1e-7)
        # Not `is_watertight`: its search for triangles that cross each other finds some that only touch.
        found["closed"] = np.array(mesh.is_edge_manifold(allow_boundary_edges=False) and mesh.is_vertex_manifold())
        found["volume"] = np.linalg.det(np.asarray(mesh.vertices)[np.asarray(mesh.triangles)]).sum() / 6
    np.savez(path.with_suffix(path.suffix + ".read.npz"), **found)
