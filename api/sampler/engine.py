"""The models' side of the service, without any server: text, slices of denoising steps, decoding.

Several threads use an engine (model_threads.py): as many as there are lanes call `denoise`, and one does all the rest.
`status` may be called from any.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, TypeVar

import torch

from api.errors import EmptyResult, InvalidRequest, ModelsChanged, ModelsUnavailable, TooManyVoxels
from api.given import Given, Variation
from api.messages import (
    Decoded,
    Fitted,
    Order,
    Outcome,
    Progress,
    Recognised,
    Slice,
    Status,
    Unfitted,
    bits_of,
    for_strangers,
)
from api.sampler.failures import failed
from api.sampler.fitting import fit_on
from api.sampler.loaded_models import LoadedModels
from api.sampler.step_times import StepTimes
from api.sampler.warm_up import WarmUp
from api.schemas import KINDS_IN_HEALTH, Health, fine_steps_of
from api.settings import Settings
from api.telemetry import metrics
from models.config import Stage
from models.errors import NumericError, StateError, XCubeError
from models.fitting import Fit
from models.joining import Box
from models.pipeline import FINE_EMPTY, NO_FINE_MODEL, TRUNCATED
from models.presets import NO_TURBO, OF_ANY_MODELS, PRESETS, Network, model_of
from models.shape import Voxels
from models.stages import CoarseStage, FineStage
from models.state import DiffusionState
from models.text import TextEmbedding

log = logging.getLogger("xcube.engine")
EXIT_GPU_LOST = 70
AnyOutcome = TypeVar("AnyOutcome", bound=Outcome)
T = TypeVar("T")


class Engine:
    """Runs the models of one Sampler process. Failures come back as outcomes, item by item; nothing raises."""

    def __init__(self, settings: Settings, index: int = 0) -> None:
        self.settings = settings
        self.models = LoadedModels(settings, index)
        self.times = StepTimes()
        self._error: str | None = None
        self._ready = False

    def status(self) -> Status:
        """Health and measured step times, at once, whatever the models do."""
        self.models.show_memory()
        fine_fault = for_strangers(self.models.fine_fault or "")
        turbo = self.models.turbo
        unserved = [fine_fault, *map(for_strangers, (turbo.fault, *self.models.faults))] if self._ready else []
        health = Health(
            status="ready" if self._ready else "error" if self._error else "loading",
            xcube_available=True,
            gpu_available=self.models.gpu_name is not None,
            gpu_name=self.models.gpu_name,
            model_loaded=self._ready,
            error=self._error or " ".join(filter(None, unserved)) or None,
            model_set=self.models.model_set or None,
            kinds=list(self.models.kinds)[:KINDS_IN_HEALTH],
            presets=[name for name in PRESETS if name in OF_ANY_MODELS or turbo.usable],
        )
        return Status(
            health=health,
            model_set=self.models.model_set,
            models={
                name: model.model_copy(update={"fault": for_strangers(model.fault)})
                for name, model in self.models.statuses.items()
            },
            step_seconds=dict(self.times.seconds),
            arithmetic=self.models.arithmetic,
            lanes=self.models.runtime.lanes,
            kinds=self.models.kinds,
            coarse_resolution=self.models.coarse_resolution,
        )

    def load(self) -> None:
        """Loads text tower and coarse stage and runs them once; a failure becomes the status `error`."""
        try:
            self.models.load()
            log.info("warming up")
            WarmUp(self).run()
            self._ready = True
            metrics.ready(True)
        except Exception as error:
            known = isinstance(error, XCubeError)
            told = str(error) if known else f"Loading failed ({type(error).__name__}): see the service's log."
            self._error = for_strangers(told)
            log.error("models failed to load: %s", error, exc_info=None if known else error)

    def recognise(self, prompt: str) -> Recognised:
        """What is known of a prompt."""
        return self._guarded(Recognised, lambda: self._recognise(prompt))

    def fit(self, item: Unfitted) -> Fitted:
        """A given shape, a slice of steps nearer to its latent."""
        return self._guarded(Fitted, lambda: self._fit(item))

    def begin(self, order: Order) -> Progress:
        """Encodes the prompt and makes the first state of the coarse stage."""
        return self._guarded(Progress, lambda: self._begin(order))

    def denoise(self, items: Sequence[Slice]) -> list[Progress]:
        """Advances items by the steps that fit a time slice, which all items share."""
        results: dict[int, Progress] = {}
        groups: dict[tuple[Stage, Network], dict[int, DiffusionState]] = {}
        for index, item in enumerate(items):
            try:
                self._check_ready()
                state = self._read(item.state)
                groups.setdefault((state.stage, state.network), {})[index] = state
            except XCubeError as error:
                results[index] = failed(Progress, error)
        for (stage, network), members in groups.items():
            share = self.settings.slice_seconds * len(members) / len(items)
            voxels = sum(len(state.x) for state in members.values())
            steps = self.times.steps_within(model_of(stage, network), voxels, share)
            results.update(zip(members, self.advance(list(members.values()), steps), strict=True))
        return [results[index] for index in range(len(items))]

    def decode(self, state: bytes, fine_steps: int = 0) -> Decoded:
        """Voxels of a state; with `fine_steps`, also the first state of the fine stage on them.

        One that is not finished is decoded as what it seems to become.
        """
        return self._guarded(Decoded, lambda: self._decode(self._read(state), fine_steps))

    def _recognise(self, prompt: str) -> Recognised:
        found = self.with_room("text", lambda: self.models.recognise(prompt))
        return Recognised(known=found.known, kinds=found.kinds, nearest=found.nearest, warnings=found.warnings)

    def _fit(self, item: Unfitted) -> Fitted:
        voxels, fit = Voxels.from_bytes(item.coarse), Fit.from_bytes(item.fit) if item.fit else None
        self._check_count("coarse", voxels)
        if fit is not None:
            self._check_weights(fit.weights)
        seconds, tags = self.settings.slice_seconds, self.models.tags
        work = partial(fit_on, self.models.coarse(), voxels, fit, self.times, seconds, tags)
        return self.with_room("coarse", work)

    def _begin(self, order: Order) -> Progress:
        if order.weights:
            self._check_weights(order.weights)
        if order.use_fine and self.models.fine_fault is not None:
            raise ModelsUnavailable(self.models.fine_fault)
        self._check_network(order.network)
        text = self.with_room("text", lambda: self.models.embed(order.prompt))
        warnings = [TRUNCATED] if text.truncated else []
        warnings += self.with_room("text", lambda: self.models.recognise(order.prompt)).warnings
        if order.given is not None:
            return self._progress(self._refine(order, order.given, text), warnings)
        coarse = self._loaded("coarse", order.network)
        assert isinstance(coarse, CoarseStage)
        begun = coarse.start if order.variation is None else partial(self._vary, order.variation, coarse)
        state = begun(
            text, seed=order.seed, steps=order.ddim_steps, guidance_scale=order.guidance_scale,
            scheduler=order.scheduler, guidance_interval=order.guidance_interval,
        )  # fmt: skip
        if order.use_fine and not self.models.has_fine:
            warnings.append(NO_FINE_MODEL)
        return self._progress(state, warnings)

    def _check_network(self, network: Network) -> None:
        if network == "turbo" and not self.models.turbo.usable:
            fault = self.models.turbo.fault
            raise ModelsUnavailable(fault) if fault else InvalidRequest(f"{NO_TURBO}.")

    def _vary(self, variation: Variation, coarse: CoarseStage, text: TextEmbedding, **controls: Any) -> DiffusionState:
        """The state on the way from another shape."""
        box = None if variation.box is None else Box(*variation.box)
        origin = self._read(variation.latent)
        return coarse.vary(origin, text, strength=variation.strength, box=box, **controls)

    def _refine(self, order: Order, given: Given, text: TextEmbedding) -> DiffusionState:
        """The first state of the fine stage on a shape that was given."""
        voxels = Voxels.from_bytes(given.coarse)
        self._check_count("coarse", voxels)
        stage = self._loaded("fine", order.network)
        if not isinstance(stage, FineStage):
            raise ModelsUnavailable("There is no fine model, which /refine needs: import one with scripts/import.")
        return stage.start(voxels, text, seed=order.seed, steps=fine_steps_of(order), scheduler=order.scheduler)

    def advance(self, states: Sequence[DiffusionState], steps: int) -> list[Progress]:
        """Advances states of one stage and network."""
        try:
            work = partial(self._denoise, states, steps)
            return [self._progress(each) for each in self.with_room(states[0].model, work, smallest=len(states) == 1)]
        except (NumericError, StateError, torch.OutOfMemoryError) as error:
            if len(states) == 1:
                return [failed(Progress, error)]
            lacking = isinstance(error, torch.OutOfMemoryError)
        except Exception as error:
            self._end_if_lost(error)
            return [failed(Progress, error) for _ in states]
        # Halves again and again: a batch that is too large fits, one with a NaN or a misfit loses only that sample.
        if lacking:
            metrics.out_of_memory()
        half = len(states) // 2
        return self.advance(states[:half], steps) + self.advance(states[half:], steps)

    def _denoise(self, states: Sequence[DiffusionState], steps: int) -> list[DiffusionState]:
        chosen = self._stage(states[0])
        for state in states:
            state.check(chosen.config)
        start = time.perf_counter()
        advanced = chosen.denoise(states, steps)
        seconds = time.perf_counter() - start
        taken = [after.step - before.step for before, after in zip(states, advanced, strict=True)]
        voxels = sum(len(state.x) * steps for state, steps in zip(states, taken, strict=True))
        self.times.observe(states[0].model, sum(taken), voxels, seconds)
        metrics.steps(states[0].stage, len(states), sum(taken))
        return advanced

    def _decode(self, state: DiffusionState, fine_steps: int) -> Decoded:
        voxels = self.with_room(state.model, lambda: self._voxels(state))
        self._check_count(state.stage, voxels)
        if not len(voxels):
            if state.stage == "coarse":
                raise EmptyResult("The model made no voxels for this prompt and seed: try another seed or prompt.")
            return Decoded(warnings=(FINE_EMPTY,))
        fine = None
        if fine_steps and (stage := self._loaded("fine", state.network)) is not None:
            assert isinstance(stage, FineStage)
            text = TextEmbedding(state.text)
            start = stage.start(voxels, text, seed=state.seed, steps=fine_steps, scheduler=state.scheduler)
            fine = self._progress(start)
        return Decoded(voxels=voxels.to_bytes(), fine=fine)

    def _check_count(self, stage: str, voxels: Voxels) -> None:
        if len(voxels) > self.settings.max_voxels:
            raise TooManyVoxels(
                f"The {stage} shape has {len(voxels)} voxels, more than the {self.settings.max_voxels} of "
                "XCUBE_MAX_VOXELS: try another seed or prompt, or set use_fine to false."
            )

    def _voxels(self, state: DiffusionState) -> Voxels:
        stage = self._stage(state)
        state.check(stage.config)
        return stage.decode([state if state.done else stage.foresee(state)])[0]

    def with_room(self, needed: str, work: Callable[[], T], *, smallest: bool = True) -> T:
        """Some work, tried again with more room where the GPU's memory does not suffice.

        First with caches emptied, then with the models unloaded that are not `needed`; the latter only for the
        `smallest` work there is. Raises torch.OutOfMemoryError if nothing helped.
        """
        rooms: list[Callable[[], object]] = [self.models.empty_caches]
        if smallest:
            rooms.append(partial(self.models.unload_idle, needed))
        for make_room in rooms:
            try:
                return work()
            except torch.OutOfMemoryError:
                metrics.out_of_memory()
            make_room()  # outside of the handler, whose exception holds on to what was computed
        return work()

    def _loaded(self, name: Stage, network: Network) -> CoarseStage | FineStage | None:
        """A stage with one of its denoisers, loaded where there is room for it; None if there is no such model."""
        return self.with_room(model_of(name, network), lambda: self.models.stage(name, network))

    def _stage(self, state: DiffusionState) -> CoarseStage | FineStage:
        stage = self.models.stage(state.stage, state.network)
        if stage is None:
            raise ModelsUnavailable(f"The {state.model} model is gone: import it again.")
        return stage

    def _check_ready(self) -> None:
        if not self._ready:
            raise ModelsUnavailable(self._error or "The models are not loaded.")

    def _guarded(self, kind: type[AnyOutcome], work: Callable[[], AnyOutcome]) -> AnyOutcome:
        try:
            self._check_ready()
            return work()
        except Exception as error:
            self._end_if_lost(error)
            return failed(kind, error)

    def _progress(self, state: DiffusionState, warnings: Sequence[str] = ()) -> Progress:
        batch_key = self._stage(state).batch_key(state)
        return Progress(
            state=replace(state, weights=self.models.tags).to_bytes(), batch_key=batch_key,
            made_by=bits_of(self.models.arithmetic, self.models.tags),
            stage=state.stage, network=state.network, step=state.step, steps=state.steps, warnings=tuple(warnings),
        )  # fmt: skip

    def _read(self, data: bytes) -> DiffusionState:
        """A state that came back.

        Raises:
            StateError: These bytes are no state.
            ModelsChanged: Other models made it.
        """
        state = DiffusionState.from_bytes(data)
        self._check_weights(state.weights)
        return state

    def _check_weights(self, wanted: str) -> None:
        if wanted != self.models.tags:
            raise ModelsChanged(
                f"The models were replaced during the request ({wanted or 'unknown ones'} by {self.models.tags})"
                ": send the request again."
            )

    def _end_if_lost(self, error: Exception) -> None:
        """Ends this process where its GPU is lost to it; the supervisor starts a new one, and slices are sent again."""
        if not isinstance(error, XCubeError | torch.OutOfMemoryError) and self.models.lost():
            log.critical("this process has lost the GPU and exits: %s", str(error).partition("\n")[0])
            os._exit(EXIT_GPU_LOST)
