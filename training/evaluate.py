"""Measures models, by default with the API's defaults: the demo models, or, with --data or --model, a set of one's own.

A set of one's own is measured on the held-out part of its data: how well its VAEs decode these shapes, how near
generated shapes come to them, whether they are of the prompt's kind, and whether they hang together.

The demo models get prompts in wordings that training never used. Printed are category accuracy and attribute agreement
as a classifier of real shapes sees them, how well the fine shape covers the coarse one, how much two seeds differ, and
how good surfaces are beside those of training shapes; with --surface also which step of the pair loses them.
A contact sheet is written. The command ends with status 1 if a target is missed, and with 2 if it cannot measure.
Results are kept in --run-dir, so that an interrupted evaluation goes on where it was.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import statistics
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from formats.preview import contact_sheet, render, save_png
from models import threads
from models.config import to_dict
from models.cores import usable_cores
from models.errors import XCubeError
from models.loading import load_coarse, load_fine, load_text
from models.pipeline import Pipeline
from models.presets import PRESETS, controls
from models.runtime import Runtime
from models.schedulers import SCHEDULERS
from models.shape import Shape, Voxels
from training.classifier import CLASSIFIER_FILE, ShapeClassifier, accuracy, judge, load_classifier, train_classifier
from training.dataset import SHARD, balanced, load_shapes, make_shapes
from training.engine import progress_bar, seed_everything
from training.generating import Controls, generate
from training.meshes.store import SET_FILE, write_text
from training.own_report import MOST_QUICK, evaluate_own
from training.real.building import NAME as REAL
from training.real.catalogue import PACKAGE, PLACE
from training.recipe import DEMO
from training.scoring import Score, Summary, append_score, parent_iou, read_scores, summarise
from training.shapes import CATEGORIES, EVERY_KIND, EvalPrompt, evaluation_prompts
from training.stepwise import Stepwise, specs
from training.surface_table import HEAD, Measured, of_generated, of_training, read_measured, row, write_measured
from training.typed import typed_prompts

PER_CATEGORY, QUICK_PROMPTS, QUICK_TESTS = 10, 48, 360
TARGET_CLASSIFIER, TARGET_CATEGORY, TARGET_IOU = 0.97, 0.80, 0.90
SECOND_SEED = 1_000_000
VERSION = 2
"""Of what is kept of a shape: results of another version are made again."""
THUMBNAIL = 192


@dataclass(frozen=True)
class Job:
    """One shape to generate. first: it is on the contact sheet. twin: another seed's shape is compared with it."""

    prompt: EvalPrompt
    seed: int
    first: bool
    twin: bool

    @property
    def key(self) -> str:
        """The job's name in the report."""
        return f"{self.prompt.prompt} #{self.seed}"


def jobs(quick: bool, kinds: Sequence[str] = CATEGORIES) -> tuple[list[Job], list[Job]]:
    """The shapes of these kinds that are scored, and second seeds of some of them, which show diversity alone."""
    prompts = evaluation_prompts(PER_CATEGORY, kinds)
    # Round by round through the categories, so that the first 48 cover all of them.
    rounds = sorted(range(len(prompts)), key=lambda index: (index % PER_CATEGORY, index))
    chosen = [prompts[index] for index in rounds][: max(QUICK_PROMPTS, len(kinds)) if quick else len(prompts)]
    scored = [Job(p, p.seed, n < len(kinds), n < len(kinds)) for n, p in enumerate(chosen)]
    seconds = [Job(p, p.seed + SECOND_SEED, False, True) for p in chosen[: len(kinds)]]
    return scored, seconds


class Evaluation:
    """The models, the judge, and the folder that keeps what is done."""

    def __init__(self, pipeline: Pipeline, classifier: ShapeClassifier, folder: Path, controls: Controls) -> None:
        self.pipeline, self.classifier, self.folder = pipeline, classifier, folder
        self.controls = controls
        self.seconds: list[float] = []
        """What each shape took that was generated in this run."""
        (folder / "shapes").mkdir(parents=True, exist_ok=True)
        self.log = folder / "scores.jsonl"

    def run(self, todo: list[Job], batch: int) -> dict[str, Score]:
        """Generates and scores what is not done yet; scores by key."""
        scores = read_scores(self.log)
        missing = [job for job in todo if job.key not in scores]
        with progress_bar("evaluate", len(todo), len(todo) - len(missing)) as bar:
            for part in balanced(range(len(missing)), batch):
                chosen = [missing[index] for index in part]
                begun = time.perf_counter()
                results = self.generate(chosen)
                self.seconds += [(time.perf_counter() - begun) / len(chosen)] * len(chosen)
                for job, result in zip(chosen, results, strict=True):
                    scores[job.key] = self.score(job, result)
                    append_score(self.log, scores[job.key])
                done = len(todo) - len(missing) + part[-1] + 1
                bar.advance(done, fraction=done / len(todo))
        return scores

    def generate(self, chosen: list[Job]) -> list[Shape]:
        """Coarse and fine shapes of some jobs, in one batch where the device gains from it."""
        return generate(
            self.pipeline, [job.prompt.prompt for job in chosen], [job.seed for job in chosen], self.controls
        )

    def score(self, job: Job, result: Shape) -> Score:
        """Judges a shape, and keeps what the contact sheet and the diversity need."""
        coarse, fine, prompt = result.coarse, result.fine, job.prompt
        recognised, values = ("", {}) if not len(coarse) else judge(self.classifier, [coarse])[0]
        attribute = None
        if prompt.attribute_name is not None:
            attribute = values.get((prompt.category, prompt.attribute_name)) == prompt.attribute_value
        iou = 0.0 if fine is None else parent_iou(fine, coarse, DEMO.fine.vae.factor)
        if job.twin:
            np.save(self._file(job, ".npy"), coarse.ijk)
        if job.first:
            save_png(_picture(coarse if fine is None else fine), self._file(job, ".png"))
            if fine is not None and len(fine):
                write_measured(of_generated(prompt.category, fine), self._file(job, ".json"))
        return Score(
            job.key, prompt.prompt, prompt.category, recognised, attribute,
            len(coarse), 0 if fine is None else len(fine), iou,
        )  # fmt: skip

    def pairs(self, scored: list[Job], seconds: list[Job]) -> list[tuple[NDArray[np.integer], NDArray[np.integer]]]:
        """Coarse voxels of the same prompt with two seeds."""
        first = {job.prompt.prompt: job for job in scored if job.twin}
        return [
            (np.load(self._file(first[job.prompt.prompt], ".npy")), np.load(self._file(job, ".npy"))) for job in seconds
        ]

    def surfaces(self, scored: list[Job]) -> list[Measured]:
        """Surface measures of one shape per category."""
        return read_measured([self._file(job, ".json") for job in scored if job.first])

    def sheet(self, scored: list[Job], path: Path) -> None:
        """A picture of one shape per category."""
        from PIL import Image

        shown = [job for job in scored if job.first]
        images = [np.asarray(Image.open(self._file(job, ".png"))) for job in shown]
        save_png(contact_sheet(images, [job.prompt.prompt for job in shown], columns=6), path)

    def _file(self, job: Job, suffix: str) -> Path:
        return self.folder / "shapes" / (hashlib.blake2b(job.key.encode(), digest_size=8).hexdigest() + suffix)


def _picture(shape: Voxels) -> NDArray[np.uint8]:
    return render(shape.ijk, shape.normal, resolution=round(1 / shape.voxel_size), size=THUMBNAIL)


def find_classifier(
    checkpoints: Path, folder: Path, device: torch.device, tests: int, kinds: Sequence[str] = CATEGORIES
) -> tuple[ShapeClassifier, float, float]:
    """The shipped classifier, or one trained now; with its shares of right categories and attributes on test shapes."""
    workers = usable_cores()
    path = checkpoints / CLASSIFIER_FILE
    data = folder / "data" / hashlib.blake2b("\n".join(kinds).encode(), digest_size=4).hexdigest()
    if path.exists():
        classifier = load_classifier(path, device, kinds)
    else:
        make_shapes(data, DEMO.classifier_numbers, 1, "heldout", workers, kinds=kinds)
        shapes = load_shapes(data, DEMO.classifier_numbers, "heldout", kinds=kinds)
        classifier = train_classifier(DEMO, shapes, folder, None, seed_everything(0, device))
    numbers = DEMO.test_numbers[: tests // SHARD * SHARD]
    make_shapes(data, numbers, 1, "heldout", workers, kinds=kinds)
    return classifier, *accuracy(classifier, load_shapes(data, numbers, "heldout", kinds=kinds))


def report(summary: Summary, category: float, attributes: float) -> bool:
    """Prints the table; whether every target is met."""
    rows = [
        ("classifier on real shapes: category", category, TARGET_CLASSIFIER),
        ("classifier on real shapes: attribute", attributes, None),
        (f"category, {summary.shapes} prompts", summary.category, TARGET_CATEGORY),
        ("named attribute", summary.attribute, None),
        ("IoU of fine with coarse", summary.iou, TARGET_IOU),
        ("diversity (1 - IoU of two seeds)", summary.diversity, None),
    ]
    for name, value, target in rows:
        verdict = "" if target is None else f"  target {target:.0%}: {'met' if value >= target else 'MISSED'}"
        print(f"{name:38s} {value:7.1%}{verdict}")
    print(f"{'shapes without any voxel':38s} {summary.empty:7d}")
    return all(target is None or value >= target for _, value, target in rows)


def report_surfaces(evaluation: Evaluation, scored: list[Job], followed: int) -> None:
    """Prints the surface measures, and of `followed` true shapes what each step of the pair leaves of them."""
    print(HEAD)
    kinds = [job.prompt.category for job in scored if job.first]
    print(row("training shapes, one of each kind", of_training(kinds)))
    print(row("generated, one of each kind", evaluation.surfaces(scored)))
    if followed:
        steps = Stepwise(evaluation.pipeline, evaluation.controls.fine_steps, evaluation.controls.scheduler)
        with progress_bar("surface", followed) as bar:
            found = steps.measure(specs(followed), lambda done: bar.advance(done, fraction=done / followed))
        for name, measured in found.items():
            print(row(name, measured))


def real_shapes(folder: Path = Path("runs/data") / REAL) -> str:
    """How the models are measured on real shapes, or what is missing for it, as a sentence."""
    if (folder / SET_FILE).exists():
        return f"scripts/evaluate --data {folder} --model demo measures on the pieces in {folder} that are held out"
    if not any(PLACE.glob("*.sh3f")):
        return f"not measured: Debian's package {PACKAGE} is not installed"
    return "not measured: scripts/dataset --sweethome3d makes the set first"


def main(arguments: list[str] | None = None) -> int:
    """The command line. Returns the exit status."""
    options = _parser().parse_args(arguments)
    device = torch.device(options.device or ("cuda" if torch.cuda.is_available() else "cpu"))
    threads.use(min(torch.get_num_threads(), usable_cores()))
    try:
        if options.data or options.model:
            return evaluate_own(options, _controls(options), device)
        return _evaluate_demo(options, device)
    except XCubeError as error:
        print(error, file=sys.stderr)
        return 2


def _evaluate_demo(options: argparse.Namespace, device: torch.device) -> int:
    runtime = Runtime(device)
    root: Path = options.checkpoint_dir or Path("checkpoints")
    run_dir: Path = options.run_dir or Path("runs/evaluate")
    text = load_text(root / "demo_text")
    pipeline = Pipeline(
        text, load_coarse(root / "demo_coarse", text.null, runtime), load_fine(root / "demo_fine", runtime)
    )
    # Results of other weights or settings must not be mixed: each has a folder of its own.
    mark = hashlib.blake2b(digest_size=6)
    for name in ("demo_text", "demo_coarse", "demo_fine"):
        mark.update((root / name / "model.safetensors").read_bytes())
    wanted = _controls(options)
    mark.update(f"{wanted} {to_dict(pipeline.coarse.config)} {VERSION}".encode())
    folder = run_dir / mark.hexdigest()
    # Those with which these weights were trained, and not those that there are today.
    kinds = [kind for kind in EVERY_KIND if kind in (text.config.kinds or {})] or list(CATEGORIES)
    tests = QUICK_TESTS if options.quick else len(DEMO.test_numbers)
    classifier, category, attributes = find_classifier(root, run_dir, device, tests, kinds)

    evaluation = Evaluation(pipeline, classifier, folder, wanted)
    scored, seconds = jobs(options.quick, kinds)
    typed = [] if options.quick else [Job(prompt, prompt.seed, False, False) for prompt in typed_prompts(kinds)]
    scores = evaluation.run([*scored, *seconds, *typed], options.batch or (1 if device.type == "cpu" else 32))
    summary = summarise([scores[job.key] for job in scored], evaluation.pairs(scored, seconds))
    picture = options.picture or folder / "contact_sheet.png"
    evaluation.sheet(scored, picture)
    wrong = [s for s in (scores[job.key] for job in scored) if s.recognised != s.wanted]
    for score in wrong:
        print(f"not recognised: {score.prompt!r} looks like {score.recognised or 'nothing'!r}")
    met = report(summary, category, attributes)
    if typed:
        right = statistics.mean(scores[job.key].recognised == job.prompt.category for job in typed)
        print(f"{f'category, {len(typed)} prompts as people type':38s} {right:7.1%}")
    report_surfaces(evaluation, scored, options.surface)
    if evaluation.seconds:
        print(f"{'seconds a shape, in the median':38s} {statistics.median(evaluation.seconds):7.2f}")
    print(f"contact sheet: {picture}")
    print(f"real shapes: {real_shapes()}")
    if options.output:
        values = {"classifier": {"category": category, "attribute": attributes}, "met": met, **asdict(summary)}
        write_text(options.output, json.dumps(values, indent=1) + "\n")
    return 0 if met else 1


def _controls(options: argparse.Namespace) -> Controls:
    interval = options.guidance_interval and tuple(options.guidance_interval)
    chosen = controls(
        options.preset, steps=options.steps, fine_steps=options.fine_steps, scheduler=options.scheduler,
        guidance_interval=interval,
    )  # fmt: skip
    fine_steps = chosen.fine_steps or chosen.steps
    return Controls(chosen.steps, fine_steps, options.guidance, chosen.scheduler, chosen.guidance_interval)


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
        "--quick", action="store_true", help=f"{QUICK_PROMPTS} prompts, less than all; with --data {MOST_QUICK} shapes"
    )
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
