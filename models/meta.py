"""Modules without memory, whose weights are assigned later."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch.overrides import TorchFunctionMode


class _Unfilled(TorchFunctionMode):
    """What fills a tensor does nothing: without memory there is nothing to fill, and it would take seconds.

    PyTorch describes some of these operations in Python, and that imports its compiler.
    """

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        values = dict(kwargs or {})
        if getattr(func, "__module__", None) == "torch.nn.init" or func in _FILLING:
            return args[0] if args else values["tensor"]
        return func(*args, **values)


_FILLING = {torch.Tensor.uniform_, torch.Tensor.normal_, torch.Tensor.fill_, torch.Tensor.triu_}


@contextmanager
def without_memory() -> Iterator[None]:
    """Modules that are made inside have shapes and names, but no memory and no values."""
    with torch.device("meta"), _Unfilled():
        yield
