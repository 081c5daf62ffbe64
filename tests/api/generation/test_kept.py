"""Results in a folder: whole or not there, bounded, and never in the way of a request."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import numpy as np
import pytest

from api.generation.kept import Files, KeptResults, key_of, packed
from api.schemas import GenerateRequest
from models.shape import Shape, Voxels
from tests.support.small_disk import full, mounted

T = TypeVar("T")
BITS = "cpu, float32; abc"
ROOM = 10**7


def result(count: int, seed: int, *, fine: bool = False) -> Shape:
    rng = np.random.default_rng(seed % 2**32)
    ijk = rng.integers(-16, 16, (count, 3)).astype(np.int16)
    voxels = Voxels(ijk, rng.random((count, 3), dtype=np.float32), 1 / 32)
    return Shape(voxels, voxels if fine else None, seed, ("it was cut",), "a mug", "text:1 coarse:2")


def asked(seed: int | None, prompt: str = "a mug") -> GenerateRequest:
    return GenerateRequest(prompt=prompt, seed=seed)


def run(test: Callable[[], Awaitable[T]]) -> T:
    async def main() -> T:
        return await test()

    return asyncio.run(main())


async def put(kept: KeptResults, request: GenerateRequest, made: Shape) -> None:
    kept.put(BITS, request, made)
    await asyncio.gather(*kept._writing)


def same(one: Shape | None, other: Shape) -> bool:
    assert one is not None
    stages = [(one.coarse, other.coarse), *([(one.fine, other.fine)] if one.fine and other.fine else [])]
    return (one.seed, one.warnings, one.prompt, one.models, one.fine is None) == (
        other.seed, other.warnings, other.prompt, other.models, other.fine is None,
    ) and all(
        np.array_equal(a.ijk, b.ijk) and np.array_equal(a.normal, b.normal) and a.voxel_size == b.voxel_size
        for a, b in stages
    )  # fmt: skip


@pytest.mark.parametrize("fine", [True, False])
def test_another_process_finds_the_same_result_under_the_seed_that_was_drawn(tmp_path: Path, fine: bool) -> None:
    made = result(50, 2**64 - 1, fine=fine)

    async def test() -> Shape | None:
        await put(KeptResults(tmp_path / "new" / "folder", ROOM), asked(None), made)
        return await KeptResults(tmp_path / "new" / "folder", ROOM).get(BITS, asked(2**64 - 1))

    assert same(run(test), made)
    (file,) = (tmp_path / "new" / "folder").iterdir()
    assert b"a mug" not in file.read_bytes()


def test_any_other_request_models_or_version_find_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = KeptResults(tmp_path, ROOM)

    async def found(request: GenerateRequest, bits: str = BITS) -> bool:
        return await kept.get(bits, request) is not None

    async def test() -> None:
        await put(kept, asked(None), result(5, 1))
        assert await found(asked(1))
        for other in (asked(1, "a cup"), asked(2), asked(None), GenerateRequest(prompt="a mug", seed=1, ddim_steps=9)):
            assert not await found(other)
        assert not await found(asked(1), "cpu, float32; others")
        assert not await found(asked(1), "")
        monkeypatch.setattr("api.generation.kept.service_version", lambda: "another")
        assert not await found(asked(1))

    run(test)


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: content[:-1],
        lambda content: b"",
        lambda content: content[:200] + bytes([content[200] ^ 1]) + content[201:],
        lambda content: content + b"x",
        lambda content: b"{}",
    ],
)
def test_what_is_damaged_is_removed_and_made_again(tmp_path: Path, damage: Callable[[bytes], bytes]) -> None:
    kept = KeptResults(tmp_path, ROOM)

    async def test() -> None:
        await put(kept, asked(1), result(50, 1))
        (file,) = tmp_path.iterdir()
        file.write_bytes(damage(file.read_bytes()))
        assert await kept.get(BITS, asked(1)) is None
        assert not file.exists()
        await put(kept, asked(1), result(50, 1))
        assert await kept.get(BITS, asked(1)) is not None

    run(test)


def test_a_file_under_another_s_name_is_not_taken_for_it(tmp_path: Path) -> None:
    files = Files(tmp_path, ROOM)
    files.write(key_of(BITS, asked(1)), result(5, 1))
    (file,) = tmp_path.iterdir()
    file.rename(tmp_path / f"{key_of(BITS, asked(2))[:40]}.shape")
    assert files.read(key_of(BITS, asked(2)), "a mug") is None


def test_what_nobody_asked_for_the_longest_makes_room_and_strangers_files_stay(tmp_path: Path) -> None:
    keys = [key_of(BITS, asked(seed)) for seed in range(4)]
    size = len(packed(keys[0], result(100, 0)))
    files = Files(tmp_path, 3 * size + 100)
    (tmp_path / "notes.txt").write_bytes(bytes(10 * size))
    (tmp_path / "left").mkdir()
    for age, key in enumerate(keys[:3]):
        files.write(key, result(100, age))
        os.utime(tmp_path / f"{key[:40]}.shape", (age + 1000, age + 1000))
    assert files.read(keys[0], "") is not None
    files.write(keys[3], result(100, 3))
    assert [files.read(key, "") is not None for key in keys] == [True, False, True, True]
    files.write(key_of(BITS, asked(9)), result(10_000, 9))
    assert files.read(key_of(BITS, asked(9)), "") is None, "it never fits, and pushed nobody out"
    assert files.read(keys[0], "") is not None
    assert (tmp_path / "notes.txt").exists()


def test_what_a_process_that_died_left_unfinished_is_removed(tmp_path: Path) -> None:
    left = tmp_path / f"{'a' * 40}.shape.{'b' * 32}.tmp"
    being_written = tmp_path / f"{'c' * 40}.shape.{'d' * 32}.tmp"
    for path in (left, being_written):
        path.write_bytes(b"half")
    os.utime(left, (1000, 1000))
    Files(tmp_path, ROOM).write(key_of(BITS, asked(1)), result(5, 1))
    assert not left.exists()
    assert being_written.exists()


def test_two_services_in_one_folder_read_whole_results_or_none(tmp_path: Path) -> None:
    keys = [key_of(BITS, asked(seed)) for seed in range(6)]
    results = [result(400, seed) for seed in range(6)]
    size = len(packed(keys[0], results[0]))
    services = [Files(tmp_path, 3 * size + 100) for _ in range(4)]
    begin = threading.Barrier(len(services))

    def work(files: Files) -> int:
        found = 0
        begin.wait()
        for turn in range(60):
            index = (turn * 5 + id(files)) % 6
            files.write(keys[index], results[index])
            other = (index + 1) % 6
            if (read := files.read(keys[other], "a mug")) is not None:
                assert same(read, results[other])
                found += 1
        return found

    with ThreadPoolExecutor(len(services)) as threads:
        assert sum(threads.map(work, services)) > 0
    assert not list(tmp_path.glob("*.tmp"))


@pytest.mark.parametrize("place", ["/proc/nowhere", "/dev/null/folder"])
def test_a_folder_that_cannot_be_used_is_told_once_and_costs_nothing(
    place: str, caplog: pytest.LogCaptureFixture
) -> None:
    kept = KeptResults(Path(place), ROOM)

    async def test() -> None:
        for seed in range(3):
            await put(kept, asked(seed), result(5, seed))
            assert await kept.get(BITS, asked(seed)) is None

    run(test)
    assert 1 <= sum("XCUBE_RECENT_DIR" in record.message for record in caplog.records) <= 3


def test_a_full_disk_loses_no_result_that_is_there_and_fails_nobody(tmp_path: Path) -> None:
    with mounted(tmp_path / "disk", 1) as folder:
        kept = KeptResults(folder, ROOM)

        async def test() -> None:
            await put(kept, asked(1), result(500, 1))
            with full(folder):
                await put(kept, asked(2), result(500, 2))
                assert await kept.get(BITS, asked(2)) is None
                assert await kept.get(BITS, asked(1)) is not None
            await put(kept, asked(2), result(500, 2))
            assert await kept.get(BITS, asked(2)) is not None

        run(test)
        assert not list(folder.glob("*.tmp"))
