"""Settings come from XCUBE_ variables, and a bad one is named in one sentence."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import pytest

from api.settings import Settings, load_settings, read_settings
from models.errors import ConfigError


@pytest.fixture(autouse=True)
def _no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for field in Settings.model_fields:
        monkeypatch.delenv(f"XCUBE_{field.upper()}", raising=False)


def test_defaults_are_those_of_the_contract() -> None:
    settings = read_settings()
    assert (settings.host, settings.port, settings.workers) == ("0.0.0.0", 8000, 1)
    assert settings.checkpoint_dir == Path("checkpoints")
    assert settings.config is None
    assert settings.deadline_seconds == 290


def test_variables_are_read_and_empty_ones_count_as_unset(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XCUBE_PORT", "8123")
    monkeypatch.setenv("XCUBE_MODEL", "demo")
    monkeypatch.setenv("XCUBE_HOST", "localhost")
    monkeypatch.setenv("XCUBE_WORKERS", "")
    settings = read_settings()
    assert (settings.port, settings.model, settings.host, settings.workers) == (8123, "demo", "127.0.0.1", 1)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("XCUBE_PORT", "eighty"),
        ("XCUBE_PORT", "70000"),
        ("XCUBE_WORKERS", "0"),
        ("XCUBE_HOST", "not a host"),
        ("XCUBE_MODEL", "The best"),
        ("XCUBE_CONFIG", "/nowhere/models.yaml"),
        ("XCUBE_DEADLINE_SECONDS", "nan"),
        ("XCUBE_THREADS", "-1"),
        ("XCUBE_MAX_QUEUE", "many"),
        ("XCUBE_MAX_VOXELS", "0"),
        ("XCUBE_TRUSTED_PROXIES", "10.0.0.0/8, proxy.example"),
        ("XCUBE_CORS_ORIGINS", "example.org"),
        ("XCUBE_CORS_ORIGINS", "https://one.example, https://two.example/app"),
        ("XCUBE_CORS_ORIGINS", "https://*.example.org"),
        ("XCUBE_CORS_ORIGINS", "https://user@example.org"),
        ("XCUBE_CORS_ORIGINS", "https://example.org:port"),
        ("XCUBE_CORS_ORIGINS", "null"),
        ("XCUBE_ROOT_PATH", "xcube"),
        ("XCUBE_ROOT_PATH", "//evil.example"),
        ("XCUBE_ROOT_PATH", "/a b"),
    ],
)
def test_a_bad_value_is_one_sentence_that_names_it(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(ConfigError) as caught:
        read_settings()
    sentence = str(caught.value)
    assert name in sentence
    assert repr(value) in sentence
    assert "\n" not in sentence
    assert sentence.endswith(".")


NUMBERS = [
    name
    for name, field in Settings.model_fields.items()
    if {int, float} & {field.annotation, *get_args(field.annotation)}
]


@pytest.mark.parametrize("value", ["inf", "-inf", "nan", "-1", "1e300", "1" + "0" * 30, "9" * 5000])
@pytest.mark.parametrize("name", NUMBERS)
def test_every_number_has_bounds(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    variable = f"XCUBE_{name.upper()}"
    monkeypatch.setenv(variable, value)
    with pytest.raises(ConfigError, match=f"^{variable} is '") as caught:
        read_settings()
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("text: [", "not a readable YAML file"),
        ("- text", "does not hold a mapping"),
        ("voxels: here", "'voxels'"),
        ("coarse: 5", "folder for coarse"),
        ("coarse: null", "folder for coarse"),
        ("coarse: nowhere", "no config.yaml"),
    ],
)
def test_a_bad_model_set_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, text: str, fault: str) -> None:
    file = tmp_path / "models.yaml"
    file.write_text(text)
    monkeypatch.setenv("XCUBE_CONFIG", str(file))
    with pytest.raises(ConfigError, match="XCUBE_CONFIG") as caught:
        read_settings()
    assert fault in str(caught.value)


def test_a_bad_value_ends_the_process_with_that_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XCUBE_PORT", "eighty")
    load_settings.cache_clear()
    with pytest.raises(SystemExit) as caught:
        load_settings()
    assert str(caught.value) == "xcube: XCUBE_PORT is 'eighty' but should be a valid integer: correct it or unset it."


SECRETS = ("XCUBE_API_KEY", "XCUBE_SAMPLER_TOKEN")


@pytest.mark.parametrize("name", SECRETS)
@pytest.mark.parametrize("value", ["secret\n", "secret\r\n", " secret\t"])
def test_a_secret_read_from_a_file_is_the_same_without_the_file_s_line_break(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)
    secret = getattr(read_settings(), name.removeprefix("XCUBE_").lower())
    assert secret.get_secret_value() == "secret"


@pytest.mark.parametrize("name", SECRETS)
@pytest.mark.parametrize("value", ["two\nlines", "geheimnisträger", "tab\tinside", "\x7f", "\n", "  "])
def test_a_secret_that_no_client_could_send_is_refused_without_being_shown(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(ConfigError, match=rf"^{name} is set but [^\n]+: correct it or unset it\.$") as caught:
        read_settings()
    assert value not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("XCUBE_PORT", "8123\n", 8123),
        ("XCUBE_HOST", "127.0.0.1\n", "127.0.0.1"),
        ("XCUBE_MODEL", "demo\n", "demo"),
        ("XCUBE_SAMPLER_URL", "http://sampler:3000\r\n", "http://sampler:3000"),
        ("XCUBE_CHECKPOINT_DIR", "models\n", Path("models")),
        ("XCUBE_LOG_PROMPTS", "true\n", True),
        ("XCUBE_CORS_ORIGINS", " https://one.example\n", "https://one.example"),
    ],
)
def test_every_setting_is_read_without_the_blanks_around_it(
    name: str, value: str, expected: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)
    assert getattr(read_settings(), name.removeprefix("XCUBE_").lower()) == expected


@pytest.mark.parametrize(
    ("named", "meant"),
    [
        ("https://example.org/", "https://example.org"),
        ("HTTPS://Example.ORG:443", "https://example.org"),
        ("http://localhost:3000/, https://[::1]:8443", "http://localhost:3000,https://[::1]:8443"),
        ("http://example.org:443", "http://example.org:443"),
        ("capacitor://localhost", "capacitor://localhost"),
        ("*", "*"),
    ],
)
def test_an_origin_is_what_browsers_send(monkeypatch: pytest.MonkeyPatch, named: str, meant: str) -> None:
    monkeypatch.setenv("XCUBE_CORS_ORIGINS", named)
    assert read_settings().cors_origins == meant


DATABASE = "postgresql://xcube:pa55word@host:5432/xcube"


@pytest.mark.parametrize(
    "results",
    ["s3://bucket", "s3://a.bucket-1/some/folder?region=eu-central-1&endpoint=http://host:9000", "file:///a/b"],
)
def test_a_shared_store_of_jobs_is_named_by_two_addresses_that_nobody_is_shown(
    monkeypatch: pytest.MonkeyPatch, results: str
) -> None:
    monkeypatch.setenv("XCUBE_JOBS_URL", DATABASE)
    monkeypatch.setenv("XCUBE_RESULTS_URL", results)
    settings = read_settings()
    assert settings.jobs_url is not None
    assert settings.jobs_url.get_secret_value() == DATABASE
    assert "pa55word" not in repr(settings)


@pytest.mark.parametrize(
    ("jobs", "results", "name", "fault"),
    [
        (DATABASE, "", "XCUBE_JOBS_URL", "needs XCUBE_RESULTS_URL"),
        ("", "s3://bucket", "XCUBE_JOBS_URL", "is not set but should name the database"),
        ("mysql://x:pa55word@host/xcube", "s3://bucket", "XCUBE_JOBS_URL", "such as postgresql://"),
        ("postgresql://x:pa55word@host:port/xcube", "s3://bucket", "XCUBE_JOBS_URL", "such as postgresql://"),
        ("postgresql://x:pa55word@host", "s3://bucket", "XCUBE_JOBS_URL", "such as postgresql://"),
        (DATABASE, "/folder", "XCUBE_RESULTS_URL", "such as s3://bucket/folder or file:///folder"),
        (DATABASE, "file://folder", "XCUBE_RESULTS_URL", "such as s3://bucket/folder or file:///folder"),
        (DATABASE, "s3://key:pa55word@bucket", "XCUBE_RESULTS_URL", "AWS_SECRET_ACCESS_KEY"),
        (DATABASE, "s3://bucket?acl=1", "XCUBE_RESULTS_URL", "unknown option acl"),
        (DATABASE, "s3://bucket?endpoint=host:9000", "XCUBE_RESULTS_URL", "?endpoint=https://host:9000"),
    ],
)
def test_a_wrong_address_of_a_shared_store_is_told_in_a_sentence_without_passwords(
    monkeypatch: pytest.MonkeyPatch, jobs: str, results: str, name: str, fault: str
) -> None:
    monkeypatch.setenv("XCUBE_JOBS_URL", jobs)
    monkeypatch.setenv("XCUBE_RESULTS_URL", results)
    with pytest.raises(ConfigError) as caught:
        read_settings()
    text = str(caught.value)
    assert text.startswith(f"{name} is ")
    assert fault in text
    assert "pa55word" not in text


def test_a_shared_store_without_its_libraries_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("api.settings.find_spec", lambda name: None)
    monkeypatch.setenv("XCUBE_JOBS_URL", DATABASE)
    monkeypatch.setenv("XCUBE_RESULTS_URL", "s3://bucket")
    with pytest.raises(ConfigError, match="needs the package obstore: run pip install obstore"):
        read_settings()
