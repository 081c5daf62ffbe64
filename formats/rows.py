"""Rows of numbers as text, written with NumPy: a loop over the vertices of a large shape would take minutes."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

_ROWS = 100_000
"""Rows that are made at a time."""


def rows(form: str, values: NDArray[np.int64], decimals: int = 0, *, blank: bool = False) -> Iterator[bytes]:
    """A text for each row of values [n, k], all equally long.

    Args:
        form: The text of a row, with {} for each of its k numbers.
        values: Whole numbers from 0 on; with decimals of either sign, in units of their last digit.
        decimals: Digits after the point.
        blank: Whether numbers are made equally long by blanks in front of them, instead of zeros.
    """
    digits = "0" * len(str(int(np.abs(values).max(initial=0)) // 10**decimals))
    filler = " " if blank else "0"
    number = f"{filler}{digits}.{'0' * decimals}" if decimals else digits  # the filler makes room for a sign
    pieces = form.split("{}")
    row = np.frombuffer(number.join(pieces).encode(), np.uint8)
    places = np.cumsum([len(piece.encode()) for piece in pieces[:-1]]) + len(number) * np.arange(len(pieces) - 1)
    where = [index for index in range(bool(decimals), len(number)) if number[index] != "."]
    for start in range(0, len(values), _ROWS):
        some = values[start : start + _ROWS]
        text = np.tile(row, (len(some), 1))
        for place, column in zip(places.tolist(), some.T, strict=True):
            left = np.abs(column)
            for index in reversed(where):
                left, digit = np.divmod(left, 10)
                text[:, place + index] += digit.astype(np.uint8)
            if decimals:
                text[column < 0, place] = ord("-")
            elif blank:
                for index in where[:-1]:
                    text[column < 10 ** (where[-1] - index), place + index] = ord(" ")
        yield text.tobytes()
