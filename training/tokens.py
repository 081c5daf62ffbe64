"""Captions as token tensors: fast tokenizing of very many captions, and the disturbance that makes a tower robust."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor

from models._open_clip import open_clip

START, END = 49406, 49407
FIRST_WORD = 512
"""Vocabulary entries below this are single bytes."""


class CaptionTokenizer:
    """open_clip's tokenizer for many captions from few words.

    CLIP's byte-pair encoding never joins what whitespace separates, so the tokens of a caption are those of its words,
    and every word is encoded once.
    """

    def __init__(self) -> None:
        self._tokenizer = open_clip.tokenizer.SimpleTokenizer()
        self._words: dict[str, list[int]] = {}

    def encode(self, caption: str) -> list[int]:
        """Start, the caption's tokens, end."""
        tokens = [START]
        for word in caption.split():
            if word not in self._words:
                self._words[word] = list(self._tokenizer.encode(word))
            tokens += self._words[word]
        return [*tokens, END]

    def encode_all(self, captions: Iterable[Sequence[str]]) -> Tensor:
        """The same number of captions for each shape -> int32 [shapes, captions, longest], zeros after the end."""
        rows = [[self.encode(text) for text in texts] for texts in captions]
        longest = max(len(tokens) for texts in rows for tokens in texts)
        bank = torch.zeros(len(rows), len(rows[0]), longest, dtype=torch.int32)
        for i, texts in enumerate(rows):
            for j, tokens in enumerate(texts):
                bank[i, j, : len(tokens)] = torch.tensor(tokens, dtype=torch.int32)
        return bank


def lengths(tokens: Tensor) -> Tensor:
    """The number of real tokens, start and end included, of each row of int [B, L]."""
    return (tokens != 0).sum(dim=1)


def insert_random_words(tokens: Tensor, most: int, share: float, generator: torch.Generator) -> Tensor:
    """Puts up to `most` random vocabulary entries between start and end of a `share` of the rows.

    Words that no caption contains are thus seen in training, as words that mean nothing. tokens: int [B, L] with zeros
    after the end -> int64 [B, L + most].
    """
    tokens = tokens.long()
    size, length = tokens.shape
    device = tokens.device

    def uniform(columns: int) -> Tensor:
        return torch.rand(size, columns, generator=generator, device=device)

    random = torch.randint(FIRST_WORD, START, (size, most), generator=generator, device=device)
    count = torch.randint(1, most + 1, (size, 1), generator=generator, device=device)
    used = (torch.arange(most, device=device) < count) & (uniform(1) < share)
    place = uniform(most) * (lengths(tokens)[:, None] - 1)
    keys = torch.arange(length, device=device, dtype=place.dtype).expand(size, length)
    order = torch.cat((keys, torch.where(used, place, float(2 * length))), dim=1).argsort(dim=1, stable=True)
    return torch.cat((tokens, torch.where(used, random, 0)), dim=1).gather(1, order)
