"""Signatures of webhooks, after the specification of Standard Webhooks.

https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Mapping
from typing import Annotated

from pydantic import AfterValidator, SecretStr

_PREFIX = "whsec_"
_SECRET_BYTES = range(24, 65)


def check_secret(secret: str) -> bytes:
    """The bytes of a secret.

    Raises:
        ValueError: It is none; the end of a sentence that does not show it.
    """
    try:
        found = base64.b64decode(secret.removeprefix(_PREFIX), validate=True) if secret.startswith(_PREFIX) else b""
    except (binascii.Error, ValueError):
        found = b""
    if len(found) not in _SECRET_BYTES:
        raise ValueError(f"should be {_PREFIX} and 24 to 64 random bytes in Base64")
    return found


def _checked(value: SecretStr) -> SecretStr:
    check_secret(value.get_secret_value())
    return value


WebhookSecret = Annotated[SecretStr, AfterValidator(_checked)]
"""A secret in settings and files, as `check_secret` wants it."""


def signed(id_: str, seconds: int, body: bytes, secret: str) -> Mapping[str, str]:
    """The headers of one attempt.

    Args:
        id_: The same for every attempt, so that a receiver knows what it has had.
        seconds: Unix seconds of the attempt.
        body: What is sent.
        secret: See `check_secret`.
    """
    content = f"{id_}.{seconds}.".encode() + body
    signature = base64.b64encode(hmac.digest(check_secret(secret), content, hashlib.sha256)).decode()
    return {"webhook-id": id_, "webhook-timestamp": str(seconds), "webhook-signature": f"v1,{signature}"}
