"""Folders as strangers bring them: tables of any program, odd names, links in a circle, files of other programs."""

from __future__ import annotations

import json
import os
import struct
from pathlib import Path

import pytest

from formats.meshes import read_mesh
from models.errors import ConfigError, MeshError
from tests.support.meshes import furniture, furniture_folder
from training.make_dataset import main
from training.meshes.building import Settings, build
from training.meshes.captions import read_table, tidy, words_of
from training.meshes.folder import look
from training.meshes.making import Refusal, make
from training.meshes.store import Entry

ONE = ("one.obj", "a big table")


@pytest.mark.parametrize(
    "data",
    [
        "file\tcaption\r\none.obj\ta big table\r\n".encode("utf-16"),
        b"\xef\xbb\xbffile;caption\r\none.obj;a big table\r\n",
        b"sep=;\r\nfile;caption\r\none.obj;a big table\r\n",
        b"\nfile,caption\n\none.obj,a big table\n",
        b"file,caption\rone.obj,a big table\r",
        b'file,caption\none.obj,"a big\ntable"\n',
        b"file,caption\none.obj,a\x00big\x1btable.\n",
        b"File,Caption\nONE.OBJ,a big table\n",
    ],
    ids=["utf-16", "bom", "sep", "blank lines", "old mac", "line in a field", "control characters", "capitals"],
)
def test_a_table_is_read_as_spreadsheets_and_systems_write_it(data: bytes, tmp_path: Path) -> None:
    (tmp_path / "captions.csv").write_bytes(data)
    file, caption = ONE
    words = words_of(file, read_table(tmp_path / "captions.csv"), "auto")
    assert words is not None
    assert (words.captions, words.kind) == ((caption,), "table")


def test_a_table_written_on_windows_names_files_in_folders(tmp_path: Path) -> None:
    (tmp_path / "captions.csv").write_text("file,caption\ntables\\one.obj,a big table\n")
    words = words_of("tables/one.obj", read_table(tmp_path / "captions.csv"), "auto")
    assert words is not None
    assert words.captions == ("a big table",)


def test_a_table_that_names_kinds_alone_has_them_as_captions(tmp_path: Path) -> None:
    (tmp_path / "captions.csv").write_text("file,label\none.obj,table\n")
    words = read_table(tmp_path / "captions.csv").rows["one.obj"]
    assert (words.captions, words.kind) == (("table",), "table")


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        ("file,caption\na.obj,Stühle\n".encode("cp1252"), "its text is not UTF-8"),
        ("file,caption\na.obj,Stühle\n".encode("utf-16-le"), "cannot be read as a table of captions"),
        (b"a.obj,a big table\n", "its columns are a.obj, a big table, and not file and caption"),
        (b"file,caption\na.obj," + b"very " * 40_000, "cannot be read as a table of captions"),
    ],
)
def test_a_table_that_cannot_be_read_is_told_with_the_reason(data: bytes, sentence: str, tmp_path: Path) -> None:
    (tmp_path / "captions.csv").write_bytes(data)
    with pytest.raises(ConfigError, match=sentence):
        read_table(tmp_path / "captions.csv")


def test_what_is_no_text_in_json_is_no_caption(tmp_path: Path) -> None:
    (tmp_path / "captions.json").write_text('{"a.obj": ["a table", 5, null], "b.obj": null}')
    rows = read_table(tmp_path / "captions.json").rows
    assert list(rows) == ["a.obj"]
    assert rows["a.obj"].captions == ("a table",)


def test_joined_letters_of_other_scripts_stay_joined() -> None:
    assert tidy("न\u200dक\x00") == "न\u200dक"


def test_links_may_go_round_in_a_circle_and_lead_elsewhere(tmp_path: Path) -> None:
    folder, elsewhere = tmp_path / "folder", tmp_path / "elsewhere"
    for path in (folder / "table" / "a.obj", elsewhere / "b.obj", folder / ".hidden" / "c.obj", folder / "._d.obj"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("o")
    (folder / "table" / "up").symlink_to("..")
    (folder / "a link to it").symlink_to("table")
    (folder / "more").symlink_to(elsewhere)
    (folder / "itself.obj").symlink_to("itself.obj")
    (folder / "gone.obj").symlink_to("nowhere.obj")
    (folder / "folder.obj").mkdir()
    (folder / "set" / "e.obj").mkdir(parents=True)
    os.mkfifo(folder / "pipe.obj")
    assert look(folder, folder / "set").meshes == ["more/b.obj", "table/a.obj"]


def test_a_folder_that_may_not_be_looked_into_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = furniture_folder(tmp_path, 2)
    scandir = os.scandir

    def denied(path: str) -> object:
        if str(path).endswith("stool"):
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", denied)
    found = look(folder, folder / "set")
    assert found.meshes == ["table/0000.obj"]
    assert found.refused["stool"].startswith("cannot be looked into (Permission denied)")


def test_files_of_other_programs_are_counted_and_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("a.fbx", "b.FBX", "c.zip", "notes.txt"):
        (tmp_path / name).write_bytes(b"x")
    assert main([str(tmp_path), "--out", str(tmp_path / "set")]) == 1
    assert "it holds 2 fbx, 1 zip: convert or unpack them first" in capsys.readouterr().err
    furniture("table", 0).export(tmp_path / "table.obj")
    assert main([str(tmp_path), "--out", str(tmp_path / "set"), "--resolution", "64", "--workers", "1"]) == 0
    assert "passed over: 2 fbx, 1 zip; convert or unpack them to use them" in capsys.readouterr().out


def test_names_that_are_no_text_or_hold_lines_are_told_on_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    furniture("table", 0).export(tmp_path / "table.obj")
    (tmp_path / "two\nlines \x1b[31m table.obj").write_text("no mesh")
    with open(os.fsencode(tmp_path) + b"/\xff table.obj", "wb") as file:
        file.write(b"no mesh")
    assert main([str(tmp_path), "--out", str(tmp_path / "set"), "--resolution", "64", "--workers", "1"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "  two lines  [31m table.obj holds no faces: export it with its surface" in lines
    assert "  \ufffd table.obj has a name that is no UTF-8: rename it" in lines


def test_a_table_that_fits_no_file_is_named_when_nothing_can_be_used(tmp_path: Path) -> None:
    furniture("table", 0).export(tmp_path / "1.obj")
    (tmp_path / "captions.csv").write_text("file,caption\n/home/me/1.obj.gz,a table\n")
    with pytest.raises(ConfigError, match=r"has no caption: .*; the table names /home/me/1.obj.gz, which is not there"):
        build(tmp_path, tmp_path / "set", Settings(resolution=64), "x")


def glb(about: dict[str, object]) -> bytes:
    text = json.dumps(about).encode()
    return struct.pack("<4sIIII", b"glTF", 2, 20 + len(text), len(text), 0x4E4F534A) + text


@pytest.mark.parametrize("suffix", [".glb", ".gltf"])
@pytest.mark.parametrize(
    ("extension", "name"), [("KHR_draco_mesh_compression", "Draco"), ("EXT_meshopt_compression", "meshoptimizer")]
)
def test_compressed_meshes_are_told_apart_from_empty_ones(
    suffix: str, extension: str, name: str, tmp_path: Path
) -> None:
    about: dict[str, object] = {"asset": {"version": "2.0"}, "extensionsRequired": [extension]}
    (tmp_path / f"a{suffix}").write_bytes(glb(about) if suffix == ".glb" else json.dumps(about).encode())
    with pytest.raises(MeshError, match=f"is compressed with {name}: export it without compression"):
        read_mesh(tmp_path / f"a{suffix}")


@pytest.mark.parametrize(("kind", "suffix"), [("glb", ".obj"), ("glb", ".gltf"), ("ply", ".stl")])
def test_a_file_under_a_wrong_name_is_read_as_what_it_is(kind: str, suffix: str, tmp_path: Path) -> None:
    wanted = furniture("table", 0)
    wanted.export(tmp_path / f"mesh{suffix}", file_type=kind)
    assert len(read_mesh(tmp_path / f"mesh{suffix}")) == len(wanted.faces)


def test_a_file_that_was_away_is_read_when_it_is_there(tmp_path: Path) -> None:
    whole = furniture("table", 0).export(file_type="gltf")
    (tmp_path / "mesh.gltf").write_bytes(whole.pop("model.gltf"))
    refused = make(tmp_path / "mesh.gltf", "key", 64, None, False)
    assert refused == Refusal("needs gltf_buffer_0.bin, which is not there: put it beside the mesh", lasting=False)
    for name, data in whole.items():
        (tmp_path / name).write_bytes(data)
    assert isinstance(make(tmp_path / "mesh.gltf", "key", 64, None, False), Entry)
