"""Files tell where they come from, wherever their format has a place for it, and readers of others find it there."""

from __future__ import annotations

import io
import json
import re
import zipfile
from pathlib import Path
from xml.etree import ElementTree

import litemapy
import nbtlib
import numpy as np
import pytest
import trimesh
from PIL import Image

from formats import FORMATS, file_of
from formats.about import About, file_name
from models.shape import Shape
from tests.support.solids import shell, sphere

PROMPT = 'a "tall" <chair> &\nänd 椅子'
LINE = json.dumps(PROMPT)[1:-1]
MODELS = "xcube-text:1 xcube-coarse:2 xcube-fine:3"
SEED = 2**64 - 1
FACTS = {"prompt": PROMPT, "seed": str(SEED), "version": "1.2.3", "models": MODELS}
NAME = " ".join(PROMPT.split())


@pytest.fixture(scope="module")
def files() -> dict[str, bytes]:
    shape = Shape(shell(sphere(0.4), 32), None, SEED, prompt=PROMPT, models=MODELS)
    return {format_.name: file_of(format_, shape, "1.2.3").content for format_ in FORMATS if format_.name != "json"}


@pytest.mark.parametrize("name", ["glb", "glb-points", "glb-blocks"])
def test_gltf_tells_it_on_the_node_where_blender_shows_it(name: str, files: dict[str, bytes]) -> None:
    scene = trimesh.load_scene(io.BytesIO(files[name]), file_type="glb")
    (node,) = scene.graph.nodes_geometry
    assert node == NAME
    tree = json.loads(files[name][20 : 20 + int.from_bytes(files[name][12:16], "little")])
    assert tree["nodes"][0]["extras"] == tree["asset"]["extras"] == {**FACTS, "voxel_size": 1 / 32}


def test_obj_and_ply_tell_it_in_comments_which_json_can_read(files: dict[str, bytes]) -> None:
    for name, mark in (("obj", "#"), ("ply", "comment")):
        head = files[name][:2000].decode("ascii", "replace")
        told = dict(re.findall(rf"^{mark} xcube-serve (\w+): (.*)$", head, re.MULTILINE))
        assert {fact: json.loads(f'"{text}"') for fact, text in told.items()} == FACTS, name
    assert f"\no {NAME.replace(' ', '_')}\n".encode() in files["obj"]
    assert len(trimesh.load(io.BytesIO(files["ply"]), file_type="ply").vertices) > 100
    assert trimesh.load_mesh(io.BytesIO(files["obj"]), file_type="obj").is_watertight


def test_stl_tells_it_in_its_header_and_stays_binary(files: dict[str, bytes]) -> None:
    assert files["stl"][:80].startswith(f'xcube-serve 1.2.3, seed {SEED}: a "tall" <chair> & ?nd ??'.encode())
    assert trimesh.load_mesh(io.BytesIO(files["stl"]), file_type="stl").is_watertight


def test_npz_report_png_and_3mf_tell_it(files: dict[str, bytes]) -> None:
    with np.load(io.BytesIO(files["npz"])) as arrays:
        assert {name: str(arrays[name]) for name in FACTS} == FACTS
    report = json.loads(files["report"])
    assert {name: report[name] for name in FACTS} == {**FACTS, "seed": SEED}
    with Image.open(io.BytesIO(files["png"])) as picture:
        assert picture.size == (512, 512)
        assert {name: picture.text[name] for name in FACTS} == FACTS  # type: ignore[attr-defined]
    with zipfile.ZipFile(io.BytesIO(files["3mf"])) as archive:
        model = ElementTree.fromstring(archive.read("3D/3dmodel.model"))
    told = {each.get("name"): each.text for each in model.iter() if each.tag.endswith("metadata")}
    assert told["Title"] == NAME
    assert told["Application"] == "xcube-serve 1.2.3"
    assert f"xcube-serve prompt: {LINE}" in (told["Description"] or "").splitlines()


def test_files_of_voxel_worlds_tell_it(files: dict[str, bytes], tmp_path: Path) -> None:
    for name in ("schem", "schem-v3", "litematic"):
        (tmp_path / name).write_bytes(files[name])
    old = nbtlib.load(tmp_path / "schem")["Metadata"]
    new = nbtlib.load(tmp_path / "schem-v3")["Schematic"]["Metadata"]
    for metadata in (old, new):
        assert {name: str(metadata[name]) for name in ("seed", "version", "models")} == {
            name: FACTS[name] for name in ("seed", "version", "models")
        }
        assert metadata["Author"] == "xcube-serve"
    assert f"xcube-serve seed: {SEED}" in litemapy.Schematic.load(str(tmp_path / "litematic")).description
    for text in (NAME, "version", "1.2.3", "seed", str(SEED), MODELS):
        assert text.encode() in files["vox"]


def test_what_nobody_knows_is_left_out_and_half_a_character_does_no_harm() -> None:
    assert About("1", 2, "", 0.1).facts() == {"seed": "2", "version": "1"}
    assert About("1", 2, "", 0.1).title() == "shape"
    broken = Shape(shell(sphere(0.4), 16), None, 1, prompt="a \ud800 chair")
    for format_ in FORMATS:
        assert file_of(format_, broken, "1").content


@pytest.mark.parametrize(
    ("prompt", "format_", "suffix", "name"),
    [
        ("a floor lamp", "glb", ".glb", "a-floor-lamp-4.glb"),
        ("a floor lamp", "glb-points", ".glb", "a-floor-lamp-4-points.glb"),
        ("A FLÖÖR lamp!", "report", ".json", "a-floor-lamp-4-report.json"),
        ("../../etc/passwd\r\nX: y", "ply", ".ply", "etc-passwd-x-y-4.ply"),
        ("椅子", "schem-v3", ".schem", "shape-4-v3.schem"),
        ("chair " * 50, "stl", ".stl", "chair-chair-chair-chair-chair-chair-chai-4.stl"),
    ],
)
def test_a_file_is_named_by_prompt_seed_and_kind(prompt: str, format_: str, suffix: str, name: str) -> None:
    assert file_name(prompt, 4, format_, suffix) == name
