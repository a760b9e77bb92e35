"""The NumPy T5 says what the transformers library says."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from transformers import T5Config, T5ForConditionalGeneration

from fashion_search.t5 import T5


@pytest.fixture
def reference() -> T5ForConditionalGeneration:
    torch.manual_seed(0)
    config = T5Config(
        vocab_size=50,
        d_model=24,
        d_kv=8,
        d_ff=32,
        num_layers=2,
        num_decoder_layers=3,
        num_heads=2,
        relative_attention_max_distance=20,
        feed_forward_proj="gated-gelu",
        tie_word_embeddings=True,
        decoder_start_token_id=0,
        eos_token_id=1,
    )
    return T5ForConditionalGeneration(config).eval()


@pytest.fixture
def ours(reference: T5ForConditionalGeneration, tmp_path: Path) -> T5:
    weights = {name: tensor.contiguous() for name, tensor in reference.state_dict().items()}
    for tied in ("encoder.embed_tokens.weight", "decoder.embed_tokens.weight", "lm_head.weight"):
        weights.pop(tied, None)
    save_file(weights, tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text(json.dumps(reference.config.to_dict(), default=str))
    return T5.load(tmp_path)


@pytest.mark.parametrize(("asked", "answered"), [(1, 0), (3, 5), (60, 45)])
def test_the_logits_are_those_of_the_transformers_library(
    asked: int, answered: int, ours: T5, reference: T5ForConditionalGeneration
) -> None:
    random = np.random.default_rng(asked)
    query, answer = (
        random.integers(2, 50, asked).tolist(),
        random.integers(2, 50, answered).tolist(),
    )
    with torch.no_grad():
        wanted = reference(
            input_ids=torch.tensor([query]), decoder_input_ids=torch.tensor([[0, *answer]])
        ).logits[0]
    np.testing.assert_allclose(ours.logits(query, answer), wanted.numpy(), rtol=1e-3, atol=1e-3)


def test_each_token_of_an_answer_is_the_likeliest(ours: T5) -> None:
    answer = list(ours.answer([5, 6, 7, 1], limit=12))
    logits = ours.logits([5, 6, 7, 1], answer)
    assert answer == logits.argmax(axis=1).tolist()[: len(answer)]


def test_an_answer_ends_at_the_limit(ours: T5) -> None:
    assert len(list(ours.answer([5, 6, 1], limit=4))) <= 4


def test_answers_in_turn_do_not_mix(ours: T5) -> None:
    alone = [list(ours.answer([token], limit=8)) for token in (5, 9)]
    in_turn = list(itertools.zip_longest(ours.answer([5], limit=8), ours.answer([9], limit=8)))
    assert [[t for t in told if t is not None] for told in zip(*in_turn, strict=True)] == alone
