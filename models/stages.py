"""The two diffusion stages: from a state of pure noise to coarse voxels, and from these to fine ones.

A stage holds weights and caches, never a run: `start` makes a state, `denoise` takes states and returns states, and
`decode` makes voxels of those that are done. Every sample of a call may differ in step count, position, guidance,
seed and prompt. What is written here is the algorithm, sample by sample, as a CPU runs it: a batch would change the
last bits of a result there and gain no time. On a GPU the same steps run as `models.graphed` arranges them.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import partial
from typing import Any, TypeVar

import torch
from torch import Tensor

from models.cache import Digests, LRUCache
from models.config import DenseUNetConfig, SparseUNetConfig, Stage, StageConfig
from models.decoding import FixedDecoder
from models.dense import DenseUNet, cube_of, latents_of
from models.errors import NumericError
from models.graphed import Graphed, GraphedCoarse, GraphedFine, Lane
from models.grids import Grid, TorchGrid, rooms_for
from models.lanes import Lanes, on_stream, stream_on
from models.layers import TextContext
from models.noise import INITIAL, NoiseAhead, noise
from models.precision import prepare
from models.runtime import REFERENCE, Runtime
from models.schedulers import SCHEDULERS, timesteps
from models.shape import Voxels
from models.sparse import SparseUNet, with_voxels
from models.state import DiffusionState
from models.text import TextEmbedding
from models.threads import share
from models.tracing import named
from models.vae import Decoded, Decoder, unit_normals

CONTEXTS_KEPT = 16
DIGESTS_KEPT = 64
GRIDS_KEPT = 32
T = TypeVar("T")
DECODING_FIRST, ONE_LANE_FIRST = -2, -1
"""Priorities on a GPU. Who waits for a decoded shape waits for nothing else; and lanes of equal rank would end their
calls together and leave the GPU idle together, until each has sent its results."""


class DiffusionStage:
    """What both stages share: denoising and decoding.

    Attributes:
        stage: "coarse" or "fine".
        config: Denoiser, decoder and schedule.
        runtime: How the stage runs.
        graphed: What runs the steps of whole batches, for each lane; empty on a CPU, where samples run one by one.

    Several threads may use a stage at a time. As many as it has lanes take steps at once, and one decodes.
    """

    stage: Stage
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
        if not self.graphed:
            return self._finite(share(partial(self._advance, steps=steps), [state.to(self.device) for state in states]))
        with self._lane() as graphed:
            return self._finite(graphed.advance([state.to(self.device) for state in states], steps))

    @torch.inference_mode()
    def rehearse(self, states: Sequence[DiffusionState], steps: int) -> None:
        """Takes steps in every lane, so that all that can be recorded is there; drops the results.

        Raises:
            torch.OutOfMemoryError: See `denoise`; one lane is left.
        """
        with ExitStack() as lanes:
            for _ in range(self._lanes.count if self.graphed else 0):
                graphed = lanes.enter_context(self._lane())
                graphed.advance([state.to(self.device) for state in states], steps)

    def predict(self, state: DiffusionState, timestep: int) -> Tensor:
        """The guided v-prediction for a state at a timestep, float32 [V, C]."""
        if not self.graphed:
            return self._predict(state, timestep)
        with self._lane() as graphed:
            return graphed.predict(state, timestep)

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
        streams = [stream_on(self.device, 0 if number else ONE_LANE_FIRST) for number in range(lanes)]
        self.graphed = [self._graphed(Lane(stream, self._digests, self._noise)) for stream in streams]
        self._lanes = Lanes(self.graphed)
        self._fixed_decoder = FixedDecoder(self.decoder, self.runtime)

    def _graphed(self, lane: Lane) -> Graphed[Any]:
        raise NotImplementedError

    @contextmanager
    def _lane(self) -> Iterator[Graphed[Any]]:
        try:
            with self._lanes.one() as graphed, on_stream(graphed.stream):
                yield graphed
        except torch.OutOfMemoryError:
            self.release()
            self._lanes = Lanes(self.graphed[:1])
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


class CoarseStage(DiffusionStage):
    """Text -> coarse voxels, by dense diffusion on a full cube of latents."""

    stage: Stage = "coarse"

    def __init__(
        self, config: StageConfig, unet: DenseUNet, decoder: Decoder, scale_factor: float, null: TextEmbedding,
        runtime: Runtime = REFERENCE,
    ) -> None:  # fmt: skip
        assert isinstance(config.unet, DenseUNetConfig)
        self.resolution, self.channels = config.unet.image_size, config.unet.in_channels
        self.unet = prepare(unet, runtime.device, runtime.dtype, config.schedule.num_train_timesteps)
        self.null = null.tokens
        self._grid = runtime.grids.dense(self.resolution, 1, runtime.device)
        super().__init__(config, decoder, scale_factor, runtime)

    def start(
        self, text: TextEmbedding, *, seed: int, steps: int = 100, guidance_scale: float = 7.5, scheduler: str = "ddim"
    ) -> DiffusionState:
        """A state of pure noise.

        Args:
            text: The prompt.
            seed: Any integer, taken modulo 2 ** 64.
            steps: Denoising steps in all, 1 to 1000.
            guidance_scale: s in pred + s * (pred - null); exactly 1.0 switches guidance off.
            scheduler: One of `models.schedulers.SCHEDULERS`.
        """
        x = noise(seed, self.stage, INITIAL, self.resolution**3, self.channels)
        return DiffusionState(self.stage, seed, steps, 0, scheduler, guidance_scale, x, text.tokens)

    def grid(self, state: DiffusionState) -> Grid:
        """The full cube, the same for every state."""
        return self._grid

    def batch_key(self, state: DiffusionState) -> str:
        """All coarse states share batches."""
        return self.stage

    def _graphed(self, lane: Lane) -> GraphedCoarse:
        return GraphedCoarse(self.config, self.unet, self.null, self.runtime, lane)

    def _predict(self, state: DiffusionState, timestep: int) -> Tensor:
        trunk = self.unet.before_text(cube_of(state.x[None], self.resolution), torch.tensor([timestep]))
        texts = [state.text] if state.guidance_scale == 1.0 else [state.text, self.null]
        predictions = share(lambda text: latents_of(self.unet.after_text(trunk, self._context(text)))[0], texts)
        if state.guidance_scale == 1.0:
            return predictions[0]
        conditional, unconditional = predictions
        return conditional + state.guidance_scale * (conditional - unconditional)


class FineStage(DiffusionStage):
    """Coarse voxels and text -> fine voxels, by sparse diffusion of one latent a coarse voxel. Never guided."""

    stage: Stage = "fine"

    def __init__(
        self, config: StageConfig, unet: SparseUNet, decoder: Decoder, scale_factor: float,
        runtime: Runtime = REFERENCE,
    ) -> None:  # fmt: skip
        assert isinstance(config.unet, SparseUNetConfig)
        self.channels = config.unet.out_channels
        self.unet = prepare(unet, runtime.device, runtime.dtype, config.schedule.num_train_timesteps)
        self._grids: LRUCache[Grid] = LRUCache(GRIDS_KEPT)
        super().__init__(config, decoder, scale_factor, runtime)

    def start(
        self, coarse: Voxels, text: TextEmbedding, *, seed: int, steps: int = 100, scheduler: str = "ddim"
    ) -> DiffusionState:
        """A state of pure noise on the voxels of a coarse shape.

        Args:
            coarse: The shape to refine.
            text: The prompt.
            seed: Any integer, taken modulo 2 ** 64.
            steps: Denoising steps in all, 1 to 1000.
            scheduler: One of `models.schedulers.SCHEDULERS`.

        Raises:
            ValueError: The coarse shape has no voxel.
        """
        if not len(coarse):
            raise ValueError("the coarse shape has no voxel: there is nothing to refine")
        x = noise(seed, self.stage, INITIAL, len(coarse), self.channels)
        return DiffusionState(
            self.stage, seed, steps, 0, scheduler, 1.0, x, text.tokens,
            torch.from_numpy(coarse.ijk), normalise_condition(torch.from_numpy(coarse.normal)),
        )  # fmt: skip

    def examples(self) -> Iterator[Voxels]:
        """Shapes without meaning of 512 voxels, of twice as many, and so on, as far as real ones go."""
        side = self.config.vae.latent_resolution
        for size in (1 << power for power in range(9, 18)):
            if size <= side**3:
                rows = torch.arange(size)[:, None]
                ijk = rows // torch.tensor([side**2, side, 1]) % side - side // 2
                up = torch.tensor([0.0, 0.0, 1.0]).repeat(size, 1)
                yield Voxels(ijk.short().numpy(), up.numpy(), 1 / side)

    def grid(self, state: DiffusionState) -> Grid:
        """The coarse voxels of a state; states of the same shape share one grid."""
        ijk = state.ijk
        assert ijk is not None
        return self._grids.get(self._digests.of(ijk), lambda: self._new_grid(ijk))

    def _new_grid(self, ijk: Tensor) -> Grid:
        grid = self.runtime.grids.from_ijk(ijk.to(self.device))
        if self._decoding_stream is not None:  # threads share it, each with a stream: nothing may be left to be made
            assert isinstance(self.config.unet, SparseUNetConfig)
            grid.prepare(len(self.config.unet.channel_mult))
            torch.cuda.current_stream(self.device).synchronize()
        return grid

    def batch_key(self, state: DiffusionState) -> str:
        """On a GPU, small states of about the same number of voxels share batches."""
        for graphed in self.graphed[:1]:
            assert isinstance(graphed, GraphedFine)
            if graphed.shares_batches(state):
                return f"{self.stage} {rooms_for((len(state.x),))[0]}"  # a guess, for which no grid has to be made
        return ""

    def _graphed(self, lane: Lane) -> GraphedFine:
        return GraphedFine(self.config, self.unet, self.runtime, lane, self.grid)

    def release(self) -> None:
        """See `DiffusionStage.release`."""
        self._grids.clear()
        super().release()

    def _predict(self, state: DiffusionState, timestep: int) -> Tensor:
        assert state.normal is not None
        grid = self.grid(state)
        features = with_voxels(state.x, grid.ijk, state.normal)
        v: Tensor = self.unet(features, grid, torch.tensor([timestep]), self._context(state.text))
        return v.float()


def normalise_condition(normals: Tensor) -> Tensor:
    """Normals [N, 3] as the fine model's input: n / (|n| + 1e-6), twice, because once does not settle tiny ones."""
    for _ in range(2):
        normals = normals / (normals.norm(dim=1, keepdim=True) + 1e-6)
    return normals
