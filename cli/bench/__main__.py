"""scripts/bench: tables of step times, memory, whole generations, or a service with many users at once.

Step times are measured with every optimisation on, with each one off, and with none. Compare only rows of one table:
they are measured in one run, after a warm-up, on the hardware that is printed above it.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table

from api.settings import read_settings
from cli.bench import generation, memory, service, speed
from cli.bench.subjects import demo_is_there
from models import threads
from models.cores import usable_cores
from models.presets import SIZES


def main(arguments: list[str] | None = None) -> int:
    """Runs the command; returns its exit status."""
    options = _arguments(arguments)
    device = torch.device(options.device)
    steps = options.steps or (20 if options.service else 5)
    repetitions = options.repetitions or (3 if options.service else 10)
    size = options.size or ("official" if device.type == "cuda" else "demo" if demo_is_there() else "tiny")
    batches = options.batch or ([1, 4, 8] if device.type == "cuda" else [1])
    threads.use(read_settings().threads)
    console = Console(width=None if sys.stdout.isatty() else 120, highlight=False)
    machine = describe(device)
    subject = "a service" if options.service else f"{size} size"
    console.print(f"{subject} on {', '.join(f'{key} {value}' for key, value in machine.items())}")
    if options.memory and device.type != "cuda":
        print("--memory measures a GPU: name one with --device cuda")
        return 1
    if options.memory:
        uses = list(memory.measure(size, device, batches))
        console.print(memory_table(uses))
        rows = [asdict(use) for use in uses]
    elif options.service:
        with service.serving() as url:
            findings = list(service.measure(url, steps, repetitions))
        console.print(service_table(findings))
        rows = [asdict(finding) for finding in findings]
    elif options.generation:
        runs = list(generation.measure(size, device, steps, repetitions))
        console.print(generation_table(runs))
        rows = [asdict(run) for run in runs]
    else:
        measured = list(speed.measure(size, device, batches, repetitions, steps))
        console.print(speed_table(measured))
        rows = [asdict(item) for item in measured]
    if options.json:
        options.json.write_text(json.dumps({"size": size, "machine": machine, "rows": rows}, indent=1))
    return 0


def describe(device: torch.device) -> dict[str, str]:
    """Hardware and versions."""
    found = {"device": "CPU", "cores": str(usable_cores()), "threads": str(read_settings().threads)}
    if device.type == "cuda":
        found = {"GPU": torch.cuda.get_device_name(device), "CUDA": str(torch.version.cuda)}
    return {**found, "torch": torch.__version__, "python": sys.version.split()[0]}


def speed_table(measured: list[speed.Measurement]) -> Table:
    """One row per variant; the ratio is to the first variant of the same stage and batch."""
    table = Table("stage", "samples", "variant", "ms a step", "fastest", "slowest", "times faster", box=None)
    for item in sorted(measured, key=lambda item: (item.stage, item.samples)):
        base = next(other for other in measured if (other.stage, other.samples) == (item.stage, item.samples))
        table.add_row(
            item.stage, str(item.samples), item.variant, f"{item.median:.2f}", f"{item.fastest:.2f}",
            f"{item.slowest:.2f}", f"{base.median / item.median:.2f}",
        )  # fmt: skip
    return table


def memory_table(uses: list[memory.Use]) -> Table:
    """One row per quantity."""
    table = Table("what", "samples", "GiB allocated", "GiB reserved", box=None)
    for use in uses:
        reserved = f"{use.reserved:.2f}" if use.reserved else ""
        table.add_row(use.what, str(use.samples or ""), f"{use.allocated:.2f}", reserved)
    return table


def generation_table(runs: list[generation.Run]) -> Table:
    """One row per generation, in seconds."""
    table = Table("run", "coarse steps", "decoding", "fine steps", "decoding", "sum", "voxels", "GiB", box=None)
    for run in runs:
        parts = run.coarse_steps, run.coarse_decoding, run.fine_steps, run.fine_decoding
        voxels = f"{run.coarse_voxels:,} -> {run.fine_voxels:,}"
        seconds = [f"{part:.3f}" for part in (*parts, sum(parts))]
        table.add_row(str(run.number), *seconds, voxels, f"{run.peak_gib:.2f}" if run.peak_gib else "")
    return table


def service_table(findings: list[service.Finding]) -> Table:
    """One row per finding."""
    table = Table("what", "seconds", "against", "ratio", "limit", box=None)
    for found in findings:
        table.add_row(found.what, f"{found.seconds:.3f}", found.against, f"{found.ratio:.2f}", f"{found.limit:.0f}")
    return table


def _arguments(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts/bench", description=__doc__)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu", help="(%(default)s)")
    parser.add_argument(
        "--size", choices=["demo", *SIZES], help="default: official on a GPU, demo on a CPU; tiny is for tests"
    )
    parser.add_argument(
        "--batch", type=int, action="append", metavar="N", help="samples in a batch; may be given several times"
    )
    parser.add_argument("--steps", type=int, help="steps in each repetition (default: 5; with --service 20)")
    parser.add_argument("--repetitions", type=int, help="repetitions (default: 10; with --service 3)")
    parser.add_argument("--memory", action="store_true", help="measure memory instead of time")
    parser.add_argument(
        "--generation", action="store_true", help="measure whole generations, with --steps steps in each stage"
    )
    parser.add_argument("--service", action="store_true", help="start a service and measure it with many users at once")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the numbers to a JSON file")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
