"""POST /batch_generate: order, shared and own parameters, and failures that stay with their item."""

from __future__ import annotations

from typing import Any

import bentoml
import pytest

from tests.support.errors import assert_error
from tests.support.service import Server

pytestmark = pytest.mark.shared("server")


def test_the_results_come_in_order_and_are_those_of_single_calls(server: Server) -> None:
    own = {"prompt": "a boat", "seed": 2, "ddim_steps": 9, "guidance_scale": 1.0, "use_fine": False}
    answer = server.post("/batch_generate", json={"prompts": ["a chair", own, "a tree"], "ddim_steps": 4, "seed": 1})
    assert answer.status_code == 200
    results = answer.json()["results"]
    singles = [server.generate(), server.generate(**own), server.generate(prompt="a tree")]
    assert [result.pop("seed") for result in results] == [1, 2, 1]
    assert [result.pop("seed_text") for result in results] == ["1", "2", "1"]
    assert [result.pop("warnings") for result in results] == [[], [], []]
    assert [result.pop("nearest_kinds") for result in results] == [[], [], []]
    assert results == [single.json() for single in singles]


def test_without_a_seed_every_prompt_gets_its_own(server: Server) -> None:
    body = {"prompts": ["a chair", "a chair"], "ddim_steps": 1, "use_fine": False}
    first, second = server.post("/batch_generate", json=body).json()["results"]
    assert first["seed"] != second["seed"]
    assert first["coarse_xyz"] != second["coarse_xyz"]


def test_a_seed_of_64_bits_is_told_as_text_too(server: Server) -> None:
    body = {"prompts": ["a chair"], "ddim_steps": 1, "use_fine": False, "seed": 2**64 - 1}
    (result,) = server.post("/batch_generate", json=body).json()["results"]
    assert (result["seed"], result["seed_text"]) == (2**64 - 1, "18446744073709551615")


def test_bentomls_client_sends_batches_too(server: Server) -> None:
    with bentoml.SyncHTTPClient(server.url, timeout=60) as client:
        results = client.batch_generate(prompts=["a chair"], ddim_steps=4, seed=1)
    results = results["results"] if isinstance(results, dict) else results.results
    assert results[0]["coarse_xyz"] == server.generate().json()["coarse_xyz"]


@pytest.mark.parametrize(
    ("body", "named"),
    [
        ({}, "prompts is missing"),
        ({"prompts": []}, "prompts"),
        ({"prompts": ["x"] * 9}, "at most 8"),
        ({"prompts": ["x", " "]}, "prompts.1"),
        ({"prompts": ["x", {"prompt": "y", "steps": 3}]}, "prompts.1"),
        ({"prompts": ["x"], "prompt": "y"}, "prompt is not a known field"),
    ],
)
def test_a_wrong_batch_is_refused_and_the_fault_named(server: Server, body: Any, named: str) -> None:
    assert named in assert_error(server.post("/batch_generate", json=body), 400, "invalid_request")


def test_the_failure_of_one_prompt_is_not_anothers(single: Server) -> None:
    answer = single.post("/batch_generate", json={"prompts": ["x"] * 4, "ddim_steps": 4, "seed": 1})
    first, second, third, refused = answer.json()["results"]
    assert len(first["coarse_xyz"]) > 0
    assert first == second == third
    assert (refused["code"], refused["retryable"]) == ("queue_full", True)
