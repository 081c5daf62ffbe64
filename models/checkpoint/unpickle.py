"""Unpickling without running what a file carries.

A pickle is a program that may call any function it can name. Here every name is looked up in a list before the
program starts, and again when it asks for one: plain containers and torch's own rebuild functions are let through,
the last as stand-ins that only write down where a tensor lies; objects of omegaconf, Lightning and pathlib become
inert placeholders; any other name ends the reading.
"""

from __future__ import annotations

import io
import pickle
import pickletools
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import torch

from models.errors import CheckpointError


@dataclass(frozen=True)
class Storage:
    """A block of `numel` numbers under the name `key` in the archive; `dtype` is None for untyped bytes."""

    key: str
    dtype: torch.dtype | None
    numel: int


@dataclass(frozen=True)
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
        for kind in (dict, list, set, frozenset, tuple, int, float, complex, bool)
    },
    "__builtin__.long": int,
    "torch.Size": tuple,
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
_KNOWN: frozenset[str] = frozenset({*_CONTAINERS, *_STORAGES, *_DTYPE_NAMES, *_REBUILDERS})
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


def plain(value: Any, depth: int = 0) -> Any:
    """Placeholders of omegaconf as the plain dicts, lists and values they carry; other placeholders become None."""
    if depth > 64:
        return None
    if isinstance(value, Placeholder):
        state = value.state if isinstance(value.state, dict) else {}
        content = state.get("_content", state.get("_val"))
        return plain(content, depth + 1)
    if isinstance(value, dict):
        return {key: plain(item, depth + 1) for key, item in value.items() if isinstance(key, str | int)}
    if isinstance(value, list | tuple):
        return [plain(item, depth + 1) for item in value]
    return value if isinstance(value, str | int | float | bool) else None


class _Unpickler(pickle.Unpickler):
    """Looks names up in this module's lists alone, and makes everything it hands out anew for each file."""

    def __init__(self, data: bytes, source: str) -> None:
        super().__init__(io.BytesIO(data))
        self._source = source
        self._placeholders: dict[str, type] = {}

    def find_class(self, module: str, name: str) -> Any:
        full = f"{module}.{name}"
        if full in _CONTAINERS:
            return _CONTAINERS[full]
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


@dataclass(frozen=True)
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
        if len(record.shape) != len(record.stride) or min((record.offset, *record.shape, *record.stride)) < 0:
            raise ValueError("a tensor with an impossible shape")
        return record

    return parameter if "parameter" in name else tensor


def _names(data: bytes, source: str) -> list[str]:
    """Every name that the pickle could look up, read off its instructions without running them."""
    names: list[str] = []
    strings: list[str | None] = []  # what the last two instructions pushed: a string, or None for anything else
    memo: dict[int, str | None] = {}
    try:
        for opcode, argument, _position in pickletools.genops(data):
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
    return f"{source}: refused, because it would run {name}, which no checkpoint needs; get the file from its publisher"


def _damage(source: str, error: Exception) -> str:
    return f"{source}: its table of contents is damaged ({type(error).__name__}); download the file again"
