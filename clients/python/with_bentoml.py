"""A shape with BentoML's client, which makes NumPy arrays of the coarse points and waits no longer than it is told.

Positions are centres of voxels within ±0.5: x to the right, y up, z to the front.
"""

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


def main() -> None:
    # BentoML's client would ask a service that is not there until READY_SECONDS are over.
    print("The service is", httpx.get(f"{URL}/health", timeout=5).json()["status"])
    with bentoml.SyncHTTPClient(URL, timeout=300, server_ready_timeout=READY_SECONDS) as client:
        try:
            shape = client.generate(prompt="a round table", seed=7)
        except BentoMLException as error:
            sys.exit(json.loads(str(error))["error"])
    print(shape["coarse_xyz"].shape, "coarse points as", shape["coarse_xyz"].dtype)


try:
    main()
except ServiceUnavailable:
    sys.exit(f"The service at {URL} was not ready within {READY_SECONDS} s: its log says what it waits for.")
except httpx.TimeoutException:
    sys.exit(f"The service at {URL} took too long: try again later or ask for fewer steps.")
except (ValueError, KeyError, TypeError, httpx.UnsupportedProtocol):
    sys.exit(f"{URL} is not the service: set XCUBE_URL to its address, such as http://localhost:8000.")
except httpx.TransportError:
    sys.exit(f"No service answers at {URL}: start it or set XCUBE_URL to its address.")
