"""A folder of meshes becomes a training set: what is in it, what is refused, and that it goes on where it was."""

from __future__ import annotations

import json
import os
import unicodedata
from pathlib import Path

import numpy as np
import pytest
import trimesh
from PIL import Image
from safetensors.numpy import load_file

from models.card import check_name
from models.errors import ConfigError
from tests.support.meshes import furniture, furniture_folder
from training.make_dataset import _slug, main
from training.meshes.building import Settings, build
from training.meshes.captions import Table, Words, from_name, noun, read_table, spoken, words_of
from training.meshes.store import read_set

ONE = ["--workers", "1"]


def shards(folder: Path) -> dict[str, int]:
    return {path.name: path.stat().st_mtime_ns for path in folder.glob("*.safetensors")}


def test_a_folder_becomes_a_set_with_report_and_picture(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = furniture_folder(tmp_path / "furniture", 8)
    assert main([str(folder), "--out", str(tmp_path / "set"), *ONE]) == 0
    made = read_set(tmp_path / "set")
    assert len(made.items) == 8
    assert {item.kind for item in made.items} == {"table", "stool", "bench"}
    assert {split for split in ("train", "heldout") if made.split(split)} <= {"train", "heldout"}
    assert made.items[0].captions == ("bench", "a bench")
    report = json.loads((tmp_path / "set" / "report.json").read_text())
    assert report["refused"] == {}
    assert report["kinds"] == {"table": 3, "stool": 3, "bench": 2}
    with Image.open(tmp_path / "set" / "sheet.png") as sheet:
        assert sheet.width > 160
    assert f"scripts/train --data {tmp_path / 'set'}" in capsys.readouterr().out


def test_voxels_of_a_shard_lie_as_those_of_the_demo_s_shapes(tmp_path: Path) -> None:
    folder = furniture_folder(tmp_path / "furniture", 3)
    made, _ = build(folder, tmp_path / "set", Settings(), "furniture")
    item = made.items[0]
    arrays = load_file(tmp_path / "set" / f"{item.shard}.safetensors")
    assert arrays["fine_ijk"].dtype == arrays["fine_normal"].dtype == np.int8
    low, high = arrays["fine_offset"][item.row : item.row + 2]
    ijk = arrays["fine_ijk"][low:high].astype(int)
    assert (np.diff((ijk + 64) @ [128 * 128, 128, 1]) > 0).all()
    assert np.allclose(np.linalg.norm(arrays["fine_normal"][low:high] / 127, axis=1), 1, atol=0.02)
    low, high = arrays["coarse_offset"][item.row : item.row + 2]
    assert {tuple(c) for c in arrays["coarse_ijk"][low:high].tolist()} == {tuple(c) for c in (ijk // 4).tolist()}


def test_each_bad_mesh_is_refused_in_a_sentence_and_the_rest_goes_on(tmp_path: Path) -> None:
    folder = furniture_folder(tmp_path / "furniture", 3)
    (folder / "table" / "broken table.glb").write_bytes(b"no mesh at all")
    trimesh.PointCloud(np.random.default_rng(0).random((9, 3))).export(folder / "table" / "cloud.ply")
    (folder / "table" / "copy.obj").write_bytes((folder / "table" / "0000.obj").read_bytes())
    larger = furniture("table", 0)
    larger.apply_scale(3)
    larger.export(folder / "table" / "larger.ply")
    (folder / "captions.csv").write_text("file,caption\ntable/gone.obj,a table that left\n")
    made, report = build(folder, tmp_path / "set", Settings(), "furniture")
    assert len(made.items) == 3
    assert report.without == ["table/gone.obj"]
    assert report.refused.pop("table/broken table.glb").startswith("cannot be read")
    assert report.refused.pop("table/cloud.ply").startswith("has points or lines and no faces")
    assert report.refused == {
        "table/copy.obj": "is the same shape as table/0000.obj",
        "table/larger.ply": "is the same shape as table/0000.obj",
    }


def test_a_second_run_makes_only_what_is_new_and_captions_may_change(tmp_path: Path) -> None:
    folder = furniture_folder(tmp_path / "furniture", 4)
    build(folder, tmp_path / "set", Settings(), "furniture")
    before = shards(tmp_path / "set")
    furniture("bench", 77).export(folder / "bench" / "0077.obj")
    (folder / "captions.csv").write_text("file,caption,kind\n0077.obj,a garden bench,seat\n")
    made, _ = build(folder, tmp_path / "set", Settings(), "furniture")
    after = shards(tmp_path / "set")
    assert before.items() < after.items()
    assert len(after) == len(before) + 1
    (added,) = (item for item in made.items if item.file == "bench/0077.obj")
    assert (added.kind, added.captions) == ("seat", ("a garden bench", "seat", "a seat"))


def test_what_a_kill_cut_short_is_made_again(tmp_path: Path) -> None:
    folder = furniture_folder(tmp_path / "furniture", 3)
    build(folder, tmp_path / "set", Settings(), "furniture")
    (path,) = (tmp_path / "set").glob("*.safetensors")
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    path.with_name(f".{path.name}.1").write_bytes(b"half")
    made, report = build(folder, tmp_path / "set", Settings(), "furniture")
    assert len(made.items) == 3
    assert report.refused == {}
    assert path.read_bytes() == whole


def test_the_split_depends_on_the_shapes_alone(tmp_path: Path) -> None:
    folder = furniture_folder(tmp_path / "furniture", 6)
    first, _ = build(folder, tmp_path / "one", Settings(heldout=0.5), "furniture")
    os.rename(folder, tmp_path / "elsewhere")
    second, _ = build(tmp_path / "elsewhere", tmp_path / "two", Settings(heldout=0.5), "furniture")
    assert [item.split for item in first.items] == [item.split for item in second.items]
    assert first.split("train")
    assert first.split("heldout")


@pytest.mark.costly
def test_more_processes_make_the_same_set(tmp_path: Path) -> None:
    folder = furniture_folder(tmp_path / "furniture", 5)
    one, _ = build(folder, tmp_path / "one", Settings(), "furniture")
    two, _ = build(folder, tmp_path / "two", Settings(workers=2), "furniture")
    assert one.items == two.items
    for path in (tmp_path / "one").glob("*.safetensors"):
        assert path.read_bytes() == (tmp_path / "two" / path.name).read_bytes()


def test_a_folder_without_meshes_ends_in_a_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path), "--out", str(tmp_path / "set")]) == 1
    assert "holds no mesh; put files of 3mf, glb" in capsys.readouterr().err
    assert main([str(tmp_path / "none"), "--out", str(tmp_path / "set")]) == 1
    assert "is no folder; give one that holds meshes" in capsys.readouterr().err


def test_a_table_names_a_file_however_its_accents_are_kept(tmp_path: Path) -> None:
    (tmp_path / "c.csv").write_text("file,caption\nstühle/é.obj,一把椅子\n", encoding="utf-8")
    table = read_table(tmp_path / "c.csv")
    for form in ("NFC", "NFD"):
        words = words_of(unicodedata.normalize(form, "stühle/é.obj"), table, "auto")
        assert words is not None
        assert words.captions == ("一把椅子",)


def test_folders_in_other_scripts_have_sets_of_their_own_names() -> None:
    names = {_slug("家具"), _slug("椅子"), _slug("Möbel 2")}
    assert len(names) == 3
    assert all(check_name(name, "") == name for name in names)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("c.csv", "file;caption;licence\na.obj;a red chair;CC0\na.obj;a chair;CC0\n"),
        ("c.json", '{"a.obj": {"captions": ["a red chair", "a chair"], "licence": "CC0"}}'),
        ("c.json", '[{"file": "./a.obj", "caption": ["a red chair", "a chair"], "license": "CC0"}]'),
    ],
)
def test_a_table_may_be_csv_or_json(name: str, text: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(text, encoding="utf-8-sig")
    words = read_table(tmp_path / name).rows["a.obj"]
    assert (words.captions, words.kind, words.credit) == (("a red chair", "a chair"), "chair", "CC0")


@pytest.mark.parametrize(("name", "text"), [("c.csv", "a,b\n1,2\n"), ("c.json", "[1]"), ("c.json", "{")])
def test_a_table_that_is_none_is_told_with_its_name(name: str, text: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(ConfigError, match=str(tmp_path / name)):
        read_table(tmp_path / name)


@pytest.mark.parametrize(
    ("file", "way", "captions", "kind"),
    [
        ("Office_Chair-03.obj", "auto", ("office chair",), "chair"),
        ("chairs/Office_Chair-03.obj", "auto", ("office chair",), "chairs"),
        ("chair/3fa9c2.obj", "auto", ("chair",), "chair"),
        ("chair/model.obj", "auto", ("chair",), "chair"),
        ("chair/red.obj", "folders", ("chair",), "chair"),
        ("bar-stool/bar-stool.obj", "auto", ("bar stool",), "stool"),
        ("家具/椅子/椅子_01.obj", "auto", ("椅子",), "椅子"),
        ("椅/3fa9c2.obj", "auto", ("椅",), "椅"),
        ("कुर्सी/लाल कुर्सी.obj", "auto", ("लाल कुर्सी",), "कुर्सी"),
        ("Stu\u0308hle/7.obj", "auto", ("stühle",), "stühle"),
    ],
)
def test_names_of_files_and_folders_become_captions(file: str, way: str, captions: tuple[str, ...], kind: str) -> None:
    words = words_of(file, Table(), way)
    assert words is not None
    assert (words.captions, words.kind) == (captions, kind)


def test_a_kind_is_the_noun_before_what_describes_it() -> None:
    assert noun("a tall chair with armrests") == "chair"
    assert noun("Set of spoons") == "set"
    assert from_name("wineGlass_02") == "wine glass"
    assert noun("красный стул") == "стул"
    assert spoken(Words(("椅子",), "椅子")) == ("椅子",)
    assert spoken(Words(("office chair",), "chair")) == ("office chair", "an office chair", "chair", "a chair")
