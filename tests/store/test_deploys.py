"""Code that is another one now, or again: what the former code made is stale wherever it can be wrong, and a backfill makes
it what a recompute from scratch gives (P4, P6, P14)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import pytest

import motion
from tests.conftest import OpenStore


@dataclass
class Shop:
    id: int
    country: str
    tier: str
    total: int


@dataclass
class Doc:
    id: int
    shop: int
    a: str
    b: str
    own: str
    looked: str
    page: int
    part: str
    grown: str


@dataclass
class Tag:
    id: str
    text: str


@dataclass
class Pay:
    id: int
    buyer: int
    seller: int
    amount: int


@dataclass
class Buyer:
    id: int
    total: str


@dataclass
class Paid:
    id: int
    buyer: int
    seller: int
    amount: int
    at: int
    rank: int
    after: str


TABLES = {"shop": Shop, "doc": Doc, "tag": Tag, "pay": Pay}
NAMES = ("own", "look", "fan", "tag_it")


def of_a(*, needs_b: bool = False) -> list[Any]:
    """Return code that derives from `a` and the shop's country; where it `needs_b`, from `b` too."""
    keys = ("doc.a", "doc.b") if needs_b else ("doc.a",)

    @motion.trigger(on=keys, sets="doc.own", version=f"{needs_b}")
    def own(a: str) -> str:
        return a

    @motion.trigger(on=keys, sets="doc.looked", version=f"{needs_b}")
    def look(country: Annotated[str, motion.Lookup("shop.country", by="shop")]) -> str:
        return country

    @motion.trigger(on=keys, sets="doc.part", page="page", version=f"{needs_b}")
    def fan(a: str) -> list[str]:
        return list(a)

    @motion.trigger(on=keys, sets="tag", version=f"{needs_b}")
    def tag_it(a: str) -> list[dict[str, str]]:
        return [{"id": f"tag of {a}", "text": a}]

    if not needs_b:
        return [own, look, fan, tag_it]

    @motion.trigger(on=keys, sets="doc.own", name="own")
    def both(a: str, b: str) -> str:
        return a + b

    @motion.trigger(on=keys, sets="doc.part", page="page", name="fan")
    def fan_both(a: str, b: str) -> list[str]:
        return list(a + b)

    @motion.trigger(on=keys, sets="tag", name="tag_it")
    def tag_both(a: str, b: str) -> list[dict[str, str]]:
        return [{"id": f"tag of {a}{b}", "text": a}]

    return [both, look, fan_both, tag_both]


def of_b() -> list[Any]:
    """Return code under the same names that derives from `b` and the shop's tier."""

    @motion.trigger(on="doc.b", sets="doc.own")
    def own(b: str) -> str:
        return b

    @motion.trigger(on="doc.b", sets="doc.looked")
    def look(tier: Annotated[str, motion.Lookup("shop.tier", by="shop")]) -> str:
        return tier

    @motion.trigger(on="doc.b", sets="doc.part", page="page")
    def fan(b: str) -> list[str]:
        return list(b)

    @motion.trigger(on="doc.b", sets="tag")
    def tag_it(b: str) -> list[dict[str, str]]:
        return [{"id": f"tag of {b}", "text": b}]

    return [own, look, fan, tag_it]


def opened(folder: Path, triggers: Sequence[Any]) -> motion.Store:
    place = f"sqlite:///{folder}"
    return motion.create_store("deploys", schemas=TABLES, triggers=list(triggers), url=place)


def stale(store: motion.Store) -> list[int]:
    counted = [store.status().triggers[name].stale for name in NAMES]
    assert [store.plan(name).stale for name in NAMES] == counted
    return counted


def remade(store: motion.Store) -> None:
    for name in NAMES:
        store.backfill(name).wait()
    store.wait()
    assert stale(store) == [0, 0, 0, 0]


def shown(store: motion.Store) -> dict[str, Any]:
    rows = [(row.id, row.page, row.own, row.looked, row.part) for row in store.rows("doc")]
    return {"doc": rows, "tag": sorted(row.id for row in store.rows("tag"))}


def test_what_a_roll_back_brings_back_is_stale_where_its_inputs_were_not_watched(
    tmp_path: Path,
) -> None:
    with opened(tmp_path, of_a()) as store:
        store.set("shop", id=1, country="at", tier="gold")
        store.set("doc", id=1, shop=1, a="x", b="y")
        store.wait()
    with opened(tmp_path, of_b()) as store:  # nobody has asked for a backfill
        store.set("shop", id=1, country="de")
        store.set("doc", id=1, a="zz")
        store.wait()
    with opened(tmp_path, of_a()) as store:
        assert stale(store) == [1, 1, 1, 1]
        assert "open without this code" in str(store.explain("doc", 1, "own"))
        remade(store)
        assert shown(store) == {
            "doc": [(1, 0, "zz", "de", "z"), (1, 1, "zz", "de", "z")],
            "tag": ["tag of zz"],
        }


def test_what_a_roll_back_brings_back_is_current_where_the_other_code_saw_the_same_changes(
    tmp_path: Path,
) -> None:
    def code(version: str) -> list[Any]:
        @motion.trigger(on="doc.a", sets="doc.own", version=version)
        def own(a: str) -> str:
            return a

        return [own]

    with opened(tmp_path, code("1")) as store:
        store.set_many("doc", [{"id": 1, "a": "x"}, {"id": 2, "a": "x"}])
        store.wait()
    with opened(tmp_path, code("2")) as store:
        store.set("doc", id=1, a="changed")
        store.wait()
    with opened(tmp_path, code("1")) as store:
        assert store.plan("own").stale == 1  # that which the other code has made
        assert "STALE" not in str(store.explain("doc", 2, "own"))


def test_an_input_that_new_code_needs_and_a_row_lacks_leaves_nothing_of_the_old_code(
    tmp_path: Path,
) -> None:
    with opened(tmp_path, of_a()) as store:
        store.set("shop", id=1, country="at")
        store.set_many("doc", [{"id": i, "shop": 1, "a": "xy"} for i in (1, 2)])
        store.set("doc", id=1, b="!")
        store.wait()
    with opened(tmp_path, of_a(needs_b=True)) as store:
        assert stale(store) == [2, 2, 2, 2]
        remade(store)
        assert shown(store) == {
            "doc": [(1, n, "xy!", "at", part) for n, part in enumerate("xy!")]
            + [(2, 0, None, None, None)],
            "tag": ["tag of xy!"],
        }


def test_an_input_unset_or_a_source_gone_while_its_trigger_was_away_leaves_nothing_behind(
    tmp_path: Path,
) -> None:
    with opened(tmp_path, of_a()) as store:
        store.set("shop", id=1, country="at")
        names = dict(enumerate(("kept", "unset", "deleted", "forgotten"), 1))
        store.set_many("doc", [{"id": i, "shop": 1, "a": a} for i, a in names.items()])
        store.wait()
    with opened(tmp_path, []) as store:
        store.set("doc", id=2, a=None)
        store.delete("doc", 3)
        store.forget("doc", 4)
        assert shown(store)["tag"] == ["tag of kept", "tag of unset"]
    with opened(tmp_path, of_a()) as store:
        assert stale(store) == [2, 2, 2, 2]
        remade(store)
        assert shown(store) == {
            "doc": [(1, n, "kept", "at", part) for n, part in enumerate("kept")]
            + [(2, 0, None, None, None)],
            "tag": ["tag of kept"],
        }


def test_an_entity_that_new_code_has_no_row_of_loses_the_folds_value(tmp_path: Path) -> None:
    def total_by(key: str) -> list[Any]:
        @motion.fold(on="pay.amount", by=f"pay.{key}", sets="shop.total")
        def total(total: int | None, amount: int) -> int:
            return (total or 0) + amount

        return [total]

    with opened(tmp_path, total_by("buyer")) as store:
        store.set_many("pay", [{"buyer": 1, "seller": 2, "amount": n} for n in (5, 7)])
        store.wait()
        assert [(row.id, row.total) for row in store.rows("shop")] == [(1, 12)]
    with opened(tmp_path, total_by("seller")) as store:
        plan = store.plan("total")
        assert plan.stale + plan.missing == 2
        store.backfill("total").wait()
        assert [(row.id, row.total) for row in store.rows("shop")] == [(1, None), (2, 12)]


@pytest.mark.parametrize("replay", [True, False])
@pytest.mark.parametrize("sets", ["shop.total", "pay.after"])
@pytest.mark.parametrize("way", ["order", "by"])
def test_what_a_fold_made_that_goes_another_way_by_now_is_told_as_stale(
    tmp_path: Path, way: str, sets: str, replay: bool
) -> None:
    def joined(by: str, order: str) -> list[Any]:
        of: dict[str, Any] = {
            "on": "pay.amount",
            "by": f"pay.{by}",
            "order": f"pay.{order}",
            "replay": replay,
        }

        @motion.fold(sets="shop.total", name="join", **of)
        def on_shops(total: str | None, amount: int) -> str:
            return f"{total or ''}{amount}"

        @motion.fold(sets="pay.after", name="join", **of)
        def on_rows(after: str | None, amount: int) -> str:
            return f"{after or ''}{amount}"

        return [on_shops if sets == "shop.total" else on_rows]

    tables = {"shop": Buyer, "pay": Paid}
    first = joined("buyer", "at")
    other = joined("buyer", "rank") if way == "order" else joined("seller", "at")

    def shown(store: motion.Store) -> list[Any]:
        table, key = sets.split(".")
        return [(row.id, getattr(row, key)) for row in store.rows(table)]

    paid = [
        {"id": n, "buyer": n % 2, "seller": 3, "amount": n, "at": n, "rank": -n} for n in (5, 7, 9)
    ]

    def recomputed(code: list[Any]) -> list[Any]:
        with motion.create_store("fresh", schemas=tables, triggers=code, url=":memory:") as store:
            store.set_many("pay", paid)  # at once, so that what comes first is not taken in first
            store.wait()
            return shown(store)

    right = {id(code): recomputed(code) for code in (first, other)}
    with motion.create_store(
        "s", schemas=tables, triggers=first, url=f"sqlite:///{tmp_path}/s"
    ) as store:
        store.set_many("pay", paid)
        store.wait()
        assert store.status().triggers["join"].stale == 0
    for code in (other, first):  # also back again: nobody knows what the other one has not seen
        with motion.create_store(
            "s", schemas=tables, triggers=code, url=f"sqlite:///{tmp_path}/s"
        ) as store:
            stale = store.status().triggers["join"].stale
            assert stale == store.plan("join").stale > 0
            store.backfill("join").wait()
            assert [each for each in shown(store) if each[1]] == right[id(code)]
            assert store.status().triggers["join"].stale == store.plan("join").missing == 0


@pytest.mark.parametrize("inline", [True, False])
def test_a_backfill_runs_on_rows_whose_optional_keys_were_never_set(
    open_store: OpenStore, inline: bool
) -> None:
    @motion.trigger(on=("doc.a", "doc.b"), sets="doc.own", inline=inline)
    def own(a: str | None, b: str | None) -> str:
        return f"{a} {b}"

    store = open_store(schemas=TABLES, triggers=[own])
    store.set("doc", id=1, shop=1)
    store.set("doc", id=2, a="x").wait()
    store.set("doc", id=2, a=None).wait()
    assert store.plan("own").missing == 1
    store.backfill("own").wait()
    assert store.plan("own").missing == 0
    assert [row.own for row in store.rows("doc")] == ["None None", "None None"]


def test_a_text_grows_from_what_is_looked_up(open_store: OpenStore) -> None:
    @motion.trigger(on="doc.a", sets="doc.grown")
    def grow(
        a: str, country: Annotated[str, motion.Lookup("shop.country", by="shop")]
    ) -> Iterator[str]:
        yield a
        yield country

    store = open_store(schemas=TABLES, triggers=[grow])
    store.set("shop", id=1, country=" in at")
    store.set("doc", id=1, shop=1, a="text").wait()
    assert store.get("doc", 1).grown == "text in at"
    store.set("shop", id=1, country=" in de").wait()
    assert store.get("doc", 1).grown == "text in de"


def test_a_users_value_stays_where_its_trigger_has_another_name_by_now(tmp_path: Path) -> None:
    def named(name: str) -> list[Any]:
        @motion.trigger(on="doc.a", sets="doc.own", name=name, version="1")
        def own(a: str) -> str:
            return a

        return [own]

    with opened(tmp_path, named("label")) as store:
        store.set_many("doc", [{"id": i, "a": f"{i}"} for i in (1, 2, 3)])
        store.wait()
        store.set("doc", id=1, own="corrected")
    with opened(tmp_path, named("make_label")) as store:
        plan = store.plan("make_label")
        assert (plan.stale, plan.missing, plan.by_users) == (2, 0, 1)
        store.backfill("make_label", force=True).wait()
        assert [row.own for row in store.rows("doc")] == ["corrected", "2", "3"]
        store.set("doc", id=1, a="other").wait()
        assert store.get("doc", 1).own == "other"


def test_a_row_that_never_had_what_new_code_runs_on_is_current_after_a_backfill(
    tmp_path: Path,
) -> None:
    @motion.trigger(on=("doc.a", "doc.b"), sets="doc.own", name="own")
    def both(a: str, b: str) -> str:
        return a + b

    @motion.trigger(on="doc.a", sets="doc.own", name="own")
    def one(a: str) -> str:
        return a

    with opened(tmp_path, [both]) as store:
        store.set("doc", id=1, b="only").wait()
        store.backfill("own", force=True).wait()
    with opened(tmp_path, [one]) as store:
        store.backfill("own").wait()
        assert (store.status().triggers["own"].stale, store.plan("own").stale) == (0, 0)
        assert store.get("doc", 1).own is None


def test_what_a_function_made_under_another_name_does_not_hide_what_it_makes_now(
    tmp_path: Path,
) -> None:
    def named(word: str) -> list[Any]:
        @motion.trigger(on="doc.a", sets="tag", name=f"{word}_tag")
        def tag_it(id: int, a: str) -> list[dict[str, str]]:
            return [{"id": f"{id}", "text": a}]

        @motion.trigger(on="doc.a", sets="doc.part", page="page", name=f"{word}_fan")
        def fan(a: str) -> list[str]:
            return list(a)

        return [tag_it, fan]

    with opened(tmp_path, named("early")) as store:
        store.set("doc", id=1, a="four").wait()
    with opened(tmp_path, named("late")) as store:
        store.set("doc", id=1, a="on").wait()
        assert [(row.id, row.text) for row in store.rows("tag")] == [("1", "on")]
        assert [(row.page, row.part) for row in store.rows("doc")] == [(0, "o"), (1, "n")]
        store.delete("doc", 1)
        assert store.rows("tag") == []
