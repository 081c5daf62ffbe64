"""Build files of the images: what bentofile.yaml says, changed for a device and a set of models."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from cli.image import __main__ as image
from cli.image import lock
from cli.image.engine import EngineError
from cli.image.variant import ROOT, derive
from models.store import ModelSet

BENTOFILE = yaml.safe_load((ROOT / "bentofile.yaml").read_text())
OFFICIAL = {kind: Path(f"/store/models/xcube-{kind}/0123456789") for kind in ("text", "coarse", "fine")}


def variables(config: dict[str, list[dict[str, str]]]) -> dict[str, str]:
    return {each["name"]: each["value"] for each in config["envs"]}


def test_the_cuda_image_with_the_demo_models_is_what_bentofile_says() -> None:
    config = derive("cuda")
    assert config.pop("labels") == BENTOFILE["labels"] | {"models": "demo"}
    assert config == {name: value for name, value in BENTOFILE.items() if name != "labels"}
    assert [tag.split(":")[0] for tag in config["models"]] == ["xcube-text", "xcube-coarse", "xcube-fine"]


def test_the_cpu_image_has_its_own_lock_and_no_gpu() -> None:
    config = derive("cpu")
    assert config["python"]["requirements_txt"] == "requirements/image/cpu.txt"
    assert variables(config)["XCUBE_DEVICE"] == "cpu"
    assert config["labels"]["device"] == "cpu"
    assert "UV_TORCH_BACKEND" not in variables(config)
    assert variables(derive("cpu", cpu_wheels=True))["UV_TORCH_BACKEND"] == "cpu"


def test_without_fvdb_the_lock_is_the_same_but_for_fvdb_and_its_index() -> None:
    python = derive("cuda", fvdb=False)["python"]
    assert "requirements_txt" not in python, "BentoML would take the file and ignore the list"
    lines = (ROOT / BENTOFILE["python"]["requirements_txt"]).read_text().replace("\\\n", "").splitlines()[1:]
    left_out = [line for line in lines if " ".join(line.split()) not in python["packages"]]
    assert [line.split("=")[0].split()[0] for line in left_out] == ["--extra-index-url", "fvdb-core"]
    assert len(python["packages"]) == len(lines) - len(left_out)
    assert all(" --hash=sha256:" in line for line in python["packages"])
    assert derive("cpu", fvdb=False) == derive("cpu"), "it has no fvdb anyway"


@pytest.mark.parametrize(("fvdb", "answers", "hint"), [(True, False, True), (True, True, False), (False, False, False)])
def test_a_build_that_fails_without_fvdbs_index_says_how_to_build_without_it(
    fvdb: bool, answers: bool, hint: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(command: str) -> str:
        raise EngineError(f"`{command}` failed.")

    asked: list[str] = []
    monkeypatch.setattr(image, "_run", fail)
    monkeypatch.setattr(image, "answers", lambda url: asked.append(url) or answers)
    with pytest.raises(EngineError, match="containerize xcube:1 --backend podman --image-tag x") as caught:
        image.containerize("xcube:1", "podman", "x", fvdb=fvdb)
    assert ("scripts/image --without-fvdb" in str(caught.value)) == hint
    assert asked == ([f"{lock.FVDB_INDEX}/fvdb-core/"] if fvdb else [])


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> dict[str, Path | None]:
    """Official models in the model store; a test may take some out."""
    found: dict[str, Path | None] = dict(OFFICIAL)
    monkeypatch.setattr(image, "ensure_imported", lambda _: None)
    monkeypatch.setattr(image, "find", lambda name: ModelSet(name, **found))
    return found


def test_official_models_are_declared_by_their_tags(store: dict[str, Path | None]) -> None:
    tags = image.stored_models("official")
    assert tags == [f"xcube-{kind}:0123456789" for kind in OFFICIAL]
    config = derive("cuda", "official", tags)
    assert config["models"] == tags
    assert variables(config)["XCUBE_MODEL"] == config["labels"]["models"] == "official"
    store["fine"] = None
    assert image.stored_models("official") == tags[:2], "the fine model is optional"


@pytest.mark.parametrize("kind", ["text", "coarse"])
def test_official_models_that_are_not_complete_are_not_packed(kind: str, store: dict[str, Path | None]) -> None:
    store[kind] = None
    with pytest.raises(EngineError, match="not in the model store"):
        image.stored_models("official")


def test_an_image_without_models_takes_what_is_mounted() -> None:
    assert image.stored_models("none") == []
    assert derive("cuda", "auto", [])["models"] == []
