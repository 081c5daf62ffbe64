"""One mesh of a training set made into voxels, in any process. Loads no torch, so that processes start at once."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path

from formats.meshes import prepare, read_mesh
from models.errors import MeshError
from training.meshes.store import Entry


@dataclass(frozen=True)
class Refusal:
    """Why a mesh cannot be used. lasting: whether it would be refused again by any machine."""

    sentence: str
    lasting: bool = True


NO_MEMORY = Refusal("needs more memory than there is: simplify it first", lasting=False)


def make(path: Path, key: str, resolution: int, up: str | None, hidden: bool) -> Entry | Refusal:
    """The voxels of the mesh in a file, under its key."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of libraries, about materials that nobody looks at
            return Entry.of(key, prepare(read_mesh(path, up), resolution, hidden=hidden))
    except MeshError as error:
        # A file that is away for now, or not beside the mesh yet, is looked for again.
        return Refusal(str(error), lasting=not isinstance(error.__cause__, OSError))
    except MemoryError:
        return NO_MEMORY
    except Exception as error:  # one mesh of a thousand must not end the run
        sentence = f"could not be made into voxels because of a bug ({type(error).__name__}: {error}); please report it"
        return Refusal(sentence, lasting=False)
