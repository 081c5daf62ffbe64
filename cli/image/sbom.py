"""A bill of materials (CycloneDX) of an image, from what is installed in it: Python and Debian packages."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.output.json import JsonV1Dot6
from packageurl import PackageURL

from cli.image.engine import EngineError, Name

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
        EngineError: the image cannot be started.
    """
    runner = "podman" if engine == "buildah" else engine
    command = [runner, "run", "--rm", "--network", "none", "--read-only", tag, "python", "-c", _LOOK]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        raise EngineError(f"{tag} could not be started to list its packages.")
    name, _, version = tag.rpartition("/")[2].partition(":")
    bom = Bom(components=components(done.stdout))
    root = Component(name=name, version=version, type=ComponentType.CONTAINER, bom_ref=tag)
    bom.metadata.component = root
    bom.register_dependency(root, bom.components)
    file.parent.mkdir(parents=True, exist_ok=True)
    JsonV1Dot6(bom).output_to_file(str(file), allow_overwrite=True, indent=2)
    return len(bom.components)


def components(listing: str) -> Iterator[Component]:
    """What an image says it has, as components with package URLs."""
    python, debian = json.loads(listing.splitlines()[-1])
    for kind, packages in (("pypi", python), ("deb", debian)):
        for name, version in packages:
            namespace = "debian" if kind == "deb" else None
            canonical = name if kind == "deb" else name.lower().replace("_", "-")
            url = PackageURL(kind, namespace, canonical, version)
            yield Component(name=name, version=version, type=ComponentType.LIBRARY, purl=url, bom_ref=url.to_string())
