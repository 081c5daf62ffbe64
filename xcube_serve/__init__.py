"""The commands `xcube-serve`, which starts the service or imports models for it, and `xcube-mcp`, for assistants.

An installed package holds the project's modules in its folder `app`, so that names such as `api` and `models` do not
collide with those of other packages. In a checkout they are next to this package.
"""

from __future__ import annotations

import os
import sys
from importlib.metadata import version
from pathlib import Path

BUNDLED = Path(__file__).with_name("app")
HELP = """\
usage: xcube-serve [OPTION ...]
       xcube-serve import [--checkpoint-dir DIR | --file FILE] [--clip PLACE] [--force]
       xcube-serve import --list | --remove SET | --export SET FILE
       xcube-serve --help | --version

Serves text to 3-D voxels on http://localhost:8000: a page at /, the API's documentation at /docs.
The options are those of `bentoml serve`. `import` puts models into the model store, and lists, removes and exports
the sets there (see import --help).

Settings are environment variables, for example:
  XCUBE_HOST, XCUBE_PORT  where to listen (default: 0.0.0.0, 8000)
  XCUBE_CHECKPOINT_DIR    folder that checkpoints are imported from (default: the demo models of the package)
  XCUBE_JOBS_DIR          folder for jobs and their results (default: {jobs})
  BENTOML_HOME            folder of the model store (default: ~/bentoml)
docs/configuration.md lists all of them. A relative folder is relative to the folder in which you start the command.
"""


def main() -> None:
    """Runs the command; this process becomes the service.

    Raises:
        SystemExit: A setting cannot be used, or the command has finished; with its exit status or one sentence.
    """
    arguments = sys.argv[1:]
    if BUNDLED.is_dir():
        find_modules_in(BUNDLED)
        os.environ["XCUBE_JOBS_DIR"] = os.environ.get("XCUBE_JOBS_DIR", "").strip() or str(jobs_folder())
    if arguments[:1] in (["--help"], ["-h"]):
        print(HELP.format(jobs=os.environ.get("XCUBE_JOBS_DIR", "runs/jobs of the checkout")), end="")
    elif arguments == ["--version"]:
        print(f"xcube-serve {version('xcube-serve')}")
    elif arguments[:1] == ["import"]:
        from cli.import_models import main as import_models

        sys.exit(import_models(arguments[1:], program="xcube-serve import"))
    else:
        from cli.quietly import end_on_interrupt

        end_on_interrupt()
        from cli.serve import main as serve

        serve(arguments)


def assist() -> None:
    """Runs the command `xcube-mcp`, with which assistants make shapes at a running service.

    Raises:
        SystemExit: Always, with its exit status or one sentence.
    """
    if BUNDLED.is_dir():
        find_modules_in(BUNDLED)
    from cli.mcp.__main__ import main as serve_assistant

    serve_assistant(sys.argv[1:], program="xcube-mcp")


def find_modules_in(folder: Path) -> None:
    """Puts a folder first on the module path of this process and of the processes that it starts."""
    sys.path.insert(0, str(folder))
    others = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = f"{folder}{os.pathsep}{others}" if others else str(folder)


def jobs_folder() -> Path:
    """The user's folder for data that outlives a restart, according to the XDG base directories.

    If the user has no home folder, it is `runs/jobs` in the folder in which the command is started.
    """
    state = Path(os.environ.get("XDG_STATE_HOME", ""))
    try:
        # A relative XDG_STATE_HOME counts as unset.
        base = state if state.is_absolute() else Path.home() / ".local" / "state"
    except RuntimeError:
        return Path("runs/jobs").absolute()
    return base / "xcube-serve" / "jobs"
