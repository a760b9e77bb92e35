"""Triggers on deletions: once for each row that goes, with what it held, whichever way it goes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
import pytest

import motion
from tests.conftest import OpenStore


@dataclass
class Shop:
    id: int
    name: str
    shelf: str
    vector: Annotated[np.ndarray, motion.Vector(2)]


@dataclass
class Ask:
    id: int
    query: str
    idea: str
    idea_page: int
    score: int


@dataclass
class Part:
    id: int
    text: str


@dataclass
class Gone:
    """What a trigger on deletions noted."""

    id: int
    what: str
    detail: str
    page: Annotated[int, motion.Key(page=False)]


SCHEMAS = {"shop": Shop, "ask": Ask, "part": Part, "gone": Gone}


@motion.trigger(on=motion.deleted("shop"))
def note_shop(id: int, name: str, store: motion.View) -> None:
    store.set("gone", what=f"shop {id}", detail=name or "no name")


@motion.trigger(on=motion.deleted(Ask))
def note_ask(id: int, query: str, idea: str, idea_page: int, store: motion.View) -> None:
    store.set("gone", what=f"ask {id}", detail=f"{query}: {idea}", page=idea_page)


@motion.trigger(on=motion.deleted("part"))
def note_part(text: str, store: motion.View) -> None:
    store.set("gone", what="part", detail=text)


@motion.trigger(on="ask.query", sets="ask.idea", page="idea_page")
def ideas(query: str) -> list[str]:
    return query.split()


@motion.trigger(on="shop.shelf", sets="part")
def parts(shelf: str) -> list[dict[str, str]]:
    return [{"text": text} for text in shelf.split()]


def opened(open_store: OpenStore, *triggers: Any, **options: Any) -> motion.Store:
    return open_store(schemas=SCHEMAS, triggers=triggers, **options)


def gone(store: motion.Store) -> list[tuple[str, str]]:
    return sorted((row.what, row.detail) for row in store.rows("gone"))


def test_a_deleted_rows_last_values_are_given(open_store: OpenStore) -> None:
    store = opened(open_store, note_shop)
    store.set("shop", id=7, name="old")
    store.set("shop", id=7, name="Revolve")
    store.delete("shop", 7).wait()
    assert gone(store) == [("shop 7", "Revolve")]
    assert store.get("shop", 7) is None


def test_a_key_that_was_unset_is_none_and_nobody_waits_for_it(open_store: OpenStore) -> None:
    store = opened(open_store, note_shop)
    store.set("shop", id=7)
    store.delete("shop", 7).wait()
    assert gone(store) == [("shop 7", "no name")]


def test_deleting_what_is_not_there_runs_nothing(open_store: OpenStore) -> None:
    store = opened(open_store, note_shop)
    store.delete("shop", 7).wait()
    assert gone(store) == []


def test_the_whole_row_is_given_as_an_instance_of_its_schema(open_store: OpenStore) -> None:
    seen: list[Any] = []

    @motion.trigger(on=motion.deleted("shop"))
    def note(row: Shop) -> None:
        seen.append(row)

    store = opened(open_store, note)
    store.set("shop", id=7, name="Revolve", vector=np.array([1, 2], np.float32))
    store.delete("shop", 7).wait()
    assert isinstance(seen[0], Shop)
    assert vars(seen[0]).items() >= {"id": 7, "name": "Revolve", "shelf": None}.items()
    assert seen[0].vector.tolist() == [1, 2]


def test_each_page_is_a_row_that_goes_with_what_it_inherits(open_store: OpenStore) -> None:
    store = opened(open_store, ideas, note_ask)
    store.set("ask", id=1, query="red dress").wait()
    store.delete("ask", 1).wait()
    assert gone(store) == [("ask 1", "red dress: dress"), ("ask 1", "red dress: red")]
    assert sorted(row.page for row in store.rows("gone")) == [0, 1]


def test_when_can_choose_one_page_of_an_id(open_store: OpenStore) -> None:
    @motion.trigger(on=motion.deleted("ask"), when=lambda row: row.idea_page == 0)
    def once(id: int, store: motion.View) -> None:
        store.set("gone", what=f"ask {id}")

    store = opened(open_store, ideas, once)
    store.set("ask", id=1, query="a long red dress").wait()
    store.delete("ask", 1).wait()
    store.wait(timeout=60)
    assert len(store.rows("gone")) == 1


def test_a_page_that_a_fan_out_no_longer_makes_is_deleted(open_store: OpenStore) -> None:
    store = opened(open_store, ideas, note_ask)
    store.set("ask", id=1, query="red dress").wait()
    store.set("ask", id=1, query="shoes").wait()
    assert [(what, detail.split()[-1]) for what, detail in gone(store)] == [("ask 1", "dress")]


def test_a_row_that_was_made_from_a_deleted_one_is_deleted_too(open_store: OpenStore) -> None:
    store = opened(open_store, parts, note_part, note_shop)
    store.set("shop", id=1, name="Revolve", shelf="shoes hats").wait()
    store.delete("shop", 1).wait()
    assert gone(store) == [("part", "hats"), ("part", "shoes"), ("shop 1", "Revolve")]


def test_rows_that_are_pruned_are_deleted(open_store: OpenStore) -> None:
    store = opened(open_store, note_shop)
    rows = [{"id": i, "name": f"n{i}", "shelf": "a"} for i in range(300)]
    store.set_many("shop", rows)
    store.set_many("shop", rows[:100], prune="shelf").wait()
    store.wait(timeout=60)
    assert gone(store) == sorted((f"shop {i}", f"n{i}") for i in range(100, 300))


def test_a_batch_trigger_is_handed_many_deletions_at_once(open_store: OpenStore) -> None:
    sizes = []

    @motion.trigger(on=motion.deleted("shop"), batch=64)
    def note(id: list[int], store: motion.View) -> list[None]:
        sizes.append(len(id))
        store.set_many("gone", [{"what": str(each)} for each in id])
        return [None] * len(id)

    store = opened(open_store, note, run=False)
    store.set_many("shop", [{"id": i, "shelf": "a"} for i in range(200)])
    store.set_many("shop", [{"id": 0, "shelf": "a"}], prune="shelf")
    store.close()
    store = opened(open_store, note)
    store.wait(timeout=60)
    assert len(store.rows("gone")) == 199
    assert max(sizes) == 64


def test_an_event_is_durable_with_its_delete_and_runs_once(open_store: OpenStore) -> None:
    store = opened(open_store, note_shop, run=False)
    store.set("shop", id=7, name="Revolve")
    change = store.delete("shop", 7)
    store.close()
    store = opened(open_store, note_shop)
    store.change(change.key).wait()
    assert gone(store) == [("shop 7", "Revolve")]
    store.close()
    store = opened(open_store, note_shop)
    store.wait(timeout=60)
    assert gone(store) == [("shop 7", "Revolve")]


def test_a_transaction_that_is_undone_deletes_nothing_and_runs_nothing(
    open_store: OpenStore,
) -> None:
    store = opened(open_store, note_shop)
    store.set("shop", id=7, name="Revolve")

    def changed_their_mind() -> None:
        with store.transaction() as tx:
            tx.delete("shop", 7)
            raise RuntimeError("no, keep it")

    with pytest.raises(RuntimeError, match="keep it"):
        changed_their_mind()
    store.wait(timeout=60)
    assert gone(store) == []


def test_a_row_deleted_twice_is_two_events_with_their_own_values(open_store: OpenStore) -> None:
    store = opened(open_store, note_shop, run=False)
    for name in ("first", "second"):
        store.set("shop", id=7, name=name)
        store.delete("shop", 7)
    store.set("shop", id=7, name="third")
    store.close()
    store = opened(open_store, note_shop)
    store.wait(timeout=60)
    assert gone(store) == [("shop 7", "first"), ("shop 7", "second")]


def test_a_failed_event_is_set_aside_with_the_row_and_can_be_tried_again(
    open_store: OpenStore,
) -> None:
    is_broken = [True]

    @motion.trigger(on=motion.deleted("ask"), retries=1)
    def note(id: int, idea: str, store: motion.View) -> None:
        if is_broken and idea == "red":
            raise ValueError("the remote index is away")
        store.set("gone", what=f"ask {id}", detail=idea)

    store = opened(open_store, ideas, note)
    store.set("ask", id=1, query="red dress").wait()
    with pytest.raises(motion.TaskFailed, match="failed on ask id=1 idea_page=0"):
        store.delete("ask", 1).wait()
    (letter,) = store.errors()
    assert (letter.table, letter.row, letter.attempts) == ("ask", "id=1 idea_page=0", 2)
    assert "idea='red'" in letter.inputs
    assert gone(store) == [("ask 1", "dress")]
    is_broken.clear()
    assert store.retry() == 1
    store.wait(timeout=60)
    assert gone(store) == [("ask 1", "dress"), ("ask 1", "red")]


def test_nothing_of_an_event_is_left_when_it_is_over_or_cancelled(open_store: OpenStore) -> None:
    copies = """select count(*) as left from "motion_rows_note_shop:deleted:shop" """
    store = opened(open_store, note_shop, run=False)
    store.set_many("shop", [{"id": i, "name": "x"} for i in range(4)])
    store.delete("shop", 0)
    cancelled = store.delete("shop", 1)
    store.delete("shop", 2)
    assert store.sql(copies)["left"].to_pylist() == [3]
    cancelled.cancel()
    assert store.sql(copies)["left"].to_pylist() == [2]
    store.close()
    store = opened(open_store, note_shop)
    store.wait(timeout=60)
    assert gone(store) == [("shop 0", "x"), ("shop 2", "x")]
    assert store.sql(copies)["left"].to_pylist() == [0]


def test_events_beyond_what_may_wait_are_over(open_store: OpenStore) -> None:
    copies = """select count(*) as left from "motion_rows_note:deleted:shop" """

    @motion.trigger(on=motion.deleted("shop"), discard_beyond=2)
    def note(id: int, store: motion.View) -> None:
        store.set("gone", what=f"shop {id}")

    store = opened(open_store, note, run=False)
    store.set_many("shop", [{"id": i, "shelf": "a"} for i in range(6)])
    store.set_many("shop", [{"id": 0, "shelf": "a"}], prune="shelf")
    assert store.sql(copies)["left"].to_pylist() == [2]
    store.close()
    store = opened(open_store, note)
    store.wait(timeout=60)
    assert sorted(row.what for row in store.rows("gone")) == ["shop 4", "shop 5"]


def test_several_triggers_may_run_on_the_deletions_of_one_table(open_store: OpenStore) -> None:
    @motion.trigger(on=motion.deleted("shop"))
    def other(id: int, store: motion.View) -> None:
        store.set("gone", what=f"other {id}")

    store = opened(open_store, note_shop, other)
    store.set("shop", id=7, name="Revolve")
    store.delete("shop", 7).wait()
    assert [row.what for row in store.rows("gone", order_by="what")] == ["other 7", "shop 7"]


def test_a_key_that_the_schema_gains_is_given_from_then_on(open_store: OpenStore) -> None:
    store = opened(open_store, note_shop, run=False)
    store.set("shop", id=7, name="Revolve")
    store.delete("shop", 7)
    store.close()

    @dataclass
    class Grown(Shop):
        city: str = ""

    @motion.trigger(on=motion.deleted("shop"), name="note_shop")
    def note(id: int, city: str, store: motion.View) -> None:
        store.set("gone", what=f"shop {id}", detail=city or "no city")

    store = open_store(schemas={**SCHEMAS, "shop": Grown}, triggers=[note])
    store.set("shop", id=8, city="Paris")
    store.delete("shop", 8).wait()
    store.wait(timeout=60)
    assert gone(store) == [("shop 7", "no city"), ("shop 8", "Paris")]


def test_the_live_versions_value_of_a_key_kept_by_version_is_given(open_store: OpenStore) -> None:
    seen = []

    class Model(motion.Component):
        def setup(self) -> dict[str, float]:
            return {"factor": 3.0}

        @motion.infer(on="shop.name", sets="shop.vector", refresh="before")
        def embed(self, state: dict[str, float], name: str) -> np.ndarray:
            return np.array([state["factor"], len(name)], np.float32)

    @motion.trigger(on=motion.deleted("shop"))
    def note(vector: np.ndarray) -> None:
        seen.append(vector.tolist())

    store = opened(open_store, Model(), note)
    store.set("shop", id=7, name="Revolve").wait()
    store.delete("shop", 7).wait()
    assert seen == [[3, 7]]


def test_a_trigger_on_deletions_that_deletes_on_is_followed_by_what_that_deletes(
    open_store: OpenStore,
) -> None:
    @motion.trigger(on=motion.deleted("shop"))
    def chain(id: int, store: motion.View) -> None:
        store.set("gone", what=f"shop {id}")
        store.delete("shop", id + 1)

    store = opened(open_store, chain)
    store.set_many("shop", [{"id": i} for i in range(5)])
    store.delete("shop", 0).wait()
    assert [row.what for row in store.rows("gone", order_by="what")] == [
        f"shop {i}" for i in range(5)
    ]


@pytest.mark.parametrize(
    ("on", "function", "options", "said"),
    [
        ("shopp", lambda id: None, {}, "Did you mean 'shop'"),
        ("shop", lambda idd: None, {}, "Did you mean 'id'"),
        ("shop", lambda id: None, {"sets": "shop.name"}, "sets= does not go with it"),
        ("shop", lambda id: None, {"sets": "part"}, "sets= does not go with it"),
        ("shop", lambda row: None, {"batch": 2}, "batch="),
        ("shop", lambda id: None, {"inline": True}, "inline=True"),
    ],
)
def test_what_an_event_has_no_place_for_is_refused(
    on: str, function: Any, options: dict[str, Any], said: str, open_store: OpenStore
) -> None:
    trigger = motion.trigger(on=motion.deleted(on), name="note", **options)(function)
    with pytest.raises(motion.TriggerError, match=said):
        opened(open_store, trigger)


def test_deleted_takes_a_table_only() -> None:
    with pytest.raises(motion.SchemaError, match="not 7"):
        motion.deleted(7)  # type: ignore[arg-type]  # that is the point


def test_there_is_nothing_to_remake_of_events(open_store: OpenStore) -> None:
    store = opened(open_store, note_shop)
    for refused in (store.plan, store.backfill):
        with pytest.raises(motion.TriggerError, match="runs on events"):
            refused(note_shop)
