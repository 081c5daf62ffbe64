"""Trains the demo models: shapes, text tower, two VAEs, two denoisers, and the classifier that judges them.

Every stage resumes from --run-dir where it was stopped, and is left out when it is done; a stage may be told how many
minutes it has. Stages that do not need each other may run in processes of their own on one GPU.
"""

from __future__ import annotations

import argparse
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch

from models.cores import usable_cores
from training.classifier import CLASSIFIER_FILE, accuracy, save_classifier, train_classifier
from training.coarse import train_coarse
from training.dataset import Shapes, load_shapes, make_shapes
from training.engine import seed_everything
from training.export import export_stage, export_text, megabytes
from training.fine import train_fine
from training.recipe import PRESETS, Recipe
from training.text import train_text
from training.vae import encode_coarse, encode_fine, train_vae

STAGES = ("data", "text", "coarse-vae", "fine-vae", "coarse", "fine", "classifier")
NEEDS = {"coarse": ("text", "coarse_vae"), "fine": ("text", "fine_vae")}
LIMIT_MB = 60.0


class Run:
    """One invocation: where things are, and one method a stage."""

    def __init__(
        self,
        recipe: Recipe,
        folder: Path,
        out: Path,
        device: torch.device,
        seed: int,
        minutes: float | None,
        workers: int,
    ) -> None:
        self.recipe, self.folder, self.out, self.device = recipe, folder, out, device
        self.seed, self.minutes, self.workers = seed, minutes, workers
        self.data = folder / "data"

    def generator(self, stage: str) -> torch.Generator:
        """Seeds everything for a stage, the same whichever stages ran before it."""
        return seed_everything(self.seed * len(STAGES) + STAGES.index(stage), self.device)

    def shapes(self, fine: int = 0) -> Shapes:
        """The training shapes, the first `fine` of them with fine voxels."""
        return load_shapes(self.data, range(self.recipe.shapes), "train", fine)

    def make_data(self) -> None:
        """Makes the shapes of all splits, or what is missing of them."""
        recipe = self.recipe
        make_shapes(self.data, range(recipe.shapes), recipe.captions, "train", self.workers, self.device)
        for numbers in (recipe.classifier_numbers, recipe.test_numbers):
            make_shapes(self.data, numbers, 1, "heldout", self.workers, self.device)

    def train_text(self) -> None:
        """Trains the text tower and exports it."""
        encoder = train_text(self.recipe, self.shapes(), self.folder, self.minutes, self.generator("text"))
        export_text(encoder, self.recipe.text, self.out / "demo_text")

    def train_coarse_vae(self) -> None:
        """Trains the coarse VAE."""
        recipe, generator = self.recipe, self.generator("coarse-vae")
        coarse = self.shapes().coarse.to(self.device)
        train_vae(recipe.coarse, recipe.coarse_vae_plan, coarse, self.folder, self.minutes, generator)

    def train_fine_vae(self) -> None:
        """Trains the fine VAE."""
        recipe, generator = self.recipe, self.generator("fine-vae")
        fine = self.shapes(recipe.fine_shapes).fine
        assert fine is not None
        train_vae(recipe.fine, recipe.fine_vae_plan, fine.to(self.device), self.folder, self.minutes, generator)

    def train_coarse(self) -> None:
        """Trains the coarse denoiser on the coarse VAE's latents and exports the stage."""
        recipe, shapes = self.recipe, self.shapes()
        coarse = shapes.coarse.to(self.device)
        encoder = train_text(recipe, shapes, self.folder, None, self.generator("text"))
        vae = train_vae(recipe.coarse, recipe.coarse_vae_plan, coarse, self.folder, None, self.generator("coarse-vae"))
        latents = encode_coarse(vae, coarse)
        generator = self.generator("coarse")
        stage = train_coarse(recipe, shapes, latents, encoder, vae.decoder, self.folder, self.minutes, generator)
        export_stage(stage, self.out / "demo_coarse")

    def train_fine(self) -> None:
        """Trains the fine denoiser on the fine VAE's latents and exports the stage."""
        recipe, shapes = self.recipe, self.shapes(self.recipe.fine_shapes)
        assert shapes.fine is not None
        encoder = train_text(recipe, shapes, self.folder, None, self.generator("text"))
        on_device = Shapes(
            shapes.category,
            shapes.attributes,
            shapes.tokens,
            shapes.coarse.to(self.device),
            shapes.fine.to(self.device),
        )
        vae = train_vae(recipe.fine, recipe.fine_vae_plan, shapes.fine, self.folder, None, self.generator("fine-vae"))
        latents = encode_fine(vae, on_device)
        generator = self.generator("fine")
        stage = train_fine(recipe, on_device, latents, encoder, vae.decoder, self.folder, self.minutes, generator)
        export_stage(stage, self.out / "demo_fine")

    def train_classifier(self) -> None:
        """Trains the classifier that evaluates shapes, on held-out ones, and prints its accuracy."""
        recipe = self.recipe
        shapes = load_shapes(self.data, recipe.classifier_numbers, "heldout")
        model = train_classifier(recipe, shapes, self.folder, self.minutes, self.generator("classifier"))
        category, attributes = accuracy(model, load_shapes(self.data, recipe.test_numbers, "heldout"))
        print(f"classifier on {recipe.test_shapes} other shapes: category {category:.1%}, attributes {attributes:.1%}")
        save_classifier(model, self.out / CLASSIFIER_FILE)


def main(arguments: list[str] | None = None) -> int:
    """The command line. Returns the exit status."""
    options = _parser().parse_args(arguments)
    options.out = options.out or options.run_dir / "checkpoints"
    device = torch.device(options.device or ("cuda" if torch.cuda.is_available() else "cpu"))
    torch.backends.cudnn.benchmark = True
    # Told to stop, a stage saves its state first.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    run = Run(
        PRESETS[options.preset], options.run_dir, options.out, device, options.seed, options.minutes, options.workers
    )
    actions: dict[str, Callable[[], None]] = {
        "data": run.make_data,
        "text": run.train_text,
        "coarse-vae": run.train_coarse_vae,
        "fine-vae": run.train_fine_vae,
        "coarse": run.train_coarse,
        "fine": run.train_fine,
        "classifier": run.train_classifier,
    }
    options.run_dir.mkdir(parents=True, exist_ok=True)
    for stage in options.stages:
        for needed in NEEDS.get(stage, ()):
            if not (options.run_dir / f"{needed}.pt").exists():
                print(
                    f"Stage {stage} needs {needed.replace('_', '-')}, which is not in {options.run_dir}: "
                    f"run --stages {needed.replace('_', '-')} first.",
                    file=sys.stderr,
                )
                return 2
        begin = time.monotonic()
        actions[stage]()
        print(f"stage {stage}: {time.monotonic() - begin:.0f} s", flush=True)
    size = megabytes(options.out)
    print(f"models in {options.out}: {size:.1f} MB")
    return 0 if size <= LIMIT_MB else 1


def _stages(text: str) -> list[str]:
    names = text.split(",")
    if unknown := [name for name in names if name not in STAGES]:
        raise argparse.ArgumentTypeError(f"unknown stage {unknown[0]!r}; stages are {', '.join(STAGES)}")
    return sorted(names, key=STAGES.index)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="scripts/train", description=__doc__)
    parser.add_argument("--preset", choices=sorted(PRESETS), default="demo", help="sizes and steps (default: demo)")
    parser.add_argument(
        "--stages", type=_stages, default=list(STAGES), metavar="A,B", help=f"of {','.join(STAGES)} (default: all)"
    )
    parser.add_argument("--minutes", type=float, help="time for each training stage (default: until its last step)")
    parser.add_argument("--run-dir", type=Path, default=Path("runs/demo"), help="shapes and training state (runs/demo)")
    parser.add_argument("--out", type=Path, help="where the models go (default: RUN_DIR/checkpoints)")
    parser.add_argument("--device", help="cpu, cuda, … (default: a GPU if there is one)")
    parser.add_argument("--seed", type=int, default=0, help="seed of everything random (0)")
    parser.add_argument(
        "--workers", type=int, default=usable_cores(), help="processes that make shapes (default: %(default)s)"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
