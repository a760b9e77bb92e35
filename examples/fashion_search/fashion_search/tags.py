"""Tags: which of a shop's own words would be said of a picture, and which of them a text means.

Owns the words, and the two small networks that tell how likely each is: of a picture by what there is to see, of a text by
what there is to read. All that they are told is which words each title has. A text's words have to hold all at once, so
their logarithms are added: what is surely orange and surely no wallet is no answer to "orange wallet", though by one
cosine it may come first, as the one makes up for the other.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from fashion_search.wishes import content_words, stem

FloatArray = NDArray[np.float32]

PICTURE_WIDE, TEXT_WIDE = 512, 256
LEAST_SHARE, LEAST_TITLES = 0.003, 5
"""What share of the titles, and how many, have a word that is learned: of rarer ones there is too little to see."""

_LEAST_LOG = -6.0  # what is less likely than this is no more unlikely
_CHUNK = 4096


@dataclass(frozen=True, eq=False)
class Tags:
    """The words, and the networks on one trunk's features.

    Attributes:
        words: in the singular, the commonest first.
        weights: arrays by name; `picture.` and `text.` go before those of the two networks.
    """

    words: tuple[str, ...]
    weights: Mapping[str, FloatArray]

    @classmethod
    def untaught(
        cls, words: Sequence[str], pictures: NDArray[Any], text_scale: FloatArray, seed: int = 0
    ) -> Self:
        """Return tags that know nothing yet, for pictures that are spread as these are."""
        rng = np.random.default_rng(seed)
        seen = np.asarray(pictures, np.float32)
        weights = {
            "picture.mean": seen.mean(axis=0),
            "picture.scale": 1 / (seen.std(axis=0) + np.float32(0.05 * seen.std() + 1e-6)),
            "text.mean": np.zeros_like(text_scale),
            "text.scale": text_scale,
        }
        for side, dim, wide in (
            ("picture", seen.shape[1], PICTURE_WIDE),
            ("text", len(text_scale), TEXT_WIDE),
        ):
            weights[f"{side}.in"] = _random(rng, dim, wide)
            weights[f"{side}.in_bias"] = np.zeros(wide, np.float32)
            weights[f"{side}.out"] = _random(rng, wide, len(words))
            weights[f"{side}.out_bias"] = np.full(len(words), -4, np.float32)  # few titles have one
        return cls(tuple(words), weights)

    def with_more(self, words: Sequence[str], seed: int = 0) -> Self:
        """Return the same tags with further words, of which nothing is known yet."""
        further = [word for word in words if word not in set(self.words)]
        rng = np.random.default_rng(seed)
        weights = dict(self.weights)
        for side in ("picture", "text"):
            out, bias = weights[f"{side}.out"], weights[f"{side}.out_bias"]
            new = _random(rng, len(out), len(further))
            weights[f"{side}.out"] = np.concatenate([out, new], axis=1)
            weights[f"{side}.out_bias"] = np.append(bias, np.full(len(further), -4, np.float32))
        return replace(self, words=(*self.words, *further), weights=weights)

    def seen(self, pictures: NDArray[Any]) -> FloatArray:
        """Return a unit vector for each picture's features, one number longer than there are words.

        Its dot product with what `meant` returns is the mean, over the words that are meant, of how likely each is: 1 for
        what is certain, -1 for what cannot be. The last number makes all vectors as long.
        """
        logs = np.log(self._likely("picture", pictures) + np.float32(np.exp(_LEAST_LOG)))
        scores = np.minimum(1 - 2 * logs / _LEAST_LOG, 1) / np.float32(len(self.words) ** 0.5)
        rest = np.sqrt(np.maximum(1 - (scores**2).sum(axis=1, keepdims=True), 0))
        return np.concatenate([scores, rest], axis=1, dtype=np.float32)

    def meant(self, texts: NDArray[Any]) -> FloatArray:
        """Return what pictures are asked for by each text's features. A text that means none of the words asks for nothing."""
        likely = self._likely("text", texts)
        shares = likely / np.maximum(likely.sum(axis=1, keepdims=True), 1)
        asked = shares * np.float32(len(self.words) ** 0.5)
        return np.concatenate([asked, np.zeros((len(asked), 1))], axis=1, dtype=np.float32)

    def _likely(self, side: str, features: NDArray[Any]) -> FloatArray:
        w = {
            name: self.weights[f"{side}.{name}"]
            for name in ("mean", "scale", "in", "in_bias", "out", "out_bias")
        }
        found = [np.zeros((0, len(self.words)), np.float32)]
        for start in range(0, len(features), _CHUNK):
            x = (np.asarray(features[start : start + _CHUNK], np.float32) - w["mean"]) * w["scale"]
            hidden = np.maximum(x @ w["in"] + w["in_bias"], 0)
            found.append(1 / (1 + np.exp(-np.clip(hidden @ w["out"] + w["out_bias"], -30, 30))))
        return np.concatenate(found)


def words_of(text: str) -> list[str]:
    """Return a text's words as tags have them: in the singular, each once."""
    plain = re.sub(r"\bt[ -]shirt", "tshirt", text.lower())
    return list(dict.fromkeys(stem(word) for word in content_words(plain) if word.isalpha()))


def commonest(said: Sequence[str], most: int) -> tuple[str, ...]:
    """Return the words of so many texts that are worth learning, the commonest first."""
    counts = Counter(word for text in said for word in words_of(text) if len(word) > 1)
    least = max(LEAST_TITLES, LEAST_SHARE * len(said))
    return tuple(word for word, count in counts.most_common(most) if count >= least)


def which(words: Sequence[str], said: Sequence[str]) -> FloatArray:
    """Return 1 where a text has a word, `(texts, words)`."""
    place = {word: number for number, word in enumerate(words)}
    found = np.zeros((len(said), len(words)), np.float32)
    for row, text in zip(found, said, strict=True):
        row[[place[word] for word in words_of(text) if word in place]] = 1
    return found


def _random(rng: np.random.Generator, rows: int, columns: int) -> FloatArray:
    return np.asarray(rng.standard_normal((rows, columns)) / np.sqrt(rows), np.float32)
