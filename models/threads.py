"""Several CPU threads for one computation, without a changed bit.

PyTorch's own threads divide sums, so their number shows in the last bits; and they wait for each other by spinning,
which can make a step 20 times as long where another program wants one of their cores. What is shared out here are whole
pieces: samples, texts, blocks of rows. Each is computed as if it were alone, so the result does not depend on how many
threads there are, nor on which of them took a piece.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

import torch

from models.cores import default_threads

MOST_LANES = 2
"""Guidance makes two rows of a sample; threads beyond that serve PyTorch, the same number in each lane."""
MOST_ROWS = 512
"""Rows of a block, which is done with before it leaves the cache: 1.4 to 2.3 times as fast on 10,000 voxels."""
LEAST_ROWS = 128
"""Fewer are not worth the way to another thread."""
T = TypeVar("T")
R = TypeVar("R")


class _Team:
    """Who works on shared pieces: the caller, and `lanes` - 1 threads, started when they are needed."""

    def __init__(self, lanes: int) -> None:
        self.lanes = lanes
        self.helpers = ThreadPoolExecutor(max(1, lanes - 1), "lane", torch.set_num_threads, (torch.get_num_threads(),))


class _Place(threading.local):
    """Whether this thread is inside of a piece: what belongs to it is not shared out again."""

    busy = False


_team = _Team(1)
_chosen = False
_place = _Place()


def use(threads: int) -> None:
    """Divides so many CPU threads among lanes of the same size.

    Bits depend on the size alone, which PyTorch uses for each piece: 1, 2 and 3 threads give the same, so do 4 and 5.
    """
    global _team, _chosen
    _chosen = True
    _team.helpers.shutdown(wait=False)
    lanes = min(MOST_LANES, threads)
    torch.set_num_threads(threads // lanes)
    _team = _Team(lanes)


def use_by_default() -> None:
    """Divides the threads of `models.cores.default_threads`, or of PyTorch if those are fewer, if nobody has chosen."""
    if not _chosen:
        use(min(default_threads(), torch.get_num_threads()))


def lanes() -> int:
    """How many pieces are worked on at a time from here: 1 inside of a piece, and where gradients are recorded."""
    return 1 if _place.busy or torch.is_grad_enabled() else _team.lanes


def share(function: Callable[[T], R], items: Sequence[T]) -> list[R]:
    """`function` of every item, in their order.

    Items that are too few for all lanes come last, one by one, so that their own pieces can be shared out. The first
    exception is raised once every lane has left its piece.
    """
    count = lanes()
    whole = len(items) - len(items) % count
    if count == 1 or not whole:
        return [function(item) for item in items]
    results: dict[int, R] = {}
    waiting = iter(range(whole))
    inference = torch.is_inference_mode_enabled()

    def work() -> None:
        with alone(), torch.inference_mode(inference), torch.no_grad():
            try:
                for index in waiting:
                    results[index] = function(items[index])
            finally:
                for _ in waiting:  # after an error nobody begins another piece
                    pass

    helping = [_team.helpers.submit(work) for _ in range(count - 1)]
    try:
        work()
    finally:
        errors = [helper.exception() for helper in helping]  # waits for them
    for error in filter(None, errors):
        raise error
    return [results[index] for index in range(whole)] + [function(item) for item in items[whole:]]


def block_size(rows: int, times: int = 1) -> int:
    """Rows of each block of so many, the last one excepted: as many blocks as all lanes can take, of about one size.

    times: how many times `MOST_ROWS` a block may have.
    """
    if rows < 2 * LEAST_ROWS:
        return max(1, rows)
    rounds = -(-rows // (MOST_LANES * MOST_ROWS * times))
    return -(-rows // (MOST_LANES * rounds))


@contextmanager
def alone() -> Iterator[None]:
    """What this thread does in here it does by itself."""
    before, _place.busy = _place.busy, True
    try:
        yield
    finally:
        _place.busy = before
