"""What was read, as a picture, a text and JSON."""

from __future__ import annotations

import json
import unicodedata
from collections import Counter
from pathlib import Path

import numpy as np

from formats.preview import contact_sheet, render, save_png
from training.meshes.building import Report
from training.meshes.folder import listed
from training.meshes.store import Item, TrainingSet, read_voxels, write_text

MOST_PICTURES = 240
PICTURE = 160


def write_report(made: TrainingSet, report: Report) -> str:
    """Writes `report.json` and `report.txt` into the set, and returns the latter."""
    kinds = Counter(item.kind for item in made.items)
    train, heldout = len(made.split("train")), len(made.split("heldout"))
    values = {
        "name": made.name, "resolution": made.resolution, "train": train, "heldout": heldout,
        "kinds": dict(kinds.most_common()), "refused": report.refused, "repaired": report.repaired,
        "captions_without_file": report.without, "other_files": report.other,
    }  # fmt: skip
    write_text(made.folder / "report.json", json.dumps(values, indent=1, ensure_ascii=False))
    lines = [
        f"{made.name}: {len(made.items)} shapes at {made.resolution}³ and {made.resolution // 4}³, "
        f"{train} to train on and {heldout} held out",
        "kinds: " + ", ".join(f"{kind} {count}" for kind, count in kinds.most_common()),
    ]
    for title, sentences in (
        ("refused", [f"{file} {why}" for file, why in sorted(report.refused.items())]),
        ("repaired", [f"{file}: {'; '.join(notes)}" for file, notes in sorted(report.repaired.items())]),
        ("captions for files that are not there", report.without),
    ):
        if sentences:
            lines += ["", f"{title} ({len(sentences)}):", *(f"  {_line(sentence)}" for sentence in sentences)]
    if report.other:
        lines += ["", f"passed over: {listed(report.other)}; convert or unpack them to use them"]
    text = "\n".join(lines) + "\n"
    write_text(made.folder / "report.txt", text)
    credits = sorted({item.credit for item in made.items if item.credit})
    if credits:
        rows = [_line(f"{item.file}: {item.credit}") for item in made.items if item.credit]
        write_text(made.folder / "ATTRIBUTION.txt", "\n".join(rows) + "\n")
    return text


def _line(text: str) -> str:
    """Text without what would end a line or steer a terminal, which names of files may hold."""
    return "".join(" " if unicodedata.category(letter) == "Cc" else letter for letter in text)


def write_picture(made: TrainingSet) -> Path:
    """Draws the shapes of a set, evenly chosen where there are very many, as `sheet.png`."""
    rows = np.unique(np.linspace(0, len(made.items) - 1, MOST_PICTURES).round().astype(int))
    chosen = [made.items[row] for row in rows]
    images = [_picture(made, item) for item in chosen]
    labels = [item.captions[0] for item in chosen]
    path = made.folder / "sheet.png"
    save_png(contact_sheet(images, labels, columns=min(12, len(chosen))), path)
    return path


def _picture(made: TrainingSet, item: Item) -> np.ndarray:
    # Coarse enough to be drawn fast, fine enough to be known.
    level = "fine" if made.resolution <= 128 else "coarse"
    voxels = read_voxels(made, item, level)
    return render(voxels.ijk, voxels.normal, resolution=round(1 / voxels.voxel_size), size=PICTURE)
