from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from models._open_clip import open_clip
from models.checkpoint.clip import check_null, open_clip_tower
from models.errors import CheckpointError
from models.text import TextEmbedding, TextEncoder


@pytest.fixture(scope="module")
def clip() -> dict[str, Tensor]:
    """The state of a small CLIP model, as open_clip names it."""
    torch.manual_seed(3)
    tower = open_clip.transformer.TextTransformer(width=64, heads=1, layers=3, output_dim=32)
    return {**tower.state_dict(), "logit_scale": torch.ones(()), "visual.proj": torch.ones(4, 4)}


def null_like(rows: list[tuple[float, float, list[float]]]) -> TextEmbedding:
    """An embedding with given first values, mean and deviation in each row."""
    made = []
    for mean, deviation, first in rows:
        head = torch.tensor(first)
        size = 1024
        rest = torch.linspace(-1, 1, size - len(first))
        rest_mean = (mean * size - head.sum()) / len(rest)
        square = deviation**2 * (size - 1) + size * mean**2 - head.square().sum() - len(rest) * rest_mean**2
        made.append(torch.cat((head, rest_mean + rest * (square / rest.square().sum()).sqrt())))
    return TextEmbedding(torch.stack(made))


BEGIN = (-0.183097, 0.507398, [-0.31343, -0.44757, -0.00824, -0.22799, 0.17857, -0.23428, -0.2189, -0.00891])
END = (-0.166029, 1.029099, [1.41136, 0.00758, -0.42884, 0.08961, 0.02278, -0.03503, -1.09896, 0.19411])


def test_the_published_embedding_of_the_empty_prompt_is_recognised() -> None:
    null = null_like([BEGIN, END])
    assert torch.allclose(null.tokens.norm(dim=1), torch.tensor([17.25406, 33.34110]), rtol=1e-3)
    check_null(null)
    check_null(TextEmbedding(null.tokens + 1e-3))


@pytest.mark.parametrize("row", [0, 1])
@pytest.mark.parametrize("column", [0, 7])
def test_another_tower_is_told_by_its_embedding_of_the_empty_prompt(row: int, column: int) -> None:
    null = null_like([BEGIN, END])
    null.tokens[row, column] += 0.02
    with pytest.raises(CheckpointError, match=r"0\.02\d away from the official models'; use the weights of laion"):
        check_null(null)
    with pytest.raises(CheckpointError, match="nan away"):
        check_null(TextEmbedding(torch.full((2, 1024), float("nan"))))


@pytest.mark.parametrize("name", ["clip.safetensors", "clip.bin", "clip.pt"])
def test_the_tower_is_read_from_a_file_of_either_format(tmp_path: Path, clip: dict[str, Tensor], name: str) -> None:
    path = tmp_path / name
    if name.endswith(".safetensors"):
        save_file(clip, path)
    elif name.endswith(".bin"):
        torch.save(clip, path)
    else:
        torch.save({"epoch": 3, "state_dict": {f"module.{key}": value for key, value in clip.items()}}, path)
    source = open_clip_tower(str(path))
    expected = TextEncoder.from_open_clip(clip)
    assert source.kind == "text"
    assert source.config == expected.config
    assert {key: source.tensor(key).tolist() for key in source.keys} == {
        key: value.tolist() for key, value in expected.state_dict().items()
    }
    assert "not ViT-H-14" in source.warnings[0]


def test_a_folder_as_the_hub_has_it_is_searched(tmp_path: Path, clip: dict[str, Tensor]) -> None:
    with pytest.raises(CheckpointError, match=r"holds none of open_clip_model\.safetensors"):
        open_clip_tower(str(tmp_path))
    save_file(clip, tmp_path / "open_clip_model.safetensors")
    assert open_clip_tower(str(tmp_path)).path.name == "open_clip_model.safetensors"


def test_a_name_on_the_hub_goes_through_open_clip(
    tmp_path: Path, clip: dict[str, Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def download(name: str) -> str:
        asked.append(name)
        save_file(clip, tmp_path / "clip.safetensors")
        return str(tmp_path / "clip.safetensors")

    monkeypatch.setattr(open_clip.pretrained, "download_pretrained_from_hf", download)
    assert open_clip_tower("hf-hub:owner/name").kind == "text"
    assert asked == ["owner/name"]

    def offline(_: str) -> str:
        raise FileNotFoundError("no network")

    monkeypatch.setattr(open_clip.pretrained, "download_pretrained_from_hf", offline)
    with pytest.raises(CheckpointError, match=r"owner/name: could not be downloaded \(FileNotFoundError\)"):
        open_clip_tower("owner/name")


@pytest.mark.parametrize("place", ["/absent/clip.bin", "./clip.bin", "clip.bin", "a/b/c"])
def test_a_path_that_is_not_there_is_never_asked_from_the_hub(place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(open_clip.pretrained, "download_pretrained_from_hf", lambda _: pytest.fail("asked"))
    with pytest.raises(CheckpointError, match=f"{re.escape(place)}: no such file"):
        open_clip_tower(place)


def test_a_model_without_a_text_tower_is_named(tmp_path: Path) -> None:
    save_file({"visual.proj": torch.ones(2)}, tmp_path / "image.safetensors")
    with pytest.raises(CheckpointError, match=r"image\.safetensors: text tower: token_embedding\.weight is missing"):
        open_clip_tower(str(tmp_path / "image.safetensors"))
