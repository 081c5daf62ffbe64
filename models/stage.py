"""What both diffusion stages share: denoising by slices, alone on a CPU and together on a GPU, and decoding.

A stage holds weights and caches, never a run: `denoise` takes states and returns states. Every sample of a call may
differ in step count, position, guidance, seed and prompt. On a CPU samples are computed one by one, because a batch
changes the last bits of a result there and gains no time. On a GPU whole steps are CUDA graphs that work in fixed
memory.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Hashable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, TypeVar

import torch
from torch import Tensor

from models import kernels
from models.cache import LRUCache, digest
from models.config import Stage, StageConfig
from models.errors import NumericError
from models.graphs import Graphs
from models.grids import Grid
from models.layers import TextContext
from models.noise import Draw, NoiseAhead, noise
from models.runtime import REFERENCE, Runtime
from models.schedulers import SCHEDULERS, Coefficients, plan, timesteps
from models.shape import Voxels, unit_normals
from models.slots import MOST_STEPS, Slot
from models.state import DiffusionState
from models.text import TextEmbedding, pad
from models.threads import share
from models.vae import Decoded, Decoder

TOKENS = 80
"""Tokens of a padded prompt on a GPU: the 77 of CLIP, and three so that attention kernels find rows aligned."""
CONTEXTS_KEPT = 16
AHEAD = 3
"""Steps whose noise is drawn ahead."""
NAMES_KEPT = 64
NOISE = Coefficients._fields.index("noise_share")
L = TypeVar("L")


class DiffusionStage:
    """What both stages share: denoising by slices and decoding."""

    stage: Stage
    most_together = 1
    """States of a GPU batch at most."""
    channels: int

    def __init__(
        self, config: StageConfig, decoder: Decoder, scale_factor: float, runtime: Runtime = REFERENCE
    ) -> None:
        self.config = config
        self.runtime = runtime
        self.device = runtime.device
        self.scale_factor = scale_factor
        self.decoder = decoder.to(self.device).eval().requires_grad_(False)
        self._contexts: LRUCache[TextContext] = LRUCache(CONTEXTS_KEPT)
        self._names: LRUCache[tuple[Tensor, bytes]] = LRUCache(NAMES_KEPT)
        self.graphs = runtime.graphs
        self.batched = self.device.type != "cpu"
        self.exact = True
        """Whether a sample has to have the same bits alone and in any batch; what cannot promise that runs alone."""
        self._all_graphs = Graphs() if self.device.type == "cuda" else None
        self._ahead = NoiseAhead(pinned=self.device.type == "cuda")

    @torch.inference_mode()
    def denoise(self, states: Sequence[DiffusionState], steps: int) -> list[DiffusionState]:
        """Advances every state by `steps` denoising steps, or to its end if that comes first.

        States come back in the order given, with tensors on the stage's device. Raises NumericError if a latent is no
        longer finite, torch.OutOfMemoryError, with everything freed that can be, if the GPU's memory does not suffice.
        """
        try:
            results = self._denoise(states, steps)
        except torch.OutOfMemoryError:
            self.release()
            raise
        whole = torch.stack([state.x.isfinite().all() for state in results]).tolist() if results else []
        for state, finite in zip(results, whole, strict=True):
            if not finite:
                raise NumericError(f"the {self.stage} latent is not finite at step {state.step}: try another seed")
        return results

    @property
    @torch.inference_mode()
    def batch_size(self) -> int:
        """States that are computed together."""
        if not self.batched:
            return 1
        alike = torch.empty(0, dtype=self.runtime.dtype, device=self.device)
        unproved = self.device.type == "cuda" and self.exact and not kernels.exact(alike)
        return 1 if unproved else self.most_together

    def _denoise(self, states: Sequence[DiffusionState], steps: int) -> list[DiffusionState]:
        moved = [state.to(self.device) for state in states]
        size = self.batch_size
        groups = [moved[start : start + size] for start in range(0, len(moved), size)]
        if self.batched:
            for group in groups:
                self._ahead.order(self._draws(group, 0))
            advanced = [self._advance_together(group, steps) for group in groups]
        else:
            advanced = share(partial(self._advance, steps=steps), groups)
        return [state for group in advanced for state in group]

    def _advance(self, states: Sequence[DiffusionState], steps: int) -> list[DiffusionState]:
        results = list(states)
        for _ in range(steps):
            active = [index for index, state in enumerate(results) if not state.done]
            if not active:
                break
            running = [results[index] for index in active]
            predictions = self.predict(running, [self.timestep(state) for state in running])
            for index, prediction in zip(active, predictions, strict=True):
                results[index] = self._step(results[index], prediction)
        return results

    def _advance_together(self, states: Sequence[DiffusionState], steps: int) -> list[DiffusionState]:
        """Advances a batch on a GPU, in runs that end with the sample that is done first."""
        results, left = list(states), steps
        while left and (active := [index for index, state in enumerate(results) if not state.done]):
            running = [results[index] for index in active]
            count = min(left, MOST_STEPS, *(state.steps - state.step for state in running))
            for index, state in zip(active, self._run(running, count), strict=True):
                results[index] = state
            left -= count
        return results

    def _run(self, states: Sequence[DiffusionState], steps: int) -> list[DiffusionState]:
        """Takes a number of steps, which no sample of the batch lacks."""
        slot = self._place(states)
        times = [self._timesteps(state.steps)[state.step : state.step + steps] for state in states]
        plans = [plan(state.scheduler, self.config.schedule, state.steps) for state in states]
        shares = [rows[state.step : state.step + steps] for rows, state in zip(plans, states, strict=True)]
        slot.plan(torch.tensor(times).T.contiguous(), torch.stack(shares, dim=1))
        for step in range(AHEAD):
            self._ahead.order(self._draws(states, step))
        for step in range(steps):
            self._ahead.order(self._draws(states, step + AHEAD))
            for place, draw in zip(slot.noise, self._each_draw(states, step), strict=False):
                if draw is not None:
                    drawn = self._ahead.take(draw)
                    place[: len(drawn)].copy_(drawn, non_blocking=True)
            slot.advance(self._recorded)
        return [
            replace(
                state, x=x[: len(state.x)].clone(), step=state.step + steps,
                previous=clean[: len(state.x)].clone() if _remembers(state, steps) else None,
            )
            for state, x, clean in zip(states, slot.x, slot.previous, strict=False)
        ]  # fmt: skip

    def _draws(self, states: Sequence[DiffusionState], ahead: int) -> list[Draw]:
        return [draw for draw in self._each_draw(states, ahead) if draw is not None]

    def _each_draw(self, states: Sequence[DiffusionState], ahead: int) -> list[Draw | None]:
        """What the step of each sample that comes `ahead` steps after its next one draws, if it draws anything."""
        draws: list[Draw | None] = []
        for state in states:
            step = state.step + ahead
            used = step < state.steps and plan(state.scheduler, self.config.schedule, state.steps)[step][NOISE] != 0
            draws.append((state.seed, self.stage, step, len(state.x), self.channels) if used else None)
        return draws

    def _place(self, states: Sequence[DiffusionState]) -> Slot[Any]:
        """Fixed memory with these samples in it."""
        raise NotImplementedError

    def _predict_together(self, states: Sequence[DiffusionState], times: Sequence[int]) -> list[Tensor]:
        slot = self._place([state.to(self.device) for state in states])
        padded = [*times, *[times[0]] * (len(slot.x) - len(times))]
        predictions = slot.predict(torch.tensor(padded, device=self.device))
        return [v[: len(state.x)].clone() for v, state in zip(predictions, states, strict=False)]

    def release(self) -> None:
        """Frees whatever can be made again: text keys and values, grids, graphs."""
        caches: list[LRUCache[Any]] = [self._contexts, self._names, *self._rebuilt()]
        for cache in caches:
            cache.clear()
        self._ahead.forget()
        if self.device.type == "cuda":
            gc.collect()  # graphs and their stages refer to each other
            torch.cuda.empty_cache()

    @property
    def _recorded(self) -> Graphs | None:
        """Where steps are recorded; None if they are not to be."""
        return self._all_graphs if self.graphs else None

    def _rebuilt(self) -> Sequence[LRUCache[Any]]:
        """The caches that a kind of stage has of its own."""
        raise NotImplementedError

    def predict(self, states: Sequence[DiffusionState], times: Sequence[int]) -> list[Tensor]:
        """The guided v-prediction of each state at its timestep, float32 [V, C]."""
        raise NotImplementedError

    def timestep(self, state: DiffusionState) -> int:
        """The timestep of the state's next step."""
        return self._timesteps(state.steps)[state.step]

    @torch.inference_mode()
    def decode_raw(self, states: Sequence[DiffusionState]) -> list[Decoded]:
        """Decodes finished states one by one, with every level and raw normals, as the parity tests need them."""
        return [self.decoder(state.x.to(self.device) / self.scale_factor, self.grid([state])) for state in states]

    def decode(self, states: Sequence[DiffusionState]) -> list[Voxels]:
        """Decodes finished states to voxels with unit normals; a result without any voxel is possible."""
        return [
            Voxels(
                decoded.grid.ijk.cpu().numpy().astype("int16"),
                unit_normals(decoded.normals.cpu().numpy()),
                self.config.voxel_size,
            )
            for decoded in self.decode_raw(states)
        ]

    def grid(self, states: Sequence[DiffusionState]) -> Grid:
        """The latent grid of the states as one batch."""
        raise NotImplementedError

    def _timesteps(self, steps: int) -> tuple[int, ...]:
        return timesteps(steps, self.config.schedule.num_train_timesteps)

    def _name(self, tensor: Tensor) -> bytes:
        """The digest of a tensor that does not change, computed once while the tensor is in use."""
        return self._names.get(id(tensor), lambda: (tensor, digest(tensor)))[1]

    def _context(self, text: Tensor) -> TextContext:
        return self._contexts.get(self._name(text), lambda: TextContext(text[None].to(self.device)))

    def _tokens(self, texts: Sequence[Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        """Tokens and additive mask of a fixed length, and how many tokens are real, on the device."""
        tokens, mask = pad([TextEmbedding(text.cpu()) for text in texts], TOKENS)
        added = torch.zeros(mask.shape).masked_fill_(~mask, float("-inf"))
        lengths = mask.sum(dim=1, dtype=torch.int32)
        return tokens.to(self.device), added.to(self.device, self.runtime.dtype), lengths.to(self.device)

    def _slot(
        self, slots: LRUCache[Slot[L]], key: Hashable, texts: Sequence[Tensor], shape: tuple[int, int, int],
        layout: Callable[[], L], forward: Callable[[Slot[L], Tensor, Tensor], Tensor],
    ) -> Slot[L]:  # fmt: skip
        """The slot of a layout, made now if it is not kept, with these texts in it."""
        name = tuple(self._name(text) for text in texts)

        def build() -> Slot[L]:
            return Slot(layout(), TextContext(*self._tokens(texts)), name, shape, self.device, forward)

        slot = slots.get(key, build)
        slot.read(name, lambda: self._tokens(texts))
        return slot

    def _step(self, state: DiffusionState, prediction: Tensor) -> DiffusionState:
        run = self._timesteps(state.steps)
        scheduler = SCHEDULERS[state.scheduler]
        following = run[state.step + 1] if state.step + 1 < state.steps else None
        x, clean = scheduler.step(
            self.config.schedule, run[state.step], following, state.x, prediction,
            lambda: noise(state.seed, self.stage, state.step, *state.x.shape),
            None if state.previous is None else (run[state.step - 1], state.previous),
        )  # fmt: skip
        history = clean if scheduler.uses_history and following is not None else None
        return replace(state, x=x, step=state.step + 1, previous=history)


def _remembers(state: DiffusionState, steps: int) -> bool:
    """Whether a sample needs its clean latent after so many steps."""
    return SCHEDULERS[state.scheduler].uses_history and state.step + steps < state.steps
