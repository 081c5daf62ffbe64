"""Files of a surface: GLB, OBJ and STL, written by trimesh.

Functions import trimesh themselves: that takes more than a second, and most processes that import the formats, such as
those that hold models, never write a mesh.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from formats.surface import Surface

if TYPE_CHECKING:
    from trimesh import Trimesh

_VERTICES, _INDICES = 34962, 34963
"""Kinds of buffer in glTF."""


def glb(surface: Surface, colour: NDArray[np.uint8], about: dict[str, Any]) -> bytes:
    """A binary glTF of the surface with normals and colours; `about` becomes the extras of its asset.

    Args:
        surface: The surface, of V vertices.
        colour: Of each vertex, sRGB, [V, 3].
        about: What is told of it.
    """
    from trimesh import Scene
    from trimesh.exchange.gltf import export_glb
    from trimesh.visual import ColorVisuals

    def describe(tree: dict[str, Any]) -> None:
        tree["asset"] |= {"generator": "xcube-serve", "extras": about}
        # trimesh's default material is a mirror of dark metal.
        tree["materials"] = [
            {
                "pbrMetallicRoughness": {
                    "baseColorFactor": [1.0, 1.0, 1.0, 1.0],
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
    mesh = _mesh(surface)
    mesh.visual = ColorVisuals(mesh, vertex_colors=_linear(colour))
    scene.add_geometry(mesh, node_name="shape", geom_name="shape")
    content: bytes = export_glb(scene, include_normals=True, tree_postprocessor=describe)
    return content


def _linear(colour: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Colours as glTF has them at vertices: of linear light, with an opacity, [V, 4]."""
    srgb = np.arange(256) / 255.0
    light = np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)
    rgba = np.full((len(colour), 4), 255, np.uint8)
    rgba[:, :3] = np.rint(255.0 * light).astype(np.uint8)[colour]
    return rgba


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
