"""Without its models the service stays up and says what is missing."""

from __future__ import annotations

from pathlib import Path

from tests.support.errors import assert_error
from tests.support.paths import ROOT
from tests.support.service import StartServer


def test_without_a_text_tower_the_service_names_it_and_stays_up(start_server: StartServer, tmp_path: Path) -> None:
    server = start_server(ROOT / "tests" / "golden", BENTOML_HOME=str(tmp_path))
    health = server.wait_until("error", "ready")
    assert health["status"] == "error"
    assert health["model_loaded"] is False
    assert "text" in health["error"]
    assert "\n" not in health["error"]
    assert server.get("/livez").status_code == 200
    assert_error(server.get("/readyz"), 503)
    assert assert_error(server.generate(), 503, "models_unavailable") == health["error"]
    assert "Traceback" not in server.log.read_text()
    assert server.stop() == 0
