"""Text to voxels in one object, without any server: docs/notebook.ipynb shows it at work.

from models import Pipeline

pipeline = Pipeline.from_store()
mug = pipeline.generate("a mug", seed=1)
print(mug.finest.xyz.shape, mug.finest.normal.shape)
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

import torch

from models.errors import CheckpointError
from models.fitting import fitted, told
from models.joining import Box, joined
from models.loading import check_pair, load_coarse, load_fine, load_text
from models.pair import Folders, Pair, Pairs
from models.presets import controls
from models.recognition import Recogniser
from models.runtime import Runtime
from models.schedulers import SCHEDULERS, timesteps
from models.shape import Shape, Voxels
from models.stage import DiffusionStage
from models.stages import CoarseStage, FineStage
from models.state import DiffusionState
from models.strength import DEFAULT_STRENGTH
from models.text import TextEmbedding, TextEncoder
from models.threads import use_by_default
from models.variants import variant_seeds

StepCallback = Callable[[str, int, int], None]
"""Called with stage ("coarse" or "fine"), steps done and steps in all, after every denoising step."""

TRUNCATED = "the prompt is longer than 77 tokens and was cut"
NO_FINE_MODEL = "no fine model is loaded, so the result is coarse only"
FINE_EMPTY = "the fine stage kept no voxel, so the result is coarse only"
RANDOM_SEEDS = 2**31
DEMO_FOLDER = Path(__file__).parents[1] / "checkpoints"
"""Where a checkout has the demo models; an installed package has none."""


class Pipeline:
    """Text tower, coarse stage and, where there is one, fine stage.

    Make one with :meth:`from_store` and keep it: loading takes longer than many a shape. It holds no state of a
    generation, and is meant for one thread at a time. text, coarse, fine: the parts, for those who want to go step by
    step (`pipeline.coarse.start`, `denoise`, `decode`). folders: where the two stages came from, and students of them,
    which are loaded when they are asked for first.
    """

    def __init__(
        self, text: TextEncoder, coarse: CoarseStage, fine: FineStage | None = None, folders: Folders | None = None
    ) -> None:
        self.text, self.coarse, self.fine = text, coarse, fine
        own = Pair(coarse, fine)
        self._pairs = Pairs(own) if folders is None else Pairs.of(own, folders)
        self.recogniser = Recogniser(text)

    @classmethod
    def from_dirs(
        cls, text: Path, coarse: Path, fine: Path | None = None,
        device: torch.device | str | None = None, dtype: str = "auto", backend: str = "auto",
        turbo_coarse: Path | None = None, turbo_fine: Path | None = None,
    ) -> Self:  # fmt: skip
        """Loads models from folders in our own format: `config.yaml` and `model.safetensors`.

        On a CPU it works with the service's number of threads, unless `threads.use` has said another.

        Args:
            text: Folder of the text tower, for instance `checkpoints/demo_text`.
            coarse: Folder of the coarse model.
            fine: Folder of the fine model; without it shapes stay coarse.
            device: "cpu", "cuda", "cuda:1", …; None means a GPU if there is one.
            dtype: Number format of the denoisers: "bf16", "fp32", or "auto" for bf16 on a GPU.
            backend: Library of sparse grids: "torch", "fvdb", or "auto" for fvdb on a GPU where it is faster.
            turbo_coarse: Folder of the student of the coarse model, for the preset "turbo".
            turbo_fine: The same of the fine model.

        Raises:
            CheckpointError, ConfigError: a folder's files are missing, broken, or do not belong together.
            BackendError: the backend that was asked for cannot be used here.
        """
        use_by_default()
        runtime = Runtime.choose(device, dtype, backend)
        encoder = load_text(text).to(runtime.device)
        stages = load_coarse(coarse, encoder.null, runtime), None if fine is None else load_fine(fine, runtime)
        if fine is not None and stages[1] is not None:
            check_pair(stages[0].config, stages[1].config, fine)
        return cls(encoder, *stages, Folders(coarse, fine, turbo_coarse, turbo_fine))

    @classmethod
    def from_store(
        cls,
        model_set: str = "auto",
        device: torch.device | str | None = None,
        dtype: str = "auto",
        backend: str = "auto",
    ) -> Self:
        """Loads models from the BentoML model store, as the service does, with threads as :meth:`from_dirs` has them.

        Where the store has no demo models yet, those of this checkout are imported first, which takes seconds.
        Official models have to be imported by `scripts/import`.

        Args:
            model_set: "demo", "official", the name of a set of your own, or "auto" for the official ones if they are in
                the store, else the demo ones.
            device: "cpu", "cuda", "cuda:1", …; None means a GPU if there is one.
            dtype: Number format of the denoisers, see :meth:`from_dirs`.
            backend: Library of sparse grids, see :meth:`from_dirs`.

        Raises:
            CheckpointError: a model is missing or unreadable; one sentence that says what to run.
            ConfigError: a model's configuration is wrong.
            BackendError: the backend that was asked for cannot be used here.
            ValueError: there is no set of that name.
        """
        from models.importer import import_demo
        from models.store import find

        found = find(model_set)
        if found.name == "demo" and (found.text is None or found.coarse is None):
            import_demo(DEMO_FOLDER)
            found = find(model_set)
        if found.text is None or found.coarse is None:
            raise CheckpointError(
                f"the model store has no {found.name} text tower or no {found.name} coarse model: "
                "run scripts/import --checkpoint-dir FOLDER with the folder that holds them"
            )
        students = {"turbo_coarse": found.turbo_coarse, "turbo_fine": found.turbo_fine}
        return cls.from_dirs(found.text, found.coarse, found.fine, device, dtype, backend, **students)

    def generate(
        self, prompt: str, *, steps: int | None = None, guidance_scale: float | None = None, seed: int | None = None,
        use_fine: bool = True, scheduler: str | None = None, progress: StepCallback | None = None,
        fine_steps: int | None = None, guidance_interval: tuple[float, float] | None = None, preset: str | None = None,
    ) -> Shape:  # fmt: skip
        """A shape for a prompt.

        Args:
            prompt: What to make, in English. Of a long one the first 77 tokens count, and `warnings` says so.
            steps: Denoising steps of each stage, 1 to 1000; 100 if None. Time grows with them in proportion.
            guidance_scale: s in pred + s * (pred - null), coarse stage only: a conventional weight of 1 + s. Exactly
                1.0 switches guidance off; 7.5 if None. The HTTP service takes 1.0 to 20.0.
            seed: Any integer, taken modulo 2 ** 64. None draws one below 2 ** 31, which the result names.
            use_fine: False leaves the fine stage out.
            scheduler: "ddim", or "dpm++", which needs fewer steps; "ddim" if None.
            progress: Called after each step with the stage ("coarse", then "fine"), steps done, and steps in all.
            fine_steps: Denoising steps of the fine stage, where they are to be others.
            guidance_interval: The part of the coarse run in which guidance is applied, from 0 at pure noise to 1; a
                step outside of it takes half the time. All of it if None.
            preset: "draft", "standard" or "best" chooses steps, fine_steps, scheduler, guidance_scale and
                guidance_interval where they are None. "turbo" has the students of the two stages take 4 steps of
                "ddim" each; steps and scheduler have to be None then, and guidance changes nothing.

        Returns:
            The shape. It may be empty (`len(result.coarse) == 0`) where a model kept no voxel for prompt and seed.

        Raises:
            ValueError: Steps are not 1 to 1000, there is no such scheduler or preset, the interval is not within 0 to
                1, or the preset is "turbo" and there are no students, or other steps were given.
            NumericError: a latent is no longer finite; another seed helps.
            torch.OutOfMemoryError: the GPU's memory does not suffice; `use_fine=False` needs less.
        """
        wanted = controls(
            preset, steps=steps, fine_steps=fine_steps, scheduler=scheduler, guidance_interval=guidance_interval,
            guidance_scale=guidance_scale,
        )  # fmt: skip
        fine_steps = wanted.steps if wanted.fine_steps is None else wanted.fine_steps
        for count in (wanted.steps, fine_steps):
            timesteps(count)
        low, high = wanted.guidance_interval
        if not 0 <= low <= high <= 1:
            raise ValueError(f"guidance_interval must be two numbers of 0 to 1, ascending, not {guidance_interval}")
        if wanted.scheduler not in SCHEDULERS:
            raise ValueError(f"scheduler must be one of {', '.join(SCHEDULERS)}, not {scheduler!r}")
        pair = self._pairs.of_network(wanted.network)
        seed = secrets.randbelow(RANDOM_SEEDS) if seed is None else seed
        text, warnings = self._read(prompt)
        state = pair.coarse.start(
            text, steps=wanted.steps, guidance_scale=wanted.guidance_scale, seed=seed, scheduler=wanted.scheduler,
            guidance_interval=wanted.guidance_interval,
        )  # fmt: skip
        state = _denoised(pair.coarse, state, progress)
        coarse, fine = self.coarse.decode([state])[0], None
        if use_fine and pair.fine is None:
            warnings.append(NO_FINE_MODEL)
        elif use_fine and pair.fine is not None and len(coarse):
            start = pair.fine.start(coarse, text, steps=fine_steps, seed=seed, scheduler=wanted.scheduler)
            fine = _run(pair.fine, start, progress)
            if not len(fine):
                fine = None
                warnings.append(FINE_EMPTY)
        return Shape(coarse, fine, seed, tuple(warnings), prompt, latent=state.to_bytes())

    def variants(self, prompt: str, n: int, *, seed: int | None = None, **controls: Any) -> list[Shape]:
        """Several shapes of a prompt, one after the other, as the HTTP service makes them.

        Args:
            prompt: What to make.
            n: How many shapes.
            seed: That of the first one; the others have the integers that follow. None draws one.
            **controls: The other arguments of `generate`.

        Raises:
            ValueError, NumericError, torch.OutOfMemoryError: see `generate`.
        """
        seed = secrets.randbelow(RANDOM_SEEDS + 1 - n) if seed is None else seed
        return [self.generate(prompt, seed=each, **controls) for each in variant_seeds(seed, n)]

    def refine(
        self, coarse: Voxels, prompt: str, *, steps: int | None = None, seed: int | None = None,
        scheduler: str | None = None, progress: StepCallback | None = None, preset: str | None = None,
    ) -> Shape:  # fmt: skip
        """The fine shape for a coarse one.

        With the coarse shape, the seed, the scheduler and as many steps as of a generated shape it is that shape again.

        Args:
            coarse: Voxels on the grid of the coarse stage; `formats.given` makes them of points and files.
            prompt: What it is, in English. Of a long one the first 77 tokens count, and `warnings` says so.
            steps: Denoising steps, 1 to 1000; 100 if None.
            seed: See :meth:`generate`.
            scheduler: See :meth:`generate`.
            progress: Called after each step with "fine", steps done, and steps in all.
            preset: See :meth:`generate`.

        Raises:
            ValueError: Steps are not 1 to 1000, there is no such scheduler or preset, no fine model or no voxel, or the
                voxels are those of another grid.
            NumericError: a latent is no longer finite; another seed helps.
            torch.OutOfMemoryError: the GPU's memory does not suffice.
        """
        if self.fine is None:
            raise ValueError("there is no fine model, which refines: load one with from_dirs or from_store")
        wanted = controls(preset, steps=steps, fine_steps=steps, scheduler=scheduler)
        steps = wanted.steps if wanted.fine_steps is None else wanted.fine_steps
        timesteps(steps)
        if wanted.scheduler not in SCHEDULERS:
            raise ValueError(f"scheduler must be one of {', '.join(SCHEDULERS)}, not {scheduler!r}")
        stage = self._pairs.of_network(wanted.network).fine
        assert stage is not None
        half = self.fine.config.vae.latent_resolution // 2
        if len(coarse) and (coarse.ijk.min() < -half or coarse.ijk.max() >= half):
            raise ValueError(f"the coarse shape has voxels outside of the grid, which is {-half} to {half - 1}")
        seed = secrets.randbelow(RANDOM_SEEDS) if seed is None else seed
        text, warnings = self._read(prompt)
        start = stage.start(coarse, text, steps=steps, seed=seed, scheduler=wanted.scheduler)
        fine: Voxels | None = _run(stage, start, progress)
        if not fine:
            fine = None
            warnings.append(FINE_EMPTY)
        return Shape(coarse, fine, seed, tuple(warnings), prompt)

    def vary(
        self, of: Shape | Voxels, prompt: str, *, strength: float = DEFAULT_STRENGTH, box: Box | None = None,
        seed: int | None = None, steps: int | None = None, guidance_scale: float | None = None, use_fine: bool = True,
        scheduler: str | None = None, progress: StepCallback | None = None, preset: str | None = None,
    ) -> Shape:  # fmt: skip
        """Another shape that resembles one: its coarse latent gets noise, and is denoised again.

        Args:
            of: A shape that this pipeline has made, or any coarse voxels on the grid of the coarse stage, which
                `formats.given` makes of points and files. The latent of these is looked for first, which takes as long
                as some tens of steps.
            prompt: What the new one is; the same or another.
            strength: Above 0 to 1: how much noise, and which part of the steps is taken. 1 leaves nothing of the shape.
            box: All that may change: outside of it voxels stay as they are, coarse ones and, if `of` has them, fine.
            seed: See :meth:`generate`.
            steps: Denoising steps of a whole run of each stage, 1 to 1000; 100 if None.
            guidance_scale: See :meth:`generate`.
            use_fine: False leaves the fine stage out.
            scheduler: See :meth:`generate`.
            progress: See :meth:`generate`.
            preset: See :meth:`generate`.

        Raises:
            ValueError: An argument is out of range, or the shape has no voxel, or some of another grid.
            NumericError: a latent is no longer finite; another seed helps.
            torch.OutOfMemoryError: the GPU's memory does not suffice.
        """
        wanted = controls(preset, steps=steps, fine_steps=steps, scheduler=scheduler, guidance_scale=guidance_scale)
        timesteps(wanted.steps)
        if wanted.scheduler not in SCHEDULERS:
            raise ValueError(f"scheduler must be one of {', '.join(SCHEDULERS)}, not {scheduler!r}")
        stage = self._pairs.of_network(wanted.network).coarse
        seed = secrets.randbelow(RANDOM_SEEDS) if seed is None else seed
        text, warnings = self._read(prompt)
        of = of if isinstance(of, Shape) else Shape(of, None, 0)
        if of.latent:
            origin = DiffusionState.from_bytes(of.latent)
        else:
            origin, likeness = fitted(self.coarse, of.coarse)
            warnings += told(likeness)
        state = stage.vary(
            origin, text, seed=seed, strength=strength, box=box, steps=wanted.steps,
            guidance_scale=wanted.guidance_scale, scheduler=wanted.scheduler,
            guidance_interval=wanted.guidance_interval,
        )  # fmt: skip
        state = _denoised(stage, state, progress)
        coarse = self.coarse.decode([state])[0]
        if box is not None:
            coarse = joined(of.coarse, coarse, box)
        shape = Shape(coarse, None, seed, tuple(warnings), prompt, latent=state.to_bytes())
        if not use_fine or not len(coarse):
            return shape
        if self.fine is None:
            return replace(shape, warnings=(*warnings, NO_FINE_MODEL))
        refined = self.refine(
            coarse, prompt, steps=steps, seed=seed, scheduler=scheduler, progress=progress, preset=preset
        )
        fine = refined.fine
        if box is not None and of.fine is not None and fine is not None:
            fine = joined(of.fine, fine, box)
        warnings += [each for each in refined.warnings if each not in warnings]
        return replace(shape, fine=fine, warnings=tuple(warnings))

    def _read(self, prompt: str) -> tuple[TextEmbedding, list[str]]:
        """A prompt as the stages take it, and what is to be told of it."""
        text = self.text.encode([prompt])[0]
        warnings = [TRUNCATED] if text.truncated else []
        return text, [*warnings, *self.recogniser.recognise(prompt).warnings]


def _run(stage: DiffusionStage, state: DiffusionState, progress: StepCallback | None) -> Voxels:
    return stage.decode([_denoised(stage, state, progress)])[0]


def _denoised(stage: DiffusionStage, state: DiffusionState, progress: StepCallback | None) -> DiffusionState:
    while not state.done:
        state = stage.denoise([state], 1)[0]
        if progress is not None:
            progress(stage.stage, state.step, state.steps)
    return state
