"""The captions with which a pair was trained, drawn again: prompts must differ from them, or look for the nearest."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from scipy.sparse import csr_array

from training.dataset import captions_of
from training.meshes.store import write_text
from training.recipe import DEMO, NEXT, Recipe
from training.shapes import sample

_WORD = re.compile(r"[a-z0-9]+")


@dataclass(frozen=True)
class TrainingCaption:
    """A caption. number: of the training shape that it describes; kind: of that shape."""

    number: int
    kind: str
    text: str


def recipe_of(kinds: Sequence[str]) -> Recipe:
    """The recipe whose procedural shapes a pair of these kinds was trained on."""
    return DEMO if set(kinds) == set(DEMO.kinds) else replace(NEXT, kinds=tuple(kinds))


def training_captions(recipe: Recipe, folder: Path) -> list[TrainingCaption]:
    """All captions of all procedural training shapes of a recipe, kept in a folder: to draw them takes a minute."""
    mark = hashlib.blake2b(f"{recipe.shapes} {recipe.captions} {recipe.kinds}".encode(), digest_size=4).hexdigest()
    path = folder / f"captions-{mark}.txt"
    if not path.exists():
        lines = []
        for number in range(recipe.shapes):
            spec = sample(number, kinds=recipe.kinds)
            texts = captions_of(spec, number, recipe.captions, "train")
            lines += [f"{number}\t{spec.category}\t{text}\n" for text in texts]
        write_text(path, "".join(lines))
    columns = (line.split("\t") for line in path.read_text(encoding="utf-8").splitlines())
    return [TrainingCaption(int(number), kind, text) for number, kind, text in columns]


class Search:
    """Finds the caption nearest to a prompt.

    Captions are vectors of term frequency times inverse document frequency, and near is the cosine between them
    (Salton and Buckley, "Term-weighting approaches in automatic text retrieval", 1988).
    """

    def __init__(self, captions: Sequence[TrainingCaption]) -> None:
        self.captions = captions
        counted = [Counter(_WORD.findall(caption.text)) for caption in captions]
        frequency = Counter(word for words in counted for word in words)
        self.vocabulary = {word: column for column, word in enumerate(sorted(frequency))}
        self.weights = np.array([np.log(len(captions) / frequency[word]) for word in sorted(frequency)])
        self.table = self._vectors(counted)

    def nearest(self, prompt: str) -> TrainingCaption:
        """The caption nearest to a prompt, the first of those that are equally near."""
        near = self.table @ self._vectors([Counter(_WORD.findall(prompt))]).toarray()[0]
        return self.captions[int(near.argmax())]

    def _vectors(self, counted: Sequence[Counter[str]]) -> csr_array:
        known = [
            {self.vocabulary[word]: n for word, n in words.items() if word in self.vocabulary} for words in counted
        ]
        rows = np.repeat(np.arange(len(known)), [len(words) for words in known])
        columns = np.array([column for words in known for column in words], np.int64)
        values = np.array([n for words in known for n in words.values()], float) * self.weights[columns]
        lengths = np.sqrt(np.bincount(rows, values**2, len(known)))
        values = values / np.maximum(lengths, 1e-12)[rows]
        return csr_array((values, (rows, columns)), shape=(len(known), len(self.vocabulary)))
