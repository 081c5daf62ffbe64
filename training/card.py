"""What a set of models says about itself: its name, the kinds it knows, what it was trained on and whom to credit."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

from models.card import CARD_FILE, Card
from training.meshes.store import TrainingSet, write_text


def card_of(made: TrainingSet) -> Card:
    """The card of models trained on a set."""
    train = made.split("train")
    kinds = Counter(item.kind for item in train)
    credits = sorted({item.credit for item in train if item.credit})
    return Card(made.name, dict(sorted(kinds.items())), len(train), made.resolution, tuple(credits))


def write_credits(made: TrainingSet, out: Path) -> None:
    """Writes whom to name for the shapes of a set that models have learnt from, as their licences ask."""
    rows = sorted({item.credit for item in made.split("train") if item.credit})
    write_text(out / "ATTRIBUTION.txt", "\n".join(["Trained on, among other shapes:", *rows]) + "\n")


def write_cards(made: TrainingSet, out: Path) -> None:
    """Writes the card of a set beside each of its models."""
    text = json.dumps(card_of(made).to_dict(), indent=1, ensure_ascii=False)
    for folder in sorted(out.glob(f"{made.name}_*/")):
        write_text(folder / CARD_FILE, text)
