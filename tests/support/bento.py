"""Bentos of tiny models with random weights, built as scripts/image builds them."""

from __future__ import annotations

import re
import site
import subprocess
import sys
import venv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import distribution, distributions
from pathlib import Path

import yaml

from cli import audit
from cli.image.variant import ROOT, Device, derive
from tests.support.saved_models import save_models
from tests.support.service import own_environment


@dataclass(frozen=True)
class Built:
    """A Bento in a store of its own. home: that store's BENTOML_HOME. models: tags of the models it declares."""

    tag: str
    path: Path
    home: Path
    models: list[str]

    @property
    def environment(self) -> dict[str, str]:
        return own_environment(self.home)


def build(folder: Path, device: Device = "cpu", *, fvdb: bool = True) -> Built:
    """Imports tiny models into a new store in `folder`, and builds a Bento with them, with or without fvdb-core."""
    home, checkpoints = folder / "home", folder / "checkpoints"
    save_models(checkpoints)
    tool("cli.import_models", "--checkpoint-dir", checkpoints, environment=own_environment(home))
    models = sorted(f"{path.parent.parent.name}:{path.parent.name}" for path in home.glob("models/*/*/imported.txt"))
    file = folder / "bentofile.yaml"
    file.write_text(yaml.safe_dump(derive(device, models=models, fvdb=fvdb)))
    output = tool("bentoml", "build", "--bentofile", file, "--output", "tag", ".", environment=own_environment(home))
    tag = output.rpartition("__tag__:")[2].strip()
    return Built(tag, home / "bentos" / Path(*tag.split(":")), home, models)


# What PyTorch's CUDA build needs on top of the CPU image's lock.
_CUDA = re.compile(r"(nvidia|cuda)[-_]|triton$")


def python_of_the_lock(folder: Path) -> Path:
    """A Python that has the packages of the CPU image's lock, in the versions that are here, and nothing else.

    Nothing else means that this project, which the tests' own Python has installed, is not there either.
    """
    venv.create(folder, symlinks=True)
    (packages,) = folder.glob("lib/python*/site-packages")
    here = Path(site.getsitepackages()[0])
    wanted = [distribution(name) for name in audit.packages("cpu")]
    wanted += [each for each in distributions() if _CUDA.match(each.name)]
    for each in wanted:
        for file in each.files or ():
            top = file.parts[0]
            if top not in ("..", "__pycache__") and not (packages / top).exists():
                (packages / top).symlink_to(here / top)
    return folder / "bin" / "python"


def tool(module: str, *arguments: str | Path, environment: Mapping[str, str], cwd: Path = ROOT) -> str:
    """Runs a Python module as a command; returns what it prints."""
    command: Sequence[str | Path] = [sys.executable, "-m", module, *arguments]
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
