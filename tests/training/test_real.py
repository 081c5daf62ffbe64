"""Furniture of Sweet Home 3D becomes a training set: which pieces, under which words, with whom to credit."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import pytest
import trimesh

from models.errors import ConfigError
from training.make_dataset import main
from training.meshes.store import read_set
from training.real.building import furniture
from training.real.catalogue import licence_of, read_catalogue, write_meshes
from training.real.words import kind_of, used, words_of_pieces

BOX = "mtllib a.mtl\nusemtl wood\n" + "".join(
    f"{line}\n"
    for line in trimesh.exchange.obj.export_obj(trimesh.creation.box((1, 2, 3)), include_normals=False).splitlines()
    if line[:2] in ("v ", "f ")
)
CATALOGUE = """
name=Pieces of a test
license=Creative Commons Attribution 3.0 Unported license   somebody

id#1=T#a
name#1=Round table
tags#1=Round, Dining
category#1=Kitchen
model#1=/t/a/a.obj
width#1=100
depth#1=80
height#1=60
creator#1=Ana
modelRotation#1=0 0 1 0 1 0 -1 0 0

id#2=T#b
name#2=Sofa 2 seats
tags#2=
category#2=Living room
model#2=/t/b/b.obj
width#2=90
depth#2=50
height#2=50
creator#2=Bo

id#3=T#c
name#3=Female
tags#3=Human
category#3=Characters
model#3=/t/c/c.obj
width#3=50
depth#3=50
height#3=170

id#4=T#d
name#4=Chair
tags#4=
category#4=Kitchen
model#4=/t/d/d.obj
width#4=40
depth#4=40
height#4=90
license#4=Creative Commons Attribution-ShareAlike 3.0
"""


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder with one file of furniture, as the package has them."""
    folder = tmp_path / "furniture"
    folder.mkdir()
    with zipfile.ZipFile(folder / "Test.sh3f", "w") as file:
        file.writestr("PluginFurnitureCatalog.properties", CATALOGUE.encode("latin-1"))
        for name in "abcd":
            file.writestr(f"t/{name}/{name}.obj", BOX)
    return folder


@pytest.mark.parametrize(
    ("text", "short"),
    [
        ("Creative Commons Attribution 3.0 Unported license  (c) Scopia", "CC-BY 3.0"),
        ("Creative Commons Attribution 3.0 United States license  Copyright 2003", "CC-BY 3.0"),
        ("Creative Commons Attribution 3.0 license", "CC-BY 3.0"),
        ("Public domain", "CC0"),
        ("Creative Commons Attribution-ShareAlike 3.0", None),
        ("Creative Commons Attribution 3.0 NonCommercial", None),
        ("Creative Commons Attribution-NoDerivs 3.0", None),
        ("CC BY-SA 3.0", None),
        ("Free Art License", None),
        ("GPL", None),
        ("", None),
    ],
)
def test_only_attribution_and_public_domain_are_free_to_train_on(text: str, short: str | None) -> None:
    assert licence_of(text) == short


def test_a_piece_of_another_licence_and_people_are_left_out(place: Path) -> None:
    found = furniture(place)
    assert [piece.name for piece in found.pieces] == ["Round table", "Sofa 2 seats"]
    assert (found.barred, found.left_out) == (1, 1)
    assert found.pieces[0].credit == '"Round table" by Ana, Pieces of a test, CC-BY 3.0, made into voxels'


def test_a_mesh_is_turned_and_sized_as_the_catalogue_says(place: Path, tmp_path: Path) -> None:
    pieces, _ = read_catalogue(place / "Test.sh3f")
    write_meshes(pieces, tmp_path / "out")
    table = trimesh.load_mesh(tmp_path / "out" / pieces[0].file)
    np.testing.assert_allclose(table.extents, (100, 60, 80))
    assert table.is_watertight
    assert table.volume > 0
    assert (tmp_path / "out" / pieces[0].file).read_text().count("mtl") == 0


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("Xylophone", "xylophone"),
        ("Bar stool", "stool"), ("Baby high chair", "chair"), ("Winchester armchair", "armchair"), ("Couch", "sofa"),
        ("Indoor plant", "plant"), ("Desk lamp", "lamp"), ("Street light", "street lamp"), ("Tablet", "tablet"),
        ("Glass door cabinet", "cabinet"), ("Ford Focus", "car"), ("Bookcase", "bookshelf"), ("Hamburger", "hamburger"),
    ],
)  # fmt: skip
def test_names_of_a_catalogue_become_kinds(name: str, kind: str) -> None:
    assert kind_of(name) == kind


def test_captions_name_what_the_catalogue_tells_and_no_maker(place: Path) -> None:
    table, sofa = words_of_pieces(furniture(place).pieces)
    assert table.kind == "table"
    assert {"round table", "table", "dining table"} <= set(table.captions)
    assert "couch" in sofa.captions
    assert "sofa 2 seats" in sofa.captions


def test_the_package_becomes_a_training_set_that_names_its_authors(
    place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "set"
    assert main(["--sweethome3d", str(place), "--out", str(out), "--resolution", "64", "--workers", "1"]) == 0
    assert "2 pieces to use; 1 are under other licences, 1 show" in capsys.readouterr().out
    made = read_set(out)
    assert {item.kind for item in made.items} == {"table", "sofa"}
    text = (out / "ATTRIBUTION.txt").read_text()
    assert '"Round table" by Ana' in text
    assert '"Sofa 2 seats" by Bo' in text


def test_without_the_package_a_sentence_says_what_to_install(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--sweethome3d", str(tmp_path), "--out", str(tmp_path / "set")]) == 1
    assert "install Debian's package sweethome3d-furniture" in capsys.readouterr().err
    (tmp_path / "x.sh3f").write_bytes(b"no zip")
    with pytest.raises(ConfigError, match="is no catalogue of furniture"):
        furniture(tmp_path)


def test_neither_a_folder_nor_the_package_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main([])
    assert "give a folder of meshes, --sweethome3d or --bench" in capsys.readouterr().err


def test_what_shows_nothing_that_is_asked_for_is_not_used(place: Path) -> None:
    pieces, _ = read_catalogue(place / "Test.sh3f")
    assert [used(piece) for piece in pieces] == [True, True, False]
