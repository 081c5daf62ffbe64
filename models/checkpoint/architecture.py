"""The architecture behind an official checkpoint: from its training configuration, else from tensor shapes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from reprlib import repr as short

from models.checkpoint.training_config import TrainingConfig
from models.config import DenseUNetConfig, ScheduleConfig, SparseUNetConfig, Stage, StageConfig, VAEConfig
from models.errors import CheckpointError, ConfigError

ASSUMED_HEADS = 8
_UNET = "network.diffuser."
_VAE = "network.unet.params."
_SCHEDULER = "network.scheduler."

Shape = Callable[[str], tuple[int, ...] | None]
"""The shape of a tensor by its official name (`unet.…` or `vae.…`), None if the file has no such tensor."""


class Shapes:
    """Shapes of one file, asked for by official name."""

    def __init__(self, path: Path, find: Shape) -> None:
        self._path, self._find = path, find

    def has(self, name: str) -> bool:
        """Whether the file has this tensor."""
        return self._find(name) is not None

    def size(self, name: str, dimension: int) -> int:
        """One side of a tensor. Raises CheckpointError, naming file and key, if it is not there."""
        shape = self._find(name)
        if shape is None:
            raise CheckpointError(f"{self._path}: {name} is missing; download the file again or use the published one")
        if dimension >= len(shape) or not shape[dimension]:
            raise CheckpointError(f"{self._path}: {name} has shape {list(shape)}; use the file of a text-to-3D model")
        return shape[dimension]


def stage_config(
    stage: Stage, training: TrainingConfig, vae_training: TrainingConfig, shapes: Shapes
) -> tuple[StageConfig, list[str]]:
    """The configuration of an official stage, and warnings about values that had to be assumed."""
    vae_values = _vae_values(vae_training, training, shapes)
    factor = 2 ** (vae_values["num_blocks"] - 1)
    voxel_size, resolution = _resolution(training, factor)
    latent_resolution = resolution // factor
    unet, warnings = _unet(stage, training, shapes, latent_resolution)
    if isinstance(unet, DenseUNetConfig):
        latent_resolution = unet.image_size
    vae = VAEConfig(**vae_values, latent_resolution=latent_resolution, dense_latent=stage == "coarse")
    schedule = _schedule(training)
    try:
        return StageConfig(stage=stage, unet=unet, vae=vae, voxel_size=voxel_size, schedule=schedule), warnings
    except ConfigError as error:
        raise ConfigError(f"{training.source}: {error}") from None


def _resolution(training: TrainingConfig, factor: int) -> tuple[float, int]:
    """Size of a voxel and number of voxels a side, both of the finest grid."""
    voxel_size, resolution = training.number("voxel_size"), training.integer("resolution")
    if resolution is None and voxel_size:
        resolution = round(1 / voxel_size)
    if resolution is None and (image_size := training.integer(_UNET + "image_size")):
        resolution = image_size * factor
    if not resolution:
        raise CheckpointError(f"{training.source}: resolution is missing; use the published config.yaml")
    return voxel_size or 1 / resolution, resolution


def _unet(
    stage: Stage, training: TrainingConfig, shapes: Shapes, latent_resolution: int
) -> tuple[DenseUNetConfig | SparseUNetConfig, list[str]]:
    sparse = stage == "fine"
    encoder, out = ("unet.encoder_blocks", "unet.out_block") if sparse else ("unet.input_blocks", "unet.out")
    heads = training.integer(_UNET + "num_heads")
    warnings = [] if heads else [f"{training.source}: num_heads is missing, {ASSUMED_HEADS} was assumed"]
    width = training.integer(_UNET + "model_channels") or shapes.size(f"{encoder}.0.0.weight", 0)
    mult = training.integers(_UNET + "channel_mult")
    blocks = training.integer(_UNET + "num_res_blocks")
    attention = training.integers(_UNET + "attention_resolutions")
    if mult is None or blocks is None or attention is None:
        inferred = _levels(sparse, shapes, width)
        mult, blocks, attention = mult or inferred[0], blocks or inferred[1], attention or inferred[2]
    context = "unet.middle_block.1.transformer_blocks.0.attn2.to_k.weight"
    values = {
        "in_channels": shapes.size(f"{encoder}.0.0.weight", 1),
        "out_channels": shapes.size(f"{out}.2.weight", 0),
        "model_channels": width,
        "num_res_blocks": blocks,
        "num_heads": heads or ASSUMED_HEADS,
        "context_dim": training.integer("context_dim", _UNET + "context_dim") or shapes.size(context, 1),
    }
    if sparse:
        return SparseUNetConfig(**values, channel_mult=mult, attention_resolutions=attention), warnings
    image_size = training.integer(_UNET + "image_size") or latent_resolution
    return DenseUNetConfig(
        **values, channel_mult=mult, attention_resolutions=attention, image_size=image_size
    ), warnings


def _levels(sparse: bool, shapes: Shapes, width: int) -> tuple[tuple[int, ...], int, tuple[int, ...]]:
    """Channel multipliers, res blocks a level and attention resolutions.

    Encoder and decoder both have levels * (blocks + 1) entries; the entries of the decoder that double the resolution
    (there are levels - 1) have a second ResBlock.
    """
    encoder, decoder = ("encoder_blocks", "decoder_blocks") if sparse else ("input_blocks", "output_blocks")

    def res_block(name: str) -> str:
        return f"unet.{name}.in_layers.2.weight"

    entries = 1
    while shapes.has(res_block(f"{encoder}.{entries}.0")):
        entries += 1
    doubling = [
        entry
        for entry in range(entries)
        if any(shapes.has(res_block(f"{decoder}.{entry}.{place}")) for place in (1, 2))
    ]
    levels = len(doubling) + 1
    blocks = entries // levels - 1
    firsts = [1 + level * (blocks + 1) for level in range(levels)]
    mult = tuple(shapes.size(res_block(f"{encoder}.{first}.0"), 0) // width for first in firsts)
    marker = "transformer_blocks.0.attn1.to_q.weight" if sparse else "norm.weight"
    attention = tuple(
        2**level for level, first in enumerate(firsts) if shapes.has(f"unet.{encoder}.{first}.1.{marker}")
    )
    return mult, blocks, attention


def _vae_values(vae: TrainingConfig, training: TrainingConfig, shapes: Shapes) -> dict[str, int]:
    """What both files call the VAE's hyper-parameters, by shape where neither does."""

    def integer(name: str) -> int | None:
        return vae.integer(name) or training.integer(name, f"vae.{name}")

    num_blocks, f_maps = integer(_VAE + "num_blocks"), integer(_VAE + "f_maps")
    if not num_blocks:
        num_blocks = 1
        while shapes.has(f"vae.unet.struct_convs.Struct-{num_blocks + 1}.OutConv.weight"):
            num_blocks += 1
    values = {
        "num_blocks": num_blocks,
        "f_maps": f_maps or shapes.size("vae.unet.normal_head.OutConv.weight", 1),
        "latent_channels": shapes.size("vae.unet.post_kl_bottleneck.post_kl_bottleneck_0.SingleConv1.Conv.weight", 1),
    }
    for name in ("in_channels", "num_groups"):
        if value := integer(_VAE + name):
            values[name] = value
    return values


def _schedule(training: TrainingConfig) -> ScheduleConfig:
    for name, served in (("prediction_type", "v_prediction"), ("beta_schedule", "linear")):
        value = training.get(name, _SCHEDULER + name)
        if value is not None and value != served:
            raise CheckpointError(
                f"{training.source}: {name} is {short(value)}, but only {served!r} is supported; "
                "use a model that has it"
            )
    default = ScheduleConfig()
    count = training.integer("num_train_timesteps", _SCHEDULER + "num_train_timesteps")
    return ScheduleConfig(
        num_train_timesteps=count or default.num_train_timesteps,
        beta_start=training.number("beta_start", _SCHEDULER + "beta_start") or default.beta_start,
        beta_end=training.number("beta_end", _SCHEDULER + "beta_end") or default.beta_end,
    )
