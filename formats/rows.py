"""Rows of numbers as text, written with NumPy: a loop over the vertices of a large shape would take minutes.

Numbers have leading zeros, so that all rows are equally long.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

_ROWS = 100_000
"""Rows that are made at a time."""
DECIMALS = 4


def rows(name: str, fields: Sequence[str], values: NDArray[np.int64], *, signed: bool) -> Iterator[bytes]:
    """An element for each row of values [n, 3]: whole numbers, or with a sign and decimals."""
    digits = max(len(str(int(np.abs(values).max()))), DECIMALS + 1)
    number = "0" * digits
    if signed:  # the first zero makes room for the sign
        number = "0" * (digits - DECIMALS + 1) + "." + "0" * DECIMALS
    row = f"<{name}" + "".join(f' {field}="{number}"' for field in fields) + "/>\n"
    places = [row.index(f'{field}="') + len(field) + 2 for field in fields]
    where = [index for index, letter in enumerate(number) if letter == "0"]
    for start in range(0, len(values), _ROWS):
        some = values[start : start + _ROWS]
        text = np.tile(np.frombuffer(row.encode(), np.uint8), (len(some), 1))
        for place, column in zip(places, some.T, strict=True):
            left = np.abs(column)
            for index in reversed(where):
                left, digit = np.divmod(left, 10)
                text[:, place + index] += digit.astype(np.uint8)
            if signed:
                text[column < 0, place] = ord("-")
        yield text.tobytes()
