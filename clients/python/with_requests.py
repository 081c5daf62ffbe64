"""A shape with requests: wait until the service is ready, ask, say what is wrong, take the shape along as a file.

Positions are centres of voxels within ±0.5: x to the right, y up, z to the front. Files have their own frames.
"""

import io
import os
import sys
import time
from pathlib import Path
from urllib.parse import unquote

import numpy as np
import requests

URL = os.environ.get("XCUBE_URL", "http://localhost:8000")
SECONDS, READY_SECONDS = 300, 60
# Proxies that the environment names are for other machines than this one.
others = os.environ.get("no_proxy") or os.environ.get("NO_PROXY", "")
os.environ["no_proxy"] = f"localhost,127.0.0.1,::1,{others}"


def points_of(answer: requests.Response) -> np.ndarray:
    """The coarse points, float32 [N, 3], from npz, or from JSON, which a service that is older may send."""
    if answer.headers["Content-Type"].startswith("application/json"):
        return np.asarray(answer.json()["coarse_xyz"], np.float32)
    with np.load(io.BytesIO(answer.content)) as shape:
        return ((shape["coarse_ijk"] + 0.5) * shape["coarse_voxel_size"]).astype(np.float32)


def main() -> None:
    request = {"prompt": "a round table", "seed": 7}
    with requests.Session() as session:
        end = time.monotonic() + READY_SECONDS
        while session.get(f"{URL}/health", timeout=5).json()["status"] == "loading":
            if time.monotonic() > end:
                late = f"was not ready within {READY_SECONDS} s: its log says what it waits for."
                sys.exit(f"The service at {URL} {late}")
            time.sleep(1)

        # npz is a ninth of JSON's bytes, and takes a tenth of the time to read.
        accept = {"Accept": "application/x-npz, application/json;q=0.5"}
        answer = session.post(f"{URL}/generate", json=request, headers=accept, timeout=SECONDS)
        if not answer.ok:
            sys.exit(answer.json()["error"])
        if "X-XCube-Warning" in answer.headers:
            print("Note:", unquote(answer.headers["X-XCube-Warning"]))
        coarse = points_of(answer)
        print(len(coarse), "coarse points, seed", answer.headers["X-Seed"])

        # The service still has the shape that it made a moment ago, so this takes no second generation.
        file = session.post(f"{URL}/generate", params={"format": "glb"}, json=request, timeout=SECONDS)
        file.raise_for_status()
        Path("table.glb").write_bytes(file.content)


try:
    main()
except requests.Timeout:
    sys.exit(f"The service at {URL} took too long: try again later or ask for fewer steps.")
except (ValueError, KeyError, TypeError):
    sys.exit(f"{URL} is not the service: set XCUBE_URL to its address, such as http://localhost:8000.")
except requests.RequestException:
    sys.exit(f"No service answers at {URL}: start it or set XCUBE_URL to its address.")
