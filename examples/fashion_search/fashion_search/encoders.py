"""The encoders, as components: a trunk that never changes, and heads that learn.

picture ──look (trunk)──> img_features ──┐
summary ──read (trunk)──> txt_features ──┴─embed (heads)──> img_embedding
idea    ──read (trunk), wish (heads), search──> img_id, img_score, a page each
lesson, feedback ──learn──> the next version of the heads

What is slow is done once for each picture, as a key of its own; what is learned is a matrix product away from it. So a
fit on a whole catalog, and embedding it anew, takes less than a minute.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cache, lru_cache, partial
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

import motion
from fashion_search import trunks
from fashion_search.gate import Pairs as Pairs
from fashion_search.gate import compared, measured, rounds_for, thinned
from fashion_search.heads import Gain, Heads, Recipe
from fashion_search.ideas import names_a_product
from fashion_search.judged import gained, is_held_out, judged, proves
from fashion_search.kinds import Kind, kind_of
from fashion_search.ranking import ranked
from fashion_search.stock import stock_of, stock_of_texts
from fashion_search.tables import LessonSchema, QuerySchema, RetailerSchema
from fashion_search.taste import Taste
from fashion_search.trunks import Features, Trunk
from fashion_search.wishes import Wish, read_wish

FIT_EVERY = 24
"""Judged pictures after which the heads learn by themselves."""

HELD_OUT = "id % 5 = 0"
"""The products that no fit learns from: the gate measures on them."""

FIRST = Recipe(epochs=5, words=256)
"""How a shop's own (picture, summary) pairs are learned the first time; its commonest words as tags."""

LATER = Recipe(epochs=3, keep=0.5, words=256, anew=False)
"""How what is new is learned, products and what people liked: together with all of the shop's pairs, so that none of them is
forgotten, and half way; words that have become common become tags."""

FIT_PAIRS, GATE_PAIRS = 24_000, 1_000
LIKED_COUNTS, NEW_COUNTS = 4.0, 32
"""As how many pairs of the catalog something counts that a person said, and at most a product that came after the last fit."""


class FrozenTrunk(motion.Component):
    """Pictures and texts to features, by a model that is never fitted: its version changes only with its name."""

    def __init__(self, name: str | None = None) -> None:
        self.trunk_name = name

    def setup(self) -> Trunk:
        return trunk_of(self.trunk_name)

    def save(self, state: Trunk) -> dict[str, str]:
        return {"name": state.name}

    def load(self, saved: dict[str, str]) -> Trunk:
        return trunk_of(saved["name"])

    @motion.infer(
        on="retailer.image",
        sets="retailer.img_features",
        batch=64,
        concurrency=2,  # while one batch is decoded, another is looked at
    )
    def look(self, trunk: Trunk, image: list[bytes]) -> Features:
        return trunk.look(image)

    @motion.infer(on="retailer.img_summary", sets="retailer.txt_features", batch=256)
    def read(self, trunk: Trunk, img_summary: list[str]) -> Features:
        return trunk.read(img_summary)


class ImageRetrieval(motion.Component):
    """Idea to images: heads over the catalogs, learning from (picture, summary) pairs and from feedback.

    Args:
        trunk: the name of the trunk; None: the one that comes with this package.
        k: pictures for each idea.
        recipe: how feedback is learned.
    """

    def __init__(self, trunk: str | None = None, k: int = 8, recipe: Recipe | None = None) -> None:
        self.trunk, self.k, self.recipe = trunk, k, recipe or LATER

    def setup(self) -> Heads:
        trunk = trunk_of(self.trunk)
        if trunk.name == trunks.EMBEDDED:
            return Heads.load(trunk.name, trunk.words_dim)
        return Heads.untouched(trunk.name, trunk.words_dim)

    def save(self, state: Heads) -> dict[str, Any]:
        return state.to_saved()

    def load(self, saved: dict[str, Any]) -> Heads:
        return Heads.from_saved(saved)

    @motion.infer(
        on=("retailer.img_features", "retailer.txt_features"),
        sets="retailer.img_embedding",
        batch=1024,
        refresh="before",
    )
    def embed(
        self, heads: Heads, img_features: list[Features], txt_features: list[Features]
    ) -> NDArray[np.float32]:
        return heads.products(np.stack(img_features), np.stack(txt_features))

    @motion.infer(
        on="query.text_suggestion", sets=("query.img_id", "query.img_score"), page="img_id_page"
    )
    def retrieve(
        self,
        heads: Heads,
        query: str,
        text_suggestion: str,
        shopper: str | None,
        narrowed: dict[str, str] | None,
        store: motion.View,
    ) -> list[tuple[int, int]]:
        asked, idea = _wish_of(query), _wish_of(text_suggestion)
        # What was ruled out holds for every idea; whose it is may be another for each.
        wish = replace(asked, text=idea.text, person=_whose(asked.person, idea.person))
        features = _read_one(heads.trunk, wish.text)
        weight = stock_of(store).picture_weight
        is_sure = kind_of_text(wish.text) is Kind.THING
        found = ranked(
            store, heads, features, wish, self.k, picture_weight=weight, where=narrowed, is_sure=is_sure,
            taste=Taste.of(store, shopper),
        )  # fmt: skip
        return [(each.product.id, round(100 * each.score)) for each in found]

    @motion.fit(on="lesson.products", every=1, promote=motion.if_better("proven"))
    def study(self, heads: Heads, rows: list[LessonSchema], store: motion.View) -> Heads:
        """Learn what the shop's own pictures and summaries have to do with each other."""
        pairs, newest = _lesson(store, heads)
        new = heads.fitted(
            pairs.pictures, pairs.texts, FIRST if heads.tags is None else LATER, said=pairs.said,
            on_progress=_tell,
        )  # fmt: skip
        return self._proven(heads, replace(new, newest=newest), store)

    @motion.fit(
        on="query.feedback",
        every=FIT_EVERY,
        promote=motion.if_better("proven"),
        batch=1_000,  # where one version after the other is refused, verdicts become many
    )
    def finetune(
        self, heads: Heads, rows: Iterable[list[QuerySchema]], store: motion.View
    ) -> Heads:
        """Learn what people thought of the answers, without forgetting the catalog."""
        pairs, newest = _lesson(store, heads)
        liked = _liked(chain.from_iterable(rows), store)
        pictures, texts, said = pairs.pictures, pairs.texts, list(pairs.said)
        weights = np.ones(len(pairs) + len(liked), np.float32)
        weights[len(pairs) :] = [LIKED_COUNTS * each.times for each in liked]
        if liked:
            pictures = np.concatenate([pictures, np.stack([each.picture for each in liked])])
            texts = np.concatenate([texts, _read_each(heads.trunk, [each.wish for each in liked])])
            # so a wish in other words learns which of the shop's words it means
            said += [each.summary for each in liked]
        new = heads.fitted(
            pictures, texts, self.recipe, said=said, weights=weights, on_progress=_tell
        )
        return self._proven(heads, replace(new, newest=newest), store)

    def evaluate(self, heads: Heads, rows: list[Any], store: motion.View) -> dict[str, float]:
        """Measure how well half of what a held-out product's summary says finds it by its picture and the other half.

        A version counts as `proven` once more than what it was made from, if its fit gained beyond chance on such pairs, or
        on what people liked and what not, and lost on neither.
        """
        rounds = _gate_rounds(heads.trunk, store)
        gain, liked = heads.gain, heads.liked
        told = {"gain": gain.mean, "gain_low": gain.low, "gain_high": gain.high}
        if liked.pairs:
            told |= {"liked_pairs": float(liked.pairs), "liked_gain": liked.mean}
            told |= {"liked_low": liked.low, "liked_high": liked.high}
        found = (
            measured(heads, rounds) if rounds else {}
        )  # where each product was judged there are none
        return {**found, "proven": float(heads.proven), **told}

    def _proven(self, old: Heads, new: Heads, store: motion.View) -> Heads:
        """Return new heads with what they gained on held-out pairs."""
        rounds = _gate_rounds(old.trunk, store)
        gain = compared(old, new, rounds) if rounds else Gain()
        said = judged(store, partial(_read, old.trunk), stock_of(store).picture_weight)
        liked = gained(old, new, said)
        return replace(new, gain=gain, liked=liked, proven=old.proven + proves((gain, liked)))


@cache
def trunk_of(name: str | None) -> Trunk:
    """Return the trunk of a name, loaded once in each process.

    Raises:
        ModelNotFound: no CLIP of this name or folder can be had.
    """
    return trunks.load(name)


@lru_cache(maxsize=4_096)
def kind_of_text(text: str) -> Kind:
    """Return what a query is for, whatever trunk the pictures are seen with."""
    return Kind.THING if names_a_product(text) else kind_of(_read_one(None, text)[0])


@dataclass(frozen=True, eq=False)
class _Liked:
    """A product that was liked for a wish, and how often."""

    picture: Features
    wish: str
    summary: str
    times: int


def _liked(rows: Iterable[QuerySchema], store: motion.View) -> list[_Liked]:
    """Return what was liked for wishes that are not held out, each pair once: what many people say takes no longer to learn."""
    times = Counter(
        (row.img_id, read_wish(row.text_suggestion).text)
        for row in rows
        if row.feedback and row.img_id is not None and row.text_suggestion
        if not is_held_out(row.text_suggestion)
    )
    keys = ("img_features", "img_summary")
    products = {id: store.get(RetailerSchema, id, keys=keys) for id in {id for id, _ in times}}
    return [
        _Liked(product.img_features, wish, product.img_summary or "", count)
        for (id, wish), count in times.items()
        if (product := products[id]) is not None and product.img_features is not None
    ]


def _read_each(trunk: str, texts: Sequence[str]) -> Features:
    """Return the features of texts, those of equal ones read once."""
    place = {text: number for number, text in enumerate(dict.fromkeys(texts))}
    return np.asarray(trunk_of(trunk).read(list(place))[[place[text] for text in texts]])


def _whose(asked: str | None, idea: str | None) -> str | None:
    return asked if asked in ("girls", "boys", "kids") else (idea or asked)


def _tell(step: int, steps: int, loss: float) -> None:
    motion.progress(step, steps, loss=loss)


def _lesson(store: motion.View, heads: Heads) -> tuple[Pairs, int]:
    """Return the shop's pairs that a fit learns from, and the newest product. All that came after the last fit are among them."""
    found = _rows(store, f"NOT ({HELD_OUT})", FIT_PAIRS, heads.newest or None)
    ids = found["id"].to_numpy()
    is_new = ids > (heads.newest or ids.max(initial=0))  # before the first fit none is
    return pairs_of(found).at(with_new(is_new)), int(ids.max(initial=heads.newest))


def with_new(is_new: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Return which pairs a fit is given: all, and those that came after the last fit `NEW_COUNTS` times, or less often where
    they are so many that they would be more than all others.

    Often, and not once with a weight: so they meet each other in a batch, and are told apart.
    """
    new = np.flatnonzero(is_new)
    times = min(NEW_COUNTS, max(1, (len(is_new) - len(new)) // max(len(new), 1)))
    return np.concatenate([np.arange(len(is_new)), np.tile(new, times - 1)])


def _rows(store: motion.View, where: str, limit: int, after: int | None = None) -> Any:
    """Return features and summaries of products, always the same ones, spread over the whole catalog, those after an id first."""
    first = "" if after is None else f"id > {after:d} DESC, "
    return store.sql(
        "SELECT id, img_features, txt_features, img_summary FROM retailer WHERE img_features IS NOT NULL AND txt_features IS NOT NULL "
        f"AND {where} ORDER BY {first}id * 2654435761 % 4294967296 LIMIT {limit:d}"
    )


def pairs_of(columns: Any) -> Pairs:
    """Return a table's features and summaries."""
    return Pairs(
        _matrix(columns["img_features"]),
        _matrix(columns["txt_features"]),
        columns["img_summary"].to_pylist(),
    )


def _gate_rounds(trunk: str, store: motion.View) -> list[Pairs]:
    """Return held-out products that nobody judged, with only half of what their summaries say, in several turns."""
    unjudged = (
        "id NOT IN (SELECT img_id FROM query WHERE feedback IS NOT NULL AND img_id IS NOT NULL)"
    )
    whole = pairs_of(_rows(store, f"{HELD_OUT} AND {unjudged}", GATE_PAIRS))
    weight = stock_of_texts(whole.said).picture_weight
    rounds = []
    for turn in range(rounds_for(len(whole)) if len(whole) else 0):
        shown, asked = thinned(whole.said, turn)
        told, wanted = _read(trunk, tuple(shown)), _read(trunk, tuple(asked))
        rounds.append(Pairs(whole.pictures, told, whole.said, wanted, weight))
    return rounds


@lru_cache(maxsize=4_096)
def _read_one(trunk: str | None, text: str) -> Features:
    """Return a wish's features: most of what people ask for was asked before, and reading is a third of what an answer costs."""
    return trunk_of(trunk).read([text])


@lru_cache(maxsize=4_096)
def _wish_of(text: str) -> Wish:
    return read_wish(text)


@lru_cache(maxsize=16)
def _read(trunk: str, texts: tuple[str, ...]) -> Features:
    return trunk_of(trunk).read(texts)  # a fit and its gate ask the same


def _matrix(column: Any) -> Features:
    """Return a column of arrays as one: without an object for each number."""
    if not len(column):
        return np.zeros((0, 0), np.float16)  # a column without a row has no type
    whole = column.combine_chunks()
    return np.asarray(whole.flatten().to_numpy(zero_copy_only=False), np.float16).reshape(
        len(whole), -1
    )
