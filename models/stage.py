"""What both diffusion stages share: denoising and decoding.

A stage holds weights and caches, never a run: `start` makes a state, `denoise` takes states and returns states, and
`decode` makes voxels of those that are done. Every sample of a call may differ in step count, position, guidance,
seed and prompt. What is written here is the algorithm, sample by sample, as a CPU runs it: a batch would change the
last bits of a result there and gain no time. On a GPU the same steps run as `models.graphed` arranges them.
"""

from __future__ import annotations

import copy
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import partial
from typing import Any, Self, TypeVar

import torch
from torch import Tensor

from models.cache import Digests, LRUCache
from models.config import Stage, StageConfig
from models.decoding import FixedDecoder
from models.errors import NumericError
from models.graphed import Graphed, Lane
from models.grids import Grid, TorchGrid
from models.lanes import Lanes, on_stream, stream_on
from models.layers import TextContext
from models.noise import NoiseAhead, noise
from models.presets import Network
from models.runtime import Runtime
from models.schedulers import SCHEDULERS, alphas_cumprod, timesteps
from models.shape import Voxels
from models.state import DiffusionState
from models.threads import share
from models.tracing import named
from models.vae import Decoded, Decoder, unit_normals

CONTEXTS_KEPT = 16
DIGESTS_KEPT = 64
T = TypeVar("T")
DECODING_FIRST, ONE_LANE_FIRST = -2, -1
"""Priorities on a GPU. Who waits for a decoded shape waits for nothing else; and lanes of equal rank would end their
calls together and leave the GPU idle together, until each has sent its results."""


class DiffusionStage:
    """What both stages share: denoising and decoding.

    Attributes:
        stage: "coarse" or "fine".
        network: Which of the stage's denoisers it runs; its states name it.
        config: Denoiser, decoder and schedule.
        runtime: How the stage runs.
        graphed: What runs the steps of whole batches, for each lane; empty on a CPU, where samples run one by one.

    Several threads may use a stage at a time. As many as it has lanes take steps at once, and one decodes.
    """

    stage: Stage
    network: Network = "standard"
    graphed: Sequence[Graphed[Any]] = ()

    def __init__(self, config: StageConfig, decoder: Decoder, scale_factor: float, runtime: Runtime) -> None:
        self.config = config
        self.runtime = runtime
        self.device = runtime.device
        self.scale_factor = scale_factor
        self.decoder = decoder.to(self.device).eval().requires_grad_(False)
        self.decoder.stage = self.stage
        self._fixed_decoder: FixedDecoder | None = None
        self._contexts: LRUCache[TextContext] = LRUCache(CONTEXTS_KEPT)
        self._digests = Digests(DIGESTS_KEPT)
        self._noise = NoiseAhead(pinned=self.device.type == "cuda")
        self._decoding = threading.Lock()
        self._decoding_stream = stream_on(self.device, DECODING_FIRST)
        if self.device.type != "cpu":
            self.run_together(runtime.lanes)

    def beside(self, student: Any) -> Self:
        """The stage with a student of its denoiser, and everything else shared: decoder, grids and what decodes.

        It records steps of its own. Only one of the two may be told to `run_together`, and only before.
        """
        other = copy.copy(self)
        other.network = "turbo"
        other._take(student)
        other._contexts = LRUCache(CONTEXTS_KEPT)
        if self.graphed:
            other._make_lanes(len(self.graphed))
        return other

    def _take(self, unet: Any) -> None:
        """Makes a U-Net of this form the one that runs."""
        raise NotImplementedError

    @torch.inference_mode()
    def denoise(self, states: Sequence[DiffusionState], steps: int) -> list[DiffusionState]:
        """Advances every state by `steps` denoising steps, or to its end if that comes first.

        Args:
            states: Samples of this stage; they are not changed.
            steps: Steps to take, at least 1.

        Returns:
            The later states in the order given, with tensors on the stage's device.

        Raises:
            NumericError: A latent is no longer finite.
            torch.OutOfMemoryError: The GPU's memory does not suffice; everything is freed that can be made again.
        """
        with self._lane() as graphed:
            advance = self._one_by_one if graphed is None else graphed.advance
            states = [state.to(self.device) for state in states]
            if all(state.known is None for state in states):
                return self._finite(advance(states, steps))
            for _ in range(min(steps, max(state.steps - state.step for state in states))):
                states = [self._kept(state) for state in self._finite(advance(states, 1))]
            return states

    def _one_by_one(self, states: Sequence[DiffusionState], steps: int) -> list[DiffusionState]:
        """The later states, where no lane runs them together."""
        return share(partial(self._advance, steps=steps), states)

    def _kept(self, state: DiffusionState) -> DiffusionState:
        """A state in which what is not free is what is known, as noisy as the rest."""
        if state.known is None or state.free is None:
            return state
        free, known = state.free[:, None], state.known
        previous = None if state.previous is None else torch.where(free, state.previous, known)
        return replace(state, x=torch.where(free, state.x, self.noised(state, known)), previous=previous)

    def noised(self, state: DiffusionState, clean: Tensor) -> Tensor:
        """A clean latent with the noise of a state's next step, drawn from its seed; with none where it is done."""
        if state.done:
            return clean
        run = timesteps(state.steps, self.config.schedule.num_train_timesteps)
        alpha = alphas_cumprod(self.config.schedule)[run[state.step]]
        drawn = noise(state.seed, f"{self.stage} known", state.step, *clean.shape).to(clean.device)
        return alpha.sqrt().item() * clean + (1 - alpha).sqrt().item() * drawn

    @torch.inference_mode()
    def rehearse(self, states: Sequence[DiffusionState], steps: int) -> None:
        """Takes steps in every lane, so that all that can be recorded is there; drops the results.

        Raises:
            torch.OutOfMemoryError: See `denoise`; one lane is left.
        """
        with ExitStack() as lanes:
            for _ in range(self._lanes.count if self.graphed else 0):
                graphed = lanes.enter_context(self._lane())
                assert graphed is not None
                graphed.advance([state.to(self.device) for state in states], steps)

    @torch.inference_mode()
    def load_kernels(self) -> None:
        """Compiles, or loads, what a GPU needs for samples and shapes of any size, so that none has to wait for it.

        Raises:
            torch.OutOfMemoryError: The GPU's memory does not suffice for large ones.
        """
        if self._fixed_decoder is not None:
            with self._decoding, on_stream(self._decoding_stream):
                self._fixed_decoder.load_kernels()

    def predict(self, state: DiffusionState, timestep: int) -> Tensor:
        """The guided v-prediction for a state at a timestep, float32 [V, C]."""
        with self._lane() as graphed:
            return self._predict(state, timestep) if graphed is None else graphed.predict(state, timestep)

    @torch.inference_mode()
    def foresee(self, state: DiffusionState) -> DiffusionState:
        """The finished state that an unfinished one would become if the model's next prediction were its last."""
        schedule = self.config.schedule
        t = timesteps(state.steps, schedule.num_train_timesteps)[state.step]
        with self._lane() as graphed:
            alpha, sigma, *_ = SCHEDULERS[state.scheduler].coefficients(schedule, t, None, None)
            state = state.to(self.device)
            v = self._predict(state, t) if graphed is None else graphed.predict(state, t)
            return replace(state, x=alpha * state.x - sigma * v, step=state.steps)

    def decode_raw(self, states: Sequence[DiffusionState]) -> list[Decoded]:
        """Decodes finished states one by one, with every level and raw normals, as the parity tests need them."""
        return self._decode(states, self._decoded)

    def decode(self, states: Sequence[DiffusionState]) -> list[Voxels]:
        """Decodes finished states to voxels with unit normals; a result without any voxel is possible."""
        return self._decode(states, self._voxels)

    @torch.inference_mode()
    def _decode(self, states: Sequence[DiffusionState], work: Callable[[DiffusionState, Grid], T]) -> list[T]:
        """The work on each state, on the stream that decoding has to itself."""
        with self._decoding, on_stream(self._decoding_stream):
            grids = [self.grid(state) for state in states]  # shared with lanes: each must last until it has been read
            return [work(state, grid) for state, grid in zip(states, grids, strict=True)]

    def _decoded(self, state: DiffusionState, grid: Grid) -> Decoded:
        decoded: Decoded = self.decoder(self._latent(state), grid)
        return decoded

    def _voxels(self, state: DiffusionState, grid: Grid) -> Voxels:
        found = None
        if self._fixed_decoder is not None and isinstance(grid, TorchGrid):
            found = self._fixed_decoder(self._latent(state), grid)
        if found is None:
            decoded = self._decoded(state, grid)
            found = decoded.grid.ijk.short(), unit_normals(decoded.normals)
        ijk, normal = (each.cpu().numpy() for each in found)
        return Voxels(ijk, normal, self.config.voxel_size)

    def _latent(self, state: DiffusionState) -> Tensor:
        return state.x.to(self.device) / self.scale_factor

    def grid(self, state: DiffusionState) -> Grid:
        """The voxels that the latents of a state are on."""
        raise NotImplementedError

    def batch_key(self, state: DiffusionState) -> str:
        """The same for all states that share batches; empty for a state that is better computed alone."""
        raise NotImplementedError

    def run_together(self, lanes: int = 1) -> None:
        """From now on whole batches run in fixed memory, as on a GPU. A CPU can do it too, with other last digits.

        Args:
            lanes: Calls of `denoise` that run at a time.
        """
        self._make_lanes(lanes)
        self._fixed_decoder = FixedDecoder(self.decoder, self.runtime)

    def _make_lanes(self, count: int) -> None:
        streams = [stream_on(self.device, 0 if number else ONE_LANE_FIRST) for number in range(count)]
        self.graphed = [self._graphed(Lane(stream, self._digests, self._noise)) for stream in streams]
        self._lanes = Lanes(self.graphed)

    def _graphed(self, lane: Lane) -> Graphed[Any]:
        raise NotImplementedError

    @contextmanager
    def _lane(self) -> Iterator[Graphed[Any] | None]:
        """A lane for what is computed in the block; None where there are none.

        What a step's results are made of must be read in there too: its memory is free for the lane's next user, whose
        stream does not wait for what other streams still have to read.

        Raises:
            torch.OutOfMemoryError: See `denoise`; from now on only the first lane is lent.
        """
        if not self.graphed:
            yield None
            return
        try:
            with self._lanes.one() as graphed, on_stream(graphed.stream):
                yield graphed
        except torch.OutOfMemoryError:
            self.release()
            self._lanes.keep_first()
            raise

    def release(self) -> None:
        """Frees whatever can be made again: keys and values of texts, grids, graphs."""
        self._contexts.clear()
        self._digests.clear()
        self._noise.forget()
        if self._fixed_decoder is not None:
            self._fixed_decoder.release()
        for graphed in self.graphed:
            graphed.release()

    def _finite(self, states: list[DiffusionState]) -> list[DiffusionState]:
        whole = torch.stack([state.x.isfinite().all() for state in states]).tolist() if states else []
        for state, finite in zip(states, whole, strict=True):
            if not finite:
                raise NumericError(f"the {self.stage} latent is not finite at step {state.step}: try another seed")
        return states

    def _predict(self, state: DiffusionState, timestep: int) -> Tensor:
        """`predict` for one sample by itself."""
        raise NotImplementedError

    def _advance(self, state: DiffusionState, steps: int) -> DiffusionState:
        run = timesteps(state.steps, self.config.schedule.num_train_timesteps)
        for timestep in run[state.step : state.step + steps]:
            with named(f"{self.stage}/step"):
                state = self._step(state, self._predict(state, timestep), run)
        return state

    def _step(self, state: DiffusionState, prediction: Tensor, run: Sequence[int]) -> DiffusionState:
        scheduler = SCHEDULERS[state.scheduler]
        following = run[state.step + 1] if state.step + 1 < state.steps else None
        x, clean = scheduler.step(
            self.config.schedule, run[state.step], following, state.x, prediction,
            lambda: noise(state.seed, self.stage, state.step, *state.x.shape),
            None if state.previous is None else (run[state.step - 1], state.previous),
        )  # fmt: skip
        history = clean if scheduler.uses_history and following is not None else None
        return replace(state, x=x, step=state.step + 1, previous=history)

    def _context(self, text: Tensor) -> TextContext:
        return self._contexts.get(self._digests.of(text), lambda: TextContext(text[None].to(self.device)))
