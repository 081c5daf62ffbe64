"""Official folders, whole and spoiled: made from the tiny golden checkpoints."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from torch import Tensor

from models.checkpoint.official import ema_key, open_official
from models.checkpoint.own import open_own, write_own
from models.checkpoint.training_config import read_training_config
from models.config import Stage, StageConfig
from models.errors import CheckpointError, XCubeError

GOLDEN = Path(__file__).parents[1] / "golden"
State = dict[str, Tensor]


@pytest.fixture(scope="module")
def checkpoint() -> dict[str, Any]:
    loaded: dict[str, Any] = torch.load(GOLDEN / "objaverse_fine" / "last.ckpt", weights_only=True)
    return loaded


@pytest.fixture(scope="module")
def golden_config() -> StageConfig:
    config = open_official(GOLDEN / "objaverse_fine", "fine").config
    assert isinstance(config, StageConfig)
    return config


@pytest.fixture
def folder(tmp_path: Path, checkpoint: dict[str, Any]) -> Callable[..., Path]:
    """Makes an official fine folder; `change` edits the state dict, `settings` and `vae` what the YAML files say."""

    def make(
        change: Callable[[State], object] = lambda state: None,
        settings: Callable[[dict[str, Any]], object] = lambda values: None,
        vae: Callable[[dict[str, Any]], object] | None = lambda values: None,
        hyper_parameters: object = None,
    ) -> Path:
        made = tmp_path / "objaverse_fine"
        made.mkdir()
        state = dict(checkpoint["state_dict"])
        change(state)
        contents = {"state_dict": state} | ({"hyper_parameters": hyper_parameters} if hyper_parameters else {})
        torch.save(contents, made / "last.ckpt")
        values = yaml.safe_load((GOLDEN / "objaverse_fine" / "config.yaml").read_text())
        settings(values)
        (made / "config.yaml").write_text(yaml.safe_dump(values))
        if vae is not None:
            values = yaml.safe_load((GOLDEN / "objaverse_fine" / "vae_config.yaml").read_text())
            vae(values)
            (made / "vae_config.yaml").write_text(yaml.safe_dump(values))
        return made

    return make


@pytest.mark.parametrize("stage", ["coarse", "fine"])
def test_the_ema_is_taken_and_kernels_of_sparse_layers_change_axes(stage: Stage) -> None:
    source = open_official(GOLDEN / f"objaverse_{stage}", stage)
    state = torch.load(GOLDEN / f"objaverse_{stage}" / "last.ckpt", weights_only=True)["state_dict"]
    name = "out.2.weight" if stage == "coarse" else "out_block.2.weight"
    ema, raw = state[ema_key(name)], state["unet." + name]
    ours = source.tensor("unet.out_conv.weight")
    assert not torch.allclose(ema, raw)
    assert torch.equal(ours, ema if stage == "coarse" else ema.permute(0, 1, 4, 3, 2))
    kernel = state["vae.unet.normal_head.SingleConv.Conv.weight"]
    assert torch.equal(source.tensor("vae.normal.conv.conv.weight"), kernel.permute(0, 1, 4, 3, 2))
    assert torch.equal(source.tensor("scale_factor"), state["scale_factor"])
    assert source.warnings == ()


def test_without_an_ema_the_raw_weights_are_used(folder: Callable[..., Path], checkpoint: dict[str, Any]) -> None:
    def remove_ema(state: State) -> None:
        for key in [key for key in state if key.startswith("unet_ema.")]:
            del state[key]

    source = open_official(folder(remove_ema), "fine")
    raw = checkpoint["state_dict"]["unet.time_emb.0.weight"]
    assert torch.equal(source.tensor("unet.time_embedding.0.weight"), raw)


def test_a_file_with_the_ema_alone_is_enough(folder: Callable[..., Path], checkpoint: dict[str, Any]) -> None:
    def remove_raw(state: State) -> None:
        for key in [key for key in state if key.startswith("unet.")]:
            del state[key]

    whole = open_official(GOLDEN / "objaverse_fine", "fine")
    source = open_official(folder(remove_raw), "fine")
    assert source.keys == whole.keys
    assert all(torch.equal(source.tensor(name), whole.tensor(name)) for name in whole.keys)


def test_half_precision_tensors_become_float32(folder: Callable[..., Path]) -> None:
    source = open_official(
        folder(lambda state: state.update({k: v.half() for k, v in state.items() if v.dim()})), "fine"
    )
    assert {source.tensor(name).dtype for name in source.keys} == {torch.float32}


def spoil(key: str, value: float) -> Callable[[State], None]:
    def change(state: State) -> None:
        state[key] = state[key].clone()
        state[key].view(-1)[0] = value

    return change


def test_a_tensor_with_nan_is_named(folder: Callable[..., Path]) -> None:
    key = "vae.unet.struct_convs.Struct-1.OutConv.weight"
    source = open_official(folder(spoil(key, float("nan"))), "fine")
    with pytest.raises(CheckpointError, match=rf"last\.ckpt: {key} holds NaN or infinity; download"):
        source.tensor("vae.structure.0.out.weight")


@pytest.mark.parametrize("value", [0.0, -1.0])
def test_a_scale_factor_that_latents_cannot_be_divided_by_is_refused(folder: Callable[..., Path], value: float) -> None:
    source = open_official(folder(spoil("scale_factor", value)), "fine")
    with pytest.raises(CheckpointError, match=r"scale_factor is .* but must be positive"):
        source.tensor("scale_factor")


MISSING = [
    "unet_ema.encoder_blocks10in_layers2weight",
    "unet_ema.encoder_blocks11transformer_blocks0norm2bias",
    "unet_ema.out_block2weight",
    "vae.unet.struct_convs.Struct-2.OutConv.bias",
    "vae.unet.normal_head.OutConv.weight",
    "scale_factor",
]


@pytest.mark.parametrize("key", MISSING)
def test_a_missing_key_is_named_as_the_file_would_name_it(folder: Callable[..., Path], key: str) -> None:
    made = folder(lambda state: state.pop(key))
    with pytest.raises(CheckpointError, match=rf"last\.ckpt: {key} is missing; download") as caught:
        open_official(made, "fine")
    assert "\n" not in str(caught.value)


def test_a_parameter_gone_with_its_ema_is_named_too(folder: Callable[..., Path]) -> None:
    def change(state: State) -> None:
        del state["unet_ema.time_emb2bias"], state["unet.time_emb.2.bias"]

    with pytest.raises(CheckpointError, match=r"unet_ema\.time_emb2bias is missing"):
        open_official(folder(change), "fine")


def test_a_tensor_of_another_shape_is_named_with_both_shapes(folder: Callable[..., Path]) -> None:
    key = "unet_ema.time_emb0weight"
    made = folder(lambda state: state.update({key: torch.zeros(64, 32)}))
    with pytest.raises(
        CheckpointError, match=rf"{key} has shape \[64, 32\] where .* asks for \[128, 32\]; use the config"
    ):
        open_official(made, "fine")


@pytest.mark.parametrize("key", ["unet.label_emb.weight", "unet_ema.label_embweight", "vae.unet.color_head.weight"])
def test_another_architecture_is_told_by_its_extra_layers(folder: Callable[..., Path], key: str) -> None:
    made = folder(lambda state: state.update({key: torch.zeros(3)}))
    with pytest.raises(CheckpointError, match=rf"{key} belongs to no layer of this architecture"):
        open_official(made, "fine")


def test_a_deeper_model_than_the_configuration_says_is_refused(folder: Callable[..., Path]) -> None:
    made = folder(settings=lambda values: values["network"]["diffuser"].update(num_res_blocks=2))
    with pytest.raises(CheckpointError, match=r"is missing|belongs to no layer|has shape"):
        open_official(made, "fine")


def test_a_model_in_the_folder_of_the_other_stage_is_refused() -> None:
    with pytest.raises(CheckpointError, match="holds a fine model where a coarse one belongs"):
        open_official(GOLDEN / "objaverse_fine", "coarse")


@pytest.mark.parametrize(
    ("state", "message"),
    [({}, "holds no state_dict"), ({"weight": torch.ones(1)}, "holds no denoiser"), ([1], "holds no state_dict")],
)
def test_something_else_in_a_checkpoint_file_is_refused(tmp_path: Path, state: Any, message: str) -> None:
    torch.save({"state_dict": state}, tmp_path / "last.ckpt")
    (tmp_path / "config.yaml").write_text("model: diffusion")
    with pytest.raises(CheckpointError, match=rf"last\.ckpt: {message}"):
        open_official(tmp_path, "fine")


def test_missing_files_are_named(tmp_path: Path, folder: Callable[..., Path]) -> None:
    with pytest.raises(CheckpointError, match=r"last\.ckpt: cannot be read"):
        open_official(tmp_path, "fine")
    made = folder()
    (made / "config.yaml").unlink()
    with pytest.raises(CheckpointError, match=r"config\.yaml: is missing; put"):
        open_official(made, "fine")


def test_vae_values_come_from_shapes_when_no_file_has_them(
    folder: Callable[..., Path], golden_config: StageConfig
) -> None:
    source = open_official(folder(settings=lambda values: values.pop("vae_config"), vae=None), "fine")
    assert source.config == golden_config


def test_vae_values_of_the_configuration_are_held_against_the_file(folder: Callable[..., Path]) -> None:
    made = folder(vae=lambda values: values["network"]["unet"]["params"].update(num_blocks=3))
    with pytest.raises(CheckpointError, match=r"is missing|has shape"):
        open_official(made, "fine")


def test_hyper_parameters_in_the_checkpoint_fill_in_for_a_missing_include(
    folder: Callable[..., Path], golden_config: StageConfig
) -> None:
    kept = yaml.safe_load((GOLDEN / "objaverse_fine" / "config.yaml").read_text())

    def leave_to_include(values: dict[str, Any]) -> None:
        del values["network"], values["voxel_size"], values["context_dim"], values["resolution"]
        values["include_configs"] = ["../../train/diffusion/base.yaml"]

    source = open_official(folder(settings=leave_to_include, hyper_parameters=kept), "fine")
    assert source.config == golden_config
    assert "base.yaml, which it includes, is not there" in source.warnings[0]


def test_heads_that_nothing_tells_are_assumed_with_a_warning(folder: Callable[..., Path]) -> None:
    source = open_official(folder(settings=lambda values: values["network"]["diffuser"].pop("num_heads")), "fine")
    assert isinstance(source.config, StageConfig)
    assert source.config.unet.num_heads == 8
    assert "num_heads is missing, 8 was assumed" in source.warnings[0]


def test_another_prediction_type_is_refused(folder: Callable[..., Path]) -> None:
    made = folder(settings=lambda values: values.update(prediction_type="epsilon"))
    with pytest.raises(CheckpointError, match="prediction_type is 'epsilon', but only 'v_prediction' is supported"):
        open_official(made, "fine")


def test_a_setting_of_the_wrong_type_is_named(folder: Callable[..., Path]) -> None:
    made = folder(settings=lambda values: values["network"]["diffuser"].update(num_heads="many"))
    with pytest.raises(CheckpointError, match=r"config\.yaml: network\.diffuser\.num_heads is 'many'"):
        open_official(made, "fine")


def test_includes_are_merged_in_order_and_references_resolved(tmp_path: Path) -> None:
    (tmp_path / "base").mkdir()
    (tmp_path / "base" / "first.yaml").write_text("a: {x: 1, y: 2}\nlist: [1, 2]\nname: first")
    (tmp_path / "base" / "second.yaml").write_text("include_configs: [first.yaml]\na: {y: 3}\nlr: 1e-4")
    (tmp_path / "config.yaml").write_text(
        "include_configs: [base/second.yaml, absent.yaml]\n"
        "list: [3]\nsize: ${a.y}\ntext: run-${name}-${a.x}\nagain: ${size}\nlost: ${nowhere}\nloop: ${loop}\n"
        "env: ${oc.env:HOME}\nvoxel: [0.5, 0.5]"
    )
    settings, missing = read_training_config(tmp_path / "config.yaml")
    assert missing == ["absent.yaml"]
    assert settings.get("a") == {"x": 1, "y": 3}
    assert settings.get("list") == [3]
    assert settings.get("size") == 3
    assert settings.get("again") == 3
    assert settings.get("text") == "run-first-1"
    assert settings.number("lr") == 1e-4
    assert settings.number("voxel") == 0.5
    assert [settings.get(name) for name in ("lost", "loop", "env", "absent", "a.x.deeper")] == [None] * 5
    assert settings.get("lost", "a.x") == 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("- a list", "must hold a mapping"),
        ("a: [", "not a readable YAML file"),
        ("!!python/object/apply:os.system ['true']", "not a readable YAML file"),
        ("include_configs: [config.yaml]", "include each other in a circle"),
    ],
)
def test_a_spoiled_configuration_is_one_sentence(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "config.yaml").write_text(text)
    with pytest.raises(CheckpointError, match=rf"config\.yaml: .*{message}"):
        read_training_config(tmp_path / "config.yaml")


def test_our_own_format_is_checked_like_the_official_one(tmp_path: Path) -> None:
    source = open_official(GOLDEN / "objaverse_fine", "fine")
    tensors = {name: source.tensor(name) for name in source.keys}
    write_own(tmp_path, source.config, tensors)
    own = open_own(tmp_path)
    assert own.config == source.config
    assert all(torch.equal(own.tensor(name), tensor) for name, tensor in tensors.items())

    write_own(tmp_path, source.config, {name: tensors[name] for name in tensors if name != "unet.out_norm.bias"})
    with pytest.raises(CheckpointError, match=r"model\.safetensors: unet\.out_norm\.bias is missing"):
        open_own(tmp_path)
    write_own(tmp_path, source.config, tensors | {"vae.extra": torch.ones(1)})
    with pytest.raises(CheckpointError, match=r"vae\.extra belongs to no layer"):
        open_own(tmp_path)
    write_own(tmp_path, source.config, tensors)
    weights = tmp_path / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:5000])
    with pytest.raises(CheckpointError, match=r"model\.safetensors: not a readable safetensors file"):
        open_own(tmp_path)
    (tmp_path / "config.yaml").unlink()
    with pytest.raises(XCubeError, match=r"config\.yaml"):
        open_own(tmp_path)
