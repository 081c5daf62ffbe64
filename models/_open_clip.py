"""open_clip, importable beside every build of torch: `from models._open_clip import open_clip`.

open_clip imports torchvision for its image transforms, which this project never uses. torchvision's wheel on PyPI is
built for CUDA; beside a CPU build of torch its compiled operators cannot load, and `import torchvision` then dies
with "operator torchvision::nms does not exist", because it describes the shapes of two operators that are not
there. The matching CPU wheel is only on PyTorch's own index, which not every machine can reach. So, where the compiled
operators do not load, the two names are declared (without any implementation) before open_clip is imported;
calling one of them still fails.

open_clip also imports transformers and timm where they are installed, for towers that this project has none of, and
torchvision imports torch's compiler for an operator on images. That is most of what a start would spend on imports, so
the first two are hidden from open_clip, and the compiler is imported when somebody calls it.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import torch

# torchvision 0.28 describes exactly these two without asking first whether its operators were loaded.
_DESCRIBED_UNASKED = (
    "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
)


def _torchvision_folder() -> Path | None:
    spec = importlib.util.find_spec("torchvision")
    return Path(spec.origin).parent if spec is not None and spec.origin is not None else None


def _operators_load(folder: Path) -> bool:
    """Whether torchvision's compiled operators load into this torch (loading twice is harmless)."""
    try:
        for library in folder.glob("_C*.so"):
            torch.ops.load_library(str(library))
            return True
    except OSError:
        pass
    return False


def _declare_missing_operators(folder: Path | None) -> torch.library.Library | None:
    """The declarations, which last as long as the returned object; None where nothing had to be declared."""
    if folder is None or _operators_load(folder):
        return None
    declarations = torch.library.Library("torchvision", "FRAGMENT")
    for schema in _DESCRIBED_UNASKED:
        declarations.define(schema)
    return declarations


@contextlib.contextmanager
def _hidden(*modules: str) -> Iterator[None]:
    """A block in which modules that nobody has imported yet cannot be imported."""
    absent = [name for name in modules if name not in sys.modules]
    sys.modules.update(dict.fromkeys(absent))  # type: ignore[arg-type]  # None is what Python takes for "not there"
    try:
        yield
    finally:
        for name in absent:
            del sys.modules[name]


class _OnDemand(ModuleType):
    """Stands for a module of functions; each imports the module itself when it is called."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)

        def function(*arguments: Any, **options: Any) -> Any:
            return getattr(importlib.import_module(self.__name__), name)(*arguments, **options)

        return function


@contextlib.contextmanager
def _on_demand(*modules: str) -> Iterator[None]:
    """A block in which others get functions of modules that nobody has imported yet, without importing them."""
    absent = [name for name in modules if name not in sys.modules]
    sys.modules.update({name: _OnDemand(name) for name in absent})
    try:
        yield
    finally:
        for name in absent:
            del sys.modules[name]


_declarations = _declare_missing_operators(_torchvision_folder())
with _hidden("transformers", "timm"), _on_demand("torch._dynamo", "torch._dynamo.utils"):
    open_clip = importlib.import_module("open_clip")
