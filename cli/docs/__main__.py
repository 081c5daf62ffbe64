"""scripts/docs: builds the documentation site, shows it, or renews the files in docs/ that are made by code."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
ADDRESS = "127.0.0.1:8001"
# Material says at each build that it will not follow mkdocs to version 2; pyproject.toml holds mkdocs below it.
QUIET = {"NO_MKDOCS_2_WARNING": "1"}


def main(arguments: list[str] | None = None) -> int:
    """Runs the command; returns its exit status."""
    options = _arguments(arguments)
    if options.openapi:
        from cli.docs import openapi

        openapi.write()
        return _wrote(openapi.SNAPSHOT)
    if options.tables:
        from cli.docs import tables

        for page in tables.renew(ROOT / "docs"):
            _wrote(page)
        return 0
    if options.notebook:
        from cli.docs import notebook

        notebook.run_and_keep()
        return _wrote(notebook.NOTEBOOK)
    if options.pictures:
        from cli.docs import pictures

        for path in pictures.draw():
            _wrote(path)
        return 0
    if options.recording:
        from cli.docs import recording

        try:
            return _wrote(recording.record())
        except recording.RecordingError as error:
            sys.exit(str(error))
    mkdocs = [sys.executable, "-m", "mkdocs"]
    command = [*mkdocs, "serve", "--dev-addr", ADDRESS] if options.serve else [*mkdocs, "build"]
    if options.site is not None and not options.serve:
        command += ["--site-dir", str(options.site.absolute())]
    done = subprocess.run([*command, "--strict"], cwd=ROOT, env={**os.environ, **QUIET}, check=False)
    return done.returncode


def _arguments(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="scripts/docs", description="Builds the documentation site into build/site; a warning is an error."
    )
    parser.add_argument("--site", type=Path, metavar="FOLDER", help="build the site in this folder instead")
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--serve", action="store_true", help=f"show the site at http://{ADDRESS} while you write")
    what.add_argument("--openapi", action="store_true", help="renew docs/openapi.json after the API has changed")
    what.add_argument("--tables", action="store_true", help="renew tables and docstrings in docs/, made from the code")
    what.add_argument("--notebook", action="store_true", help="run docs/notebook.ipynb and keep its output")
    what.add_argument("--recording", action="store_true", help="record the page in use into docs/images/page.webp")
    what.add_argument("--pictures", action="store_true", help="draw the pictures of the demo models in docs/images")
    return parser.parse_args(arguments)


def _wrote(path: Path) -> int:
    print(f"wrote {path.relative_to(ROOT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
