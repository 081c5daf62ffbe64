"""Two shapes at a time with BentoML's asynchronous client, and the progress of a third one.

Positions are centres of voxels within ±0.5: x to the right, y up, z to the front.
"""

import asyncio
import json
import os
import sys

import bentoml
import httpx
from bentoml.exceptions import BentoMLException, ServiceUnavailable

URL = os.environ.get("XCUBE_URL", "http://localhost:8000")
READY_SECONDS = 60
# Proxies that the environment names are for other machines than this one.
others = os.environ.get("no_proxy") or os.environ.get("NO_PROXY", "")
os.environ["no_proxy"] = f"localhost,127.0.0.1,::1,{others}"


async def main() -> None:
    # BentoML's client would ask a service that is not there until READY_SECONDS are over.
    print("The service is", httpx.get(f"{URL}/health", timeout=5).json()["status"])
    async with bentoml.AsyncHTTPClient(URL, timeout=300, server_ready_timeout=READY_SECONDS) as client:
        try:
            await two_shapes(client)
            await progress(client)
        except BentoMLException as error:
            sys.exit(json.loads(str(error))["error"])


async def two_shapes(client: bentoml.AsyncHTTPClient) -> None:
    async with asyncio.timeout(300):  # for both together; `timeout` of the client is for each
        shapes = await asyncio.gather(
            client.generate(prompt="a round table", seed=7),
            client.generate(prompt="a tall chair", seed=7, use_fine=False),
        )
    for shape in shapes:
        print(len(shape["coarse_xyz"]), "coarse points, fine stage:", shape["fine_xyz"] is not None)


async def progress(client: bentoml.AsyncHTTPClient) -> None:
    text = ""
    async for piece in client.generate_stream(prompt="a tree", ddim_steps=20, seed=7):
        *events, text = (text + piece).split("\n\n")
        for event in events:
            name, _, data = event.partition("\n")
            if name == "event: progress":
                print(data.removeprefix("data: "))


try:
    asyncio.run(main())
except ServiceUnavailable:
    sys.exit(f"The service at {URL} was not ready within {READY_SECONDS} s: its log says what it waits for.")
except (TimeoutError, httpx.TimeoutException):
    sys.exit(f"The service at {URL} took too long: try again later or ask for fewer steps.")
except (ValueError, KeyError, TypeError, httpx.UnsupportedProtocol):
    sys.exit(f"{URL} is not the service: set XCUBE_URL to its address, such as http://localhost:8000.")
except httpx.TransportError:
    sys.exit(f"No service answers at {URL}: start it or set XCUBE_URL to its address.")
