"""Puts load on a running service: `python -m cli.load --users 16 --seconds 60`."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import sys
import time
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

from cli.connection import ServiceError, address
from cli.load.memory import MEGABYTE, Memory, NoServiceError, processes
from cli.load.probes import probing
from cli.load.report import Report, report
from cli.load.users import Load, Mix, wait_until_ready

MOST_GROWTH = 0.05
SOAK_SECONDS = 600.0


def main(arguments: list[str]) -> int:
    """Runs the load and prints the result.

    Returns:
        0 if all went well; 1 if there were errors other than 429s or if, with --soak, memory grew by 5% or more; 2 if
        there is no service.
    """
    options = options_of(arguments)
    seconds = options.seconds or (SOAK_SECONDS if options.soak else 60.0)
    port = urlsplit(options.url).port or 80
    try:
        wait_until_ready(options.url)
        if options.soak:
            processes(port)
        result = asyncio.run(_run(options, seconds, port if options.soak else None))
    except (NoServiceError, ServiceError) as error:
        print(f"load: {error}", file=sys.stderr)
        return 2
    print("\n".join(result.lines()))
    if options.json is not None:
        options.json.write_text(json.dumps(result.as_dict(), indent=2) + "\n")
    return int(result.errors > 0 or (result.memory_growth or 0.0) >= MOST_GROWTH)


async def _run(options: argparse.Namespace, seconds: float, port: int | None) -> Report:
    mix = Mix((options.steps[0], options.steps[1]), options.fine, options.seed)
    load = Load(options.url, mix, seconds=seconds, requests=options.requests)
    start = time.monotonic()
    work = load.closed(options.users) if options.rate is None else load.open(options.rate)
    with probing(options.url) as times:
        if port is None:
            await work
            return report(load.answers, time.monotonic() - start, times())
        memory = Memory(port)
        watching = asyncio.create_task(memory.watch())
        try:
            await work
        finally:
            watching.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await watching
        result = report(load.answers, time.monotonic() - start, times())
    return replace(result, memory_growth=memory.growth(), memory_megabytes=memory.largest() / MEGABYTE)


def options_of(arguments: list[str]) -> argparse.Namespace:
    """The options on the command line; exits with one sentence if they make no sense."""
    parser = argparse.ArgumentParser(prog="load", description="Puts load on a running service.")
    parser.add_argument(
        "--url", type=address, default="http://localhost:8000", help="address of the service (default: %(default)s)"
    )
    parser.add_argument(
        "--users", type=int, default=16, help="number of users who wait for their answers (default: %(default)s)"
    )
    parser.add_argument(
        "--rate",
        type=float,
        metavar="REQUESTS",
        help="send this many requests per second, whatever the service does, instead of simulating users",
    )
    parser.add_argument(
        "--seconds", type=float, help="how long to send requests, in seconds (default: 60; with --soak 600)"
    )
    parser.add_argument("--requests", type=int, help="stop after this many requests")
    parser.add_argument(
        "--steps",
        type=int,
        nargs=2,
        default=(4, 20),
        metavar=("MIN", "MAX"),
        help="denoising steps of a request, at least and at most (default: 4 20)",
    )
    parser.add_argument(
        "--fine", type=float, default=0.5, help="share of requests with the fine stage, 0 to 1 (default: %(default)s)"
    )
    parser.add_argument("--seed", type=int, default=0, help="seed of the mix of requests")
    parser.add_argument(
        "--soak", action="store_true", help="also watch the memory of the service, which has to run on this machine"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the figures to a file")
    options = parser.parse_args(arguments)
    numbers = (options.users, options.rate, options.seconds, options.requests, *options.steps)
    if any(number is not None and number <= 0 for number in numbers):
        parser.error("users, rate, seconds, requests and steps have to be larger than 0")
    return options


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
