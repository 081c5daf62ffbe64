"""Which prompts a set of models was trained for: they make something of any, and only a person sees that it is wrong.

A text tower reads tokens, and has learned to pass over those that no caption had. So a prompt is known if the tokens
of a kind's name are among those that the tower gets to see. Where a script puts no spaces between words, tokens depend
on what stands beside a name, and its letters count.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from difflib import get_close_matches

import torch
from torch.nn import functional

from models.kinds import Recognition
from models.text import TextEncoder, text_of, tokenize

NEAREST = 3
_ALIKE = 0.8
_SHORTEST_PART = 4
"""Letters of a name that may be a part of a longer word: "armchair" is about a chair, "carpet" about no car."""
_UNSPACED = ("CJK", "HIRAGANA", "KATAKANA", "HANGUL", "BOPOMOFO", "THAI", "LAO", "KHMER", "MYANMAR", "TIBETAN")
"""Scripts that put no space around a noun, as the names of their letters begin."""


class Recogniser:
    """Tells known prompts from unknown ones.

    Args:
        encoder: The text tower. Its configuration lists the kinds.
    """

    def __init__(self, encoder: TextEncoder) -> None:
        self._encoder = encoder
        self.kinds = encoder.config.kinds
        self._names = {name: kind for kind, others in self.kinds.items() for name in (kind, *others)}
        self._tokens = {name: _words(self._tokenized(name)) for name in self._names}
        self._anchors: torch.Tensor | None = None

    def recognise(self, prompt: str) -> Recognition:
        """What is known of a prompt."""
        words = _words(self._tokenized(prompt))
        if not words:
            return Recognition(known=False if self.kinds else None, blank=True)
        if not self.kinds:
            return Recognition(known=None)
        seen = text_of(words)
        found = {
            self._names[name]
            for name, tokens in self._tokens.items()
            if _holds(words, tokens) or (_unspaced(name) and name.casefold() in seen)
        }
        if found:
            return Recognition(known=True, kinds=tuple(kind for kind in self.kinds if kind in found))
        nearest = tuple(dict.fromkeys(self._spelled_alike(prompt))) or self._read_alike(prompt)
        return Recognition(known=False, nearest=nearest[:NEAREST])

    def _tokenized(self, prompt: str) -> list[int]:
        return tokenize(prompt, self._encoder.config.context_length)[0]

    def _spelled_alike(self, prompt: str) -> Iterable[str]:
        for word in re.findall(r"[a-z]{3,}", prompt.lower())[: self._encoder.config.context_length]:
            parts = [name for name in self._names if len(name) >= _SHORTEST_PART and name in word]
            for name in [*parts, *get_close_matches(word, self._names, cutoff=_ALIKE)]:
                yield self._names[name]

    def _read_alike(self, prompt: str) -> tuple[str, ...]:
        """The kinds in the order in which their states come near to the prompt's."""
        if self._anchors is None:
            self._anchors = self._states([f"a {kind}" for kind in self.kinds])
        likeness = functional.cosine_similarity(self._anchors, self._states([prompt]))
        kinds = tuple(self.kinds)
        return tuple(kinds[index] for index in likeness.argsort(descending=True, stable=True).tolist())

    def _states(self, prompts: Sequence[str]) -> torch.Tensor:
        """The states at the ends of the prompts, without what the empty prompt has: float32 [B, C]."""
        ends = torch.stack([embedding.tokens[-1] for embedding in self._encoder.encode(prompts)])
        return ends - self._encoder.null.tokens[-1]


def _words(ids: Sequence[int]) -> tuple[int, ...]:
    """Tokens without begin and end of text."""
    return tuple(ids[1:-1])


def _unspaced(name: str) -> bool:
    return any(unicodedata.name(letter, "").startswith(_UNSPACED) for letter in name)


def _holds(tokens: Sequence[int], part: Sequence[int]) -> bool:
    return any(tokens[start : start + len(part)] == part for start in range(len(tokens) - len(part) + 1))
