"""docs/openapi.json is the contract: a change of the API that is not in it fails here, and is named."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from cli.docs import openapi


@pytest.fixture(scope="module")
def agreed() -> dict[str, Any]:
    document: dict[str, Any] = json.loads(openapi.SNAPSHOT.read_text(encoding="utf-8"))
    return document


def test_the_api_is_what_the_snapshot_says(agreed: dict[str, Any]) -> None:
    found = list(openapi.changes(agreed, openapi.current()))
    assert not found, "\n".join(["the API has changed; if it was meant to, run scripts/docs --openapi:", *found])


def test_a_change_is_told_by_its_place_and_what_it_was(agreed: dict[str, Any]) -> None:
    changed = copy.deepcopy(agreed)
    request = changed["components"]["schemas"]["GenerateRequest"]
    request["properties"]["prompt"]["maxLength"] = 500
    request["properties"]["colour"] = {"type": "string"}
    del changed["paths"]["/generate"]["post"]["responses"]["429"]
    request["required"] = ["prompt", "seed"]
    told = list(openapi.changes(agreed, changed))
    assert len(told) == 4
    assert told[0].startswith("- paths./generate.post.responses.429: {")
    schema = "components.schemas.GenerateRequest"
    assert f"! {schema}.properties.prompt.maxLength: 1000 -> 500" in told
    assert f'+ {schema}.properties.colour: {{"type": "string"}}' in told
    assert f'! {schema}.required: ["prompt"] -> ["prompt", "seed"]' in told


@pytest.mark.parametrize(("old", "new"), [(1, True), (0, False), (None, 0), ([1], [1, 2]), ({}, [])])
def test_values_of_different_types_differ(old: Any, new: Any) -> None:
    assert len(list(openapi.changes({"x": old}, {"x": new}))) == 1


def test_the_snapshot_can_be_renewed(agreed: dict[str, Any], tmp_path: Path) -> None:
    openapi.write(tmp_path / "openapi.json")
    assert (tmp_path / "openapi.json").read_text(encoding="utf-8") == openapi.SNAPSHOT.read_text(encoding="utf-8")


def test_a_reader_meets_generate_first_and_probes_last_each_with_a_summary() -> None:
    paths = json.loads(openapi.SNAPSHOT.read_text(encoding="utf-8"))["paths"]
    assert next(iter(paths)) == "/generate"
    assert set(list(paths)[-4:]) == {"/healthz", "/livez", "/readyz", "/metrics"}
    for path, item in paths.items():
        assert all(operation.get("summary") for method, operation in item.items() if method != "parameters"), path
