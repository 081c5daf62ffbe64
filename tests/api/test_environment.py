"""Which environment variables are settings, which are others', and which were meant to be settings."""

from __future__ import annotations

import http.server
import logging
import os
import threading
from pathlib import Path

import bentoml
import httpx
import pytest

from api import lifecycle
from api.environment import doubts, name_of, pass_by_proxies, values
from api.settings import Settings, read_settings

FIELDS = Settings.model_fields
KUBERNETES = {
    "XCUBE_SERVICE_HOST": "10.96.0.7",
    "XCUBE_SERVICE_PORT": "80",
    "XCUBE_SERVICE_PORT_HTTP": "80",
    "XCUBE_PORT": "tcp://10.96.0.7:80",
    "XCUBE_PORT_80_TCP": "tcp://10.96.0.7:80",
    "XCUBE_PORT_80_TCP_PROTO": "tcp",
    "XCUBE_PORT_80_TCP_PORT": "80",
    "XCUBE_PORT_80_TCP_ADDR": "10.96.0.7",
    "XCUBE_SAMPLER_SERVICE_HOST": "10.96.0.8",
    "XCUBE_SAMPLER_SERVICE_PORT": "8000",
    "XCUBE_SAMPLER_PORT": "tcp://10.96.0.8:8000",
    "XCUBE_SAMPLER_PORT_8000_TCP": "tcp://10.96.0.8:8000",
    "XCUBE_V6_PORT": "tcp://[fd00::7]:80",
}
"""What a kubelet sets in every container of a namespace with the Services xcube, xcube-sampler and xcube-v6."""
DOCKER = {"XCUBE_NAME": "/client/xcube", "XCUBE_ENV_XCUBE_DEVICE": "cpu", "XCUBE_PORT": "tcp://172.17.0.2:8000"}


@pytest.fixture(autouse=True)
def _no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for field in FIELDS:
        monkeypatch.delenv(name_of(field), raising=False)


@pytest.mark.parametrize("added", [KUBERNETES, DOCKER], ids=["kubernetes", "docker"])
def test_what_an_orchestrator_adds_is_no_setting_and_no_mistake(
    added: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert list(doubts(added, FIELDS)) == []
    assert values(added, FIELDS) == {}
    for name, value in added.items():
        monkeypatch.setenv(name, value)
    assert read_settings().port == 8000


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("XCUBE_DEVCE", "XCUBE_DEVICE may be meant"),
        ("XCUBE_APIKEY", "XCUBE_API_KEY may be meant"),
        ("XCUBE_CHECKPOINTS_DIR", "XCUBE_CHECKPOINT_DIR may be meant"),
        ("xcube_port", "XCUBE_PORT may be meant"),
        ("Xcube_Log_Format", "XCUBE_LOG_FORMAT may be meant"),
        ("XCUBE_QQQQQQ", "docs/configuration.md lists those that there are"),
        ("XCUBE_HTTP_PORT", "may be meant"),
    ],
)
def test_a_misspelt_setting_is_named_with_the_one_that_is_nearest(name: str, meant: str) -> None:
    (sentence,) = doubts({name: "value", "XCUBE_DEVICE": "cpu", "PATH": "/bin", "XCUBE_URL": "http://x"}, FIELDS)
    assert sentence.startswith(f"{name} is set but is no setting: ")
    assert meant in sentence


def test_every_setting_is_read_by_exactly_the_name_in_the_table(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("xcube_port", "9000")
    assert read_settings().port == 8000
    monkeypatch.setenv("XCUBE_PORT", "9001")
    assert read_settings().port == 9001


@pytest.mark.parametrize("field", ["checkpoint_dir", "jobs_dir"])
def test_a_folder_may_begin_with_the_home_folder(field: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv(name_of(field), "~/models\n")
    assert getattr(read_settings(), field) == tmp_path / "models"


def test_calls_to_the_same_machine_pass_by_proxies_and_other_exceptions_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.setenv("NO_PROXY", "example.org")
    monkeypatch.setenv("HTTP_PROXY", "http://192.0.2.1:9")
    for _ in range(2):  # the supervisor does it, then its children with what they inherit
        pass_by_proxies(os.environ)
    assert os.environ["no_proxy"] == "localhost,127.0.0.1,::1,example.org"
    with http.server.HTTPServer(("127.0.0.1", 0), http.server.SimpleHTTPRequestHandler) as listening:
        threading.Thread(target=listening.handle_request, daemon=True).start()
        assert httpx.get(f"http://127.0.0.1:{listening.server_port}/none", timeout=5).status_code == 404


@pytest.mark.parametrize(("worker", "told"), [(None, 1), (1, 0)])
def test_a_start_warns_once_of_misspelt_settings(
    worker: int | None, told: int, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    monkeypatch.setattr(bentoml.server_context, "worker_index", worker)
    for part in ("supervisor.announce", "supervisor.end_with_it", "metrics_page.use_own_folder", "logs.configure"):
        monkeypatch.setattr(f"api.lifecycle.{part}", lambda: None)
    monkeypatch.setattr(lifecycle.connections, "use", lambda *_: None)
    monkeypatch.setattr(lifecycle.descriptors, "room_for", lambda wanted: wanted)
    monkeypatch.setenv("XCUBE_DEVCE", "cpu")
    monkeypatch.setenv("no_proxy", "")
    lifecycle.begin(Settings())
    assert [record.getMessage() for record in caplog.records if "XCUBE_DEVCE" in record.getMessage()] == [
        "XCUBE_DEVCE is set but is no setting: XCUBE_DEVICE may be meant."
    ] * told
