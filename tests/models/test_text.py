from __future__ import annotations

import importlib
from typing import Any

import pytest
import torch

from models._open_clip import open_clip
from models.config import TextConfig
from models.errors import CheckpointError
from models.text import VIT_H_14, TextEncoder, pad, tokenize

SMALL = TextConfig(width=64, heads=2, layers=3)
LONG = "a chair " * 60


@pytest.fixture(scope="module")
def encoder() -> TextEncoder:
    torch.manual_seed(0)
    encoder = TextEncoder(SMALL).eval()
    with torch.no_grad():  # every norm starts as the identity, which would hide that two are swapped
        for parameter in encoder.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return encoder


def hugging_face_twin(encoder: TextEncoder) -> Any:
    """transformers' implementation with the same weights, whose last block (unused here) stays random."""
    # Like open_clip it imports torchvision, which models._open_clip has to prepare first.
    transformers = importlib.import_module("transformers")
    config = transformers.CLIPTextConfig(
        vocab_size=49408,
        hidden_size=64,
        intermediate_size=256,
        num_hidden_layers=3,
        num_attention_heads=2,
        hidden_act="gelu",
    )
    model = transformers.CLIPTextModel(config).eval()
    ours = encoder.text
    theirs = getattr(model, "text_model", model)
    with torch.no_grad():
        theirs.embeddings.token_embedding.weight.copy_(ours.token_embedding.weight)
        theirs.embeddings.position_embedding.weight.copy_(ours.positional_embedding)
        theirs.final_layer_norm.load_state_dict(ours.ln_final.state_dict())
        for block, layer in zip(ours.transformer.resblocks, theirs.encoder.layers, strict=False):
            layer.layer_norm1.load_state_dict(block.ln_1.state_dict())
            layer.layer_norm2.load_state_dict(block.ln_2.state_dict())
            layer.mlp.fc1.load_state_dict(block.mlp.c_fc.state_dict())
            layer.mlp.fc2.load_state_dict(block.mlp.c_proj.state_dict())
            layer.self_attn.out_proj.load_state_dict(block.attn.out_proj.state_dict())
            parts = zip(block.attn.in_proj_weight.chunk(3), block.attn.in_proj_bias.chunk(3), strict=True)
            for name, (weight, bias) in zip(("q_proj", "k_proj", "v_proj"), parts, strict=True):
                getattr(layer.self_attn, name).weight.copy_(weight)
                getattr(layer.self_attn, name).bias.copy_(bias)
    return model


@pytest.mark.parametrize("prompt", ["", "a tall wooden chair with armrests", LONG])
def test_states_are_those_of_the_last_block_but_one_after_the_final_norm(encoder: TextEncoder, prompt: str) -> None:
    twin = hugging_face_twin(encoder)
    ids = torch.tensor([tokenize(prompt)[0]])
    with torch.no_grad():
        hidden = twin(ids, output_hidden_states=True).hidden_states[-2]
        expected = getattr(twin, "text_model", twin).final_layer_norm(hidden)[0]
    [embedding] = encoder.encode([prompt])
    assert torch.allclose(embedding.tokens, expected, atol=1e-5)


def test_padding_after_the_end_of_text_changes_nothing(encoder: TextEncoder) -> None:
    [embedding] = encoder.encode(["a red car"])
    padded = open_clip.tokenizer.SimpleTokenizer()(["a red car"])
    assert padded.shape == (1, 77)
    with torch.no_grad():
        states = encoder(padded)[0]
    assert torch.allclose(states[: len(embedding.tokens)], embedding.tokens, atol=1e-6)


def test_a_prompt_has_begin_tokens_and_end_and_is_not_padded(encoder: TextEncoder) -> None:
    [embedding] = encoder.encode(["a chair"])
    assert embedding.tokens.shape == (4, 64)
    assert embedding.tokens.dtype == torch.float32
    assert not embedding.truncated
    assert encoder.null.tokens.shape == (2, 64)


def test_a_prompt_over_77_tokens_is_cut_keeps_its_end_and_says_so(encoder: TextEncoder) -> None:
    ids, truncated = tokenize(LONG)
    assert truncated
    assert len(ids) == 77
    assert ids[-1] == tokenize("")[0][-1] == 49407
    assert ids == open_clip.tokenizer.SimpleTokenizer()([LONG])[0].tolist()
    [embedding] = encoder.encode([LONG])
    assert embedding.truncated
    assert embedding.tokens.shape == (77, 64)


def test_exactly_77_tokens_are_not_called_truncated() -> None:
    ids, truncated = tokenize("chair " * 75)
    assert len(ids) == 77
    assert not truncated


def test_a_prompt_gives_the_same_bits_whatever_stands_beside_it(encoder: TextEncoder) -> None:
    [alone] = encoder.encode(["a tall chair"])
    together = encoder.encode(["a very long prompt about a boat with two sails", "a tall chair", ""])
    assert torch.equal(alone.tokens, together[1].tokens)


def test_embeddings_can_be_trained_on(encoder: TextEncoder) -> None:
    [embedding] = encoder.encode(["a cup"])
    weight = torch.ones(64, requires_grad=True)
    (embedding.tokens * weight).sum().backward()
    assert weight.grad is not None


def test_padding_is_zero_and_masked(encoder: TextEncoder) -> None:
    embeddings = encoder.encode(["", "a cup"])
    context, mask = pad(embeddings)
    assert context.shape == (2, 77, 64)
    assert mask.sum(1).tolist() == [2, 4]
    assert torch.equal(context[1, :4], embeddings[1].tokens)
    assert not context[~mask].any()


def test_the_tokenizer_does_not_keep_every_word_it_ever_saw(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("models.text._CACHED_WORDS", 10)
    from models.text import _tokenizer

    before = tokenize("zyxwvutsrq")
    for number in range(20):
        tokenize(f"word{chr(97 + number)}{chr(97 + number)}x")
    assert len(_tokenizer().cache) <= 13
    assert tokenize("zyxwvutsrq") == before


def clip_state(config: TextConfig) -> dict[str, torch.Tensor]:
    """What open_clip's own model holds, with its last block and its projection."""
    torch.manual_seed(2)
    tower = open_clip.transformer.TextTransformer(
        width=config.width, heads=config.heads, layers=config.layers, output_dim=32
    )
    return dict(tower.state_dict())


@pytest.mark.parametrize("prefix", ["", "text."])
def test_open_clip_weights_convert_with_and_without_their_prefix(prefix: str) -> None:
    config = TextConfig(width=128, heads=2, layers=3)
    state = clip_state(config)
    named = {prefix + key: value for key, value in state.items()}
    encoder = TextEncoder.from_open_clip({**named, "visual.conv1.weight": torch.ones(1), "logit_scale": torch.ones(())})
    assert encoder.config == config
    assert not [key for key in encoder.state_dict() if "resblocks.2" in key or "projection" in key]
    assert torch.equal(encoder.text.transformer.resblocks[1].ln_2.weight, state["transformer.resblocks.1.ln_2.weight"])
    assert encoder.null.tokens.shape == (2, 128)


def test_a_missing_text_weight_is_named() -> None:
    state = clip_state(TextConfig(width=128, heads=2, layers=3))
    del state["transformer.resblocks.1.mlp.c_fc.bias"]
    with pytest.raises(CheckpointError, match=r"resblocks\.1\.mlp\.c_fc\.bias is missing"):
        TextEncoder.from_open_clip(state)
    with pytest.raises(CheckpointError, match=r"token_embedding\.weight is missing"):
        TextEncoder.from_open_clip({})


def test_the_official_tower_is_the_one_of_open_clip() -> None:
    with torch.device("meta"):
        encoder = TextEncoder(VIT_H_14)
        whole = open_clip.transformer.TextTransformer(width=1024, heads=16, layers=24, output_dim=1024)
    ours = {key.removeprefix("text."): value.shape for key, value in encoder.state_dict().items()}
    theirs = {key: value.shape for key, value in whole.state_dict().items()}
    left_out = {key for key in theirs if key.startswith("transformer.resblocks.23.")} | {"text_projection"}
    assert ours == {key: shape for key, shape in theirs.items() if key not in left_out}
    assert open_clip.get_model_config("ViT-H-14")["text_cfg"] == {
        "context_length": VIT_H_14.context_length,
        "vocab_size": VIT_H_14.vocab_size,
        "width": VIT_H_14.width,
        "heads": VIT_H_14.heads,
        "layers": VIT_H_14.layers,
    }
