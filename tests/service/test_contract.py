"""The HTTP contract, to the letter, against the real service."""

from __future__ import annotations

import io
import json
import re
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import unquote

import bentoml
import numpy as np
import pytest

from formats import FORMATS, Format
from formats.about import file_name
from models.version import service_version
from tests.support.errors import assert_error
from tests.support.figures import wait_for
from tests.support.service import ANEW, Server

pytestmark = [pytest.mark.quick, pytest.mark.shared("server")]
FIELDS = ["coarse_xyz", "coarse_normal", "fine_xyz", "fine_normal"]


def test_while_loading_health_is_200_and_generate_says_the_words_that_clients_retry_on(
    loading: Server,
) -> None:
    assert loading.wait_until("loading", "ready", "error")["model_loaded"] is False
    answer = loading.generate()
    assert answer.status_code == 503
    assert "still loading" in answer.json()["error"]
    assert answer.json()["code"] == "loading"
    assert int(answer.headers["retry-after"]) >= 1


def test_health_has_the_fields_of_the_contract(server: Server) -> None:
    health = server.get("/health").json()
    assert (health.pop("model_set"), health.pop("kinds")) == ("demo", []), "beside the contract's fields"
    assert health.pop("presets") == ["draft", "standard", "best"]
    assert health == {
        "status": "ready",
        "xcube_available": True,
        "gpu_available": False,
        "gpu_name": None,
        "model_loaded": True,
        "error": None,
    }
    assert server.post("/health", json={}).json() == server.get("/health").json()
    for probe in ("/livez", "/readyz", "/healthz", "/metrics"):
        assert server.get(probe).status_code == 200


def test_a_shape_has_points_and_unit_normals_sorted_by_voxel(server: Server) -> None:
    answer = server.generate()
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    body = answer.json()
    assert list(body) == FIELDS
    for stage, voxel in (("coarse", 1 / 32), ("fine", 1 / 128)):
        xyz, normal = np.array(body[f"{stage}_xyz"]), np.array(body[f"{stage}_normal"])
        assert xyz.shape == normal.shape
        assert xyz.shape[1] == 3
        assert len(xyz) > 50
        assert np.abs(xyz).max() <= 0.5
        np.testing.assert_allclose(np.linalg.norm(normal, axis=1), 1, atol=1e-5)
        ijk = np.round(xyz / voxel - 0.5).astype(int)
        np.testing.assert_allclose((ijk + 0.5) * voxel, xyz, atol=1e-6)
        assert [tuple(row) for row in ijk] == sorted({tuple(row) for row in ijk})


def test_headers_tell_seed_request_id_and_timings(server: Server) -> None:
    answer = server.post("/generate", json={"prompt": "x", "ddim_steps": 2}, headers={"X-Request-ID": "my-id.1"})
    assert answer.headers["x-request-id"] == "my-id.1"
    assert 0 <= int(answer.headers["x-seed"]) < 2**31
    names = [part.split(";")[0].strip() for part in answer.headers["server-timing"].split(",")]
    assert names == ["queue", "text", "coarse", "fine", "write"]
    assert "x-xcube-warning" not in answer.headers
    made = server.post("/generate", json={}, headers={"X-Request-ID": "no\tgood id"}).headers["x-request-id"]
    assert re.fullmatch(r"[0-9a-f]{32}", made)


def test_a_long_prompt_is_cut_with_a_warning(server: Server) -> None:
    answer = server.generate(prompt="a very old chair " * 50, use_fine=False, ddim_steps=1)
    assert "77" in answer.headers["x-xcube-warning"]


def test_without_fine_its_fields_are_null(server: Server) -> None:
    body = server.generate(use_fine=False).json()
    assert list(body) == FIELDS
    assert body["fine_xyz"] is None
    assert body["fine_normal"] is None
    assert body["coarse_xyz"] == server.generate().json()["coarse_xyz"]


@pytest.mark.parametrize("format_", FORMATS, ids=lambda format_: format_.name)
def test_every_format_is_had_by_name_and_by_accept(server: Server, format_: Format) -> None:
    body = {"prompt": "a chair", "ddim_steps": 4, "seed": 1}
    by_name = server.post("/generate", params={"format": format_.name}, json=body)
    by_accept = server.post("/generate", headers={"Accept": format_.media_type}, json=body)
    assert by_name.status_code == by_accept.status_code == 200
    assert by_name.content == by_accept.content
    for answer in (by_name, by_accept):
        assert answer.headers["content-type"] == format_.media_type
        assert answer.headers["vary"] in ("Accept", "Accept, Accept-Encoding")
        assert answer.headers["x-seed"] == "1"
        name = file_name("a chair", 1, format_.name, format_.suffix)
        named = None if format_.name == "json" else f'attachment; filename="{name}"'
        assert answer.headers.get("content-disposition") == named


def test_headers_tell_where_a_shape_comes_from_whatever_its_prompt(server: Server) -> None:
    for prompt in ("a chair ", "ä 椅子\n: x", "x" * 1000):
        answer = server.generate(prompt=prompt, use_fine=False, ddim_steps=1)
        assert unquote(answer.headers["x-xcube-prompt"]) == prompt
        assert answer.headers["x-xcube-version"] == service_version()
        models = unquote(answer.headers["x-xcube-models"]).split()
        assert [model.partition(":")[0] for model in models] == ["xcube-text", "xcube-coarse", "xcube-fine"]
    long = server.generate(prompt="椅" * 999, use_fine=False, ddim_steps=1)
    assert long.status_code == 200
    assert "x-xcube-prompt" not in long.headers


def test_npz_is_json_with_exact_voxels_and_normals_within_a_degree(server: Server) -> None:
    told = server.generate().json()
    body = {"prompt": "a chair", "ddim_steps": 4, "seed": 1}
    with np.load(io.BytesIO(server.post("/generate?format=npz", json=body).content), allow_pickle=False) as loaded:
        for stage in ("coarse", "fine"):
            ijk, normal = loaded[f"{stage}_ijk"], loaded[f"{stage}_normal"].astype(np.float64)
            assert ijk.dtype == np.int16
            xyz = ((ijk.astype(np.float64) + 0.5) * loaded[f"{stage}_voxel_size"]).astype(np.float32)
            np.testing.assert_array_equal(xyz, np.array(told[f"{stage}_xyz"], np.float32))
            off = np.cross(normal, told[f"{stage}_normal"])
            assert np.degrees(np.arcsin(np.linalg.norm(off, axis=1).clip(0, 1))).max() < 1.0
            assert ((normal * told[f"{stage}_normal"]).sum(axis=1) > 0).all()


@pytest.mark.parametrize("seed", [-(2**63), -1, 0, 2**31, 2**64 - 1])
def test_any_seed_works_and_comes_back(server: Server, seed: int) -> None:
    answer = server.generate(seed=seed, ddim_steps=1, use_fine=False)
    assert answer.status_code == 200
    assert answer.headers["x-seed"] == str(seed)


def test_the_seed_of_a_random_shape_gives_the_same_shape_again(server: Server) -> None:
    first = server.generate(seed=None)
    again = server.generate(seed=int(first.headers["x-seed"]))
    assert first.content == again.content
    assert first.content != server.generate(seed=None).content


def test_a_shape_does_not_depend_on_what_runs_beside_it(server: Server) -> None:
    requests: list[dict[str, Any]] = [
        {"prompt": "a chair", "seed": 1, "ddim_steps": 7},
        {"prompt": "a boat", "seed": 2, "ddim_steps": 30, "guidance_scale": 1.0},
        {"prompt": "a chair", "seed": 1, "ddim_steps": 7},
        {"prompt": "a tree", "seed": 3, "ddim_steps": 3, "use_fine": False},
    ]
    alone = [server.post("/generate", json=request, headers=ANEW).content for request in requests]
    with ThreadPoolExecutor(len(requests)) as pool:
        together = list(pool.map(lambda request: server.post("/generate", json=request, headers=ANEW), requests))
    assert [answer.status_code for answer in together] == [200] * 4
    assert [answer.content for answer in together] == alone
    assert alone[0] == alone[2]


@pytest.mark.parametrize(
    ("body", "names"),
    [
        ({}, ["prompt is missing"]),
        ({"prompt": "  "}, ["prompt"]),
        ({"prompt": "x" * 1001}, ["prompt"]),
        (
            {"prompt": "x", "ddim_steps": 0, "guidance_scale": 21, "colour": 1},
            ["ddim_steps", "guidance_scale", "colour"],
        ),
        ({"prompt": "x", "ddim_steps": True}, ["ddim_steps"]),
        ({"prompt": "x", "seed": 2**64}, ["seed"]),
    ],
)
def test_every_bad_field_is_named(server: Server, body: dict[str, Any], names: list[str]) -> None:
    sentence = assert_error(server.post("/generate", json=body), 400, "invalid_request")
    for name in names:
        assert name in sentence


@pytest.mark.parametrize(
    "body", [b"{", b"[1]", b'{"prompt": "x", "guidance_scale": NaN}', b'{"prompt": "x", "guidance_scale": 1e400}']
)
def test_what_is_no_json_object_is_400(server: Server, body: bytes) -> None:
    answer = server.post("/generate", content=body, headers={"Content-Type": "application/json"})
    assert_error(answer, 400, "invalid_request")


@pytest.mark.parametrize(
    "kind", [None, "text/plain", "application/vnd.bentoml+pickle", "application/json; charset=utf-16"]
)
def test_only_json_is_taken(server: Server, kind: str | None) -> None:
    headers = {"Content-Type": kind} if kind else {}
    assert_error(server.post("/generate", content=b'{"prompt": "x"}', headers=headers), 415)


def test_forms_and_multipart_are_refused(server: Server) -> None:
    assert_error(server.post("/generate", data={"prompt": "x"}), 415)
    assert_error(server.post("/generate", files={"prompt": b"x"}), 415)


def test_long_bodies_are_refused_declared_or_chunked(server: Server) -> None:
    headers = {"Content-Type": "application/json"}
    body = b'{"prompt": "' + b"x" * 2_000_000 + b'"}'
    assert_error(server.post("/generate", content=body, headers=headers), 413)
    chunks = (body[i : i + 50_000] for i in range(0, len(body), 50_000))
    assert_error(server.post("/generate", content=chunks, headers=headers), 413)


def test_a_body_in_small_chunks_is_taken(server: Server) -> None:
    body = json.dumps({"prompt": "x", "ddim_steps": 1, "use_fine": False}).encode()
    chunks = (body[i : i + 3] for i in range(0, len(body), 3))
    assert server.post("/generate", content=chunks, headers={"Content-Type": "application/json"}).status_code == 200


def test_unknown_paths_and_methods_have_object_bodies_too(server: Server) -> None:
    assert_error(server.get("/nothing"), 404, "not_found")
    assert_error(server.get("/static/nothing"), 404, "not_found")
    assert_error(server.get("/generate"), 405, "method_not_allowed")
    assert_error(server.post("/docs", json={}), 405, "method_not_allowed")


def test_bad_requests_leave_no_traceback_in_the_log(server: Server) -> None:
    before = len(server.log.read_text())
    for body in (b"{", b'{"prompt": 5}', b'{"prompt": "x", "more": 1}'):
        server.post("/generate", content=body, headers={"Content-Type": "application/json"})
    server.post("/generate", content=b"x", headers={"Content-Type": "application/vnd.bentoml+pickle"})
    server.get("/nothing", headers={"X-Request-ID": "after-the-bad-ones"})
    wait_for(lambda: "after-the-bad-ones" in server.log.read_text())
    said = server.log.read_text()[before:]
    assert "Traceback" not in said
    assert "ERROR" not in said


def test_bentoml_client_gets_arrays(server: Server) -> None:
    with bentoml.SyncHTTPClient(server.url, timeout=60) as client:
        assert client.health()["status"] == "ready"
        coarse = client.generate(prompt="a chair", use_fine=False, ddim_steps=4, seed=1)
        both = client.generate(prompt="a chair", ddim_steps=4, seed=1)
    assert coarse["fine_xyz"] is None
    assert isinstance(coarse["coarse_xyz"], np.ndarray)
    assert coarse["coarse_xyz"].dtype == np.float32
    assert coarse["coarse_xyz"].shape == coarse["coarse_normal"].shape
    np.testing.assert_array_equal(both["coarse_xyz"], coarse["coarse_xyz"])
    assert np.array(both["fine_xyz"], np.float32).shape[1] == 3


def test_index_and_documentation_need_no_internet(server: Server) -> None:
    index = server.get("/").json()
    assert {"name", "version", "docs"} <= set(index)
    assert index["models"] == "demo"
    for page in ("/docs", "/redoc"):
        answer = server.get(page)
        assert answer.headers["content-type"].startswith("text/html")
        links = re.findall(r'(?:src|href|spec-url)="([^"]+)"', answer.text)
        assert links
        for link in links:
            assert not link.startswith(("http:", "https:", "//"))
            if not link.startswith("data:"):
                assert server.get("/" + link).status_code == 200
        assert "default-src 'self'" in answer.headers["content-security-policy"]


def test_the_documented_api_is_the_whole_api(server: Server) -> None:
    document = server.get("/openapi.json").json()
    assert set(document["paths"]) >= {"/", "/health", "/generate", "/docs", "/redoc", "/livez", "/readyz", "/metrics"}
    assert set(document["paths"]["/health"]) == {"get", "post"}
    references = re.findall(r'"#/components/schemas/(\w+)"', json.dumps(document))
    assert set(references) <= set(document["components"]["schemas"])
    responses = document["paths"]["/generate"]["post"]["responses"]
    assert set(responses) >= {"200", "400", "413", "415", "422", "429", "500", "503", "504"}
