"""The build file of one kind of image, derived from bentofile.yaml."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import yaml

ROOT = Path(__file__).parents[2]
Device = Literal["cuda", "cpu"]
IMAGE_NAMES: dict[Device, str] = {"cuda": "xcube-serve", "cpu": "xcube-serve-cpu"}


def derive(
    device: Device,
    model_set: str = "demo",
    models: Sequence[str] | None = None,
    *,
    cpu_wheels: bool = False,
    fvdb: bool = True,
) -> dict[str, Any]:
    """The content of a build file.

    Args:
        device: "cpu" uses the lock without CUDA and switches GPUs off.
        model_set: Value of XCUBE_MODEL inside the image.
        models: Tags in the model store; None keeps those of bentofile.yaml.
        cpu_wheels: Whether to take PyTorch from its own index of CPU wheels instead of the default index.
        fvdb: Whether an image for CUDA has fvdb-core, whose own index the build then has to reach.
    """
    config: dict[str, Any] = yaml.safe_load((ROOT / "bentofile.yaml").read_text(encoding="utf-8"))
    environment = {each["name"]: each["value"] for each in config["envs"]}
    environment["XCUBE_MODEL"] = model_set
    if device == "cpu":
        config["python"]["requirements_txt"] = "requirements/image/cpu.txt"
        environment["XCUBE_DEVICE"] = "cpu"
        if cpu_wheels:
            environment["UV_TORCH_BACKEND"] = "cpu"
    elif not fvdb:
        config["python"]["packages"] = lock_without_fvdb(ROOT / config["python"].pop("requirements_txt"))
    config["labels"] |= {"device": device, "models": model_set}
    config["envs"] = [{"name": name, "value": value} for name, value in environment.items()]
    if models is not None:
        config["models"] = list(models)
    return config


def lock_without_fvdb(lock: Path) -> list[str]:
    """The requirements of a lock, hashes included, without fvdb-core and the index that only fvdb-core needs."""
    lines = lock.read_text(encoding="utf-8").replace("\\\n", "").splitlines()
    return [" ".join(line.split()) for line in lines if not line.startswith(("#", "--extra-index-url", "fvdb-core=="))]
