"""The command `xcube-serve`: starts the service, or imports models for it.

An installed package holds the project's modules in its folder `app`, so that names such as `api` and `models` do not
meet those of other packages; in a checkout they lie beside this package.
"""

from __future__ import annotations

import os
import sys
from importlib.metadata import version
from pathlib import Path

BUNDLED = Path(__file__).with_name("app")
HELP = """\
usage: xcube-serve [OPTION ...]
       xcube-serve import [--checkpoint-dir DIR] [--clip PLACE]
       xcube-serve --help | --version

Serves text to 3-D voxels on http://localhost:8000: a page at /, the API's documentation at /docs.
Options are those of `bentoml serve`. `import` puts official checkpoints into the model store (more: import --help).

Settings are environment variables, for instance:
  XCUBE_HOST, XCUBE_PORT  where to listen (default: 0.0.0.0, 8000)
  XCUBE_CHECKPOINT_DIR    folder that checkpoints are imported from (default: the demo models of the package)
  XCUBE_JOBS_DIR          folder of jobs and their results (default: {jobs})
  BENTOML_HOME            folder of the model store (default: ~/bentoml)
README.md lists all of them. A relative folder counts from where the command is started.
"""


def main() -> None:
    """Runs what the command line says; the service replaces this process.

    Raises:
        SystemExit: a setting cannot be used, or the command has ended; with its status or one sentence.
    """
    arguments = sys.argv[1:]
    if BUNDLED.is_dir():
        find_modules_in(BUNDLED)
        os.environ["XCUBE_JOBS_DIR"] = os.environ.get("XCUBE_JOBS_DIR") or str(jobs_folder())
    if arguments[:1] in (["--help"], ["-h"]):
        print(HELP.format(jobs=os.environ.get("XCUBE_JOBS_DIR", "runs/jobs of the checkout")), end="")
    elif arguments == ["--version"]:
        print(f"xcube-serve {version('xcube-serve')}")
    elif arguments[:1] == ["import"]:
        from cli.import_models import main as import_models

        sys.exit(import_models(arguments[1:], program="xcube-serve import"))
    else:
        from cli.serve import main as serve

        serve(arguments)


def find_modules_in(folder: Path) -> None:
    """Puts a folder first on the path of this process and of those that it starts."""
    sys.path.insert(0, str(folder))
    others = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = f"{folder}{os.pathsep}{others}" if others else str(folder)


def jobs_folder() -> Path:
    """The user's folder for what outlives a restart, as the XDG base directories say.

    Without a home it is the checkout's `runs/jobs` below the folder that the command is started in.
    """
    state = Path(os.environ.get("XDG_STATE_HOME", ""))
    try:
        # A relative XDG_STATE_HOME counts as unset.
        base = state if state.is_absolute() else Path.home() / ".local" / "state"
    except RuntimeError:
        return Path("runs/jobs").absolute()
    return base / "xcube-serve" / "jobs"
