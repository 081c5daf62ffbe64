"""Requests are read strictly, and every bad field is named."""

from __future__ import annotations

import pytest

from api.errors import InvalidRequest
from api.parsing import parse
from api.schemas import BatchRequest, GenerateRequest, NoParameters, Parameters, random_seed


def faults(body: bytes) -> str:
    with pytest.raises(InvalidRequest) as caught:
        parse(GenerateRequest, body)
    text = str(caught.value)
    assert "\n" not in text
    assert text.isascii()
    return text


def test_defaults_of_the_contract() -> None:
    request = parse(GenerateRequest, b'{"prompt": "a chair"}')
    assert request == GenerateRequest(prompt="a chair", ddim_steps=100, guidance_scale=7.5, seed=None, use_fine=True)


@pytest.mark.parametrize("seed", [-(2**63), -1, 0, 2**31 - 1, 2**63, 2**64 - 1])
def test_any_i64_or_u64_is_a_seed(seed: int) -> None:
    assert parse(GenerateRequest, b'{"prompt": "x", "seed": %d}' % seed).seed == seed


@pytest.mark.parametrize(
    "seed", [b"-9223372036854775809", b"18446744073709551616", b"1e400", b"1.5", b"1e19", b"true", b'"1"']
)
def test_other_seeds_are_refused(seed: bytes) -> None:
    faults(b'{"prompt": "x", "seed": ' + seed + b"}")


@pytest.mark.parametrize(
    ("field", "values"),
    [
        ("prompt", [b'""', b'" \\t\\n"', b"null", b"5", b'["a"]', b'"' + b"x" * 1001 + b'"']),
        ("ddim_steps", [b"0", b"1001", b"true", b'"5"', b"5.5", b"1e4", b"0.0"]),
        ("guidance_scale", [b"0.99", b"20.01", b"true", b'"2"', b"[2]"]),
        ("use_fine", [b"1", b'"true"']),
        ("scheduler", [b'"euler"', b'"DDIM"', b"1", b'[""]']),
        ("fine_steps", [b"0", b"1001", b"true", b'"5"']),
        (
            "guidance_interval",
            [b"[0.5, 0.2]", b"[0.1]", b"[0, 0.5, 1]", b"[-0.1, 1]", b"[0, 1.1]", b"0.5", b'["0", 1]'],
        ),
    ],
)
def test_a_value_of_a_wrong_type_or_range_is_refused_by_name(field: str, values: list[bytes]) -> None:
    for value in values:
        prompt = b"" if field == "prompt" else b'"prompt": "x", '
        assert field in faults(b"{" + prompt + b'"' + field.encode() + b'": ' + value + b"}")


def test_every_bad_field_is_named_at_once() -> None:
    text = faults(b'{"ddim_steps": 0, "guidance_scale": 99, "steps": 3, "use_fine": 1}')
    for name in ("prompt is missing", "ddim_steps", "guidance_scale", "use_fine", "steps is not a known field"):
        assert name in text


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b'"x"',
        b'{"prompt": NaN}',
        b'{"prompt": "\\ud800"}',
        b'{"prompt": "\xff"}',
        b"[" * 5000,
    ],
)
def test_what_is_not_a_json_object_is_refused(body: bytes) -> None:
    faults(body)


def test_of_duplicate_keys_the_last_one_counts() -> None:
    assert parse(GenerateRequest, b'{"prompt": "a", "prompt": "b"}').prompt == "b"


def test_names_in_an_error_are_short_and_printable() -> None:
    body = b'{"prompt": "x", "a\\nb": 1, "\xc3\xa9": 1, "' + b"z" * 9999 + b'": 1}'
    assert len(faults(body)) < 400
    many = b", ".join(b'"f%d": 1' % i for i in range(5000))
    assert "more" in faults(b"{" + many + b"}")


def test_a_prompt_may_hold_any_character() -> None:
    assert parse(GenerateRequest, b'{"prompt": "\\u0000 \xf0\x9f\xaa\x91"}').prompt == "\x00 \U0001fa91"


def test_random_seeds_fit_every_integer_type() -> None:
    seeds = {random_seed() for _ in range(100)}
    assert len(seeds) > 90
    assert all(0 <= seed < 2**31 for seed in seeds)


def test_a_call_without_parameters_takes_an_empty_object_only() -> None:
    parse(NoParameters, b"{}")
    parse(NoParameters, b"")
    with pytest.raises(InvalidRequest):
        parse(NoParameters, b'{"x": 1}')


# What a client may write in several ways

NULLS = b", ".join(b'"%s": null' % name.encode() for name in Parameters.model_fields)


def test_null_means_the_default_in_every_request() -> None:
    default = GenerateRequest(prompt="x")
    assert parse(GenerateRequest, b'{"prompt": "x", ' + NULLS + b"}") == default
    assert parse(BatchRequest, b'{"prompts": ["x", {"prompt": "x", ' + NULLS + b"}], " + NULLS + b"}").requests() == [
        default,
        default,
    ]
    shared = parse(BatchRequest, b'{"prompts": [{"prompt": "x", ' + NULLS + b'}], "ddim_steps": 7}')
    assert shared.requests() == [GenerateRequest(prompt="x", ddim_steps=7)], "null leaves out, so the shared one counts"


def test_the_published_schema_allows_null_wherever_a_default_is() -> None:
    for model in (GenerateRequest, BatchRequest):
        for name, field in model.model_json_schema()["properties"].items():
            assert ("default" in field) == ({"type": "null"} in field.get("anyOf", [])), name


@pytest.mark.parametrize("steps", [b"5", b"5.0", b"0.5e1", b"50E-1"])
def test_an_integer_may_be_written_in_every_way_that_json_schema_calls_one(steps: bytes) -> None:
    assert parse(GenerateRequest, b'{"prompt": "x", "ddim_steps": ' + steps + b', "seed": 3.0}').ddim_steps == 5
    assert (
        parse(BatchRequest, b'{"prompts": [{"prompt": "x", "ddim_steps": ' + steps + b"}]}").requests()[0].ddim_steps
        == 5
    )


def test_integers_are_published_with_their_range() -> None:
    steps, _ = GenerateRequest.model_json_schema()["properties"]["ddim_steps"]["anyOf"]
    assert steps == {"type": "integer", "minimum": 1, "maximum": 1000}


@pytest.mark.parametrize(
    ("prompts", "fault"),
    [
        (b'[""]', "prompts.0 should have at least 1 character"),
        (b'["x", " "]', "prompts.1 should not be blank"),
        (b'[{"prompt": ""}]', "prompts.0.prompt should have at least 1 character"),
        (b"[{}]", "prompts.0.prompt is missing"),
        (b'[{"prompt": "x", "ddim_steps": 0}]', "prompts.0.ddim_steps should be greater than or equal to 1"),
        (b'[{"prompt": "x", "text": 1}]', "prompts.0.text is not a known field"),
        (b"[5]", "prompts.0 should be a string, or an object with a prompt"),
        (b"[null]", "prompts.0 should be a string, or an object with a prompt"),
        (b"[]", "prompts should have at least 1 item"),
        (b'"x"', "prompts should be a valid list"),
    ],
)
def test_a_fault_in_a_batch_is_told_once_and_as_in_a_request_of_its_own(prompts: bytes, fault: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        parse(BatchRequest, b'{"prompts": ' + prompts + b"}")
    assert str(caught.value) == f"{fault}: correct the request; /docs lists every field."
