"""A model about to be imported: its configuration, and its tensors under our names, read one at a time."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor, nn

from models.config import Config, DenseUNetConfig, StageConfig, StudentConfig, TextConfig, kind_of
from models.dense import DenseUNet
from models.errors import CheckpointError
from models.loading import building, is_finite
from models.quantisation import with_scales
from models.sparse import SparseUNet
from models.text import TextEncoder
from models.vae import Decoder
from models.vae_encoder import Encoder

SCALE_FACTOR = "scale_factor"
ENCODER = "encoder."
"""What the names of a stage's encoder begin with, which may be left out: it is there to train on, not to be served."""


@dataclass(frozen=True)
class Source:
    """One model. `keys` maps our names to those in the file `path`; `read` takes one of ours and gives the tensor.

    `fingerprint` tells whether the same content has been imported before, without reading it whole.
    """

    path: Path
    config: Config
    keys: Mapping[str, str]
    read: Callable[[str], Tensor]
    fingerprint: str
    warnings: tuple[str, ...] = ()

    @property
    def kind(self) -> str:
        """text, coarse, fine, turbo_coarse or turbo_fine."""
        return kind_of(self.config)

    def tensor(self, name: str) -> Tensor:
        """A tensor by our name, contiguous. Raises CheckpointError if it holds NaN or infinity."""
        tensor = self.read(name).contiguous()
        if not is_finite(tensor):
            raise CheckpointError(
                f"{self.path}: {self.keys[name]} holds NaN or infinity; download the file again or use another one"
            )
        if name == SCALE_FACTOR and not float(tensor) > 0:
            raise CheckpointError(
                f"{self.path}: {SCALE_FACTOR} is {float(tensor)} but must be positive; use another file"
            )
        return tensor


def expected_shapes(config: Config, source: Path | str = "configuration") -> dict[str, tuple[int, ...]]:
    """Names and shapes of all tensors that a model of this configuration has in our format.

    Raises:
        ConfigError: There is no such model; the text names the file `source` of the configuration.
    """
    with building(source):
        if isinstance(config, TextConfig):
            return _shapes(TextEncoder(config), "")
        unet = DenseUNet(config.unet) if isinstance(config.unet, DenseUNetConfig) else SparseUNet(config.unet)
        if isinstance(config, StudentConfig):
            return with_scales(_shapes(unet, "unet."))
        return {**_shapes(unet, "unet."), **_shapes(Decoder(config.vae), "vae."), SCALE_FACTOR: ()}


def encoder_shapes(config: Config) -> dict[str, tuple[int, ...]]:
    """Names and shapes of the tensors that a model of this configuration has on top if it holds its encoder."""
    return _shapes(Encoder(config.vae), ENCODER) if isinstance(config, StageConfig) else {}


def check_shapes(
    path: Path,
    found: Mapping[str, tuple[int, ...]],
    expected: Mapping[str, tuple[int, ...]],
    key: Callable[[str], str] = lambda name: name,
) -> None:
    """Compares names and shapes, both under our names; `key` gives the name that the file uses.

    Raises CheckpointError for the first tensor that is missing, has another shape or belongs to no layer.
    """
    for name, shape in expected.items():
        if name not in found:
            raise CheckpointError(f"{path}: {key(name)} is missing; download the file again or use the published one")
        if tuple(found[name]) != shape:
            raise CheckpointError(
                f"{path}: {key(name)} has shape {list(found[name])} where the configuration asks for {list(shape)}; "
                "use the config.yaml that was published with this file"
            )
    if unknown := sorted(set(found) - set(expected)):
        raise CheckpointError(
            f"{path}: {key(unknown[0])} belongs to no layer of the configuration; "
            "use the config.yaml that was published with this file"
        )


def _shapes(module: nn.Module, prefix: str) -> dict[str, tuple[int, ...]]:
    return {prefix + name: tuple(tensor.shape) for name, tensor in module.state_dict().items()}
