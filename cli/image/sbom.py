"""A bill of materials (CycloneDX 1.6) of an image, from the Python and Debian packages in it."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any
from urllib.parse import quote

from cli.image.engine import EngineError, Name, runner

# Prints two JSON lists of [name, version]; the second is empty where the base has no dpkg.
_LOOK = """
import importlib.metadata, json, shutil, subprocess
python = sorted({(d.name, d.version) for d in importlib.metadata.distributions()})
shown = ["dpkg-query", "-W", "-f", "${Package} ${Version}\\n"]
debian = subprocess.check_output(shown, text=True).split("\\n") if shutil.which("dpkg-query") else []
print(json.dumps([python, [line.split() for line in debian if line]]))
"""


def write(engine: Name, tag: str, file: Path) -> int:
    """Writes the bill of materials of an image; returns the number of its components.

    Raises:
        EngineError: The image cannot be started.
    """
    options = ["--rm", "--network", "none", "--read-only", "--no-healthcheck"]
    command = [runner(engine), "run", *options, tag, "python", "-c", _LOOK]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        raise EngineError(f"{tag} could not be started to list its packages.")
    found = components(done.stdout)
    name, _, version = tag.rpartition("/")[2].partition(":")
    bill = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {"component": {"type": "container", "bom-ref": tag, "name": name, "version": version}},
        "components": found,
        "dependencies": [{"ref": tag, "dependsOn": [component["bom-ref"] for component in found]}],
    }
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(bill, indent=2) + "\n", encoding="utf-8")
    return len(found)


def components(listing: str) -> list[dict[str, Any]]:
    """The packages that an image lists, as components with package URLs."""
    python, debian = json.loads(listing.splitlines()[-1])
    urls = [(f"pkg:pypi/{name.lower().replace('_', '-')}@{quote(version)}", name, version) for name, version in python]
    urls += [(f"pkg:deb/debian/{name}@{quote(version)}", name, version) for name, version in debian]
    return [
        {"type": "library", "bom-ref": url, "name": name, "version": version, "purl": url}
        for url, name, version in urls
    ]
