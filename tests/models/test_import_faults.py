"""What an import does with files that are damaged or no files, and with a store that is damaged."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import bentoml
import pytest

from cli.import_models import main
from models.checkpoint.archive import TorchArchive
from models.checkpoint.official import open_official
from models.errors import CheckpointError
from models.importer import ensure_imported, import_models
from models.loading import load_coarse, load_text
from models.store import find
from tests.support.damage import flipped_inside
from tests.support.store import contents

GOLDEN = Path(__file__).parents[1] / "golden"
pytestmark = pytest.mark.usefixtures("store")


def test_a_damaged_file_is_not_imported_and_the_whole_one_is_not_taken_for_it(store: Path, tmp_path: Path) -> None:
    shutil.copytree(GOLDEN / "objaverse_fine", tmp_path / "objaverse_fine")
    source = open_official(GOLDEN / "objaverse_fine", "fine")
    key = TorchArchive(source.path).contents["state_dict"][source.keys["unet.out_conv.weight"]].storage.key
    flipped_inside(tmp_path / "objaverse_fine" / "last.ckpt", f"data/{key}")
    (damaged,) = import_models(tmp_path)
    assert damaged.error is not None
    assert f"objaverse_fine/last.ckpt: 'last/data/{key}' is damaged" in damaged.error
    assert contents(store) == {}
    shutil.copyfile(source.path, tmp_path / "objaverse_fine" / "last.ckpt")
    (whole,) = import_models(tmp_path)
    assert whole.stored is not None
    assert whole.stored.added


def test_a_model_that_was_damaged_in_the_store_can_be_imported_again(
    demo: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ensure_imported(demo)
    folder = find("demo").coarse
    assert folder is not None
    before = contents(folder)
    (folder / "model.safetensors").write_bytes(before["model.safetensors"][:5000])
    with pytest.raises(
        CheckpointError, match=r"model\.safetensors: .*import the model again with scripts/import --force"
    ):
        load_coarse(folder, load_text(demo / "demo_text").null)
    assert main(["--checkpoint-dir", str(demo)]) == 0
    assert len(contents(folder)["model.safetensors"]) == 5000
    assert main(["--checkpoint-dir", str(demo), "--force"]) == 0
    assert "demo_coarse: imported as xcube-coarse:" in capsys.readouterr().out
    assert contents(folder)["model.safetensors"] == before["model.safetensors"]
    assert len(bentoml.models.list("xcube-coarse")) == 1


def test_an_import_again_that_fails_leaves_the_model_in_the_store(
    demo: Path, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ensure_imported(demo)
    before = contents(store)

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("models.store._publish", fail)
    results = list(import_models(demo, force=True))
    assert all("make room" in str(result.error) for result in results)
    assert contents(store) == before


def test_files_of_any_kind_and_even_a_bug_keep_no_other_model_from_being_imported(
    demo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("objaverse_coarse", "objaverse_fine", "my_model"):
        (demo / name).mkdir()
    os.mkfifo(demo / "objaverse_coarse" / "last.ckpt")
    (demo / "objaverse_fine" / "last.ckpt").symlink_to("/dev/zero")
    (demo / "my_model" / "model.safetensors").mkdir()
    errors = [told for _, told in ensure_imported(demo)]
    assert [error.split(": ")[0].rpartition("/")[2] for error in errors] == ["config.yaml", "last.ckpt", "last.ckpt"]
    assert find("auto") == find("demo")
    assert find("demo").coarse is not None

    def bug(*_: object) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr("models.importer.OFFICIAL", {})
    monkeypatch.setattr("models.importer.open_own", bug)
    assert all(
        "demo_" not in error or "(RuntimeError); please report it" in error for _, error in ensure_imported(demo)
    )
