"""Where results and states are kept for all services: a bucket of an S3-compatible store, or a folder that they share.

obstore speaks S3: one wheel without dependencies, which tries again by itself and finds credentials as AWS's tools do.
Its own folders are not used, since they do not write files to the disk before they count (`api.jobs.durable` does).
"""

from __future__ import annotations

import errno
import re
import shutil
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Protocol

import obstore
from obstore.exceptions import BaseError
from obstore.store import S3Store

from api.addresses import BucketAddress
from api.jobs.durable import sync_folder, write_durably

_LONGEST = 300
"""Characters of an error that are told."""
_TOOK = re.compile(r" in [\d.]+[mµn]?s\b")
"""What would make each error another one."""
_WAIT = "30 seconds"
_TRIES = 2


class Objects(Protocol):
    """Named bytes, each whole or not there. A name is one folder and one file: "id/kind".

    Every method may raise OSError: the store cannot be used now. Call them in threads.
    """

    may_be_elsewhere: bool
    """Whether another, empty place could be met under the same address, as where a disk is not mounted."""

    def write(self, name: str, data: bytes) -> None:
        """Keeps data in place of what was there; once this returns, it is kept for good."""

    def read(self, name: str) -> bytes:
        """What was written. Raises FileNotFoundError where there is nothing."""

    def remove(self, folder: str, keep: str | None = None) -> None:
        """Deletes everything in a folder, but for what begins with `keep` and is no state."""

    def folders(self) -> Iterator[tuple[str, float]]:
        """Every folder that there is, and for how many seconds one of its files has been there; some come twice."""


class Folder:
    """A folder on a disk that all services see."""

    may_be_elsewhere = True

    def __init__(self, path: Path) -> None:
        self._path = path

    def write(self, name: str, data: bytes) -> None:
        """See `Objects`."""
        path = self._path / name
        if not path.parent.is_dir():
            path.parent.mkdir(exist_ok=True)  # its own folder must be there: it may be a disk that is not mounted
            sync_folder(self._path)
        write_durably(path, data)

    def read(self, name: str) -> bytes:
        """See `Objects`."""
        return (self._path / name).read_bytes()

    def remove(self, folder: str, keep: str | None = None) -> None:
        """See `Objects`."""
        path = self._path / folder
        if not path.is_dir():
            return
        for entry in list(path.iterdir()):
            if not _kept(entry.name, keep):
                if entry.is_dir():
                    shutil.rmtree(entry)
                else:
                    entry.unlink(missing_ok=True)
        if not any(path.iterdir()):
            shutil.rmtree(path, ignore_errors=True)

    def folders(self) -> Iterator[tuple[str, float]]:
        """See `Objects`."""
        for path in self._path.iterdir():
            if path.is_dir():
                yield path.name, time.time() - path.stat().st_mtime


class Bucket:
    """Objects below a prefix of a bucket."""

    may_be_elsewhere = False

    def __init__(self, address: BucketAddress) -> None:
        config: dict[str, Any] = {"bucket": address.name}
        if address.endpoint is not None:
            config["endpoint"] = address.endpoint
        if address.region is not None:
            config["region"] = address.region
        self._store = S3Store(
            prefix=address.prefix or None,
            config=config,  # type: ignore[arg-type]  # a mapping that is made here has no such type
            client_options={"connect_timeout": "3 seconds", "timeout": _WAIT, "allow_http": True},
            retry_config={"max_retries": _TRIES, "retry_timeout": timedelta(seconds=20)},
        )

    def write(self, name: str, data: bytes) -> None:
        """See `Objects`."""
        try:
            obstore.put(self._store, name, data, use_multipart=False)  # one request: nothing is left of half of one
        except (BaseError, FileNotFoundError) as error:
            raise _fault(error) from None

    def read(self, name: str) -> bytes:
        """See `Objects`."""
        try:
            return bytes(obstore.get(self._store, name).bytes())
        except FileNotFoundError as error:
            if "NoSuchBucket" in str(error):
                raise _fault(error) from None
            raise
        except BaseError as error:
            raise _fault(error) from None

    def remove(self, folder: str, keep: str | None = None) -> None:
        """See `Objects`."""
        try:
            names = [each["path"] for page in obstore.list(self._store, prefix=folder) for each in page]
            obstore.delete(self._store, [name for name in names if not _kept(name.rpartition("/")[2], keep)])
        except (BaseError, FileNotFoundError) as error:
            raise _fault(error) from None

    def folders(self) -> Iterator[tuple[str, float]]:
        """See `Objects`."""
        try:
            for page in obstore.list(self._store):
                for each in page:
                    folder, slash, _ = each["path"].rpartition("/")
                    if slash:
                        yield folder, (datetime.now(UTC) - each["last_modified"]).total_seconds()
        except (BaseError, FileNotFoundError) as error:
            raise _fault(error) from None


def objects_at(place: BucketAddress | Path) -> Objects:
    """What keeps results at an address."""
    return Folder(place) if isinstance(place, Path) else Bucket(place)


def _kept(name: str, keep: str | None) -> bool:
    return keep is not None and name.startswith(keep) and not name.endswith(".state")


def _fault(error: Exception) -> OSError:
    told = _TOOK.sub("", str(error).splitlines()[0])[:_LONGEST]
    return OSError(
        errno.EIO, f"the bucket of XCUBE_RESULTS_URL cannot be used, see to its address and its credentials: {told}"
    )
