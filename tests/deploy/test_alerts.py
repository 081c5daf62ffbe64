"""The alerts of deploy/components/monitoring: on metrics that exist, documented, and raised when they should be."""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import promql_parser
import pytest
import yaml

from tests.support.paths import ROOT
from tests.support.series import TARGET_LABELS, series

RULE = yaml.safe_load((ROOT / "deploy/components/monitoring/prometheusrule.yaml").read_text())
RULES: dict[str, dict[str, Any]] = {rule["alert"]: rule for rule in RULE["spec"]["groups"][0]["rules"]}
SERVICE = {"namespace": "xcube", "job": "xcube"}
TARGET = {**SERVICE, "instance": "a"}


@dataclass
class Case:
    """What a minute-by-minute history looks like while an alert is due, and while it is not.

    Series are in promtool's notation; `labels` are those that the alert has, besides its severity.
    """

    due: dict[str, str]
    quiet: dict[str, str]
    labels: dict[str, str] = field(default_factory=lambda: TARGET)


def of(name: str, **labels: str) -> str:
    pairs = ",".join(f'{key}="{value}"' for key, value in {**TARGET, **labels}.items())
    return f"{name}{{{pairs}}}"


PROCESS = {"process": "sampler", "worker": "0"}
OPEN = of("xcube_process_open_descriptors", **PROCESS)
MOST = of("xcube_process_max_descriptors", **PROCESS)
CASES = {
    "XCubeDown": Case({of("up"): "1 0x60"}, {of("up"): "1 0 0 1x60", of("up", job="node"): "0x60"}),
    "XCubeAbsent": Case({of("up", job="node"): "1x60"}, {of("up"): "1x60"}, {}),
    "XCubeNotReady": Case({of("xcube_model_ready"): "0x60"}, {of("xcube_model_ready"): "0x8 1x60"}),
    "XCubeWorkersLost": Case(
        {of("xcube_process_restarts_total", process="sampler"): "0x55 1x10"},
        {of("xcube_process_restarts_total", process="sampler"): "3x60"},
        {**TARGET, "process": "sampler"},
    ),
    "XCubeErrorRatio": Case(
        {of("xcube_request_duration_seconds_count", path="/generate", status=status): growth
         for status, growth in {"200": "0+90x60", "503": "0+10x60"}.items()},
        {of("xcube_request_duration_seconds_count", path=path, status=status): growth
         for path, status, growth in (
             ("/generate", "200", "0+99x60"), ("/generate", "500", "0+1x60"), ("/generate", "429", "0+500x60"),
             ("/readyz", "503", "0+900x60"))},
        SERVICE,
    ),
    "XCubeFailures": Case(
        {of("xcube_requests_failed_total", reason="internal"): "0+1x60"},
        {of("xcube_requests_failed_total", reason="empty_result"): "0+1x60"},
        SERVICE,
    ),
    "XCubeQueueLong": Case(
        {of("xcube_requests_waiting"): "11x60"}, {of("xcube_requests_waiting"): "30x40 0 30x8 10 30x8"}
    ),
    "XCubeQueueSlow": Case(
        {of("xcube_request_queue_time_seconds_bucket", le=le): growth
         for le, growth in {"60": "0+9x60", "90": "0+10x60", "+Inf": "0+10x60"}.items()},
        {of("xcube_request_queue_time_seconds_bucket", le=le): "0+10x60" for le in ("60", "90", "+Inf")},
        SERVICE,
    ),
    "XCubeQueueFull": Case(
        {of("xcube_requests_rejected_total", reason="queue_full"): "0+1x60"},
        {of("xcube_requests_rejected_total", reason="invalid_request"): "0+1x60"},
        SERVICE,
    ),
    "XCubeJobsFail": Case(
        {of("xcube_requests_rejected_total", reason="storage_full"): "0+1x60"},
        {of("xcube_requests_rejected_total", reason="queue_full"): "0+1x60"},
        SERVICE,
    ),
    "XCubeJobsWaiting": Case({of("xcube_jobs_waiting"): "101x60"}, {of("xcube_jobs_waiting"): "500x20 90x60"}),
    "XCubeDescriptorsNearLimit": Case(
        {OPEN: "900x60", MOST: "1024x60"},
        {OPEN: "900x60", MOST: "4096x60"},
        {**TARGET, **PROCESS},
    ),
    "XCubeOutOfMemory": Case({of("xcube_gpu_oom_total"): "0+1x60"}, {of("xcube_gpu_oom_total"): "9x60"}),
}  # fmt: skip


@pytest.mark.parametrize("name", RULES)
def test_an_alert_is_a_query_on_metrics_and_labels_of_the_service(name: str) -> None:
    query = RULES[name]["expr"]
    promql_parser.parse(query)
    known = series()
    used = set(re.findall(r"\bxcube_\w+", query))
    assert used <= set(known)
    assert used or "up{" in query
    grouped = {label.strip() for group in re.findall(r"by \(([^)]*)\)", query) for label in group.split(",")}
    assert grouped <= TARGET_LABELS.union(*(known[metric] for metric in used))


def test_every_alert_says_what_to_do_and_stands_in_the_documentation() -> None:
    text = (ROOT / "docs/operations.md").read_text()
    told = dict(re.findall(r"^\| `(XCube\w+)` \| (.+?) \|$", text, re.MULTILINE))
    assert told == {name: rule["annotations"]["summary"] for name, rule in RULES.items()}
    assert {rule["labels"]["severity"] for rule in RULES.values()} == {"critical", "warning"}


def test_every_alert_has_a_history_that_raises_it() -> None:
    assert CASES.keys() == RULES.keys()


def test_promtool_raises_each_alert_when_it_is_due_and_only_then(tmp_path: Path) -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not installed: it is in Debian's package prometheus")
    (tmp_path / "rules.yaml").write_text(yaml.safe_dump(RULE["spec"]))
    checked = subprocess.run([promtool, "check", "rules", tmp_path / "rules.yaml"], capture_output=True, text=True)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    tests = []
    for name, case in CASES.items():
        rule = RULES[name]
        raised = [{"exp_labels": {**case.labels, **rule["labels"]}, "exp_annotations": rule["annotations"]}]
        for history, expected in ((case.due, raised), (case.quiet, [])):
            tests.append(
                {
                    "name": name,
                    "interval": "1m",
                    "input_series": [{"series": key, "values": values} for key, values in history.items()],
                    "alert_rule_test": [{"eval_time": "59m", "alertname": name, "exp_alerts": expected}],
                }
            )
    (tmp_path / "tests.yaml").write_text(
        yaml.safe_dump({"rule_files": ["rules.yaml"], "evaluation_interval": "1m", "tests": tests})
    )
    done = subprocess.run([promtool, "test", "rules", tmp_path / "tests.yaml"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
