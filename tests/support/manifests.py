"""What tests of deploy/ share: where it is, and what they look for in resources."""

from __future__ import annotations

from tests.support.kustomize import Resource
from tests.support.paths import ROOT

DEPLOY = ROOT / "deploy"
OVERLAYS = sorted(path.name for path in (DEPLOY / "overlays").iterdir())
KUBERNETES = "1.33.0"


def of_kind(resources: list[Resource], kind: str) -> list[Resource]:
    """Resources of a kind."""
    return [resource for resource in resources if resource["kind"] == kind]


def selects(selector: dict[str, str], labels: dict[str, str]) -> bool:
    """Whether a selector finds what has these labels."""
    return selector.items() <= labels.items()
