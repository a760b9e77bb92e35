"""A trigger that makes its rows elsewhere than its former code did: what that made goes when the new code has run on the row that it
was made from, and hides nothing of what others make (P4, P6)."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Any

import pytest

import motion
from tests.conftest import OpenStore


@dataclass
class Doc:
    id: int
    a: int
    n: int
    part_page: int
    part: int


@dataclass
class Shop:
    id: int
    a: int


@dataclass
class Tag:
    id: int
    n: int


@dataclass
class Word:
    id: int
    n: int


SCHEMAS: dict[str, Any] = {"doc": Doc, "shop": Shop, "tag": Tag, "word": Word}
PLACES = ("tag", "word", "doc.n", "doc.n inline", "pages")


def items(a: int) -> list[dict[str, int]]:
    return [{"id": i, "n": a} for i in range(a % 3 + 1)]


def maker(place: str, on: str = "doc.a") -> Any:
    """Return the trigger `aaa`, as it makes rows in a table, pages, or a value."""
    if place == "pages":

        @motion.trigger(on=on, sets="doc.part", page="part_page", name="aaa")
        def pages(a: int) -> list[int]:
            return [a, *range(a % 3)]

        return pages
    if place.startswith("doc.n"):

        @motion.trigger(on=on, sets="doc.n", name="aaa", inline=True if "inline" in place else None)
        def value(a: int) -> int:
            return a

        return value

    @motion.trigger(on=on, sets=place, name="aaa", version=place)
    def rows(a: int) -> list[dict[str, int]]:
        return items(a)

    return rows


@motion.trigger(on="doc.a", sets="tag")
def zzz(a: int) -> list[dict[str, int]]:
    return [{"id": i, "n": -a} for i in range(a % 2 + 1)]


def opened(open_store: OpenStore, *triggers: Any, **options: Any) -> motion.Store:
    return open_store(schemas=SCHEMAS, triggers=list(triggers), **options)


def made(store: motion.Store) -> dict[str, Any]:
    pages = [(row.id, row.part_page) for row in store.rows("doc") if row.part_page]
    named = {table: [(row.id, row.n) for row in store.rows(table)] for table in ("tag", "word")}
    return {"pages": sorted(pages), **named}


def docs(store: motion.Store) -> dict[int, int]:
    return {row.id: row.a for row in store.rows("doc") if not row.part_page}


def changed(store: motion.Store, world: random.Random) -> None:
    for _ in range(3):
        doc = world.randrange(4)
        if world.random() < 0.2:
            store.delete("doc", doc)
        else:
            store.set("doc", id=doc, a=world.choice((None, *range(9))))
        store.wait(timeout=100)


@pytest.mark.parametrize("seed", range(8))
def test_wherever_a_trigger_comes_to_make_its_rows_a_backfill_gives_what_a_recompute_does(
    open_store: OpenStore, seed: int
) -> None:
    world = random.Random(seed)
    for _ in range(4):
        place = world.choice(PLACES)
        with opened(open_store, maker(place), zzz) as store:
            changed(store, world)
    with opened(open_store, maker(place), zzz) as store:
        for name in ("aaa", "zzz"):
            store.backfill(name).wait(timeout=100)
        store.wait(timeout=100)
        found, given = made(store), docs(store)
        assert [store.status().triggers[name].stale for name in ("aaa", "zzz")] == [0, 0]
    with opened(open_store, maker(place), zzz, name="anew") as store:
        store.set_many("doc", [{"id": doc, "a": a} for doc, a in given.items()])
        store.wait(timeout=100)
        assert found == made(store)
    with opened(open_store, zzz) as store:  # those of a trigger that is gone for good go, too
        for doc in given:
            store.delete("doc", doc)
        assert made(store) == {"pages": [], "tag": [], "word": []}


def test_until_the_new_code_runs_what_the_former_made_is_there_and_told_as_stale(
    open_store: OpenStore,
) -> None:
    with opened(open_store, maker("tag"), zzz) as store:
        store.set("doc", id=1, a=3).wait()
    with opened(open_store, maker("word"), zzz) as store:
        store.wait(timeout=100)
        assert made(store)["tag"] == [(0, 3), (1, -3)]
        assert store.status().triggers["aaa"].stale == 1
        store.set("doc", id=1, a=6)
        store.wait(timeout=100)
        assert made(store) == {"pages": [], "tag": [(0, -6)], "word": [(0, 6)]}
        store.delete("doc", 1)
        assert made(store) == {"pages": [], "tag": [], "word": []}


@pytest.mark.parametrize("place", PLACES[1:])
def test_a_row_goes_with_all_that_any_code_of_a_trigger_has_made_of_it(
    open_store: OpenStore, place: str
) -> None:
    with opened(open_store, maker("tag")) as store:
        store.set_many("doc", [{"id": 1, "a": 3}, {"id": 2, "a": 4}])
        store.wait(timeout=100)
    with opened(open_store, maker(place)) as store:
        store.delete("doc", 1)
        store.forget("doc", 2)
        assert made(store) == {"pages": [], "tag": [], "word": []}


def test_what_a_former_trigger_gave_to_a_users_row_is_the_users_again(
    open_store: OpenStore,
) -> None:
    with opened(open_store, maker("tag")) as store:
        store.set("tag", id=0)
        store.set("doc", id=1, a=3)
        store.wait(timeout=100)
        assert made(store)["tag"] == [(0, 3)]
    with opened(open_store, maker("word")) as store:
        store.backfill("aaa").wait(timeout=100)
        assert made(store) == {"pages": [], "tag": [(0, None)], "word": [(0, 3)]}


def test_a_trigger_that_comes_to_be_on_another_table_is_refused_while_its_rows_are_there(
    open_store: OpenStore,
) -> None:
    with opened(open_store, maker("tag")) as store:
        store.set("doc", id=1, a=3).wait()
    with pytest.raises(
        motion.TriggerError, match=r"'aaa' made rows of 'tag' from rows of 'doc'.*'shop'"
    ):
        opened(open_store, maker("word", on="shop.a"))
    with opened(open_store, maker("tag")) as store:
        store.delete("doc", 1)
    with opened(open_store, maker("word", on="shop.a")) as store:
        store.set("shop", id=1, a=3)
        store.wait(timeout=100)
        assert made(store)["word"] == [(0, 3)]
