"""USDZ, which phones and headsets show in the room: a ZIP with a surface as a text layer of USD, and its colours.

The specification (Pixar, "Usdz File Format Specification", 1.3) wants entries that are not compressed and begin at
multiples of 64 bytes, the layer first. Apple's Quick Look shows no colours of vertices: a picture holds the palette,
and each triangle has the colour of its first vertex.
"""

from __future__ import annotations

import io
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from formats.about import NAME, About
from formats.rows import rows
from formats.surface import Surface
from formats.zipping import aligned

_ALIGNMENT = 64
_PLACES, _TURNS = 5, 3
"""Decimals of positions in metres, and of normals."""
_COLUMNS = 16
"""Colours beside each other in the picture, which has as many rows: a palette has at most 255."""
_CELL = 4
"""Pixels of a colour each way: what compresses pictures for graphics takes blocks of as many."""
_HEAD = """\
#usda 1.0
(
    customLayerData = {{
{facts}    }}
    defaultPrim = "{name}"
    metersPerUnit = 1
    upAxis = "Y"
)

def Xform "{name}" (
    assetInfo = {{
        string name = "{title}"
    }}
    kind = "component"
)
{{
    def Mesh "surface" (
        prepend apiSchemas = ["MaterialBindingAPI"]
    )
    {{
        float3[] extent = [{extent}]
        rel material:binding = </{name}/material>
        uniform token subdivisionScheme = "none"
"""
_TAIL = """\
    }}

    def Material "material"
    {{
        token outputs:surface.connect = </{name}/material/surface.outputs:surface>

        def Shader "surface"
        {{
            uniform token info:id = "UsdPreviewSurface"
            color3f inputs:diffuseColor.connect = </{name}/material/colours.outputs:rgb>
            float inputs:metallic = 0
            float inputs:roughness = 0.8
            token outputs:surface
        }}

        def Shader "colours"
        {{
            uniform token info:id = "UsdUVTexture"
            asset inputs:file = @colours.png@
            token inputs:sourceColorSpace = "sRGB"
            float2 inputs:st.connect = </{name}/material/place.outputs:result>
            token inputs:wrapS = "clamp"
            token inputs:wrapT = "clamp"
            float3 outputs:rgb
        }}

        def Shader "place"
        {{
            uniform token info:id = "UsdPrimvarReader_float2"
            string inputs:varname = "st"
            float2 outputs:result
        }}
    }}
}}
"""


def usdz(surface: Surface, colour: NDArray[np.uint8], about: About) -> bytes:
    """A USDZ package of one mesh, the surface, with normals and colours; lengths are metres, and y is up.

    Args:
        surface: The surface, of V vertices.
        colour: Of each vertex, sRGB, [V, 3]; at most 256 different ones.
        about: What is told of it: its prompt is the name of its prim, and the facts are the layer's custom data.

    Raises:
        ValueError: the surface has no triangle.
    """
    if not len(surface.faces):
        raise ValueError("the shape has no voxel: there is nothing to write")
    colours, index = np.unique(colour[surface.faces[:, 0]], axis=0, return_inverse=True)
    layer = _layer(surface, index.reshape(-1), len(colours), about)
    return aligned({"shape.usda": layer, "colours.png": [_picture(colours)]}, _ALIGNMENT)


def _layer(surface: Surface, colour: NDArray[np.int64], colours: int, about: About) -> Iterator[bytes]:
    """The layer in pieces, of triangles with colours [F]."""
    told = {"creator": f"{NAME} {about.version}", **about.facts(), "voxel_size": str(about.voxel_size)}
    facts = "".join(f'        string {name} = "{_escaped(text)}"\n' for name, text in told.items())
    name = about.identifier()
    low, high = surface.vertices.min(axis=0).tolist(), surface.vertices.max(axis=0).tolist()
    extent = f"{tuple(low)}, {tuple(high)}"
    yield _HEAD.format(name=name, title=_escaped(about.title()), facts=facts, extent=extent).encode()
    faces = surface.faces.astype(np.int64)
    yield from _array("int[] faceVertexCounts", rows("{},", np.full((len(faces), 1), 3)))
    yield from _array("int[] faceVertexIndices", rows("{},{},{},", faces, blank=True))
    yield from _array("point3f[] points", rows("({},{},{}),", _whole(surface.vertices, _PLACES), _PLACES, blank=True))
    normals = rows("({},{},{}),", _whole(surface.normals, _TURNS), _TURNS, blank=True)
    yield from _array("normal3f[] normals", normals, "vertex")
    column, row = np.arange(colours) % _COLUMNS, np.arange(colours) // _COLUMNS
    places = (np.stack([column, _COLUMNS - 1 - row], axis=1) + 0.5) / _COLUMNS
    yield from _array(
        "texCoord2f[] primvars:st", rows("({},{}),", _whole(places, _PLACES), _PLACES, blank=True), "faceVarying"
    )
    yield from _array("int[] primvars:st:indices", rows("{},{},{},", np.repeat(colour[:, None], 3, axis=1), blank=True))
    yield _TAIL.format(name=name).encode()


def _array(name: str, values: Iterator[bytes], interpolation: str | None = None) -> Iterator[bytes]:
    yield f"        {name} = [".encode()
    last = b""
    for piece in values:
        yield last
        last = piece
    yield last[:-1] + b"]"  # a comma may stand between values only
    yield b"\n" if interpolation is None else f' (interpolation = "{interpolation}")\n'.encode()


def _whole(values: NDArray[np.floating], decimals: int) -> NDArray[np.int64]:
    whole: NDArray[np.int64] = np.rint(values.astype(np.float64) * 10**decimals).astype(np.int64)
    return whole


def _picture(colours: NDArray[np.uint8]) -> bytes:
    """A PNG of colours [n, 3], row by row."""
    cells = np.zeros((_COLUMNS * _COLUMNS, 3), np.uint8)
    cells[: len(colours)] = colours
    pixels = cells.reshape(_COLUMNS, _COLUMNS, 3).repeat(_CELL, axis=0).repeat(_CELL, axis=1)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format="PNG")
    return buffer.getvalue()


def _escaped(text: str) -> str:
    """A text between quotes; what cannot be shown becomes a question mark."""
    shown = "".join(letter if letter.isprintable() or letter == "\n" else "?" for letter in text)
    return shown.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
