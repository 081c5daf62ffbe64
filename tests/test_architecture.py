"""The walls between the folders: which may import which, directly or through others, and that no import goes round.

Read from the source, without running it. What a function imports, or what is imported for types alone, is not loaded
with the module: that is how the Sampler's process answers before torch is there.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = ("api", "cli", "formats", "models", "training")
OWN = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
    for folder in FOLDERS
    for path in (ROOT / folder).rglob("*.py")
} | {"service": ROOT / "service.py"}


def loaded(body: list[ast.stmt]) -> Iterator[str]:
    """Names of the modules that some statements load when they run; of `from a import b` both a and a.b."""
    for node in body:
        match node:
            case ast.Import(names):
                yield from (alias.name for alias in names)
            case ast.ImportFrom(str(module), names):
                yield from (module, *(f"{module}.{alias.name}" for alias in names))
            case ast.If(test) if "TYPE_CHECKING" in ast.unparse(test):
                yield from loaded(node.orelse)
            case ast.If() | ast.Try() | ast.With() | ast.ClassDef():
                for part in ("body", "orelse", "handlers", "finalbody"):
                    for inner in getattr(node, part, []):
                        yield from loaded(inner.body if isinstance(inner, ast.ExceptHandler) else [inner])


@cache
def imports(module: str) -> frozenset[str]:
    """What a module of ours loads itself: modules of ours by their whole name, with the packages they lie in."""
    found: set[str] = set()
    for name in loaded(ast.parse(OWN[module].read_text()).body):
        packages = [name.rsplit(".", count)[0] for count in range(name.count(".") + 1)]
        found |= {name, *packages} & set(OWN) if name.split(".")[0] in {*FOLDERS, "service"} else {name}
    return frozenset(found - {module})


def reached(start: str) -> dict[str, str]:
    """All that the modules of a folder load, directly or through others, and by which of ours."""
    found: dict[str, str] = {}
    todo = [name for name in OWN if name == start or name.startswith(f"{start}.")]
    seen = set(todo)
    while todo:
        module = todo.pop()
        for name in imports(module):
            found.setdefault(name, module)
            if name in OWN and name not in seen:
                seen.add(name)
                todo.append(name)
    return found


def trespassers(start: str, *forbidden: str) -> dict[str, str]:
    return {
        name: by
        for name, by in reached(start).items()
        if any(name == each or name.startswith(f"{each}.") for each in forbidden)
    }


@pytest.mark.parametrize(
    ("folder", "forbidden"),
    [
        ("api.http", ("torch", "api.sampler", "training", "cli")),
        ("api.generation", ("torch", "api.sampler", "api.http", "api.jobs", "training", "cli")),
        ("api.jobs", ("torch", "api.sampler", "api.http", "training", "cli")),
        ("api.telemetry", ("torch", "api.http", "api.generation", "api.sampler", "api.jobs")),
        ("api.process", ("torch", "api.http", "api.generation", "api.sampler", "api.jobs", "api.telemetry")),
        (
            "api.sampler",
            ("aiohttp", "httpx", "starlette.testclient", "api.http", "api.generation", "api.jobs", "formats"),
        ),
        ("formats", ("torch", "bentoml", "api", "training", "cli")),
        ("models", ("api", "formats", "training", "cli", "service")),
        ("training", ("api", "cli", "service")),
        ("service", ("torch", "training", "cli")),
    ],
)
def test_a_folder_loads_nothing_behind_its_walls(folder: str, forbidden: tuple[str, ...]) -> None:
    assert trespassers(folder, *forbidden) == {}


@pytest.mark.parametrize(
    ("library", "allowed"),
    [
        ("bentoml._internal", {"api.telemetry.bentoml_internals", "models.store"}),
        ("bentoml", {"models.store", "service", *(name for name in OWN if name.startswith(("api.", "cli.")))}),
        ("triton", {name for name in OWN if name.startswith("models.kernels.")}),
        ("fvdb", {"models.grids.fvdb_grid"}),
        ("sqlite3", {"api.jobs.embedded.database", "api.jobs.embedded.records"}),
        ("api.jobs.embedded", {"api.jobs.stores", *(name for name in OWN if name.startswith("api.jobs.embedded"))}),
        ("asyncpg", {"api.jobs.shared.database"}),
        ("obstore", {"api.jobs.shared.objects"}),
        ("api.jobs.shared", {name for name in OWN if name.startswith("api.jobs.shared")}),
    ],
)
def test_a_library_that_may_change_is_met_in_one_place(library: str, allowed: set[str]) -> None:
    users = {name for name in OWN for used in imports(name) if f"{used}.".startswith(f"{library}.")}
    assert users <= allowed


def test_no_import_goes_round_in_a_circle() -> None:
    graph = {name: [used for used in imports(name) if used in OWN and OWN[used].name != "__init__.py"] for name in OWN}
    assert len(list(TopologicalSorter(graph).static_order())) == len(OWN)


def test_the_walls_are_seen_by_what_looks_for_them() -> None:
    """The reading of imports finds what is there: the engine loads torch, and an HTTP process the table of errors."""
    assert "torch" in reached("api.sampler.engine")
    assert reached("api.http")["models.errors"] in OWN
    assert not [name for name in imports("api.sampler.model_threads") if name == "api.sampler.engine"]
