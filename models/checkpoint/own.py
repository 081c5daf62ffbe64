"""Our own format: a folder with config.yaml and model.safetensors."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from models.checkpoint.source import ENCODER, Source, check_shapes, encoder_shapes, expected_shapes
from models.config import Config, load_config, save_config
from models.errors import CheckpointError
from models.files import check_regular
from models.loading import CONFIG_FILE, WEIGHTS_FILE


def open_own(folder: Path) -> Source:
    """The model in a folder of our own format, every name and shape checked; no weights are read yet.

    Raises ConfigError or CheckpointError, naming file and key.
    """
    config = load_config(folder / CONFIG_FILE)
    path = folder / WEIGHTS_FILE
    try:
        check_regular(path)
        file: Any = safe_open(path, framework="pt")
        shapes = {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118
    except (OSError, SafetensorError) as error:
        raise CheckpointError(
            f"{path}: not a readable safetensors file ({error}); download or train it again"
        ) from error
    expected = expected_shapes(config, folder / CONFIG_FILE)
    if any(name.startswith(ENCODER) for name in shapes):
        expected |= encoder_shapes(config)
    check_shapes(path, shapes, expected)

    def read(name: str) -> Tensor:
        tensor: Tensor = file.get_tensor(name)
        return tensor

    return Source(path, config, {name: name for name in shapes}, read, _fingerprint(folder))


def write_own(folder: Path, config: Config, tensors: Mapping[str, Tensor]) -> None:
    """Writes a model in our own format into an existing folder."""
    save_config(config, folder / CONFIG_FILE)
    save_file(dict(tensors), folder / WEIGHTS_FILE)


def _fingerprint(folder: Path) -> str:
    """A digest of configuration, tensor table, size and time of change: the weights may be gigabytes."""
    path = folder / WEIGHTS_FILE
    status = path.stat()
    digest = hashlib.blake2b((folder / CONFIG_FILE).read_bytes(), digest_size=20)
    digest.update(f"{status.st_size} {status.st_mtime_ns}".encode())
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        digest.update(file.read(length))
    return digest.hexdigest()
