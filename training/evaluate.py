"""Measures models, by default with the API's defaults: the demo models, or, with --data or --model, a set of one's own.

A set of one's own is measured on the held-out part of its data: how well its VAEs decode these shapes, how near
generated shapes come to them, whether they are of the prompt's kind, and whether they hang together.

The demo models get prompts in wordings that training never used, prompts whose words it never saw together, and
captions of real pieces that are held out. Printed are figures with their goals: what a classifier of true shapes
sees, how the shapes spread and whether they are copies, beside baselines and true shapes, and how good surfaces are;
with --surface also which step of the pair loses them. A contact sheet and a page of failures are written. The command
ends with status 1 if a goal is missed, and with 2 if it cannot measure. What is made is kept in --run-dir, so that an
interrupted evaluation goes on where it was. With --quick the preset is draft, unless controls are given.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import torch

from models import threads
from models.cores import usable_cores
from models.errors import ConfigError, XCubeError
from models.presets import PRESETS, controls
from models.schedulers import SCHEDULERS
from training.evaluation.demo import evaluate_demo
from training.generating import Controls
from training.own_report import MOST_QUICK, evaluate_own
from training.real.building import NAME as REAL

QUICK_PRESET = "draft"


def main(arguments: list[str] | None = None) -> int:
    """The command line. Returns the exit status."""
    options = _parser().parse_args(arguments)
    device = torch.device(options.device or ("cuda" if torch.cuda.is_available() else "cpu"))
    threads.use(min(torch.get_num_threads(), usable_cores()))
    try:
        if options.data or options.model:
            return evaluate_own(options, _controls(options), device)
        return evaluate_demo(options, _controls(options), device)
    except XCubeError as error:
        print(error, file=sys.stderr)
        return 2


def _controls(options: argparse.Namespace) -> Controls:
    interval = options.guidance_interval and tuple(options.guidance_interval)
    given = (options.preset, options.steps, options.fine_steps, options.scheduler, interval)
    demo = not (options.data or options.model)
    preset = QUICK_PRESET if demo and options.quick and all(value is None for value in given) else options.preset
    try:
        chosen = controls(
            preset, steps=options.steps, fine_steps=options.fine_steps, scheduler=options.scheduler,
            guidance_interval=interval,
        )  # fmt: skip
    except ValueError as error:
        raise ConfigError(str(error)) from None
    fine_steps = chosen.fine_steps or chosen.steps
    guidance = 1.0 if chosen.is_fixed else options.guidance
    return Controls(chosen.steps, fine_steps, guidance, chosen.scheduler, chosen.guidance_interval, chosen.network)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="scripts/evaluate", description=__doc__)
    parser.add_argument(
        "--checkpoint-dir", type=Path, help="the models (default: checkpoints; with --data RUN_DIR/checkpoints)"
    )
    parser.add_argument("--model", metavar="NAME", help="measure this set in the model store")
    parser.add_argument(
        "--data", type=Path, metavar="SET", help="measure on this set of scripts/dataset (default: runs/data/NAME)"
    )
    parser.add_argument(
        "--quick",
        action="store_true",
        help=f"a prompt of each kind, and preset {QUICK_PRESET} unless controls are given; with --data {MOST_QUICK} "
        "shapes",
    )
    parser.add_argument(
        "--real", type=Path, metavar="SET", default=Path("runs/data") / REAL,
        help="the set of real pieces, held out ones of which the demo models are measured on (%(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--classifier", type=Path, metavar="FILE",
        help="the judge of the demo models (default: beside them, or one that is trained now, which takes long)",
    )  # fmt: skip
    parser.add_argument("--preset", choices=PRESETS, help="controls by name; those that are given win")
    parser.add_argument("--steps", type=int, help="denoising steps (100, the API's default)")
    parser.add_argument("--guidance", type=float, default=7.5, help="guidance scale (7.5, the API's default)")
    parser.add_argument("--fine-steps", type=int, help="denoising steps of the fine stage (as many as --steps)")
    parser.add_argument("--scheduler", choices=SCHEDULERS, help="how the steps go (ddim)")
    parser.add_argument(
        "--guidance-interval", type=float, nargs=2, metavar=("LOW", "HIGH"),
        help="the part of the coarse run that is guided (0 1)",
    )  # fmt: skip
    parser.add_argument(
        "--surface", type=int, default=0, metavar="SHAPES",
        help="follow so many true shapes through each decoder and denoiser by itself (0; a minute each on a CPU)",
    )  # fmt: skip
    parser.add_argument("--device", help="cpu, cuda, … (default: a GPU if there is one)")
    parser.add_argument("--batch", type=int, help="shapes at once (default: 1 on a CPU, 32 on a GPU)")
    parser.add_argument(
        "--run-dir", type=Path,
        help="what is done already (default: runs/evaluate; with --data runs/NAME, as scripts/train has it)",
    )  # fmt: skip
    parser.add_argument("--picture", type=Path, help="where the contact sheet goes (default: in RUN_DIR)")
    parser.add_argument("--output", type=Path, metavar="FILE", help="also write the figures there, as JSON")
    return parser


if __name__ == "__main__":
    sys.exit(main())
