"""How long denoising steps take here, as measured, and how many of them fit a slice."""

from __future__ import annotations

_WEIGHT = 0.2
"""Weight of the latest measurement in the running means."""


class StepTimes:
    """Running means of the seconds that one denoising step takes, by stage: of one sample, and of one of its voxels."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._by_voxel: dict[str, float] = {}

    def observe(self, stage: str, steps: int, voxels: int, seconds: float) -> None:
        """Takes in what a batch took.

        Args:
            stage: "coarse" or "fine".
            steps: Steps counted over all samples.
            voxels: Steps counted over all voxels of all samples.
            seconds: Time of the whole batch.
        """
        if steps > 0:
            for means, new in ((self.seconds, seconds / steps), (self._by_voxel, seconds / voxels)):
                old = means.get(stage, new)
                means[stage] = old + _WEIGHT * (new - old)

    def steps_within(self, stage: str, voxels: int, seconds: float) -> int:
        """How many steps of samples with `voxels` voxels in all fit into a time; at least one."""
        step = self._by_voxel.get(stage)
        return max(1, int(seconds / (step * voxels))) if step else 1

    def forget(self, stage: str | None = None) -> None:
        """Forgets what was measured, of one stage or of all."""
        for means in (self.seconds, self._by_voxel):
            for name in list(means) if stage is None else [stage]:
                means.pop(name, None)
