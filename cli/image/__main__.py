"""scripts/image: builds a Bento and its container image, and reports its size; --lock writes the locks of both."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import tomllib
import urllib.error
import urllib.request
from pathlib import Path
from typing import get_args

import yaml

from cli.image import engine, lock, sbom
from cli.image.variant import IMAGE_NAMES, ROOT, Device, derive
from models.importer import ensure_imported
from models.store import KINDS, find

CPU_WHEELS = "https://download.pytorch.org/whl/cpu/torch/"
PROBE_SECONDS = 3


def main() -> int:
    """Builds the image that the arguments ask for; returns 0, or 1 if that failed."""
    options = _arguments()
    device: Device = "cpu" if options.cpu else "cuda"
    tag = options.tag or f"{IMAGE_NAMES[device]}:{_version()}"
    try:
        if options.lock:
            return lock.main()
        name = options.engine or engine.find()
        engine.runner(name)
        bento = options.bento or build_bento(device, options.models, fvdb=not options.without_fvdb)
        containerize(bento, name, f"{tag}-bento", fvdb=device == "cuda" and not options.without_fvdb)
        set_by_bento = engine.variables(name, f"{tag}-bento")
        arguments = {
            "BASE_IMAGE": derive(device)["docker"]["base_image"],
            "BENTO_IMAGE": f"{tag}-bento",
            "XCUBE_DEVICE": set_by_bento.get("XCUBE_DEVICE", "auto"),
            "XCUBE_MODEL": set_by_bento["XCUBE_MODEL"],
        }
        engine.build(name, ROOT / "deploy/image/Dockerfile", tag, arguments)
        report(name, tag)
        bill = options.sbom or ROOT / "build" / f"sbom-{device}.cdx.json"
        print(f"{sbom.write(name, tag, bill)} components in {os.path.relpath(bill)}")
    except engine.EngineError as error:
        print(f"image: {error}", file=sys.stderr)
        return 1
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts/image", description="Builds the container image of the service.")
    parser.add_argument("--cpu", action="store_true", help="build an image without CUDA, which is much smaller")
    parser.add_argument(
        "--without-fvdb", action="store_true", help="leave fvdb-core out, where its package index cannot be reached"
    )
    parser.add_argument(
        "--models", choices=("demo", "official", "none"), default="demo", help="models in the image (default: demo)"
    )
    parser.add_argument("--bento", metavar="TAG", help="use this Bento instead of building one")
    parser.add_argument("--engine", choices=get_args(engine.Name), help="default: the first that works")
    parser.add_argument("--tag", help="default: xcube-serve:VERSION, with --cpu xcube-serve-cpu:VERSION")
    parser.add_argument(
        "--sbom", type=Path, metavar="FILE", help="bill of materials (default: build/sbom-cuda.cdx.json or …-cpu…)"
    )
    parser.add_argument(
        "--lock",
        action="store_true",
        help="instead of an image, write requirements/image and the model tags in bentofile.yaml",
    )
    return parser.parse_args()


def stored_models(model_set: str) -> list[str] | None:
    """Tags of the models to pack; None for those that bentofile.yaml names.

    Raises:
        EngineError: The set is not in the model store.
    """
    if model_set == "none":
        return []
    ensure_imported(ROOT / "checkpoints")
    if model_set == "demo":
        return None
    found = find("official")
    folders = [folder for kind in KINDS if (folder := getattr(found, kind)) is not None]
    if found.text is None or found.coarse is None:
        raise engine.EngineError("The official models are not in the model store: see scripts/import --help.")
    return [f"{folder.parent.name}:{folder.name}" for folder in folders]


def build_bento(device: Device, model_set: str, *, fvdb: bool = True) -> str:
    """Runs `bentoml build` for a device and a set of models, with or without fvdb-core; returns the Bento's tag."""
    models = stored_models(model_set)
    cpu_wheels = device == "cpu" and answers(CPU_WHEELS)
    config = derive(device, "auto" if model_set == "none" else model_set, models, cpu_wheels=cpu_wheels, fvdb=fvdb)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "bentofile.yaml"
        file.write_text(yaml.safe_dump(config), encoding="utf-8")
        output = _run(f"bentoml build --bentofile {file} --output tag .", capture=True)
    return output.rpartition("__tag__:")[2].strip()


def containerize(bento: str, name: engine.Name, tag: str, *, fvdb: bool) -> None:
    """Runs `bentoml containerize`.

    Args:
        bento: The Bento's tag.
        name: The engine.
        tag: The image's tag.
        fvdb: Whether the Bento's lock names fvdb-core.

    Raises:
        EngineError: It failed; the text says so if fVDB's index may be the reason.
    """
    try:
        _run(f"bentoml containerize {bento} --backend {name} --image-tag {tag}")
    except engine.EngineError as error:
        if fvdb and not answers(f"{lock.FVDB_INDEX}/fvdb-core/"):
            hint = f"{lock.FVDB_INDEX} does not answer: scripts/image --without-fvdb builds an image without fvdb-core."
            raise engine.EngineError(f"{error} {hint}") from error
        raise


def report(name: engine.Name, tag: str) -> None:
    """Prints the size of an image and of its layers."""
    found = engine.layers(name, tag)
    print(f"{tag}: {sum(layer.size for layer in found) / 1e6:.0f} MB in {len(found)} layers")
    for layer in found:
        made_by = " ".join(layer.made_by.split())
        print(f"  {layer.size / 1e6:8.1f} MB  {made_by[:100]}")


def answers(url: str) -> bool:
    """Whether a package index can be reached."""
    try:
        with urllib.request.urlopen(urllib.request.Request(url, method="HEAD"), timeout=PROBE_SECONDS):
            return True
    except (OSError, urllib.error.URLError):
        return False


def _version() -> str:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return str(project["version"])


def _run(command: str, *, capture: bool = False) -> str:
    done = subprocess.run(
        [sys.executable, "-m", *command.split()],
        cwd=ROOT,
        stdout=subprocess.PIPE if capture else None,
        text=True,
        check=False,
    )
    if done.returncode:
        raise engine.EngineError(f"`{command}` failed: its output is above.")
    return done.stdout or ""


if __name__ == "__main__":
    sys.exit(main())
