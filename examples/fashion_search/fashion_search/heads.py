"""Heads: what the features of a trunk mean to a shop. The only thing that is learned, and the state of `ImageRetrieval`.

A picture's features and a text's features go through a small network each, and meet in one space: a product is near to
the words that describe it. That is LiT with both towers locked (Zhai et al., arXiv:2111.07991; here only what stands on
the towers is learned), so a fit takes seconds and embedding a catalog anew is a matrix product. Beside that space, a fit on
a shop's own pairs learns which of the shop's words would be said of a picture (`tags`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from fashion_search.tags import Tags, commonest, which

FloatArray = NDArray[np.float32]
Progress = Callable[[int, int, float], None]

WEIGHTS = Path(__file__).parent / "weights" / "heads.safetensors"
DIM, PICTURE_WIDE, TEXT_WIDE = 192, 320, 256
TAGS_COUNT = np.float32(0.4)
"""How much of what a picture counts is told by its tags, where there are tags; the rest is the cosine in the space."""

_WORDS_SCALE, _OTHERS_SCALE = 8.0, 4.0  # how much a text's features count where its tags are told
_CHUNK = 4096


@dataclass(frozen=True, slots=True)
class Recipe:
    """How a fit learns.

    Attributes:
        epochs: passes over the pairs.
        rate: peak learning rate; it rises for a tenth of the steps, then falls to nothing.
        batch: pairs that are held against each other.
        keep: how far the new weights go back to the old ones in the end, `0..1`; those of tags do not where `words` are learned. Half way keeps what is known of kinds
            of things that are not in the pairs (Wortsman et al., arXiv:2109.01903).
        soft: how much of the right answer goes to what is described much alike, `0..1`.
        drop: share of the hidden numbers that a step leaves out.
        words: how many of the shop's commonest words are learned as tags; 0: those that are there are learned further.
        anew: whether the `words` begin with nothing; else those that are there stay, and common words that are none yet come to them.
        seed: of everything that is random.
    """

    epochs: int = 8
    rate: float = 1e-3
    batch: int = 512
    keep: float = 0.0
    soft: float = 0.8
    drop: float = 0.2
    words: int = 0
    anew: bool = True
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Gain:
    """What a fit gained on pairs that it did not learn from, each against what was live: a mean, and its 95 % interval."""

    pairs: int = 0
    mean: float = 0.0
    low: float = 0.0
    high: float = 0.0


@dataclass(frozen=True, eq=False)
class Heads:
    """Two small networks on one trunk's features.

    Attributes:
        trunk: the name of the trunk whose features they take.
        words_dim: how many of a text's features are a unit vector by which texts are compared.
        weights: arrays by name; `picture.` and `text.` go before those of the two networks.
        proven: how many of the fits behind it were better than what was live then, beyond chance.
        gain: what the last of them gained on the catalog's own pairs.
        liked: what it gained on what people said.
        tags: the shop's words that pictures are told by; None before a fit on its own pairs.
        newest: the id of the newest product that a fit learned from; 0 where that is not known.
    """

    trunk: str
    words_dim: int
    weights: Mapping[str, FloatArray]
    proven: int = 0
    gain: Gain = field(default_factory=Gain)
    liked: Gain = field(default_factory=Gain)
    tags: Tags | None = None
    newest: int = 0

    @classmethod
    def new(
        cls, trunk: str, words_dim: int, picture_dim: int, text_dim: int, seed: int = 0
    ) -> Self:
        """Return untrained heads."""
        rng = np.random.default_rng(seed)
        weights: dict[str, FloatArray] = {}
        for side, dim, wide in (
            ("picture", picture_dim, PICTURE_WIDE),
            ("text", text_dim, TEXT_WIDE),
        ):
            weights |= {
                f"{side}.mean": np.zeros(dim, np.float32),
                f"{side}.scale": np.ones(dim, np.float32),
                f"{side}.skip": _random(rng, dim, DIM),
                f"{side}.in": _random(rng, dim, wide),
                f"{side}.in_bias": np.zeros(wide, np.float32),
                f"{side}.out": _random(rng, wide, DIM),
            }
        return cls(trunk, words_dim, weights)

    @classmethod
    def untouched(cls, trunk: str, dim: int) -> Self:
        """Return heads that leave the vectors of a CLIP as they are, until they learn."""
        rng = np.random.default_rng(0)
        weights: dict[str, FloatArray] = {}
        for side, wide in (("picture", PICTURE_WIDE), ("text", TEXT_WIDE)):
            weights |= {
                f"{side}.mean": np.zeros(dim, np.float32),
                f"{side}.scale": np.ones(dim, np.float32),
                f"{side}.skip": np.eye(dim, dtype=np.float32),
                f"{side}.in": _random(rng, dim, wide),
                f"{side}.in_bias": np.zeros(wide, np.float32),
                f"{side}.out": np.zeros((wide, dim), np.float32),
            }
        return cls(trunk, dim, weights)

    @property
    def dim(self) -> int:
        """Return the length of the vectors of products and wishes."""
        tags = 0 if self.tags is None else len(self.tags.words) + 1
        return self.words_dim + int(self.weights["text.skip"].shape[1]) + tags

    # --- vectors

    def see(self, features: NDArray[Any]) -> FloatArray:
        """Return a unit vector for each picture's features, `(n, dim of the space)`."""
        return self._through("picture", features)

    def read(self, features: NDArray[Any]) -> FloatArray:
        """Return a unit vector for each text's features, in the space of `see`."""
        return self._through("text", features)

    def words(self, features: NDArray[Any]) -> FloatArray:
        """Return the unit vectors that texts are compared with texts by."""
        return unit(np.asarray(features, np.float32)[:, : self.words_dim])

    def products(self, pictures: NDArray[Any], texts: NDArray[Any]) -> FloatArray:
        """Return a unit vector for each product, of its picture's and its text's features: all parts weigh the same."""
        return self._joined(self.words(texts), self._seen(pictures))

    def looks(self, pictures: NDArray[Any]) -> FloatArray:
        """Return what products that look like each picture are searched by, whatever is said of them."""
        return self._joined(np.zeros((len(pictures), self.words_dim)), self._seen(pictures))

    def wishes(self, features: NDArray[Any], picture_weight: float) -> FloatArray:
        """Return what products are searched by, for each text's features.

        Its dot product with a product's vector is the blend of two numbers, -1 to 1: how alike the texts are, and how well the
        picture fits the wish, which counts `picture_weight`, `0..1`. So the weight may change from one search to the next.
        How well a picture fits is told by its cosine and by its tags.
        """
        share = np.float32(picture_weight)
        asked = [self.read(features)]
        if self.tags is not None:
            asked = [(1 - TAGS_COUNT) * asked[0], TAGS_COUNT * self.tags.meant(features)]
        told = (1 - share) * self.words(features)
        parts = 1 + len(asked)
        return self._joined(told, [share * each for each in asked]) * np.float32(parts)

    def _seen(self, pictures: NDArray[Any]) -> list[FloatArray]:
        tags = [] if self.tags is None else [self.tags.seen(pictures)]
        return [self.see(pictures), *tags]

    @staticmethod
    def _joined(told: NDArray[Any], shown: Sequence[FloatArray]) -> FloatArray:
        parts = 1 + len(shown)
        return np.concatenate([told, *shown], axis=1, dtype=np.float32) * np.float32(parts**-0.5)

    def _through(self, side: str, features: NDArray[Any]) -> FloatArray:
        w = {
            name: self.weights[f"{side}.{name}"]
            for name in ("mean", "scale", "skip", "in", "in_bias", "out")
        }
        found = [np.zeros((0, w["out"].shape[1]), np.float32)]
        for start in range(0, len(features), _CHUNK):
            x = (np.asarray(features[start : start + _CHUNK], np.float32) - w["mean"]) * w["scale"]
            hidden = np.maximum(x @ w["in"] + w["in_bias"], 0)
            found.append(unit(x @ w["skip"] + hidden @ w["out"]))
        return np.concatenate(found)

    # --- learning

    def fitted(
        self,
        pictures: NDArray[Any],
        texts: NDArray[Any],
        recipe: Recipe | None = None,
        *,
        said: Sequence[str] | None = None,
        weights: FloatArray | None = None,
        also_right: Callable[[NDArray[np.int64]], NDArray[np.bool_]] | None = None,
        on_progress: Progress | None = None,
    ) -> Self:
        """Return heads that have learned that row i of both belong together; `self` stays as it is.

        Args:
            pictures, texts: features, at least two rows of each.
            recipe: how long and how fast.
            said: the words that are right of each pair, which tags learn; if None, they stay as they are.
            weights: how much each pair counts, equal if None.
            also_right: which of a batch's pictures fit which of its texts too, `(texts, pictures)`, and are not held
                against it; if None, those with exactly the same text.
            on_progress: called after each step with the step (from 1), all steps, and the loss.

        Raises:
            ValueError: there are fewer than two pairs, or not as many pictures as texts.
        """
        if len(pictures) != len(texts) or len(pictures) < 2:  # of `said`, `which` finds out
            raise ValueError(
                f"a fit was given {len(pictures)} pictures and {len(texts)} texts; it contrasts pairs, so it needs two of "
                "each or more, as many of one as of the other."
            )
        from fashion_search.lesson import learned  # torch, which only a fit needs

        recipe = recipe or Recipe()
        new = learned(
            self.weights, pictures, texts, self.words_dim, recipe, weights, also_right, on_progress
        )
        tags = self.tags if said is None else self._tags_fitted(pictures, texts, said, recipe, weights)  # fmt: skip
        return replace(self, weights=_half_way(self.weights, new, recipe.keep), tags=tags)

    def _tags_fitted(
        self, pictures: NDArray[Any], texts: NDArray[Any], said: Sequence[str], recipe: Recipe, weights: FloatArray | None
    ) -> Tags | None:  # fmt: skip
        from fashion_search.lesson import told

        is_anew = recipe.words > 0 and recipe.anew
        old = self._untaught_tags(pictures, texts, said, recipe) if is_anew else self.tags
        if old is not None and recipe.words and not is_anew:
            old = old.with_more(commonest(said, recipe.words), recipe.seed)
        if old is None or not old.words:
            return self.tags
        new = told(old.weights, pictures, texts, which(old.words, said), recipe, weights)
        keep = (
            0.0 if recipe.words else recipe.keep
        )  # where words are new there is nothing to go back to
        return Tags(old.words, _half_way(old.weights, new, keep))

    def _untaught_tags(
        self, pictures: NDArray[Any], texts: NDArray[Any], said: Sequence[str], recipe: Recipe
    ) -> Tags:
        scale = np.full(texts.shape[1], _OTHERS_SCALE, np.float32)
        scale[: self.words_dim] = _WORDS_SCALE
        return Tags.untaught(commonest(said, recipe.words), pictures, scale, recipe.seed)

    def standardised(self, pictures: NDArray[Any], texts: NDArray[Any]) -> Self:
        """Return the same heads for features that are spread as these are; only for heads that have learned nothing."""
        new = dict(self.weights)
        for side, features in (("picture", pictures), ("text", texts)):
            wide = np.asarray(features, np.float32)
            new[f"{side}.mean"] = wide.mean(axis=0)
            new[f"{side}.scale"] = 1 / (wide.std(axis=0) + np.float32(0.05 * wide.std()))
        return replace(self, weights=new)

    # --- where they come from and where they go

    def to_saved(self) -> dict[str, Any]:
        """Return the whole value as plain data and float16 arrays."""
        return {
            "format": FORMAT, "trunk": self.trunk, "words_dim": self.words_dim,
            "proven": self.proven, "gain": _told(self.gain), "liked": _told(self.liked),
            "tensors": _narrow(self.weights),
            "words": list(self.tags.words) if self.tags else [],
            "tags": _narrow(self.tags.weights) if self.tags else {}, "newest": self.newest,
        }  # fmt: skip

    @classmethod
    def from_saved(cls, saved: Mapping[str, Any]) -> Self:
        """Return the value that `to_saved` was called on.

        Raises:
            ValueError: `saved` has a format that this version does not read.
        """
        if saved.get("format") != FORMAT:
            raise ValueError(
                f"the saved encoder has format {saved.get('format')!r}; this version reads {FORMAT}. Make the store anew with "
                "'python -m fashion_search ingest'."
            )
        words = tuple(saved.get("words", ()))  # a state of before has none
        return cls(
            saved["trunk"], saved["words_dim"], _wide(saved["tensors"]), saved["proven"],
            _gain(saved["gain"]), _gain(saved.get("liked", (0, 0.0, 0.0, 0.0))),
            Tags(words, _wide(saved["tags"])) if words else None, saved.get("newest", 0),
        )  # fmt: skip

    @classmethod
    def load(cls, trunk: str, words_dim: int, path: Path = WEIGHTS) -> Self:
        """Return the heads that come with this package, trained on pictures that may be published."""
        from safetensors.numpy import load_file

        return cls(trunk, words_dim, _wide(load_file(path)))

    def save(self, path: Path) -> None:
        """Write the weights without tags, as float16, so that `load` reads them."""
        from safetensors.numpy import save_file

        save_file(
            {name: np.ascontiguousarray(each, np.float16) for name, each in self.weights.items()},
            path,
        )


def _half_way(
    old: Mapping[str, FloatArray], new: Mapping[str, FloatArray], keep: float
) -> dict[str, FloatArray]:
    kept = np.float32(keep)
    return {name: kept * old[name] + (1 - kept) * new[name] for name in new}


def _narrow(weights: Mapping[str, FloatArray]) -> dict[str, NDArray[np.float16]]:
    return {name: array.astype(np.float16) for name, array in weights.items()}


def _wide(saved: Mapping[str, Any]) -> dict[str, FloatArray]:
    return {name: np.asarray(array, np.float32) for name, array in saved.items()}


def _told(gain: Gain) -> list[float]:
    return [gain.pairs, gain.mean, gain.low, gain.high]


def _gain(saved: Sequence[float]) -> Gain:
    pairs, mean, low, high = saved
    return Gain(int(pairs), float(mean), float(low), float(high))


FORMAT = 2  # 1 was a whole CLIP


def unit(vectors: NDArray[Any]) -> FloatArray:
    """Return the vectors with length 1; those of length 0 stay."""
    wide = np.asarray(vectors, np.float32)
    return np.asarray(wide / np.maximum(np.linalg.norm(wide, axis=-1, keepdims=True), 1e-9))


def _random(rng: np.random.Generator, rows: int, columns: int) -> FloatArray:
    return np.asarray(rng.standard_normal((rows, columns)) / np.sqrt(rows), np.float32)
