"""Learn: simulated shoppers click, and the loop of feedback, fit, gate and promotion runs by itself; what it gains is measured.

The same questions are asked before and after, in words that no session had. Three shares are told of each answer:
whether it is what the words mean (what the encoders learn), and whether it fits who asks, with their taste known and
without. An interval is of the differences, shopper by shopper or wish by wish.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

import motion
from fashion_search.gate import interval
from fashion_search.heads import Recipe
from fashion_search.simulated import WISHES, Shopper, Wish, shoppers
from fashion_search.tables import QuerySource, RetailerSchema
from fashion_search.taste import say
from fashion_search.versions import COMPONENT

RECIPE = Recipe(epochs=5, rate=1e-3, keep=0.3)
"""How the encoders learn here: bolder than in a shop at its beginning, as there are thousands of clicks."""

AT_ONCE = 20
ASKED_OF_EACH = 3
LOOKED_AT = 8
PATIENCE_S = 1_800.0  # on a machine that is busy with something else
KEYS = ["id", "title", "brand", "price", "retailer", "labels"]

Show = Callable[[int, int | None], None]


@dataclass(frozen=True)
class Change:
    """A share before and after, and the 95 % interval of the difference."""

    before: float
    after: float
    low: float
    high: float
    count: int

    @property
    def is_proven(self) -> bool:
        return self.low > 0


@dataclass(frozen=True)
class Learned:
    """What came of it.

    Attributes:
        meant: answers that are what the words mean, whoever asks.
        fits: answers that fit who asks.
        fits_without_taste: the same, had nothing been known of who asks.
        course: the share of answers that fit, session by session.
        switches: after how many sessions a version went live, and its number.
        versions: all that were made, and what became of each.
    """

    meant: Change
    fits: Change
    fits_without_taste: Change
    course: Sequence[float]
    switches: Sequence[tuple[int, int]]
    versions: Sequence[motion.StateVersion]
    judged: int


@dataclass
class Learning:
    """One run.

    Attributes:
        store: with products embedded, opened with `ideas=1`: sessions name what they want.
        sessions: how many.
        people: how many shoppers share them.
        seed: of tastes, questions and clicks.
    """

    store: motion.Store
    sessions: int
    people: int = 40
    seed: int = 0
    show: Show = lambda done, version: None
    _course: list[float] = field(default_factory=list)
    _switches: list[tuple[int, int]] = field(default_factory=list)
    _judged: int = 0

    def run(self) -> Learned:
        """Let all sessions happen, and measure before and after."""
        rng = np.random.default_rng(self.seed)
        crowd = shoppers(self.people, rng)
        probes = self._probes(crowd, rng)
        before = self._measured(probes, known=True)
        self._note_version()
        for start in range(0, self.sessions, AT_ONCE):
            self._sessions(crowd, min(AT_ONCE, self.sessions - start), rng)
            self.show(len(self._course), self._note_version())
        self.store.wait(timeout=PATIENCE_S)
        self._note_version()
        after, unknown = self._measured(probes, known=True), self._measured(probes, known=False)
        by_wish, by_shopper = [wish.text for _, wish in probes], [who.name for who, _ in probes]
        return Learned(
            _change(before[0], unknown[0], by_wish), _change(before[1], after[1], by_shopper),
            _change(before[1], unknown[1], by_shopper), self._course, self._switches,
            self.store.model(COMPONENT).versions(), self._judged,
        )  # fmt: skip

    def _probes(
        self, crowd: Sequence[Shopper], rng: np.random.Generator
    ) -> list[tuple[Shopper, Wish]]:
        kept_back = [wish for wish in WISHES if wish.is_kept_back]
        return [
            (who, kept_back[int(place)])
            for who in crowd
            for place in rng.choice(len(kept_back), ASKED_OF_EACH, replace=False)
        ]

    def _sessions(self, crowd: Sequence[Shopper], count: int, rng: np.random.Generator) -> None:
        asked = [wish for wish in WISHES if not wish.is_kept_back]
        who = [crowd[int(place)] for place in rng.integers(0, len(crowd), count)]
        wishes = [asked[int(place)] for place in rng.integers(0, len(asked), count)]
        pairs = list(zip(who, wishes, strict=True))
        answers = list(self._answers(pairs, known=True))
        with self.store.transaction() as tx:
            for (shopper, wish), answer in zip(pairs, answers, strict=True):
                products = [product for _, product in answer]
                for place, liked in shopper.says(wish, products, rng).items():
                    row, product = answer[place]
                    tx.set(row, feedback=liked)
                    say(tx, shopper.name, product, liked)
                    self._judged += 1
        self._course += [_share(shopper.would_take(wish, product) for _, product in answer) for (shopper, wish), answer in zip(pairs, answers, strict=True)]  # fmt: skip

    def _measured(
        self, probes: Sequence[tuple[Shopper, Wish]], *, known: bool
    ) -> tuple[list[float], list[float]]:
        """Return, of each probe, the share of answers that is what was meant, and the share that fits."""
        meant, fits = [], []
        for start in range(0, len(probes), AT_ONCE):
            part = probes[start : start + AT_ONCE]
            for (who, wish), answer in zip(part, self._answers(part, known=known), strict=True):
                meant.append(_share(wish.is_met(product) for _, product in answer))
                fits.append(_share(who.would_take(wish, product) for _, product in answer))
        return meant, fits

    def _answers(
        self, asked: Sequence[tuple[Shopper, Wish]], *, known: bool
    ) -> Iterator[list[tuple[Any, RetailerSchema]]]:
        """Give what the pipeline shows for each wish itself, best first."""
        rows = [
            {"query": wish.text, "src": QuerySource.ONLINE, "shopper": who.name if known else None}
            for who, wish in asked
        ]
        change = self.store.set_many("query", rows).wait(timeout=PATIENCE_S)
        found: dict[int, list[Any]] = {}
        for row in change.rows():  # in the order in which they were asked
            shown = found.setdefault(row.id, [])
            if row.img_id is not None and row.text_suggestion_page == 0:
                shown.append(row)
        for answer in found.values():
            products = _products(self.store, [row.img_id for row in answer])
            yield [(row, products[row.img_id]) for row in answer if row.img_id in products]

    def _note_version(self) -> int | None:
        live = self.store.status().versions[COMPONENT]
        if live is not None and (not self._switches or self._switches[-1][1] != live):
            self._switches.append((len(self._course), live))
        return live


def _products(store: motion.Store, ids: Sequence[int]) -> dict[int, RetailerSchema]:
    if not ids:
        return {}
    where = f"id IN ({', '.join('?' * len(ids))})"
    return {
        each.id: each
        for each in store.rows(RetailerSchema, where=where, params=list(ids), keys=KEYS)
    }


def _share(right: Iterator[bool]) -> float:
    """Return how many of the places that a shopper looks at are filled rightly: an empty one is not."""
    return sum(right) / LOOKED_AT


def _change(before: Sequence[float], after: Sequence[float], units: Sequence[str]) -> Change:
    """Return the difference of two shares, pair by pair; draws are of units, as what is of one is alike."""
    difference = np.asarray(after) - np.asarray(before)
    names = np.asarray(units)
    of_units = np.asarray([difference[names == name].mean() for name in dict.fromkeys(units)])
    low, high = interval(of_units)
    return Change(float(np.mean(before)), float(np.mean(after)), low, high, len(of_units))
