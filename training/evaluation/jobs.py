"""Which shapes an evaluation makes: prompts with what they ask for, and seeds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from training.shapes import CATEGORIES, evaluation_prompts, plain_prompt

Group = Literal["prompts", "plain names", "second seeds", "composed", "no guidance", "real captions"]

PER_CATEGORY, QUICK_PROMPTS = 10, 48
SECOND_SEED, PLAIN_SEED = 1_000_000, 3_000_000


@dataclass(frozen=True)
class Job:
    """One shape to make.

    group: what it is made for. kind, asked: what the prompt asks for, a kind and values of its attributes by name.
    fine: whether a fine shape is made as well. first: it stands for its kind on the contact sheet. way: in which way
    the prompt is unlike any that training used, "" where it has no name.
    """

    group: Group
    prompt: str
    seed: int
    kind: str
    asked: Mapping[str, str] = field(default_factory=dict)
    fine: bool = False
    first: bool = False
    way: str = ""

    @property
    def key(self) -> str:
        """The job's name; no other has it."""
        return f"{self.group}: {self.prompt} #{self.seed}"


def scored_jobs(quick: bool, kinds: Sequence[str] = CATEGORIES) -> list[Job]:
    """Coarse and fine shapes of held-out prompts that name one attribute or none, of all kinds also when `quick`."""
    prompts = evaluation_prompts(PER_CATEGORY, kinds)
    # Round by round through the categories, so that the first 48 cover all of them.
    rounds = sorted(range(len(prompts)), key=lambda index: (index % PER_CATEGORY, index))
    chosen = [prompts[index] for index in rounds][: max(QUICK_PROMPTS, len(kinds)) if quick else len(prompts)]
    return [
        Job("prompts", p.prompt, p.seed, p.category, _asked(p.attribute_name, p.attribute_value), True, n < len(kinds))
        for n, p in enumerate(chosen)
    ]


def plain_jobs(kinds: Sequence[str] = CATEGORIES) -> list[Job]:
    """Coarse shapes of prompts that are a kind's name alone."""
    return [Job("plain names", plain_prompt(kind), PLAIN_SEED + n, kind) for n, kind in enumerate(kinds)]


def second_seeds(scored: Sequence[Job]) -> list[Job]:
    """The first prompt of each kind with another seed, in the order of the jobs that are `first`."""
    return [
        replace(job, group="second seeds", seed=job.seed + SECOND_SEED, fine=False, first=False)
        for job in scored
        if job.first
    ]


def without_guidance(scored: Sequence[Job]) -> list[Job]:
    """Coarse shapes of the same prompts and seeds, made without guidance."""
    return [replace(job, group="no guidance", fine=False, first=False) for job in scored]


def _asked(name: str | None, value: str | None) -> dict[str, str]:
    return {} if name is None or value is None else {name: value}
