"""The folder of BentoML, with its model store: where it is, and whether it can be used. Loads no BentoML."""

from __future__ import annotations

import os
from pathlib import Path

from models.errors import ConfigError

VARIABLE = "BENTOML_HOME"
_FOLDERS = ("bentos", "models", "envs", "tmp")
"""What BentoML wants to find in it, or makes."""


def check_home() -> None:
    """Makes the folders that BentoML makes as soon as it is used.

    Raises:
        ConfigError: it cannot, for example because this user has no home folder; BentoML would end with a traceback.
    """
    home = os.path.expanduser(os.path.expandvars(os.environ.get(VARIABLE, "~/bentoml")))
    if home.startswith("~"):
        raise ConfigError(
            f"The user with the id {os.getuid()} has no home folder to keep models in: set {VARIABLE} to a folder "
            "that can be written to."
        )
    folder = Path(home)
    try:
        for name in _FOLDERS:
            (folder / name).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(
            f"The folder {folder} for models cannot be created or used ({error.strerror}): set {VARIABLE} "
            "to a folder that can be written to."
        ) from None
