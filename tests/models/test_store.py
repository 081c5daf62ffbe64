from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import bentoml
import pytest
import torch

from cli.import_models import main
from models._open_clip import open_clip
from models.checkpoint.official import open_official
from models.checkpoint.own import open_own, write_own
from models.errors import CheckpointError
from models.importer import ensure_imported, import_models
from models.loading import load_coarse, load_fine, load_text
from models.store import ModelSet, find, put
from tests.support.saved_models import TEXT
from tests.support.store import contents

GOLDEN = Path(__file__).parents[1] / "golden"

pytestmark = pytest.mark.usefixtures("store")


def test_the_golden_pair_imports_without_a_text_tower_and_runs(demo: Path) -> None:
    results = list(import_models(GOLDEN))
    assert [result.error for result in results] == [None, None]
    assert [result.stored.tag.split(":")[0] for result in results if result.stored] == ["xcube-coarse", "xcube-fine"]
    found = find("auto")
    assert found.name == "official"
    assert found.text is None
    assert found.coarse is not None
    assert found.fine is not None
    encoder = load_text(demo / "demo_text")
    assert load_coarse(found.coarse, encoder.null).scale_factor == pytest.approx(1.37)
    assert load_fine(found.fine).scale_factor == pytest.approx(0.83)


def test_bentoml_lists_the_models_with_their_set(demo: Path) -> None:
    assert ensure_imported(demo) == []
    models = {model.tag.name: model for model in bentoml.models.list()}
    assert set(models) == {"xcube-text", "xcube-coarse", "xcube-fine"}
    assert models["xcube-coarse"].info.labels == {"set": "demo", "kind": "coarse"}
    assert bentoml.models.get("xcube-coarse:latest").tag == models["xcube-coarse"].tag
    stored = Path(models["xcube-text"].path)
    assert load_text(stored).config == TEXT
    # Half precision stays half on disk: it halves what is kept.
    assert open_own(stored).tensor("text.positional_embedding").dtype == torch.float16


@pytest.mark.parametrize(("store_mode", "folders", "files"), [(0o755, 0o755, 0o644), (0o700, 0o700, 0o600)])
def test_who_may_read_the_store_may_read_a_model_in_it(
    store_mode: int, folders: int, files: int, store: Path, demo: Path
) -> None:
    """In a container and in a cluster the service is another user than the one who imported."""
    store.chmod(store_mode)
    ensure_imported(demo)
    models = [path.parent for path in store.glob("xcube-*/*/imported.txt")]
    assert len(models) == 3
    assert {model.stat().st_mode & 0o777 for model in models} == {folders}
    assert {file.stat().st_mode & 0o777 for model in models for file in model.iterdir()} == {files}


def test_importing_again_changes_nothing(store: Path, demo: Path) -> None:
    ensure_imported(demo)
    before = contents(store)
    results = list(import_models(demo))
    assert [result.stored.added for result in results if result.stored] == [False, False, False]
    assert contents(store) == before


def test_the_same_content_has_the_same_version_wherever_it_lies(demo: Path, tmp_path: Path, store: Path) -> None:
    """The version is known from the content alone: a clone on another machine has other times of change."""
    ensure_imported(demo)
    versions = {path.parent.name for path in store.glob("*/*/model.safetensors")}
    moved = tmp_path / "elsewhere"
    shutil.copytree(demo, moved)
    for path in moved.rglob("*.safetensors"):
        os.utime(path, (1, 1))
    assert [result.stored.added for result in import_models(moved) if result.stored] == [False] * 3
    assert {path.parent.name for path in store.glob("*/*/model.safetensors")} == versions


def test_a_known_official_file_is_not_converted_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Converting takes minutes for the real files, and every start of a service asks."""
    ensure_imported(GOLDEN)

    def never(*_: object, **__: object) -> str:
        raise AssertionError("converted again")

    monkeypatch.setattr("models.store.convert", never)
    assert ensure_imported(GOLDEN) == []


def test_auto_takes_the_official_set_when_its_coarse_model_is_there_and_never_mixes(demo: Path) -> None:
    assert find("auto") == ModelSet("demo")
    ensure_imported(demo)
    assert find("auto").name == "demo"
    put(open_official(GOLDEN / "objaverse_fine", "fine"), "official")
    assert find("auto") == find("demo")
    put(open_official(GOLDEN / "objaverse_coarse", "coarse"), "official")
    official = find("auto")
    assert official == find("official")
    assert official.text is None
    demo_set = find("demo")
    assert None not in (demo_set.text, demo_set.coarse, demo_set.fine)
    assert demo_set.coarse != official.coarse


def test_the_version_imported_last_is_found_even_if_it_was_there_before(demo: Path) -> None:
    ensure_imported(demo)
    first = find("demo").coarse
    config = open_own(demo / "demo_coarse")
    tensors = {name: config.tensor(name) * 2 for name in config.keys}
    write_own(demo / "demo_coarse", config.config, tensors)
    ensure_imported(demo)
    second = find("demo").coarse
    assert second != first
    write_own(demo / "demo_coarse", config.config, {name: tensor / 2 for name, tensor in tensors.items()})
    ensure_imported(demo)
    assert find("demo").coarse == first
    assert len(bentoml.models.list("xcube-coarse")) == 2


def spoiled_pair(folder: Path) -> Path:
    """The golden pair, the coarse checkpoint with a NaN in it."""
    for stage in ("coarse", "fine"):
        shutil.copytree(GOLDEN / f"objaverse_{stage}", folder / f"objaverse_{stage}")
    path = folder / "objaverse_coarse" / "last.ckpt"
    checkpoint = torch.load(path, weights_only=True)
    checkpoint["state_dict"]["unet_ema.time_embed2weight"][3, 4] = float("nan")
    torch.save(checkpoint, path)
    return folder


def test_a_failed_import_leaves_the_store_as_it_was_and_stops_no_other(store: Path, demo: Path, tmp_path: Path) -> None:
    ensure_imported(demo)
    before = contents(store)
    coarse, fine = import_models(spoiled_pair(tmp_path / "spoiled"))
    assert coarse.stored is None
    assert coarse.error is not None
    assert "objaverse_coarse/last.ckpt: unet_ema.time_embed2weight holds NaN or infinity" in coarse.error
    assert fine.stored is not None
    after = contents(store)
    assert {name: after[name] for name in before if not name.endswith("latest")} == {
        name: data for name, data in before.items() if not name.endswith("latest")
    }
    assert not [name for name in after if name.startswith("xcube-coarse") and name not in before]
    assert list(store.parent.iterdir()) == [store]
    assert [told for _, told in ensure_imported(tmp_path / "spoiled")] == [coarse.error]


def test_a_full_disk_leaves_nothing_behind_and_says_what_to_do(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("models.checkpoint.own.save_file", full)
    with pytest.raises(CheckpointError, match=r"No space left on device.*make room"):
        put(open_official(GOLDEN / "objaverse_fine", "fine"), "official")
    assert contents(store) == {}
    assert list(store.parent.iterdir()) == [store]


def test_an_interrupted_import_leaves_nothing_behind(store: Path) -> None:
    def interrupt(done: int, total: int) -> None:
        if done == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        put(open_official(GOLDEN / "objaverse_fine", "fine"), "official", interrupt)
    assert contents(store) == {}
    assert list(store.parent.iterdir()) == [store]


def test_two_processes_may_import_the_same_model_at_once(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = open_official(GOLDEN / "objaverse_fine", "fine")
    from models import store as module

    describe = module._describe

    def other_is_faster(*arguments: object) -> Path:
        monkeypatch.setattr(module, "_describe", describe)
        put(source, "official")
        return describe(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(module, "_describe", other_is_faster)
    stored = put(source, "official")
    assert find("official").fine == stored.folder
    assert len(bentoml.models.list("xcube-fine")) == 1


def test_other_models_in_the_store_are_passed_over() -> None:
    with bentoml.models.create("xcube-coarse:mine"):
        pass
    with bentoml.models.create("something:else"):
        pass
    assert find("auto") == ModelSet("demo")


def test_importing_sends_no_usage_report(monkeypatch: pytest.MonkeyPatch) -> None:
    reports: list[object] = []
    monkeypatch.delenv("BENTOML_DO_NOT_TRACK", raising=False)
    monkeypatch.setattr("httpx.post", lambda *arguments, **_: reports.append(arguments))
    put(open_official(GOLDEN / "objaverse_fine", "fine"), "official")
    assert reports == []


def test_the_command_prints_a_line_a_model(demo: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--checkpoint-dir", str(demo)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(":")[0] for line in lines] == ["demo_coarse", "demo_fine", "demo_text"]
    assert "imported as xcube-coarse:" in lines[0]
    assert main(["--checkpoint-dir", str(demo)]) == 0
    assert "already in the store as xcube-coarse:" in capsys.readouterr().out


def test_the_command_fails_when_a_model_does(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--checkpoint-dir", str(spoiled_pair(tmp_path / "spoiled"))]) == 1
    captured = capsys.readouterr()
    assert "objaverse_fine: imported as" in captured.out
    assert captured.err.startswith("failed: ")
    assert len(captured.err.splitlines()) == 1


def test_the_command_imports_a_text_tower_beside_the_official_pair(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tower = open_clip.transformer.TextTransformer(width=64, heads=1, layers=2, output_dim=None)
    torch.save(tower.state_dict(), tmp_path / "clip.bin")
    assert main(["--clip", str(tmp_path / "clip.bin"), "--checkpoint-dir", str(GOLDEN)]) == 0
    captured = capsys.readouterr()
    assert captured.out.startswith("clip.bin: imported as xcube-text:")
    assert captured.err.startswith("warning: ")
    official = find("auto")
    assert None not in (official.text, official.coarse, official.fine)
    assert main(["--clip", str(tmp_path / "absent.bin"), "--checkpoint-dir", str(GOLDEN)]) == 1
    assert "absent.bin: no such file" in capsys.readouterr().err


def test_the_command_says_what_it_looked_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--checkpoint-dir", str(tmp_path / "nothing")]) == 2
    assert "objaverse_coarse/last.ckpt" in capsys.readouterr().err


def test_the_folder_comes_from_the_environment_by_default(tmp_path: Path, demo: Path) -> None:
    environment = {**os.environ, "BENTOML_HOME": str(tmp_path / "home"), "XCUBE_CHECKPOINT_DIR": str(demo)}
    root = Path(__file__).parents[2]
    result = subprocess.run(
        [sys.executable, "-m", "cli.import_models"], cwd=root, env=environment, capture_output=True, text=True
    )
    assert result.returncode == 0, result.stderr
    assert result.stderr == ""
    assert len(list((tmp_path / "home" / "models").glob("xcube-*/*/model.safetensors"))) == 3


def test_models_are_found_while_other_processes_import_them_again(demo: Path) -> None:
    ensure_imported(demo)
    expected, over = find("demo"), threading.Event()

    def again() -> None:
        while not over.is_set():
            ensure_imported(demo)

    others = [threading.Thread(target=again) for _ in range(2)]
    for other in others:
        other.start()
    try:
        assert [find("demo") for _ in range(100)] == [expected] * 100
    finally:
        over.set()
        for other in others:
            other.join()
    assert expected.coarse is not None
    assert not list(expected.coarse.parents[1].rglob(".imported*"))
