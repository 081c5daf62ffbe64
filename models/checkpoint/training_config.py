"""The YAML files that official models were trained with: includes merged, references resolved, nothing executed."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from pathlib import Path
from reprlib import repr as short
from typing import Any

from models.errors import CheckpointError
from models.files import NotYamlError, is_there, read_yaml

INCLUDES = "include_configs"
_REFERENCE = re.compile(r"\$\{([^${}:]+)\}")
_DEEPEST = 16
_LARGEST = 2**24
_MOST_FILES = 64
_MOST_RESOLVED = 100_000
"""Values and characters that references may come to: a few that name each other could make billions."""


class TrainingConfig:
    """The nested values of a training configuration, read by dotted names; `source` is its file, for messages."""

    def __init__(self, values: Mapping[str, Any], source: str) -> None:
        self.values, self.source = values, source

    def over(self, defaults: Mapping[str, Any]) -> TrainingConfig:
        """This configuration, completed from `defaults` where it has no value."""
        return TrainingConfig(_merge(dict(defaults), _resolved_only(self.values)), self.source)

    def get(self, *names: str) -> Any:
        """The first of the dotted names that has a value; None if none has. Unresolved references have no value."""
        for name in names:
            value = _look_up(self.values, name)
            if value is not None and not (isinstance(value, str) and "${" in value):
                return value
        return None

    def integer(self, *names: str) -> int | None:
        """Like `get`, as an int. Raises CheckpointError for anything else."""
        value = self.get(*names)
        number = _number(value)
        if value is not None and (number is None or number != int(number) or not 0 <= number <= _LARGEST):
            raise CheckpointError(
                f"{self.source}: {names[0]} is {short(value)} but must be a whole number from 0 to {_LARGEST}; "
                "correct it"
            )
        return None if number is None else int(number)

    def number(self, *names: str) -> float | None:
        """Like `get`, as a float; the first entry of a list whose entries are all equal."""
        value = self.get(*names)
        if isinstance(value, list) and value and all(item == value[0] for item in value):
            value = value[0]
        number = _number(value)
        if value is not None and number is None:
            raise CheckpointError(f"{self.source}: {names[0]} is {short(value)} but must be a number; correct it")
        return number

    def integers(self, *names: str) -> tuple[int, ...] | None:
        """Like `get`, as a tuple of ints."""
        value = self.get(*names)
        if value is None:
            return None
        if not isinstance(value, list) or not all(isinstance(item, int) for item in value):
            raise CheckpointError(
                f"{self.source}: {names[0]} is {short(value)} but must be a list of whole numbers; correct it"
            )
        return tuple(value)


def read_training_config(path: Path) -> tuple[TrainingConfig, list[str]]:
    """An official configuration and the files that it includes but that are not there.

    Included files are merged in order, the file's own keys last.

    Raises:
        CheckpointError: A file is no YAML, or includes and references are too many.
    """
    missing: list[str] = []
    merged = _read(path, missing, [], depth=0)
    return TrainingConfig(_Resolver(merged, path).resolve(merged, depth=0), str(path)), missing


def _read(path: Path, missing: list[str], read: list[Path], depth: int) -> dict[str, Any]:
    if depth > _DEEPEST or len(read) >= _MOST_FILES:
        fault = "include each other in a circle" if depth > _DEEPEST else f"lead to more than {_MOST_FILES} files"
        raise CheckpointError(f"{path}: its {INCLUDES} {fault}; remove one of them")
    read.append(path)
    try:
        own = read_yaml(path)
    except NotYamlError as error:
        raise CheckpointError(f"{path}: {error}; get it again") from error
    if not isinstance(own, dict):
        raise CheckpointError(f"{path}: must hold a mapping of settings; get the file again")
    merged: dict[str, Any] = {}
    includes = own.pop(INCLUDES, None) or []
    for name in includes if isinstance(includes, list) else [includes]:
        if not isinstance(name, str):
            raise CheckpointError(f"{path}: {INCLUDES} is {short(includes)} but must be a list of files; correct it")
        included = path.parent / name
        if is_there(included):
            merged = _merge(merged, _read(included, missing, read, depth + 1))
        else:
            missing.append(name)
    return _merge(merged, own)


def _merge(base: dict[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in over.items():
        old = merged.get(key)
        merged[key] = _merge(old, value) if isinstance(old, dict) and isinstance(value, dict) else value
    return merged


def _resolved_only(values: Mapping[str, Any]) -> dict[str, Any]:
    return {
        key: _resolved_only(value) if isinstance(value, dict) else value
        for key, value in values.items()
        if not (isinstance(value, str) and "${" in value)
    }


class _Resolver:
    """Replaces references by what they lead to in `root`, the values of `source`."""

    def __init__(self, root: Mapping[str, Any], source: Path) -> None:
        self._root, self._source = root, source
        self._left = _MOST_RESOLVED

    def resolve(self, value: Any, depth: int) -> Any:
        """`value` with its references replaced; one that leads nowhere, or in a circle, stays as it is written."""
        self._spend(len(value) if isinstance(value, str) else 1)
        if isinstance(value, dict):
            return {key: self.resolve(item, depth) for key, item in value.items()}
        if isinstance(value, list):
            return [self.resolve(item, depth) for item in value]
        if not isinstance(value, str) or depth > _DEEPEST:
            return value
        whole = _REFERENCE.fullmatch(value.strip())
        if whole is not None:
            found = _look_up(self._root, whole[1].strip())
            return value if found is None else self.resolve(found, depth + 1)

        def text(reference: re.Match[str]) -> str:
            found = _look_up(self._root, reference[1].strip())
            made = reference[0] if found is None else str(self.resolve(found, depth + 1))
            self._spend(len(made))
            return made

        return _REFERENCE.sub(text, value)

    def _spend(self, amount: int) -> None:
        self._left -= amount
        if self._left < 0:
            raise CheckpointError(f"{self._source}: its references come to too many values; get the file again")


def _look_up(values: Mapping[str, Any], name: str) -> Any:
    found: Any = values
    for part in name.split("."):
        found = found.get(part) if isinstance(found, Mapping) else None
    return found


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:  # YAML 1.1 reads 1e-4 as a string
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None
