"""3MF, the file of 3-D printers' programs: a ZIP with a surface as XML, in millimetres and with z up.

The core specification (3MF Consortium, version 1.3) allows numbers with leading zeros. It allows plus signs too, but
PrusaSlicer reads a number with one as 0.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator
from xml.sax.saxutils import escape

import numpy as np

from formats.about import NAME, About
from formats.rows import rows
from formats.surface import Surface

_QUICK = 1
_DECIMALS = 4
_TYPES = """\
<?xml version="1.0" encoding="UTF-8"?>
<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">
<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>
<Default Extension="model" ContentType="application/vnd.ms-package.3dmanufacturing-3dmodel+xml"/>
</Types>
"""
_RELATIONS = """\
<?xml version="1.0" encoding="UTF-8"?>
<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">
<Relationship Target="/3D/3dmodel.model" Id="rel0"
 Type="http://schemas.microsoft.com/3dmanufacturing/2013/01/3dmodel"/>
</Relationships>
"""
_HEAD = """\
<?xml version="1.0" encoding="UTF-8"?>
<model unit="millimeter" xml:lang="en-US" xmlns="http://schemas.microsoft.com/3dmanufacturing/core/2015/02">
{facts}<resources><object id="1" type="model"><mesh>
<vertices>
"""
_BETWEEN = "</vertices>\n<triangles>\n"
_TAIL = '</triangles>\n</mesh></object></resources>\n<build><item objectid="1"/></build>\n</model>\n'


def three_mf(surface: Surface, about: About) -> bytes:
    """A 3MF package of one object, the surface, whose lengths are millimetres.

    Raises:
        ValueError: the surface has no triangle.
    """
    if not len(surface.faces):
        raise ValueError("the shape has no voxel: there is nothing to write")
    parts = {"[Content_Types].xml": [_TYPES.encode()], "_rels/.rels": [_RELATIONS.encode()]}
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=_QUICK) as archive:
        for name, pieces in (parts | {"3D/3dmodel.model": _model(surface, about)}).items():
            # Opened by its name, an entry has no time, so that the same surface is the same bytes.
            with archive.open(name, "w", force_zip64=True) as file:
                for piece in pieces:
                    file.write(piece)
    return buffer.getvalue()


def _model(surface: Surface, about: About) -> Iterator[bytes]:
    lengths = np.rint(surface.vertices.astype(np.float64) * 10**_DECIMALS).astype(np.int64)
    told = {"Application": f"{NAME} {about.version}", "Title": about.title(), "Description": "\n".join(about.lines())}
    facts = "".join(f'<metadata name="{name}">{_escaped(text)}</metadata>\n' for name, text in told.items())
    yield _HEAD.format(facts=facts).encode()
    yield from rows('<vertex x="{}" y="{}" z="{}"/>\n', lengths, _DECIMALS)
    yield _BETWEEN.encode()
    yield from rows('<triangle v1="{}" v2="{}" v3="{}"/>\n', surface.faces.astype(np.int64))
    yield _TAIL.encode()


def _escaped(text: str) -> str:
    """A text in XML, which cannot hold control characters at all."""
    return escape("".join(letter if letter.isprintable() or letter == "\n" else "?" for letter in text))
