"""Which prompts a set of models was trained for: they make something of any, and only a person sees that it is wrong.

A text tower reads tokens, and has learned to pass over those that no caption had. So a prompt is known if the tokens
of a kind's name are among those that the tower gets to see. Where a script puts no spaces between words, tokens depend
on what stands beside a name, and its letters count. A plural or a misspelt name has tokens of its own: it is known if
the tower reads it as it reads the name.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches

import torch
from torch.nn import functional

from models.kinds import Recognition
from models.text import TextEncoder, text_of, tokenize

NEAREST = 3
_WORD = re.compile(r"[a-z]{3,}")
_ALIKE = 0.8
_READ_AS_ONE = 0.7
"""Cosine from which on the tower reads two words as one. Where captions had plurals and slips, 16 of 17 such words have
0.85 to 0.98, and 20 other words of nearly the same letters ("clamp", "boot") at most 0.48; of a tower whose captions
had none, plurals and slips reach at most 0.43."""
_MOST_ALIKE = 8
"""Words of a prompt that are compared with names."""
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
        if kinds := self._named(words):
            return Recognition(known=True, kinds=kinds)
        alike = self._spelled_alike(prompt)
        if kinds := self._meant(prompt, alike):
            return Recognition(known=True, kinds=kinds)
        nearest = tuple(dict.fromkeys(self._parts_or_alike(alike))) or self._read_alike(prompt)
        return Recognition(known=False, nearest=nearest[:NEAREST])

    def _tokenized(self, prompt: str) -> list[int]:
        return tokenize(prompt, self._encoder.config.context_length)[0]

    def _named(self, words: Sequence[int]) -> tuple[str, ...]:
        """The kinds whose names are among the tokens."""
        seen = text_of(words)
        found = {
            self._names[name]
            for name, tokens in self._tokens.items()
            if _holds(words, tokens) or (_unspaced(name) and name.casefold() in seen)
        }
        return tuple(kind for kind in self.kinds if kind in found)

    def _spelled_alike(self, prompt: str) -> dict[str, list[str]]:
        """The words of a prompt, each with the names that are spelled alike, the most alike first."""
        words = _WORD.findall(prompt.lower())[: self._encoder.config.context_length]
        return {word: get_close_matches(word, self._names, cutoff=_ALIKE) for word in dict.fromkeys(words)}

    def _meant(self, prompt: str, alike: Mapping[str, Sequence[str]]) -> tuple[str, ...]:
        """The kinds of names that are spelled a little differently, if the tower reads these words as the names."""
        pairs = [(word, names[0]) for word, names in alike.items() if names][:_MOST_ALIKE]
        if not pairs:
            return ()
        read, names = self._states([text for pair in zip(*pairs, strict=True) for text in pair]).chunk(2)
        near = functional.cosine_similarity(read, names) >= _READ_AS_ONE
        meant = dict(pair for pair, as_one in zip(pairs, near.tolist(), strict=True) if as_one)
        named = _WORD.sub(lambda word: meant.get(word[0], word[0]), prompt.lower())
        return self._named(_words(self._tokenized(named)))

    def _parts_or_alike(self, alike: Mapping[str, Sequence[str]]) -> Iterable[str]:
        """The kinds whose names are parts of a word, or spelled alike."""
        for word, names in alike.items():
            parts = [name for name in self._names if len(name) >= _SHORTEST_PART and name in word]
            for name in [*parts, *names]:
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
