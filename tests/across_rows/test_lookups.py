"""Lookups: values of other rows as inputs, kept true when those rows change."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import motion
from motion import faults
from tests.conftest import OpenStore, until


@dataclass
class Product:
    id: int
    url: str
    price: float
    slug: str


@dataclass
class Query:
    id: int
    text: str
    img_id: int
    link: str
    note: str


SCHEMAS = {"query": Query, "product": Product}
Url = Annotated[str, motion.Lookup("product.url", by="img_id")]


@motion.trigger(on="query.img_id", sets="query.link")
def recommend(url: Url) -> str:
    return f"see {url}"


@pytest.fixture
def shop(open_store: OpenStore) -> motion.Store:
    return open_store(schemas=SCHEMAS, triggers=[recommend])


def link(store: motion.Store, row: int = 1) -> str | None:
    store.wait(timeout=60)
    assert not store.errors()
    found = store.get(Query, row)
    return found.link if found else None


def test_a_value_of_another_row_is_an_input(shop: motion.Store) -> None:
    shop.set("product", id=7, url="a")
    shop.set("query", id=1, img_id=7)
    assert link(shop) == "see a"


def test_a_change_of_what_is_looked_up_is_followed(shop: motion.Store) -> None:
    shop.set("product", id=7, url="a")
    shop.set("query", id=1, img_id=7)
    assert link(shop) == "see a"
    shop.set("product", id=7, url="b")
    assert link(shop) == "see b"
    shop.set("product", id=7, price=3.0)
    assert link(shop) == "see b"


def test_a_value_that_comes_late_is_waited_for(shop: motion.Store) -> None:
    shop.set("query", id=1, img_id=7)
    assert link(shop) is None
    shop.set("product", id=7, url="a")
    assert link(shop) == "see a"


def test_another_row_is_looked_up_when_the_key_changes(shop: motion.Store) -> None:
    shop.set_many("product", [{"id": 7, "url": "a"}, {"id": 8, "url": "b"}])
    shop.set("query", id=1, img_id=7)
    assert link(shop) == "see a"
    shop.set("query", id=1, img_id=8)
    assert link(shop) == "see b"


def test_the_output_is_unset_where_the_value_is_gone(shop: motion.Store) -> None:
    shop.set("product", id=7, url="a")
    shop.set("query", id=1, img_id=7)
    assert link(shop) == "see a"
    shop.set("product", id=7, url=None)
    assert link(shop) is None
    shop.set("product", id=7, url="b")
    assert link(shop) == "see b"


def test_the_output_is_unset_where_the_row_is_deleted_and_made_when_it_is_there_again(
    shop: motion.Store,
) -> None:
    shop.set("product", id=7, url="a")
    shop.set("query", id=1, img_id=7)
    assert link(shop) == "see a"
    shop.delete("product", 7)
    assert link(shop) is None
    shop.set("product", id=7, url="a")
    assert link(shop) == "see a"


def test_a_value_that_may_be_unset_is_not_waited_for(open_store: OpenStore) -> None:
    @motion.trigger(on="query.img_id", sets="query.link")
    def either(url: Annotated[str | None, motion.Lookup("product.url", by="img_id")]) -> str:
        return url or "nowhere"

    store = open_store(schemas=SCHEMAS, triggers=[either])
    store.set("query", id=1, img_id=7)
    assert link(store) == "nowhere"
    store.set("product", id=7, url="a")
    assert link(store) == "a"
    store.delete("product", 7)
    assert link(store) == "nowhere"


def test_what_is_not_followed_stays_as_it_was_decided(open_store: OpenStore) -> None:
    @motion.trigger(on="query.text", sets="query.link")
    def decide(
        text: str, url: Annotated[str, motion.Lookup("product.url", by="img_id", follow=False)]
    ) -> str:
        return f"{text} {url}"

    store = open_store(schemas=SCHEMAS, triggers=[decide])
    store.set("product", id=7, url="a")
    store.set("query", id=1, text="x", img_id=7)
    assert link(store) == "x a"
    store.set("product", id=7, url="b")
    assert link(store) == "x a"
    store.set("query", id=1, text="y")
    assert link(store) == "y b"


def test_a_users_value_stays_when_what_was_looked_up_changes(shop: motion.Store) -> None:
    shop.set("product", id=7, url="a")
    shop.set("query", id=1, img_id=7)
    assert link(shop) == "see a"
    shop.set("query", id=1, link="mine")
    shop.set("product", id=7, url="b")
    assert link(shop) == "mine"
    shop.delete("product", 7)
    assert link(shop) == "mine"
    shop.set("product", id=8, url="c")
    shop.set("query", id=1, img_id=8)
    assert link(shop) == "see c"


def test_a_lookup_follows_what_other_triggers_set(open_store: OpenStore) -> None:
    @motion.trigger(on="product.slug", sets="product.url")
    def address(slug: str) -> str:
        return f"/{slug}"

    store = open_store(schemas=SCHEMAS, triggers=[address, recommend])
    store.set("product", id=7, slug="a")
    store.set("query", id=1, img_id=7)
    assert link(store) == "see /a"
    store.set("product", id=7, slug="b")
    assert link(store) == "see /b"


def test_what_follows_from_a_followed_value_follows_too(open_store: OpenStore) -> None:
    @motion.trigger(on="query.link", sets="query.note")
    def length(link: str) -> str:
        return str(len(link))

    store = open_store(schemas=SCHEMAS, triggers=[recommend, length])
    store.set("product", id=7, url="a")
    store.set("query", id=1, img_id=7)
    store.set("product", id=7, url="abc")
    assert link(store) == "see abc"
    assert [row.note for row in store.rows(Query)] == ["7"]


@pytest.mark.parametrize(
    "options", [{"batch": 4}, {"executor": "process"}, {"memo": True}], ids=str
)
def test_lookups_go_with_the_other_options(
    open_store: OpenStore, options: dict[str, object]
) -> None:
    if "batch" in options:

        @motion.trigger(on="query.img_id", sets="query.link", batch=4)
        def many(url: Annotated[list[str], motion.Lookup("product.url", by="img_id")]) -> list[str]:
            return [f"see {each}" for each in url]

        triggers: list[object] = [many]
    else:
        triggers = [motion.trigger(on="query.img_id", sets="query.link", **options)(see)]  # type: ignore[arg-type]
    store = open_store(schemas=SCHEMAS, triggers=triggers)
    store.set_many("product", [{"id": i, "url": f"u{i}"} for i in range(1, 11)])
    store.set_many("query", [{"id": i, "img_id": i} for i in range(1, 11)])
    assert [link(store, i) for i in range(1, 11)] == [f"see u{i}" for i in range(1, 11)]
    store.set_many("product", [{"id": i, "url": f"v{i}"} for i in range(1, 11)])
    assert [link(store, i) for i in range(1, 11)] == [f"see v{i}" for i in range(1, 11)]


def see(url: Url) -> str:
    return f"see {url}"


def test_coroutines_look_up(open_store: OpenStore) -> None:
    @motion.trigger(on="query.img_id", sets="query.link")
    async def slow(url: Url) -> str:
        return f"see {url}"

    store = open_store(schemas=SCHEMAS, triggers=[slow])
    store.set("product", id=7, url="a")
    store.set("query", id=1, img_id=7)
    assert link(store) == "see a"


FirstUrl = Annotated[str, motion.Lookup("product.url", by="img_id", follow=False)]


@dataclass
class Note:
    id: int
    link: str


@pytest.mark.parametrize("count", [1, 700])
@pytest.mark.parametrize("options", [{}, {"inline": False}, {"sets": "note"}])
def test_what_is_looked_up_and_not_followed_is_waited_for_and_then_stays(
    open_store: OpenStore, count: int, options: dict[str, Any]
) -> None:
    def record(id: int, url: FirstUrl) -> Any:
        return [{"id": id, "link": url}] if "sets" in options else url

    trigger = motion.trigger(on="query.img_id", **{"sets": "query.link"} | options)(record)
    table = options.get("sets", "query")
    store = open_store(schemas={**SCHEMAS, "note": Note}, triggers=[trigger])
    rows = [{"id": i, "img_id": 7} for i in range(1, count + 1)]
    store.set_many("query", rows).wait(timeout=60)
    assert (store.plan("record").missing, store.plan("record").current) == (0, 0)
    store.set("product", id=7, price=1.0).wait(timeout=60)
    assert {row.link for row in store.rows(table)} <= {None}
    store.set("product", id=7, url="a").wait(timeout=60)
    assert [row.link for row in store.rows(table)] == ["a"] * count
    store.set("product", id=7, url="b").wait(timeout=60)
    store.delete("product", 7)
    store.set("product", id=7, url="c").wait(timeout=60)
    assert [row.link for row in store.rows(table)] == ["a"] * count
    store.set("query", id=1, img_id=8).wait(timeout=60)
    store.set("product", id=8, url="d").wait(timeout=60)
    assert [row.link for row in store.rows(table)] == ["d", *["a"] * (count - 1)]


@pytest.mark.parametrize("count", [3, 600])  # these are more than one write makes due
def test_a_loop_through_a_write_by_hand_and_what_looks_it_up_is_stopped(
    open_store: OpenStore, count: int
) -> None:
    @motion.trigger(on="query.img_id")
    def raise_it(
        id: int,
        price: Annotated[float, motion.Lookup("product.price", by="img_id")],
        store: motion.View,
    ) -> None:
        if id == 1:
            store.set("product", id=7, price=price + 1)

    store = open_store(schemas=SCHEMAS, triggers=[raise_it])
    store.set("product", id=7, price=0.0)
    store.set_many("query", [{"id": i, "img_id": 7} for i in range(1, count + 1)])
    store.wait(timeout=120)
    (letter,) = store.errors()
    assert "CascadeTooDeep" in letter.error
    assert store.get("product", 7).price < 100


@dataclass
class Listing:
    id: int
    product: int
    page: int
    word: str


@dataclass
class Tag:
    id: str
    word: str


@motion.trigger(on="listing.product", sets="listing.word", page="page")
def words_on_pages(url: Annotated[str, motion.Lookup("product.url", by="product")]) -> list[str]:
    return url.split("/")


@motion.trigger(on="listing.product", sets="tag")
def words_in_rows(
    url: Annotated[str, motion.Lookup("product.url", by="product")],
) -> list[dict[str, Any]]:
    return [{"id": str(i), "word": word} for i, word in enumerate(url.split("/"))]


def words_on(store: motion.Store) -> list[str | None]:
    return [row.word for row in store.rows(Listing)]


def words_in(store: motion.Store) -> list[str | None]:
    return [row.word for row in store.rows(Tag)]


@pytest.mark.parametrize(
    ("trigger", "words", "second"),
    [
        (words_on_pages, words_on, ("listing", {"id": 1, "page": 1})),
        (words_in_rows, words_in, ("tag", {"id": "1"})),
    ],
    ids=["pages", "rows of another table"],
)
def test_a_users_value_on_what_a_run_made_stays_where_what_it_looks_up_changes(
    open_store: OpenStore, trigger: Any, words: Any, second: Any
) -> None:
    schemas = {**SCHEMAS, "listing": Listing, "tag": Tag}
    store = open_store(schemas=schemas, triggers=[trigger])
    store.set("product", id=7, url="a/b")
    store.set("listing", id=1, product=7).wait(timeout=60)
    table, row = second
    store.set(table, **row, word="mine")
    for url in ("a/b/d", "c/e/d"):
        store.set("product", id=7, url=url).wait(timeout=60)
        assert words(store) == [url[0], "mine", "d"]
    store.set("product", id=8, url="x/y")
    store.set("listing", id=1, product=8).wait(timeout=60)
    assert words(store) == ["x", "y"]


@pytest.mark.parametrize(
    ("trigger", "words"),
    [(words_on_pages, words_on), (words_in_rows, words_in)],
    ids=["pages", "rows of another table"],
)
def test_what_a_run_made_stays_where_what_it_looked_up_goes_and_is_told_as_stale(
    open_store: OpenStore, trigger: Any, words: Any
) -> None:
    name = trigger.__name__
    store = open_store(schemas={**SCHEMAS, "listing": Listing, "tag": Tag}, triggers=[trigger])
    store.set("product", id=7, url="a/b")
    store.set("listing", id=2)  # which it never runs on
    store.set("listing", id=1, product=7).wait(timeout=60)
    assert store.status().triggers[name].stale == 0
    store.delete("product", 7)
    store.wait(timeout=60)
    assert words(store)[:2] == ["a", "b"]
    assert store.status().triggers[name].stale == 1
    assert (store.plan(name).stale, store.plan(name).current) == (1, 0)
    store.set("product", id=7, url="c/d").wait(timeout=60)
    assert words(store)[:2] == ["c", "d"]
    assert store.status().triggers[name].stale == 0


def test_a_result_of_an_old_value_is_dropped(open_store: OpenStore) -> None:
    begun = {url: threading.Event() for url in "ab"}
    may_end = {url: threading.Event() for url in "ab"}

    @motion.trigger(on="query.img_id", sets="query.link")
    def held(url: Url) -> str:
        begun[url].set()
        assert may_end[url].wait(60)
        return url

    store = open_store(schemas=SCHEMAS, triggers=[held])
    store.set("product", id=7, url="a")
    store.set("query", id=1, img_id=7)
    assert begun["a"].wait(60)
    store.set("product", id=7, url="b")
    may_end["a"].set()
    assert begun["b"].wait(60)
    # The first has ended, and is not run again beside the one that its change has made due.
    until(store, lambda: store.status().tasks["held"] == {"claimed": 1})
    assert store.rows(Query)[0].link is None
    may_end["b"].set()
    assert link(store) == "b"


def test_a_change_waits_for_the_rows_that_look_it_up(shop: motion.Store) -> None:
    shop.set("product", id=7, url="a")
    shop.set_many("query", [{"id": i, "img_id": 7} for i in range(1, 21)]).wait(timeout=60)
    shop.set("product", id=7, url="b").wait(timeout=60)
    assert {row.link for row in shop.rows(Query)} == {"see b"}


def test_more_rows_than_one_write_makes_due_follow_too(shop: motion.Store) -> None:
    shop.set("product", id=7, url="a")
    shop.set("product", id=8, url="x")
    rows = [{"id": i, "img_id": 8 if i % 5 == 0 else 7} for i in range(1, 3001)]
    shop.set_many("query", rows).wait(timeout=60)
    for url in ("b", "c", "d"):
        shop.set("product", id=7, url=url)
    shop.set("product", id=7, url="e").wait(timeout=60)
    assert {row.link for row in shop.rows(Query, where={"img_id": 7})} == {"see e"}
    shop.delete("product", 7)
    shop.wait(timeout=60)
    assert {row.link for row in shop.rows(Query, where={"img_id": 7})} == {None}
    assert {row.link for row in shop.rows(Query, where={"img_id": 8})} == {"see x"}


def test_a_change_in_the_middle_of_a_sweep_is_followed_by_the_rows_before_it_too(
    open_store: OpenStore,
) -> None:
    calls = 0

    @motion.trigger(on="query.img_id", sets="query.link")
    def counted(url: Url) -> str:
        nonlocal calls
        calls += url == "b"
        if calls == 2_100 and url == "b":  # the first part of the sweep has been made
            calls += 1
            writer = threading.Thread(target=lambda: store.set("product", id=7, url="c"))
            writer.start()
            writer.join(60)
        return url

    store = open_store(schemas=SCHEMAS, triggers=[counted])
    store.set("product", id=7, url="a")
    store.set_many("query", [{"img_id": 7} for _ in range(20_000)]).wait(timeout=60)
    first = store.set("product", id=7, url="b")
    first.wait(timeout=60)  # it ends when the newer one does, which has superseded it
    assert {row.link for row in store.rows(Query)} == {"c"}


def test_a_change_while_the_rows_of_a_sweep_are_being_chosen_is_waited_for_and_followed(
    shop: motion.Store,
) -> None:
    changes: list[motion.Change] = []

    def change_it_again(point: str) -> None:
        if point == "backfill.chosen" and len(changes) < 2:
            changes.append(shop.set("product", id=7, url=f"c{len(changes)}"))

    shop.set("product", id=7, url="a")
    shop.set_many("query", [{"img_id": 7} for _ in range(600)]).wait(timeout=60)
    faults.arm(change_it_again)
    try:
        shop.set("product", id=7, url="b").wait(timeout=60)
        until(shop, lambda: len(changes) == 2)
        changes[-1].wait(timeout=60)
        assert {row.link for row in shop.rows(Query)} == {"see c1"}
    finally:
        faults.arm(None)


def test_a_row_that_is_looked_up_by_two_keys_is_followed_by_both(open_store: OpenStore) -> None:
    @dataclass
    class Trip:
        id: int
        start: int
        end: int
        line: str

    @motion.trigger(on=("trip.start", "trip.end"), sets="trip.line")
    def line(
        start_url: Annotated[str, motion.Lookup("product.url", by="start")],
        end_url: Annotated[str, motion.Lookup("product.url", by="end")],
    ) -> str:
        return f"{start_url}-{end_url}"

    store = open_store(schemas={"trip": Trip, "product": Product}, triggers=[line])
    store.set_many("product", [{"id": 7, "url": "a"}, {"id": 8, "url": "x"}])
    trips = [{"start": i % 2 + 7, "end": 8 - i % 2} for i in range(1_200)]
    store.set_many("trip", trips).wait(timeout=60)
    store.set("product", id=7, url="b").wait(timeout=60)
    assert {row.line for row in store.rows(Trip)} == {"b-x", "x-b"}


def test_pages_of_one_row_hide_no_other_row_that_is_looked_up(open_store: OpenStore) -> None:
    @dataclass
    class Leaf:
        id: int
        url: str
        part: str
        part_page: int

    @motion.trigger(on="query.img_id", sets="query.link")
    def recommend(url: Annotated[str, motion.Lookup("leaf.url", by="img_id")]) -> str:
        return url

    def load(url: str) -> None:
        pages = [{"id": 7, "part_page": page, "url": url} for page in range(4)]
        store.set_many("leaf", [*pages, {"id": 8, "part_page": 0, "url": url}])

    store = open_store(schemas={"query": Query, "leaf": Leaf}, triggers=[recommend])
    load("a")
    store.set_many("query", [{"img_id": 8 if i % 9 == 0 else 7} for i in range(900)])
    store.wait(timeout=60)
    load("b")
    store.wait(timeout=60)
    assert {row.link for row in store.rows("query")} == {"b"}


def test_many_changes_in_one_write_are_followed(shop: motion.Store) -> None:
    shop.set_many("product", [{"id": i, "url": "a"} for i in range(100)])
    shop.set_many("query", [{"img_id": i % 100} for i in range(2000)])
    shop.wait(timeout=60)
    shop.set_many("product", [{"id": i, "url": f"b{i}"} for i in range(100)]).wait(timeout=60)
    assert all(row.link == f"see b{row.img_id}" for row in shop.rows(Query))


def test_pages_look_up_by_what_they_inherit(open_store: OpenStore) -> None:
    @dataclass
    class Page:
        id: int
        product: int
        part: str
        part_page: int
        line: str

    @motion.trigger(on="page.part", sets="page.line")
    def join(part: str, url: Annotated[str, motion.Lookup("product.url", by="product")]) -> str:
        return f"{part} {url}"

    store = open_store(schemas={**SCHEMAS, "page": Page}, triggers=[join])
    store.set("product", id=7, url="a")
    store.set("page", id=1, product=7, part="x")
    store.set("page", id=1, part_page=1, part="y")
    store.wait(timeout=60)
    assert [row.line for row in store.rows("page", id=1)] == ["x a", "y a"]
    store.set("product", id=7, url="b")
    store.wait(timeout=60)
    assert [row.line for row in store.rows("page", id=1)] == ["x b", "y b"]


def test_arrays_are_looked_up(open_store: OpenStore) -> None:
    @dataclass
    class Item:
        id: int
        vector: np.ndarray

    @motion.trigger(on="query.img_id", sets="query.link")
    def add(vector: Annotated[np.ndarray, motion.Lookup("item.vector", by="img_id")]) -> str:
        return str(float(vector.sum()))

    store = open_store(schemas={**SCHEMAS, "item": Item}, triggers=[add])
    store.set("item", id=7, vector=np.array([1.0, 2.0]))
    store.set("query", id=1, img_id=7)
    assert link(store) == "3.0"


def test_an_explanation_tells_what_was_looked_up(shop: motion.Store) -> None:
    shop.set("product", id=7, url="a")
    shop.set("query", id=1, img_id=7)
    assert link(shop) == "see a"
    explained = shop.explain("query", 1, "link")
    (found,) = explained.inputs
    assert (found.table, found.id, found.key, found.value) == ("product", 7, "url", "a")


def test_a_plan_counts_rows_without_what_they_look_up_as_none_to_make(shop: motion.Store) -> None:
    shop.set("product", id=7, url="a")
    shop.set_many("query", [{"img_id": 7}, {"img_id": 8}])
    shop.wait(timeout=60)
    plan = shop.plan("recommend")
    assert (plan.current, plan.stale, plan.missing) == (1, 0, 0)


# -- against a recompute by hand --


@motion.trigger(on="product.slug", sets="product.url")
def address(slug: str) -> str:
    return f"/{slug}"


@motion.trigger(on="query.link", sets="query.note")
def shout(link: str) -> str:
    return link.upper()


CHANGES = st.lists(
    st.one_of(
        st.tuples(st.just("product"), st.integers(1, 3), st.sampled_from(["a", "b", None])),
        st.tuples(st.just("query"), st.integers(1, 4), st.sampled_from([1, 2, 3, None])),
        st.tuples(st.sampled_from(["no product", "no query"]), st.integers(1, 3), st.none()),
    ),
    min_size=1,
    max_size=25,
)


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(CHANGES, st.booleans(), st.booleans())
def test_what_is_looked_up_is_what_a_recompute_gives_after_any_changes(
    open_store: OpenStore, changes: list[tuple[str, int, Any]], waits: bool, as_tasks: bool
) -> None:
    inline = False if as_tasks else None
    first = motion.trigger(on="product.slug", sets="product.url", inline=inline)(address)
    last = motion.trigger(on="query.link", sets="query.note", inline=inline)(shout)
    store = open_store(schemas=SCHEMAS, triggers=[first, recommend, last], url=":memory:")
    try:
        for kind, row, value in changes:
            if kind == "product":
                store.set("product", id=row, slug=value)
            elif kind == "query":
                store.set("query", id=row, img_id=value)
            else:
                store.delete(kind.removeprefix("no "), row)
            if waits:
                store.wait(timeout=60)
        store.wait(timeout=60)
        assert not store.errors()
        slugs = {row.id: row.slug for row in store.rows(Product)}
        for row in store.rows("query"):
            slug = slugs.get(row.img_id)
            assert row.link == (None if slug is None else f"see /{slug}"), row
            assert row.note == (None if slug is None else f"SEE /{slug.upper()}"), row
    finally:
        store.close()


# -- keys that are lookups --


@dataclass
class Card:
    id: int
    holder: str
    country: str


@dataclass
class Payment:
    id: int
    card: int
    country: Annotated[str, motion.Lookup("card.country", by="card")]
    risk: float


KEPT = {"card": Card, "payment": Payment}


def countries(store: motion.Store) -> list[str | None]:
    store.wait(timeout=60)
    return [row.country for row in store.rows(Payment, order_by="id")]


def test_a_key_may_be_a_lookup_without_any_trigger(open_store: OpenStore) -> None:
    store = open_store(schemas=KEPT, run=True)
    store.set("card", id=1, country="FR")
    store.set_many("payment", [{"id": 1, "card": 1}, {"id": 2, "card": 2}])
    assert countries(store) == ["FR", None]
    store.set("card", id=1, country="DE")
    store.set("card", id=2, country="ES")
    assert countries(store) == ["DE", "ES"]
    assert [row.id for row in store.rows("payment", where={"country": "ES"})] == [2]
    store.delete("card", 1)
    assert countries(store) == [None, "ES"]


def test_triggers_run_on_keys_that_are_lookups(open_store: OpenStore) -> None:
    @motion.trigger(on="payment.country", sets="payment.risk")
    def score(country: str) -> float:
        return float(len(country))

    store = open_store(schemas=KEPT, triggers=[score])
    store.set("card", id=1, country="FR")
    store.set("payment", id=1, card=1)
    store.wait(timeout=60)
    assert [row.risk for row in store.rows(Payment)] == [2.0]
    store.set("card", id=1, country="France")
    store.wait(timeout=60)
    assert [row.risk for row in store.rows(Payment)] == [6.0]


def test_a_store_opened_with_other_triggers_keeps_its_lookups(open_store: OpenStore) -> None:
    store = open_store(schemas=KEPT, run=True)
    store.set("card", id=1, country="FR")
    store.set("payment", id=1, card=1)
    assert countries(store) == ["FR"]
    store = open_store(schemas=KEPT, triggers=[])
    store.set("card", id=1, country="DE")
    store.close()
    store = open_store(schemas=KEPT, run=True)
    assert countries(store) == ["DE"]


def test_a_users_value_of_a_key_that_is_a_lookup_stays(open_store: OpenStore) -> None:
    store = open_store(schemas=KEPT, run=True)
    store.set("card", id=1, country="FR")
    store.set("payment", id=1, card=1)
    assert countries(store) == ["FR"]
    store.set("payment", id=1, country="XX")
    store.set("card", id=1, country="DE")
    assert countries(store) == ["XX"]


def test_a_key_of_another_type_than_what_it_looks_up_is_refused(open_store: OpenStore) -> None:
    @dataclass
    class Wrong:
        id: int
        card: int
        country: Annotated[int, motion.Lookup("card.country", by="card")]

    with pytest.raises(motion.SchemaError, match=r"card\.country holds, str"):
        open_store(schemas={"card": Card, "wrong": Wrong})


def test_loops_by_key_are_refused(open_store: OpenStore) -> None:
    @dataclass
    class Node:
        id: int
        parent: int
        path: str

    @motion.trigger(on="node.parent", sets="node.path")
    def extend(above: Annotated[str | None, motion.Lookup("node.path", by="parent")]) -> str:
        return f"{above}/"

    with pytest.raises(motion.TriggerCycle, match="extend"):
        open_store(schemas={"node": Node}, triggers=[extend])


@pytest.mark.parametrize(
    ("lookup", "message"),
    [
        (motion.Lookup("product.ulr", by="img_id"), "url"),
        (motion.Lookup("product.url", by="img"), "img_id"),
        (motion.Lookup("shop.url", by="img_id"), "shop"),
        (motion.Lookup("product.url", by="text"), "id"),
    ],
    ids=str,
)
def test_a_lookup_that_does_not_fit_is_refused_with_what_is_allowed(
    open_store: OpenStore, lookup: motion.Lookup, message: str
) -> None:
    @motion.trigger(on="query.img_id", sets="query.link")
    def wrong(url: str) -> str:
        return url

    wrong.__annotations__["url"] = Annotated[str, lookup]
    with pytest.raises(motion.TriggerError, match=message):
        open_store(schemas=SCHEMAS, triggers=[wrong])


def test_what_is_no_key_cannot_be_looked_up() -> None:
    with pytest.raises(motion.TriggerError, match="table"):
        motion.Lookup("url", by="img_id")
    with pytest.raises(motion.TriggerError, match="those that hold an id"):
        motion.Lookup("product.url", by=3)  # type: ignore[arg-type]


def test_other_lookups_are_other_code(open_store: OpenStore) -> None:
    def declared(lookup: motion.Lookup) -> object:
        def find(value: str) -> str:
            return value

        find.__annotations__["value"] = Annotated[str, lookup]
        return motion.trigger(on="query.img_id", sets="query.link")(find)

    store = open_store(
        schemas=SCHEMAS, triggers=[declared(motion.Lookup("product.url", by="img_id"))]
    )
    store.set("product", id=7, url="a", slug="s")
    store.set("query", id=1, img_id=7)
    assert link(store) == "a"
    open_store(schemas=SCHEMAS, triggers=[declared(motion.Lookup("product.slug", by="img_id"))])
    assert store.plan("find").stale == 1
    store.backfill("find").wait(timeout=60)
    assert link(store) == "s"


@dataclass
class Source:
    id: int
    name: str


@dataclass
class Reader:
    id: int
    source: int
    out: str


@dataclass
class Made:
    id: int
    text: str


@pytest.mark.parametrize("follow", [None, False])
@pytest.mark.parametrize("makes_rows", [True, False])
def test_an_on_key_that_is_unset_leaves_nothing_whatever_is_looked_up(
    open_store: OpenStore, follow: bool | None, makes_rows: bool
) -> None:
    """Also where the row of it is looked up by this key, so that nothing is found either."""

    def read(id: int, name: Any) -> Any:
        return [{"id": id, "text": name}] if makes_rows else name

    looked_up = motion.Lookup("source.name", by="source", follow=follow)
    given = list[dict[str, Any]] if makes_rows else str
    read.__annotations__ = {"id": int, "name": Annotated[str, looked_up], "return": given}
    sets = "made" if makes_rows else "reader.out"
    trigger = motion.trigger(on="reader.source", sets=sets)(read)
    schemas = {"source": Source, "reader": Reader, "made": Made}
    store = open_store(schemas=schemas, triggers=[trigger])

    def found() -> list[str | None]:
        made = [row.text for row in store.rows("made")]
        return made if makes_rows else [row.out for row in store.rows("reader")]

    store.set("source", id=1, name="one")
    store.set("reader", id=1, source=1).wait()
    assert found() == ["one"]
    store.set("reader", id=1, source=None).wait()
    assert found() == ([] if makes_rows else [None])
