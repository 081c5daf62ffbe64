"""What keeps results and states for several services: a folder, and a bucket of a real S3 server."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from api.addresses import BucketAddress, results_at
from api.jobs.shared.objects import Bucket, Folder, Objects, objects_at
from tests.support.s3 import CREDENTIALS, make_bucket, s3


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with s3(tmp_path_factory.mktemp("s3") / "log") as url:
        make_bucket(url, "results")
        yield url


@pytest.fixture(params=["folder", "bucket"])
def objects(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Objects:
    if request.param == "folder":
        return objects_at(results_at(f"file://{tmp_path}"))
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    url = request.getfixturevalue("server")
    return objects_at(results_at(f"s3://results/{tmp_path.name}/below?endpoint={url}"))


def test_what_is_written_is_read_replaced_and_removed(objects: Objects) -> None:
    with pytest.raises(FileNotFoundError):
        objects.read("job/a.state")
    objects.write("job/a.state", b"one")
    objects.write("job/a.state", b"two" * 10**6)
    objects.write("job/a.fine", b"")
    objects.write("other/a.state", b"three")
    assert objects.read("job/a.state") == b"two" * 10**6
    assert objects.read("job/a.fine") == b""
    assert {folder for folder, _ in objects.folders()} == {"job", "other"}
    assert all(-60 < age < 600 for _, age in objects.folders())
    objects.remove("job")
    objects.remove("job")
    objects.remove("nothing")
    with pytest.raises(FileNotFoundError):
        objects.read("job/a.fine")
    assert objects.read("other/a.state") == b"three"


def test_a_result_stays_when_the_rest_of_its_job_is_removed(objects: Objects) -> None:
    for name in ("mine.coarse", "mine.fine", "mine.state", "other.coarse", "other.state", "half-1"):
        objects.write(f"job/{name}", name.encode())
    objects.remove("job", keep="mine.")
    for name in ("mine.coarse", "mine.fine"):
        assert objects.read(f"job/{name}") == name.encode()
    for name in ("mine.state", "other.coarse", "other.state", "half-1"):
        with pytest.raises(FileNotFoundError):
            objects.read(f"job/{name}")


def test_a_folder_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    folder = Folder(tmp_path / "gone")
    with pytest.raises(OSError, match="gone"):
        folder.write("job/a.state", b"x")
    assert not (tmp_path / "gone").exists()


@pytest.mark.parametrize("fault", ["bucket", "server"])
def test_a_bucket_that_cannot_be_reached_is_told_and_nothing_counts_as_gone(
    server: str, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    bucket = Bucket(BucketAddress("missing", "", server if fault == "bucket" else "http://127.0.0.1:9"))
    for call in (
        lambda: bucket.write("job/a", b"x"), lambda: bucket.read("job/a"), lambda: bucket.remove("job"),
        lambda: list(bucket.folders()),
    ):  # fmt: skip
        with pytest.raises(OSError, match="XCUBE_RESULTS_URL") as caught:
            call()
        assert not isinstance(caught.value, FileNotFoundError)
        assert CREDENTIALS["AWS_SECRET_ACCESS_KEY"] not in str(caught.value)
