from __future__ import annotations

import torch

from training.tokens import END, START, CaptionTokenizer, insert_random_words, lengths

CAPTIONS = ["a tall, thin chair with armrests", "An  OLD-fashioned table; it's 3 legged!", "unbelievably-long words"]


def test_fast_tokenizing_gives_open_clips_tokens() -> None:
    import open_clip

    expected = open_clip.get_tokenizer("ViT-H-14")(CAPTIONS)
    ours = CaptionTokenizer().encode_all([[text] for text in CAPTIONS])[:, 0]
    assert torch.equal(expected[:, : ours.shape[1]], ours.long())
    assert not expected[:, ours.shape[1] :].any()


def test_inserted_words_leave_the_captions_own_words_in_order_between_start_and_end() -> None:
    tokens = CaptionTokenizer().encode_all([[text] for text in CAPTIONS])[:, 0]
    noisy = insert_random_words(tokens, most=3, share=1.0, generator=torch.Generator().manual_seed(0))
    for before, after in zip(tokens.tolist(), noisy.tolist(), strict=True):
        words, longer = [t for t in before if t], [t for t in after if t]
        assert longer[0] == START
        assert longer[-1] == END
        assert len(words) < len(longer) <= len(words) + 3
        rest = iter(longer)
        assert all(word in rest for word in words)
        assert not any(after[len(longer) :])


def test_untouched_rows_keep_their_tokens() -> None:
    tokens = CaptionTokenizer().encode_all([[text] for text in CAPTIONS])[:, 0]
    same = insert_random_words(tokens, most=2, share=0.0, generator=torch.Generator().manual_seed(0))
    assert torch.equal(same[:, : tokens.shape[1]], tokens.long())
    assert torch.equal(lengths(same), lengths(tokens))
