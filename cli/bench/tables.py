"""The tables of scripts/bench."""

from __future__ import annotations

from rich.table import Table

from cli.bench import answers, generation, memory, service, speed


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
        table.add_row(
            f"{run.preset} {run.number}".strip(), *seconds, voxels, f"{run.peak_gib:.2f}" if run.peak_gib else ""
        )
    return table


def answers_table(measured: list[answers.Answer]) -> Table:
    """One row per format; the ratio is to one bare `orjson.dumps` of the same arrays."""
    table = Table("format", "voxels", "MB", "ms", "ms of bare JSON", "ratio", box=None)
    for item in measured:
        milliseconds = f"{1000 * item.seconds:.1f}", f"{1000 * item.bare:.1f}"
        ratio = f"{item.seconds / item.bare:.2f}"
        table.add_row(item.format, f"{item.voxels:,}", f"{item.megabytes:.1f}", *milliseconds, ratio)
    return table


def service_table(findings: list[service.Finding]) -> Table:
    """One row per finding."""
    table = Table("what", "seconds", "against", "ratio", "limit", box=None)
    for found in findings:
        table.add_row(found.what, f"{found.seconds:.3f}", found.against, f"{found.ratio:.2f}", f"{found.limit:.0f}")
    return table
