"""Files that come from elsewhere: only regular ones are opened, and a YAML file has limits. Loads no torch."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import Any, BinaryIO

import yaml

LONGEST_YAML = 64 * 2**10
MOST_VALUES = 10_000
_DEEPEST = 64


class NotYamlError(ValueError):
    """A file that is not read as YAML; the text says why, as the end of a sentence."""


def is_there(path: Path) -> bool:
    """Whether there is anything of that name, also what cannot be looked at: opening it then says why."""
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError, ValueError):  # the last for a name with a NUL
        return False
    except OSError:
        pass
    return True


def open_regular(path: Path) -> BinaryIO:
    """Opens a file for reading.

    Raises:
        OSError: It cannot be opened, or is a pipe or a device: reading those may never end.
    """
    file = open(path, "rb", opener=lambda name, flags: os.open(name, flags | os.O_NONBLOCK))  # noqa: SIM115
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise OSError(errno.EINVAL, "it is not a regular file")
    return file


def check_regular(path: Path) -> None:
    """Raises OSError where `open_regular` would: for libraries that open files themselves."""
    open_regular(path).close()


def read_yaml(path: Path) -> Any:
    """The plain values of a YAML file.

    Raises:
        NotYamlError: It is not readable, no YAML, too long, or small but unfolds to too many values by its aliases.
    """
    try:
        with open_regular(path) as file:
            text = file.read(LONGEST_YAML + 1)
        if len(text) > LONGEST_YAML:
            raise NotYamlError(
                f"a YAML file of more than the {LONGEST_YAML // 2**10} KiB that a configuration may have"
            )
        loader = _Loader(text.decode("utf-8"))
        node = loader.get_single_node()
        if node is None:
            return None
        if _unfolded(node, {}) > MOST_VALUES:
            raise NotYamlError(f"a YAML file that unfolds to more than {MOST_VALUES} values")
        return loader.construct_document(node)
    except NotYamlError:
        raise
    except OSError as error:
        raise NotYamlError(f"not a readable YAML file ({error.strerror})") from error
    # ValueError: dates that do not exist, numbers of thousands of digits, what is no UTF-8
    except (ValueError, OverflowError, RecursionError, yaml.YAMLError) as error:
        raise NotYamlError(f"not a readable YAML file ({type(error).__name__})") from error


class _Loader(yaml.SafeLoader):
    """Plain values alone. The time that PyYAML takes grows with the square of how deep brackets are nested."""

    def fetch_flow_collection_start(self, token: type[yaml.Token]) -> None:
        if self.flow_level >= _DEEPEST:
            raise yaml.YAMLError("nested too deep")
        super().fetch_flow_collection_start(token)


def _unfolded(node: yaml.Node, known: dict[int, int]) -> int:
    """Values below a node, each counted as often as it is reached; without end where a node is below itself."""
    if id(node) not in known:
        known[id(node)] = MOST_VALUES + 1  # what counts if it is met again below itself
        if isinstance(node, yaml.MappingNode):
            parts = [part for pair in node.value for part in pair]
        else:
            parts = node.value if isinstance(node, yaml.SequenceNode) else []
        known[id(node)] = 1 + sum(_unfolded(part, known) for part in parts)
    return known[id(node)]
