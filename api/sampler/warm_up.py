"""What an engine does before it is ready: it runs whatever it has once, so that no request pays for the first time."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch

from models.shape import Voxels
from models.stage import DiffusionStage
from models.stages import CoarseStage, FineStage
from models.state import DiffusionState
from models.text import TextEmbedding

if TYPE_CHECKING:
    from api.sampler.engine import Engine

log = logging.getLogger("xcube.engine")
STEPS = 3


class WarmUp:
    """The warm-up of one engine."""

    def __init__(self, engine: Engine) -> None:
        self._engine, self._models, self._times = engine, engine.models, engine.times
        self._max_running = engine.settings.max_running

    def run(self) -> None:
        """Runs every kernel once, and once more to measure; on a GPU records the steps of batches of every size."""
        coarse = self._models.coarse()
        text = self._models.embed("")
        counts = [2**power for power in range(self._max_running.bit_length())]
        if coarse.graphed:
            self._record(coarse, text, [(1, 1.0), *((count, 2.0) for count in counts)])
        for _ in range(2):
            self._times.forget()
            state = coarse.start(text, seed=0, steps=STEPS)
            self._engine.advance([state], STEPS)
        (shape,) = coarse.decode([state])
        self._load_kernels(coarse)
        if not coarse.graphed:
            return
        if self._models.has_fine and self._models.fine_fault is None and len(shape):
            try:
                self._warm_up_fine(shape, text)
            except torch.OutOfMemoryError:
                log.warning("the GPU has too little memory for the fine stage: a request that does not fit is refused")
        if self._models.turbo.usable:
            try:
                self._warm_up_students(shape, text, counts)
            except torch.OutOfMemoryError:
                log.warning("the GPU has too little memory for the turbo pair: a request that does not fit is refused")

    def _record(self, coarse: CoarseStage, text: TextEmbedding, batches: Sequence[tuple[int, float]]) -> None:
        """Takes a step of batches of these sizes, each with a guidance scale."""
        for count, guidance in batches:
            states = [coarse.start(text, seed=0, steps=1, guidance_scale=guidance)] * count
            self._engine.advance(states, 1)
            if count <= -(-self._max_running // self._models.runtime.lanes):
                self._rehearse(coarse, states)

    def _warm_up_fine(self, shape: Voxels, text: TextEmbedding) -> None:
        fine = self._engine.with_room("fine", self._models.fine)
        if fine is not None:
            state = self._record_fine(fine, shape, text)
            self._engine.with_room("fine", lambda: fine.decode([state]))
            self._load_kernels(fine)
            self._measure(state)

    def _record_fine(self, fine: FineStage, shape: Voxels, text: TextEmbedding) -> DiffusionState:
        state = fine.start(shape, text, seed=0, steps=STEPS)
        self._engine.advance([state], STEPS)
        self._rehearse(fine, [state])
        return state

    def _warm_up_students(self, shape: Voxels, text: TextEmbedding, counts: Sequence[int]) -> None:
        """Records the steps of students, which are never guided; their kernels and decoders are those of the others."""
        coarse = self._engine.with_room("turbo_coarse", lambda: self._models.stage("coarse", "turbo"))
        assert isinstance(coarse, CoarseStage)
        self._record(coarse, text, [(count, 1.0) for count in counts])
        self._measure(coarse.start(text, seed=0, steps=STEPS, guidance_scale=1.0))
        fine = self._engine.with_room("turbo_fine", lambda: self._models.stage("fine", "turbo"))
        if isinstance(fine, FineStage) and len(shape):
            self._measure(self._record_fine(fine, shape, text))

    def _measure(self, state: DiffusionState) -> None:
        self._times.forget(state.model)
        self._engine.advance([state], STEPS)

    def _rehearse(self, stage: DiffusionStage, states: Sequence[DiffusionState]) -> None:
        if self._models.runtime.lanes > 1:
            try:
                stage.rehearse(states, 1)
            except torch.OutOfMemoryError:
                log.warning("the GPU has too little memory for two lanes: the %s stage uses one", stage.stage)

    @staticmethod
    def _load_kernels(stage: DiffusionStage) -> None:
        try:
            stage.load_kernels()
        except torch.OutOfMemoryError:
            log.warning("the GPU has too little memory to prepare the %s stage for large shapes", stage.stage)
