"""Several sets of models side by side in the store: named by their cards, listed, removed, carried elsewhere."""

from __future__ import annotations

import json
import shutil
import zipfile
from pathlib import Path

import pytest

from cli.import_models import main
from models.card import CARD_FILE, Card
from models.errors import CheckpointError
from models.importer import ensure_imported
from models.set_file import export_set, unpacked
from models.store import find, remove, sets
from tests.support.saved_models import save_models


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A demo set, and one of furniture, beside each other; a store of its own."""
    use_home(tmp_path / "home", monkeypatch)
    models = tmp_path / "models"
    save_models(models)
    card = json.dumps(Card("furniture", {"table": 12, "stool": 8}, 20, 128, ("CC0",)).to_dict())
    for kind in ("text", "coarse", "fine"):
        shutil.copytree(models / f"demo_{kind}", models / f"furniture_{kind}")
        (models / f"furniture_{kind}" / CARD_FILE).write_text(card)
    return models


def use_home(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from bentoml._internal.configuration.containers import BentoMLContainer
    from bentoml._internal.models import ModelStore

    (home / "models").mkdir(parents=True)
    monkeypatch.setattr(BentoMLContainer.model_store, "get", lambda: ModelStore(home / "models"))


def test_a_card_names_the_set_and_sets_stand_side_by_side(folder: Path) -> None:
    ensure_imported(folder)
    assert [each.name for each in sets()] == ["demo", "furniture"]
    own, demo = find("furniture"), find("auto")
    assert demo.name == "demo"
    assert None not in (own.text, own.coarse, own.fine)
    assert own.coarse != demo.coarse
    assert own.text is not None
    assert (own.text / CARD_FILE).is_file()


def test_a_set_is_removed_and_the_others_stay(folder: Path) -> None:
    ensure_imported(folder)
    assert len(remove("furniture")) == 3
    assert [each.name for each in sets()] == ["demo"]
    assert remove("furniture") == []


def test_an_exported_file_is_the_same_set_elsewhere(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ensure_imported(folder)
    before = find("furniture")
    assert export_set("furniture", tmp_path / "furniture.zip") == ["text", "coarse", "fine"]
    use_home(tmp_path / "elsewhere", monkeypatch)
    assert main(["--file", str(tmp_path / "furniture.zip")]) == 0
    (only,) = sets()
    assert only.name == "furniture"
    for kind in ("text", "coarse", "fine"):
        assert getattr(only, kind).name == getattr(before, kind).name  # the digest of the content


def test_the_command_lists_what_sets_know_and_refuses_in_a_sentence(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--checkpoint-dir", str(folder)]) == 0
    capsys.readouterr()
    assert main(["--list"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "demo: text, coarse, fine",
        "furniture: text, coarse, fine",
        "  trained on 20 shapes at 128³: table 12, stool 8",
    ]
    assert main(["--export", "none", str(tmp_path / "x.zip")]) == 1
    assert main(["--remove", "none"]) == 1
    assert capsys.readouterr().err.count("no such set in the model store; scripts/import --list shows those") == 2
    assert main(["--remove", "furniture"]) == 0
    assert capsys.readouterr().out.startswith("furniture: removed xcube-text:")


@pytest.mark.parametrize("name", ["../escape_text/config.yaml", "a_text/run.py", "a_text/../../x"])
def test_a_file_with_anything_else_in_it_is_refused(name: str, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "odd.zip", "w") as archive:
        archive.writestr(name, "x")
    with pytest.raises(CheckpointError, match="which belongs to no set of models"), unpacked(tmp_path / "odd.zip"):
        pass
    (tmp_path / "cut.zip").write_bytes(b"PK\3\4 and no more")
    with pytest.raises(CheckpointError, match="cannot be unpacked"), unpacked(tmp_path / "cut.zip"):
        pass


@pytest.mark.parametrize(
    "card", ['{"name": "demo"}', "{", '{"name": "A b", "kinds": {}, "shapes": 1, "resolution": 1, "credits": []}']
)
def test_a_card_that_is_none_keeps_no_model_from_being_imported(card: str, folder: Path) -> None:
    for path in folder.glob("furniture_*/card.json"):
        path.write_text(card)
    assert ensure_imported(folder) == []
    assert {each.name for each in sets()} == {"demo", "official"}
