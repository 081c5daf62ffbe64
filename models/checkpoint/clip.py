"""The official models' text tower, out of an open_clip checkpoint: a file, or a name that open_clip downloads."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from torch import Tensor

from models._open_clip import open_clip
from models.checkpoint.archive import TorchArchive
from models.checkpoint.source import Source
from models.checkpoint.unpickle import TensorRecord, is_name
from models.config import FORMAT_VERSION
from models.errors import CheckpointError
from models.files import check_regular
from models.text import VIT_H_14, TextEmbedding, TextEncoder

OFFICIAL_NAME = "laion/CLIP-ViT-H-14-laion2B-s32B-b79K"
FILE_NAMES = ("open_clip_model.safetensors", "open_clip_pytorch_model.bin", "model.safetensors")

# Mean, standard deviation, L2 norm and first values of the two rows (begin, end of text) of the empty prompt's
# embedding that was published with the official models.
_NULL_ROWS = (
    (-0.183097, 0.507398, 17.25406, (-0.31343, -0.44757, -0.00824, -0.22799, 0.17857, -0.23428, -0.2189, -0.00891)),
    (-0.166029, 1.029099, 33.34110, (1.41136, 0.00758, -0.42884, 0.08961, 0.02278, -0.03503, -1.09896, 0.19411)),
)
_TOLERANCE = 0.01


def open_clip_tower(place: str) -> Source:
    """The text tower of a CLIP model: `place` is a file, a folder with one, or a name on the Hugging Face hub.

    A tower of ViT-H-14's size must give the official models' embedding of the empty prompt. Raises CheckpointError
    if it does not, and for files that are damaged or hold something else.
    """
    path = _find(place)
    state, content, warnings = _read(path)
    try:
        encoder = TextEncoder.from_open_clip(state)
        if encoder.config == VIT_H_14:
            check_null(encoder.null)
        else:
            warnings += [f"{path}: not ViT-H-14, which the official models expect; it was not compared with theirs"]
    except CheckpointError as error:
        raise CheckpointError(f"{path}: {error}") from error
    weights = encoder.state_dict()
    fingerprint = hashlib.blake2b(f"{FORMAT_VERSION} {content}".encode(), digest_size=20).hexdigest()
    return Source(
        path, encoder.config, {name: name for name in weights}, weights.__getitem__, fingerprint, tuple(warnings)
    )


def check_null(null: TextEmbedding) -> None:
    """Raises CheckpointError unless this is the official models' embedding of the empty prompt, within 0.01."""
    for row, (mean, deviation, norm, first) in zip(null.tokens, _NULL_ROWS, strict=True):
        found = [float(row.mean()), float(row.std()), float(row.norm() / norm), *row[:8].tolist()]
        wanted = [mean, deviation, 1.0, *first]
        furthest = max(abs(a - b) for a, b in zip(found, wanted, strict=True))
        if not furthest < _TOLERANCE:
            raise CheckpointError(
                f"its embedding of the empty prompt is {furthest:.3f} away from the official models'; "
                f"use the weights of {OFFICIAL_NAME}"
            )


def _find(place: str) -> Path:
    path = Path(place)
    if path.is_file():
        return path
    if path.is_dir():
        for name in FILE_NAMES:
            if (path / name).is_file():
                return path / name
        raise CheckpointError(f"{path}: holds none of {', '.join(FILE_NAMES)}; name the file itself")
    if place.startswith((".", "/", "~")) or place.count("/") != 1:
        raise CheckpointError(f"{place}: no such file, and not a name on the hub such as {OFFICIAL_NAME}; correct it")
    try:
        return Path(open_clip.pretrained.download_pretrained_from_hf(place.removeprefix("hf-hub:")))
    except Exception as error:  # the hub's client raises its own, many kinds of them
        raise CheckpointError(
            f"{place}: could not be downloaded ({type(error).__name__}); download it elsewhere and name the file"
        ) from error


def _read(path: Path) -> tuple[Mapping[str, Tensor], str, list[str]]:
    """The tensors of a file, memory-mapped, a digest of its content, and warnings."""
    if path.suffix != ".safetensors":
        archive = TorchArchive(path)
        contents = archive.contents.get("state_dict", archive.contents) if isinstance(archive.contents, dict) else {}
        records = contents.items() if isinstance(contents, dict) else ()
        return (
            {
                key.removeprefix("module."): archive.tensor(value)
                for key, value in records
                if isinstance(value, TensorRecord) and is_name(key) and "visual." not in key
            },
            archive.fingerprint,
            archive.warnings,
        )
    try:
        check_regular(path)
        file: Any = safe_open(path, framework="pt")
        names = [name for name in file.keys() if not name.startswith("visual.")]  # noqa: SIM118
        status = path.stat()
        return {name: file.get_tensor(name) for name in names}, f"{names} {status.st_size} {status.st_mtime_ns}", []
    except (OSError, SafetensorError) as error:
        raise CheckpointError(f"{path}: not a readable safetensors file ({error}); download it again") from error
