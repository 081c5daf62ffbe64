"""The environment variables of the service: which of them are settings, and which only look like some."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, MutableMapping
from difflib import get_close_matches
from pathlib import Path

from models.home import VARIABLE as BENTOML_HOME

PREFIX = "XCUBE_"
_OTHERS = frozenset({"XCUBE_URL", "XCUBE_IMAGE"})
"""Read by the example clients and by deploy/compose, not by the service."""
_HERE = "localhost,127.0.0.1,::1"
_TESTS = "XCUBE_TEST_"
_ADDRESS = re.compile(r"(tcp|udp|sctp)://\S+:\d+")
_LINK = re.compile(r"XCUBE_(.+_)?(SERVICE_HOST|SERVICE_PORT(_.+)?|PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)")
"""Kubernetes adds such variables for each Service of a namespace whose name begins with xcube, Docker for links."""


def variable(environ: Mapping[str, str], name: str) -> str | None:
    """The value of a variable as settings are read: without the blanks around it, None where it is empty.

    Kubernetes sets XCUBE_PORT to an address such as tcp://10.0.0.1:80 if there is a Service named xcube: that counts as
    unset.
    """
    value = environ.get(name, "")
    if not value or (name.endswith("_PORT") and _ADDRESS.fullmatch(value)):
        return None
    return value.strip()


def values(environ: Mapping[str, str], fields: Collection[str]) -> dict[str, str]:
    """The values that are set for some fields of the settings, by field."""
    found = {field: variable(environ, name_of(field)) for field in fields}
    return {field: value for field, value in found.items() if value is not None}


def name_of(field: str) -> str:
    """The variable of a field: ``XCUBE_PORT`` for ``port``."""
    return PREFIX + field.upper()


def fix_paths(environ: MutableMapping[str, str], fields: Iterable[str], folder: Path) -> None:
    """Makes relative paths absolute, so that they mean the same in processes that run in another folder.

    Those that begin with the home folder are resolved where they are used. So are variables in BENTOML_HOME, by
    BentoML. A variable without a value is removed.

    Args:
        environ: Variables of this process.
        fields: Fields of the settings that hold paths.
        folder: What they are relative to.
    """
    for name in (*map(name_of, fields), BENTOML_HOME):
        path = variable(environ, name)
        if not path:
            environ.pop(name, None)
        elif not path.startswith(("~", "$") if name == BENTOML_HOME else "~"):
            environ[name] = str(folder / path)


def pass_by_proxies(environ: MutableMapping[str, str]) -> None:
    """Makes calls of this process and its children to the same machine use no proxy, whatever HTTP_PROXY says.

    Samplers may listen there, and a collector of traces.
    """
    others = environ.get("no_proxy") or environ.get("NO_PROXY", "")
    if _HERE not in others:
        environ["no_proxy"] = f"{_HERE},{others}".rstrip(",")


def doubts(environ: Mapping[str, str], fields: Collection[str]) -> Iterator[str]:
    """One sentence for each variable that looks like a setting and is none."""
    known = [name_of(field) for field in fields]
    for name in sorted(environ):
        shouted = name.upper()
        if not shouted.startswith(PREFIX) or name in known or _is_somebody_else_s(name, environ[name]):
            continue
        near = [shouted] if shouted in known else get_close_matches(shouted, known, n=1)
        meant = f"{near[0]} may be meant" if near else "docs/configuration.md lists those that there are"
        yield f"{name} is set but is no setting: {meant}."


def _is_somebody_else_s(name: str, value: str) -> bool:
    address = name.endswith("_PORT") and _ADDRESS.fullmatch(value) is not None
    alias = (name == "XCUBE_NAME" and value.startswith("/")) or name.startswith("XCUBE_ENV_")  # of Docker's links
    return address or alias or name in _OTHERS or name.startswith(_TESTS) or _LINK.fullmatch(name) is not None
