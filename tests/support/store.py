"""What lies in a model store."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bentoml._internal.configuration.containers import BentoMLContainer
from bentoml._internal.models import ModelStore


def contents(root: Path) -> dict[str, bytes]:
    """Every file below a folder, by its path."""
    return {str(path.relative_to(root)): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}


@contextmanager
def own_store(root: Path) -> Iterator[Path]:
    """Makes an empty folder the model store of this process as long as the block runs."""
    root.mkdir(parents=True)
    BentoMLContainer.model_store.set(ModelStore(root))
    try:
        yield root
    finally:
        BentoMLContainer.model_store.reset()
