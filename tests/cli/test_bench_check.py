"""scripts/bench --check sees what has become slower, and refuses what cannot be compared."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cli.bench import check
from cli.bench.__main__ import main
from cli.bench.record import BenchError, Record

MACHINE = {"CPU": "one", "cores": "2", "threads": "2", "torch": "2.13"}


def record(bf16: float, machine: dict[str, str] = MACHINE) -> Record:
    """A run in which the reference takes 10 ms, and bf16 this many."""
    rows = [
        {"stage": "coarse", "samples": 1, "variant": name, "median": median}
        for name, median in (("reference", 10.0), ("bf16", bf16))
    ]
    return Record("steps", "tiny", "float32", machine, 5, 10, [1], rows)


def test_a_ratio_that_lost_more_than_15_percent_is_told() -> None:
    then, now = check.ratios(record(5.0)), check.ratios(record(8.0))
    assert then == {"coarse, batch of 1, bf16": 2.0}
    assert list(check.report(then, now)) == [
        "coarse, batch of 1, bf16: 2.00 times as fast then, 1.25 now, -38%",
        "1 of 1 ratios lost more than 15%.",
    ]


@pytest.mark.parametrize(("now", "lost"), [(5.0, 0), (5.8, 0), (6.0, 1), (1.0, 0)])
def test_less_than_that_and_gains_are_no_loss(now: float, lost: int) -> None:
    assert len(check.losses(check.ratios(record(5.0)), check.ratios(record(now)))) == lost


def test_times_themselves_do_not_count() -> None:
    slow = record(5.0)
    rows = [{**row, "median": 3 * row["median"]} for row in slow.rows]
    assert check.ratios(replace(slow, rows=rows)) == check.ratios(slow)


def test_of_a_service_only_what_the_same_run_compares_counts() -> None:
    rows: list[dict[str, Any]] = [
        {"what": "8 at once", "against": "alone", "ratio": 4.0},
        {"what": "/health", "against": "0.1 s", "ratio": 0.1},
    ]
    assert check.ratios(replace(record(1.0), measured="service", rows=rows)) == {"8 at once, against alone": 0.25}


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"size": "demo"}, r"another size \(tiny, not demo\)"),
        ({"dtype": "bfloat16"}, "another number format"),
        ({"machine": {**MACHINE, "CPU": "two"}}, r"another CPU \(one, not two\)"),
        ({"machine": {"GPU": "H100"}}, "another CPU"),
        ({"measured": "answers"}, "tells of steps, not of answers"),
    ],
)
def test_other_hardware_or_another_subject_is_refused(change: dict[str, Any], told: str) -> None:
    with pytest.raises(BenchError, match=told):
        check.require_comparable(record(5.0), replace(record(5.0), **change))


def test_another_version_of_a_library_may_be_compared() -> None:
    check.require_comparable(record(5.0), record(5.0, {**MACHINE, "torch": "2.14"}))


@pytest.mark.parametrize("content", [None, "no JSON", "[]", "{}", '{"rows": []}'])
def test_a_file_that_is_missing_or_broken_is_told_in_one_sentence(
    content: str | None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "bench.json"
    if content is not None:
        path.write_text(content)
    assert main(["--device", "cpu", "--check", str(path)]) == 2
    said = capsys.readouterr().err
    assert said.startswith(f"bench: {path}")
    assert said.count("\n") == 1


def test_a_run_without_ratios_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "bench.json"
    replace(record(5.0), measured="generation").write(path)
    assert main(["--device", "cpu", "--check", str(path)]) == 2
    assert "holds no ratios" in capsys.readouterr().err


def test_a_run_is_checked_against_its_own_file_and_a_faster_past_fails(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "bench.json"
    assert main(["--device", "cpu", "--answers", "--size", "tiny", "--repetitions", "3", "--json", str(path)]) == 0
    measured = json.loads(path.read_text())
    for factor, status in ((1000, 0), (0.001, 1)):
        for row in measured["rows"]:
            row["seconds"] *= factor
        path.write_text(json.dumps(measured))
        assert main(["--device", "cpu", "--check", str(path)]) == status
        for row in measured["rows"]:
            row["seconds"] /= factor
    formats = len(measured["rows"])  # each is compared with bare JSON
    assert formats > 5
    assert f"{formats} of {formats} ratios lost more than 15%." in capsys.readouterr().out


def test_a_trace_has_the_names_of_stages_and_blocks(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "trace.json"
    assert main(["--device", "cpu", "--size", "tiny", "--steps", "1", "--trace", str(path)]) == 0
    names = {event.get("name") for event in json.loads(path.read_text())["traceEvents"]}
    assert {"coarse/step", "coarse/unet/down 0/residual", "fine/step", "fine/decode/level 0", "noise"} <= names
    assert f"wrote {path}" in capsys.readouterr().out.replace("\n", "")
