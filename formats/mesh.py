"""Files of a surface: GLB, and OBJ and STL, written by trimesh.

Functions import trimesh themselves: that takes more than a second, and most processes that import the formats, such as
those that hold models, never write a mesh.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from formats.about import NAME, About
from formats.gltf import glb_file, linear
from formats.surface import Surface

if TYPE_CHECKING:
    from trimesh import Trimesh

_STL_HEADER = 80
_MATERIAL = {"pbrMetallicRoughness": {"metallicFactor": 0.0, "roughnessFactor": 0.8}}


def glb(surface: Surface, colour: NDArray[np.uint8], about: About) -> bytes:
    """A binary glTF of the surface with normals and colours.

    Args:
        surface: The surface, of V vertices.
        colour: Of each vertex, sRGB, [V, 3].
        about: What is told of it.
    """
    attributes = {
        "POSITION": surface.vertices.astype("<f4"),
        "NORMAL": surface.normals.astype("<f4"),
        "COLOR_0": linear(colour),
    }
    return glb_file(about, attributes, surface.faces.astype("<u4").reshape(-1), _MATERIAL)


def obj(surface: Surface, about: About) -> bytes:
    """A Wavefront OBJ of one object, the surface with normals; its first comments are what is told of it."""
    from trimesh.exchange.obj import export_obj

    text = export_obj(_mesh(surface), include_normals=True, include_color=False, digits=6, header=None)
    name = re.sub(r"\s", "_", about.title())
    return "\n".join([*(f"# {line}" for line in about.lines()), f"o {name}", str(text)]).encode()


def stl(surface: Surface, about: About) -> bytes:
    """A binary STL of the surface; what of its prompt has room stands in the header, after seed and version."""
    from trimesh.exchange.stl import export_stl

    told = f"{NAME} {about.version}, seed {about.seed}: {about.title()}".encode("ascii", "replace")
    return told[:_STL_HEADER].ljust(_STL_HEADER, b"\0") + export_stl(_mesh(surface))[_STL_HEADER:]


def _mesh(surface: Surface) -> Trimesh:
    from trimesh import Trimesh

    return Trimesh(surface.vertices, surface.faces, vertex_normals=surface.normals, process=False, validate=False)
