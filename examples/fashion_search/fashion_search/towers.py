"""Texts to vectors, in NumPy: the text tower of this package's CLIP, and all-MiniLM-L6-v2.

Owns the forward pass of small transformers as the transformers library writes them, and nothing else. Why not torch: a
search by the command line would wait three seconds for its import, and transformers' on top.

Source: Vaswani et al., arXiv:1706.03762; Radford et al., arXiv:2103.00020 (CLIP); Wang et al., arXiv:2002.10957 (MiniLM).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Self

import numpy as np
from numpy.typing import NDArray
from safetensors import safe_open
from threadpoolctl import threadpool_limits

if TYPE_CHECKING:
    from tokenizers import Tokenizer

FloatArray = NDArray[np.float32]

_BATCH = 64


@dataclass(frozen=True, slots=True)
class _Block:
    """What the layers of a kind of transformer are called, and how they are put together."""

    layer: str
    query: str
    key: str
    value: str
    out: str
    wide: str
    narrow: str
    norm_before: str  # of attention: before it in CLIP, after it in BERT
    norm_after: str
    is_normed_first: bool


_CLIP = _Block(
    "text_model.encoder.layers", "self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.out_proj",
    "mlp.fc1", "mlp.fc2", "layer_norm1", "layer_norm2", is_normed_first=True,
)  # fmt: skip
_BERT = _Block(
    "encoder.layer", "attention.self.query", "attention.self.key", "attention.self.value", "attention.output.dense",
    "intermediate.dense", "output.dense", "attention.output.LayerNorm", "output.LayerNorm", is_normed_first=False,
)  # fmt: skip


class TextTower:
    """A text model that gives one unit vector a text. It holds nothing but weights, so threads may share it."""

    def __init__(
        self,
        weights: Mapping[str, FloatArray],
        tokenizer: Tokenizer,
        block: _Block,
        *,
        heads: int,
        layers: int,
        epsilon: float,
    ) -> None:
        self._weights, self._tokenizer, self._block = weights, tokenizer, block
        self._heads, self._layers, self._epsilon = heads, layers, np.float32(epsilon)
        # Turned once: a matrix is applied as rows @ matrix.
        self._turned = {
            name: np.ascontiguousarray(matrix.T)
            for name, matrix in weights.items()
            if matrix.ndim == 2 and "embedding" not in name
        }

    @classmethod
    def clip(cls, folder: Path) -> Self:
        """Return the text tower of a CLIP's folder, as transformers writes it."""
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))["text_config"]
        return cls(
            _read(folder, ("text_model.", "text_projection.")),
            _tokenizer(folder, config["max_position_embeddings"]),
            _CLIP,
            heads=config["num_attention_heads"],
            layers=config["num_hidden_layers"],
            epsilon=config["layer_norm_eps"],
        )

    @classmethod
    def bert(cls, folder: Path, longest: int = 64) -> Self:
        """Return the BERT of a folder; a text's vector is the mean of its tokens', the first `longest` of them."""
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        return cls(
            _read(folder, ("embeddings.", "encoder.")),
            _tokenizer(folder, longest),
            _BERT,
            heads=config["num_attention_heads"],
            layers=config["num_hidden_layers"],
            epsilon=config["layer_norm_eps"],
        )

    def read(self, texts: Sequence[str]) -> FloatArray:
        """Return unit vectors, float32 `(len(texts), dim)`; what is too long is cut off."""
        _use_one_core()
        tokens = [each.ids for each in self._tokenizer.encode_batch(list(texts))]
        # Texts of one length go together, so that none is padded.
        order = sorted(range(len(texts)), key=lambda i: len(tokens[i]))
        found: dict[int, FloatArray] = {}
        start = 0
        while start < len(order):
            length = len(tokens[order[start]])
            chosen = [i for i in order[start : start + _BATCH] if len(tokens[i]) == length]
            vectors = self._vectors(np.asarray([tokens[i] for i in chosen], np.int64))
            found.update(zip(chosen, vectors, strict=True))
            start += len(chosen)
        return np.stack([found[i] for i in range(len(texts))])

    def _vectors(self, ids: NDArray[np.int64]) -> FloatArray:
        x = self._embedded(ids)
        for layer in range(self._layers):
            x = self._layer(x, f"{self._block.layer}.{layer}.")
        if (
            self._block is _CLIP
        ):  # a text's vector is that of its last token, which has seen all others
            x = self._normed(x[:, -1], "text_model.final_layer_norm")
            pooled = x @ self._turned["text_projection.weight"]
        else:
            pooled = x.mean(axis=1)
        return np.asarray(pooled / np.maximum(np.linalg.norm(pooled, axis=1, keepdims=True), 1e-12))

    def _embedded(self, ids: NDArray[np.int64]) -> FloatArray:
        if self._block is _CLIP:
            words = self._weights["text_model.embeddings.token_embedding.weight"][ids]
            places = self._weights["text_model.embeddings.position_embedding.weight"]
            return np.asarray(words + places[: ids.shape[1]])
        words = self._weights["embeddings.word_embeddings.weight"][ids]
        places = self._weights["embeddings.position_embeddings.weight"][: ids.shape[1]]
        kind = self._weights["embeddings.token_type_embeddings.weight"][0]
        return self._normed(words + places + kind, "embeddings.LayerNorm")

    def _layer(self, x: FloatArray, name: str) -> FloatArray:
        block = self._block
        if block.is_normed_first:
            x = x + self._attended(self._normed(x, name + block.norm_before), name)
            return x + self._fed_forward(self._normed(x, name + block.norm_after), name)
        x = self._normed(x + self._attended(x, name), name + block.norm_before)
        return self._normed(x + self._fed_forward(x, name), name + block.norm_after)

    def _attended(self, x: FloatArray, name: str) -> FloatArray:
        queries, keys, values = (
            self._split(self._linear(x, name + part))
            for part in (self._block.query, self._block.key, self._block.value)
        )
        scores = queries @ keys.transpose(0, 1, 3, 2) / np.float32(queries.shape[-1] ** 0.5)
        if self._block is _CLIP:  # a token sees only those before it
            scores += np.triu(np.full(scores.shape[-2:], -np.inf, np.float32), 1)
        shares = np.exp(scores - scores.max(axis=-1, keepdims=True))
        shares /= shares.sum(axis=-1, keepdims=True)
        mixed = (shares @ values).transpose(0, 2, 1, 3).reshape(x.shape)
        return self._linear(mixed, name + self._block.out)

    def _split(self, x: FloatArray) -> FloatArray:
        """Return `(texts, heads, tokens, width)`."""
        return x.reshape(*x.shape[:2], self._heads, -1).transpose(0, 2, 1, 3)

    def _fed_forward(self, x: FloatArray, name: str) -> FloatArray:
        return self._linear(
            _gelu(self._linear(x, name + self._block.wide)), name + self._block.narrow
        )

    def _linear(self, x: FloatArray, name: str) -> FloatArray:
        return np.asarray(x @ self._turned[f"{name}.weight"] + self._weights[f"{name}.bias"])

    def _normed(self, x: FloatArray, name: str) -> FloatArray:
        mean = x.mean(axis=-1, keepdims=True)
        spread = np.sqrt(((x - mean) ** 2).mean(axis=-1, keepdims=True) + self._epsilon)
        return np.asarray(
            (x - mean) / spread * self._weights[f"{name}.weight"] + self._weights[f"{name}.bias"]
        )


@cache
def _use_one_core() -> None:
    """Let NumPy multiply with one thread, once in each process: of two that share a core each waits for the other.

    On two busy cores a query's vector took three seconds instead of a hundredth.
    """
    threadpool_limits(1, "blas")


def _gelu(x: FloatArray) -> FloatArray:
    """Return GELU by the error function, which NumPy lacks: to 1.5e-7, Abramowitz and Stegun, 7.1.26."""
    z = np.abs(x) * np.float32(0.5**0.5)
    t = 1 / (1 + np.float32(0.3275911) * z)
    series = t * (
        0.254829592 + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * 1.061405429)))
    )
    tail = 0.5 * series * np.exp(-z * z)  # of the normal distribution, beyond |x|
    return np.asarray(x * np.where(x < 0, tail, 1 - tail), np.float32)


def _read(folder: Path, parts: tuple[str, ...]) -> dict[str, FloatArray]:
    with safe_open(folder / "model.safetensors", "numpy") as file:
        return {
            name: np.asarray(file.get_tensor(name), np.float32)
            for name in file.keys()  # noqa: SIM118 - it is no dict
            if name.startswith(parts) and not name.endswith("position_ids")
        }


def _tokenizer(folder: Path, longest: int) -> Tokenizer:
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.enable_truncation(longest)
    return tokenizer
