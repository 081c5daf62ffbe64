"""Fixed memory of samples under way on a GPU, and a whole denoising step on it: prediction, guidance, scheduler.

What changes from step to step is read from a plan on the device, so some steps need nothing of the CPU but their
noise, and one recorded graph serves every step of every sample that fits the memory.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import Generic, TypeVar

import torch
from torch import Tensor

from models.graphs import Graph, Graphs
from models.layers import TextContext
from models.noise import steps_at_once
from models.schedulers import COEFFICIENTS

Layout = TypeVar("Layout")
MOST_STEPS = 64
"""Steps of a plan at most; longer runs take several."""
Forward = Callable[["Slot[Layout]", Tensor, Tensor], Tensor]


class Slot(Generic[Layout]):
    """Room for some samples of one layout: how many rows, or which voxels.

    forward(slot, x, times): the predictions, float32 [S, V, C], for x of that shape at timesteps [S].
    """

    def __init__(
        self, layout: Layout, context: TextContext, texts: Hashable, shape: tuple[int, int, int],
        device: torch.device, forward: Forward[Layout],
    ) -> None:  # fmt: skip
        self.layout = layout
        self.context = context
        self._texts = texts
        self._forward = forward
        self._graph: Graph | None = None
        samples, voxels, channels = shape
        self.x, self.previous = (torch.zeros(shape, device=device) for _ in range(2))
        self.noise = torch.zeros(samples, steps_at_once(voxels * channels), voxels, channels, device=device)
        """For the steps that come next, float32 [S, k, V, C]."""
        self.source = torch.zeros(samples, dtype=torch.int64, device=device)
        self._partner = torch.arange(samples, device=device)
        self._guidance = torch.zeros(samples, 1, 1, device=device)
        self._plan = torch.zeros(MOST_STEPS, COEFFICIENTS, samples, 1, 1, device=device)
        self._times = torch.zeros(MOST_STEPS, samples, dtype=torch.int64, device=device)
        self._step, self._drawn = (torch.zeros(1, dtype=torch.int64, device=device) for _ in range(2))

    def read(self, texts: Hashable, tokens: Callable[[], tuple[Tensor, Tensor, Tensor]]) -> None:
        """Takes other texts, `tokens()`, unless they are those it has; `texts` is their name."""
        if texts != self._texts:
            self.context.refill(*tokens())
            self._texts = texts

    def load(self, x: Sequence[Tensor], previous: Sequence[Tensor | None]) -> None:
        """Takes samples, each [v, C] with v <= V, and the clean latent of their last step where they need it."""
        for place, latest, value, clean in zip(self.x, self.previous, x, previous, strict=False):
            place[: len(value)] = value
            if clean is not None:
                latest[: len(clean)] = clean

    def guide(self, source: Tensor, partner: Tensor, guidance: Tensor) -> None:
        """Says how rows belong together.

        Args:
            source: int64 [S], whose latent each row computes.
            partner: int64 [S], the row without the text of each sample, or its own.
            guidance: float32 [S], by how much the difference between both counts.
        """
        self.source.copy_(source, non_blocking=True)
        self._partner.copy_(partner, non_blocking=True)
        self._guidance.view(-1).copy_(guidance, non_blocking=True)

    def plan(self, times: Tensor, coefficients: Tensor) -> None:
        """The next steps: timesteps int64 [n, B], coefficients float32 [n, B, K] of the first B samples."""
        count, samples = times.shape
        self._times[:count, :samples] = times.to(self._times.device, non_blocking=True)
        turned = coefficients.transpose(1, 2)[..., None, None].contiguous()
        self._plan[:count, :, :samples] = turned.to(self._plan.device, non_blocking=True)
        self._step.zero_()

    def renew(self, noise: Sequence[Tensor | None]) -> None:
        """Takes the noise of the next steps of each sample, [k, v, C]; None where they draw none."""
        for place, drawn in zip(self.noise, noise, strict=False):
            if drawn is not None:
                place[: drawn.shape[0], : drawn.shape[1]].copy_(drawn, non_blocking=True)
        self._drawn.zero_()

    def predict(self, times: Tensor) -> Tensor:
        """The guided predictions [S, V, C] at timesteps [S]."""
        v = self._forward(self, self.x, times)
        return v + self._guidance * (v - v.index_select(0, self._partner))

    def advance(self, graphs: Graphs | None) -> None:
        """Takes the next step of the plan with the noise that is there, as a graph if there are graphs."""
        if graphs is None or not graphs.work:
            self._advance()
        elif self._graph is not None:
            self._graph()
        else:
            changed = (self.x, self.previous, self._step, self._drawn)
            self._graph = graphs.record(self._advance, changed, "steps are slower")
            if self._graph is None:
                self._advance()

    def _advance(self) -> None:
        v = self.predict(self._times.index_select(0, self._step)[0])
        alpha, sigma, clean_share, epsilon_share, noise_share, x_share, change_share = self._plan.index_select(
            0, self._step
        )[0]
        noise = self.noise.index_select(1, self._drawn)[:, 0]
        clean = alpha * self.x - sigma * v
        epsilon = alpha * v + sigma * self.x
        following = clean_share * clean + epsilon_share * epsilon + noise_share * noise
        following = following + x_share * self.x + change_share * (clean - self.previous)
        self.x.copy_(following)
        self.previous.copy_(clean)
        self._step.add_(1)
        self._drawn.add_(1)
