"""scripts/evaluate for a set of one's own: finds models, data and training, prints the figures and writes them down."""

from __future__ import annotations

import argparse
import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch

from models.checkpoint.own import open_own
from models.config import to_dict
from models.errors import ConfigError
from models.pipeline import Pipeline
from models.store import KINDS, find
from training.generating import Controls, with_students
from training.meshes.source import shapes_of
from training.meshes.store import Item, TrainingSet, read_set, write_text
from training.own_evaluation import FEW, MOST_HELDOUT, Figures, OwnEvaluation
from training.vae import known_vae, reconstruction

Decoded = dict[str, dict[str, float] | None]
"""IoU and cosine by stage; None where nobody knows."""
MOST_QUICK = 32
"""Held-out shapes of a quick evaluation."""
SETS, RUNS = Path("runs/data"), Path("runs")
"""Where scripts/dataset and scripts/train put things unless they are told."""


def evaluate_own(options: argparse.Namespace, controls: Controls, device: torch.device) -> int:
    """Measures the models of a set. Returns 0: what is good enough only their owner can say.

    Raises:
        ConfigError: there is no such set, data or model, or they do not belong together.
        CheckpointError: a model cannot be read.
    """
    made = read_set(options.data or SETS / options.model)
    run = options.run_dir or RUNS / made.name
    folders = models_of(options.model, options.checkpoint_dir or run / "checkpoints", made.name)
    pipeline = Pipeline.from_dirs(folders["text"], folders["coarse"], folders.get("fine"), device=device)
    if controls.network == "turbo":
        pipeline = with_students(pipeline, folders)
    mark = hashlib.blake2b(f"{controls} {to_dict(pipeline.coarse.config)}".encode(), digest_size=6)
    for folder in folders.values():
        mark.update((folder / "model.safetensors").read_bytes())
    kept = run / "evaluate" / mark.hexdigest()
    most = MOST_QUICK if options.quick else MOST_HELDOUT
    evaluation = OwnEvaluation(pipeline, made, kept, controls, most)
    decoded: Decoded = {
        stage.config.stage: reconstructed(folders[stage.config.stage], made, evaluation.heldout, device)
        for stage in (pipeline.coarse, pipeline.fine)
        if stage is not None
    }
    shapes = evaluation.generated(options.batch or (1 if device.type == "cpu" else 32))
    figures = evaluation.compare(shapes)
    picture = options.picture or kept / "sheet.png"
    evaluation.sheet(shapes, picture)
    _print(made, evaluation, decoded, figures)
    print(f"picture: {picture}")
    if options.output:
        values = {
            "set": made.name, "resolution": made.resolution, "heldout_shapes": len(evaluation.heldout),
            "training_shapes": len(evaluation.training), "compared": evaluation.level, "controls": asdict(controls),
            "reconstruction": decoded, **{name: asdict(values) for name, values in figures.items()},
        }  # fmt: skip
        write_text(options.output, json.dumps(values, indent=1) + "\n")
    return 0


def models_of(name: str | None, folder: Path, set_name: str) -> dict[str, Path]:
    """The folders of a set's models by kind: in the store under a name, else in a folder that scripts/train wrote.

    Raises:
        ConfigError: there are none.
    """
    if name is not None:
        try:
            found = find(name)
        except ValueError as error:
            raise ConfigError(f"--model {name}: {error}") from error
        folders = {kind: place for kind in KINDS if (place := getattr(found, kind)) is not None}
        where = f"{name}: no such set in the model store; scripts/import --list shows those there are"
    else:
        places = {kind: folder / f"{set_name}_{kind}" for kind in KINDS}
        folders = {kind: place for kind, place in places.items() if (place / "model.safetensors").is_file()}
        where = f"{folder}: holds no models of {set_name}; train them with scripts/train --data, or give --model NAME"
    if not folders:
        raise ConfigError(where)
    if lacking := [kind for kind in ("text", "coarse") if kind not in folders]:
        raise ConfigError(f"{name or folder}: has no {lacking[0]} model; train it, or give --checkpoint-dir")
    return folders


def reconstructed(
    folder: Path, made: TrainingSet, items: Sequence[Item], device: torch.device
) -> dict[str, float] | None:
    """Mean IoU and cosine of normals of held-out shapes, encoded and decoded again by a stage's model.

    None for a model that does not hold its encoder.
    """
    model = known_vae(open_own(folder))
    if model is None:
        return None
    model = model.to(device)
    shapes = shapes_of(made, items, fine=model.config.stage == "fine")
    rows = shapes.coarse if model.config.stage == "coarse" else shapes.fine
    assert rows is not None
    rows = rows.to(device)
    parts = [reconstruction(model, rows, range(row, row + 1)) for row in range(len(items))]
    # Where not one voxel came back, there is no normal to compare.
    return {"iou": float(np.mean([iou for iou, _ in parts])), "cosine": float(np.nanmean([c for _, c in parts]))}


def _print(
    made: TrainingSet, evaluation: OwnEvaluation, decoded: Decoded,
    figures: dict[str, Figures],
) -> None:  # fmt: skip
    count = len(evaluation.heldout)
    print(f"{made.name}: {count} held-out shapes, compared at {evaluation.side}³")
    for stage, values in decoded.items():
        if values is None:
            print(f"{f'{stage} VAE':48s} not measured: the model does not hold its encoder")
        else:
            print(f"{f'{stage} VAE: IoU of decoded shapes':48s} {values['iou']:9.1%}")
            print(f"{f'{stage} VAE: cosine of normals':48s} {values['cosine']:9.3f}")
    print(f"{'':48s} generated  training shapes")
    for title, read in _ROWS:
        print(f"{title:48s} {read(figures['generated']):>9s} {read(figures['training']):>16s}")
    if count < FEW:
        print(f"Only {count} shapes are held out, so these figures are rough: {FEW} or more tell something.")


def _share(*names: str) -> Any:
    def read(figures: Figures) -> str:
        value: Any = figures
        for name in names:
            value = getattr(value, name)
        return f"{value:.1%}"

    return read


_ROWS = (
    ("chamfer: minimum matching distance, of the side", _share("chamfer", "mmd")),
    ("chamfer: coverage", _share("chamfer", "coverage")),
    ("chamfer: 1-NN accuracy (50% is best)", _share("chamfer", "one_nn")),
    ("1 - IoU: minimum matching distance", _share("iou", "mmd")),
    ("1 - IoU: coverage", _share("iou", "coverage")),
    ("1 - IoU: 1-NN accuracy (50% is best)", _share("iou", "one_nn")),
    ("nearest training shape is of the prompt's kind", _share("kind")),
    ("in one piece", _share("one_piece")),
    ("shapes without any voxel", lambda figures: str(figures.empty)),
)
