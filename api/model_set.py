"""The file behind XCUBE_CONFIG: models in folders of the user's choice, in place of those in the model store.

    text: models/my_text        # folders in our own format, relative to this file
    coarse: models/my_coarse
    fine: null                  # serve without a fine model

What the file does not name comes from the store as usual, but for the turbo pair, turbo_coarse and turbo_fine, of
models that the file names: that has to be named as well.
"""

from __future__ import annotations

from pathlib import Path
from reprlib import repr as short

from models.files import NotYamlError, read_yaml

KINDS = ("text", "coarse", "fine", "turbo_coarse", "turbo_fine")
FILES = ("config.yaml", "model.safetensors")


def read_model_set(path: Path) -> dict[str, Path | None]:
    """The folders that a file names.

    Raises:
        ValueError: what is wrong with the file, as the end of a sentence.
    """
    try:
        values = read_yaml(path)
    except NotYamlError as error:
        raise ValueError(f"is {error}") from None
    if not isinstance(values, dict) or not values:
        raise ValueError("does not hold a mapping with text, coarse or fine")
    folders: dict[str, Path | None] = {}
    for kind, folder in values.items():
        if kind not in KINDS:
            raise ValueError(f"names {short(kind)}, which is not one of {', '.join(KINDS)}")
        if folder is None and kind not in ("text", "coarse"):
            folders[kind] = None
            continue
        if not isinstance(folder, str):
            raise ValueError(f"does not name a folder for {kind}")
        folders[kind] = found = path.parent / folder
        if missing := next((name for name in FILES if not (found / name).is_file()), None):
            raise ValueError(f"names the folder {folder} for {kind}, which has no {missing}")
    return folders
