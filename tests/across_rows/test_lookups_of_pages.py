"""Lookups of pages, by all that names a row: its id and its page keys."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import motion
from motion.testing import Stepper
from tests.conftest import OpenStore


@dataclass
class Query:
    id: int
    text: str
    idea: str
    idea_page: int
    img: str
    img_page: int


@dataclass
class Click:
    id: int
    query: int
    sugg: int
    img: int
    shown: str
    text: Annotated[str, motion.Lookup("query.text", by=("query", "sugg", "img"))]
    idea: Annotated[str, motion.Lookup("query.idea", by=("query", "sugg", "img"))]
    first: Annotated[str, motion.Lookup("query.idea", by=("query", "sugg"))]


SCHEMAS = {"query": Query, "click": Click}
Image = Annotated[str, motion.Lookup("query.img", by=("query", "sugg", "img"))]


@motion.trigger(on="click.query", sets="click.shown")
def show(image: Image) -> str:
    return f"saw {image}"


def clicks(store: motion.Store) -> list[tuple[str | None, ...]]:
    store.wait(timeout=60)
    assert not store.errors()
    return [(row.shown, row.text, row.idea, row.first) for row in store.rows(Click)]


@pytest.fixture
def pages(open_store: OpenStore) -> motion.Store:
    store = open_store(schemas=SCHEMAS, triggers=[show])
    store.set("query", id=7, text="red")
    store.set("query", id=7, idea_page=1, idea="dress")
    store.set("query", id=7, idea_page=1, img_page=3, img="a.png")
    store.set("click", id=1, query=7, sugg=1, img=3)
    return store


def test_a_page_is_looked_up_as_it_shows_itself(pages: motion.Store) -> None:
    assert clicks(pages) == [("saw a.png", "red", "dress", "dress")]


def test_what_a_page_inherits_is_followed(pages: motion.Store) -> None:
    pages.set("query", id=7, text="blue")
    pages.set("query", id=7, idea_page=1, idea="coat")
    assert clicks(pages) == [("saw a.png", "blue", "coat", "coat")]
    pages.set("query", id=7, idea_page=1, img_page=3, img="b.png")
    assert clicks(pages) == [("saw b.png", "blue", "coat", "coat")]


@motion.trigger(on="query.text", sets="query.idea", page="idea_page")
def ideas(text: str) -> list[str]:
    return text.split()


def test_a_page_that_goes_and_comes_is_followed(open_store: OpenStore) -> None:
    store = open_store(schemas=SCHEMAS, triggers=[show, ideas])
    store.set("click", id=1, query=7, sugg=1, img=0)
    store.set("query", id=7, text="red dress")
    assert clicks(store) == [(None, "red dress", "dress", "dress")]
    store.set("query", id=7, text="red")
    assert clicks(store) == [(None, None, None, None)]
    store.set("query", id=7, idea_page=1)  # a user's page: it shows what it inherits
    assert clicks(store) == [(None, "red", None, None)]
    store.set("query", id=7, text="blue coat")
    assert clicks(store) == [(None, "blue coat", "coat", "coat")]
    store.delete("query", 7)
    assert clicks(store) == [(None, None, None, None)]


def test_what_is_not_followed_is_waited_for_and_stays_as_it_was_decided(
    open_store: OpenStore,
) -> None:
    lookup = motion.Lookup("query.idea", by=("query", "sugg", "img"), follow=False)

    def decide(idea: str) -> str:
        return idea

    decide.__annotations__["idea"] = Annotated[str, lookup]
    store = open_store(
        schemas=SCHEMAS, triggers=[motion.trigger(on="click.query", sets="click.shown")(decide)]
    )
    store.set("click", id=1, query=7, sugg=1, img=3)
    store.set("query", id=7, text="red")
    store.set("query", id=7, idea_page=1, idea="dress")
    assert clicks(store) == [(None, None, None, "dress")]
    store.set("query", id=7, idea_page=1, img_page=3)
    assert clicks(store) == [("dress", "red", "dress", "dress")]
    store.set("query", id=7, idea_page=1, idea="coat")
    assert clicks(store) == [("dress", "red", "coat", "coat")]


def test_an_explanation_names_the_page(pages: motion.Store) -> None:
    pages.wait(timeout=60)
    (found,) = pages.explain("click", 1, "shown").inputs
    assert (found.id, dict(found.pages), found.value) == (
        7,
        {"idea_page": 1, "img_page": 3},
        "a.png",
    )


def test_more_rows_than_one_write_makes_due_follow_too(open_store: OpenStore) -> None:
    store = open_store(schemas=SCHEMAS, triggers=[show])
    store.set("query", id=7, text="red")
    store.set_many("query", [{"id": 7, "idea_page": p, "idea": f"i{p}"} for p in (1, 2)])
    rows = ({"query": 7, "sugg": 1 + i % 2, "img": 0} for i in range(1_500))
    store.set_many("click", rows).wait(timeout=60)
    store.set("query", id=7, text="blue").wait(timeout=60)
    assert set(clicks(store)) == {(None, "blue", f"i{p}", f"i{p}") for p in (1, 2)}


NAMES = {"id": st.integers(1, 2)}
PAGE = {"idea_page": st.integers(0, 2), "img_page": st.integers(0, 2)}
VALUES = st.sampled_from(["x", "y", "z", None])
QUERIES = st.fixed_dictionaries(
    {**NAMES, **PAGE}, optional={"text": VALUES, "idea": VALUES, "img": VALUES}
)
CLICKS = st.fixed_dictionaries(
    {"id": st.integers(1, 3)},
    optional={
        "query": st.sampled_from([1, 2, None]),
        "sugg": st.integers(0, 2),
        "img": st.sampled_from([0, 1, 2, None]),
    },
)
CHANGES = st.lists(
    st.one_of(
        st.tuples(st.just("query"), QUERIES),
        st.tuples(st.just("no query"), st.fixed_dictionaries(NAMES)),
        st.tuples(st.just("click"), CLICKS),
    ),
    min_size=3,
    max_size=25,
)


@settings(
    max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(CHANGES, st.booleans())
def test_what_is_looked_up_is_what_the_page_shows_after_any_changes(
    open_store: OpenStore, changes: list[Any], waits: bool
) -> None:
    store = open_store(schemas=SCHEMAS, triggers=[show], run=False, url=":memory:")
    try:
        store.set_many("click", [{"id": i, "query": 1, "sugg": 1, "img": i % 2} for i in (1, 2)])
        with Stepper(store) as worker:
            for table, change in changes:
                if table == "no query":
                    store.delete("query", change["id"])
                else:
                    store.set(table, **change)
                if waits:
                    worker.run_until_idle()
            worker.run_until_idle()
        assert not store.errors()
        for row in store.rows(Click):
            assert (row.shown, row.text, row.idea, row.first) == expected(store, row), row
    finally:
        store.close()


def expected(store: motion.Store, row: Click) -> tuple[str | None, ...]:
    if row.query is None or row.sugg is None:
        return None, None, None, None
    first = store.get(Query, row.query, idea_page=row.sugg)
    found = None
    if row.img is not None:
        found = store.get(Query, row.query, idea_page=row.sugg, img_page=row.img)
    image = None if found is None or found.img is None else f"saw {found.img}"
    text, idea = (None, None) if found is None else (found.text, found.idea)
    return image, text, idea, None if first is None else first.idea


@pytest.mark.parametrize(
    ("lookup", "message"),
    [
        (motion.Lookup("query.img", by=("query", "sugg", "img", "id")), "named by id, idea_page"),
        (motion.Lookup("query.img", by=("query", "shown")), "'idea_page' of 'query' is"),
        (motion.Lookup("query.img", by=("query", "sug")), "sugg"),
    ],
    ids=str,
)
def test_keys_that_name_no_page_are_refused(
    open_store: OpenStore, lookup: motion.Lookup, message: str
) -> None:
    def wrong(image: str) -> str:
        return image

    wrong.__annotations__["image"] = Annotated[str, lookup]
    trigger = motion.trigger(on="click.query", sets="click.shown")(wrong)
    with pytest.raises(motion.TriggerError, match=message):
        open_store(schemas=SCHEMAS, triggers=[trigger])


def test_keys_of_two_page_levels_name_no_row(open_store: OpenStore) -> None:
    @dataclass
    class Part:
        id: int
        query: int
        part: str
        part_page: int
        sugg: int
        seen: str

    @motion.trigger(on="part.part", sets="part.seen")
    def see(idea: Annotated[str, motion.Lookup("query.idea", by=("query", "sugg"))]) -> str:
        return idea

    with pytest.raises(motion.TriggerError, match="one page level"):
        open_store(schemas={"query": Query, "part": Part}, triggers=[see])


def test_a_list_of_ids_is_of_page_0_of_each(open_store: OpenStore) -> None:
    @dataclass
    class Basket:
        id: int
        queries: list[int]
        seen: str

    @motion.trigger(on="basket.queries", sets="basket.seen")
    def see(texts: Annotated[list[str], motion.Lookup("query.idea", by="queries")]) -> str:
        return " ".join(texts)

    store = open_store(schemas={"query": Query, "basket": Basket}, triggers=[see])
    store.set("query", id=1, idea="one")
    store.set("query", id=2, idea="two")
    store.set("query", id=2, idea_page=1, idea="not this")
    store.set("basket", id=1, queries=[2, 1])
    store.wait(timeout=60)
    assert [row.seen for row in store.rows("basket")] == ["two one"]
    store.set("query", id=2, idea="zwei")
    store.set("query", id=2, idea_page=1, idea="nor this")
    store.wait(timeout=60)
    assert [row.seen for row in store.rows("basket")] == ["zwei one"]

    @motion.trigger(on="basket.queries", sets="basket.seen")
    def see_pages(text: Annotated[str, motion.Lookup("query.text", by=("queries", "id"))]) -> str:
        return text

    with pytest.raises(motion.TriggerError, match="that one key"):
        open_store(schemas={"query": Query, "basket": Basket}, triggers=[see_pages])


# -- keys that are lookups, of pages --


@dataclass
class Shop:
    id: int
    domain: str
    name: str


@dataclass
class Page:
    """`above` is one value for all pages, the others are each page's own, by keys that all pages share."""

    id: int
    host: str
    likes: list[int]
    above: Annotated[str, motion.Lookup("shop.name", by="host", to="shop.domain")]
    page: int
    text: str
    seller: Annotated[str, motion.Lookup("shop.name", by="host", to="shop.domain")]
    liked: Annotated[list[str], motion.Lookup("shop.name", by="likes")]


def test_each_page_has_the_lookups_that_are_declared_behind_its_key(open_store: OpenStore) -> None:
    store = open_store(schemas={"shop": Shop, "page": Page}, triggers=[])

    def shown() -> list[tuple[str | None, str | None, list[str] | None]]:
        store.wait(timeout=60)
        return [(row.above, row.seller, row.liked) for row in store.rows(Page)]

    store.set("shop", id=1, domain="ash.example", name="Ash")
    store.set("page", id=7, page=2, text="first")
    store.set("page", id=7, host="ash.example", likes=[1])
    store.set("page", id=7, page=1, text="later")
    assert shown() == [("Ash", "Ash", ["Ash"])] * 3
    store.set("shop", id=1, name="Elm")
    assert shown() == [("Elm", "Elm", ["Elm"])] * 3
    store.set("page", id=7, host="no.example", likes=None)
    assert shown() == [(None, None, None)] * 3


# -- pages that have one of the keys themselves, and show another --


@dataclass
class Product:
    id: int
    page: int
    size: int


@dataclass
class Order:
    id: int
    product: int
    part: int
    page: int
    note: str
    told: str
    size: Annotated[int, motion.Lookup("product.size", by=("product", "part"))]


@motion.trigger(on="order.note", sets="order.told")
def tell(
    note: str, size: Annotated[int, motion.Lookup("product.size", by=("product", "part"))]
) -> str:
    return f"{note} {size}"


SMALL = st.integers(0, 1)
ORDERED = st.fixed_dictionaries(
    {"id": st.integers(1, 2), "page": SMALL},
    optional={key: st.one_of(SMALL, st.none()) for key in ("product", "part")},
)
SIZED = st.fixed_dictionaries({"id": SMALL, "page": SMALL, "size": st.integers(1, 9)})


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(done=st.lists(st.one_of(SIZED, SIZED, ORDERED, ORDERED, SMALL), min_size=4, max_size=16))
def test_a_page_looks_up_by_what_it_has_itself_and_what_it_shows(
    open_store: OpenStore, done: list[Any]
) -> None:
    tables: dict[str, type] = {"product": Product, "order": Order}
    store = open_store(schemas=tables, triggers=[tell], run=False, url=":memory:")
    with store, Stepper(store) as worker:
        for order, own, shown in ((1, "product", "part"), (2, "part", "product")):
            rows: list[dict[str, Any]] = [{shown: 1}, {"page": 1, "note": "n", own: 1}]
            store.set_many("order", [{"id": order, **row} for row in rows])
        for each in done:
            if isinstance(each, int):
                store.delete("product", each)
            elif "size" in each:
                store.set("product", **each)
            else:
                store.set("order", note="n" if each["page"] else None, **each)
            worker.run_until_idle()
            sizes = {(row.id, row.page): row.size for row in store.rows(Product)}
            for row in store.rows(Order):
                size = sizes.get((row.product, row.part))
                assert row.size == size
                assert row.told == (f"n {size}" if row.note and size is not None else None)
