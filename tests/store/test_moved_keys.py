"""Keys that are moved over a page key in their dataclass: what pages show stays, or opening is refused."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import make_dataclass
from typing import Annotated, Any

import pytest

import motion
from tests.conftest import OpenStore

Field = tuple[str, Any]
ID, TEXT, PAGE, PART = ("id", int), ("text", str), ("page", int), ("part", str)
IMG = ("img_page", int)


def schemas(*fields: Field) -> dict[str, type]:
    return {"doc": make_dataclass("Doc", [ID, *fields])}


def shown(store: motion.Store) -> list[dict[str, Any]]:
    return [vars(row) for row in store.rows("doc", order_by="id, page, img_page")]


def write(store: motion.Store, world: random.Random) -> None:
    for _ in range(4):
        pages: dict[str, Any] = {
            "page": world.choice((0, 0, 1, 2)),
            "img_page": world.choice((0, 0, 1)),
        }
        values: dict[str, Any] = {
            key: world.choice(("x", "y")) for key in "abc" if world.random() < 0.5
        }
        store.set("doc", id=world.choice((1, 2)), **pages, **values)


@pytest.mark.parametrize("seed", range(30))
def test_whatever_way_keys_are_moved_pages_show_what_they_did_or_opening_is_refused(
    open_store: OpenStore, seed: int
) -> None:
    world = random.Random(seed)
    before: Sequence[Field] = [PAGE, IMG, *((key, str) for key in "abc")]
    before = world.sample(before, len(before))
    with open_store(schemas=schemas(*before)) as store:
        write(store, world)
        there = shown(store)
    try:
        with open_store(schemas=schemas(*world.sample(before, len(before)))) as store:
            assert shown(store) == there
    except motion.SchemaMismatch:
        assert any(row["page"] or row["img_page"] for row in there)
    with open_store(schemas=schemas(*before)) as store:
        assert shown(store) == there


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        ([TEXT, PAGE], [PAGE, TEXT], "one value for all pages.*for each page.*before page"),
        ([PAGE, TEXT], [TEXT, PAGE], r"for each page.*one value.*motion.Key\(level='page'\)"),
        ([("text", Annotated[str, motion.Key(level="page")]), PAGE], [TEXT, PAGE], "level='page'"),
    ],
)
def test_what_is_moved_is_told_with_what_to_do(
    open_store: OpenStore, before: Sequence[Field], after: Sequence[Field], told: str
) -> None:
    with open_store(schemas=schemas(*before)) as store:
        store.set("doc", id=1, text="a")
        store.set("doc", id=1, page=1)
    with pytest.raises(motion.SchemaMismatch, match=f"'doc'.*text had .*{told}"):
        open_store(schemas=schemas(*after))


def test_a_level_by_hand_keeps_what_a_moved_key_means(open_store: OpenStore) -> None:
    with open_store(schemas=schemas(PAGE, TEXT)) as store:
        store.set("doc", id=1, text="a")
        store.set("doc", id=1, page=1, text="b")
    by_hand = ("text", Annotated[str, motion.Key(level="page")])
    store = open_store(schemas=schemas(by_hand, PAGE))
    assert [row.text for row in store.rows("doc")] == ["a", "b"]


def test_without_pages_beyond_0_a_key_may_be_moved_both_ways(open_store: OpenStore) -> None:
    for fields in ([TEXT, PAGE], [PAGE, TEXT], [TEXT, PAGE]):
        with open_store(schemas=schemas(*fields)) as store:
            store.set("doc", id=1, text="a")
            assert [row.text for row in store.rows("doc")] == ["a"]


def test_a_derived_key_whose_inputs_are_of_pages_may_be_declared_anywhere(
    open_store: OpenStore,
) -> None:
    @motion.trigger(on="doc.part", sets="doc.text")
    def loud(part: str) -> str:
        return part.upper()

    with open_store(schemas=schemas(TEXT, PAGE, PART), triggers=[loud]) as store:
        store.set("doc", id=1, page=1, part="p").wait()
    store = open_store(schemas=schemas(PAGE, TEXT, PART), triggers=[loud])
    assert [row.text for row in store.rows("doc")] == ["P"]
    assert store.status().triggers["loud"].stale == 0


def test_a_store_of_a_motion_that_noted_no_levels_is_opened_and_has_them_from_then_on(
    open_store: OpenStore,
) -> None:
    with open_store(schemas=schemas(PAGE, TEXT)) as store:
        store.set("doc", id=1, page=1, text="b")
        store._database.backend.write(lambda tx: tx.execute("DELETE FROM motion_declared"))
    open_store(schemas=schemas(TEXT, PAGE)).close()
    with pytest.raises(motion.SchemaMismatch, match="text"):
        open_store(schemas=schemas(PAGE, TEXT))
