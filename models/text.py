"""The text tower: a prompt becomes one embedding per token, the condition of both diffusion stages.

It is open_clip's text transformer without its last block, followed by the final LayerNorm; the official models use
ViT-H-14's (Cherti et al., "Reproducible scaling laws for contrastive language-image learning", CVPR 2023), the demo
models a small one. Only the tower is built: no image tower, no projection.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, cast

import torch
from torch import Tensor, nn

from models._open_clip import open_clip
from models.config import TextConfig
from models.errors import CheckpointError
from models.meta import without_memory
from models.tracing import named

VIT_H_14 = TextConfig(width=1024, heads=16, layers=24)
HEAD_WIDTH = 64  # of every CLIP text tower that OpenAI or LAION published
_CACHED_WORDS = 50_000


@dataclass(frozen=True)
class TextEmbedding:
    """A prompt's embedding: `tokens` float32 [n, C] on the CPU, n from 2 to 77; `truncated` if the prompt was cut."""

    tokens: Tensor
    truncated: bool = False


class TextEncoder(nn.Module):
    """Prompts to per-token states. Tensors of its state dict are named `text.*`."""

    def __init__(self, config: TextConfig) -> None:
        super().__init__()
        self.config = config
        self.text = open_clip.transformer.TextTransformer(
            context_length=config.context_length,
            vocab_size=config.vocab_size,
            width=config.width,
            heads=config.heads,
            layers=config.layers - 1,
            output_dim=None,
        )
        # The forward pass makes its own for the length at hand; a buffer outside the state dict could not leave the
        # meta device, on which models are built before their weights are assigned.
        self.text.attn_mask = None

    @classmethod
    def from_open_clip(cls, state: Mapping[str, Tensor]) -> TextEncoder:
        """The tower of an open_clip CLIP model's state dict, float32; everything else in it is ignored.

        Text keys are read with or without `text.` in front. Raises CheckpointError if one is missing.
        """
        state = {key.removeprefix("text."): value for key, value in state.items() if not key.startswith("visual.")}
        config = _infer_config(state)
        with without_memory():
            encoder = cls(config)
        weights = {}
        for name, wanted in encoder.state_dict().items():
            value = state.get(name.removeprefix("text."))
            if value is None or value.shape != wanted.shape:
                found = "is missing" if value is None else f"has shape {list(value.shape)}, not {list(wanted.shape)}"
                raise CheckpointError(f"text tower: {name} {found}; use the weights of open_clip's ViT-H-14")
            weights[name] = value.to(torch.float32).contiguous()
        encoder.load_state_dict(weights, assign=True)
        return encoder.eval().requires_grad_(False)

    def forward(self, ids: Tensor) -> Tensor:
        """Token ids int64 [B, n], n <= 77, to states [B, n, C] after the last block but one and the final LayerNorm.

        Attention is causal, so what stands after a prompt's end of text changes nothing before it.
        """
        length = ids.shape[1]
        x = self.text.token_embedding(ids) + self.text.positional_embedding[:length]
        mask = torch.full((length, length), float("-inf"), dtype=x.dtype, device=x.device).triu_(1)
        for block in self.text.transformer.resblocks:
            x = block(x, attn_mask=mask)
        return cast(Tensor, self.text.ln_final(x))

    def encode(self, prompts: Sequence[str]) -> list[TextEmbedding]:
        """One embedding per prompt, on the CPU. Prompts run one at a time, so that neighbours do not change bits."""
        return [self._encode_one(prompt) for prompt in prompts]

    @property
    def null(self) -> TextEmbedding:
        """The embedding of the empty prompt (n = 2), the unconditional branch of guidance."""
        return self._encode_one("")

    @torch.inference_mode()
    def _encode_one(self, prompt: str) -> TextEmbedding:
        ids, truncated = tokenize(prompt, self.config.context_length)
        device = self.text.positional_embedding.device
        with named("text/clip"):
            states = self(torch.tensor([ids], device=device))[0]
        # A copy made outside inference mode would still be an inference tensor; callers may want to train on it.
        with torch.inference_mode(False):
            tokens = torch.empty(states.shape, dtype=torch.float32)
            tokens.copy_(states)
        return TextEmbedding(tokens, truncated)


def tokenize(prompt: str, context_length: int = 77) -> tuple[list[int], bool]:
    """CLIP's byte pair encoding: begin, tokens, end of text; and whether the prompt was cut to `context_length`."""
    tokenizer = _tokenizer()
    if len(tokenizer.cache) > _CACHED_WORDS:  # open_clip keeps every word it ever saw
        tokenizer.cache = {word: word for word in ("<start_of_text>", "<end_of_text>")}
    ids = [tokenizer.sot_token_id, *tokenizer.encode(prompt), tokenizer.eot_token_id]
    if len(ids) <= context_length:
        return ids, False
    return [*ids[: context_length - 1], tokenizer.eot_token_id], True


def text_of(ids: Sequence[int]) -> str:
    """What tokens stand for, in small letters: the part of a prompt that a tower gets to see, once it is cleaned."""
    return cast(str, _tokenizer().decode(ids)).casefold()


def pad(embeddings: Sequence[TextEmbedding], length: int = 77) -> tuple[Tensor, Tensor]:
    """Embeddings as one batch: context float32 [B, length, C], zero after each prompt, and mask bool [B, length]."""
    width = embeddings[0].tokens.shape[1]
    context = torch.zeros(len(embeddings), length, width)
    mask = torch.zeros(len(embeddings), length, dtype=torch.bool)
    for row, embedding in enumerate(embeddings):
        n = len(embedding.tokens)
        context[row, :n] = embedding.tokens
        mask[row, :n] = True
    return context, mask


@cache
def _tokenizer() -> Any:
    return open_clip.tokenizer.SimpleTokenizer()


def _infer_config(state: Mapping[str, Tensor]) -> TextConfig:
    for key in ("token_embedding.weight", "positional_embedding"):
        if key not in state:
            raise CheckpointError(f"text tower: {key} is missing; use the weights of open_clip's ViT-H-14")
    vocab_size, width = state["token_embedding.weight"].shape
    blocks = {int(found[1]) for key in state if (found := re.match(r"transformer\.resblocks\.(\d+)\.", key))}
    return TextConfig(
        width=width,
        heads=max(1, width // HEAD_WIDTH),
        layers=max(blocks, default=0) + 1,
        context_length=state["positional_embedding"].shape[0],
        vocab_size=vocab_size,
    )
