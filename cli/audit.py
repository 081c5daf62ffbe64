"""scripts/check --audit: known vulnerabilities and licences of everything that goes into an image.

Needs the network: advisories come from PyPI. With `--licences` it prints the licence list (docs/licences.md) instead.
"""

from __future__ import annotations

import importlib.util
import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
LOCKS = {device: ROOT / "requirements" / "image" / f"{device}.txt" for device in ("cpu", "cuda")}
PERMISSIVE = re.compile(r"Apache|MIT|BSD|ISC|PSF|Python Software Foundation|MPL|Mozilla|NVIDIA Proprietary")
# Not installed where the list is made: they come with CUDA builds alone.
CUDA_ONLY = {
    "cuda-bindings": "NVIDIA Proprietary",
    "cuda-pathfinder": "Apache-2.0",
    "fvdb-core": "Apache-2.0",
    "triton": "MIT",
}
NVIDIA = "NVIDIA Proprietary"
HEADING = """# Licences of the packages in the images

Made by `.venv/bin/python -m cli.audit --licences`; `scripts/check --audit` fails on a licence that is not permissive.
The CUDA libraries (`nvidia-*`, `cuda-*`) are NVIDIA's, under the licence of the CUDA toolkit: read it before you pass
an image on that holds them. Debian's packages in an image have their licences in `/usr/share/doc` of the base image.

| package | version | licence | in |
|---|---|---|---|
"""


def main(arguments: list[str]) -> int:
    """Runs the command; returns 0 if every package is free of known vulnerabilities and has a permissive licence."""
    rows = licences()
    if arguments == ["--licences"]:
        print(HEADING + "\n".join(f"| {' | '.join(row)} |" for row in rows))
        return 0
    strange = [row for row in rows if not PERMISSIVE.search(row[2])]
    for name, version, licence, _ in strange:
        print(f"audit: {name} {version} has the licence {licence!r}: look at it.", file=sys.stderr)
    return 1 if advisories() or strange else 0


def packages(device: str) -> dict[str, str]:
    """Names and versions of the packages in an image's lock."""
    return dict(re.findall(r"^([\w.-]+)==([^\s\\]+)", LOCKS[device].read_text(encoding="utf-8"), re.MULTILINE))


def advisories() -> bool:
    """Looks up known vulnerabilities; returns whether there is one, or a package that could not be looked up."""
    found = False
    install_pip_audit()
    for device in LOCKS:
        with tempfile.NamedTemporaryFile("w", suffix=".txt") as flat:
            # Advisories are about public versions: no build tags.
            flat.writelines(f"{name}=={version.partition('+')[0]}\n" for name, version in packages(device).items())
            flat.flush()
            options = ["--strict", "--no-deps", "--disable-pip", "--progress-spinner", "off", "--desc", "off"]
            print(f"audit: packages of the {device} image", flush=True)
            done = subprocess.run([sys.executable, "-m", "pip_audit", *options, "-r", flat.name], check=False)
        found = found or done.returncode != 0
    return found


def install_pip_audit() -> None:
    """Installs pip-audit if it is missing. The locks leave it out, because it would bring a newer pip along."""
    if importlib.util.find_spec("pip_audit") is None:
        subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", "pip-audit>=2.10,<3"], check=True)


def licences() -> list[tuple[str, str, str, str]]:
    """Name, version, licence and images of every package, by name."""
    versions = {device: packages(device) for device in LOCKS}
    names = sorted(versions["cpu"] | versions["cuda"])
    command = [
        sys.executable,
        "-m",
        "piplicenses",
        "--with-system",
        "--format",
        "json",
        "--from",
        "mixed",
        "--packages",
        *names,
    ]
    shown = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=True).stdout
    known = {normal(each["Name"]): one_line(each["License"]) for each in json.loads(shown)}
    rows = []
    for name in names:
        licence = known.get(name) or CUDA_ONLY.get(name) or (NVIDIA if name.startswith(("nvidia-", "cuda-")) else "?")
        present = [device for device in LOCKS if name in versions[device]]
        shown_versions = list(dict.fromkeys(versions[device][name] for device in present))
        rows.append((name, ", ".join(shown_versions), licence, ", ".join(present)))
    return rows


def normal(name: str) -> str:
    """A package's name as locks write it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def one_line(licence: str) -> str:
    """A licence in a few words: some packages put the whole text there."""
    return licence.strip().splitlines()[0][:80] if licence.strip() else "?"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
