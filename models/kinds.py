"""What is known of a prompt, and the sentences that tell it. Loads no torch."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

BLANK = "nothing is left of the prompt once it is cleaned, so the result may be anything"
UNKNOWN = "the prompt names no kind of shape that the models know, so the result may be anything"
_NEAREST = f"{UNKNOWN}: nearest are "


@dataclass(frozen=True)
class Recognition:
    """What is known of a prompt.

    known: whether a kind is named in it; None where nobody can tell. kinds: those that are. nearest: of a prompt that
    is not known, those that are spelled alike, or else those whose names the text tower reads alike. blank: whether
    nothing is left of the prompt once it is cleaned.
    """

    known: bool | None
    kinds: tuple[str, ...] = ()
    nearest: tuple[str, ...] = ()
    blank: bool = False

    @property
    def warnings(self) -> tuple[str, ...]:
        """The sentence for who wrote the prompt, if one is needed."""
        if self.blank:
            return (BLANK,)
        if self.known is not False:
            return ()
        return (_NEAREST + ", ".join(self.nearest) if self.nearest else UNKNOWN,)


def nearest_in(warnings: Iterable[str]) -> tuple[str, ...]:
    """The kinds that a result's warnings name as the nearest to its prompt; none where it was known, or nobody knew."""
    told = (text.removeprefix(_NEAREST) for text in warnings if text.startswith(_NEAREST))
    return tuple(name for text in told for name in text.split(", "))
