"""Trains a set of models: text tower, two VAEs, two denoisers; for the demo also its shapes and the classifier.

Without --data it trains the demo models on procedural shapes; with it, models of their own on a set that
scripts/dataset has made. Every stage resumes from --run-dir where it was stopped, on this machine or another, and is
left out when it is done. Stages that do not need each other may run at the same time; with torchrun, several GPUs train
together.
"""

from __future__ import annotations

import argparse
import shutil
import signal
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import torch

from models.checkpoint.source import Source as Opened
from models.cores import usable_cores
from models.errors import XCubeError
from models.stages import CoarseStage, FineStage
from training import workers
from training.card import write_cards, write_credits
from training.classifier import CLASSIFIER_FILE, accuracy, save_classifier, train_classifier
from training.coarse import train_coarse
from training.distil import STUDENT_STEPS
from training.engine import seed_everything
from training.export import export_stage, export_student, export_text, megabytes
from training.fine import train_fine
from training.latents import encode_coarse, encode_fine
from training.meshes.source import MeshSource
from training.mixing import MixedSource, with_own_names
from training.parcel import MODELS, pack, sizes, unpack
from training.pieces import GOES_ON, in_pieces
from training.recipe import PRESETS, Recipe
from training.sources import ProceduralSource, Source
from training.start import Start
from training.students import distil_coarse, distil_fine
from training.text import train_text
from training.vae import Autoencoder, train_vae

STAGES = ("data", "text", "coarse-vae", "fine-vae", "coarse", "fine", "classifier")
NEEDS = {"coarse": ("text", "coarse_vae"), "fine": ("text", "fine_vae")}
LIMIT_MB = 80.0


class Run:
    """One invocation: where things are, and one method a stage."""

    def __init__(
        self, recipe: Recipe, source: Source, start: Start, folder: Path, out: Path, device: torch.device, seed: int,
        minutes: float | None, distill: bool = False,
    ) -> None:  # fmt: skip
        self.recipe, self.source, self.start, self.folder, self.out = recipe, source, start, folder, out
        self.device, self.seed, self.minutes, self.distill = device, seed, minutes, distill

    def generator(self, stage: str) -> torch.Generator:
        """Seeds everything for a stage, the same whichever stages ran before it."""
        return seed_everything(self.seed * len(STAGES) + STAGES.index(stage), self.device)

    def model(self, kind: str) -> Path:
        """The folder of a finished model."""
        return self.out / f"{self.source.name}_{kind}"

    def _spare(self, stage: str) -> Path:
        """Where latents of a stage go that memory does not hold; each process makes its own anew."""
        return self.folder / f"latents-{stage}-{workers.rank()}"

    def make_data(self) -> None:
        """Makes the shapes that are missing."""
        self.source.prepare()

    def train_text(self) -> None:
        """Trains the text tower and exports it."""
        shapes = self.source.shapes()
        encoder = train_text(self.recipe, shapes, self.start, self.folder, self.minutes, self.generator("text"))
        if workers.rank() == 0 and not self.distill:
            export_text(encoder, self.recipe.text, self.source.kinds, self.model("text"))

    def train_coarse_vae(self) -> None:
        """Trains the coarse VAE."""
        recipe, generator = self.recipe, self.generator("coarse-vae")
        coarse = self.source.shapes().coarse.to(self.device)
        train_vae(
            recipe.coarse, recipe.coarse_vae_plan, coarse, self.start.coarse, self.folder, self.minutes, generator
        )

    def train_fine_vae(self) -> None:
        """Trains the fine VAE."""
        recipe, generator = self.recipe, self.generator("fine-vae")
        fine = self.source.shapes(fine=True).fine
        assert fine is not None
        fine = fine.to(self.device)
        train_vae(recipe.fine, recipe.fine_vae_plan, fine, self.start.fine, self.folder, self.minutes, generator)

    def train_coarse(self) -> None:
        """Trains the coarse denoiser on the coarse VAE's latents and exports the stage."""
        recipe, shapes, start = self.recipe, self.source.shapes(), self.start
        coarse = shapes.coarse.to(self.device)
        encoder = train_text(recipe, shapes, start, self.folder, None, self.generator("text"))
        vae = train_vae(
            recipe.coarse, recipe.coarse_vae_plan, coarse, start.coarse, self.folder, None, self.generator("coarse-vae")
        )
        spare = self._spare("coarse")
        latents = encode_coarse(vae, coarse, spare)
        generator = self.generator("coarse")
        if self.distill:
            stage = distil_coarse(
                recipe, shapes, latents, encoder, vae.decoder, start, self.folder, self.minutes, generator
            )
        else:
            stage = train_coarse(
                recipe, shapes, latents, encoder, vae.decoder, start, self.source.previews, self.folder, self.minutes,
                generator,
            )  # fmt: skip
        shutil.rmtree(spare, ignore_errors=True)
        if workers.rank() == 0:
            self._export(stage, vae, start.coarse)

    def train_fine(self) -> None:
        """Trains the fine denoiser on the fine VAE's latents and exports the stage."""
        recipe, shapes, start = self.recipe, self.source.shapes(fine=True), self.start
        assert shapes.fine is not None
        encoder = train_text(recipe, shapes, start, self.folder, None, self.generator("text"))
        on_device = replace(shapes, coarse=shapes.coarse.to(self.device), fine=shapes.fine.to(self.device))
        vae = train_vae(
            recipe.fine, recipe.fine_vae_plan, shapes.fine, start.fine, self.folder, None, self.generator("fine-vae")
        )
        spare = self._spare("fine")
        latents = encode_fine(vae, on_device, spare)
        generator = self.generator("fine")
        learn = distil_fine if self.distill else train_fine
        on_device = replace(on_device, fine=None)  # no longer looked at, and the largest of all
        stage = learn(recipe, on_device, latents, encoder, vae.decoder, start, self.folder, self.minutes, generator)
        shutil.rmtree(spare, ignore_errors=True)
        if workers.rank() == 0:
            self._export(stage, vae, start.fine)

    def _export(self, stage: CoarseStage | FineStage, vae: Autoencoder, teacher: Opened | None) -> None:
        """Writes a trained stage, or of a student its denoiser alone."""
        if self.distill:
            assert teacher is not None
            export_student(stage, teacher, self.model(f"turbo_{stage.stage}"))
        else:
            export_stage(stage, self.model(stage.stage), vae.encoder)

    def train_classifier(self) -> None:
        """Trains the classifier that evaluates the demo, on held-out shapes, and prints its accuracy."""
        recipe = self.recipe
        assert isinstance(self.source, ProceduralSource)

        shapes = self.source.heldout(recipe.classifier_numbers)
        model = train_classifier(recipe, shapes, self.folder, self.minutes, self.generator("classifier"))
        category, attributes = accuracy(model, self.source.heldout(recipe.test_numbers))
        print(f"classifier on {recipe.test_shapes} other shapes: category {category:.1%}, attributes {attributes:.1%}")
        save_classifier(model, self.out / CLASSIFIER_FILE)


def main(arguments: list[str] | None = None) -> int:
    """The command line. Returns the exit status."""
    parser = _parser()
    options = parser.parse_args(arguments)
    if options.real is not None and options.data is not None:
        parser.error("--real adds real shapes to the demo's; --data trains on a set alone")
    if options.distill and options.start is None:
        parser.error("--distill needs models to learn from: give them with --from")
    if options.total is not None:
        folder = options.run_dir or Path("runs") / (
            "demo" if options.data is None else MeshSource.open(options.data).name
        )
        given = _without_pieces(sys.argv[1:] if arguments is None else arguments)
        return in_pieces(given, options.total, options.stop_after, folder, options.out or folder / MODELS)
    device = workers.join(torch.device(options.device or ("cuda" if torch.cuda.is_available() else "cpu")))
    torch.backends.cudnn.benchmark = True
    # Told to stop, a stage saves its state first.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        if options.pack is not None or options.unpack is not None:
            return _carry(options)
        return _train(_prepared(options, device), options.stages)
    except workers.WorkerError:
        return 1
    except XCubeError as error:
        print(error, file=sys.stderr)
        return 2
    except OSError as error:
        print(
            f"{error.filename or options.run_dir}: {error.strerror or error}; make room there or use --run-dir, then "
            "run the command again, it goes on from the last saved state",
            file=sys.stderr,
        )
        return 1
    finally:
        workers.leave()


def _prepared(options: argparse.Namespace, device: torch.device) -> Run:
    """The run that the command line asks for."""
    start = Start.of(options.start, options.clip)
    if options.distill:
        start = replace(start, keep_text=True)
    recipe: Recipe = PRESETS[options.preset or ("small" if options.data else "demo")].lasting(options.longer)
    source: Source
    if options.data is None:
        folder = options.run_dir or Path("runs/demo")
        recipe = start.adapted(recipe, round(1 / recipe.fine.voxel_size))
        source = procedural = ProceduralSource(recipe, folder / "data", options.workers, device)
        if options.real is not None:
            real = MeshSource.open(options.real)
            source = MixedSource(procedural, with_own_names(real, procedural.kinds) if options.own_names else real)
    else:
        source = MeshSource.open(options.data)
        folder = options.run_dir or Path("runs") / source.name
        recipe = start.adapted(recipe.at(source.made.resolution), source.made.resolution)
    options.run_dir = folder
    folder.mkdir(parents=True, exist_ok=True)
    return Run(
        recipe, source, start, folder, options.out or folder / MODELS, device, options.seed, options.minutes,
        options.distill,
    )  # fmt: skip


def _train(run: Run, stages: list[str]) -> int:
    actions: dict[str, Callable[[], None]] = {
        "data": run.make_data,
        "text": run.train_text,
        "coarse-vae": run.train_coarse_vae,
        "fine-vae": run.train_fine_vae,
        "coarse": run.train_coarse,
        "fine": run.train_fine,
        "classifier": run.train_classifier,
    }
    demo = isinstance(run.source, ProceduralSource)
    for stage in [stage for stage in stages if (demo and not run.distill) or stage != "classifier"]:
        if stage.endswith("-vae") and run.start.gives(stage.replace("-", "_")):
            continue
        for needed in NEEDS.get(stage, ()):
            if not (run.folder / f"{needed}.pt").exists() and not run.start.gives(needed):
                print(
                    f"Stage {stage} needs {needed.replace('_', '-')}, which is not in {run.folder}: "
                    f"run --stages {needed.replace('_', '-')} first.",
                    file=sys.stderr,
                )
                return 2
        begin = time.monotonic()
        actions[stage]()
        workers.wait()
        if workers.rank() == 0:
            print(f"stage {stage}: {time.monotonic() - begin:.0f} s", flush=True)
    if workers.rank() != 0:
        return 0
    size = megabytes(run.out)
    if isinstance(run.source, MeshSource):
        write_cards(run.source.made, run.out)
    if isinstance(run.source, MixedSource):
        write_credits(run.source.real.made, run.out)
    print(f"models in {run.out}: {size:.1f} MB; put them into the store: scripts/import --checkpoint-dir {run.out}")
    return 0 if size <= LIMIT_MB or not demo else 1


def _carry(options: argparse.Namespace) -> int:
    """Packs a training for another machine, or unpacks it there."""
    run = options.run_dir or Path("runs/demo")
    if options.unpack is not None:
        print(f"{run}: {', '.join(unpack(options.unpack, run))}")
    else:
        print(f"{options.pack}: {', '.join(sizes(pack(run, options.pack)))}")
    return 0


def _without_pieces(arguments: Sequence[str]) -> list[str]:
    """The command line of one stage: without what divides the time, and without stages."""
    left, rest = [], list(arguments)
    while rest:
        name = rest.pop(0)
        if name.partition("=")[0] in ("--total", "--stop-after", "--stages", "--minutes"):
            if "=" not in name:
                rest.pop(0)
        else:
            left.append(name)
    return left


def _stages(text: str) -> list[str]:
    names = text.split(",")
    if unknown := [name for name in names if name not in STAGES]:
        raise argparse.ArgumentTypeError(f"unknown stage {unknown[0]!r}; stages are {', '.join(STAGES)}")
    return sorted(names, key=STAGES.index)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="scripts/train", description=__doc__)
    parser.add_argument("--preset", choices=sorted(PRESETS), help="sizes and steps (default: demo; with --data small)")
    parser.add_argument("--data", type=Path, metavar="SET", help="a training set that scripts/dataset has made")
    parser.add_argument(
        "--from", dest="start", metavar="MODELS",
        help="start from these models and not from nothing: a set in the store, such as demo, or a folder of models",
    )  # fmt: skip
    parser.add_argument(
        "--clip", metavar="PLACE", help="take this text tower of CLIP as it is: a file, a folder, or a name on the hub"
    )
    parser.add_argument(
        "--real", type=Path, metavar="SET", help="train the demo on the real shapes of this set as well"
    )
    parser.add_argument(
        "--own-names", action="store_true",
        help='with --real: real shapes answer to what says more than a kind of the demo ("an office chair") alone',
    )  # fmt: skip
    parser.add_argument(
        "--total", type=float, metavar="MINUTES",
        help="run all stages, two at a time, each with its part of so many minutes over all calls",
    )  # fmt: skip
    parser.add_argument(
        "--stop-after", type=float, metavar="MINUTES",
        help=f"with --total: end this call after so long, with status {GOES_ON}; the same call goes on",
    )  # fmt: skip
    parser.add_argument("--pack", type=Path, metavar="FOLDER", help="write the training there in small files, and end")
    parser.add_argument("--unpack", type=Path, metavar="FOLDER", help="put such files back into --run-dir, and end")
    parser.add_argument(
        "--distill", action="store_true",
        help=f"make students of the models given by --from, for {STUDENT_STEPS} steps and without guidance",
    )  # fmt: skip
    parser.add_argument("--longer", type=float, default=1.0, metavar="FACTOR", help="times the preset's steps (1)")
    parser.add_argument(
        "--stages", type=_stages, default=list(STAGES), metavar="A,B", help=f"of {','.join(STAGES)} (default: all)"
    )
    parser.add_argument("--minutes", type=float, help="time for each training stage (default: until its last step)")
    parser.add_argument("--run-dir", type=Path, help="training state, curves, pictures (default: runs/NAME)")
    parser.add_argument("--out", type=Path, help="where the models go (default: RUN_DIR/checkpoints)")
    parser.add_argument("--device", help="cpu, cuda, … (default: a GPU if there is one)")
    parser.add_argument("--seed", type=int, default=0, help="seed of everything random (0)")
    parser.add_argument(
        "--workers", type=int, default=usable_cores(), help="processes that make shapes (default: %(default)s)"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
