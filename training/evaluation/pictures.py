"""The contact sheet of an evaluation and its page of failures; nothing on either is picked by hand."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from formats.preview import contact_sheet, render, save_png
from models.shape import Shape
from training.evaluation.jobs import Job
from training.meshes.store import write_text
from training.scoring import Score

THUMBNAIL = 192
FAILURES = 24
"""Shapes on the page of failures."""


def sheet(jobs: Sequence[Job], shape: Callable[[Job], Shape], path: Path) -> None:
    """A picture of the first prompt of each kind with its fixed seed."""
    shown = [job for job in jobs if job.first]
    images = [picture(shape(job)) for job in shown]
    save_png(contact_sheet(images, [job.prompt for job in shown], columns=6), path)


def lowest(scores: Sequence[Score], most: int = FAILURES) -> list[int]:
    """Places of the lowest scored shapes: those that are not as asked come first, the least like it at the head."""
    order = sorted(range(len(scores)), key=lambda n: (scores[n].right, scores[n].certainty))
    return order[:most]


def failures(
    jobs: Sequence[Job], scores: Sequence[Score], shape: Callable[[Job], Shape], folder: Path
) -> tuple[Path, int]:
    """Writes failures.md and failures.png, and returns the page's path and how many shapes are not as asked."""
    chosen = lowest(scores)
    wrong = sum(not score.right for score in scores)
    titles = [f"{scores[n].wanted}: {_seen(scores[n])}" for n in chosen]
    save_png(contact_sheet([picture(shape(jobs[n])) for n in chosen], titles, columns=6), folder / "failures.png")
    lines = [
        "# Failures",
        "",
        f"Of {len(scores)} shapes {wrong} are not as the prompt asks, as the classifier sees them. These are the "
        f"{len(chosen)} that it gives the least chance, picked by that alone.",
        "",
        "![the shapes below, in their order](failures.png)",
        "",
        "| prompt | seed | what for | asked | seen | chance of what was asked |",
        "|---|---|---|---|---|---|",
    ]
    for n in chosen:
        job, score = jobs[n], scores[n]
        asked = ", ".join([job.kind, *(f"{name} {value}" for name, value in job.asked.items())])
        lines.append(f"| {job.prompt} | {job.seed} | {job.group} | {asked} | {_seen(score)} | {score.certainty:.0%} |")
    write_text(folder / "failures.md", "\n".join(lines) + "\n")
    return folder / "failures.md", wrong


def picture(shape: Shape) -> NDArray[np.uint8]:
    """The finest voxels of a shape, or an empty picture."""
    finest = shape.coarse if shape.fine is None or not len(shape.fine) else shape.fine
    return render(finest.ijk, finest.normal, resolution=round(1 / finest.voxel_size), size=THUMBNAIL)


def _seen(score: Score) -> str:
    if score.recognised != score.wanted:
        return score.recognised or "nothing"
    return "the kind, not its attributes" if score.attribute is False else "as asked"
