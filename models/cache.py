"""A small least-recently-used cache for what a stage can rebuild: neighbour tables, text keys and values."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from hashlib import blake2b
from typing import Generic, TypeVar

from torch import Tensor

V = TypeVar("V")


class LRUCache(Generic[V]):
    """Keeps the `capacity` values used last. Threads may share one: each value is built once."""

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self._values: OrderedDict[Hashable, V] = OrderedDict()
        self._lock = threading.RLock()

    def __len__(self) -> int:
        return len(self._values)

    def get(self, key: Hashable, build: Callable[[], V]) -> V:
        """The value of `key`, built now if it is not kept."""
        with self._lock:
            if key not in self._values:
                self._values[key] = build()
                while len(self._values) > self.capacity:
                    self._values.popitem(last=False)
            self._values.move_to_end(key)
            return self._values[key]

    def clear(self) -> None:
        """Forgets everything."""
        with self._lock:
            self._values.clear()


class Digests:
    """Digests of tensors that do not change, each computed once while the tensor is in use."""

    def __init__(self, capacity: int) -> None:
        self._known: LRUCache[tuple[Tensor, bytes]] = LRUCache(capacity)

    def __len__(self) -> int:
        return len(self._known)

    def of(self, tensor: Tensor) -> bytes:
        """The digest of a tensor, see `digest`."""
        # The tensor is kept as well: as long as it lives, no other one has its id.
        return self._known.get(id(tensor), lambda: (tensor, digest(tensor)))[1]

    def clear(self) -> None:
        """Forgets everything."""
        self._known.clear()


def digest(tensor: Tensor) -> bytes:
    """A 16-byte name of a tensor's values, shape and type."""
    array = tensor.detach().cpu().contiguous().numpy()
    return blake2b(array.tobytes(), digest_size=16, key=f"{array.dtype}{array.shape}".encode()).digest()
