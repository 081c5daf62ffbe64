"""The two diffusion stages: from a state of pure noise to coarse voxels, and from these to fine ones."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from models.cache import LRUCache
from models.config import DenseUNetConfig, SparseUNetConfig, Stage, StageConfig
from models.dense import DenseUNet, cube_of, latents_of
from models.errors import StateError
from models.graphed import Lane
from models.graphed_coarse import GraphedCoarse
from models.graphed_fine import GraphedFine
from models.grids import Grid, rooms_for
from models.joining import Box
from models.noise import INITIAL, noise
from models.precision import UNet, prepare
from models.runtime import REFERENCE, Runtime
from models.shape import Voxels
from models.sparse import SparseUNet, with_voxels
from models.stage import DiffusionStage
from models.state import ALWAYS, DiffusionState
from models.strength import steps_taken
from models.text import TextEmbedding
from models.threads import share
from models.vae import Decoder

GRIDS_KEPT = 32


class CoarseStage(DiffusionStage):
    """Text -> coarse voxels, by dense diffusion on a full cube of latents."""

    stage: Stage = "coarse"

    def __init__(
        self, config: StageConfig, unet: DenseUNet, decoder: Decoder, scale_factor: float, null: TextEmbedding,
        runtime: Runtime = REFERENCE,
    ) -> None:  # fmt: skip
        assert isinstance(config.unet, DenseUNetConfig)
        self.resolution, self.channels = config.unet.image_size, config.unet.in_channels
        self.unet = prepared(unet, config, runtime)
        self.null = null.tokens
        self._grid = runtime.grids.dense(self.resolution, 1, runtime.device)
        super().__init__(config, decoder, scale_factor, runtime)

    def _take(self, unet: DenseUNet) -> None:
        self.unet = prepared(unet, self.config, self.runtime)

    def start(
        self, text: TextEmbedding, *, seed: int, steps: int = 100, guidance_scale: float = 7.5, scheduler: str = "ddim",
        guidance_interval: tuple[float, float] = ALWAYS,
    ) -> DiffusionState:  # fmt: skip
        """A state of pure noise.

        Args:
            text: The prompt.
            seed: Any integer, taken modulo 2 ** 64.
            steps: Denoising steps in all, 1 to 1000.
            guidance_scale: s in pred + s * (pred - null); exactly 1.0 switches guidance off.
            scheduler: One of `models.schedulers.SCHEDULERS`.
            guidance_interval: The part of the run in which guidance is applied, from 0 at pure noise to 1.
        """
        x = noise(seed, self.stage, INITIAL, self.resolution**3, self.channels)
        return DiffusionState(
            self.stage, seed, steps, 0, scheduler, guidance_scale, x, text.tokens,
            guidance_interval=guidance_interval, network=self.network,
        )  # fmt: skip

    def vary(
        self, origin: DiffusionState, text: TextEmbedding, *, seed: int, strength: float, box: Box | None = None,
        steps: int = 100, guidance_scale: float = 7.5, scheduler: str = "ddim",
        guidance_interval: tuple[float, float] = ALWAYS,
    ) -> DiffusionState:  # fmt: skip
        """A state on the way from another shape, as noisy as `strength` says.

        Args:
            origin: The finished state of that shape.
            text: The prompt.
            seed: Any integer, taken modulo 2 ** 64.
            strength: Above 0 to 1: which part of the run is taken. With 1 and no box nothing of the shape is left, and
                the state is that of `start`.
            box: All that may change; the latents of everything else stay.
            steps: Denoising steps of a whole run, 1 to 1000.
            guidance_scale: See `start`.
            scheduler: See `start`.
            guidance_interval: See `start`; a part of the whole run.

        Raises:
            ValueError: The strength is no number above 0 to 1.
            StateError: The shape's state is not finished, or that of another model.
        """
        if not 0 < strength <= 1:
            raise ValueError(f"strength must be above 0 and at most 1, not {strength}")
        origin.check(self.config)
        if not origin.done:
            raise StateError("the shape to vary is not finished: denoise it to its last step")
        state = self.start(
            text, seed=seed, steps=steps, guidance_scale=guidance_scale, scheduler=scheduler,
            guidance_interval=guidance_interval,
        )  # fmt: skip
        state, clean = replace(state, step=steps - steps_taken(steps, strength)), origin.x.cpu()
        if state.step:
            state = replace(state, x=self.noised(state, clean))
        if box is None:
            return state
        cells = self._grid.ijk.cpu().numpy()
        free = torch.from_numpy(box.meets(cells, self.config.voxel_size, self.config.vae.factor))
        return self._kept(replace(state, known=clean, free=free))

    def grid(self, state: DiffusionState) -> Grid:
        """The full cube, the same for every state."""
        return self._grid

    def batch_key(self, state: DiffusionState) -> str:
        """All coarse states of a network share batches."""
        return f"{self.stage} {self.network}"

    def _graphed(self, lane: Lane) -> GraphedCoarse:
        return GraphedCoarse(self.config, self.unet, self.null, self.runtime, lane)

    def _predict(self, state: DiffusionState, timestep: int) -> Tensor:
        trunk = self.unet.before_text(cube_of(state.x[None], self.resolution), torch.tensor([timestep]))
        texts = [state.text, self.null] if state.guided else [state.text]
        predictions = share(lambda text: latents_of(self.unet.after_text(trunk, self._context(text)))[0], texts)
        if not state.guided:
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
        self.unet = prepared(unet, config, runtime)
        self._grids: LRUCache[Grid] = LRUCache(GRIDS_KEPT)
        super().__init__(config, decoder, scale_factor, runtime)

    def _take(self, unet: SparseUNet) -> None:
        self.unet = prepared(unet, self.config, self.runtime)

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
            torch.from_numpy(coarse.ijk), normalise_condition(torch.from_numpy(coarse.normal)), network=self.network,
        )  # fmt: skip

    @torch.inference_mode()
    def load_kernels(self) -> None:
        """See `DiffusionStage.load_kernels`."""
        for _ in self.graphed[:1]:
            with self._lane() as graphed:
                assert isinstance(graphed, GraphedFine)
                graphed.load_kernels(self.config.vae.latent_resolution**3)
        super().load_kernels()

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
                rooms = rooms_for((len(state.x),))[0]  # a guess, for which no grid has to be made
                return f"{self.stage} {self.network} {rooms}"
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


def prepared(unet: UNet, config: StageConfig, runtime: Runtime) -> UNet:
    """A U-Net ready to run in a stage."""
    return prepare(unet, runtime.device, runtime.dtype, config.schedule.num_train_timesteps)


def normalise_condition(normals: Tensor) -> Tensor:
    """Normals [N, 3] as the fine model's input: n / (|n| + 1e-6), twice, because once does not settle tiny ones."""
    for _ in range(2):
        normals = normals / (normals.norm(dim=1, keepdim=True) + 1e-6)
    return normals
