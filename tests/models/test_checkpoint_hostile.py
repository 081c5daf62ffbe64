"""Files that are damaged where nobody looks, and files that are made to take all memory or all time."""

from __future__ import annotations

import os
import pickle
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from models.checkpoint.archive import TorchArchive
from models.checkpoint.official import open_official
from models.checkpoint.own import open_own
from models.checkpoint.training_config import read_training_config
from models.checkpoint.unpickle import plain, unpickle
from models.config import load_config, save_config
from models.errors import CheckpointError, ConfigError, XCubeError
from models.sizes import TINY
from tests.support.damage import flipped_inside

GOLDEN = Path(__file__).parents[1] / "golden"
SOON = 5.0
"""Seconds that are many times what refusing takes, and nothing against what the work would take."""


@pytest.fixture(autouse=True)
def _soon() -> Iterator[None]:
    start = time.monotonic()
    yield
    assert time.monotonic() - start < SOON


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    path = tmp_path / "last.ckpt"
    torch.save({"weight": torch.arange(1000.0), "other": torch.ones(9)}, path)
    return path


def read(path: Path, name: str = "weight") -> torch.Tensor:
    archive = TorchArchive(path)
    return archive.tensor(archive.contents[name])


# Damage


def test_bytes_changed_inside_a_tensor_are_noticed_when_it_is_read(checkpoint: Path) -> None:
    flipped_inside(checkpoint, "data/0")
    with pytest.raises(CheckpointError, match=r"last\.ckpt: 'last/data/0' is damaged .*; download the file again"):
        read(checkpoint)
    assert read(checkpoint, "other").sum() == 9


@pytest.mark.parametrize("name", ["data.pkl", "byteorder"])
def test_bytes_changed_in_the_other_entries_are_noticed_at_once(checkpoint: Path, name: str) -> None:
    flipped_inside(checkpoint, name)
    with pytest.raises(CheckpointError, match=rf"last\.ckpt: 'last/{name}' is damaged"):
        TorchArchive(checkpoint)


def test_a_file_that_was_saved_without_checksums_is_read_with_a_warning(tmp_path: Path) -> None:
    torch.serialization.set_crc32_options(False)
    try:
        torch.save({"weight": torch.arange(1000.0)}, tmp_path / "last.ckpt")
    finally:
        torch.serialization.set_crc32_options(True)
    assert read(tmp_path / "last.ckpt")[999] == 999
    (warning,) = TorchArchive(tmp_path / "last.ckpt").warnings
    assert "last.ckpt: has no checksums" in warning
    assert TorchArchive(GOLDEN / "lightning_style_probe.ckpt").warnings == []


# Zip files


def marked(path: Path, entry: str, position: int, value: int) -> None:
    """Changes two bytes of an entry in the zip file's directory."""
    data = bytearray(path.read_bytes())
    name = data.rfind(entry.encode())
    while data[name - 46 : name - 42] != b"PK\x01\x02":
        name = data.rfind(entry.encode(), 0, name)
    data[name - 46 + position : name - 44 + position] = value.to_bytes(2, "little")
    path.write_bytes(data)


FLAGS, METHOD, ENCRYPTED, DEFLATED, LZMA, UNKNOWN = 8, 10, 0x1, 8, 14, 77


@pytest.mark.parametrize("entry", ["last/data.pkl", "last/byteorder", "last/data/0"])
@pytest.mark.parametrize(
    ("position", "value"), [(FLAGS, ENCRYPTED), (METHOD, DEFLATED), (METHOD, LZMA), (METHOD, UNKNOWN)]
)
def test_an_entry_that_is_encrypted_or_compressed_is_refused(
    checkpoint: Path, entry: str, position: int, value: int
) -> None:
    marked(checkpoint, entry, position, value)
    with pytest.raises(CheckpointError, match=r"last\.ckpt: .*(not one that torch\.save writes|incomplete)"):
        read(checkpoint)


def test_a_bomb_in_the_entry_for_the_byte_order_is_not_unpacked(tmp_path: Path) -> None:
    path = tmp_path / "last.ckpt"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a/data.pkl", pickle.dumps({}, 2))
        archive.writestr("a/byteorder", bytes(10_000_000), zipfile.ZIP_DEFLATED)
    with pytest.raises(CheckpointError, match=r"entry for the byte order is not one that torch\.save writes"):
        TorchArchive(path)


def test_a_zip_directory_without_measure_is_not_read(checkpoint: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("models.checkpoint.archive._DIRECTORY_LIMIT", 100)
    with pytest.raises(CheckpointError, match="cut short or damaged"):
        TorchArchive(checkpoint)


def test_whatever_byte_is_changed_a_reader_gets_the_numbers_or_is_told(checkpoint: Path) -> None:
    whole = checkpoint.read_bytes()
    expected = read(checkpoint)
    for position in [*range(0, 700, 7), *range(len(whole) - 900, len(whole), 7)]:
        data = bytearray(whole)
        data[position] ^= 0xFF
        checkpoint.write_bytes(data)
        with suppress(CheckpointError):
            assert torch.equal(read(checkpoint), expected)


# Pickles


def doubled(times: int, end: bytes) -> bytes:
    """A pickle with tuples of two that hold the one before twice; `end` does something with the last, memo 1."""
    program = b"\x80\x02K\x01\x85q\x01"
    return program + b"h\x01h\x01\x86q\x01" * times + end


@pytest.mark.parametrize(
    "end",
    [b"(h\x01\x91.", b"\x8f(h\x01\x90.", b"}h\x01K\x01s.", b"ccollections\nOrderedDict\n)Rh\x01K\x01s.", b"h\x01."],
    ids=["frozenset", "set", "dict", "ordered", "alone"],
)
def test_tuples_that_hold_each_other_many_times_over_are_not_hashed(end: bytes) -> None:
    assert unpickle(doubled(3, end), "file.ckpt")
    with pytest.raises(CheckpointError, match=r"file\.ckpt: its table of contents is damaged"):
        unpickle(doubled(60, end), "file.ckpt")


def test_frozensets_that_hold_each_other_many_times_over_are_refused_too() -> None:
    program = b"\x80\x04(K\x01\x91\x94"
    step = b"(h\x00h\x00\x85\x91q\x00"
    with pytest.raises(CheckpointError, match="damaged"):
        unpickle(program + step * 60 + b".", "file.ckpt")


def test_a_pickle_of_more_instructions_than_any_checkpoint_has_is_not_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("models.checkpoint.unpickle._MOST_INSTRUCTIONS", 1000)
    assert unpickle(b"\x80\x02(" + b"]" * 900 + b"l.", "file.ckpt")
    with pytest.raises(CheckpointError, match="damaged"):
        unpickle(b"\x80\x02(" + b"]" * 1100 + b"l.", "file.ckpt")


def test_a_memo_slot_of_two_billion_takes_no_memory() -> None:
    assert unpickle(b"\x80\x02]r\xff\xff\xff\x7f.", "file.ckpt") == []


def test_hyper_parameters_that_unfold_without_end_are_cut() -> None:
    value: Any = {"leaf": 1}
    for _ in range(60):
        value = {"a": value, "b": value}
    assert isinstance(plain(value), dict)


@pytest.mark.parametrize("numbers", ["I3\n(I1\nI1\nt(", "I3\n(I9999999999999999\nt(I1\nt"])
def test_a_tensor_of_an_impossible_shape_is_damage(numbers: str) -> None:
    storage = "ctorch._utils\n_rebuild_tensor_v2\n((S'storage'\nctorch\nFloatStorage\nS'0'\nS'cpu'\nI4\ntQ"
    with pytest.raises(CheckpointError, match="damaged"):
        unpickle(f"{storage}{numbers}I00\nNtR.".encode(), "file.ckpt")


def test_a_tensor_that_repeats_one_number_beyond_the_file_is_refused(checkpoint: Path) -> None:
    torch.save({"weight": torch.ones(1).expand(10_000_000)}, checkpoint)
    with pytest.raises(CheckpointError, match="repeats more numbers than the file holds"):
        read(checkpoint)


# YAML


def powers(line: Callable[[int], str], first: str) -> str:
    return "\n".join([first, *(line(number) for number in range(1, 40))])


HOSTILE_YAML = {
    "aliases": powers(lambda n: f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]", "a0: &a0 [1, 1]"),
    "merges": powers(lambda n: f"a{n}: &a{n} {{<<: [*a{n - 1}, *a{n - 1}]}}", "a0: &a0 {k: 1}"),
    "circle": "a: &a [*a]",
    "depth": "[" * 20_000,
    "length": "a: " + "1" * 70_000,
    "digits": "a: " + "1" * 10_000,
    "date": "a: 2024-13-45",
    "bytes": "a: \udcff",
}
REFERENCES = powers(lambda n: f"a{n}: '${{a{n + 1}}}${{a{n + 1}}}${{a{n + 1}}}${{a{n + 1}}}'", "a0: '${a1}'")


@pytest.mark.parametrize("kind", HOSTILE_YAML)
def test_a_yaml_file_without_end_is_one_sentence_wherever_it_lies(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(HOSTILE_YAML[kind], encoding="utf-8", errors="surrogateescape")
    for reader in (read_training_config, load_config):
        with pytest.raises(
            XCubeError, match=r"config\.yaml: (not a readable YAML file|a YAML file (of|that) )"
        ) as caught:
            reader(path)
        assert "\n" not in str(caught.value)


def test_references_and_includes_that_multiply_have_an_end(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(REFERENCES)
    with pytest.raises(CheckpointError, match=r"config\.yaml: its references come to too many values"):
        read_training_config(path)
    path.write_text("include_configs: [b.yaml, b.yaml, b.yaml, b.yaml]")
    for name, then in (("b", "c"), ("c", "d"), ("d", "e")):
        (tmp_path / f"{name}.yaml").write_text("include_configs: [" + f"{then}.yaml, " * 4 + "]")
    (tmp_path / "e.yaml").write_text("a: 1")
    with pytest.raises(CheckpointError, match=r"include_configs lead to more than 64 files"):
        read_training_config(path)


@pytest.mark.parametrize(
    ("name", "value"),
    [("num_res_blocks", 10**9), ("num_heads", "many"), ("channel_mult", [1] * 99), ("model_channels", -1),
     ("num_heads", 7), ("channel_mult", [10**6]), ("model_channels", 1.5), ("context_dim", None)],
)  # fmt: skip
def test_a_configuration_of_no_model_that_there_can_be_is_refused(tmp_path: Path, name: str, value: object) -> None:
    save_config(TINY["fine"], tmp_path / "config.yaml")
    values = yaml.safe_load((tmp_path / "config.yaml").read_text())
    values["unet"][name] = value
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(values))
    (tmp_path / "model.safetensors").write_bytes((2).to_bytes(8, "little") + b"{}")
    with pytest.raises(ConfigError, match=rf"config\.yaml: (unet: )?{name} is"):
        open_own(tmp_path)


# What is no file


@pytest.mark.parametrize("name", ["last.ckpt", "config.yaml", "vae_config.yaml"])
@pytest.mark.parametrize("kind", ["pipe", "device", "folder"])
def test_pipes_devices_and_folders_are_never_read(tmp_path: Path, name: str, kind: str) -> None:
    for source in (GOLDEN / "objaverse_fine").iterdir():
        (tmp_path / source.name).write_bytes(source.read_bytes())
    path = tmp_path / name
    path.unlink()
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "device":
        path.symlink_to("/dev/zero")
    else:
        path.mkdir()
    with pytest.raises(CheckpointError, match=rf"{name}: .*(not a regular file|Is a directory)"):
        open_official(tmp_path, "fine")
