"""Several files as one: a ZIP whose bytes depend on the files alone."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping

_LEVEL = 1
"""Of compression: higher ones take much longer and save little."""


def zipped(files: Mapping[str, bytes]) -> bytes:
    """A ZIP of files by name, without dates."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=_LEVEL) as archive:
        for name, content in files.items():
            archive.writestr(zipfile.ZipInfo(name), content, zipfile.ZIP_DEFLATED, _LEVEL)
    return buffer.getvalue()
