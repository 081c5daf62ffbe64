"""Starts the service: `python -m cli.serve [options of bentoml serve]`."""

from __future__ import annotations

import errno
import os
import runpy
import socket
import sys
from pathlib import Path

from api.environment import PREFIX, fix_paths
from api.process import temporary
from api.settings import PATHS, load_settings
from models.errors import ConfigError
from models.home import check_home

ROOT = Path(__file__).parents[1]


def main(arguments: list[str]) -> None:
    """Makes this process `bentoml serve` with the settings of the environment; does not return.

    Paths are relative to the folder in which the command is called; the default folders are the project's.
    """
    settings = load_settings()
    fix_paths(os.environ, PATHS, Path.cwd())
    load_settings.cache_clear()  # the service reads them in this process too, with the paths as they are now
    if (fault := temporary.unusable()) is not None:
        sys.exit(f"xcube: {fault}")
    try:
        check_home()
    except ConfigError as error:
        sys.exit(f"xcube: {error}")
    check_port(settings.host, settings.port)
    os.environ.setdefault("BENTOML_DO_NOT_TRACK", "true")
    command = ["bentoml", "serve", "service:XCube"]
    command += ["--host", settings.host, "--port", str(settings.port)]
    command += ["--timeout-graceful-shutdown", str(settings.drain_seconds)]
    if sys.stdout.isatty():
        print("Starting the service, then loading the models. Ctrl+C stops it.", file=sys.stderr)
    os.chdir(ROOT)
    sys.argv = command + arguments
    runpy.run_module("bentoml", run_name="__main__", alter_sys=True)


def check_port(host: str, port: int) -> None:
    """Exits with one sentence if the service cannot listen on the address."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        with socket.socket(family) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, port))
    except OSError as error:
        fault = "is already in use" if error.errno == errno.EADDRINUSE else f"cannot be used ({error.strerror})"
        sys.exit(f"xcube: {host}:{port} {fault}: stop what listens there, or set {PREFIX}PORT or {PREFIX}HOST.")


if __name__ == "__main__":
    main(sys.argv[1:])
