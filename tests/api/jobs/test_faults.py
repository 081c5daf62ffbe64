"""The log tells each fault of a store once a minute, and its end once."""

from __future__ import annotations

import pytest

from api.jobs import faults
from api.jobs.faults import Faults


def test_faults_that_take_turns_are_told_once_each_and_their_end_once(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [1000.0]
    monkeypatch.setattr(faults.time, "monotonic", lambda: clock[0])
    told = Faults("the disk.")
    for _ in range(20):
        for text in ("refused", "reset"):
            told.tell(OSError(text))
        told.none()
        clock[0] += 1
    assert [record.getMessage().rpartition(" ")[2] for record in caplog.records] == ["refused", "reset"]
    clock[0] += faults._SILENCE
    told.tell(OSError("reset"))
    assert len(caplog.records) == 3
    for _ in range(3):
        clock[0] += faults._WELL + 1
        told.none()
    assert [record.getMessage() for record in caplog.records][3:] == ["jobs can be read and stored again"]
