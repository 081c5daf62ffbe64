"""One table from exception to status; every body is an object with the three fields of the contract."""

from __future__ import annotations

import inspect

import orjson
import pytest

from api import errors
from api.errors import TABLE, ApiError, Problem, error_of_code, problem_of, problem_of_status, rule_of
from models.errors import CheckpointError, XCubeError


def test_every_error_of_the_service_has_a_row() -> None:
    types = [
        member
        for _, member in inspect.getmembers(errors, inspect.isclass)
        if issubclass(member, ApiError) and member is not ApiError
    ]
    assert {rule.exception for rule in TABLE} >= set(types)


@pytest.mark.parametrize("problem", [problem_of(rule.exception("A sentence.")) for rule in TABLE])
def test_a_body_is_an_object_with_three_fields(problem: Problem) -> None:
    body = orjson.loads(problem.body())
    assert body == {"error": "A sentence.", "code": problem.code, "retryable": problem.retryable}
    assert 400 <= problem.status < 600


@pytest.mark.parametrize("status", [400, 401, 403, 404, 405, 408, 413, 415, 418, 422, 429, 500, 502, 503, 504])
def test_an_answer_of_the_framework_becomes_an_object_without_the_loading_words(status: int) -> None:
    body = orjson.loads(problem_of_status(status, "/somewhere").body())
    assert set(body) == {"error", "code", "retryable"}
    assert "still loading" not in body["error"]


def test_a_bug_keeps_its_text_inside() -> None:
    problem = problem_of(RuntimeError("/secret/path line 3"))
    assert (problem.status, problem.code) == (500, "internal")
    assert "secret" not in problem.error


def test_a_subclass_is_found_by_its_base() -> None:
    class TruncatedError(CheckpointError):
        pass

    rule = rule_of(TruncatedError("x"))
    assert rule is not None
    assert rule.status == 503


def test_an_error_survives_the_way_between_processes() -> None:
    for rule in TABLE:
        back = rule_of(error_of_code(rule.code, "text"))
        assert back is not None
        assert (back.status, back.code, back.retryable) == (rule.status, rule.code, rule.retryable)
    assert problem_of(error_of_code("unheard_of", "text")).status == 500
    assert isinstance(error_of_code("unheard_of", "text"), XCubeError)


def test_only_loading_is_retried_by_its_words_and_no_deterministic_error_is_a_500() -> None:
    assert all(rule.status != 500 for rule in TABLE)
    assert {rule.status for rule in TABLE if not rule.retryable and rule.status >= 500} == {503}


def test_retry_after_is_a_whole_number_of_seconds_and_at_least_one() -> None:
    assert problem_of(errors.QueueFull("Full.", retry_after=0.2)).headers() == {"Retry-After": "1"}
    assert problem_of(errors.QueueFull("Full.", retry_after=3.1)).headers() == {"Retry-After": "4"}
    assert problem_of(errors.InvalidRequest("No.")).headers() == {}
