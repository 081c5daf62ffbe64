"""A GPU service that is ready has every kernel that any request needs: nobody waits for a compiler."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.support.hanging import ending_within, telling_stacks
from tests.support.service import Server, StartServer

BODY = {"prompt": "a chair", "ddim_steps": 4, "seed": 1}
START_SECONDS, ANSWER_SECONDS = 600.0, 120.0
"""All kernels are compiled before the first start ends, which takes minutes. No answer takes more than seconds."""


def points(count: int) -> dict[str, Any]:
    """So many cells of a grid of 32, as the middle of each."""
    cells = np.random.default_rng(count).permutation(32**3)[:count]
    xyz = (np.stack(np.unravel_index(cells, (32, 32, 32)), axis=1) + 0.5) / 32 - 0.5
    return {"xyz": xyz.tolist(), "normal": np.tile([0.0, 0.0, 1.0], (count, 1)).tolist()}


Request = tuple[str, dict[str, Any]]
"""Path, and fields that differ from the usual ones."""


def requests() -> Iterator[list[Request]]:
    """Coarse and fine shapes of many sizes, alone and together, with every scheduler, with previews and variations."""
    yield [("/generate", {})]
    yield [("/generate", {"scheduler": "dpm++", "guidance_interval": [0.2, 0.8]})]
    yield [("/generate", {"guidance_scale": 1.0})]
    yield [("/generate_stream?previews=2", {"seed": 2})]
    earlier = {"request": BODY}
    yield [("/variations", {"of": earlier, "seed": 5, "strength": 0.5})]
    yield [("/variations", {"of": earlier, "seed": 6, "box": [[-0.5, 0, -0.5], [0.5, 0.5, 0.5]]})]
    for together in (2, 3, 8, 16):
        yield [("/generate", {"seed": together + number}) for number in range(together)]
    for count in (1, 3, 16, 40, 100, 333, 512, 1000, 2222, 4097):
        yield [("/refine", {"shape": points(count)})]
    yield [("/refine", {"shape": points(count), "seed": 9}) for count in (200, 220, 230, 900)]


def ask(server: Server, stacks: Path, together: list[Request]) -> None:
    """Sends some requests at the same time. Raises AssertionError where one is refused or hangs."""
    described = "; ".join(f"POST {path} {json.dumps(fields)[:150]}" for path, fields in together)

    def post(request: Request) -> None:
        path, fields = request
        answer = server.post(path, json=BODY | fields)
        assert answer.status_code == 200, f"POST {path}: {answer.text[:300]}"

    with ending_within(ANSWER_SECONDS, described, server, stacks), ThreadPoolExecutor(len(together)) as pool:
        list(pool.map(post, together))


def kernels(folder: Path) -> set[str]:
    """What Triton has compiled: kernels, and the code that starts them."""
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.suffix in (".cubin", ".so")}


@pytest.mark.timeout(1200)
def test_no_kernel_is_compiled_once_the_service_is_ready(
    start_server: StartServer, tiny_models: Path, tmp_path: Path
) -> None:
    pytest.importorskip("triton", reason="the fused kernels need Triton")
    compiled = tmp_path / "kernels"
    environment = telling_stacks(tmp_path) | {"XCUBE_DEVICE": "cuda", "TRITON_CACHE_DIR": str(compiled)}
    server = start_server(tiny_models, **environment)
    with ending_within(START_SECONDS, "the first start", server, tmp_path):
        print(f"ready after {server.wait_until_ready(START_SECONDS):.0f} s")
    before = kernels(compiled)
    print(f"kernels compiled: {len(before)}")
    assert len(before) > 20
    for together in requests():
        begun = time.monotonic()
        ask(server, tmp_path, together)
        print(f"{len(together)} x {together[0][0]}: {time.monotonic() - begun:.2f} s")
    assert kernels(compiled) - before == set()
