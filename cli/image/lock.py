"""scripts/image --lock: the packages of both images, with hashes, and the versions of the demo models.

The CUDA image is one triple: PyTorch 2.11.0, CUDA 13.0 (which PyTorch's wheel on PyPI brings) and fvdb-core built for
both, from fVDB's own index. Where that index does not answer, fvdb-core keeps its pin without a hash.

The CPU image takes PyTorch from PyTorch's index of CPU wheels or, where that does not answer, from the default index;
these are different files, so PyTorch has an exact version there but no hash.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from cli.image.engine import EngineError
from cli.image.variant import ROOT
from models.importer import import_models
from models.store import KINDS

FOLDER = ROOT / "requirements" / "image"
FVDB = "fvdb-core==0.5.1+pt211.cu130"
FVDB_INDEX = "https://d36m13axqqhiit.cloudfront.net/simple"
TARGET = ["--python-version", "3.11", "--python-platform", "x86_64-manylinux_2_28"]
HEADER = "# Made by scripts/image --lock; do not edit.\n"
UNHASHED_ON_CPU = ("torch", "torchvision")


def main() -> int:
    """Writes both locks, then the model tags into bentofile.yaml."""
    write_cuda()
    write_cpu()
    pin_models()
    return 0


def write_cuda() -> None:
    """Writes requirements/image/cuda.txt."""
    packages = compile_lock(["pyproject.toml"], ["--constraint", "requirements/image/cuda.in"])
    with tempfile.TemporaryDirectory() as folder:
        wanted = Path(folder) / "fvdb.in"
        wanted.write_text(f"{FVDB}\n")
        options = ["--extra-index-url", FVDB_INDEX, "--no-deps", "--only-binary", "fvdb-core"]
        try:
            fvdb = compile_lock([str(wanted)], options)
        except subprocess.CalledProcessError:
            fvdb = f"{FVDB}\n"
            print(f"lock-image: {FVDB_INDEX} does not answer, so fvdb-core has no hash.", file=sys.stderr)
    (FOLDER / "cuda.txt").write_text(f"{HEADER}--extra-index-url {FVDB_INDEX}\n{fvdb}{packages}")


def write_cpu() -> None:
    """Writes requirements/image/cpu.txt."""
    versions = dict(
        re.findall(r"^([\w.-]+)==(\S+)", (ROOT / "requirements" / "lock-cpu.txt").read_text(), re.MULTILINE)
    )
    with tempfile.TemporaryDirectory() as folder:
        without = Path(folder) / "without.in"
        without.write_text("".join(f"{name} ; python_version < '3'\n" for name in UNHASHED_ON_CPU))
        options = ["--constraint", "requirements/lock-cpu.txt", "--override", str(without)]
        packages = compile_lock(["pyproject.toml", "requirements/image/cpu.in"], options)
    torch = "".join(f"{name}=={versions[name]}\n" for name in UNHASHED_ON_CPU)
    (FOLDER / "cpu.txt").write_text(f"{HEADER}{torch}{packages}")


def compile_lock(sources: list[str], options: list[str]) -> str:
    """Resolves requirements with uv; returns the lock with hashes, as text.

    Raises:
        EngineError: uv is neither next to this Python nor on the PATH.
    """
    uv = shutil.which("uv", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}")
    if uv is None:
        raise EngineError("uv, which writes the locks, is not installed: .venv/bin/python -m pip install uv")
    command = [uv, "pip", "compile", *sources, *options, *TARGET, "--generate-hashes"]
    command += ["--no-annotate", "--no-header", "--quiet"]
    return subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True).stdout


def pin_models() -> None:
    """Writes the versions of checkpoints/demo_* into bentofile.yaml."""
    with tempfile.TemporaryDirectory() as home:
        tags = subprocess.run(
            [sys.executable, "-c", "from cli.image.lock import demo_tags; print(*demo_tags())"],
            cwd=ROOT,
            env={**os.environ, "BENTOML_HOME": home},
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        ).stdout.split()
    file = ROOT / "bentofile.yaml"
    listed = "models:\n" + "".join(f'  - "{tag}"\n' for tag in tags) if tags else "models: []\n"
    file.write_text(re.sub(r"^models:.*\n(  - .*\n)*", listed, file.read_text(), flags=re.MULTILINE))


def demo_tags() -> list[str]:
    """Imports checkpoints/ into the model store; returns the tags of the demo models, text tower first."""
    stored = {
        result.folder.name: result.stored.tag
        for result in import_models(ROOT / "checkpoints")
        if result.stored is not None and result.folder.name.startswith("demo_")
    }
    return [stored[name] for kind in KINDS if (name := f"demo_{kind}") in stored]
