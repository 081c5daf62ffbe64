from __future__ import annotations

import pytest

from api.errors import InvalidRequest, NotAcceptable, problem_of
from api.http.negotiation import negotiate
from formats import FORMATS, Format


@pytest.mark.parametrize("accept", [None, "", "*/*", "application/*", "application/json", "text/html, */*;q=0.1"])
def test_who_does_not_choose_gets_json(accept: str | None) -> None:
    assert negotiate(accept, None).name == "json"


@pytest.mark.parametrize("format_", FORMATS, ids=lambda format_: format_.name)
def test_every_format_can_be_asked_for_by_name(format_: Format) -> None:
    assert negotiate("application/json", format_.name) is format_
    assert negotiate(None, format_.name.upper()) is format_


@pytest.mark.parametrize(
    ("accept", "name"),
    [
        ("model/gltf-binary", "glb"),
        ("MODEL/STL", "stl"),
        ("application/x-ply", "ply"),
        ("model/*", "ply"),
        ("application/json;q=0.5, model/obj", "obj"),
        ("model/obj;q=0.5, model/stl;q=0.9", "stl"),
        ("*/*;q=0.8, application/json;q=0", "npz"),
        ("model/*;q=0.9, model/ply;q=0.1, application/json;q=0.5", "glb"),
        ("model/gltf-binary; primitives=points", "glb-points"),
        ("model/gltf-binary;primitives=POINTS;q=0.9, model/stl;q=0.8", "glb-points"),
        ("model/gltf-binary; primitives=lines", "glb"),
        ("application/json; charset=utf-8", "json"),
        ("nonsense, model/x-vox;q=0.3;level=1, model/stl;q=many", "vox"),
    ],
)
def test_accept_chooses_by_weight_and_the_more_specific_part_counts(accept: str, name: str) -> None:
    assert negotiate(accept, None).name == name


@pytest.mark.parametrize("format_", FORMATS, ids=lambda format_: format_.name)
def test_every_format_can_be_asked_for_by_its_media_type(format_: Format) -> None:
    assert negotiate(format_.media_type, None) is format_
    for alias in format_.aliases:
        assert negotiate(alias, None) is format_


@pytest.mark.parametrize("query", ["", "fbx", "glb\n", "x" * 10_000])
def test_an_unknown_name_is_a_bad_request_that_names_the_known_ones(query: str) -> None:
    with pytest.raises(InvalidRequest) as raised:
        negotiate(None, query)
    problem = problem_of(raised.value)
    assert problem.status == 400
    assert ", ".join(format_.name for format_ in FORMATS) in problem.error
    assert len(problem.error) < 250
    assert "\n" not in problem.error


@pytest.mark.parametrize("accept", ["text/html", "audio/*", "application/json;q=0", "nonsense"])
def test_an_accept_that_nothing_fits_is_406(accept: str) -> None:
    with pytest.raises(NotAcceptable) as raised:
        negotiate(accept, None)
    assert problem_of(raised.value).status == 406


def test_names_are_one_each_and_suffixes_begin_with_a_dot() -> None:
    assert len({format_.name for format_ in FORMATS}) == len(FORMATS)
    assert all(format_.suffix.startswith(".") for format_ in FORMATS)
