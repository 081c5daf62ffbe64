"""Where webhooks may go, and that receivers can verify them."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from api.clients import Client
from api.errors import Forbidden, InvalidRequest
from api.keys import KeyFile
from api.networks import is_public
from api.signing import check_secret, signed
from api.webhooks import Hosts, Webhooks
from tests.support.receiver import SECRET

OTHER = "whsec_" + "QUFB" * 12


def test_a_library_of_the_standard_verifies_what_is_signed() -> None:
    body = json.dumps({"type": "job.completed", "text": "é…"}).encode()
    headers = dict(signed("job_1", int(time.time()), body, SECRET))
    assert Webhook(SECRET).verify(body, headers)["type"] == "job.completed"
    for wrong in (body + b" ", body.replace(b"completed", b"failed")):
        with pytest.raises(WebhookVerificationError):
            Webhook(SECRET).verify(wrong, headers)
    with pytest.raises(WebhookVerificationError):
        Webhook(OTHER).verify(body, headers)
    with pytest.raises(WebhookVerificationError):
        Webhook(SECRET).verify(body, headers | {"webhook-id": "job_2"})
    with pytest.raises(WebhookVerificationError):
        Webhook(SECRET).verify(body, dict(signed("job_1", int(time.time()) - 600, body, SECRET)))


@pytest.mark.parametrize(
    "secret", ["", "secret", "whsec_", "whsec_c2hvcnQ=", SECRET[6:], "whsec_" + "A" * 400, "whsec_§"]
)
def test_a_secret_that_is_none_is_refused_without_being_shown(secret: str) -> None:
    with pytest.raises(ValueError, match="24 to 64") as caught:
        check_secret(secret)
    assert len(secret) < 10 or secret not in str(caught.value)


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "127.9.9.9", "10.0.0.1", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0",
        "255.255.255.255", "224.0.0.1", "168.63.129.16", "100.100.100.200", "192.0.2.1", "::1", "::", "fe80::1",
        "fd00::1", "fd00:ec2::254", "ff02::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "64:ff9b::7f00:1",
        "64:ff9b::a9fe:a9fe", "2002:7f00:1::", "2002:a00:1::1", "::127.0.0.1", "2001:0:7f00:1::",
    ],
)  # fmt: skip
def test_addresses_of_machines_sites_and_clouds_are_not_public(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize(
    "address", ["1.1.1.1", "93.184.216.34", "2606:4700::1111", "::ffff:1.1.1.1", "64:ff9b::101:101"]
)
def test_addresses_that_everybody_reaches_are_public(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize(
    "url",
    [
        "http://example.org/", "ftp://example.org/", "https://", "https:///path", "example.org", "https://a b/",
        "https://user@example.org/", "https://user:word@example.org/", "https://example.org\\@10.0.0.1/", "https://exa\tmple.org",
        "https://example.org:port/", "https://example.org:99999/", "https://127.0.0.1/", "https://[::1]/", "https://10.1.2.3:8443/x",
        "https://[::ffff:127.0.0.1]/", "https://169.254.169.254/latest", "https://[fe80::1%25eth0]/", "https://exämple.org/",
        "https://[::1", "javascript:alert(1)", "https://2130706433\n/",
    ],
)  # fmt: skip
def test_an_address_that_webhooks_never_go_to_is_refused(url: str) -> None:
    with pytest.raises(InvalidRequest, match=r"^webhook "):
        Hosts("").check(url)


def test_hosts_that_an_operator_lists_are_allowed_and_no_others() -> None:
    hosts = Hosts("hooks.internal, 10.1.0.0/16, fd12::/16, localhost")
    for url, host in {
        "http://hooks.internal:8080/x?y=1": "hooks.internal",
        "https://HOOKS.internal/": "hooks.internal",
        "http://10.1.2.3/": "10.1.2.3",
        "http://[fd12::1]/": "fd12::1",
        "http://localhost/": "localhost",
        "https://example.org/": "example.org",
    }.items():
        assert hosts.check(url) == host
    for url in (
        "http://10.2.0.1/",
        "http://other.internal/",
        "http://hooks.internal.example.org/",
        "https://10.2.0.1/",
    ):
        with pytest.raises(InvalidRequest):
            hosts.check(url)
    assert hosts.allow("hooks.internal", "192.168.0.1")
    assert hosts.allow("example.org", "10.1.0.9")
    assert not hosts.allow("example.org", "192.168.0.1")
    assert hosts.allow("example.org", "1.1.1.1")


@pytest.mark.parametrize("text", ["10.0.0.0/99", "two words", "http://example.org", "*", "-x"])
def test_what_is_no_host_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        Hosts(text)


def test_a_key_may_have_a_secret_of_its_own_and_without_any_there_are_no_webhooks(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    keys = [{"name": "web", "key": "one", "webhook_secret": OTHER}, {"name": "lab", "key": "two"}]
    path.write_text(json.dumps({"keys": keys}))
    file = KeyFile(path)
    both, own = Webhooks(Hosts(""), SECRET, file), Webhooks(Hosts(""), None, file)
    assert [both.secret_of(name) for name in ("web", "lab", None)] == [OTHER, SECRET, SECRET]
    assert [own.secret_of(name) for name in ("web", "lab", None)] == [OTHER, None, None]
    own.check("https://example.org/", Client(name="web"))
    with pytest.raises(Forbidden, match="XCUBE_WEBHOOK_SECRET"):
        own.check("https://example.org/", Client(name="lab"))
    assert not Webhooks(Hosts(""), None).possible
