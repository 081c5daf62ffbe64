"""What a file tells beside the shape: where it comes from, in words that its format can hold."""

from __future__ import annotations

import json
import re
import unicodedata
from dataclasses import dataclass

NAME = "xcube-serve"
_LONGEST_NAME = 40
_SHAPE = "shape"


@dataclass(frozen=True)
class About:
    """Where a shape comes from.

    version: of the service. seed: that of the shape. prompt: what was asked for, "" where nobody knows. voxel_size:
    edge of a voxel in world units. models: names and versions of what made it, "" where nobody knows.
    """

    version: str
    seed: int
    prompt: str
    voxel_size: float
    models: str = ""

    def facts(self) -> dict[str, str]:
        """All that is known, by name. A seed may have 64 bits, which readers of numbers would round."""
        told = {"prompt": _sound(self.prompt), "seed": str(self.seed), "version": self.version, "models": self.models}
        return {name: text for name, text in told.items() if text}

    def lines(self) -> list[str]:
        """The facts as lines of ASCII, for comments: `name: text`, the text as between the quotes of JSON."""
        return [f"{NAME} {name}: {json.dumps(text)[1:-1]}" for name, text in self.facts().items()]

    def title(self) -> str:
        """The prompt as the name of a thing, on one line."""
        return " ".join(_sound(self.prompt).split()) or _SHAPE

    def identifier(self) -> str:
        """The title in letters, digits and underscores of ASCII, with a letter or an underscore in front."""
        words = _words(self.prompt).replace("-", "_")
        return f"_{words}" if words[0].isdigit() else words


def _sound(text: str) -> str:
    """A text without halves of characters, which no file can hold."""
    return text.encode(errors="replace").decode()


def file_name(prompt: str, seed: int, format_: str, suffix: str) -> str:
    """The name of a file, in ASCII: words of the prompt, the seed, and what the suffix does not tell of the format.

    Args:
        prompt: What was asked for.
        seed: That of the shape.
        format_: Name of the format, such as `glb-points`.
        suffix: Ending of the file's name, with its dot.
    """
    kind = format_ if format_ == "report" else format_.partition("-")[2]
    return f"{_words(prompt)}-{seed}{f'-{kind}' if kind else ''}{suffix}"


def _words(prompt: str) -> str:
    plain = unicodedata.normalize("NFKD", prompt).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:_LONGEST_NAME].strip("-") or _SHAPE
