"""scripts/generate: a prompt becomes a file, with the help of a running service."""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from pathlib import Path
from typing import Any, NoReturn

import bentoml
import httpx
import numpy as np
from bentoml.exceptions import BentoMLException
from numpy.typing import NDArray
from PIL import Image
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from api import formats, preview

FORMATS = (".ply", ".npz", ".json")
HEALTH_SECONDS = 5.0

Points = tuple[NDArray[np.float32], NDArray[np.float32]]


class GenerateError(Exception):
    """Something that the user has to know: one sentence."""


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="scripts/generate", description="Generates a shape from a prompt; a service must run (scripts/serve)."
    )
    parser.add_argument("prompt", help='what to make, such as "a tall chair"')
    parser.add_argument("-o", "--output", type=Path, help=f"file to write: {', '.join(FORMATS)}", required=True)
    parser.add_argument("--preview", type=Path, metavar="PNG", help="also write a picture")
    parser.add_argument("--steps", type=int, help="denoising steps, 1 to 1000 (the service's default: 100)")
    parser.add_argument("--guidance-scale", type=float, help="1.0 to 20.0 (the service's default: 7.5)")
    parser.add_argument("--seed", type=int, help="the same seed gives the same shape (default: a random one)")
    parser.add_argument("--no-fine", action="store_true", help="coarse shape only")
    parser.add_argument("--url", default="http://127.0.0.1:8000", help="where the service is (default: %(default)s)")
    parser.add_argument("--timeout", type=float, default=300.0, metavar="SECONDS", help="default: %(default)s")
    options = parser.parse_args(arguments)
    if options.output.suffix.lower() not in FORMATS:
        parser.error(f"the output has to end in one of {', '.join(FORMATS)}, and {options.output} does not")
    if options.preview is not None and options.preview.suffix.lower() != ".png":
        parser.error(f"the preview has to end in .png, and {options.preview} does not")
    for path in filter(None, (options.output, options.preview)):
        if not path.parent.is_dir():
            parser.error(f"there is no folder {path.parent} to write {path.name} into")
    return options


def request_body(options: argparse.Namespace) -> dict[str, Any]:
    """The fields of POST /generate; what the user left out is left to the service's defaults."""
    given = {"ddim_steps": options.steps, "guidance_scale": options.guidance_scale, "seed": options.seed}
    return {
        "prompt": options.prompt,
        **{name: value for name, value in given.items() if value is not None},
        **({"use_fine": False} if options.no_fine else {}),
    }


def wait_until_ready(url: str, timeout: float) -> None:
    """Returns when the service can generate; asks its /health once a second while the models load."""
    end = time.monotonic() + timeout
    while True:
        try:
            health = httpx.get(f"{url}/health", timeout=HEALTH_SECONDS).json()
            status = health["status"]
        except httpx.TransportError:
            raise GenerateError(f"No service answers at {url}: start scripts/serve or give another --url.") from None
        except (ValueError, TypeError, KeyError, httpx.InvalidURL):
            raise GenerateError(f"What answers at {url} is not this service: give the right --url.") from None
        if status == "ready":
            return
        if status == "error":
            raise GenerateError(f"The service has no models: {health.get('error')}")
        if time.monotonic() > end:
            raise GenerateError(f"The service at {url} was still loading after {timeout:g} s: try again later.")
        time.sleep(1.0)


def generate(url: str, body: dict[str, Any], timeout: float) -> tuple[dict[str, Any], httpx.Headers]:
    """The service's answer to POST /generate, and its headers."""
    headers = httpx.Headers()
    try:
        # Readiness is known by now; the client's own wait asks without a pause in between.
        with bentoml.SyncHTTPClient(url, timeout=timeout, server_ready_timeout=0) as client:
            client.client.event_hooks = {"response": [lambda response: headers.update(response.headers)]}
            return client.call("generate", **body), headers
    except httpx.TimeoutException:
        raise GenerateError(f"No answer in {timeout:g} s: use fewer --steps, --no-fine or more --timeout.") from None
    except httpx.TransportError as error:
        raise GenerateError(f"The connection to {url} broke ({type(error).__name__}): see the service's log.") from None
    except BentoMLException as error:
        raise GenerateError(sentence(error)) from None


def sentence(error: BentoMLException) -> str:
    """The sentence in the service's error body, or the body itself where something else answered."""
    text = str(error)
    try:
        return str(json.loads(text)["error"])
    except (ValueError, TypeError, KeyError):
        return f"The service answered {error.error_code.value}: {text.strip() or 'nothing'}"


def stages(answer: dict[str, Any]) -> dict[str, Points]:
    """The stages that are there, finest first."""
    return {
        stage: (np.asarray(answer[f"{stage}_xyz"], np.float32), np.asarray(answer[f"{stage}_normal"], np.float32))
        for stage in ("fine", "coarse")
        if answer.get(f"{stage}_xyz") is not None
    }


def encode(suffix: str, found: dict[str, Points], prompt: str, seed: int) -> bytes:
    """The content of the output file. PLY holds the finest stage, the others every stage."""
    if suffix == ".ply":
        return formats.ply(*next(iter(found.values())))
    arrays: dict[str, NDArray[np.generic]] = {}
    for stage, (xyz, normal) in found.items():
        arrays |= {f"{stage}_xyz": xyz, f"{stage}_normal": normal}
    if suffix == ".npz":
        return formats.npz({**arrays, "prompt": np.array(prompt), "seed": np.array(seed)})
    return json.dumps({"prompt": prompt, "seed": seed, **{name: a.tolist() for name, a in arrays.items()}}).encode()


def write(path: Path, content: bytes) -> None:
    """All or nothing: an interrupted write leaves no half file under the name."""
    part = path.with_name(f".{path.name}.part")
    part.write_bytes(content)
    os.replace(part, path)


def run(options: argparse.Namespace, console: Console) -> str:
    """Does the work, showing progress on `console`; returns the line that tells what was made."""
    url = options.url.rstrip("/")
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("Waiting for the service", total=None)
        wait_until_ready(url, options.timeout)
        progress.reset(task, description=f"Generating {options.prompt!r}")
        start = time.monotonic()
        answer, headers = generate(url, request_body(options), options.timeout)
        seconds = time.monotonic() - start
        found = stages(answer)
        seed = int(headers["X-Seed"])
        progress.update(task, description="Writing")
        write(options.output, encode(options.output.suffix.lower(), found, options.prompt, seed))
        xyz, normal = next(iter(found.values()))
        if options.preview is not None:
            Image.fromarray(preview.render(formats.voxel_indices(xyz), normal, size=512)).save(options.preview)
    if warning := headers.get("X-XCube-Warning"):
        console.print(f"Note: {warning}", highlight=False, markup=False)
    counts = ", ".join(f"{len(pair[0]):,} {stage} points" for stage, pair in found.items())
    return f"{options.output}: {counts}, seed {seed}, {seconds:.1f} s"


def main(arguments: list[str] | None = None) -> NoReturn:
    options = parse(arguments)
    try:
        print(run(options, Console(stderr=True)))
    except GenerateError as failure:
        sys.exit(str(failure))
    except OSError as error:
        sys.exit(f"The file could not be written: {error}.")
    except KeyboardInterrupt:
        sys.exit(130)
    sys.exit(0)


if __name__ == "__main__":
    main()
