"""The settings of the service: one class, read from environment variables that start with ``XCUBE_``."""

from __future__ import annotations

import os
from functools import lru_cache
from importlib.util import find_spec
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, SecretStr, ValidationError, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, EnvSettingsSource, PydanticBaseSettingsSource, SettingsConfigDict

from api import environment
from api.addresses import check_database, results_at
from api.environment import name_of
from api.keys import HEADER_VALUE, read_keys
from api.model_set import read_model_set
from api.networks import networks_of
from api.origins import origins_of
from api.signing import WebhookSecret
from api.webhooks import Hosts
from models.card import NAME
from models.cores import default_threads
from models.errors import ConfigError

_SHOWN = 100
"""Characters of a wrong value that are told."""


class Settings(BaseSettings):
    """Every setting with its default; a field ``port`` is set by ``XCUBE_PORT``. Empty variables count as unset."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore")

    host: str = Field(default="0.0.0.0", description="address to listen on")
    port: int = Field(default=8000, ge=1, le=65535, description="port to listen on")
    root_path: str = Field(
        default="",
        pattern=r"^((/[A-Za-z0-9._~-]+)+/?)?$",
        description="path under which a proxy serves the service, such as `/xcube`",
    )
    trusted_proxies: str = Field(
        default="",
        description="addresses or networks of proxies whose `X-Forwarded-*` headers are believed, separated by commas",
    )
    workers: int = Field(default=1, ge=1, le=64, description="number of HTTP processes")

    checkpoint_dir: Path = Field(default=Path("checkpoints"), description="folder that checkpoints are imported from")
    config: Path | None = Field(default=None, description="YAML file that overrides the built-in model set")
    model: str = Field(
        default="auto", pattern=NAME.pattern,
        description="which set of models to serve: auto, demo, official, or one of your own by its name",
    )  # fmt: skip
    device: Literal["auto", "cpu", "cuda"] = Field(default="auto", description="where the models run")
    dtype: Literal["auto", "bf16", "fp32"] = Field(
        default="auto", description="number format of the denoisers; auto means bf16 on a GPU"
    )
    backend: Literal["auto", "torch", "fvdb"] = Field(
        default="auto",
        description="library for sparse grids; auto means fvdb on a GPU if it can be imported and is faster",
    )
    gpu_memory_gib: float | None = Field(
        default=None,
        ge=1,
        le=1024,
        description="most memory of its GPU that each Sampler takes, in GiB, besides the 0.5 to 1 of CUDA itself",
    )
    gpus: int = Field(default=1, ge=1, le=64, description="number of Sampler processes, one GPU each")
    threads: int = Field(default_factory=default_threads, ge=1, le=1024, description="CPU threads of each Sampler")

    sampler_url: str | None = Field(
        default=None,
        pattern=r"^https?://",
        description="address of remote Samplers; without it the service starts its own",
    )
    sampler_token: SecretStr | None = Field(
        default=None, min_length=1, description="secret that the service shares with remote Samplers"
    )

    deadline_seconds: float = Field(default=290.0, gt=0, le=86_400, description="longest time that a request may take")
    drain_seconds: int = Field(
        default=300, ge=1, le=86_400, description="how long running requests may go on after SIGTERM"
    )
    keep_alive_seconds: int = Field(default=75, ge=1, le=86_400, description="how long an idle connection stays open")
    max_connections: int = Field(
        default=4096,
        ge=16,
        le=1_000_000,
        description="connections that an HTTP process holds at the same time; fewer if its limit of open files is low",
    )
    max_running: int = Field(
        default=8, ge=1, le=1024, description="generations that run at the same time, at least one in each HTTP process"
    )
    max_queue: int = Field(default=32, ge=0, le=100_000, description="generations that may wait in the queue")
    max_batch: int = Field(default=8, ge=1, le=1024, description="most shapes in one batch, or variants of one prompt")
    jobs_dir: Path = Field(default=Path("runs/jobs"), description="folder for jobs and their results")
    recent_dir: Path | None = Field(
        default=None, description="folder that keeps recent results across restarts; several services may share it"
    )
    recent_max_bytes: int = Field(
        default=2**30, ge=2**20, le=2**50, description="most bytes in `XCUBE_RECENT_DIR`; the oldest results make room"
    )
    results_url: SecretStr | None = Field(
        default=None,
        description="bucket (`s3://…`) or folder (`file:///…`) for the results of all services that share "
        "`XCUBE_JOBS_URL`",
    )
    jobs_url: SecretStr | None = Field(
        default=None,
        validate_default=True,
        description="PostgreSQL database for the jobs of several services, in place of `XCUBE_JOBS_DIR`",
    )
    max_running_jobs: int = Field(
        default=1, ge=0, le=64, description="jobs that a process runs at the same time; 0 runs none"
    )
    max_jobs: int = Field(default=1000, ge=1, le=1_000_000, description="jobs that may wait")
    jobs_max_bytes: int = Field(
        default=2 * 2**30,
        ge=2**22,
        le=2**50,
        description="what jobs may keep in all; the oldest results make room for new ones",
    )
    job_retention_seconds: float = Field(
        default=86_400, gt=0, le=315_360_000, description="how long a finished job and its result are kept"
    )
    max_voxels: int = Field(
        default=2_000_000, ge=1, le=1_000_000_000, description="most voxels in a shape, coarse or fine"
    )
    max_body_bytes: int = Field(default=1_048_576, ge=1024, le=2**30, description="largest request body")
    max_shape_bytes: int = Field(
        default=16 * 2**20, ge=1024, le=2**30, description="largest request body that holds a shape"
    )
    slice_seconds: float = Field(default=0.15, gt=0, le=10, description="target time for one slice of denoising steps")
    api_key: SecretStr | None = Field(default=None, min_length=1, description="key that clients must send")
    api_keys_file: Path | None = Field(
        default=None, description="YAML or JSON file of several keys, each with a name, a priority and quotas"
    )
    api_key_everywhere: bool = Field(default=False, description="require the key for health, probes and metrics too")
    webhook_secret: WebhookSecret | None = Field(
        default=None, description="secret that signs webhooks, `whsec_` and Base64; without one there are none"
    )
    webhook_hosts: str = Field(
        default="", description="hosts and networks that webhooks may go to besides public ones, separated by commas"
    )
    cors_origins: str = Field(
        default="", description="origins whose pages may call the service, separated by commas; `*` for all"
    )

    log_format: Literal["auto", "json", "text"] = Field(
        default="auto", description="format of the log; auto means text in a terminal and JSON elsewhere"
    )
    log_prompts: bool = Field(default=False, description="write prompts to the log")

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Where values come from: the arguments, then the environment variables, by exactly the names in the table."""
        return init_settings, _Variables(settings_cls)

    @field_validator("*", mode="before")
    @classmethod
    def _without_blanks_around(cls, value: object) -> object:
        """A variable that is filled from a file ends with the file's line break."""
        return value.strip() if isinstance(value, str) else value

    @field_validator("api_key", "sampler_token")
    @classmethod
    def _fits_a_header(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and not HEADER_VALUE.fullmatch(value.get_secret_value()):
            raise ValueError("should consist of printable ASCII characters, because clients send it in an HTTP header")
        return value

    @field_validator("webhook_hosts")
    @classmethod
    def _hosts_are_hosts(cls, value: str) -> str:
        try:
            Hosts(value)
        except ValueError:
            raise ValueError("should name hosts, addresses or networks, separated by commas") from None
        return value

    @field_validator("host")
    @classmethod
    def _numeric_host(cls, value: str) -> str:
        if value == "localhost":
            return "127.0.0.1"
        try:
            ip_address(value)
        except ValueError:
            raise ValueError("must be an IP address such as 0.0.0.0 or ::") from None
        return value

    @field_validator("root_path")
    @classmethod
    def _path_without_a_last_slash(cls, value: str) -> str:
        return value.rstrip("/")

    @field_validator("trusted_proxies")
    @classmethod
    def _proxies_are_networks(cls, value: str) -> str:
        try:
            networks_of(value)
        except ValueError:
            raise ValueError("should name addresses or networks such as 10.0.0.0/8, separated by commas") from None
        return value

    @field_validator("cors_origins")
    @classmethod
    def _origins_as_browsers_write_them(cls, value: str) -> str:
        try:
            return ",".join(origins_of(value))
        except ValueError:
            raise ValueError("should name origins such as https://example.org, separated by commas") from None

    @field_validator("results_url")
    @classmethod
    def _results_have_a_place(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None:
            results_at(value.get_secret_value())
            _need("obstore")
        return value

    @field_validator("jobs_url")
    @classmethod
    def _jobs_have_a_database(cls, value: SecretStr | None, info: ValidationInfo) -> SecretStr | None:
        with_results = info.data.get("results_url") is not None
        if value is None and with_results:
            raise ValueError("should name the database of the jobs whose results XCUBE_RESULTS_URL is for")
        if value is not None:
            check_database(value.get_secret_value())
            _need("asyncpg")
            if not with_results:
                raise ValueError("needs XCUBE_RESULTS_URL beside it, such as s3://bucket/folder or file:///folder")
        return value

    @field_validator("checkpoint_dir", "config", "jobs_dir", "recent_dir", "api_keys_file")
    @classmethod
    def _from_home(cls, value: Path | None) -> Path | None:
        try:
            return None if value is None else value.expanduser()
        except RuntimeError:
            raise ValueError("begins with a home folder that there is not") from None

    @field_validator("config")
    @classmethod
    def _config_is_usable(cls, value: Path | None) -> Path | None:
        if value is not None:
            read_model_set(value)
        return value

    @field_validator("api_keys_file")
    @classmethod
    def _keys_are_usable(cls, value: Path | None) -> Path | None:
        if value is not None:
            read_keys(value)
        return value


class _Variables(EnvSettingsSource):
    """The environment as `api.environment` reads it."""

    def __call__(self) -> dict[str, Any]:
        return dict(environment.values(os.environ, self.settings_cls.model_fields))


def _need(package: str) -> None:
    if find_spec(package) is None:
        raise ValueError(f"needs the package {package}: run pip install {package}")


PATHS = tuple(name for name, field in Settings.model_fields.items() if field.annotation in (Path, Path | None))
SECRETS = frozenset(name for name, field in Settings.model_fields.items() if field.annotation == SecretStr | None)


def read_settings() -> Settings:
    """Settings from the environment as it is now.

    Raises:
        ConfigError: a value is wrong; one sentence that names the variable, its value (of a secret: not) and the fault.
    """
    try:
        return Settings()
    except ValidationError as error:
        first = error.errors()[0]
        name = name_of(str(first["loc"][0]))
        fault = first["msg"].removeprefix("Value error, ").removeprefix("Input ").split(", unable to")[0]
        secret = first["loc"][0] in SECRETS
        shown = "not set" if first["input"] is None else "set" if secret else repr(str(first["input"])[:_SHOWN])
        raise ConfigError(f"{name} is {shown} but {fault}: correct it or unset it.") from None


@lru_cache(maxsize=1)
def load_settings() -> Settings:
    """Settings of this process, read once; a bad value ends the process with one sentence on standard error."""
    try:
        return read_settings()
    except ConfigError as error:
        raise SystemExit(f"xcube: {error}") from None
