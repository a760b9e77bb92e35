"""Soak: simulated shoppers ask and click by the clock for a long time, while the loop of feedback, fit and gate runs beside.

Owns the load, which waits for no answer before the next question is asked, and what must hold at the end: nothing is lost,
nothing is counted twice, and memory is flat. What a shopper asks for and takes is in `simulated`.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

import motion
from fashion_search.encoders import FIT_EVERY
from fashion_search.growth import FLAT_MB_PER_HOUR, Growth, growth, weighed
from fashion_search.learn import KEYS
from fashion_search.simulated import WISHES, Shopper, Wish, shoppers
from fashion_search.tables import QuerySource, RetailerSchema, ShopperSchema
from fashion_search.taste import say, traits_of
from fashion_search.versions import COMPONENT

CLICKED = 0.2
"""The share of answers of which a shopper says something, as `simulated` tells what: one verdict for each question."""

NAMED_COLOUR = 0.5
"""The share of questions that name a colour, one that the shopper wears."""

LATE_S = 0.05
"""A question that is asked so much later than the clock says was late. What it took counts from when it was due."""

BACKLOG_S = 5.0
"""The rate was held where, at the end of the load, no more are unanswered than come in so long."""

PATIENCE_S = 3_600.0
WEIGHED_EVERY_S = 1.0

Show = Callable[[float, int, int], None]


@dataclass(frozen=True)
class Load:
    """What is asked of the shop.

    Attributes:
        seconds: how long.
        rate: questions a second; their times are those of a Poisson process.
        people: shoppers who ask them.
        seed: of times, tastes, questions and clicks.
    """

    seconds: float
    rate: float
    people: int = 1_000
    seed: int = 0

    def times(self) -> np.ndarray:
        """Return when each question is due, in seconds from the beginning."""
        rng = np.random.default_rng([self.seed, 1])
        most = int(self.seconds * self.rate + 10 * (self.seconds * self.rate) ** 0.5 + 10)
        due = rng.exponential(1 / self.rate, most).cumsum()
        return np.asarray(due[: max(1, int((due < self.seconds).sum()))])


@dataclass(frozen=True)
class Check:
    """Something that must hold at the end; None: it cannot be told, as the run was too short."""

    what: str
    holds: bool | None
    told: str


@dataclass(frozen=True)
class Soaked:
    """What came of it.

    Attributes:
        asked: questions.
        late: so many of them were asked `LATE_S` or more after they were due, as this machine was busy.
        latest_s: the latest.
        took_s: the median, the 95th and the 99th percentile of what an answer took, from when its question was due.
        worst_s: the longest.
        distinct: how many questions were of other words than all others.
        nothing_fits: questions that were answered by nothing.
        judged: verdicts.
        versions: what the loop made: status -> how many versions.
        drained_s: how long after the last question the store was at rest.
        shop, all_processes: what memory did.
        checks: what must hold.
    """

    asked: int
    late: int
    latest_s: float
    took_s: tuple[float, float, float]
    worst_s: float
    distinct: int
    nothing_fits: int
    judged: int
    versions: dict[str, int]
    drained_s: float
    shop: Growth
    all_processes: Growth
    checks: Sequence[Check]

    @property
    def holds(self) -> bool:
        return not any(check.holds is False for check in self.checks)


class Soak:
    """One run over a store with products embedded, opened with `ideas=1`: shoppers name what they want.

    What it keeps itself does not grow while it runs: an array each for the questions, and for what each shopper said of
    each product.
    """

    def __init__(
        self, store: motion.Store, load: Load, show: Show = lambda seconds, asked, open: None
    ) -> None:
        self._store, self._load, self._show = store, load, show
        rng = np.random.default_rng([load.seed, 2])
        self._due = load.times()
        count = len(self._due)
        self._crowd = shoppers(load.people, rng)
        self._asks = [wish for wish in WISHES if not wish.is_kept_back]
        self._who = rng.integers(0, len(self._crowd), count)
        self._wish = rng.integers(0, len(self._asks), count)
        self._colour = np.where(rng.random(count) < NAMED_COLOUR, rng.integers(0, 2**31, count), -1)
        self._clicks = rng.random(count) < CLICKED
        self._products = {each.id: each for each in store.rows(RetailerSchema, keys=KEYS)}
        self._place = {id: place for place, id in enumerate(self._products)}
        self._said = np.full((len(self._crowd), len(self._place)), -1, np.int8)
        self._speaking = [asyncio.Lock() for _ in self._crowd]
        self._ids = np.full(count, -1, np.int64)
        self._late_s, self._took_s = np.zeros(count), np.full(count, np.nan)
        self._weights: list[tuple[float, float, float]] = []
        self._judged = 0

    def run(self) -> Soaked:
        """Let the shoppers come, and check what is left when they have gone."""
        before = {each.number for each in self._versions()}
        unanswered = asyncio.run(self._come())
        ended = time.monotonic()
        self._store.wait(timeout=PATIENCE_S)
        drained_s = time.monotonic() - ended
        at, shop, together = np.array(self._weights).T.tolist()
        own, all_processes = growth(at, shop), growth(at, together)
        made = [each.status for each in self._versions() if each.number not in before]
        p50, p95, p99, worst = np.nanquantile(self._took_s, (0.5, 0.95, 0.99, 1.0)).tolist()
        questions = {self._question(number)[1].text for number in range(len(self._due))}
        return Soaked(
            len(self._due), int((self._late_s >= LATE_S).sum()), float(self._late_s.max()),
            (p50, p95, p99), worst, len(questions), self._nothing_fits(), self._judged, dict(Counter(made)), drained_s,
            own, all_processes,
            [
                self._rate(unanswered), *self.left(), self._learned(made),
                _memory("the shop's memory is flat", own),
                _memory("that of all its processes is flat", all_processes),
            ],
        )  # fmt: skip

    def _versions(self) -> Sequence[motion.StateVersion]:
        return self._store.model(COMPONENT).versions()

    # -- the load --

    async def _come(self) -> int:
        """Ask each question when it is due, and return how many were unanswered when the last one was asked."""
        began = time.monotonic()
        weighing = asyncio.create_task(self._weigh(began))
        try:
            async with asyncio.TaskGroup() as visits:
                for number, due in enumerate(self._due):
                    await asyncio.sleep(max(0.0, began + due - time.monotonic()))
                    self._late_s[number] = time.monotonic() - began - due
                    visits.create_task(self._visit(number, began + due))
                return int(np.isnan(self._took_s).sum())
        finally:
            weighing.cancel()

    async def _visit(self, number: int, due: float) -> None:
        who, wish = self._question(number)
        change = await self._store.aio.set(
            "query", query=wish.text, src=QuerySource.ONLINE, shopper=who.name
        )
        assert isinstance(change.id, int), "the schema says so"
        self._ids[number] = change.id
        await change.until_done()  # however long; a dead letter is counted at the end
        self._took_s[number] = time.monotonic() - due
        if self._clicks[number]:
            async with self._speaking[self._who[number]]:  # they say one thing after the other
                await asyncio.to_thread(self._say, number, who, wish, change)

    def _question(self, number: int) -> tuple[Shopper, Wish]:
        who, wish = self._crowd[self._who[number]], self._asks[self._wish[number]]
        if self._colour[number] < 0:
            return who, wish
        worn = sorted(who.colours)
        return who, Wish(f"{worn[self._colour[number] % len(worn)]} {wish.text}", wish.types)

    def _say(self, number: int, who: Shopper, wish: Wish, change: motion.Change) -> None:
        shown = [
            row
            for row in change.rows()
            if row.img_id in self._products and row.text_suggestion_page == 0
        ]
        rng = np.random.default_rng([self._load.seed, 3, number])
        verdicts = who.says(wish, [self._products[row.img_id] for row in shown], rng)
        with self._store.transaction() as tx:
            for place, liked in verdicts.items():
                tx.set(shown[place], feedback=liked)
                say(tx, who.name, self._products[shown[place].img_id], liked)
        for place, liked in verdicts.items():
            self._said[self._who[number], self._place[shown[place].img_id]] = liked
        self._judged += len(verdicts)

    async def _weigh(self, began: float) -> None:
        while True:
            at = time.monotonic() - began
            self._weights.append((at, *weighed()))
            asked = int((self._due <= at).sum())
            self._show(at, asked, asked - int((~np.isnan(self._took_s)).sum()))
            await asyncio.sleep(WEIGHED_EVERY_S)

    # -- what must hold --

    def left(self) -> Iterator[Check]:
        """Hold what the store has now against what was asked and said."""
        store = self._store
        missing = len(set(self._ids.tolist()) - self._answered_ids())
        yield Check("every question has its answer", missing == 0, f"{missing:,} have none")
        found, linked, judged = self._counted("COUNT(img_id)", "COUNT(link)", "COUNT(feedback)")
        yield Check("every picture has its link", found == linked, f"{linked:,} of {found:,}")
        letters = len(store.errors())
        yield Check("no row was given up", letters == 0, f"{letters:,} dead letters")
        status = store.status()
        rows = sum(each.rows for each in status.triggers.values()) + status.orphaned
        rows += sum(each.remaining for each in status.backfills)
        told = f"{rows:,} rows, {status.fits:,} fits"
        yield Check("nothing is left to do", rows == status.fits == 0, told)
        told = f"{judged:,} of {self._judged:,}"
        yield Check("every verdict is kept", judged == self._judged, told)
        wrong, of = self._wrong_tastes()
        told = f"{of - wrong:,} of {of:,} shoppers' tastes"
        yield Check("tastes count each verdict once", wrong == 0, told)

    def _rate(self, unanswered: int) -> Check:
        most = BACKLOG_S * self._load.rate
        told = f"{unanswered:,} were unanswered when the last was asked; at most {most:,.0f}"
        return Check("the rate was held", unanswered <= most, told)

    def _learned(self, made: Sequence[str]) -> Check:
        failed = made.count("failed")
        told = f"{len(made):,} versions were made, {failed:,} of them failed"
        is_due = self._judged >= FIT_EVERY
        return Check("the encoders learned beside", bool(made) and not failed if is_due else None, told)  # fmt: skip

    def _answered_ids(self) -> set[int]:
        """Return the questions of which something was made: their own words at the least, which nothing may fit."""
        found = self._store.sql(
            "SELECT DISTINCT id FROM query__stored WHERE text_suggestion IS NOT NULL"
        )
        return set(found["id"].to_pylist())

    def _nothing_fits(self) -> int:
        with_pictures = self._store.sql("SELECT COUNT(DISTINCT id) AS n FROM query__stored WHERE img_id IS NOT NULL")  # fmt: skip
        return len(self._answered_ids()) - int(with_pictures["n"][0].as_py())

    def _counted(self, *what: str) -> tuple[int, ...]:
        [row] = self._store.sql(f"SELECT {', '.join(what)} FROM query__stored").to_pylist()
        return tuple(row.values())

    def _wrong_tastes(self) -> tuple[int, int]:
        """Return how many shoppers' tastes are not what they said, each product counted once, and how many shoppers spoke."""
        kept = {each.id: each.taste for each in self._store.rows(ShopperSchema)}
        traits = [traits_of(product) for product in self._products.values()]
        wrong = spoke = 0
        for who, said in zip(self._crowd, self._said, strict=True):
            told: dict[str, list[int]] = {}
            for place in np.flatnonzero(said >= 0):
                for trait in traits[int(place)]:
                    told.setdefault(trait, [0, 0])[0 if said[place] else 1] += 1
            spoke += bool(told)
            wrong += told != (kept.get(who.name) or {})
        return wrong, spoke


def _memory(what: str, line: Growth) -> Check:
    told = f"{line.per_hour:+,.0f} MB an hour [{line.low:+,.0f}, {line.high:+,.0f}], mean {line.mb:,.0f} MB"
    if line.is_flat is None:
        told = f"mean {line.mb:,.0f} MB; too short a time to tell"
    return Check(what, line.is_flat, f"{told}; at most {FLAT_MB_PER_HOUR:.0f}")
