"""Accept-Encoding as RFC 9110 has it, and which formats are worth compressing."""

from __future__ import annotations

import gzip
import zipfile

import numpy as np
import pytest

from api.http.compression import COMPRESSIBLE
from api.http.encodings import wish_of
from formats import FORMATS, file_of
from models.shape import Shape, Voxels


@pytest.mark.parametrize(
    ("header", "encoding"),
    [
        (None, None),
        ("", None),
        ("gzip", "gzip"),
        ("x-gzip", "gzip"),
        ("GZip;Q=0.5", "gzip"),
        ("gzip, zstd", "zstd"),
        ("gzip, deflate, br, zstd", "zstd"),
        ("gzip;q=1.0, zstd;q=0.9", "gzip"),
        ("zstd;q=0, gzip;q=0.1", "gzip"),
        ("*", "gzip"),
        ("*;q=0.5, gzip;q=0", None),
        ("*;q=0", None),
        ("br, deflate", None),
        ("identity, gzip;q=0.5", None),
        ("identity;q=0.5, gzip", "gzip"),
        ("gzip;q=2, zstd;q=x, ;, =", None),
        ("gzip;q=0.000", None),
    ],
)
def test_the_encoding_that_is_liked_most_is_taken(header: str | None, encoding: str | None) -> None:
    wish = wish_of(header)
    assert (wish.encoding.name if wish.encoding else None) == encoding
    assert not wish.always


@pytest.mark.parametrize("header", ["identity;q=0, gzip", "gzip, *;q=0"])
def test_who_refuses_plain_bytes_gets_none(header: str) -> None:
    wish = wish_of(header)
    assert wish.always
    assert wish.encoding is not None
    assert wish.encoding.name == "gzip"


def test_exactly_the_formats_that_are_not_compressed_already_are_compressed() -> None:
    side = np.arange(-12, 12)
    ijk = np.stack(np.meshgrid(side, side, side, indexing="ij"), axis=-1).reshape(-1, 3)
    outer = ijk[np.abs(ijk + 0.5).max(axis=1) > 11].astype(np.int16)
    normal = (outer / np.linalg.norm(outer + 0.5, axis=1, keepdims=True)).astype(np.float32)
    shape = Shape(Voxels(outer, normal, 1 / 32), None, 1, (), "a cube")
    for format_ in FORMATS:
        content = file_of(format_, shape, "1").content
        packed = content.startswith((b"\x1f\x8b", b"\x89PNG"))  # a gzip or a picture
        if content.startswith(b"PK\x03\x04"):  # a ZIP tells how its first file is packed, 0 for not at all
            packed = int.from_bytes(content[8:10], "little") != zipfile.ZIP_STORED
        kind = format_.media_type.partition(";")[0]
        assert (kind in COMPRESSIBLE) == (not packed), format_.name
        assert packed or len(gzip.compress(content, 1)) < 0.8 * len(content), format_.name
