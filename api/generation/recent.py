"""Results that were made a moment ago, so that a shape on somebody's screen can be had as a file without new work."""

from __future__ import annotations

from collections import OrderedDict

from api.schemas import GenerateRequest
from models.shape import Shape


class RecentResults:
    """The latest results by request, as many as fit into a number of bytes; for the event loop's thread only."""

    def __init__(self, max_bytes: int) -> None:
        self.max_bytes = max_bytes
        self._results: OrderedDict[GenerateRequest, Shape] = OrderedDict()
        self._bytes = 0

    def put(self, request: GenerateRequest, result: Shape) -> None:
        """Keeps the result of a request, under the seed that was used; the oldest ones make room for it."""
        if _size(result) > self.max_bytes:
            return
        key = request.model_copy(update={"seed": result.seed})
        self._forget(key)
        self._results[key] = result
        self._bytes += _size(result)
        while self._bytes > self.max_bytes:
            self._forget(next(iter(self._results)))

    def get(self, request: GenerateRequest) -> Shape | None:
        """The result of an equal request that names its seed, if it is still there."""
        result = self._results.get(request)
        if result is not None:
            self._results.move_to_end(request)
        return result

    def _forget(self, key: GenerateRequest) -> None:
        if (result := self._results.pop(key, None)) is not None:
            self._bytes -= _size(result)


def _size(result: Shape) -> int:
    stages = (result.coarse, result.fine)
    return sum(voxels.ijk.nbytes + voxels.normal.nbytes for voxels in stages if voxels is not None)
