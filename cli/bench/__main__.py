"""scripts/bench: tables of step times, answers, memory, whole generations, or a service with many users at once.

Step times are measured with every optimisation on, with each one off, and with none. Compare only rows of one table:
they are measured in one run, after a warm-up, on the hardware that is printed above it.
"""

from __future__ import annotations

import argparse
import platform
import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

from api.settings import read_settings
from cli.bench import answers, check, generation, memory, service, speed, tables, trace
from cli.bench.record import BenchError, Measured, Record
from cli.bench.subjects import demo_is_there
from models import threads
from models.cores import usable_cores
from models.precision import choose_dtype
from models.sizes import SIZES

MODES: tuple[Measured, ...] = ("answers", "generation", "memory", "service")
"""What can be measured instead of steps, by the names of the options."""
LOST, IMPOSSIBLE = 1, 2


def main(arguments: list[str] | None = None) -> int:
    """Runs the command.

    Returns:
        0 if all went well, 1 if --check found a loss, 2 if something cannot be measured or compared.
    """
    options = _arguments(arguments)
    console = Console(width=None if sys.stdout.isatty() else 120, highlight=False)
    try:
        return _run(options, console)
    except BenchError as error:
        print(f"bench: {error}", file=sys.stderr)
        return IMPOSSIBLE


def _run(options: argparse.Namespace, console: Console) -> int:
    device = torch.device(options.device)
    then = Record.read(options.check) if options.check else None
    before = check.ratios(then) if then else {}
    if then and not before:
        raise BenchError(f"{options.check} holds no ratios: check a run of steps, --answers or --service.")
    plan = _plan(options, device, then)
    if then:
        check.require_comparable(then, plan)
    if plan.measured == "memory" and device.type != "cuda":
        raise BenchError("--memory measures a GPU: name one with --device cuda.")
    threads.use(read_settings().threads)
    subject = "a service" if plan.measured == "service" else f"{plan.size} size"
    console.print(f"{subject} on {', '.join(f'{key} {value}' for key, value in plan.machine.items())}")
    if options.trace:
        console.print(f"tracing {plan.steps} steps of each stage and their decoding")
        trace.write(options.trace, plan.size, device, plan.steps)
        megabytes = options.trace.stat().st_size / 1e6
        console.print(f"wrote {options.trace} ({megabytes:.1f} MB): open it at https://ui.perfetto.dev")
        return 0
    done = replace(plan, rows=_measure(plan, device, console))
    if options.json:
        done.write(options.json)
    return _compare(before, done, device, console) if then else 0


def _plan(options: argparse.Namespace, device: torch.device, then: Record | None) -> Record:
    """What is to be measured: what the options name, else what an earlier run measured, else the default."""
    named = next((mode for mode in MODES if getattr(options, mode)), None)
    measured: Measured = named or (then.measured if then else "steps")
    settings, gpu = read_settings(), device.type == "cuda"
    usual = "official" if gpu or measured == "answers" else "demo" if demo_is_there() else "tiny"
    size = options.size or (then.size if then else usual)
    if measured == "service":
        size = settings.model
    dtype = choose_dtype(settings.dtype if measured == "service" else "auto", device)
    few = measured == "service" or options.trace
    steps = 20 if measured == "service" else 3 if options.trace else 5
    return Record(
        measured,
        size,
        str(dtype).removeprefix("torch."),
        describe(device),
        options.steps or (then.steps if then else steps),
        options.repetitions or (then.repetitions if then else 3 if few else 10),
        options.batch or (then.batches if then else [1, 4, 8] if gpu else [1]),
        [],
    )


def _measure(plan: Record, device: torch.device, console: Console) -> list[dict[str, Any]]:
    """Measures, prints the table, and gives back its rows."""
    found: list[Any]
    if plan.measured == "answers":
        found = list(answers.measure(plan.size, plan.repetitions))
        console.print(tables.answers_table(found))
    elif plan.measured == "memory":
        found = list(memory.measure(plan.size, device, plan.batches))
        console.print(tables.memory_table(found))
    elif plan.measured == "service":
        with service.serving() as url:
            found = list(service.measure(url, plan.steps, plan.repetitions))
        console.print(tables.service_table(found))
    elif plan.measured == "generation":
        found = list(generation.measure(plan.size, device, plan.steps, plan.repetitions))
        console.print(tables.generation_table(found))
    else:
        found = list(speed.measure(plan.size, device, plan.batches, plan.repetitions, plan.steps))
        console.print(tables.speed_table(found))
    return [asdict(item) for item in found]


def _compare(before: dict[str, float], done: Record, device: torch.device, console: Console) -> int:
    now = check.ratios(done)
    if not before.keys() & now.keys():
        raise BenchError("The file and this run have no ratio in common: leave out the options that the file tells.")
    if check.losses(before, now):
        console.print("Something seems slower. It is measured once more, and what is fast enough then counts.")
        now = check.best(now, check.ratios(replace(done, rows=_measure(done, device, console))))
    for line in check.report(before, now):
        console.print(line, soft_wrap=True)
    return LOST if check.losses(before, now) else 0


def describe(device: torch.device) -> dict[str, str]:
    """Hardware and versions."""
    found = {"CPU": processor(), "cores": str(usable_cores()), "threads": str(read_settings().threads)}
    if device.type == "cuda":
        found = {"GPU": torch.cuda.get_device_name(device), "CUDA": str(torch.version.cuda)}
    return {**found, "torch": torch.__version__, "python": sys.version.split()[0]}


def processor(told: Path = Path("/proc/cpuinfo")) -> str:
    """The CPU's name; its architecture where the system tells no name."""
    lines = told.read_text().splitlines() if told.is_file() else []
    names = [
        value.strip() for name, _, value in (line.partition(":") for line in lines) if name.strip() == "model name"
    ]
    return names[0] if names else platform.machine()


def _arguments(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts/bench", description=__doc__)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu", help="(%(default)s)")
    parser.add_argument(
        "--size", choices=["demo", *SIZES],
        help="default: official on a GPU and for --answers, demo on a CPU; tiny is for tests",
    )  # fmt: skip
    parser.add_argument(
        "--batch", type=int, action="append", metavar="N", help="samples in a batch; may be given several times"
    )
    parser.add_argument(
        "--steps", type=int, help="steps in each repetition (default: 5; with --service 20, with --trace 3)"
    )
    parser.add_argument("--repetitions", type=int, help="repetitions (default: 10; with --service 3)")
    mode = parser.add_mutually_exclusive_group()
    mode.add_argument(
        "--answers",
        action="store_true",
        help="measure how long a shape of a million voxels takes to become each format",
    )
    mode.add_argument("--memory", action="store_true", help="measure memory instead of time")
    mode.add_argument(
        "--generation",
        action="store_true",
        help="measure whole generations, with --steps steps in each stage, and as the preset turbo has them",
    )
    mode.add_argument("--service", action="store_true", help="start a service and measure it with many users at once")
    mode.add_argument(
        "--trace", type=Path, metavar="FILE",
        help="measure nothing, but write a Chrome trace of some steps of each stage and their decoding",
    )  # fmt: skip
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the numbers to a JSON file")
    parser.add_argument(
        "--check", type=Path, metavar="FILE",
        help="measure again what FILE tells, which an earlier --json wrote on the same hardware, and exit with 1 if a "
        "ratio (how many times as fast one way is as another in the same run) has lost more than 15%%; times "
        "themselves are not compared. What seems slower is measured twice. Exits with 2 if FILE cannot be compared",
    )  # fmt: skip
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
