"""Puts service.py beside the folders that a wheel holds in xcube_serve/app."""

from __future__ import annotations

from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class ServiceFile(BuildHookInterface[Any]):
    """pyproject.toml can say this in one line, but an editable install would then hold a copy that goes stale."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Adds the file to a wheel proper, and leaves an editable one alone."""
        if version == "standard":
            build_data["force_include"]["service.py"] = "xcube_serve/app/service.py"
