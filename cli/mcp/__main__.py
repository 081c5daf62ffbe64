"""The command: `python -m cli.mcp`, which speaks with an assistant's program over standard input and output."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import NoReturn

from api.environment import variable
from cli.connection import address

URL = "http://localhost:8000"


def main(arguments: list[str] | None = None, program: str = "scripts/mcp") -> NoReturn:
    """Serves until the assistant's program hangs up.

    Raises:
        SystemExit: Always, with the exit status, or with one sentence if something is missing.
    """
    parser = argparse.ArgumentParser(
        program,
        description="Lets an assistant make shapes: speaks the Model Context Protocol over standard input and output.",
        epilog=f"XCUBE_URL is the address of the running service (default: {URL}), XCUBE_API_KEY its key.",
    )
    parser.add_argument("--folder", type=Path, default=Path(), help="for files (default: the current one)")
    options = parser.parse_args(arguments)
    try:
        url = address(variable(os.environ, "XCUBE_URL") or URL)
    except argparse.ArgumentTypeError as error:
        parser.error(f"XCUBE_URL: {error}")
    if not options.folder.is_dir():
        parser.error(f"{options.folder} is no folder: give one that exists as --folder")
    try:
        from cli.mcp.server import server
    except ModuleNotFoundError as error:
        if not (error.name or "").startswith("mcp"):
            raise
        sys.exit("The package mcp is missing: install it with: pip install 'xcube-serve[mcp]'")
    server(url, variable(os.environ, "XCUBE_API_KEY"), options.folder.absolute()).run("stdio")
    sys.exit(0)


if __name__ == "__main__":
    main()
