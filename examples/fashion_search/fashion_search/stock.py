"""Stock: what the words of a whole catalog tell. Which there are, for mending what was misspelt, and how much they say.

Owns two facts of a catalog's texts, kept for the catalog that was asked last: a process mostly serves one.
"""

from __future__ import annotations

import re
import threading
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Protocol

from fashion_search.garments.vocabulary import COLOURS, TYPES
from fashion_search.wishes import stem

FULL, POOR = 0.25, 0.85
"""How much pictures count where titles say what a thing is, and where they do not. Chosen on queries with known answers."""

_TEXTS = "SELECT COALESCE(NULLIF(img_summary, ''), title) AS text FROM retailer"
_NEWEST = "SELECT id, title, img_summary FROM retailer ORDER BY id DESC LIMIT 1"
_COUNTED_AGAIN_AFTER_S = 1.0  # to count 27,865 products takes 60 ms, more than to answer


class Searchable(Protocol):
    """A store, or a view of one."""

    def search(self, *args: Any, **kwargs: Any) -> Any: ...

    def sql(self, sql: str, /, params: Sequence[Any] = ()) -> Any: ...


@dataclass(frozen=True)
class Stock:
    """What a catalog's texts tell.

    Attributes:
        words: lower case, with the number of products that have each.
        picture_weight: how much pictures count beside such texts.
    """

    words: Mapping[str, int]
    picture_weight: float


def stock_of(store: Searchable) -> Stock:
    """Return what the texts of a store's products tell; read anew when products came, and within a second when others went or
    have changed their number of texts."""
    newest = store.sql(_NEWEST).to_pylist()
    with _READING:
        if _LAST.newest == newest and time.monotonic() < _LAST.good_until_s:
            return _LAST.stock
        count = store.sql("SELECT COUNT(img_summary) AS count FROM retailer").to_pylist()
        if (_LAST.newest, _LAST.count) != (newest, count):
            _LAST.stock = stock_of_texts(store.sql(_TEXTS)["text"].to_pylist())
            _LAST.newest, _LAST.count = newest, count
        _LAST.good_until_s = time.monotonic() + _COUNTED_AGAIN_AFTER_S
        return _LAST.stock


def stock_of_texts(texts: Iterable[str | None]) -> Stock:
    """Return what these texts tell."""
    counts: Counter[str] = Counter()
    telling = total = 0
    for text in texts:
        words = set(re.findall(r"[a-z0-9]+", (text or "").lower()))
        counts.update(words)
        stems = {stem(word) for word in words}
        telling += bool(stems & _kinds()) and bool(words & COLOURS.keys())
        total += 1
    return Stock(counts, FULL if 2 * telling >= total else POOR)


@cache
def _kinds() -> frozenset[str]:
    names = (name for kind in TYPES.values() for name in (kind.singular, kind.plural))
    return frozenset(stem(name.replace("-", "").split()[-1]) for name in names) | {
        "shirt",
        "shoe",
        "bag",
        "sari",
    }


class _Last:
    """What was told last, of which catalog. No dict: that would count as code of the triggers that use it, and so its content."""

    newest: Any = None
    count: Any = None
    good_until_s = 0.0
    stock = Stock({}, FULL)


_LAST = _Last()
_READING = threading.Lock()
