"""What has to work on every Python that the project promises: it starts, and its clients get shapes.

scripts/test_pythons runs this file on each version.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from typing import Any

import bentoml
import httpx
import numpy as np
import pytest

from tests.support.figures import wait_for
from tests.support.log_lines import lines
from tests.support.paths import ROOT
from tests.support.running import serve
from tests.support.service import Server

REQUEST: dict[str, Any] = {"prompt": "a round table", "seed": 7, "ddim_steps": 4}


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("service")
    with serve(ROOT, folder, XCUBE_JOBS_DIR=str(folder / "jobs")) as running:
        yield running


@pytest.fixture(scope="module")
def shape(service: Server) -> dict[str, Any]:
    answer = httpx.post(f"{service.url}/generate", json=REQUEST, timeout=300)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def test_the_demo_models_answer_in_json(shape: dict[str, Any]) -> None:
    assert sorted(shape) == ["coarse_normal", "coarse_xyz", "fine_normal", "fine_xyz"]
    assert len(shape["fine_xyz"]) == len(shape["fine_normal"]) > len(shape["coarse_xyz"]) > 10


def test_the_same_shape_comes_as_npz(service: Server, shape: dict[str, Any]) -> None:
    answer = httpx.post(f"{service.url}/generate?format=npz", json=REQUEST, timeout=300)
    with np.load(io.BytesIO(answer.content)) as arrays:
        for stage in ("coarse", "fine"):
            assert len(arrays[f"{stage}_ijk"]) == len(shape[f"{stage}_xyz"])
            np.testing.assert_allclose(arrays[f"{stage}_normal"], shape[f"{stage}_normal"], atol=1e-3)


def test_bentoml_s_client_gets_arrays(service: Server, shape: dict[str, Any]) -> None:
    with bentoml.SyncHTTPClient(service.url, timeout=300) as client:
        assert client.health()["status"] == "ready"
        answer = client.generate(**REQUEST)
    np.testing.assert_array_equal(answer["coarse_xyz"], np.asarray(shape["coarse_xyz"], np.float32))


def test_page_documentation_and_metrics_are_there(service: Server) -> None:
    for path in ("/ui/", "/ui/style.css", "/docs", "/openapi.json", "/metrics", "/readyz"):
        assert httpx.get(service.url + path, timeout=30).status_code == 200, path


def test_a_start_tells_what_it_does_and_at_the_end_the_address(
    service: Server,
) -> None:
    """With a model store that is still empty, as at the first start."""
    end = "ready after "
    wait_for(lambda: end in service.log.read_text())
    told = [line["message"] for line in lines(service)]
    told = told[: next(index for index, message in enumerate(told) if message.startswith(end)) + 1]
    steps = ("loading PyTorch", "imported ", "loading the text model", "loading the coarse model", "warming up", end)
    found = [next(index for index, message in enumerate(told) if message.startswith(step)) for step in steps]
    assert found == sorted(found)
    assert re.search(rf"ready after \d+ s: open {service.url}/ in a browser", told[-1])
