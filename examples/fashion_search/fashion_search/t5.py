"""A T5 encoder-decoder that answers one query at a time, in NumPy.

Owns the forward pass of small T5 checkpoints as the transformers library writes them (gated GELU, tied embeddings).
It neither trains nor knows what the tokens mean.

Why not torch: its thread pool wants every core for each tiny product. On a machine with busy cores one answer of the
embedded idea model took 800 ms with torch and takes about 10 ms so; and nothing of torch has to be imported.

Source: Raffel et al., arXiv:1910.10683; the buckets of relative positions are those of its reference code.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file

FloatArray = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Shape:
    """The numbers of a checkpoint's `config.json` that the forward pass needs."""

    num_layers: int
    num_decoder_layers: int
    num_heads: int
    d_model: int
    relative_attention_num_buckets: int
    relative_attention_max_distance: int
    decoder_start_token_id: int
    eos_token_id: int

    @classmethod
    def from_config(cls, config: Mapping[str, int]) -> Shape:
        """Return the shape that a checkpoint's configuration gives."""
        return cls(**{name: config[name] for name in cls.__slots__})


@dataclass(slots=True)
class _Memory:
    """What one decoder layer remembers while it answers: keys and values, each `(heads, tokens, width)`."""

    query: tuple[FloatArray, FloatArray]
    said: tuple[FloatArray, FloatArray]


class T5:
    """A loaded model. It holds nothing but weights, so threads may share it."""

    def __init__(self, shape: Shape, weights: Mapping[str, FloatArray]) -> None:
        self.shape = shape
        self._weights = weights
        # Turned once: a matrix is applied as rows @ matrix.
        self._turned = {
            name: np.ascontiguousarray(w.T) for name, w in weights.items() if w.ndim == 2
        }

    @classmethod
    def load(cls, folder: Path) -> T5:
        """Return the model of a folder with `config.json` and `model.safetensors`."""
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        weights = load_file(folder / "model.safetensors")
        return cls(
            Shape.from_config(config), {name: w.astype(np.float32) for name, w in weights.items()}
        )

    def answer(self, token_ids: Sequence[int], limit: int) -> Iterator[int]:
        """Yield the likeliest next token, one by one, up to the end of the answer or `limit` tokens."""
        memory = self._memory_of(self.encode(token_ids))
        token_id = self.shape.decoder_start_token_id
        for _ in range(limit):
            token_id = int(self._next_logits(token_id, memory).argmax())
            if token_id == self.shape.eos_token_id:
                return
            yield token_id

    def logits(self, token_ids: Sequence[int], answer_ids: Sequence[int]) -> FloatArray:
        """Return what the model thinks of each next token after the start and each of `answer_ids`.

        Returns:
            Shape `(len(answer_ids) + 1, vocabulary)`.
        """
        memory = self._memory_of(self.encode(token_ids))
        said = [self.shape.decoder_start_token_id, *answer_ids]
        return np.stack([self._next_logits(token_id, memory) for token_id in said])

    def encode(self, token_ids: Sequence[int]) -> FloatArray:
        """Return one vector per token, shape `(len(token_ids), d_model)`."""
        x = self._weights["shared.weight"][np.asarray(token_ids)]
        places = np.arange(len(token_ids))
        bias = self._bias("encoder", places[None, :] - places[:, None], both_ways=True)
        for layer in range(self.shape.num_layers):
            block = f"encoder.block.{layer}.layer"
            normed = self._normed(x, f"{block}.0.layer_norm")
            keys, values = self._keys_and_values(f"{block}.0.SelfAttention", normed)
            x = x + self._attention(f"{block}.0.SelfAttention", normed, keys, values, bias)
            x = x + self._feed_forward(f"{block}.1", x)
        return self._normed(x, "encoder.final_layer_norm")

    def _memory_of(self, encoded: FloatArray) -> list[_Memory]:
        memory = []
        for layer in range(self.shape.num_decoder_layers):
            name = f"decoder.block.{layer}.layer.1.EncDecAttention"
            keys, values = self._keys_and_values(name, encoded)
            memory.append(_Memory((keys, values), said=(keys[:, :0], values[:, :0])))
        return memory

    def _next_logits(self, token_id: int, memory: Sequence[_Memory]) -> FloatArray:
        x = self._weights["shared.weight"][[token_id]]
        place = memory[0].said[0].shape[1]
        bias = self._bias("decoder", np.arange(place + 1)[None, :] - place, both_ways=False)
        for layer, remembered in enumerate(memory):
            block = f"decoder.block.{layer}.layer"
            normed = self._normed(x, f"{block}.0.layer_norm")
            new = self._keys_and_values(f"{block}.0.SelfAttention", normed)
            keys, values = (
                np.concatenate(pair, axis=1) for pair in zip(remembered.said, new, strict=True)
            )
            remembered.said = (keys, values)
            x = x + self._attention(f"{block}.0.SelfAttention", normed, keys, values, bias)
            normed = self._normed(x, f"{block}.1.layer_norm")
            x = x + self._attention(f"{block}.1.EncDecAttention", normed, *remembered.query, None)
            x = x + self._feed_forward(f"{block}.2", x)
        # Embeddings are tied: T5 then scales what it compares with them.
        x = self._normed(x, "decoder.final_layer_norm") * np.float32(self.shape.d_model**-0.5)
        return np.asarray((x @ self._turned["shared.weight"])[0])

    def _normed(self, x: FloatArray, name: str) -> FloatArray:
        scale = np.sqrt(np.mean(x * x, axis=-1, keepdims=True) + np.float32(1e-6))
        return np.asarray(x / scale * self._weights[f"{name}.weight"])

    def _heads(self, x: FloatArray) -> FloatArray:
        return x.reshape(
            len(x), self.shape.num_heads, x.shape[1] // self.shape.num_heads
        ).transpose(1, 0, 2)

    def _keys_and_values(self, name: str, x: FloatArray) -> tuple[FloatArray, FloatArray]:
        return self._heads(x @ self._turned[f"{name}.k.weight"]), self._heads(
            x @ self._turned[f"{name}.v.weight"]
        )

    def _attention(
        self,
        name: str,
        x: FloatArray,
        keys: FloatArray,
        values: FloatArray,
        bias: FloatArray | None,
    ) -> FloatArray:
        queries = self._heads(x @ self._turned[f"{name}.q.weight"])
        scores = queries @ keys.transpose(0, 2, 1)  # T5 does not scale them
        if bias is not None:
            scores = scores + bias
        shares = np.exp(scores - scores.max(axis=-1, keepdims=True))
        shares /= shares.sum(axis=-1, keepdims=True)
        mixed = (shares @ values).transpose(1, 0, 2).reshape(len(x), -1)
        return np.asarray(mixed @ self._turned[f"{name}.o.weight"])

    def _feed_forward(self, name: str, x: FloatArray) -> FloatArray:
        normed = self._normed(x, f"{name}.layer_norm")
        gate = normed @ self._turned[f"{name}.DenseReluDense.wi_0.weight"]
        gate = (
            0.5
            * gate
            * (1 + np.tanh(np.float32(math.sqrt(2 / math.pi)) * (gate + 0.044715 * gate**3)))
        )
        wide = gate * (normed @ self._turned[f"{name}.DenseReluDense.wi_1.weight"])
        return np.asarray(wide @ self._turned[f"{name}.DenseReluDense.wo.weight"])

    def _bias(self, side: str, distances: NDArray[np.int64], *, both_ways: bool) -> FloatArray:
        """Return what the distance between two tokens adds to their scores, `(heads, queries, keys)`."""
        table = self._weights[
            f"{side}.block.0.layer.0.SelfAttention.relative_attention_bias.weight"
        ]
        buckets = self.shape.relative_attention_num_buckets
        places = np.zeros_like(distances)
        if both_ways:
            buckets //= 2
            places = np.where(distances > 0, buckets, 0)
            distances = np.abs(distances)
        else:
            distances = np.maximum(-distances, 0)
        exact = buckets // 2
        farthest = self.shape.relative_attention_max_distance
        share = np.log(np.maximum(distances, 1) / exact) / math.log(farthest / exact)
        rough = np.minimum(exact + (share * (buckets - exact)).astype(np.int64), buckets - 1)
        places = places + np.where(distances < exact, distances, rough)
        return np.asarray(table[places].transpose(2, 0, 1))
