"""Checkpoint files that carry code, are damaged, or are something else."""

from __future__ import annotations

import builtins
import os
import pathlib
import pickle
import shutil
import zipfile
from collections import OrderedDict, defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf

from models.checkpoint.archive import TorchArchive
from models.checkpoint.unpickle import TensorRecord, plain, unpickle
from models.errors import CheckpointError

GOLDEN = Path(__file__).parents[1] / "golden"
PROBE = GOLDEN / "lightning_style_probe.ckpt"


class Calls:
    """Pickles as a call of `function` with `arguments`."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.function, self.arguments = function, arguments

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        return self.function, self.arguments


def saved(path: Path, value: Any) -> Path:
    torch.save(value, path)
    return path


def rewritten(source: Path, target: Path, change: Callable[[bytes], bytes]) -> Path:
    """A copy of a checkpoint whose contents table is changed."""
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w") as new:
        for entry in old.infolist():
            data = old.read(entry)
            new.writestr(entry.filename, change(data) if entry.filename.endswith("data.pkl") else data)
    return target


def test_a_lightning_file_with_omegaconf_objects_reads_like_torch_load_does() -> None:
    archive = TorchArchive(PROBE)
    expected = torch.load(PROBE, weights_only=False)
    state = archive.contents["state_dict"]
    assert set(state) == set(expected["state_dict"])
    for key, value in expected["state_dict"].items():
        tensor = archive.tensor(state[key])
        assert torch.equal(tensor, value)
        assert tensor.stride() == value.stride()
    assert archive.contents["pytorch-lightning_version"] == "1.9.4"
    assert plain(archive.contents["hyper_parameters"]) == OmegaConf.to_container(expected["hyper_parameters"])


def test_reading_a_lightning_file_imports_no_omegaconf(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def guarded(name: str, *arguments: Any, **keywords: Any) -> Any:
        assert not name.startswith(("omegaconf", "pytorch_lightning", "lightning"))
        return real(name, *arguments, **keywords)

    monkeypatch.setattr(builtins, "__import__", guarded)
    TorchArchive(PROBE)


def touch(marker: str) -> None:
    Path(marker).write_text("ran")


@pytest.mark.parametrize(
    ("payload", "name"),
    [
        (lambda marker: Calls(os.system, f"touch {marker}"), r"posix\.system"),
        (lambda marker: Calls(eval, f"open({marker!r}, 'w')"), r"builtin(s|__)\.eval"),
        (lambda marker: Calls(exec, f"open({marker!r}, 'w')"), r"builtin(s|__)\.exec"),
        (lambda marker: Calls(getattr, Calls(__import__, "os"), "system"), r"\.getattr"),
        (lambda marker: {"deep": [Calls(OrderedDict, [Calls(touch, marker)])]}, r"\.touch"),
        (lambda marker: OrderedDict(a=Calls(torch.hub.load, "owner/name", "model")), r"torch\.hub\.load"),
        (lambda marker: Calls(torch.load, marker), r"torch\.serialization\.load"),
        (lambda marker: np.dtype("float32"), r"numpy\.dtype"),
        (lambda marker: Calls(shutil.rmtree, marker), r"shutil\.rmtree"),
    ],
)
@pytest.mark.parametrize("protocol", [0, 2, 4, 5])
def test_a_pickle_that_calls_anything_is_refused_by_name_before_it_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, payload: Callable[[str], Any], name: str, protocol: int
) -> None:
    def never(*_: Any) -> None:
        raise AssertionError("the pickle was started")

    marker = tmp_path / "marker"
    data = pickle.dumps({"first": [1, 2], "then": payload(str(marker))}, protocol)
    monkeypatch.setattr("models.checkpoint.unpickle._Unpickler", never)
    with pytest.raises(CheckpointError, match=rf"^file\.ckpt: refused, because it would run .*{name},"):
        unpickle(data, "file.ckpt")
    assert not marker.exists()


@pytest.mark.parametrize(
    "program",
    [
        # A name put together from memo and stack, from a duplicate, and from an extension code.
        b"\x80\x04\x8c\x02os\x94\x8c\x06system\x94h\x00h\x01\x93.",
        b"\x80\x04\x8c\x02os2\x93.",
        b"\x80\x04\x8c\x02os\x8c\x06system\x8c\x0bOrderedDict0\x93.",
        b"\x80\x02\x82\x05.",
        b"(S'echo'\nios\nsystem\n.",
    ],
)
def test_names_made_up_by_the_program_are_refused_too(program: bytes) -> None:
    with pytest.raises(CheckpointError, match="refused, because it would run"):
        unpickle(program, "file.ckpt")


def test_the_reader_itself_knows_no_other_name_than_the_scan() -> None:
    """If the scan missed a name, looking it up would still fail."""
    from models.checkpoint.unpickle import _Unpickler

    reader = _Unpickler(b"", "file.ckpt")
    with pytest.raises(CheckpointError, match=r"posix\.system"):
        reader.find_class("posix", "system")
    with pytest.raises(CheckpointError, match=r"builtins\.getattr"):
        reader.find_class("builtins", "getattr")


def test_paths_and_lightning_objects_become_inert() -> None:
    found = unpickle(pickle.dumps({"dir": pathlib.PurePosixPath("a/b"), "counts": defaultdict(int, a=1)}), "file.ckpt")
    assert plain(found) == {"dir": None, "counts": {"a": 1}}
    program = b"clightning.pytorch.utilities.parsing\nAttributeDict\n)R}S'lr'\nI1\nsb."
    assert unpickle(program, "file.ckpt").state == {"lr": 1}


def test_every_kind_of_tensor_comes_back_with_its_strides(tmp_path: Path) -> None:
    base = torch.randn(6, 5, 4)
    values = {
        "float16": base.half(),
        "bfloat16": base.bfloat16(),
        "permuted": base.permute(2, 0, 1),
        "slice": base[1:3, ::2],
        "expanded": torch.ones(1, 3).expand(4, 3),
        "integer": torch.arange(7),
        "flags": torch.tensor([True, False]),
        "scalar": torch.tensor(1.25),
        "empty": torch.empty(0, 3),
        "parameter": torch.nn.Parameter(torch.ones(2)),
    }
    archive = TorchArchive(saved(tmp_path / "all.ckpt", values))
    for key, value in values.items():
        record = archive.contents[key]
        assert isinstance(record, TensorRecord)
        tensor = archive.tensor(record)
        assert tensor.dtype == value.dtype
        assert tensor.stride() == value.stride() or not value.numel()
        assert torch.equal(tensor, value)


def test_a_file_packed_again_without_alignment_still_reads(tmp_path: Path) -> None:
    path = saved(tmp_path / "aligned.ckpt", {"first": torch.tensor([True]), "second": torch.arange(5.0)})
    archive = TorchArchive(rewritten(path, tmp_path / "again.ckpt", lambda data: data + b"\n" * 3))
    assert archive.tensor(archive.contents["second"]).tolist() == [0, 1, 2, 3, 4]


def test_the_fingerprint_follows_the_content_and_not_the_file(tmp_path: Path) -> None:
    value = {"weight": torch.ones(100)}
    first = TorchArchive(saved(tmp_path / "first.ckpt", value)).fingerprint
    (tmp_path / "folder").mkdir()
    moved = shutil.copyfile(tmp_path / "first.ckpt", tmp_path / "folder" / "first.ckpt")
    os.utime(moved, (1, 1))
    assert TorchArchive(moved).fingerprint == first
    value["weight"][50] = 2
    (tmp_path / "other").mkdir()
    assert TorchArchive(saved(tmp_path / "other" / "first.ckpt", value)).fingerprint != first


def test_a_file_cut_short_is_told_from_other_files(tmp_path: Path) -> None:
    whole = saved(tmp_path / "whole.ckpt", {"weight": torch.ones(1000)}).read_bytes()
    cases = {
        whole[: len(whole) // 2]: "cut short or damaged; download it again",
        b"version https://git-lfs.github.com/spec/v1\noid sha256:0": "Git LFS pointer",
        pickle.dumps({"a": 1}, 2): r"written in PyTorch's old format \(before 1\.6\)",
        b"<html>404</html>": "not a PyTorch checkpoint",
        b"": "not a PyTorch checkpoint",
    }
    for number, (data, message) in enumerate(cases.items()):
        path = tmp_path / f"{number}.ckpt"
        path.write_bytes(data)
        with pytest.raises(CheckpointError, match=rf"{number}\.ckpt: .*{message}"):
            TorchArchive(path)
    with pytest.raises(CheckpointError, match=r"absent\.ckpt: cannot be read"):
        TorchArchive(tmp_path / "absent.ckpt")


def test_the_format_of_before_1_6_is_named(tmp_path: Path) -> None:
    torch.save({"weight": torch.ones(3)}, tmp_path / "old.ckpt", _use_new_zipfile_serialization=False)
    with pytest.raises(CheckpointError, match=r"old\.ckpt: written in PyTorch's old format \(before 1\.6\)"):
        TorchArchive(tmp_path / "old.ckpt")


def test_another_zip_file_is_no_checkpoint(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "photos.zip", "w") as archive:
        archive.writestr("a.txt", "hello")
    with pytest.raises(CheckpointError, match="not a PyTorch checkpoint"):
        TorchArchive(tmp_path / "photos.zip")


def test_a_contents_table_cut_short_is_called_damaged(tmp_path: Path) -> None:
    source = saved(tmp_path / "whole.ckpt", {"weight": torch.ones(10)})
    path = rewritten(source, tmp_path / "cut.ckpt", lambda data: data[: len(data) // 2])
    with pytest.raises(CheckpointError, match=r"cut\.ckpt: its table of contents is damaged"):
        TorchArchive(path)


def test_a_tensor_cannot_reach_outside_its_own_storage(tmp_path: Path) -> None:
    """Storages share one memory map: a stride out of bounds would read the neighbour's numbers."""
    archive = TorchArchive(saved(tmp_path / "two.ckpt", {"weight": torch.zeros(4, 4), "next": torch.ones(99_999)}))
    record = archive.contents["weight"]
    for offset, stride in ((1, (4, 1)), (0, (5, 1)), (0, (10_000, 1))):
        with pytest.raises(CheckpointError, match="incomplete"):
            archive.tensor(TensorRecord(record.storage, record.dtype, offset, (4, 4), stride))


def test_a_negative_stride_is_damage() -> None:
    program = (
        b"ctorch._utils\n_rebuild_tensor_v2\n((S'storage'\nctorch\nFloatStorage\nS'0'\nS'cpu'\nI4\ntQ"
        b"I3\n(I2\nt(I%d\ntI00\nNtR."
    )
    assert unpickle(program % 1, "file.ckpt").stride == (1,)
    with pytest.raises(CheckpointError, match="damaged"):
        unpickle(program % -1, "file.ckpt")


def test_a_memory_bomb_is_not_unpacked(tmp_path: Path) -> None:
    path = tmp_path / "bomb.ckpt"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("bomb/data.pkl", bytes(10_000_000))
    with pytest.raises(CheckpointError, match=r"not one that torch\.save writes"):
        TorchArchive(path)


def test_a_big_file_is_mapped_and_not_read(tmp_path: Path) -> None:
    path = saved(tmp_path / "big.ckpt", {"unused": torch.zeros(16 * 2**20), "used": torch.arange(4.0)})
    resident_before = resident()
    archive = TorchArchive(path)
    assert archive.tensor(archive.contents["used"]).tolist() == [0, 1, 2, 3]
    assert resident() - resident_before < 16 * 2**20


def resident() -> int:
    """Bytes of memory that this process occupies."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
