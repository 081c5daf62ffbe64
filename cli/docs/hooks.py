"""Hooks that mkdocs calls while it builds the site (mkdocs.yml names this file)."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

from cli.docs import notebook, tables

ROOT = Path(__file__).parents[2]
# Files of the project that are read on their own as well, and their place in the site.
OUTSIDE = {
    "SECURITY.md": "security.md",
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "checkpoints/README.md": "demo-models.md",
}
PLACES = {**OUTSIDE, "README.md": "index.md"}
DOWNLOAD = "\n[This notebook as a file](notebook.ipynb){ download }\n"
_LINK = re.compile(r"\]\(((?:\.\./|docs/)[^)\s]+|notebook\.ipynb)\)(?!{ download })")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Adds the project's own texts and the notebook's pages to the files in docs/."""
    for source, page in OUTSIDE.items():
        files.append(File.generated(config, page, abs_src_path=str(ROOT / source)))
    text, pictures = notebook.as_markdown(notebook.NOTEBOOK)
    files.append(File.generated(config, "notebook.md", content=text + DOWNLOAD))
    for name, content in pictures.items():
        files.append(File.generated(config, name, content=content))
    return files


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Renews the tables and docstrings, and turns links to files of the project into links to their pages."""
    return _LINK.sub(lambda link: f"]({_place(link[1])})", tables.kept(markdown))


def _place(target: str) -> str:
    """The page for a link that leaves the folder of its file; the link itself if the site has no such page."""
    if target == notebook.NOTEBOOK.name:
        return "notebook.md"
    inside = target.removeprefix("../")
    if inside in PLACES:
        return PLACES[inside]
    path, mark, place = inside.partition("#")
    if path in PLACES:
        return f"{PLACES[path]}{mark}{place}"
    return inside.removeprefix("docs/") if inside.startswith("docs/") else target
