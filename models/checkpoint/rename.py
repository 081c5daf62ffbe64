"""The names of the official checkpoints and ours, both ways, and the layout of the tensors behind them.

A name is a head (where the module sits), a leaf (what it is there) and `weight` or `bias`; each table lists
heads and leaves as (official, ours). Tensors change in two ways only: kernels of sparse convolutions are stored
with their three spatial axes as z, y, x and become x, y, z here; the dense U-Net's 1x1x1 projections become
plain matrices.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

from torch import Tensor

from models.errors import CheckpointError


@dataclass(frozen=True)
class Rule:
    """One piece of a name. `{n}` and `{m}` stand for numbers; ours has `offset` added to its `{n}`."""

    official: str
    ours: str
    offset: int = 0

    def apply(self, name: str, to_ours: bool) -> tuple[str, str] | None:
        """(translated piece, rest of the name) where `name` begins with this piece, else None."""
        source, target = (self.official, self.ours) if to_ours else (self.ours, self.official)
        found = _pattern(source).match(name)
        if found is None:
            return None
        numbers = {key: int(value) for key, value in found.groupdict().items()}
        if "n" in numbers:
            numbers["n"] += self.offset if to_ours else -self.offset
        return target.format(**numbers), name[found.end() :]


@cache
def _pattern(piece: str) -> re.Pattern[str]:
    return re.compile(re.escape(piece).replace(r"\{n\}", r"(?P<n>\d+)").replace(r"\{m\}", r"(?P<m>\d+)") + r"\.")


@dataclass(frozen=True)
class Table:
    """The names of one module tree."""

    heads: tuple[Rule, ...]
    leaves: tuple[Rule, ...]

    def ours(self, official: str) -> str | None:
        """Our name for an official one, or None if the table does not know it."""
        return next(iter(self._translate(official, to_ours=True)), None)

    def official(self, ours: str) -> list[str]:
        """The official names that become ours: two where a ResBlock and a transformer share a name."""
        return self._translate(ours, to_ours=False)

    def _translate(self, name: str, to_ours: bool) -> list[str]:
        names = []
        for head, rest in self._matches(self.heads, name, to_ours):
            leaves = [(f"{head}.{leaf}", kind) for leaf, kind in self._matches(self.leaves, rest, to_ours)]
            names += [f"{module}.{kind}" for module, kind in [(head, rest), *leaves] if kind in ("weight", "bias")]
        return names

    @staticmethod
    def _matches(rules: tuple[Rule, ...], name: str, to_ours: bool) -> list[tuple[str, str]]:
        return [found for rule in rules if (found := rule.apply(name, to_ours))]


_UNET_LEAVES = (
    Rule("in_layers.0", "norm1"),
    Rule("in_layers.2", "conv1"),
    Rule("emb_layers.1", "modulation"),
    Rule("out_layers.0", "norm2"),
    Rule("out_layers.3", "conv2"),
    Rule("skip_connection", "skip"),
    Rule("norm", "norm"),
    Rule("proj_in", "proj_in"),
    Rule("proj_out", "proj_out"),
    *(Rule(f"transformer_blocks.0.norm{i}", f"norm{i}") for i in (1, 2, 3)),
    *(
        Rule(f"transformer_blocks.0.{theirs}.{official}", f"{ours}.{name}")
        for theirs, ours in (("attn1", "self_attention"), ("attn2", "cross_attention"))
        for official, name in (("to_q", "to_q"), ("to_k", "to_k"), ("to_v", "to_v"), ("to_out.0", "to_out"))
    ),
    Rule("transformer_blocks.0.ff.net.0.proj", "feed_forward.proj_in"),
    Rule("transformer_blocks.0.ff.net.2", "feed_forward.proj_out"),
)


def _unet_table(time: str, encoder: str, decoder: str, out: str) -> Table:
    heads = (
        Rule(time + ".{n}", "time_embedding.{n}"),
        Rule(encoder + ".{n}.{m}", "encoder.{n}.{m}"),
        Rule("middle_block.{n}", "middle.{n}"),
        Rule(decoder + ".{n}.{m}", "decoder.{n}.{m}"),
        Rule(out + ".0", "out_norm"),
        Rule(out + ".2", "out_conv"),
    )
    return Table(heads, _UNET_LEAVES)


_VAE_LEAVES = (
    *(
        Rule(f"{official}.{theirs}", f"{ours}.{name}")
        for official, ours in (("SingleConv1", "conv1"), ("SingleConv2", "conv2"), ("SingleConv", "conv"))
        for theirs, name in (("GroupNorm", "norm"), ("Conv", "conv"))
    ),
    Rule("OutConv", "out"),
)

DENSE_UNET = _unet_table("time_embed", "input_blocks", "output_blocks", "out")
SPARSE_UNET = _unet_table("time_emb", "encoder_blocks", "decoder_blocks", "out_block")
DECODER = Table(
    heads=(
        Rule("unet.post_kl_bottleneck.post_kl_bottleneck_{n}", "bottleneck.{n}"),
        Rule("unet.decoders.Dec-{n}", "up.{n}", offset=-2),
        Rule("unet.struct_convs.Struct-{n}", "structure.{n}", offset=-1),
        Rule("unet.normal_head", "normal"),
    ),
    leaves=_VAE_LEAVES,
)
ENCODER = Table(
    heads=(
        Rule("encoder.mix_fc", "mix"),
        Rule("unet.pre_conv", "pre"),
        Rule("unet.encoders.Enc{n}", "down.{n}"),
        Rule("unet.pre_kl_bottleneck.pre_kl_bottleneck_{n}", "bottleneck.{n}"),
    ),
    leaves=_VAE_LEAVES,
)


def unet_table(sparse: bool) -> Table:
    """The names of the fine (sparse) or the coarse (dense) U-Net."""
    return SPARSE_UNET if sparse else DENSE_UNET


def relayout(name: str, tensor: Tensor, sparse: bool) -> Tensor:
    """An official tensor in our layout, contiguous.

    `name` is ours; `sparse` says that the tensor belongs to a sparse module. Sparse kernels [Cout, Cin, z, y, x]
    become [Cout, Cin, x, y, z]; dense `proj_in` and `proj_out` [O, I, 1, 1, 1] become [O, I].
    """
    if tensor.dim() == 5 and sparse:
        tensor = tensor.permute(0, 1, 4, 3, 2)
    elif tensor.dim() == 5 and name.endswith((".proj_in.weight", ".proj_out.weight")):
        tensor = tensor.reshape(tensor.shape[:2])
    return tensor.contiguous()


def rename_unet(state: Mapping[str, Tensor], sparse: bool) -> dict[str, Tensor]:
    """A U-Net's state under our names and in our layout; `state` has the names inside `unet.`.

    Raises CheckpointError for a name that such a U-Net does not have.
    """
    table = unet_table(sparse)
    return {name: relayout(name, state[key], sparse) for key, name in _names(state, table, None).items()}


def rename_decoder(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The VAE decoder's state, as `models.vae.Decoder` names it.

    `state` is a VAE, with or without `vae.` in front. What belongs to the encoder is left out. Raises
    CheckpointError for a name that no such VAE has.
    """
    return _rename_vae(state, DECODER, ENCODER)


def rename_encoder(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The VAE encoder's state, as `models.vae.Encoder` names it; otherwise like `rename_decoder`."""
    return _rename_vae(state, ENCODER, DECODER)


def _rename_vae(state: Mapping[str, Tensor], wanted: Table, skipped: Table) -> dict[str, Tensor]:
    bare = {key.removeprefix("vae."): value for key, value in state.items()}
    return {name: relayout(name, bare[key], True) for key, name in _names(bare, wanted, skipped).items()}


def _names(state: Mapping[str, Tensor], wanted: Table, skipped: Table | None) -> dict[str, str]:
    names: dict[str, str] = {}
    for key in state:
        ours = wanted.ours(key)
        if ours is not None:
            names[key] = ours
        elif skipped is None or skipped.ours(key) is None:
            raise CheckpointError(f"the weights hold {key!r}, which this architecture does not have; use other weights")
    return names
