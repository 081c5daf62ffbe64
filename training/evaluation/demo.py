"""scripts/evaluate for a pair of procedural kinds: makes shapes, judges them, prints figures with goals, and pictures.

Every shape that is made, and every true shape that it is compared with, is kept, so that a stopped run goes on.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from dataclasses import asdict
from pathlib import Path

import torch

from models.cores import usable_cores
from training.classifier import accuracy
from training.dataset import load_shapes, make_shapes
from training.evaluation.captions import Search, recipe_of, training_captions
from training.evaluation.comparison import compare, table
from training.evaluation.compositions import composed_jobs
from training.evaluation.goals import Line, all_met
from training.evaluation.jobs import plain_jobs, scored_jobs, second_seeds, without_guidance
from training.evaluation.judging import score
from training.evaluation.lines import composed_lines, plain_line, real_lines, scored_lines, surface_lines
from training.evaluation.making import Maker
from training.evaluation.pair import classifiers, find_classifier, load_pair, true_shapes
from training.evaluation.pictures import failures, sheet
from training.evaluation.pieces import RealPieces, missing
from training.evaluation.references import coarse_voxels
from training.evaluation.surfaces import surfaces_of
from training.generating import Controls
from training.meshes.store import write_text

QUICK_TESTS = 360
COMPOSED, QUICK_COMPOSED = 3, 1
"""Prompts of each kind whose words training never saw together."""
COMPARED, QUICK_COMPARED = 2_400, 480
"""Training shapes among which the nearest one is looked for."""
KINDS, CLASSIFIER = 60, 0.97
VERSION = 3
"""Of what is kept of a shape: results of another version are made again."""


def evaluate_demo(options: argparse.Namespace, wanted: Controls, device: torch.device) -> int:
    """Measures the pair in a folder. Returns 1 if a goal is missed.

    Raises:
        ConfigError: there is no pair.
        CheckpointError: a model or the classifier cannot be read.
    """
    root: Path = options.checkpoint_dir or Path("checkpoints")
    run_dir: Path = options.run_dir or Path("runs/evaluate")
    quick: bool = options.quick
    pair = load_pair(root, device, wanted.network)
    recipe = recipe_of(pair.kinds)
    # Results of other weights or settings must not be mixed: each has a folder of its own.
    folder = run_dir / hashlib.blake2b(f"{pair.mark} {wanted} {VERSION}".encode(), digest_size=6).hexdigest()
    data = run_dir / "data" / hashlib.blake2b("\n".join(pair.kinds).encode(), digest_size=4).hexdigest()
    print(f"{pair.name}: {len(pair.kinds)} kinds, {_how(wanted)}", flush=True)
    places = classifiers(root, pair.name, options.classifier)
    classifier = find_classifier(places, run_dir, data, recipe, device)
    tests = recipe.test_numbers[:QUICK_TESTS] if quick else recipe.test_numbers
    own = accuracy(classifier, true_shapes(data, tests, recipe))

    captions = training_captions(recipe, run_dir)
    maker = Maker(pair.pipeline, folder, wanted)
    scored = scored_jobs(quick, pair.kinds)
    plain = plain_jobs(pair.kinds)
    composed = composed_jobs(pair.kinds, captions, QUICK_COMPOSED if quick else COMPOSED)
    lacking = missing(options.real)
    real = None if lacking else RealPieces(options.real, pair.known, quick)
    todo = [*scored, *plain, *composed, *(real.jobs if real else ()), *second_seeds(scored), *without_guidance(scored)]
    maker.make(todo, options.batch or (1 if device.type == "cpu" else 32))
    judged = [(job, score(classifier, job, maker.shape(job))) for job in (*scored, *plain, *composed)]
    found = real.recognised([maker.shape(job).coarse for job in real.jobs]) if real else None

    numbers = range(QUICK_COMPARED if quick else COMPARED)
    make_shapes(data, numbers, 1, "train", usable_cores(), device, pair.kinds)
    training = coarse_voxels(load_shapes(data, numbers, "train", kinds=pair.kinds))
    columns = compare(maker, scored, classifier, recipe, Search(captions), training, run_dir / "references")
    surfaces = surfaces_of(maker, scored, options.surface)

    lines = [
        Line("kinds", len(pair.kinds), KINDS, ""),
        Line("classifier on true shapes: right kind", own[0], CLASSIFIER),
        Line("classifier on true shapes: attributes", own[1]),
        *scored_lines([s for job, s in judged if job.group == "prompts"]),
        plain_line([s for job, s in judged if job.group == "plain names"]),
        *composed_lines([(job, s) for job, s in judged if job.group == "composed"]),
        *(real_lines(found) if found else ()),
        *surface_lines(surfaces),
    ]
    print("\n".join([*map(str, lines), *table(columns), *surfaces.table]))
    if lacking:
        print(f"real pieces: {lacking}")
    if maker.median_seconds is not None:
        print(f"seconds a shape, in the median: {maker.median_seconds:.2f}")
    picture = options.picture or folder / "contact_sheet.png"
    sheet(scored, maker.shape, picture)
    page, wrong = failures([job for job, _ in judged], [s for _, s in judged], maker.shape, folder)
    print(f"contact sheet: {picture}\nfailures, {wrong} of {len(judged)}: {page}")
    met = all_met(lines)
    if options.output:
        figures = {line.name: {"value": line.value, "goal": line.goal, "met": line.met} for line in lines}
        compared = {name: asdict(column) for name, column in columns.items()}
        values = {"set": pair.name, "controls": asdict(wanted), "met": met, "figures": figures, "compared": compared}
        write_text(options.output, json.dumps(values, indent=1) + "\n")
    return 0 if met else 1


def _how(wanted: Controls) -> str:
    return f"{wanted.steps} + {wanted.fine_steps} steps of {wanted.scheduler}, guidance {wanted.guidance_scale:g}"
