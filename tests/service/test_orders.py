"""What a Sampler that listens for itself takes, and from whom: nothing that a web page can make a browser send."""

from __future__ import annotations

import base64
import http.client
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.errors import assert_error
from tests.support.gpu_tier import SERVE_SAMPLER, sampler
from tests.support.leaving import part_of_a_body_sent
from tests.support.paths import ROOT
from tests.support.service import AT_ONCE, Server, own_environment

pytestmark = pytest.mark.costly
ORDER = {"prompt": "a chair", "ddim_steps": 2, "guidance_scale": 1.0, "seed": 1, "use_fine": False}
STATE = base64.b64encode(b"no state").decode()
JSON = {"Content-Type": "application/json"}


@pytest.fixture(scope="module")
def alone(tiny_models: Path, model_store: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A Sampler without a token, at an address that only this machine reaches."""
    with sampler(tiny_models, model_store, tmp_path_factory.mktemp("sampler") / "log", token="") as server:
        server.wait_until_ready()
        yield server
        log = server.log.read_text()
        assert "Traceback" not in log
        assert '"level":"ERROR"' not in log


@pytest.mark.parametrize(("option", "variable"), [([], {}), (["--host", "::"], {}), ([], {"BENTOML_HOST": "0.0.0.0"})])
def test_a_sampler_that_others_reach_does_not_start_without_a_token(
    tmp_path: Path, option: list[str], variable: dict[str, str]
) -> None:
    environment = own_environment(tmp_path, **variable)
    start = subprocess.run(
        [*SERVE_SAMPLER, *option], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120
    )
    assert start.returncode == 1
    address = "::" if option else "0.0.0.0"
    assert start.stderr == (
        f"xcube: a Sampler at {address} would work for everybody who reaches it: "
        "set XCUBE_SAMPLER_TOKEN to the same value in both tiers, or serve it with --host 127.0.0.1.\n"
    )


def test_orders_within_their_bounds_are_worked_on_to_the_end(alone: Server) -> None:
    progress = alone.post("/begin", json={"order": ORDER}).json()
    while progress["step"] < progress["steps"]:
        answer = alone.post("/denoise", json={"items": [{"state": progress["state"], "batch_key": "coarse"}]})
        (progress,) = answer.json()
        assert progress["code"] is None
    decoded = alone.post("/decode", json={"item": {"state": progress["state"], "refine": False}}).json()
    assert decoded["code"] is None
    assert decoded["voxels"]
    assert alone.post("/status", json={}).json()["health"]["status"] == "ready"


def test_every_order_has_its_bounds(alone: Server) -> None:
    """Those that BentoML would take without them are in its document as well."""
    paths = alone.get("/docs.json").json()["paths"]
    orders = {path for path, item in paths.items() if "post" in item}
    assert {"/status", "/recognise", "/fit", "/begin", "/denoise", "/decode"} <= orders
    for path in orders:
        assert_error(alone.post(path, data={"order": "{}"}), 415)


@pytest.mark.parametrize("path", ["/status", "/recognise", "/fit", "/begin", "/denoise", "/decode"])
@pytest.mark.parametrize(
    "kind",
    ["", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "application/xml",
     "application/vnd.bentoml+pickle", "application/json; charset=utf-16", "application/octet-stream"],
)  # fmt: skip
def test_a_type_that_a_web_page_can_send_is_415(alone: Server, path: str, kind: str) -> None:
    assert_error(alone.post(path, content=b"order=x", headers={"Content-Type": kind} if kind else {}), 415)


def test_forms_as_clients_make_them_are_415(alone: Server) -> None:
    assert_error(alone.post("/begin", data={"order": "{}"}), 415)
    assert_error(alone.post("/begin", files={"order": b"{}"}), 415)
    assert_error(alone.post("/begin", content=b"{}", headers={**JSON, "Content-Encoding": "gzip"}), 415)


def of(**fields: Any) -> dict[str, Any]:
    return {"order": {**ORDER, **fields}}


REFUSED: dict[str, tuple[str, dict[str, Any], str]] = {
    "too many steps": ("/begin", of(ddim_steps=1001), "order.ddim_steps"),
    "no steps": ("/begin", of(ddim_steps=0), "order.ddim_steps"),
    "a long prompt": ("/begin", of(prompt="x" * 1001), "order.prompt"),
    "a blank prompt": ("/begin", of(prompt=" "), "order.prompt"),
    "much guidance": ("/begin", of(guidance_scale=21), "order.guidance_scale"),
    "a long seed": ("/begin", of(seed=2**64), "order.seed"),
    "an unknown field": ("/begin", of(other=1), "order.other"),
    "no order": ("/begin", {}, "order is missing"),
    "too many states": ("/denoise", {"items": [{"state": STATE, "batch_key": "coarse"}] * 65}, "items"),
    "no states": ("/denoise", {"items": []}, "items"),
    "a long batch key": ("/denoise", {"items": [{"state": STATE, "batch_key": "x" * 101}]}, "items.0.batch_key"),
    "no base64": ("/denoise", {"items": [{"state": "!", "batch_key": "coarse"}]}, "items.0.state"),
    "no text": ("/decode", {"item": {"state": 5, "fine_steps": 0}}, "item.state"),
    "half an item": ("/decode", {"item": {"fine_steps": 1}}, "item.state is missing"),
    "a shape that is no text": ("/fit", {"item": {"coarse": 5}}, "item.coarse"),
    "no shape": ("/fit", {"item": {"fit": STATE}}, "item.coarse is missing"),
    "a prompt that is none": ("/recognise", {"prompt": 5}, "prompt"),
    "a prompt beyond its length": ("/recognise", {"prompt": "x" * 1001}, "prompt"),
    "a list": ("/status", {"a": 1}, "a is not a known field"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_an_order_out_of_its_bounds_is_400_and_names_the_field(alone: Server, name: str) -> None:
    path, body, told = REFUSED[name]
    assert told in assert_error(alone.post(path, json=body), 400, "invalid_request")


@pytest.mark.parametrize(
    "body", [b"\xff\xfe", b"{", b"[]", b"null", b"[" * 50_000, b'{"order": NaN}', b'{"order": "\xed\xa0\x80"}']
)
def test_bytes_that_are_no_order_are_400(alone: Server, body: bytes) -> None:
    for path in ("/recognise", "/begin", "/denoise", "/decode"):
        assert_error(alone.post(path, content=body, headers=JSON), 400, "invalid_request")


def test_a_body_is_read_no_further_than_its_order_can_be_long(alone: Server) -> None:
    assert_error(alone.post("/status", json={"prompt": "x" * 70_000}), 413, "body_too_large")
    for path in ("/recognise", "/begin", "/denoise", "/decode"):
        connection = http.client.HTTPConnection("127.0.0.1", alone.port, timeout=60)
        connection.putrequest("POST", path)
        connection.putheader("Content-Type", "application/json")
        connection.putheader("Content-Length", str(400 << 20))
        connection.endheaders(b"{")
        answer = connection.getresponse()
        assert answer.status == 413
        assert json.loads(answer.read())["code"] == "body_too_large"
        connection.close()


def test_what_a_sampler_does_not_have_is_told_in_the_form_of_every_error(alone: Server) -> None:
    assert_error(alone.post("/generate", json={}), 404, "not_found")
    refused = alone.get("/begin")
    assert_error(refused, 405, "method_not_allowed")
    assert refused.headers["allow"] == "POST"
    assert alone.get("/livez").status_code == 200


def test_states_that_are_none_fail_alone(alone: Server) -> None:
    good = alone.post("/begin", json={"order": ORDER}).json()["state"]
    outcomes = alone.post(
        "/denoise", json={"items": [{"state": STATE, "batch_key": "coarse"}, {"state": good, "batch_key": "coarse"}]}
    ).json()
    assert [outcome["code"] for outcome in outcomes] == ["unreadable_state", None]


def test_a_client_that_leaves_in_the_midst_of_its_order_does_not_keep_the_sampler_from_ending(alone: Server) -> None:
    """After all others that use it."""
    with part_of_a_body_sent(alone, "/begin"):
        pass
    assert alone.stop(within=AT_ONCE) == 0
