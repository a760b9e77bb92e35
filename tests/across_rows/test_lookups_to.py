"""Lookups of a row that is found by another key than its id."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Annotated, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import motion
from motion.testing import Stepper
from tests.conftest import OpenStore


@dataclass
class Shop:
    id: int
    domain: str
    name: str


@dataclass
class Visit:
    id: int
    host: str
    shop: str
    kept: Annotated[str, motion.Lookup("shop.name", by="host", to="shop.domain")]


SCHEMAS = {"shop": Shop, "visit": Visit}
Name = Annotated[str, motion.Lookup("shop.name", by="host", to="shop.domain")]


def named(inline: bool | None) -> Any:
    def name_it(name: Name) -> str:
        return f"at {name}"

    return motion.trigger(on="visit.host", sets="visit.shop", inline=inline)(name_it)


def shown(store: motion.Store) -> dict[int, tuple[str | None, str | None]]:
    store.wait(timeout=60)
    assert not store.errors()
    return {row.id: (row.shop, row.kept) for row in store.rows(Visit)}


@pytest.fixture
def store(open_store: OpenStore) -> motion.Store:
    store = open_store(schemas=SCHEMAS, triggers=[named(None)])
    store.set("shop", id=7, domain="a.com", name="A")
    store.set("visit", id=1, host="a.com")
    assert shown(store) == {1: ("at A", "A")}
    return store


def test_a_row_is_found_by_another_key_and_followed(store: motion.Store) -> None:
    store.set("shop", id=7, name="B")
    assert shown(store) == {1: ("at B", "B")}
    store.set("shop", id=7, domain="b.com")
    assert shown(store) == {1: (None, None)}
    store.set("visit", id=1, host="b.com")
    assert shown(store) == {1: ("at B", "B")}
    store.delete("shop", 7)
    assert shown(store) == {1: (None, None)}
    store.set("shop", id=9, domain="b.com", name="C")
    assert shown(store) == {1: ("at C", "C")}


def test_of_several_rows_with_one_value_it_is_the_first(store: motion.Store) -> None:
    store.set("shop", id=8, domain="a.com", name="later")
    assert shown(store) == {1: ("at A", "A")}
    store.set("shop", id=3, domain="a.com", name="first")
    assert shown(store) == {1: ("at first", "first")}
    store.delete("shop", 3)
    assert shown(store) == {1: ("at A", "A")}
    store.set("shop", id=7, domain=None)
    assert shown(store) == {1: ("at later", "later")}


def test_what_is_found_before_a_write_is_the_first_too(open_store: OpenStore) -> None:
    store = open_store(schemas=SCHEMAS, run=False)
    store.set_many("shop", [{"id": i, "domain": "a", "name": f"n{i}"} for i in (2, 1, 3)])
    store.set_many("visit", [{"id": 1, "host": "a"}, {"id": 2, "host": "b"}])
    assert [row.kept for row in store.rows(Visit)] == ["n1", None]
    assert store.status().tasks == {}


def test_an_explanation_names_the_row_that_was_found(store: motion.Store) -> None:
    (found,) = store.explain("visit", 1, "shop").inputs
    assert (found.table, found.id, found.key, found.value) == ("shop", 7, "name", "A")


def test_a_row_that_takes_the_place_of_another_during_a_call_is_seen(
    open_store: OpenStore,
) -> None:
    seen: list[str] = []

    @motion.trigger(on="visit.host", sets="visit.shop", inline=False)
    def name_it(name: Name) -> str:
        seen.append(name)
        if len(seen) == 1:
            leaving = threading.Thread(target=lambda: opened.delete("shop", 1))
            leaving.start()
            leaving.join()
        return name

    opened = open_store(schemas=SCHEMAS, triggers=[name_it], run=False)
    opened.set_many("shop", [{"id": i, "domain": "a", "name": f"n{i}"} for i in (1, 2)])
    opened.set("visit", id=1, host="a")
    with Stepper(opened) as worker:
        worker.run_until_idle()
    assert seen == ["n1", "n2"]
    assert [(row.shop, row.kept) for row in opened.rows(Visit)] == [("n2", "n2")]


def test_more_rows_than_one_write_makes_due_follow_too(open_store: OpenStore) -> None:
    store = open_store(schemas=SCHEMAS, triggers=[named(None)])
    store.set_many("shop", [{"id": i, "domain": d, "name": d} for i, d in enumerate("ab", 1)])
    hosts = ("a" if i % 3 else "b" for i in range(1_500))
    store.set_many("visit", ({"host": host} for host in hosts)).wait(timeout=60)
    store.set("shop", id=1, domain="c").wait(timeout=60)
    assert set(shown(store).values()) == {(None, None), ("at b", "b")}
    store.set("shop", id=2, domain="a").wait(timeout=60)
    found = [(row.host, row.kept) for row in store.rows(Visit)]
    assert set(found) == {("a", "b"), ("b", None)}


DOMAINS = st.sampled_from(["a", "b", "c", None])
SHOPS = st.fixed_dictionaries(
    {"id": st.integers(1, 4)},
    optional={"domain": DOMAINS, "name": st.sampled_from(["x", "y", None])},
)
VISITS = st.fixed_dictionaries({"id": st.integers(1, 3)}, optional={"host": DOMAINS})
CHANGES = st.lists(
    st.one_of(
        st.tuples(st.just("shop"), st.one_of(SHOPS, SHOPS, st.integers(1, 4))),
        st.tuples(st.just("visit"), st.one_of(VISITS, VISITS, st.integers(1, 3))),
    ),
    min_size=3,
    max_size=25,
)


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(CHANGES, st.booleans(), st.booleans(), st.sampled_from([None, False]))
def test_what_is_found_is_what_a_recompute_gives_after_any_changes(
    open_store: OpenStore, changes: list[Any], in_one: bool, waits: bool, inline: bool | None
) -> None:
    store = open_store(schemas=SCHEMAS, triggers=[named(inline)], run=False, url=":memory:")
    try:
        with Stepper(store) as worker:
            if in_one:
                shops = {
                    each["id"]: each
                    for kind, each in changes
                    if isinstance(each, dict) and kind == "shop"
                }
                store.set_many("shop", list(shops.values()))
            for table, change in changes:
                if isinstance(change, int):
                    store.delete(table, change)
                else:
                    store.set(table, **change)
                if waits:
                    worker.run_until_idle()
            worker.run_until_idle()
        known = sorted(store.rows(Shop), key=lambda row: row.id)
        for row in store.rows(Visit):
            name = next((s.name for s in known if row.host and s.domain == row.host), None)
            assert (row.shop, row.kept) == (None if name is None else f"at {name}", name), row
    finally:
        store.close()


def test_what_is_not_followed_stays_as_it_was_decided(open_store: OpenStore) -> None:
    lookup = motion.Lookup("shop.name", by="host", to="shop.domain", follow=False)

    def decide(name: str) -> str:
        return name

    decide.__annotations__["name"] = Annotated[str, lookup]
    trigger = motion.trigger(on="visit.host", sets="visit.shop")(decide)
    store = open_store(schemas=SCHEMAS, triggers=[trigger])
    store.set("shop", id=7, domain="a", name="A")
    store.set("visit", id=1, host="a")
    assert shown(store) == {1: ("A", "A")}
    store.delete("shop", 7)
    assert shown(store) == {1: ("A", None)}


def test_a_value_that_was_hidden_by_a_row_without_one_is_waited_for(
    open_store: OpenStore,
) -> None:
    lookup = motion.Lookup("shop.name", by="host", to="shop.domain", follow=False)

    def decide(name: str) -> str:
        return name

    decide.__annotations__["name"] = Annotated[str, lookup]
    trigger = motion.trigger(on="visit.host", sets="visit.shop")(decide)
    store = open_store(schemas=SCHEMAS, triggers=[trigger])
    store.set_many("shop", [{"id": 1, "domain": "a"}, {"id": 2, "domain": "a", "name": "B"}])
    store.set("visit", id=1, host="a")
    assert shown(store) == {1: (None, None)}
    store.delete("shop", 1)
    assert shown(store) == {1: ("B", "B")}
    store.set("shop", id=2, domain="c")
    assert shown(store) == {1: ("B", None)}


def test_finding_by_another_key_is_other_code_and_by_the_id_what_it_was() -> None:
    plain = motion.Lookup("shop.name", by="host")
    assert repr(plain) == "Lookup(key='shop.name', by='host', follow=None)"
    assert repr(motion.Lookup("shop.name", by="host", to="shop.domain")) != repr(plain)


def test_a_trigger_that_is_new_to_a_store_follows_the_rows_that_are_there(
    open_store: OpenStore,
) -> None:
    @dataclass
    class Visit:
        id: int
        host: str
        shop: str

    def names() -> list[str | None]:
        opened.wait(timeout=60)
        return [row.shop for row in opened.rows("visit")]

    schemas = {"shop": Shop, "visit": Visit}
    opened = open_store(schemas=schemas, run=False)
    opened.set_many("shop", [{"id": i, "domain": d, "name": d} for i, d in enumerate("ab", 1)])
    opened.set("visit", id=1, host="a")
    opened.close()
    opened = open_store(schemas=schemas, triggers=[named(None)])
    opened.backfill("name_it").wait(timeout=60)
    assert names() == ["at a"]
    opened.set("shop", id=1, domain="c")
    assert names() == [None]
    opened.set("shop", id=2, domain="a")
    assert names() == ["at b"]


@pytest.mark.parametrize(
    ("lookup", "message"),
    [
        (motion.Lookup("shop.name", by="host", to="shop.domian"), "domain"),
        (motion.Lookup("shop.name", by="id", to="shop.domain"), "one type"),
    ],
    ids=str,
)
def test_a_key_that_finds_nothing_is_refused(
    open_store: OpenStore, lookup: motion.Lookup, message: str
) -> None:
    def wrong(name: str) -> str:
        return name

    wrong.__annotations__["name"] = Annotated[str, lookup]
    trigger = motion.trigger(on="visit.host", sets="visit.shop")(wrong)
    with pytest.raises(motion.TriggerError, match=message):
        open_store(schemas=SCHEMAS, triggers=[trigger])


@pytest.mark.parametrize(("to", "message"), [("domain", "table.key"), ("visit.host", "'shop'")])
def test_a_key_of_another_form_or_table_is_refused(to: str, message: str) -> None:
    with pytest.raises(motion.TriggerError, match=message):
        motion.Lookup("shop.name", by="host", to=to)


def test_rows_that_several_changed_rows_are_found_by_do_not_hide_others(
    open_store: OpenStore,
) -> None:
    """More pairs than rows are made due at once, of fewer rows."""
    store = open_store(schemas=SCHEMAS, triggers=[named(None)])
    shops = [(1, "a.com"), (2, "a.com"), (3, "b.com")]
    store.set_many("shop", [{"id": id, "domain": at, "name": "old"} for id, at in shops])
    hosts = ["a.com"] * 260 + ["b.com"] * 200
    store.set_many("visit", [{"id": i, "host": host} for i, host in enumerate(hosts, 1)])
    store.wait(timeout=60)
    store.set_many("shop", [{"id": id, "name": "new"} for id, _ in shops])
    assert set(shown(store).values()) == {("at new", "new")}
