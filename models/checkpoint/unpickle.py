"""Unpickling without running what a file carries.

A pickle is a program that may call any function it can name. Here every name is looked up in a list before the
program starts, and again when it asks for one: plain containers and torch's own rebuild functions are let through,
the last as stand-ins that only write down where a tensor lies; objects of omegaconf, Lightning and pathlib become
inert placeholders; any other name ends the reading.

A pickle may also ask for work without end: tuples and frozensets that hold each other many times over take for ever to
hash or compare. So the interpreter is Python's own in Python, which lets us count what they come to.
"""

from __future__ import annotations

import io
import math
import pickle
import pickletools
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from reprlib import repr as short
from typing import Any, ClassVar

import torch

from models.errors import CheckpointError


@dataclass(frozen=True, slots=True)
class Storage:
    """A block of `numel` numbers under the name `key` in the archive; `dtype` is None for untyped bytes."""

    key: str
    dtype: torch.dtype | None
    numel: int


@dataclass(frozen=True, slots=True)
class TensorRecord:
    """Where a tensor lies: offset and strides are counted in elements of `storage`."""

    storage: Storage
    dtype: torch.dtype
    offset: int
    shape: tuple[int, ...]
    stride: tuple[int, ...]


class Placeholder:
    """Stands for an object that nothing here needs: takes every value a pickle puts into it and does nothing."""

    def __init__(self, *arguments: Any, **keywords: Any) -> None:
        self.items: list[Any] = []
        self.entries: dict[Any, Any] = {}
        self.state: Any = None

    def __new__(cls, *arguments: Any, **keywords: Any) -> Placeholder:
        """Takes any arguments, since unpickling has some for each class."""
        made = super().__new__(cls)
        made.__init__()  # type: ignore[misc]  # unpickling may skip it
        return made

    def __setstate__(self, state: Any) -> None:
        self.state = state

    def __setitem__(self, key: Any, value: Any) -> None:
        self.entries[key] = value

    def append(self, value: Any) -> None:
        """Keeps an item, as of a list."""
        self.items.append(value)

    def extend(self, values: Iterable[Any]) -> None:
        """Keeps items, as of a list."""
        self.items.extend(values)

    def add(self, value: Any) -> None:
        """Keeps an item, as of a set."""
        self.items.append(value)


_CONTAINERS: dict[str, Any] = {
    "collections.OrderedDict": OrderedDict,
    "collections.defaultdict": defaultdict,
    **{
        f"{module}.{kind.__name__}": kind
        for module in ("builtins", "__builtin__")
        for kind in (dict, list, set, int, float, complex, bool)
    },
    "__builtin__.long": int,
}
_HASHED: dict[str, type[tuple[Any, ...]] | type[frozenset[Any]]] = {
    "builtins.tuple": tuple,
    "__builtin__.tuple": tuple,
    "torch.Size": tuple,
    "builtins.frozenset": frozenset,
    "__builtin__.frozenset": frozenset,
}
_DTYPES = {
    "Double": torch.float64,
    "Float": torch.float32,
    "Half": torch.float16,
    "BFloat16": torch.bfloat16,
    "Long": torch.int64,
    "Int": torch.int32,
    "Short": torch.int16,
    "Char": torch.int8,
    "Byte": torch.uint8,
    "Bool": torch.bool,
}
_STORAGES: dict[str, torch.dtype | None] = {
    **{f"{module}.{name}Storage": dtype for module in ("torch", "torch.storage") for name, dtype in _DTYPES.items()},
    "torch.storage.UntypedStorage": None,
    "torch.UntypedStorage": None,
}
_DTYPE_NAMES = {str(dtype): dtype for dtype in _DTYPES.values()}
_REBUILDERS = frozenset(
    f"torch._utils.{name}"
    for name in (
        "_rebuild_tensor",
        "_rebuild_tensor_v2",
        "_rebuild_tensor_v3",
        "_rebuild_parameter",
        "_rebuild_parameter_with_state",
    )
)
_KNOWN: frozenset[str] = frozenset({*_CONTAINERS, *_HASHED, *_STORAGES, *_DTYPE_NAMES, *_REBUILDERS})
_MOST_INSTRUCTIONS = 2_000_000
_MOST_VALUES = 100_000
"""Values in one tuple, or in all hyper-parameters, each counted as often as it is reached."""
_DEEPEST = 64
_LONGEST_NAME = 200
_MOST_DIMENSIONS = 8
_MOST_NUMBERS = 2**48
_INERT_PACKAGES = ("omegaconf", "pytorch_lightning", "lightning", "lightning_fabric", "pathlib")
_INERT_NAMES = frozenset({"typing.Any", "torch.device"})
_STRINGS = frozenset(
    {"UNICODE", "BINUNICODE", "BINUNICODE8", "SHORT_BINUNICODE", "STRING", "BINSTRING", "SHORT_BINSTRING"}
)


def unpickle(data: bytes, source: str) -> Any:
    """The object in `data`, tensors as `TensorRecord`. Raises CheckpointError, naming `source`, before anything runs.

    It is raised for a name that no checkpoint needs, and for data that is damaged.
    """
    for name in _names(data, source):
        if not _allowed(name):
            raise CheckpointError(_refusal(name, source))
    try:
        return _Unpickler(data, source).load()
    except CheckpointError:
        raise
    except Exception as error:  # damaged data can make the interpreter of pickles fail in any way
        raise CheckpointError(_damage(source, error)) from error


def is_name(key: object) -> bool:
    """Whether a key may be that of a tensor, and may stand in a message."""
    return isinstance(key, str) and len(key) <= _LONGEST_NAME and key.isprintable()


def plain(value: Any) -> Any:
    """Placeholders of omegaconf as the plain dicts, lists and values they carry; other placeholders become None.

    What lies deeper than 64 levels, or behind the first 100,000 values, becomes None too.
    """
    return _plain(value, 0, iter(range(_MOST_VALUES)))


def _plain(value: Any, depth: int, budget: Iterator[int]) -> Any:
    if depth > _DEEPEST or next(budget, None) is None:
        return None
    if isinstance(value, Placeholder):
        state = value.state if isinstance(value.state, dict) else {}
        content = state.get("_content", state.get("_val"))
        return _plain(content, depth + 1, budget)
    if isinstance(value, dict):
        return {key: _plain(item, depth + 1, budget) for key, item in value.items() if isinstance(key, str | int)}
    if isinstance(value, list | tuple):
        return [_plain(item, depth + 1, budget) for item in value]
    return value if isinstance(value, str | int | float | bool) else None


class _Unpickler(pickle._Unpickler):
    """Looks names up in this module's lists alone, and makes everything it hands out anew for each file."""

    stack: list[Any]
    pop_mark: Callable[[], list[Any]]
    dispatch: ClassVar[dict[int, Callable[..., None]]] = dict(pickle._Unpickler.dispatch)

    def __init__(self, data: bytes, source: str) -> None:
        super().__init__(io.BytesIO(data))
        self._source = source
        self._placeholders: dict[str, type] = {}
        self._sizes: dict[int, tuple[Any, int]] = {}  # by id: what has it, so that nothing else gets it, and its size

    def find_class(self, module: str, name: str) -> Any:
        full = f"{module}.{name}"
        if full in _CONTAINERS:
            return _CONTAINERS[full]
        if full in _HASHED:
            return partial(self._hashed, _HASHED[full])
        if full in _STORAGES:
            return _StorageType(_STORAGES[full])
        if full in _DTYPE_NAMES:
            return _DTYPE_NAMES[full]
        if full in _REBUILDERS:
            return _rebuilder(name)
        if _inert(full):
            return self._placeholders.setdefault(full, type(name, (Placeholder,), {}))
        raise CheckpointError(_refusal(full, self._source))

    def persistent_load(self, pid: Any) -> Storage:
        kind, storage, key, _location, numel = pid
        if kind != "storage" or not isinstance(storage, _StorageType) or not isinstance(key, str):
            raise ValueError("unknown kind of reference")
        return Storage(key, storage.dtype, int(numel))

    def _hashed(self, kind: Callable[[Iterable[Any]], Any], values: Iterable[Any] = ()) -> Any:
        """A tuple or frozenset, unless it comes to too many values."""
        values = list(values)
        size = 1 + sum(self._sizes.get(id(value), (None, 1))[1] for value in values)
        if size > _MOST_VALUES:
            raise ValueError("values that hold each other too many times over")
        made = kind(values)
        self._sizes[id(made)] = made, size
        return made

    def _load_hashed(self, kind: Callable[[Iterable[Any]], Any]) -> None:
        values = self.pop_mark()
        self.stack.append(self._hashed(kind, values))

    def _load_tuple(self, count: int) -> None:
        self.stack[-count:] = [self._hashed(tuple, self.stack[-count:])]

    dispatch[pickle.TUPLE[0]] = partial(_load_hashed, kind=tuple)
    dispatch[pickle.FROZENSET[0]] = partial(_load_hashed, kind=frozenset)
    dispatch[pickle.TUPLE1[0]] = partial(_load_tuple, count=1)
    dispatch[pickle.TUPLE2[0]] = partial(_load_tuple, count=2)
    dispatch[pickle.TUPLE3[0]] = partial(_load_tuple, count=3)


@dataclass(frozen=True, slots=True)
class _StorageType:
    dtype: torch.dtype | None


def _rebuilder(name: str) -> Callable[..., TensorRecord]:
    def parameter(data: Any, *_: Any) -> TensorRecord:
        if not isinstance(data, TensorRecord):
            raise TypeError("a parameter without a tensor")
        return data

    def tensor(storage: Any, offset: int, shape: Any, stride: Any, *rest: Any) -> TensorRecord:
        dtype = rest[2] if name == "_rebuild_tensor_v3" else storage.dtype
        if not isinstance(storage, Storage) or not isinstance(dtype, torch.dtype):
            raise TypeError("a tensor without a storage")
        record = TensorRecord(storage, dtype, int(offset), tuple(map(int, shape)), tuple(map(int, stride)))
        numbers = (record.offset, *record.shape, *record.stride)
        if len(record.shape) != len(record.stride) or min(numbers) < 0:
            raise ValueError("a tensor with an impossible shape")
        if len(record.shape) > _MOST_DIMENSIONS or max(*numbers, math.prod(record.shape)) > _MOST_NUMBERS:
            raise ValueError("a tensor with an impossible shape")
        return record

    return parameter if "parameter" in name else tensor


def _names(data: bytes, source: str) -> list[str]:
    """Every name that the pickle could look up, read off its instructions without running them."""
    names: list[str] = []
    strings: list[str | None] = []  # what the last two instructions pushed: a string, or None for anything else
    memo: dict[int, str | None] = {}
    try:
        for count, (opcode, argument, _position) in enumerate(pickletools.genops(data)):
            if count > _MOST_INSTRUCTIONS:
                raise OverflowError("more instructions than any checkpoint has")
            if opcode.name in ("GLOBAL", "INST"):
                names.append(str(argument).replace(" ", "."))
                strings.append(None)
            elif opcode.name == "STACK_GLOBAL":
                module, name = [None, None, *strings][-2:]
                names.append(f"{module}.{name}" if module and name else "(a name made up while reading)")
                strings.append(None)
            elif opcode.name in ("EXT1", "EXT2", "EXT4"):
                names.append(f"(extension {argument})")
            elif opcode.name in ("MEMOIZE", "PUT", "BINPUT", "LONG_BINPUT"):
                slot = len(memo) if argument is None else int(argument)
                memo[slot] = strings[-1] if strings else None
            elif opcode.name in ("GET", "BINGET", "LONG_BINGET"):
                strings.append(memo.get(int(str(argument))))
            elif opcode.name not in ("PROTO", "FRAME"):
                strings.append(argument if opcode.name in _STRINGS else None)
            del strings[:-2]
    except Exception as error:
        raise CheckpointError(_damage(source, error)) from error
    return names


def _allowed(name: str) -> bool:
    return _inert(name) or name in _KNOWN


def _inert(name: str) -> bool:
    return name.split(".")[0] in _INERT_PACKAGES or name in _INERT_NAMES


def _refusal(name: str, source: str) -> str:
    return (
        f"{source}: refused, because it would run {_shortened(name)}, which no checkpoint needs; "
        "get the file from its publisher"
    )


def _shortened(text: str) -> str:
    """A text from a file as it may stand in a message."""
    return text if is_name(text) else short(text)


def _damage(source: str, error: Exception) -> str:
    return f"{source}: its table of contents is damaged ({type(error).__name__}); download the file again"
