"""Numbers as text, read back by Python."""

from __future__ import annotations

import numpy as np
import pytest

from formats import rows as module
from formats.rows import rows

VALUES = np.array([[0, 7, 12_345], [99, 100, 1_000], [5, 50, 9_999]], np.int64)
SIGNED = np.array([[0, -7], [123_456, -123_456], [-100, 9_999]], np.int64)


@pytest.mark.parametrize("blank", [False, True])
def test_whole_numbers_come_back_from_rows_of_one_length(blank: bool) -> None:
    lines = b"".join(rows("({},{},{})\n", VALUES, blank=blank)).decode().splitlines()
    assert len({len(line) for line in lines}) == 1
    assert [[int(number) for number in line[1:-1].split(",")] for line in lines] == VALUES.tolist()
    assert lines[0] == ("(    0,    7,12345)" if blank else "(00000,00007,12345)")


@pytest.mark.parametrize("blank", [False, True])
def test_decimals_come_back_with_their_signs_and_without_a_plus(blank: bool) -> None:
    lines = b"".join(rows("{} {}\n", SIGNED * 10, 4, blank=blank)).decode().splitlines()
    assert len({len(line) for line in lines}) == 1
    assert [[float(number) for number in line.split()] for line in lines] == (SIGNED / 1000).tolist()
    assert "+" not in "".join(lines)
    assert lines[0] == (" 000.0000 -000.0070" if blank else "0000.0000 -000.0070")


def test_many_rows_come_in_pieces_and_none_in_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_ROWS", 2)
    assert list(rows("{};", VALUES[:, :1])) == [b"00;99;", b"05;"]
    assert list(rows("{};", VALUES[:0, :1])) == []
