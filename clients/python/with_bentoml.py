"""A shape with BentoML's client, which makes NumPy arrays of the coarse points and waits no longer than it is told."""

import json
import os
import sys

import bentoml
import httpx
from bentoml.exceptions import BentoMLException

URL = os.environ.get("XCUBE_URL", "http://localhost:8000")

with bentoml.SyncHTTPClient(URL, timeout=300) as client:
    print("The service is", client.health()["status"])
    try:
        shape = client.generate(prompt="a round table", seed=7)
    except httpx.TimeoutException:
        sys.exit("The service took too long: ask for fewer steps.")
    except BentoMLException as error:
        sys.exit(json.loads(str(error))["error"])
print(shape["coarse_xyz"].shape, "coarse points as", shape["coarse_xyz"].dtype)
