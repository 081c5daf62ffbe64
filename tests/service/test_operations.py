"""docs/operations.md says what is so: metrics, alerts, log lines, tracing settings, commands."""

from __future__ import annotations

import http.server
import json
import re
import shlex
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from cli.load.__main__ import options_of
from tests.support.figures import NAMES, wait_for
from tests.support.paths import ROOT
from tests.support.service import Server, StartServer

pytestmark = pytest.mark.shared("server")

TEXT = (ROOT / "docs" / "operations.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", TEXT, re.M | re.S)


def test_the_table_has_every_metric_and_no_other() -> None:
    described = set(re.findall(r"^\| `(xcube_\w+?)(?:_total)?` \|", TEXT, re.M))
    assert described == set(NAMES)


def test_every_path_of_the_table_of_probes_answers(server: Server) -> None:
    paths = re.findall(r"`(?:GET )?(/[\w/]+)`", "".join(re.findall(r"^\| (`GET [^|]+)\|", TEXT, re.M)))
    assert len(paths) == 9
    for path in paths:
        assert server.get(path).status_code == 200, path
    assert server.get("/v2/models/fine").json()["versions"][0].startswith("xcube-fine:")


def test_commands_of_scripts_load_are_understood() -> None:
    commands = [line for line in "".join(blocks("bash")).splitlines() if line.startswith("scripts/load")]
    assert len(commands) == 4
    for command in commands:
        assert options_of(shlex.split(command)[1:])


def test_a_line_of_the_log_looks_like_the_one_shown(server: Server) -> None:
    server.post(
        "/generate",
        json={"prompt": "x", "ddim_steps": 1, "seed": 1, "use_fine": False},
        headers={"X-Request-ID": "operations-1"},
    )
    wait_for(lambda: '"request_id":"operations-1"' in server.log.read_text())
    (line,) = [line for line in server.log.read_text().splitlines() if '"request_id":"operations-1"' in line]
    shown = json.loads(blocks("json")[0])
    assert set(json.loads(line)) == set(shown)
    assert set(json.loads(line)["parameters"]) == set(shown["parameters"])


class Collector(http.server.BaseHTTPRequestHandler):
    """Takes spans as an OpenTelemetry collector does."""

    spans: ClassVar[list[tuple[str, Span]]] = []

    def do_POST(self) -> None:
        message = ExportTraceServiceRequest.FromString(self.rfile.read(int(self.headers["Content-Length"])))
        for resource in message.resource_spans:
            attributes = {item.key: item.value.string_value for item in resource.resource.attributes}
            self.spans.extend(
                (attributes["service.name"], span) for scope in resource.scope_spans for span in scope.spans
            )
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def collector() -> Iterator[str]:
    """The address of a collector."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Collector) as listening:
        thread = threading.Thread(target=listening.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{listening.server_port}/v1/traces"
        listening.shutdown()
        thread.join()


def test_with_the_settings_shown_both_processes_send_the_spans_of_one_trace(
    collector: str, start_server: StartServer, tiny_models: Path, tmp_path: Path
) -> None:
    (settings,) = [block for block in blocks("yaml") if "tracing:" in block]
    (tmp_path / "bentoml.yaml").write_text(settings.replace("http://localhost:4318/v1/traces", collector))
    server = start_server(tiny_models, BENTOML_CONFIG=str(tmp_path / "bentoml.yaml"))
    server.wait_until("ready")
    trace = "0af7651916cd43dd8448eb211c80319c"
    headers = {"X-Request-ID": "trace-1", "traceparent": f"00-{trace}-b7ad6b7169203331-01"}
    request = {"prompt": "x", "ddim_steps": 2, "seed": 1}
    assert server.post("/generate", json=request, headers=headers).status_code == 200
    end, ours = time.monotonic() + 90, dict[str, tuple[str, Span]]()
    while not {"POST /generate", "POST /begin"} <= set(ours):  # they are sent every few seconds
        assert time.monotonic() < end, sorted(ours)
        time.sleep(0.5)
        ours = {span.name: (service, span) for service, span in Collector.spans if span.trace_id.hex() == trace}
    for name in ("queue", "text", "coarse", "fine", "write"):
        service, span = ours[name]
        assert service == "XCube"
        assert {item.key: item.value.string_value for item in span.attributes} == {"xcube.request_id": "trace-1"}
        assert span.parent_span_id == ours["POST /generate"][1].span_id
    assert ours["POST /begin"][0] == "Sampler"
    assert not [span.name for _, span in Collector.spans if "health" in span.name]
