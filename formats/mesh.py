"""Files of a surface: GLB, OBJ and STL, written by trimesh.

Functions import trimesh themselves: that takes more than a second, and most processes that import the formats, such as
those that hold models, never write a mesh.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from formats.surface import Surface

if TYPE_CHECKING:
    from trimesh import Trimesh

_VERTICES, _INDICES = 34962, 34963
"""Kinds of buffer in glTF."""


def glb(surface: Surface, about: dict[str, Any]) -> bytes:
    """A binary glTF of the surface with normals; `about` becomes the extras of its asset."""
    from trimesh import Scene
    from trimesh.exchange.gltf import export_glb

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
                _views(tree, *primitive["attributes"].values(), target=_VERTICES)
                _views(tree, primitive["indices"], target=_INDICES)

    scene = Scene()
    scene.add_geometry(_mesh(surface), node_name="shape", geom_name="shape")
    content: bytes = export_glb(scene, include_normals=True, tree_postprocessor=describe)
    return content


def _views(tree: dict[str, Any], *accessors: int, target: int) -> None:
    """Says what the bytes of some accessors are for, which trimesh leaves to the reader to find out."""
    for accessor in accessors:
        tree["bufferViews"][tree["accessors"][accessor]["bufferView"]]["target"] = target


def obj(surface: Surface, about: dict[str, Any]) -> bytes:
    """A Wavefront OBJ of the surface with normals; `about` is its first comment."""
    from trimesh.exchange.obj import export_obj

    header = "xcube-serve " + ", ".join(f"{name} {value}" for name, value in about.items())
    text = export_obj(_mesh(surface), include_normals=True, include_color=False, digits=6, header=header)
    return str(text).encode()


def stl(surface: Surface) -> bytes:
    """A binary STL of the surface."""
    from trimesh.exchange.stl import export_stl

    return export_stl(_mesh(surface))


def _mesh(surface: Surface) -> Trimesh:
    from trimesh import Trimesh

    return Trimesh(surface.vertices, surface.faces, vertex_normals=surface.normals, process=False, validate=False)
