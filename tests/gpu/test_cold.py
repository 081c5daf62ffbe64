"""A GPU service that is ready has every kernel that any request needs: nobody waits for a compiler."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.support.service import Server, StartServer


def points(count: int) -> dict[str, Any]:
    """So many cells of a grid of 32, as the middle of each."""
    cells = np.random.default_rng(count).permutation(32**3)[:count]
    xyz = (np.stack(np.unravel_index(cells, (32, 32, 32)), axis=1) + 0.5) / 32 - 0.5
    return {"xyz": xyz.tolist(), "normal": np.tile([0.0, 0.0, 1.0], (count, 1)).tolist()}


def ask_for_everything(server: Server) -> None:
    """Coarse and fine shapes of many sizes, alone and together, with every scheduler, with previews and variations."""

    def post(path: str, **fields: Any) -> None:
        answer = server.post(path, json={"prompt": "a chair", "ddim_steps": 4, "seed": 1, **fields})
        assert answer.status_code == 200, answer.text[:300]

    post("/generate")
    post("/generate", scheduler="dpm++", guidance_interval=[0.2, 0.8])
    post("/generate", guidance_scale=1.0)
    post("/generate_stream?previews=2", seed=2)
    earlier = {"request": {"prompt": "a chair", "ddim_steps": 4, "seed": 1}}
    post("/variations", of=earlier, seed=5, strength=0.5)
    post("/variations", of=earlier, seed=6, box=[[-0.5, 0, -0.5], [0.5, 0.5, 0.5]])
    for together in (2, 3, 8, 16):
        with ThreadPoolExecutor(together) as pool:
            for ended in [pool.submit(post, "/generate", seed=together + number) for number in range(together)]:
                ended.result()
    for count in (1, 3, 16, 40, 100, 333, 512, 1000, 2222, 4097):
        post("/refine", shape=points(count))
    with ThreadPoolExecutor(4) as pool:
        for ended in [pool.submit(post, "/refine", shape=points(count), seed=9) for count in (200, 220, 230, 900)]:
            ended.result()


def test_no_kernel_is_compiled_once_the_service_is_ready(
    start_server: StartServer, tiny_models: Path, tmp_path: Path
) -> None:
    pytest.importorskip("triton", reason="the fused kernels need Triton")
    compiled = tmp_path / "kernels"
    server = start_server(tiny_models, XCUBE_DEVICE="cuda", TRITON_CACHE_DIR=str(compiled))
    server.wait_until("ready", seconds=600)
    before = {path.name for path in compiled.iterdir()}
    assert len(before) > 20
    ask_for_everything(server)
    assert {path.name for path in compiled.iterdir()} == before
