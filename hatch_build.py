"""Puts service.py next to the folders that a wheel holds in xcube_serve/app."""

from __future__ import annotations

from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class ServiceFile(BuildHookInterface[Any]):
    """A build hook. One line in pyproject.toml could do this, but an editable install would then hold a stale copy."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Adds the file to a normal wheel, but not to an editable one."""
        if version == "standard":
            build_data["force_include"]["service.py"] = "xcube_serve/app/service.py"
