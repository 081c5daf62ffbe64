"""Results in a folder, so that a service that starts again, or another one beside it, need not make them anew.

A file is whole or not there, and carries its checksum: what was damaged or cut counts as never made. Whatever is wrong
with the folder costs a request nothing but the time that the models take.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import logging
import os
import re
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from api.schemas import GenerateRequest
from api.threads import Threads
from models.shape import Shape, Voxels
from models.version import service_version

log = logging.getLogger("xcube.kept")
T = TypeVar("T")
PATIENCE = 2.0
"""Seconds for a folder that may be on another machine."""
WAITING = 64
LEFT_SECONDS = 60.0
"""Nobody writes one file for so long: what is unfinished then was left by a process that died."""
UNFINISHED = ".tmp"
_NAME = re.compile(r"[0-9a-f]{40}\.shape(\.[0-9a-f]{32}\.tmp)?")
"""Of our own files; all others in the folder stay as they are."""


class KeptResults:
    """The latest results in a folder, as many as fit into a number of bytes. For the event loop's thread only.

    Args:
        folder: May be shared with other services and processes; it is made where it is missing.
        max_bytes: Of all files together. The one that nobody has asked for the longest makes room.
    """

    def __init__(self, folder: Path, max_bytes: int) -> None:
        self._files = Files(folder, max_bytes)
        self._threads = Threads("kept", 2, WAITING)
        self._writing: set[asyncio.Task[None]] = set()
        self._sound = True

    async def get(self, bits: str, request: GenerateRequest) -> Shape | None:
        """The result of an equal request that names its seed, if it is there and whole; as of `RecentResults`."""
        if request.seed is None or not bits:
            return None
        return await self._run(lambda: self._files.read(key_of(bits, request), request.prompt), None)

    def put(self, bits: str, request: GenerateRequest, result: Shape) -> None:
        """Keeps the result of a request, under the seed that was used, while others go on."""
        key = key_of(bits, request.model_copy(update={"seed": result.seed}))
        task = asyncio.ensure_future(self._run(lambda: self._files.write(key, result), None))
        self._writing.add(task)
        task.add_done_callback(self._writing.discard)

    async def _run(self, work: Callable[[], T], otherwise: T) -> T:
        try:
            done = await self._threads.run(work, PATIENCE)
        except OSError as error:  # a timeout as well
            if self._sound:
                why = str(error) or f"it took longer than {PATIENCE:g} s"
                log.warning("the folder XCUBE_RECENT_DIR cannot be used now: %s", why)
            self._sound = False
            return otherwise
        self._sound = True
        return done


class Files:
    """The folder. Every method may raise OSError; call them in threads."""

    def __init__(self, folder: Path, max_bytes: int) -> None:
        self._folder, self._max_bytes = folder, max_bytes

    def write(self, key: str, result: Shape) -> None:
        """Keeps a result, and removes the oldest files where there are more bytes than may be."""
        content = packed(key, result)
        if len(content) > self._max_bytes:
            return
        self._folder.mkdir(parents=True, exist_ok=True)
        path = self._path(key)
        unfinished = path.with_name(f"{path.name}.{uuid.uuid4().hex}{UNFINISHED}")
        self._make_room(len(content))
        try:
            unfinished.write_bytes(content)
            os.replace(unfinished, path)
        except BaseException:
            with contextlib.suppress(OSError):
                unfinished.unlink(missing_ok=True)
            raise

    def read(self, key: str, prompt: str) -> Shape | None:
        """A result that is whole; a file that is not is removed."""
        path = self._path(key)
        try:
            content = path.read_bytes()
        except FileNotFoundError:
            return None
        result = unpacked(key, content, prompt)
        with contextlib.suppress(OSError):  # another process may have removed it, and a read-only folder is of use too
            if result is None:
                log.warning("%s is damaged and removed", path.name)
                path.unlink()
            else:
                os.utime(path)
        return result

    def _make_room(self, size: int) -> None:
        found = []
        for entry in os.scandir(self._folder):
            with contextlib.suppress(FileNotFoundError):  # removed just now by another process
                if _NAME.fullmatch(entry.name) and entry.is_file(follow_symlinks=False):
                    facts = entry.stat(follow_symlinks=False)
                    found.append((facts.st_mtime, facts.st_size, Path(entry.path)))
        size += sum(length for _, length, _ in found)
        for changed, length, path in sorted(found):
            # What another process is writing now is its own.
            unwanted = time.time() - changed > LEFT_SECONDS if path.suffix == UNFINISHED else size > self._max_bytes
            if unwanted:
                path.unlink(missing_ok=True)
                size -= length

    def _path(self, key: str) -> Path:
        return self._folder / f"{key[:40]}.shape"


def key_of(bits: str, request: GenerateRequest) -> str:
    """What names a result: the version, what made it, and the request. It tells nobody the prompt."""
    facts = [service_version(), bits, type(request).__name__, request.model_dump_json()]
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()


def packed(key: str, result: Shape) -> bytes:
    """A result as bytes that tell whether they are whole."""
    coarse = result.coarse.to_bytes()
    fine = b"" if result.fine is None else result.fine.to_bytes()
    facts = {
        "key": key,
        "seed": result.seed,
        "warnings": result.warnings,
        "models": result.models,
        "coarse": len(coarse),
    }
    content = b"".join([json.dumps(facts).encode(), b"\n", coarse, fine])
    return b"%s\n%s" % (hashlib.blake2b(content, digest_size=32).hexdigest().encode(), content)


def unpacked(key: str, content: bytes, prompt: str) -> Shape | None:
    """The inverse of `packed`; None where bytes are missing or other ones, or it is another result."""
    checksum, _, rest = content.partition(b"\n")
    if checksum != hashlib.blake2b(rest, digest_size=32).hexdigest().encode():
        return None
    line, _, arrays = rest.partition(b"\n")
    facts = json.loads(line)
    if facts["key"] != key:
        return None
    coarse, fine = arrays[: facts["coarse"]], arrays[facts["coarse"] :]
    return Shape(
        Voxels.from_bytes(coarse), Voxels.from_bytes(fine) if fine else None,
        facts["seed"], tuple(facts["warnings"]), prompt, facts["models"],
    )  # fmt: skip
