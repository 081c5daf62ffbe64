"""The card of a set of models: its name, and what it knows, from the data that it was trained on. Loads no torch."""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from models.errors import ConfigError

CARD_FILE = "card.json"
NAME = re.compile(r"^[a-z0-9][a-z0-9-]{0,31}$")
"""What a set may be called."""
RESERVED = ("auto", "demo", "official")
_MOST_BYTES = 1 << 22


@dataclass(frozen=True)
class Card:
    """name: of the set; kinds: how many shapes of each it was trained on; credits: whom the data's licences name."""

    name: str
    kinds: dict[str, int]
    shapes: int
    resolution: int
    credits: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {**asdict(self), "credits": list(self.credits)}


def read_card(folder: Path) -> Card | None:
    """The card in a model's folder, None if it has none.

    Raises:
        ConfigError: it cannot be read, or its name cannot be one; the text names the file.
    """
    path = folder / CARD_FILE
    try:
        if not path.is_file():
            return None
        if path.stat().st_size > _MOST_BYTES:
            raise ValueError("it is too large")
        values = json.loads(path.read_text(encoding="utf-8"))
        card = Card(
            str(values["name"]),
            {str(kind): int(count) for kind, count in values["kinds"].items()},
            int(values["shapes"]),
            int(values["resolution"]),
            tuple(str(credit) for credit in values["credits"]),
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ConfigError(f"{path}: is no card of a set of models ({error}); train or export it again") from error
    check_name(card.name, path)
    return card


def check_name(name: str, source: Path | str) -> str:
    """A name that a set may have.

    Raises:
        ConfigError: it may not; the text names `source`.
    """
    if not NAME.fullmatch(name) or name in RESERVED:
        raise ConfigError(
            f"{source}: {name[:40]!r} cannot be the name of a set; use up to 32 of a-z, 0-9 and -, "
            f"and not {', '.join(RESERVED)}"
        )
    return name
