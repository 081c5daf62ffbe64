"""The keys of several clients: a file that names each, with its priority and its quotas, and that may change.

keys:
  - name: web
    sha256: 2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b
    priority: high
    requests_per_minute: 60
"""

from __future__ import annotations

import hashlib
import hmac
import logging
import re
import threading
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, field_validator, model_validator

from api.clients import Client, Quota
from api.parsing import sentence_of
from api.signing import WebhookSecret
from models.files import NotYamlError, read_yaml

log = logging.getLogger("xcube.keys")
PERIOD = 1.0
"""Seconds between two looks at the file."""
HEADER_VALUE = re.compile(r"[ -~]*")
"""What a key has to consist of, because clients send it in a header."""
WEIGHTS = {"low": 0.25, "normal": 1.0, "high": 4.0}
Limit = Annotated[int, Field(ge=1, le=10**12)]


class Key(BaseModel):
    """One entry of the file."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
    key: SecretStr | None = None
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")] | None = None
    priority: Literal["low", "normal", "high"] = "normal"
    requests_per_minute: Limit | None = None
    steps_per_day: Limit | None = None
    waiting_jobs: Limit | None = None
    webhook_secret: WebhookSecret | None = None

    @field_validator("key")
    @classmethod
    def _fits_a_header(cls, value: SecretStr | None) -> SecretStr | None:
        text = "" if value is None else value.get_secret_value()
        if value is not None and (not text.strip() or text != text.strip() or not HEADER_VALUE.fullmatch(text)):
            raise ValueError("should consist of printable ASCII characters, without blanks around them")
        return value

    @model_validator(mode="after")
    def _one_of_both(self) -> Key:
        if (self.key is None) == (self.sha256 is None):
            raise ValueError("should have either key or sha256")
        return self

    @property
    def digest(self) -> bytes:
        """SHA-256 of the key."""
        if self.key is not None:
            return digest_of(self.key.get_secret_value())
        return bytes.fromhex(self.sha256 or "")

    @property
    def client(self) -> Client:
        """Who sends this key."""
        quota = Quota(self.requests_per_minute, self.steps_per_day, self.waiting_jobs)
        return Client(self.name, WEIGHTS[self.priority], self.name, alone=True, quota=quota)


class _File(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    keys: Annotated[list[Key], Field(min_length=1)]


def read_keys(path: Path) -> tuple[Key, ...]:
    """The keys in a file.

    Raises:
        ValueError: What is wrong with the file, as the end of a sentence that shows no key.
    """
    try:
        values: Any = read_yaml(path)
    except NotYamlError as error:
        raise ValueError(f"is {error}") from None
    try:
        keys = _File.model_validate(values).keys
    except ValidationError as error:
        raise ValueError(f"is not a file of keys: {sentence_of(error)}") from None
    for what, found in (("name", [key.name for key in keys]), ("key", [key.digest for key in keys])):
        if len(set(found)) < len(found):
            raise ValueError(f"has two entries with the same {what}")
    return tuple(keys)


def _table(keys: tuple[Key, ...]) -> tuple[tuple[bytes, Key], ...]:
    return tuple((key.digest, key) for key in keys)


@lru_cache(maxsize=1)
def key_file(path: Path) -> KeyFile:
    """The keys in a file, for all that ask in this process. Raises ValueError as `read_keys` does."""
    return KeyFile(path)


def digest_of(key: str) -> bytes:
    """What is compared instead of a key: its SHA-256, of the same length for all."""
    return hashlib.sha256(key.encode()).digest()


class KeyFile:
    """The keys in a file as it is now. One that cannot be used changes nothing, and the log says so once.

    Args:
        path: The file. Of a mounted Secret it is a link, which comes to point elsewhere when that changes.

    Raises:
        ValueError: See `read_keys`.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen = self._state()
        self._keys = _table(read_keys(path))
        self._following: threading.Thread | None = None

    def client_of(self, key: str) -> Client | None:
        """Whose a key is; takes as long whoever's it is."""
        self._follow()
        given, found = digest_of(key), None
        for digest, entry in self._keys:
            if hmac.compare_digest(given, digest):
                found = entry.client
        return found

    def webhook_secret_of(self, name: str | None) -> str | None:
        """What signs the webhooks of a client, by its name; None where it has no secret of its own."""
        self._follow()
        for _, key in self._keys:
            if key.name == name and key.webhook_secret is not None:
                return key.webhook_secret.get_secret_value()
        return None

    def look(self) -> None:
        """Reads the file again if it has changed."""
        if (state := self._state()) == self._seen:
            return
        self._seen = state
        try:
            self._keys = _table(read_keys(self._path))
        except ValueError as error:
            log.error("the file of XCUBE_API_KEYS_FILE %s: the keys from before are still valid", error)
        else:
            log.info("the file of XCUBE_API_KEYS_FILE has changed: %d keys are valid", len(self._keys))

    def _state(self) -> tuple[int, ...] | None:
        try:
            found = self._path.stat()
        except OSError:
            return None
        return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns

    def _follow(self) -> None:
        """Starts the thread that looks, with the first key that is sent: a file system that hangs holds up nobody."""
        if self._following is None:
            self._following = threading.Thread(target=self._run, name="keys", daemon=True)
            self._following.start()

    def _run(self) -> None:
        while True:
            threading.Event().wait(PERIOD)
            self.look()
