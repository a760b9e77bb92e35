"""Ranking: the answer to one wish, of a store's products, best first.

Owns how pictures, texts and words are weighed against each other, what a shopper ruled out, what a title has against it, and
when nothing fits. The score of a product is the blend of two cosines, of its text and of its picture, and on top of it how
well its words are met (BM25). A plain fusion of ranks would throw away that a synonym has no word in common with what it means.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from typing import Any

from numpy.typing import NDArray

import motion
from fashion_search.facets import colours_named, kind_named, without_colours
from fashion_search.heads import Heads
from fashion_search.stock import Searchable
from fashion_search.tables import RetailerSchema
from fashion_search.taste import NOBODYS, Taste
from fashion_search.wishes import Wish, content_words, has_word, is_for_anybody, person_of, stem

WORDS_WEIGHT = 0.04
"""What a product that meets the words best of all has on top of its blend of cosines, which is at most 1. Enough to put a
brand first; of 36 synonyms, 0.15 cost four their first hit, as what is called a purse is not all that means one."""

OTHER_COLOUR = 0.1
"""What a product loses whose title names colours and none that are asked for: by vectors navy blue is a good blue, and so is red."""

SOMEBODYS = 0.1
"""What a product loses whose title says whose it is, where the wish says that it is for anybody."""

FLOOR = 0.45
"""Below this blend of cosines a product that shares no telling word with the wish does not fit."""

OF_ONE_TITLE = 2
"""How many products of one title an answer shows: ten colours of one shirt are one find."""

_MAY_BE: dict[str, tuple[str | None, ...]] = {
    "women": ("women", None), "men": ("men", None),
    "girls": ("girls", "kids"), "boys": ("boys", "kids"), "kids": ("girls", "boys", "kids"),
}  # fmt: skip
"""Whose a product's title may say it is, by whom it is for; None: nobody's, which among children's things is an adult's."""

_ASKED_AT_ONCE, _ASKED_AT_MOST = 60, 1_920

_LOOKED_AT = ("title", "img_summary", "worn_by", "source_id")
"""What is looked at of each product here and by who measures: a whole row has pictures and vectors, and hundreds are read."""

_BY_A_TASTE = ("retailer", "brand", "price")


@dataclass(frozen=True)
class Ranked:
    """A product that was found.

    Attributes:
        score: how well it fits, `0..1`: the blend of its cosines.
        place: what it was ranked by.
    """

    product: RetailerSchema
    score: float
    place: float


def ranked(
    store: Searchable,
    heads: Heads,
    features: NDArray[Any],
    wish: Wish,
    k: int,
    *,
    picture_weight: float,
    words_weight: float = WORDS_WEIGHT,
    where: Mapping[str, Any] | None = None,
    is_sure: bool = True,
    taste: Taste = NOBODYS,
) -> list[Ranked]:
    """Return the `k` products that fit a wish best; fewer where no more fit, and none where nothing does.

    Args:
        store: what is searched.
        heads: the version that its vectors are of.
        features: of the wish's text, `(1, any)`.
        wish: what is asked for.
        picture_weight: how much pictures count beside texts, `0..1`.
        words_weight: how much words count.
        where: equalities that hold for every answer.
        is_sure: whether the wish is for a thing to wear. Of what may be none, a product must have every word.
        taste: whose, who asks. It changes the order of what fits, and not what fits.
    """
    vector = heads.wishes(features, picture_weight)[0]
    length = float((vector**2).sum()) ** 0.5
    condition, params = _condition(wish, where or {})
    keys = _looked_at(wish, taste)
    asked = _ASKED_AT_ONCE
    while True:
        near = store.search(
            "retailer.img_embedding",
            vector,
            table=RetailerSchema,
            k=asked,
            where=condition,
            params=params,
            keys=keys,
        )
        told = _told(store, wish, asked, condition, params, keys) if words_weight else {}
        found = _blended(wish, near, told, length, words_weight, taste)
        kept = list(islice(_that_fit(found, wish, is_sure), k))
        is_below = not is_sure or (near and near[-1].score * length < FLOOR)
        if is_below and words_weight and len(told) < asked:
            return kept  # what is further off fits by its words only, and those that have any were told
        if len(kept) >= k or len(near) < asked or asked >= _ASKED_AT_MOST:
            return kept
        asked *= 4  # what was ruled out, or is too alike, took places


def may_be_for(person: str | None, worn_by: str | None) -> bool:
    """Whether a product whose title says whose it is, or does not, is an answer for somebody."""
    return person is None or worn_by in _MAY_BE[person]


def is_there_in_colour(wish: Wish, titles: Iterable[str]) -> bool:
    """Whether a title calls something what is asked for, in the colour that is asked for, or none calls anything so.

    Where there are jackets and no rust one, a brown jacket is the better answer to "rust jacket" than a rust saree.
    """
    wanted = {
        stem(word)
        for word in content_words(without_colours(wish.text))
        if person_of(word) is None and not is_for_anybody(word)
    }
    asked = colours_named(wish.text)
    called = [colours_named(title) for title in titles if asked and wanted <= _stems(title)]
    return not called or any(asked & named for named in called)


def held_against(wish: Wish, title: str, worn_by: str | None, *, in_colour: bool) -> float:
    """Return what a product's title takes from its place in the answer to a wish; infinity: it is no answer at all.

    Args:
        in_colour: whether the colour counts, as `is_there_in_colour` tells of the products at hand.
    """
    sort, sort_of_title = _sort_of(wish.text), _sort_of(title)
    if not may_be_for(wish.person, worn_by) or (sort and sort_of_title not in (None, sort)):
        return math.inf
    asked, named = colours_named(wish.text), colours_named(title)
    lost = OTHER_COLOUR if in_colour and asked and named and not asked & named else 0.0
    return lost + (SOMEBODYS if wish.is_for_anybody and worn_by else 0.0)


def _condition(wish: Wish, where: Mapping[str, Any]) -> tuple[str | None, list[Any]]:
    """Return what the rows of an answer must be, as SQL: what can be told of every product alike."""
    parts, params = [f"{key} = ?" for key in where], list(where.values())
    if wish.person is not None:
        named = [person for person in _MAY_BE[wish.person] if person is not None]
        or_nobody = " OR worn_by IS NULL" if None in _MAY_BE[wish.person] else ""
        parts.append(f"(worn_by IN ({', '.join('?' * len(named))}){or_nobody})")
        params += named
    for bound, sign in ((wish.below, "<="), (wish.above, ">=")):
        if bound is not None:
            parts.append(
                f"(price {sign} ? OR price IS NULL)"
            )  # a shop that tells no price may have it
            params.append(bound)
    return (" AND ".join(parts) or None), params


def _looked_at(wish: Wish, taste: Taste) -> tuple[str, ...]:
    return _LOOKED_AT + (("sizes",) if wish.size else ()) + (_BY_A_TASTE if taste.counts else ())


def _told(
    store: Searchable,
    wish: Wish,
    k: int,
    where: str | None,
    params: Sequence[Any],
    keys: tuple[str, ...],
) -> dict[int, motion.Hit[RetailerSchema]]:
    words = " ".join(content_words(wish.text))
    if not words:
        return {}
    hits = store.search(
        "retailer.img_summary", text=words, table=RetailerSchema, k=k, where=where, params=params,
        keys=keys,
    )  # fmt: skip
    return {hit.id: hit for hit in hits}


def fused(
    blends: Mapping[int, float], told: Mapping[int, float], words_weight: float
) -> dict[int, float]:
    """Return what each product is ranked by: its blend of cosines, and on top of it how well it meets the words.

    Args:
        blends: of the nearest products, by id.
        told: the BM25 of those that have some of the words. What only they found counts with the least blend of all.
    """
    most = max(told.values(), default=1.0)
    least = min(blends.values(), default=0.0)
    return {
        id: blends.get(id, least) + words_weight * told.get(id, 0.0) / most
        for id in dict.fromkeys((*blends, *told))
    }


def _blended(
    wish: Wish,
    near: Sequence[motion.Hit[RetailerSchema]],
    told: Mapping[int, motion.Hit[RetailerSchema]],
    length: float,
    words_weight: float,
    taste: Taste,
) -> Iterator[Ranked]:
    """Give what was found and may be an answer, best first, as somebody would like it. Of hundreds some ten are asked for."""
    blends = {hit.id: hit.score * length for hit in near}
    places = fused(blends, {id: hit.score for id, hit in told.items()}, words_weight)
    rows = {hit.id: hit.row for hit in (*near, *told.values())}
    in_colour = is_there_in_colour(wish, map(_title_of, rows.values()))
    least = min(blends.values(), default=0.0)
    final: dict[int, float] = {}
    for id, place in places.items():
        lost = _held_against(wish, rows[id], in_colour)
        if lost != math.inf:
            final[id] = place - lost + taste.bonus(rows[id])
    for id in sorted(final, key=lambda id: (-final[id], id)):
        yield Ranked(rows[id], blends.get(id, least), final[id])


def _held_against(wish: Wish, product: RetailerSchema, in_colour: bool) -> float:
    return held_against(wish, _title_of(product), product.worn_by, in_colour=in_colour)


def _title_of(product: RetailerSchema) -> str:
    return product.title or product.img_summary or ""


def _that_fit(found: Iterable[Ranked], wish: Wish, is_sure: bool) -> Iterator[Ranked]:
    titles: Counter[str] = Counter()
    wanted = {stem(word) for word in content_words(wish.text) if person_of(word) is None}
    for each in found:
        text = _text_of(each.product)
        if any(has_word(text, word) for word in wish.without):
            continue
        if wish.size and not _has_size(each.product, wish.size):
            continue
        if not (is_sure and each.score >= FLOOR) and not _has_words(text, wanted, is_sure):
            continue
        title = (each.product.title or text).casefold()
        titles[title] += 1
        if titles[title] <= OF_ONE_TITLE:
            yield each


@lru_cache(maxsize=65_536)
def _sort_of(text: str) -> str | None:
    """Return which sort of things a text names, None where it names none: black socks are no "black suit".

    Nothing finer than what nobody mistakes: a tunic may be a kurta, and a dress a long top.
    """
    kind = kind_named(text)
    return _SORTS.get(kind, "worn above") if kind else None


_SORTS = {each: each for each in ("shoes", "bags", "trousers", "skirts", "accessories")}
_SORTS["jewellery"] = "accessories"


def _text_of(product: RetailerSchema) -> str:
    return f"{product.title or ''} {product.img_summary or ''}"


def _has_words(text: str, wanted: set[str], is_sure: bool) -> bool:
    """Whether a product says what is wanted: half of it, or, where a wish may be for something else, all."""
    shared = len(wanted & _stems(text))
    return bool(wanted) and shared >= (len(wanted) / 2 if is_sure else len(wanted))


@lru_cache(maxsize=65_536)
def _stems(text: str) -> frozenset[str]:
    """Return the stems of a text's words: a catalog's texts are the same from one answer to the next."""
    return frozenset(stem(word) for word in content_words(text))


def _has_size(product: RetailerSchema, size: str) -> bool:
    """Whether a product comes in a size; one whose shop does not tell sizes may."""
    names = {"small": "s", "medium": "m", "large": "l"}
    sizes = [each.lower() for each in product.sizes or ()]
    return not sizes or names.get(size, size) in {names.get(each, each) for each in sizes}
