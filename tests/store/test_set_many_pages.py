"""`set_many(by=, prune=)` in tables with page keys: a page is a row, matched and removed as one."""

from __future__ import annotations

import copy
import random
import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import pytest

import motion
from motion.server import serve
from tests.conftest import OpenStore

Name = tuple[int, ...]
Row = dict[str, Any]

LEVELS = {"shop": (), "a": (), "b": ("p_page",), "c": ("p_page", "q_page"), "feed": ("p_page", "q_page")}  # fmt: skip
PAGES = ("p_page", "q_page")
BAD = "much"
"""A value of `a` that no row may have."""


@dataclass
class Thing:
    id: int
    shop: str
    a: int
    p_page: int
    b: int
    q_page: int
    c: int
    feed: str


@dataclass
class Doc:
    id: int
    url: str
    title: str
    page: int
    ref: str
    feed: str
    text: str


@pytest.fixture
def docs(open_store: OpenStore) -> motion.Store:
    return open_store(schemas={"doc": Doc})


def shown(store: motion.Store, *keys: str) -> list[tuple[Any, ...]]:
    rows = store.rows("doc", inherit=False)
    return [(row.id, row.page, *(getattr(row, key) for key in keys)) for row in rows]


# -- what a load is to do, said once more, without chunks or SQL --


class World:
    """The rows of a table, one dict each."""

    def __init__(self) -> None:
        self.rows: dict[Name, Row] = {}
        self.largest = 0

    def load(self, rows: Sequence[Row], by: str | None, prune: str | None) -> list[int]:
        """Do what a load does; return the positions of the rows that it refuses."""
        rejected, given, pruned = [], set[Name](), set[Any]()
        for position, row in enumerate(rows):
            found = self._named(row) if by is None else self._matched(row, by)
            if isinstance(found, list) or row.get("a") == BAD:
                rejected.append(position)
                given.update(found if isinstance(found, list) else [found])
                continue
            self.largest = max(self.largest, found[0])
            self.write(found, row)
            given.add(found)
            pruned |= {row[prune]} if prune in row else set()
        if prune is not None:
            self._remove(prune, pruned, given)
        return rejected

    def write(self, name: Name, row: Row) -> None:
        values = {key: value for key, value in row.items() if key in LEVELS}
        self.rows.setdefault(name, {}).update(values)
        self.largest = max(self.largest, name[0])

    def delete(self, row_id: int) -> None:
        self.rows = {name: row for name, row in self.rows.items() if name[0] != row_id}

    def _named(self, row: Row) -> Name:
        return row["id"], row.get("p_page", 0), row.get("q_page", 0)

    def _matched(self, row: Row, by: str) -> Name | list[Name]:
        value, level = row[by], LEVELS[by]
        holders = [name for name, held in self.rows.items() if held.get(by) == value]
        if not holders:
            new = row.get("id", self.largest + 1), row.get("p_page", 0), row.get("q_page", 0)
            return new if self.rows.get(new, {}).get(by) is None else [new]
        fitting = [
            name
            for name in holders
            if row.get("id", name[0]) == name[0]
            and all(
                row.get(page, name[1 + PAGES.index(page)]) == name[1 + PAGES.index(page)]
                for page in level
            )
        ]
        wholes = {
            (
                name[0],
                *(
                    name[1 + i] if page in level else row.get(page, 0)
                    for i, page in enumerate(PAGES)
                ),
            )
            for name in fitting
        }
        if len(wholes) != 1:
            return holders
        (whole,) = wholes
        has_other = self.rows.get(whole, {}).get(by) not in (None, value)
        if has_other and not any(page in row for page in PAGES if page not in level):
            return fitting[0] if len(fitting) == 1 else holders
        return whole

    def _remove(self, key: str, values: Iterable[Any], given: Iterable[Name]) -> None:
        kept, values = set(given), set(values)
        gone = {
            name for name, row in self.rows.items() if row.get(key) in values and name not in kept
        } - kept
        below = {
            name
            for name, row in self.rows.items()
            if row.get(key) is None and name not in kept and self._above(name, key) in gone
        }
        for name in gone | below:
            del self.rows[name]

    def _above(self, name: Name, key: str) -> Name:
        pages = [name[1 + i] if page in LEVELS[key] else 0 for i, page in enumerate(PAGES)]
        return name[0], pages[0], pages[1]


def stored(store: motion.Store) -> dict[Name, Row]:
    return {
        (row.id, row.p_page, row.q_page): {
            key: getattr(row, key) for key in LEVELS if getattr(row, key) is not None
        }
        for row in store.rows("thing", inherit=False)
    }


def some_row(rng: random.Random, *always: str) -> Row:
    row: Row = {"id": rng.randint(1, 4)}
    row |= {page: rng.randint(0, 2) for page in PAGES if rng.random() < 0.6}
    values = {"shop": "AB", "feed": "FG", "a": (1, 2, 3), "b": (1, 2, 3), "c": (1, 2, 3)}
    return row | {
        key: rng.choice(some) for key, some in values.items() if key in always or rng.random() < 0.4
    }


@pytest.mark.parametrize("seed", range(12))
def test_loads_do_to_pages_what_they_do_to_rows(open_store: OpenStore, seed: int) -> None:
    store = open_store(schemas={"thing": Thing})
    rng, world = random.Random(seed), World()
    for _ in range(12):
        given = some_load(rng, world, store)
        options = given | {"commit_every": rng.choice([1, 2, 100])}
        check_load(world, store, store.set_many("thing", errors="collect", **options), **given)


@pytest.mark.parametrize("seed", range(5))
def test_rows_that_are_bad_or_served_are_matched_and_kept_alike(
    open_store: OpenStore, seed: int
) -> None:
    store = open_store(schemas={"thing": Thing})
    rng, world = random.Random(seed), World()
    with serve(store, port=0) as on, motion.connect(on.url, schemas={"thing": Thing}) as served:
        for _ in range(12):
            given = some_load(rng, world, store)
            for row in given["rows"]:
                if rng.random() < 0.3 and given["by"] != "a":
                    row["a"] = BAD
            # One at a time: which row a bad one means is asked of what is in.
            place: Any = rng.choice([store, served])
            load = place.set_many("thing", errors="collect", commit_every=1, **given)
            check_load(world, store, load, **given)


@pytest.mark.parametrize("seed", range(6))
def test_loads_of_transactions_do_the_same_or_nothing(open_store: OpenStore, seed: int) -> None:
    store = open_store(schemas={"thing": Thing})
    rng, world = random.Random(seed), World()
    for _ in range(12):
        given, told = some_load(rng, world, store), ""
        before = copy.deepcopy(world)
        world.write((9, 0, 0), {"shop": "C"})
        refused = world.load(**given)
        try:
            with store.transaction() as tx:
                tx.set("thing", id=9, shop="C")
                tx.set_many("thing", **given)
        except motion.InvalidValue as exc:
            told, world = str(exc), before
        assert (f"set_many(by={given['by']!r})" in told) == bool(refused)
        assert stored(store) == world.rows


def some_load(rng: random.Random, world: World, store: motion.Store) -> dict[str, Any]:
    """Return a load, with some rows set before it."""
    for _ in range(rng.randint(0, 4)):
        row = some_row(rng)
        store.set("thing", **row)
        world.write(world._named(row), row)
    by = rng.choice([None, "a", "b", "c", "shop"])
    rows = [some_row(rng, *([by] if by else [])) for _ in range(rng.randint(1, 6))]
    if by is not None:
        is_named = rng.random() < 0.5
        rows = [row if is_named and rng.random() < 0.5 else without_id(row) for row in rows]
    return {"rows": rows, "by": by, "prune": rng.choice([None, "shop", "b", "feed"])}


def without_id(row: Row) -> Row:
    return {key: value for key, value in row.items() if key != "id"}


def check_load(
    world: World,
    store: motion.Store,
    load: Any,
    rows: Sequence[Row],
    by: str | None,
    prune: str | None,
) -> None:
    rejected = world.load(rows, by, prune)
    assert [each.position for each in load.rejected] == rejected
    assert load.count == len(rows) - len(rejected)
    assert stored(store) == world.rows


# -- examples --


@pytest.fixture
def pages(docs: motion.Store) -> motion.Store:
    docs.set_many(
        "doc",
        [
            {"id": 1, "url": "u1", "title": "one"},
            {"id": 1, "page": 1, "ref": "r1", "feed": "A"},
            {"id": 1, "page": 2, "ref": "r2", "feed": "A"},
            {"id": 1, "page": 3, "ref": "r3", "feed": "B"},
            {"id": 2, "url": "u2", "title": "two"},
            {"id": 2, "page": 1, "ref": "r4", "feed": "A"},
            {"id": 2, "page": 2, "ref": "r5", "feed": "B"},
        ],
    )
    return docs


def test_pages_that_were_not_given_are_pruned_and_no_others(pages: motion.Store) -> None:
    pages.set_many("doc", [{"id": 1, "page": 1, "feed": "A"}], prune="feed")
    left = [(1, 0, None), (1, 1, "A"), (1, 3, "B"), (2, 0, None), (2, 2, "B")]
    assert shown(pages, "feed") == left


def test_the_page_that_has_the_value_is_written(pages: motion.Store) -> None:
    pages.set_many("doc", [{"ref": "r2", "text": "x"}], by="ref")
    pages.set_many("doc", [{"ref": "r5", "page": 2, "text": "y"}], by="ref")
    assert [row for row in shown(pages, "ref", "text") if row[3]] == [
        (1, 2, "r2", "x"),
        (2, 2, "r5", "y"),
    ]
    assert len(shown(pages)) == 7


def test_a_key_of_all_pages_stands_for_the_id(pages: motion.Store) -> None:
    rows = [{"url": "u2", "title": "new"}, {"url": "u2", "page": 2, "text": "x"}, {"url": "u9", "page": 4}]  # fmt: skip
    pages.set_many("doc", rows, by="url")
    assert shown(pages, "title", "text")[4:] == [(2, 0, "new", None), (2, 1, None, None), (2, 2, None, "x"), (3, 4, None, None)]  # fmt: skip


def test_a_page_key_that_the_row_does_not_have_is_refused(pages: motion.Store) -> None:
    before = shown(pages, "ref")
    with pytest.raises(
        motion.BadRows, match=r"'r2' with page=1, and the row that has it is id=1, page=2"
    ):
        pages.set_many("doc", [{"ref": "r2", "page": 1}], by="ref")
    assert shown(pages, "ref") == before


def test_a_value_that_several_rows_have_names_none_of_them(pages: motion.Store) -> None:
    told = r"'A', and 3 rows have it: id=1, page=1; id=1, page=2; id=2, page=1"
    with pytest.raises(motion.BadRows, match=told):
        pages.set_many("doc", [{"feed": "A", "text": "x"}], by="feed")
    load = pages.set_many("doc", [{"feed": "A", "text": "x"}, {"feed": "C"}], by="feed", prune="feed", errors="collect")  # fmt: skip
    assert [(each.position, each.row) for each in load.rejected] == [
        (0, {"feed": "A", "text": "x"})
    ]
    pages.set_many("doc", [{"id": 2, "page": 1, "feed": "A"}], prune="feed")
    pages.set_many("doc", [{"feed": "A", "text": "x"}], by="feed")
    assert [row for row in shown(pages, "text") if row[2]] == [(2, 1, "x")]


def test_a_document_that_is_pruned_takes_the_pages_that_are_of_it(docs: motion.Store) -> None:
    """`title` is declared before `page`, so that pages have it from page 0."""
    rows = [{"id": i, "title": "t"} for i in (1, 2, 3)]
    docs.set_many("doc", [*rows, *({**row, "page": 1, "title": None, "text": "x"} for row in rows)])
    docs.set("doc", id=3, page=2, title="own")
    docs.set_many("doc", [{"id": 1, "title": "t"}, {"id": 2, "page": 1}], prune="title")
    assert shown(docs) == [(1, 0), (1, 1), (2, 1), (3, 2)]


def test_deletions_are_told_of_the_pages_that_went_with_what_they_held(
    open_store: OpenStore,
) -> None:
    told: list[Any] = []

    @motion.trigger(on=motion.deleted("doc"))
    def note(id: int, page: int, title: str | None, feed: str) -> None:
        told.append((id, page, title, feed))

    store = open_store(schemas={"doc": Doc}, triggers=[note])
    store.set_many("doc", [{"id": 1, "title": "one", "feed": "A"}, {"id": 1, "page": 1, "feed": "A"}, {"id": 1, "page": 2, "feed": "B"}])  # fmt: skip
    store.set_many("doc", [{"id": 2, "feed": "A"}], prune="feed")
    store.wait(timeout=60)
    assert sorted(told) == [(1, 0, "one", "A"), (1, 1, "one", "A")]
    assert [(row.id, row.page, row.title) for row in store.rows("doc")] == [
        (1, 2, None),
        (2, 0, None),
    ]


def test_labels_go_with_the_page_that_they_are_of(open_store: OpenStore) -> None:
    class Taste(motion.Component):
        def setup(self) -> int:
            return 0

        @motion.fit(on="doc.text")
        def learn(self, state: int, rows: list[Doc]) -> int:
            return state + 1

    store = open_store(schemas={"doc": Doc}, triggers=[Taste()])
    store.set_many("doc", [{"id": 1, "page": page, "title": "t", "feed": "AB"[page], "text": "x"} for page in (0, 1)])  # fmt: skip
    store.set_many("doc", [{"id": 2, "feed": "A"}], prune="feed").wait()
    with store.model("Taste").live() as (state, _):
        assert state == 0
    assert store.sql("select count(*) n from motion_labels").to_pylist() == [{"n": 1}]


# -- what is derived from rows that go --


@dataclass
class Item:
    id: int
    shop: str
    title: str
    slug: str
    page: int
    feed: str
    text: str
    line: str
    held: Annotated[int, motion.Window("item.text", by="title", order="id", agg="count")]


@dataclass
class Link:
    id: int
    item: int
    at: int
    shows: str


def derivers(inline: bool | None) -> list[Any]:
    @motion.trigger(on="item.title", sets="item.slug", inline=inline)
    def slug(title: str) -> str:
        return title.lower()

    @motion.trigger(on=("item.slug", "item.text"), sets="item.line", inline=inline)
    def line(slug: str | None, text: str) -> str:
        return f"{slug}: {text}"

    @motion.trigger(on="link.item", sets="link.shows")
    def show(
        title: Annotated[str, motion.Lookup("item.title", by=("item", "at"))],
    ) -> str:
        return title

    return [slug, line, show]


def derived(store: motion.Store) -> tuple[list[Any], list[Any]]:
    store.wait(timeout=60)
    items = [
        (row.id, row.page, row.title, row.slug, row.line, row.held) for row in store.rows(Item)
    ]
    return items, [(row.id, row.shows) for row in store.rows(Link)]


@pytest.mark.parametrize("inline", [True, False])
@pytest.mark.parametrize("seed", range(6))
def test_what_pages_inherited_is_gone_with_the_row_that_had_it(
    open_store: OpenStore, seed: int, inline: bool
) -> None:
    rng = random.Random(seed)
    schemas = {"item": Item, "link": Link}
    store = open_store("pruned", schemas=schemas, triggers=derivers(inline))
    links = [{"id": 1 + 3 * i + p, "item": i, "at": p} for i in (1, 2, 3) for p in (0, 1, 2)]
    store.set_many("link", links)
    for _ in range(8):
        for _ in range(rng.randint(2, 6)):
            store.set("item", **some_item(rng))
        if rng.random() < 0.7:
            store.wait(timeout=60)
        prune = rng.choice(["feed", "feed", "shop"])
        rows = [{**some_item(rng), prune: "A"} for _ in range(rng.randint(1, 2))]
        if rng.random() < 0.5:
            store.set_many("item", rows, prune=prune)
        else:
            with store.transaction() as tx:
                tx.set_many("item", rows, prune=prune)
        found = derived(store)
        given = [
            {key: getattr(row, key) for key in ("id", "page", "shop", "title", "feed", "text")}
            for row in store.rows("item", inherit=False)
        ]
        with open_store(
            "fresh", schemas=schemas, triggers=derivers(inline), url=":memory:"
        ) as fresh:
            fresh.set_many("link", links)
            fresh.set_many("item", given)
            assert found == derived(fresh)


def some_item(rng: random.Random) -> Row:
    row: Row = {"id": rng.randint(1, 3), "page": rng.choice([0, 0, 1, 2])}
    values = {"shop": "AB", "title": "TUV", "feed": "AB", "text": "xyz"}
    return row | {key: rng.choice(some) for key, some in values.items() if rng.random() < 0.6}


class Scorer(motion.Component):
    """Its score, of the whole id, is kept for each of its versions."""

    def setup(self) -> float:
        return 1.0

    @motion.infer(on="doc.title", sets="doc.url", refresh="before")
    def score(self, state: float, title: str) -> str:
        return f"{title} by {state}"

    @motion.fit(on="doc.ref", every=1_000, promote=motion.always)
    def learn(self, state: float, rows: list[Doc]) -> float:
        return state + 1


def test_what_pages_inherited_of_a_state_version_is_gone_too(open_store: OpenStore) -> None:
    @motion.trigger(on=("doc.url", "doc.text"), sets="doc.ref")
    def line(url: str, text: str) -> str:
        return f"{text} {url}"

    store = open_store(schemas={"doc": Doc}, triggers=[Scorer(), line])
    store.set("doc", id=1, title="t", feed="A")
    store.set("doc", id=1, page=1, text="x", feed="B").wait(timeout=60)
    store.model("Scorer").fit().wait(timeout=60)
    store.wait(timeout=60)
    assert store.get("doc", 1, page=1).ref == "x t by 2.0"
    store.set_many("doc", [{"id": 2, "feed": "A"}], prune="feed")
    store.wait(timeout=60)
    assert [(row.id, row.url, row.ref) for row in store.rows("doc")] == [
        (1, None, None),
        (2, None, None),
    ]


def test_p3_a_run_that_has_read_what_was_inherited_writes_nothing(open_store: OpenStore) -> None:
    began, goes_on = threading.Event(), threading.Event()

    @motion.trigger(on=("doc.title", "doc.text"), sets="doc.ref")
    def line(title: str, text: str) -> str:
        began.set()
        goes_on.wait(30)
        return f"{text} {title}"

    store = open_store(schemas={"doc": Doc}, triggers=[line])
    store.set("doc", id=1, title="t", feed="A")
    store.set("doc", id=1, page=1, text="x", feed="B")  # newer than the title
    assert began.wait(30)
    store.set_many("doc", [{"id": 2, "feed": "A"}], prune="feed")
    goes_on.set()
    store.wait(timeout=60)
    assert store.get("doc", 1, page=1).ref is None
    store.set("doc", id=1, title="again")
    store.wait(timeout=60)
    assert store.get("doc", 1, page=1).ref == "x again"
