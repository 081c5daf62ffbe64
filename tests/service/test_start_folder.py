"""A relative path in a setting counts from the folder of the start, whatever starts the service from there."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.support.figures import wait_for
from tests.support.paths import ROOT
from tests.support.service import own_environment, started

pytestmark = pytest.mark.costly
BENTOML = [sys.executable, "-m", "bentoml", "serve"]
WAYS = {
    "bentoml serve FOLDER": [*BENTOML, str(ROOT)],
    "bentoml serve --working-dir": [*BENTOML, "service:XCube", "--working-dir", str(ROOT)],
    "scripts/serve": [ROOT / "scripts" / "serve"],
}


@pytest.mark.timeout(200)
@pytest.mark.parametrize("way", WAYS)
def test_relative_paths_count_from_the_folder_of_the_start(way: str, tmp_path: Path, tiny_models: Path) -> None:
    (tmp_path / "models").symlink_to(tiny_models)
    (tmp_path / "set.yaml").write_text("fine: null\n")
    environment = own_environment(
        Path("store"),
        XCUBE_CHECKPOINT_DIR="models",
        XCUBE_CONFIG="set.yaml",
        XCUBE_JOBS_DIR="my jobs",
        XCUBE_DEVICE="cpu",
        XCUBE_THREADS="1",
        XCUBE_DRAIN_SECONDS="2",
    )
    with started(WAYS[way], environment, tmp_path / "log", cwd=tmp_path) as server:
        server.wait_until_ready()
        answer = server.generate(ddim_steps=1)
        assert answer.status_code == 200, answer.text
        assert answer.json()["fine_xyz"] is None, "the file says so"
        wait_for((tmp_path / "my jobs" / "jobs.sqlite").exists)
        assert server.post("/jobs", json={"prompt": "a chair"}).status_code == 202
        assert any((tmp_path / "store" / "models").iterdir())
        assert server.stop() == 0
    assert not (ROOT / "my jobs").exists()
    assert not (ROOT / "store").exists()
