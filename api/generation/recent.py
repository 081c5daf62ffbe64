"""Results that were made a moment ago, so that nobody waits for the same shape twice."""

from __future__ import annotations

from collections import OrderedDict

from api.schemas import GenerateRequest
from models.shape import Shape


class RecentResults:
    """The latest results by request, as many as fit into a number of bytes; for the event loop's thread only."""

    def __init__(self, max_bytes: int) -> None:
        self.max_bytes = max_bytes
        self._results: OrderedDict[tuple[str, GenerateRequest], Shape] = OrderedDict()
        self._bytes = 0

    def put(self, bits: str, request: GenerateRequest, result: Shape) -> None:
        """Keeps the result of a request, under the seed that was used; the oldest ones make room for it.

        Args:
            bits: `Status.bits` of who made it: another arithmetic or other weights would give other bytes.
            request: The request.
            result: Its result.
        """
        if _size(result) > self.max_bytes:
            return
        key = bits, request.model_copy(update={"seed": result.seed})
        self._forget(key)
        self._results[key] = result
        self._bytes += _size(result)
        while self._bytes > self.max_bytes:
            self._forget(next(iter(self._results)))

    def get(self, bits: str, request: GenerateRequest) -> Shape | None:
        """The result of an equal request that names its seed, if it is still there."""
        key = bits, request
        result = self._results.get(key)
        if result is not None:
            self._results.move_to_end(key)
        return result

    def _forget(self, key: tuple[str, GenerateRequest]) -> None:
        if (result := self._results.pop(key, None)) is not None:
            self._bytes -= _size(result)


def _size(result: Shape) -> int:
    stages = (result.coarse, result.fine)
    return len(result.latent) + sum(voxels.ijk.nbytes + voxels.normal.nbytes for voxels in stages if voxels is not None)
