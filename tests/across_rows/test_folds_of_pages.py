"""Folds over tables with page keys: rows that store what is folded, in the order of their ids and pages, by what they show."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

import motion
from motion.testing import Stepper
from tests.across_rows.paged_queries import CHANGES, change, fan_out
from tests.conftest import OpenStore


@dataclass
class Query:
    id: int
    ts: int
    user: str
    kind: str
    make: list[int]
    digest: list[Any]
    page: int
    brand: str
    score: int
    so_far: list[Any]


@dataclass
class Name:
    id: str
    seen: list[Any]
    told: str


SCHEMAS = {"query": Query, "name": Name}

Event = list[Any]


@dataclass(frozen=True)
class Way:
    """One way of folding rows: what is declared, and what it is to give.

    Attributes:
        on: a row is folded where it stores these.
        shows: what else it must show.
        takes: of what an event consists.
        may_be_unset: the function takes the kind unset, too.
    """

    on: tuple[str, ...]
    by: str
    sets: str
    order: str = "ts"
    shows: tuple[str, ...] = ()
    takes: tuple[str, ...] = ("id", "page", "score")
    options: dict[str, Any] = field(default_factory=dict)
    may_be_unset: bool = False

    def declared(self, calls: list[Event] | None = None, **options: Any) -> Any:
        key = self.sets.partition(".")[2]
        text = ", ".join([f"{key}=None", *(f"{each}=None" for each in self.takes)])

        is_gathered = "gather" in {**self.options, **options}

        def add(value: list[Any] | None, *given: Any) -> list[Any]:
            events = [[*each] for each in zip(*given, strict=True)] if is_gathered else [[*given]]
            if calls is not None:
                calls.extend(events)
            return [*(value or []), *events]

        is_needed = "kind" in (*self.on, *self.shows) and not self.may_be_unset
        kind: Any = str if is_needed else str | None
        kinds: dict[str, Any] = {"id": int, "page": int, "score": int, "kind": kind}
        if is_gathered:
            kinds = {each: list[kind] for each, kind in kinds.items()}  # type: ignore[valid-type]
        names = {key: list[Any] | None, **{each: kinds[each] for each in self.takes}}
        space: dict[str, Any] = {"add": add}
        exec(f"def keep({text.replace('=None', '')}): return add({', '.join(names)})", space)
        keep = space["keep"]
        keep.__annotations__ = {**names, "return": list[Any]}
        on = tuple(f"query.{each}" for each in (*self.on, *self.shows))
        told = {"order": f"query.{self.order}"} | self.options | options
        return motion.fold(
            on=on, by=f"query.{self.by}", sets=self.sets, name="keep", version="1", **told
        )(keep)

    def events(self, store: motion.Store) -> Iterator[tuple[Any, Any, Query]]:
        """Give the entity, the place and the row of each event, in their order."""
        first = " and ".join(
            f"{each} is not null" for each in self.on if each != "kind" or self.on == ("kind",)
        )
        own = store.sql(f"select id, page from query__stored where {first}")
        stored = set(zip(own["id"].to_pylist(), own["page"].to_pylist(), strict=True))
        found = []
        for row in store.rows(Query):
            entity, order = getattr(row, self.by), getattr(row, self.order)
            is_whole = all(getattr(row, each) is not None for each in (*self.on, *self.shows))
            if (row.id, row.page) in stored and is_whole and None not in (entity, order):
                found.append((entity, (order, row.id, row.page), row))
        yield from sorted(found, key=lambda each: each[1])

    def expected(self, store: motion.Store) -> dict[Any, list[Event]]:
        """Return what a fold from scratch gives: of each entity, or, where rows keep it, of each of these."""
        sums: dict[Any, list[Event]] = {}
        rows: dict[Any, list[Event]] = {}
        for entity, _, row in self.events(store):
            sums[entity] = [*sums.get(entity, []), [getattr(row, each) for each in self.takes]]
            rows[row.id, row.page] = sums[entity]
        return rows if self.sets == "query.so_far" else sums

    def found(self, store: motion.Store) -> dict[Any, list[Event]]:
        """Return what the store keeps. An entity of which all rows have gone has an empty value, or none."""
        values: dict[Any, Any]
        if self.sets == "query.so_far":
            values = {(row.id, row.page): row.so_far for row in store.rows(Query)}
        elif self.sets == "query.digest":
            values = {row.id: row.digest for row in store.rows(Query) if row.page == 0}
        else:
            values = {row.id: row.seen for row in store.rows(Name)}
        return {key: value for key, value in values.items() if value}


OF_NAME = "name.seen"
WAYS = {
    "by what page 0 says": Way(("score",), "user", OF_NAME),
    "by a key of pages": Way(("score",), "brand", OF_NAME),
    "ordered by pages": Way(("score",), "user", OF_NAME, "page"),
    "a key of page 0 is taken": Way(("score",), "brand", OF_NAME, takes=("id", "page", "kind")),
    "a key of page 0 is needed": Way(("score",), "brand", OF_NAME, "page", shows=("kind",)),
    "events of page 0": Way(("kind",), "user", OF_NAME, takes=("id", "kind")),
    "ordered by what may be unset": Way(
        ("kind",), "user", OF_NAME, "kind", takes=("id", "kind"), may_be_unset=True
    ),
    "by what may be unset": Way(
        ("kind",), "kind", OF_NAME, takes=("id", "kind"), may_be_unset=True
    ),
    "pages of each row": Way(("score",), "id", "query.digest", "page"),
    "as of each page": Way(("score",), "user", "query.so_far"),
    "as of each page of a row": Way(("score",), "id", "query.so_far", "page"),
    "as of each, with a key of page 0": Way(
        ("score",), "brand", "query.so_far", shows=("kind",), takes=("id", "page", "kind")
    ),
    "in lists": Way(("score",), "user", OF_NAME, options={"gather": 2}),
    "of two levels": Way(("kind", "score"), "user", OF_NAME, takes=("id", "page", "kind")),
}

WORLDS = settings(
    max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
@WORLDS
@given(CHANGES)
def test_folds_of_pages_are_what_a_fold_from_scratch_gives_after_each_change(
    open_store: OpenStore, way: Way, done: list[Any]
) -> None:
    store = open_store(
        schemas=SCHEMAS, triggers=[fan_out, way.declared()], run=False, url=":memory:"
    )
    try:
        with Stepper(store) as worker:
            for each in done:
                change(store, each)
                worker.run_until_idle()
                assert way.found(store) == way.expected(store), each
            assert not store.errors()
    finally:
        store.close()


@pytest.mark.parametrize("way", ["by what page 0 says", "by a key of pages", "as of each page"])
@WORLDS
@given(CHANGES)
def test_pages_that_are_applied_once_are_all_applied_and_in_their_order_after_a_backfill(
    open_store: OpenStore, way: str, done: list[Any]
) -> None:
    declared = WAYS[way]
    trigger = declared.declared(replay=False)
    store = open_store(schemas=SCHEMAS, triggers=[fan_out, trigger], run=False, url=":memory:")
    try:
        with Stepper(store) as worker:
            for each in done:
                change(store, each)
                worker.run_until_idle()
            if store.status().triggers["keep"].stale == 0 and declared.sets == OF_NAME:
                # late ones are applied as they came
                assert in_any_order(declared.found(store)) == in_any_order(declared.expected(store))
            store.backfill("keep")
            worker.run_until_idle()
            assert store.status().triggers["keep"].stale == 0
            if declared.sets == OF_NAME:
                assert in_any_order(declared.found(store)) == in_any_order(declared.expected(store))
            store.backfill("keep", force=True)
            worker.run_until_idle()
            assert declared.found(store) == declared.expected(store)
            assert not store.errors()
    finally:
        store.close()


def in_any_order(values: dict[Any, list[Event]]) -> dict[Any, list[Event]]:
    return {key: sorted(value, key=repr) for key, value in values.items()}


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
@pytest.mark.parametrize("options", [{}, {"timeout": 30}], ids=str)
def test_folds_of_pages_that_change_under_way_come_to_the_same(
    open_store: OpenStore, way: Way, options: dict[str, Any]
) -> None:
    chosen = random.Random(repr(way))
    store = open_store(schemas=SCHEMAS, triggers=[fan_out, way.declared(**options)], run=True)
    for seed in range(120):
        change(store, any_change(chosen, seed))
    store.wait(timeout=120)
    assert not store.errors()
    assert way.found(store) == way.expected(store)


@motion.fold(on="query.score", by="query.user", sets="name.told", executor="process")
def in_a_process(told: str | None, id: int, page: int, score: int) -> str:
    return f"{told or ''}{[id, page, score]}"


def test_pages_are_folded_in_another_process(open_store: OpenStore) -> None:
    store = open_store(schemas=SCHEMAS, triggers=[fan_out, in_a_process], run=True)
    for seed in range(40):
        change(store, any_change(random.Random(seed), seed))
    store.wait(timeout=120)
    assert not store.errors()
    expected = WAYS["by what page 0 says"].expected(store)
    told = {row.id: row.told for row in store.rows(Name) if row.told}
    assert told == {name: "".join(map(str, events)) for name, events in expected.items()}


def any_change(chosen: random.Random, seed: int) -> Any:
    row = chosen.randrange(1, 5)
    if chosen.random() < 0.08:
        return row
    keys: dict[str, Callable[[], Any]] = {
        "ts": lambda: chosen.randrange(1, 7),
        "user": lambda: chosen.choice(["a", "b", None]),
        "kind": lambda: chosen.choice(["x", "y", None]),
        "brand": lambda: chosen.choice(["a", "b"]),
        "score": lambda: seed,
        "make": lambda: [chosen.randrange(9) for _ in range(chosen.randrange(5))],
    }
    named = chosen.sample(sorted(keys), chosen.randrange(1, 3))
    page = chosen.choice([0, 0, 1, 2])
    return {"id": row, "page": page, **{key: keys[key]() for key in named}}


# -- what they cost --


def ask(store: motion.Store, row: int, user: str, *scores: int, ts: int = 1) -> None:
    """Set a query whose pages have these scores, from page 1 on."""
    with store.transaction() as tx:
        tx.set("query", id=row, ts=ts, user=user)
        tx.set_many("query", [{"id": row, "page": i, "score": s} for i, s in enumerate(scores, 1)])


@pytest.mark.parametrize("way", ["by what page 0 says", "pages of each row", "as of each page"])
def test_a_page_that_is_appended_costs_one_call(open_store: OpenStore, way: str) -> None:
    calls: list[Event] = []
    store = open_store(schemas=SCHEMAS, triggers=[WAYS[way].declared(calls)])
    ask(store, 1, "a", *range(1, 40))
    store.wait(timeout=60)
    assert calls == [[1, page, page] for page in range(1, 40)]
    for page in range(40, 60):
        calls.clear()
        store.set("query", id=1, page=page, score=page).wait(timeout=60)
        assert calls == [[1, page, page]]


@dataclass
class Doc:
    id: int
    ts: int
    title: list[Any]
    lang: str = "en"
    page: int = 0
    part: str | None = None


@pytest.mark.parametrize("replay", [True, False])
@pytest.mark.parametrize("order", ["doc.page", "doc.ts"])
def test_pages_show_what_a_page_0_begins_with_that_is_made_for_their_value(
    open_store: OpenStore, order: str, *, replay: bool
) -> None:
    @motion.fold(on="doc.part", by="doc.id", order=order, sets="doc.title", replay=replay)
    def titled(title: list[Any] | None, part: str, lang: str | None) -> list[Any]:
        return [*(title or []), [part, lang]]

    store = open_store(schemas={"doc": Doc}, triggers=[titled])
    with store.transaction() as tx:
        tx.set("doc", id=1, page=1, ts=5, part="one")
        tx.set("doc", id=1, page=2, part="two")
    store.wait(timeout=60)
    if not replay:  # what page 0 begins with is a change of rows that were applied
        assert store.plan("titled").stale == 1
        store.backfill("titled").wait(timeout=60)
    page_0 = store.get(Doc, 1)
    assert page_0 is not None
    assert page_0.ts > 5
    assert page_0.title == [["one", "en"], ["two", "en"]]
    assert store.plan("titled").stale == 0


def test_pages_are_folded_again_from_the_first_that_is_another(open_store: OpenStore) -> None:
    calls: list[Event] = []
    way = WAYS["pages of each row"]
    store = open_store(schemas=SCHEMAS, triggers=[fan_out, way.declared(calls)])
    store.set("query", id=1, make=[*range(40)])
    store.wait(timeout=60)
    calls.clear()
    store.set("query", id=1, make=[*range(38), 7, 8, 9])
    store.wait(timeout=60)
    assert [event[1] for event in calls][-3:] == [38, 39, 40]
    assert len(calls) <= 6  # from the last checkpoint before it
    calls.clear()
    store.set("query", id=1, make=[*range(37)])
    store.wait(timeout=60)
    assert len(calls) <= 2
    assert way.found(store) == way.expected(store)


def test_what_page_0_changes_for_its_pages_is_folded_and_nothing_else(
    open_store: OpenStore,
) -> None:
    calls: list[Event] = []
    way = WAYS["a key of page 0 is needed"]
    store = open_store(schemas=SCHEMAS, triggers=[way.declared(calls)])
    for row in (1, 2):
        with store.transaction() as tx:
            tx.set("query", id=row, kind="x")
            rows = [{"id": row, "page": i, "brand": "a", "score": i} for i in range(1, 3)]
            tx.set_many("query", rows)
    store.wait(timeout=60)
    calls.clear()
    store.set("query", id=1, user="ann")  # which the fold does not go by
    store.wait(timeout=60)
    assert calls == []
    store.set("query", id=2, kind=None)
    store.wait(timeout=60)
    assert way.found(store) == {"a": [[1, 1, 1], [1, 2, 2]]} == way.expected(store)
    store.set("query", id=2, kind="y", page=2)  # its own
    store.wait(timeout=60)
    assert way.found(store) == {"a": [[1, 1, 1], [1, 2, 2], [2, 2, 2]]}


# -- page 0 that goes, entities, users' values --


@pytest.mark.parametrize("key", ["user", "kind", "ts"])
def test_pages_lose_what_a_page_0_showed_that_is_gone(open_store: OpenStore, key: str) -> None:
    by = "user" if key == "user" else "brand"
    way = Way(("score",), by, OF_NAME, takes=("id", "page", "kind"))
    store = open_store(schemas=SCHEMAS, triggers=[way.declared()])
    with store.transaction() as tx:
        tx.set("query", id=1, ts=5, user="a", kind="x", brand="0")
        for page in (1, 2):
            tx.set("query", id=1, page=page, brand="a", score=page)
    store.set("query", id=1, page=1, ts=9)
    store.wait(timeout=60)
    assert way.found(store) == way.expected(store) == {"a": [[1, 2, "x"], [1, 1, "x"]]}
    store.set_many("query", [{"id": 2, "brand": "0"}], prune="brand").wait(timeout=60)
    assert [(row.id, row.page) for row in store.rows(Query)] == [(1, 1), (1, 2), (2, 0)]
    store.wait(timeout=60)
    assert way.found(store) == way.expected(store)


def test_a_users_value_stands_for_the_pages_until_then(open_store: OpenStore) -> None:
    store = open_store(schemas=SCHEMAS, triggers=[WAYS["pages of each row"].declared()])
    ask(store, 1, "a", 1, 2)
    store.wait(timeout=60)
    store.set("query", id=1, digest=["U"])
    store.set("query", id=1, page=3, score=3)
    store.wait(timeout=60)
    assert store.get("query", 1).digest == ["U", [1, 3, 3]]
    store.set("query", id=1, page=1, score=8)  # it was not among those
    store.wait(timeout=60)
    assert store.get("query", 1).digest == ["U", [1, 1, 8], [1, 3, 3]]
    store.delete("query", 1)
    ask(store, 1, "a", 5)
    store.wait(timeout=60)
    assert store.get("query", 1).digest == [[1, 1, 5]]
    assert store.get("query", 1, page=1).digest == [[1, 1, 5]]


def test_later_pages_go_on_from_the_value_that_a_user_gave_for_one(open_store: OpenStore) -> None:
    store = open_store(schemas=SCHEMAS, triggers=[WAYS["as of each page"].declared()])
    ask(store, 1, "a", 1, 2, 3)
    store.wait(timeout=60)
    store.set("query", id=1, page=2, so_far=["U"])
    store.wait(timeout=60)
    assert store.get("query", 1, page=1).so_far == [[1, 1, 1]]
    assert store.get("query", 1, page=3).so_far == ["U", [1, 3, 3]]


# -- opening, closing, telling --


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_rows_that_were_there_before_a_fold_are_folded_with_the_next_of_their_entity(
    open_store: OpenStore, way: Way
) -> None:
    store = open_store(schemas=SCHEMAS, triggers=[fan_out], run=True)
    for seed in range(40):
        change(store, any_change(random.Random(seed), seed))
    store.wait(timeout=60)
    store.close()
    store = open_store(schemas=SCHEMAS, triggers=[fan_out, way.declared()], run=True)
    store.backfill("keep").wait(timeout=60)
    assert way.found(store) == way.expected(store)
    store.close()
    store = open_store(schemas=SCHEMAS, triggers=[fan_out], run=True)  # without it
    for seed in range(40, 60):
        change(store, any_change(random.Random(seed), seed))
    store.wait(timeout=60)
    store.close()
    store = open_store(schemas=SCHEMAS, triggers=[fan_out, way.declared()], run=True)
    store.backfill("keep").wait(timeout=60)
    assert way.found(store) == way.expected(store)


def test_a_fold_of_pages_that_comes_to_apply_once_goes_on_from_its_values(
    open_store: OpenStore,
) -> None:
    way = WAYS["by what page 0 says"]
    store = open_store(schemas=SCHEMAS, triggers=[way.declared()])
    ask(store, 1, "a", 1, 2)
    store.wait(timeout=60)
    store.set("name", id="a", seen=["U"])
    ask(store, 2, "a", 3)
    ask(store, 3, "b", 4)
    store.wait(timeout=60)
    store.close()
    calls: list[Event] = []
    store = open_store(schemas=SCHEMAS, triggers=[way.declared(calls, replay=False)])
    store.set("query", id=1, page=3, score=5)
    store.set("query", id=3, page=2, score=6)
    store.wait(timeout=60)
    assert calls == [[1, 3, 5], [3, 2, 6]]
    assert way.found(store) == {"a": ["U", [2, 1, 3], [1, 3, 5]], "b": [[3, 1, 4], [3, 2, 6]]}


@pytest.mark.parametrize("way", ["by what page 0 says", "by a key of pages", "as of each page"])
def test_pages_that_move_while_a_fold_that_applies_once_is_away_are_told_as_stale(
    open_store: OpenStore, way: str
) -> None:
    declared = WAYS[way]
    triggers = [declared.declared(replay=False)]
    store = open_store(schemas=SCHEMAS, triggers=triggers)
    store.set_many("query", [{"id": row, "page": 1, "brand": "a"} for row in (1, 2)])
    ask(store, 1, "a", 1)
    ask(store, 2, "a", 2)
    store.wait(timeout=60)
    store.close()
    store = open_store(schemas=SCHEMAS, triggers=[])
    store.set("query", id=2, user="b")
    store.set("query", id=2, page=1, brand="b")
    store.close()
    store = open_store(schemas=SCHEMAS, triggers=triggers)
    assert (store.plan("keep").stale, store.plan("keep").missing) == (2, 0)
    store.backfill("keep").wait(timeout=60)
    assert declared.found(store) == declared.expected(store)
    assert store.plan("keep").stale == 0


def test_the_pages_of_a_value_are_told(open_store: OpenStore) -> None:
    ways = [WAYS["by what page 0 says"], WAYS["as of each page"]]
    store = open_store(schemas=SCHEMAS, triggers=[ways[0].declared()])
    ask(store, 1, "a", 1, 2)
    store.wait(timeout=60)
    (held,) = store.explain("name", "a", "seen").held
    assert (held.by, held.entity, held.count) == ("user", "a", 2)
    assert held.rows[1] == motion.HeldRow(1, 1, {"id": 1, "page": 2, "score": 2}, pages={"page": 2})
    store.close()
    store = open_store(schemas=SCHEMAS, triggers=[ways[1].declared()])
    store.backfill("keep").wait(timeout=60)
    (held,) = store.explain("query", 1, "so_far", page=1).held
    assert [row.pages for row in held.rows] == [{"page": 1}]
    assert store.explain("query", 1, "so_far", page=1).made_by == "keep"


def test_a_page_that_is_given_up_is_named_and_left_out(open_store: OpenStore) -> None:
    @motion.fold(on="query.score", by="query.user", sets="name.seen")
    def keep(seen: list[Any] | None, page: int, score: int) -> list[Any]:
        if score == 0:
            raise ValueError("no score")
        return [*(seen or []), page]

    store = open_store(schemas=SCHEMAS, triggers=[keep])
    ask(store, 1, "a", 1, 0, 3)
    store.wait(timeout=60)
    (letter,) = store.errors()
    assert "page=2" in str(letter.row)
    assert store.get("name", "a").seen == [1, 3]
    store.set("query", id=1, page=2, score=2)
    store.wait(timeout=60)
    assert store.get("name", "a").seen == [1, 2, 3]


def test_forgetting_a_row_folds_without_its_pages(open_store: OpenStore) -> None:
    way = WAYS["by what page 0 says"]
    store = open_store(schemas=SCHEMAS, triggers=[way.declared()])
    ask(store, 1, "a", 1, 2)
    ask(store, 2, "a", 3)
    store.wait(timeout=60)
    store.forget("query", 1)
    store.wait(timeout=60)
    assert way.found(store) == {"a": [[2, 1, 3]]}


# -- two page keys --


@dataclass
class Ask:
    id: int
    ts: int
    idea: str
    idea_page: int
    best: list[Any]
    img: int
    img_page: int
    rank: int
    so_far: list[Any]


@pytest.mark.parametrize("seed", range(6))
def test_pages_of_pages_are_folded_by_what_they_show(open_store: OpenStore, seed: int) -> None:
    @motion.fold(on="ask.rank", by="ask.idea", sets="name.seen")
    def keep(
        seen: list[Any] | None, id: int, idea_page: int, img_page: int, rank: int
    ) -> list[Any]:
        return [*(seen or []), [id, idea_page, img_page, rank]]

    @motion.fold(on="ask.rank", by="ask.id", sets="ask.so_far", order="ask.img_page")
    def along(so_far: list[Any] | None, idea: str | None, rank: int) -> list[Any]:
        return [*(so_far or []), [idea, rank]]

    store = open_store(schemas={"ask": Ask, "name": Name}, triggers=[keep, along], run=True)
    chosen = random.Random(seed)
    for step in range(80):
        row, idea, img = (chosen.randrange(n) for n in (3, 3, 3))
        if chosen.random() < 0.08:
            store.delete("ask", row)
        elif chosen.random() < 0.4:
            given: dict[str, Any] = {
                "idea": chosen.choice(["x", "y", None]),
                "ts": chosen.randrange(4),
            }
            key = chosen.choice(sorted(given))
            at: dict[str, Any] = {"idea_page": idea} if key == "idea" else {}
            store.set("ask", id=row, **at, **{key: given[key]})
        else:
            store.set("ask", id=row, idea_page=idea, img_page=img, rank=step)
    store.wait(timeout=120)
    assert not store.errors()
    rows = [row for row in store.rows("ask") if row.rank is not None]
    rows.sort(key=lambda row: (row.ts or 0, row.id, row.idea_page, row.img_page))
    wanted: dict[str, list[Any]] = {}
    for row in rows:
        if row.idea is not None and row.ts is not None:
            event = [row.id, row.idea_page, row.img_page, row.rank]
            wanted.setdefault(row.idea, []).append(event)
    assert {row.id: row.seen for row in store.rows(Name) if row.seen} == wanted
    rows.sort(key=lambda row: (row.id, row.img_page, row.idea_page))
    for place, row in enumerate(rows):
        before = [each for each in rows[: place + 1] if each.id == row.id]
        assert row.so_far == [[each.idea, each.rank] for each in before]


# -- what is refused --


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"on": "query.kind", "by": "query.brand"}, "query.brand is told apart by page, and no key"),
        ({"on": "query.kind", "order": "query.page"}, "query.page is told apart by page, and no key"),
        ({"by": "query.page"}, "query.page, which is part of the primary key"),
        ({"sets": "ask.best"}, "idea_page tells apart"),
        ({"on": "ask.idea", "by": "ask.idea", "order": "ask.img_page"}, "apart by img_page, and no"),
        ({"by": "query.id", "sets": "name.seen"}, "an id of 'name' is str"),
    ],
)  # fmt: skip
def test_what_folds_of_pages_cannot_go_by_is_refused(
    open_store: OpenStore, options: dict[str, Any], message: str
) -> None:
    def keep(**_: Any) -> list[Any]:
        return []

    told = {"on": "query.score", "by": "query.user", "sets": "name.seen"} | options
    kept = told["sets"].partition(".")[2]
    space: dict[str, Any] = {}
    exec(f"def keep({kept}): return []", space)
    with pytest.raises(motion.TriggerError, match=message):
        open_store(schemas={**SCHEMAS, "ask": Ask}, triggers=[motion.fold(**told)(space["keep"])])
