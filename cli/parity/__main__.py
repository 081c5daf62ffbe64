"""scripts/parity: checks every golden case in a folder, with a line for each; exits with 1 if a check fails."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table

from cli.parity.end_to_end import check_end_to_end
from cli.parity.formats import compare_formats
from cli.parity.golden import Case
from cli.parity.networks import check_ddim, check_dense_unet, check_sparse_unet, check_vae
from models.errors import XCubeError
from models.grids import Grid, TorchGrid, choose_backend
from models.precision import DTYPES

GOLDEN = Path(__file__).resolve().parents[2] / "tests" / "golden"
CASES: dict[str, Callable[[Case], None]] = {
    "ddim": check_ddim,
    "dense_unet": check_dense_unet,
    "sparse_unet": check_sparse_unet,
    "vae_coarse": check_vae,
    "vae_fine": check_vae,
    "end_to_end": check_end_to_end,
}


@torch.inference_mode()
def run(folder: Path, device: torch.device, grids: type[Grid] = TorchGrid) -> list[Case]:
    """Runs every case in the folder."""
    cases = []
    for name, check in CASES.items():
        if (folder / f"{name}.io.safetensors").exists():
            case = Case.open(folder, name, device, grids)
            check(case)
            cases.append(case)
    return cases


def main() -> int:
    """Runs the command; returns its exit status."""
    parser = argparse.ArgumentParser(prog="scripts/parity", description=__doc__)
    parser.add_argument(
        "folder", nargs="?", type=Path, default=GOLDEN, help="folder with golden tensors (default: %(default)s)"
    )
    parser.add_argument("--device", default="cpu", help="cpu or cuda (default: %(default)s)")
    parser.add_argument(
        "--backend", default="torch", help="library for sparse grids, torch or fvdb (default: %(default)s)"
    )
    parser.add_argument(
        "--dtype", choices=sorted(DTYPES), help="instead compare the demo models in this number format with fp32"
    )
    parser.add_argument("-v", "--verbose", action="store_true", help="print every quantity of every case")
    options = parser.parse_args()
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False
    device = torch.device(options.device)
    try:
        grids = choose_backend(options.backend, device)
        if options.dtype:
            cases = [compare_formats(DTYPES[options.dtype], device, grids)]
        else:
            cases = run(options.folder, device, grids)
    except XCubeError as error:
        print(error)
        return 1
    if not cases:
        print(f"{options.folder} holds no golden case: name a folder with files such as ddim.io.safetensors")
        return 1
    table = Table("case", "checks", "largest error", "limit", "in", "voxel IoU", "", box=None)
    for case in cases:
        failed = [check for check in case.checks if not check.passed]
        shown = case.checks if options.verbose else failed
        worst = max(case.checks, key=lambda check: check.error / check.limit if check.limit else check.error)
        ious = [check.iou for check in case.checks if check.iou is not None]
        table.add_row(
            case.name,
            str(len(case.checks)),
            f"{worst.error:.1e}",
            f"{worst.limit:.0e}",
            worst.quantity,
            f"{min(ious):.4f}" if ious else "",
            "[red]FAILED" if failed else "[green]ok",
        )
        for check in shown:
            table.add_row("", "", f"{check.error:.1e}", f"{check.limit:.0e}", check.quantity, f"{check.iou or 0:.4f}")
    Console(width=140 if not sys.stdout.isatty() else None).print(table)
    return int(any(not check.passed for case in cases for check in case.checks))


if __name__ == "__main__":
    sys.exit(main())
