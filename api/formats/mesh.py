"""Files of the surface around a shape: GLB, OBJ and STL, written by trimesh."""

from __future__ import annotations

from typing import Any

import trimesh
from trimesh.exchange.gltf import export_glb
from trimesh.exchange.obj import export_obj
from trimesh.exchange.stl import export_stl

from api.formats.surface import surface
from models.result import Voxels


def glb(voxels: Voxels, about: dict[str, Any]) -> bytes:
    """A binary glTF of the surface with normals; `about` becomes the extras of its asset."""

    def describe(tree: dict[str, Any]) -> None:
        tree["asset"] |= {"generator": "xcube-serve", "extras": about}
        # trimesh's default material is a mirror of dark metal.
        tree["materials"] = [
            {
                "pbrMetallicRoughness": {
                    "baseColorFactor": [0.8, 0.76, 0.7, 1.0],
                    "metallicFactor": 0.0,
                    "roughnessFactor": 0.8,
                }
            }
        ]
        for mesh in tree["meshes"]:
            for primitive in mesh["primitives"]:
                primitive["material"] = 0

    scene = trimesh.Scene(_mesh(voxels))
    content: bytes = export_glb(scene, include_normals=True, tree_postprocessor=describe)
    return content


def obj(voxels: Voxels, about: dict[str, Any]) -> bytes:
    """A Wavefront OBJ of the surface with normals; `about` is its first comment."""
    header = "xcube-serve " + ", ".join(f"{name} {value}" for name, value in about.items())
    text = export_obj(_mesh(voxels), include_normals=True, include_color=False, digits=6, header=header)
    return str(text).encode()


def stl(voxels: Voxels) -> bytes:
    """A binary STL of the surface, in world units."""
    return export_stl(_mesh(voxels))


def _mesh(voxels: Voxels) -> trimesh.Trimesh:
    shape = surface(voxels)
    return trimesh.Trimesh(shape.vertices, shape.faces, vertex_normals=shape.normals, process=False, validate=False)
