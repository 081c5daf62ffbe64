"""Text to voxels in one object, without any server.

from models import Pipeline

pipeline = Pipeline.from_store()
mug = pipeline.generate("a mug", seed=1)
print(mug.fine.xyz.shape, mug.fine.normal.shape)
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import torch

from models.errors import CheckpointError
from models.loading import load_coarse, load_fine, load_text
from models.precision import choose_dtype
from models.result import Voxels
from models.stages import CoarseStage, DiffusionStage, FineStage
from models.state import DiffusionState
from models.text import TextEncoder
from models.voxels import choose_backend

Progress = Callable[[str, int, int], None]
"""Called with stage ("coarse" or "fine"), steps done and steps in all, after every denoising step."""

TRUNCATED = "the prompt is longer than 77 tokens and was cut"
NO_FINE_MODEL = "no fine model is loaded, so the result is coarse only"
FINE_EMPTY = "the fine stage kept no voxel, so the result is coarse only"
RANDOM_SEEDS = 2**31


@dataclass(frozen=True)
class Generation:
    """A result: the coarse shape, the fine one or None, the seed that was used, and what is worth knowing."""

    coarse: Voxels
    fine: Voxels | None
    seed: int
    warnings: tuple[str, ...] = ()


class Pipeline:
    """Text tower, coarse stage and, where there is one, fine stage."""

    def __init__(self, text: TextEncoder, coarse: CoarseStage, fine: FineStage | None = None) -> None:
        self.text, self.coarse, self.fine = text, coarse, fine

    @classmethod
    def from_dirs(
        cls, text: Path, coarse: Path, fine: Path | None = None,
        device: torch.device | str | None = None, dtype: str = "auto", backend: str = "auto",
    ) -> Self:  # fmt: skip
        """Loads models from folders in our own format.

        device: None means a GPU if there is one. dtype: bf16, fp32, or auto (bf16 on a GPU). backend: of sparse
        grids, torch, fvdb, or auto (fvdb on a GPU where it is faster).
        """
        device = device or ("cuda" if torch.cuda.is_available() else "cpu")
        number_format = choose_dtype(dtype, device)
        grids = choose_backend(backend, device, number_format)
        encoder = load_text(text).to(device)
        return cls(
            encoder,
            load_coarse(coarse, encoder.null, device, number_format, grids),
            None if fine is None else load_fine(fine, device, number_format, grids),
        )

    @classmethod
    def from_store(
        cls, models: str = "auto", device: torch.device | str | None = None, dtype: str = "auto", backend: str = "auto"
    ) -> Self:
        """Loads what `scripts/import` has put into the BentoML model store.

        models: "demo", "official", or "auto" for official if it is there. Raises CheckpointError if a model is missing.
        """
        from models.store import find

        found = find(models)
        if found.text is None or found.coarse is None:
            raise CheckpointError("the model store has no text tower or no coarse model: run scripts/import first")
        return cls.from_dirs(found.text, found.coarse, found.fine, device, dtype, backend)

    def generate(
        self, prompt: str, *, steps: int = 100, guidance_scale: float = 7.5, seed: int | None = None,
        use_fine: bool = True, sampler: str = "ddim", progress: Progress | None = None,
    ) -> Generation:  # fmt: skip
        """A shape for a prompt.

        steps: denoising steps of each stage, 1 to 1000. guidance_scale: s in pred + s * (pred - null), coarse stage
        only, a conventional weight of 1 + s; exactly 1.0 switches it off. seed: any integer; None draws one below
        2 ** 31. sampler: "ddim" or "dpm++". The coarse result may be empty (`len(result.coarse) == 0`).
        """
        seed = secrets.randbelow(RANDOM_SEEDS) if seed is None else seed
        text = self.text.encode([prompt])[0]
        warnings = [TRUNCATED] if text.truncated else []
        state = self.coarse.start(text, steps=steps, guidance_scale=guidance_scale, seed=seed, sampler=sampler)
        coarse = _run(self.coarse, state, progress)
        fine = None
        if use_fine and self.fine is None:
            warnings.append(NO_FINE_MODEL)
        elif use_fine and self.fine is not None and len(coarse):
            fine = _run(self.fine, self.fine.start(coarse, text, steps=steps, seed=seed, sampler=sampler), progress)
            if not len(fine):
                fine = None
                warnings.append(FINE_EMPTY)
        return Generation(coarse, fine, seed, tuple(warnings))


def _run(stage: DiffusionStage, state: DiffusionState, progress: Progress | None) -> Voxels:
    while not state.done:
        state = stage.denoise([state], 1)[0]
        if progress is not None:
            progress(stage.stage, state.step, state.steps)
    return stage.decode([state])[0]
