"""Webhooks as clients and operators see them: who has them, and where they may go."""

from __future__ import annotations

import re
from ipaddress import ip_address, ip_network
from urllib.parse import urlsplit

from api.clients import Client
from api.errors import Forbidden, InvalidRequest
from api.keys import KeyFile
from api.networks import Network, is_public

_URL = re.compile(r"[A-Za-z0-9._~:/?#\[\]!$&'()*+,;=%-]+")
"""No blanks, no backslash and no user's name: what different programs read differently."""
_HOST = re.compile(r"[a-z0-9.-]+|\[[0-9a-f:.]+\]")
_NAME = re.compile(r"(?!-)[a-z0-9-]+(\.[a-z0-9-]+)*")


class Hosts:
    """Hosts that webhooks may go to, besides all public ones over HTTPS.

    Args:
        text: Names of hosts, addresses and networks, separated by commas.

    Raises:
        ValueError: One of them is neither.
    """

    def __init__(self, text: str) -> None:
        self._names: set[str] = set()
        self._networks: list[Network] = []
        for part in (part.strip().lower() for part in text.split(",") if part.strip()):
            try:
                self._networks.append(ip_network(part, strict=False))
            except ValueError:
                if not _NAME.fullmatch(part):
                    raise
                self._names.add(part)

    def allow(self, host: str, address: str) -> bool:
        """Whether a connection to an address may be made, which stands for a host."""
        return host in self._names or self._has(address) or is_public(address)

    def check(self, url: str) -> str:
        """The host of an address that a client has given.

        Raises:
            InvalidRequest: Webhooks are never sent there.
        """
        host = _host_of(url)
        listed = host in self._names or self._has(host)
        if not listed and not url.lower().startswith("https://"):
            raise InvalidRequest("webhook should begin with https://: correct it.")
        if not listed and _is_address(host) and not is_public(host):
            raise InvalidRequest("webhook names an address that is not public: give one that is.")
        return host

    def _has(self, address: str) -> bool:
        return _is_address(address) and any(ip_address(address) in network for network in self._networks)


class Webhooks:
    """Who may have webhooks, where to, and with which secret.

    Args:
        hosts: Where they may go.
        secret: Signs those of clients whose keys have none of their own; None: they have no webhooks.
        file: Keys of several clients.
    """

    def __init__(self, hosts: Hosts, secret: str | None, file: KeyFile | None = None) -> None:
        self.hosts = hosts
        self._secret = secret
        self._file = file

    @property
    def possible(self) -> bool:
        """Whether anybody has, or may come to have, a secret."""
        return self._secret is not None or self._file is not None

    def check(self, url: str, client: Client) -> None:
        """Lets pass an address that a client wants to be told at.

        Raises:
            Forbidden: There is no secret to sign with.
            InvalidRequest: Webhooks are never sent there.
        """
        if self.secret_of(client.name) is None:
            raise Forbidden(
                "This service sends no webhooks for this key: ask its operator to set XCUBE_WEBHOOK_SECRET."
            )
        self.hosts.check(url)

    def secret_of(self, name: str | None) -> str | None:
        """What signs the webhooks of a client, by its name."""
        own = None if self._file is None else self._file.webhook_secret_of(name)
        return own or self._secret


def _host_of(url: str) -> str:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        parts, port = urlsplit(""), None
    host = (parts.hostname or "").rstrip(".")
    named = f"[{host}]" if ":" in host else host
    if (
        not _URL.fullmatch(url)
        or parts.scheme not in ("http", "https")
        or not _HOST.fullmatch(named)
        or port == 0
        or (":" in host and not _is_address(host))
    ):
        raise InvalidRequest(
            "webhook should be an address such as https://example.org/hooks, without a user: correct it."
        )
    return host


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True
