"""The part of kustomize that deploy/ uses, in Python: overlays are tested where neither kustomize nor kubectl is.

Resources, components, strategic merge patches (lists by their merge key, `$patch: delete`, null), images, namespaces
and ConfigMaps from files. Anything else in a kustomization is an error. Where kubectl is, a test compares the two.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

Resource = dict[str, Any]

KNOWN = {"apiVersion", "kind", "namespace", "resources", "components", "patches", "images", "configMapGenerator"}
CLUSTER_SCOPED = {"Namespace"}
# Lists whose entries are merged by a key; every other list is replaced as a whole.
MERGE_KEYS = {
    "containers": "name",
    "env": "name",
    "volumes": "name",
    "volumeMounts": "mountPath",
    "ports": "containerPort",
}
# Custom resources have no merge keys: a patch replaces their lists.
CUSTOM_GROUPS = ("keda.sh", "monitoring.coreos.com")


def build(folder: Path) -> list[Resource]:
    """What `kubectl kustomize FOLDER` prints, as objects."""
    return _accumulate(folder.resolve(), [])


def _accumulate(folder: Path, resources: list[Resource]) -> list[Resource]:
    spec = yaml.safe_load((folder / "kustomization.yaml").read_text())
    if unknown := set(spec) - KNOWN:
        raise ValueError(f"{folder}: {unknown} is not covered here")
    for name in spec.get("resources", []):
        path = folder / name
        if path.is_dir():
            resources = resources + _accumulate(path.resolve(), [])
        else:
            resources = resources + [each for each in yaml.safe_load_all(path.read_text()) if each]
    for generator in spec.get("configMapGenerator", []):
        resources = [*resources, _config_map(folder, generator)]
    for name in spec.get("components", []):
        resources = _accumulate((folder / name).resolve(), resources)
    for patch in spec.get("patches", []):
        _apply(yaml.safe_load((folder / patch["path"]).read_text()), resources)
    for resource in resources:
        if "namespace" in spec and resource["kind"] not in CLUSTER_SCOPED:
            resource["metadata"]["namespace"] = spec["namespace"]
        for image in spec.get("images", []):
            _rename_image(resource, image)
    names = [key(resource) for resource in resources]
    assert len(names) == len(set(names)), f"{folder}: {names}"
    return resources


def key(resource: Resource) -> tuple[str, str]:
    """Kind and name: there is one namespace."""
    return resource["kind"], resource["metadata"]["name"]


def _config_map(folder: Path, generator: dict[str, Any]) -> Resource:
    options = generator["options"]
    assert options["disableNameSuffixHash"] is True
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": generator["name"], "labels": options["labels"]},
        "data": {name: (folder / name).read_text() for name in generator["files"]},
    }


def _apply(patch: Resource, resources: list[Resource]) -> None:
    (target,) = [resource for resource in resources if key(resource) == key(patch)]
    custom = patch["apiVersion"].split("/")[0] in CUSTOM_GROUPS
    target.update(_merged(target, patch, {} if custom else MERGE_KEYS))


def _merged(old: Any, new: Any, merge_keys: dict[str, str], field: str = "") -> Any:
    if isinstance(old, dict) and isinstance(new, dict):
        result = dict(old)
        for name, value in new.items():
            if value is None:
                result.pop(name, None)
            else:
                result[name] = _merged(old.get(name), value, merge_keys, name)
        return result
    # Ports of a NetworkPolicy have no containerPort, so they are replaced.
    by = merge_keys.get(field)
    if isinstance(old, list) and isinstance(new, list) and by is not None and all(by in each for each in old + new):
        olds = {each[by]: each for each in old}
        patched = [_merged(olds.pop(each[by], {}), each, merge_keys) for each in new]
        return [each for each in [*patched, *olds.values()] if each.get("$patch") != "delete"]
    return new


def _rename_image(resource: Resource, image: dict[str, str]) -> None:
    if resource["kind"] == "Deployment":
        for container in resource["spec"]["template"]["spec"]["containers"]:
            if container["image"] == image["name"]:
                container["image"] = f"{image['newName']}:{image['newTag']}"
