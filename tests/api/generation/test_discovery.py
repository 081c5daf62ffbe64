"""The number of Samplers behind a URL, by the addresses of its name."""

from __future__ import annotations

import asyncio
import socket

import pytest

from api.generation import discovery

URL = "http://xcube-sampler:8000"


def answers(monkeypatch: pytest.MonkeyPatch, *addresses: str) -> None:
    """Makes every name have these addresses; without any, none is found."""

    async def getaddrinfo(_: object, host: str, port: int, **__: object) -> list[tuple[object, ...]]:
        assert (host, port) == ("xcube-sampler", 8000)
        if not addresses:
            raise socket.gaierror("unknown name")
        families = [socket.AF_INET6 if ":" in address else socket.AF_INET for address in addresses]
        return [(family, 1, 6, "", (address, port)) for family, address in zip(families, addresses, strict=True)]

    monkeypatch.setattr(asyncio.BaseEventLoop, "getaddrinfo", getaddrinfo)


@pytest.mark.parametrize(
    ("addresses", "number"),
    [
        (["10.0.0.1"], 1),
        (["10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.3"], 3),
        (["10.0.0.1", "10.0.0.2", "fd00::1", "fd00::2"], 2),
        ([], 1),
    ],
)
def test_each_address_is_a_sampler(addresses: list[str], number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    answers(monkeypatch, *addresses)
    assert asyncio.run(discovery.count(URL)) == number


def test_samplers_that_come_and_go_are_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(discovery, "PERIOD", 0.001)
    told: list[int] = []

    async def main() -> None:
        task = asyncio.create_task(discovery.follow(URL, told.append))
        for addresses in (["10.0.0.1"], ["10.0.0.1", "10.0.0.2"], ["10.0.0.2"]):
            answers(monkeypatch, *addresses)
            before = len(told)
            async with asyncio.timeout(10):
                while len(told) < before + 2:
                    await asyncio.sleep(0.001)
            assert told[-1] == len(addresses)
        task.cancel()

    asyncio.run(main())
