"""scripts/bench --trace: a Chrome trace of both stages, in which stages and blocks have names."""

from __future__ import annotations

from pathlib import Path

import torch
from torch._C._profiler import _ExperimentalConfig
from torch.profiler import ProfilerActivity, profile

from cli.bench.record import BenchError
from cli.bench.subjects import coarse_samples, coarse_stage, fine_samples, fine_stage
from models.precision import choose_dtype
from models.runtime import Runtime


def write(path: Path, size: str, device: torch.device, steps: int) -> None:
    """Traces some steps of each stage and their decoding, after a run that warms up.

    On a GPU the first step is recorded anew within the trace, so that it shows the blocks; the others are replays.

    Raises:
        BenchError: The file cannot be written.
    """
    if not path.parent.is_dir():
        raise BenchError(f"{path} cannot be written: there is no folder {path.parent}.")
    runtime = Runtime(device, choose_dtype("auto", device))
    coarse, fine = coarse_stage(size, runtime), fine_stage(size, runtime)

    def work() -> None:
        coarse.decode(coarse.denoise(coarse_samples(coarse, 1), steps))
        fine.decode(fine.denoise(fine_samples(fine, 1), steps))

    work()
    for stage in (coarse, fine):
        stage.release()
    activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if device.type == "cuda" else [])]
    # The lanes of a CPU and the noise are other threads.
    with profile(activities=activities, experimental_config=_ExperimentalConfig(profile_all_threads=True)) as trace:
        work()
        if device.type == "cuda":
            torch.cuda.synchronize()
    try:
        trace.export_chrome_trace(str(path))
    except (OSError, RuntimeError) as error:
        raise BenchError(f"{path} cannot be written: {str(error).partition(chr(10))[0]}.") from None
