"""How a GPU runs the steps of a stage: batches of fixed sizes, in fixed memory, as recorded graphs.

A slot is fixed memory for the samples of one layout (see slots.py), and a step on it becomes one CUDA graph (see
graphs.py). Coarse samples share batches whose rows are padded to a few sizes; the kernels see to it that this changes
no bit. So do small fine ones of about the same number of voxels; a large one fills a GPU by itself. The noise of the
next steps is drawn on the CPU meanwhile.
"""

from __future__ import annotations

import gc
from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

import torch
from torch import Tensor

from models import kernels
from models.cache import Digests, LRUCache
from models.config import StageConfig
from models.graphs import Graphs
from models.lanes import Pace
from models.layers import TextContext
from models.noise import Block, NoiseAhead, steps_at_once
from models.runtime import Runtime
from models.schedulers import SCHEDULERS, draws, plan, timesteps
from models.slots import MOST_STEPS, Slot
from models.state import DiffusionState
from models.text import TextEmbedding, pad
from models.tracing import named

TOKENS = 80
"""Tokens of a padded prompt: the 77 of CLIP, and three so that attention kernels find rows aligned."""
AHEAD = 3
"""Steps whose noise is drawn ahead."""
L = TypeVar("L")


@dataclass(frozen=True)
class Lane:
    """What a lane works with.

    Attributes:
        stream: Where its work runs, and nothing else; None on a CPU.
        digests: Names of tensors, shared by all lanes of a stage.
        noise: Shared as well, as samples change lanes.
    """

    stream: torch.cuda.Stream | None
    digests: Digests
    noise: NoiseAhead


class Graphed(ABC, Generic[L]):
    """Runs the steps of a stage's samples together, in slots of layouts L.

    Attributes:
        exact: Whether a sample has to have the same bits alone and in any batch; what cannot promise that runs alone.
        graphs: The recorded steps; None where they are not to be recorded.
        stream: Where all of it runs; None on a CPU.
        slots: Fixed memory by what it is for.
    """

    def __init__(self, config: StageConfig, channels: int, runtime: Runtime, lane: Lane, slots_kept: int) -> None:
        self.schedule, self.channels = config.schedule, channels
        self.device, self.dtype = runtime.device, runtime.dtype
        self.exact = True
        on_gpu = self.device.type == "cuda"
        self.stream = lane.stream
        self._pace = Pace(lane.stream)
        self.graphs = Graphs() if on_gpu and runtime.graphs else None
        self.slots: LRUCache[Slot[L]] = LRUCache(slots_kept)
        self._digests, self._noise = lane.digests, lane.noise

    def advance(self, states: Sequence[DiffusionState], steps: int) -> list[DiffusionState]:
        """Advances every state on this device by `steps` steps, or to its end if that comes first."""
        groups = self.groups(states)
        for group in groups:
            self._order([states[index] for index in group], 0)
        results: dict[int, DiffusionState] = {}
        for group in groups:
            results.update(zip(group, self._advance([states[index] for index in group], steps), strict=True))
        return [results[index] for index in range(len(states))]

    def predict(self, state: DiffusionState, timestep: int) -> Tensor:
        """The guided v-prediction for a state at a timestep, float32 [V, C]."""
        slot = self._place([state.to(self.device)])
        times = torch.full((len(slot.x),), timestep, device=self.device)
        return slot.predict(times)[0, : len(state.x)].clone()

    def release(self) -> None:
        """Frees slots and graphs."""
        self.slots.clear()
        if self.device.type == "cuda":
            gc.collect()  # graphs and their stages refer to each other
            torch.cuda.empty_cache()

    @abstractmethod
    def groups(self, states: Sequence[DiffusionState]) -> list[list[int]]:
        """Which states are computed together, by their places in the call."""

    @abstractmethod
    def _place(self, states: Sequence[DiffusionState]) -> Slot[L]:
        """Fixed memory with these samples in it."""

    def _kernels_exact(self) -> bool:
        """Whether every kernel may be used now, so that neither a batch nor room for more voxels changes a bit."""
        return kernels.exact(torch.empty(0, dtype=self.dtype, device=self.device))

    def _advance(self, states: Sequence[DiffusionState], steps: int) -> list[DiffusionState]:
        """Advances a batch, in runs that end with the sample that is done first, or guided from then on, or no more."""
        results, left = list(states), steps
        while left and (active := [index for index, state in enumerate(results) if not state.done]):
            running = [results[index] for index in active]
            count = min(left, MOST_STEPS, *(state.steps_alike for state in running))
            for index, state in zip(active, self._run(running, count), strict=True):
                results[index] = state
            left -= count
        return results

    def _run(self, states: Sequence[DiffusionState], steps: int) -> list[DiffusionState]:
        """Takes a number of steps, which no sample of the batch lacks."""
        slot = self._place(states)
        whole = [timesteps(state.steps, self.schedule.num_train_timesteps) for state in states]
        times = [run[state.step : state.step + steps] for run, state in zip(whole, states, strict=True)]
        plans = [plan(state.scheduler, self.schedule, state.steps) for state in states]
        shares = [rows[state.step : state.step + steps] for rows, state in zip(plans, states, strict=True)]
        slot.plan(torch.tensor(times).T.contiguous(), torch.stack(shares, dim=1))
        done = 0
        while done < steps:
            blocks = [self._block(state, done) for state in states]
            sizes = [steps_at_once(state.x.numel()) for state in states]
            within = (size - (state.step + done) % size for state, size in zip(states, sizes, strict=True))
            count = min(steps - done, slot.noise.shape[1], *within)
            self._order(states, done + count)
            slot.renew(
                [
                    None if block is None else self._noise.take(block, state.step + done, count)
                    for state, block in zip(states, blocks, strict=True)
                ]
            )
            for _ in range(count):
                with named(f"{states[0].stage}/step"):
                    slot.advance(self.graphs)
                self._pace.after_step()
            done += count
        return [
            replace(
                state, x=x[: len(state.x)].clone(), step=state.step + steps,
                previous=clean[: len(state.x)].clone() if _remembers(state, steps) else None,
            )
            for state, x, clean in zip(states, slot.x, slot.previous, strict=False)
        ]  # fmt: skip

    def _block(self, state: DiffusionState, ahead: int) -> Block | None:
        """The noise of the step that comes `ahead` steps after the next one, if it draws any."""
        return Block.around(state, state.step + ahead, draws(state.scheduler, self.schedule, state.steps))

    def _order(self, states: Sequence[DiffusionState], ahead: int) -> None:
        """Has the noise drawn of the steps that come from `ahead` steps after the next one on."""
        for further in range(AHEAD):
            for state in states:
                if (block := self._block(state, ahead + further)) is not None:
                    self._noise.order(block)

    def _slot(
        self, key: Hashable, texts: Sequence[Tensor], shape: tuple[int, int, int], layout: Callable[[], L],
        forward: Callable[[Slot[L], Tensor, Tensor], Tensor],
    ) -> Slot[L]:  # fmt: skip
        """The slot of a layout, made now if it is not kept, with these texts in it."""
        name = tuple(self._digests.of(text) for text in texts)

        slot = self.slots.get(key, lambda: self._new_slot(name, texts, shape, layout(), forward))
        slot.read(name, lambda: self._tokens(texts))
        return slot

    def _new_slot(
        self, name: Hashable, texts: Sequence[Tensor], shape: tuple[int, int, int], layout: L,
        forward: Callable[[Slot[L], Tensor, Tensor], Tensor],
    ) -> Slot[L]:  # fmt: skip
        return Slot(layout, TextContext(*self._tokens(texts)), name, shape, self.device, forward)

    def _tokens(self, texts: Sequence[Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        """Tokens and additive mask of a fixed length, and how many tokens are real, on the device."""
        tokens, mask = pad([TextEmbedding(text.cpu()) for text in texts], TOKENS)
        added = torch.zeros(mask.shape).masked_fill_(~mask, float("-inf"))
        lengths = mask.sum(dim=1, dtype=torch.int32)
        return tokens.to(self.device), added.to(self.device, self.dtype), lengths.to(self.device)


def _remembers(state: DiffusionState, steps: int) -> bool:
    """Whether a sample needs its clean latent after so many steps."""
    return SCHEDULERS[state.scheduler].uses_history and state.step + steps < state.steps
