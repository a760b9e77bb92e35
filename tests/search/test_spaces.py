"""P9 where a key does not keep its vectors once for each state version: others than those of the version that is
searched are left out. And what `refresh=` is where it is not said."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
import pytest

import motion
from tests.conftest import OpenStore

Plane = Annotated[np.ndarray, motion.Vector(2, metric="dot")]


@dataclass
class Note:
    id: int
    text: str
    label: str
    vector: Plane
    loose: np.ndarray
    seen: str
    part: str
    part_page: int
    place: Plane


@dataclass
class Copy:
    id: int
    vector: Plane


SCHEMAS = {"note": Note, "copy": Copy}
HAS_BEGUN, MAY_GO_ON = threading.Event(), threading.Event()


@pytest.fixture(autouse=True)
def _fresh() -> Iterator[None]:
    HAS_BEGUN.clear()
    MAY_GO_ON.clear()
    yield
    MAY_GO_ON.set()


class Model(motion.Component):
    """Its vectors are (version, length of the text): under the dot product with (1, 0), a score is a version."""

    def setup(self) -> int:
        return 1

    @motion.fit(on="note.label")
    def learn(self, factor: int, rows: list[Note]) -> int:
        return factor + 1


def of(factor: int, text: str) -> np.ndarray[Any, Any]:
    return np.array([factor, len(text)], np.float32)


def hold() -> None:
    HAS_BEGUN.set()
    assert MAY_GO_ON.wait(60), "the test never let the run go on"


class Unsaid(Model):
    @motion.infer(on="note.text", sets="note.vector")
    def embed(self, factor: int, text: str) -> np.ndarray[Any, Any]:
        return of(factor, text)


class Never(Model):
    @motion.infer(on="note.text", sets="note.vector", refresh="never")
    def embed(self, factor: int, text: str) -> np.ndarray[Any, Any]:
        return of(factor, text)


class After(Model):
    @motion.infer(on="note.text", sets="note.vector", refresh="after")
    def embed(self, factor: int, text: str) -> np.ndarray[Any, Any]:
        if (factor, text) == (2, "hold"):
            hold()
        return of(factor, text)


class Loose(Model):
    @motion.infer(on="note.text", sets="note.loose")
    def embed(self, factor: int, text: str) -> np.ndarray[Any, Any]:
        return of(factor, text)


class Paged(Model):
    @motion.infer(on="note.text", sets=("note.part", "note.place"), page="part_page")
    def split(self, factor: int, text: str) -> list[tuple[str, np.ndarray[Any, Any]]]:
        return [(part, of(factor, part)) for part in text.split()]


class Copying(Model):
    @motion.infer(on="note.text", sets="copy")
    def copy(self, factor: int, text: str) -> list[dict[str, Any]]:
        return [{"vector": of(factor, text)}]


class Passive(Model):
    """Another trigger receives its state."""


@motion.trigger(on="note.text", sets="note.vector")
def embed(text: str, model: Passive) -> np.ndarray[Any, Any]:
    return of(model, text)  # type: ignore[arg-type]  # the state, not the component


KINDS = [
    pytest.param([Never()], "note.vector", id="never"),
    pytest.param([Loose()], "note.loose", id="an array that is no Vector"),
    pytest.param([Paged()], "note.place", id="pages"),
    pytest.param([Copying()], "copy.vector", id="rows of another table"),
    pytest.param([Passive(), embed], "note.vector", id="a trigger that receives the state"),
]


def opened(open_store: OpenStore, *triggers: Any) -> motion.Store:
    return open_store(schemas=SCHEMAS, triggers=triggers)


def write(store: motion.Store, *texts: str) -> None:
    for text in texts:
        store.set("note", text=text)
    store.wait(timeout=60)


def promote_next(store: motion.Store) -> None:
    (component,) = store.status().versions
    store.set("note", id=1, label=f"{len(store.model(component).versions())}")
    store.model(component).fit()
    store.wait(timeout=60)


def versions_found(reader: Any, key: str, **options: Any) -> list[int]:
    """Return the versions whose vectors a search compares, one for each hit."""
    column = key.partition(".")[2]
    hits = reader.search(key, [1, 0], k=1000, **options)
    found = [int(getattr(hit.row, column)[0]) for hit in hits]
    if column != "loose":  # whose scores are cosines
        assert [hit.score for hit in hits] == found
    return found


@pytest.mark.parametrize(("triggers", "key"), KINDS)
def test_p9_vectors_of_versions_before_are_left_out_of_a_search(
    open_store: OpenStore, triggers: list[Any], key: str
) -> None:
    store = opened(open_store, *triggers)
    write(store, "a", "b")
    before = versions_found(store, key)
    promote_next(store)
    write(store, "c")
    narrow = versions_found(store, key, where="id > 0")
    assert (before, versions_found(store, key), narrow) == ([1, 1], [2], [2])


@pytest.mark.parametrize(("triggers", "key"), KINDS)
def test_p9_after_a_rollback_the_vectors_of_that_version_are_compared_again(
    open_store: OpenStore, triggers: list[Any], key: str
) -> None:
    store = opened(open_store, *triggers)
    write(store, "a", "b")
    promote_next(store)
    write(store, "c")
    (component,) = store.status().versions
    store.model(component).rollback()
    store.wait(timeout=60)
    assert versions_found(store, key) == [1, 1]


def test_p9_while_vectors_are_remade_after_a_switch_only_remade_ones_are_compared(
    open_store: OpenStore,
) -> None:
    store = opened(open_store, After())
    write(store, "a", "hold", "c")
    store.set("note", id=1, label="x")
    store.model("After").fit()
    assert HAS_BEGUN.wait(60)
    during = set(versions_found(store, "note.vector"))
    MAY_GO_ON.set()
    store.wait(timeout=60)
    assert during <= {2}
    assert versions_found(store, "note.vector") == [2, 2, 2]


def test_a_users_vector_is_compared_with_those_of_any_version(open_store: OpenStore) -> None:
    store = opened(open_store, Never())
    write(store, "a", "b")
    store.set("note", id=2, vector=np.array([9, 9], np.float32))
    promote_next(store)
    assert versions_found(store, "note.vector") == [9]


def test_what_is_left_out_as_a_vector_is_found_as_a_text(open_store: OpenStore) -> None:
    store = opened(open_store, Never())
    write(store, "red dress", "red hat")
    promote_next(store)
    hits = store.search(["note.vector", "note.text"], [1, 0], text="red", k=9)
    assert sorted(hit.id for hit in hits) == [1, 2]


def test_p9_a_view_of_the_live_version_keeps_to_it_whatever_goes_live(
    open_store: OpenStore,
) -> None:
    store = opened(open_store, Never())
    write(store, "a", "b")
    with store.model("Never").live() as (factor, view):
        promote_next(store)
        write(store, "c")
        assert (factor, versions_found(view, "note.vector")) == (1, [1, 1])


# -- where refresh= is not said --


def test_p9_vectors_declared_as_such_are_remade_and_switched_without_being_asked_to(
    open_store: OpenStore,
) -> None:
    store = opened(open_store, Unsaid())
    write(store, "a", "b")
    promote_next(store)
    assert versions_found(store, "note.vector") == [2, 2]


@pytest.mark.parametrize(
    ("sets", "options"),
    [
        ("loose", {}),
        ("seen", {}),
        ("vector", {"discard_after": 60}),
        ("vector", {"discard_beyond": 9}),
    ],
)
def test_all_else_stays_as_it_was_answered(
    open_store: OpenStore, sets: str, options: dict[str, Any]
) -> None:
    class Answers(Model):
        @motion.infer(on="note.text", sets=f"note.{sets}", **options)
        def answer(self, factor: int, text: str) -> Any:
            return f"{factor}" if sets == "seen" else of(factor, text)

    store = opened(open_store, Answers())
    write(store, "a")
    promote_next(store)
    (row,) = store.rows("note")
    assert float(getattr(row, sets)[0]) == 1


# -- another refresh= for what is there --


def moved(refresh: Any) -> motion.Component:
    class Moved(Model):
        @motion.infer(on="note.text", sets=("note.vector", "note.seen"), refresh=refresh)
        def embed(self, factor: int, text: str) -> tuple[np.ndarray[Any, Any], str]:
            return of(factor, text), f"{factor}"

    return Moved()


def test_values_are_kept_when_they_are_kept_by_version_from_now_on(open_store: OpenStore) -> None:
    store = opened(open_store, moved("never"))
    write(store, "a", "b")
    store.set("note", id=2, vector=np.array([9, 9], np.float32), seen="mine")
    assert versions_found(store, "note.vector") == [9, 1]
    store.close()
    store = opened(open_store, moved("before"))
    at_once = versions_found(store, "note.vector")
    seen = [(row.seen, row.vector.tolist()) for row in store.rows("note")]
    explained = store.explain("note", 1, "vector")
    store.wait(timeout=60)
    assert (at_once, seen) == ([9, 1], [("1", [1, 1]), ("mine", [9, 9])])
    assert (explained.made_by, explained.version, explained.is_due) == ("Moved.embed", 1, False)
    assert store.plan("Moved.embed").current == 1
    promote_next(store)
    write(store, "c")
    assert versions_found(store, "note.vector") == [9, 2, 2]  # a user's stays


def test_values_of_versions_before_are_remade_when_they_are_kept_by_version_from_now_on(
    open_store: OpenStore,
) -> None:
    store = opened(open_store, moved("never"))
    write(store, "a", "b")
    promote_next(store)
    write(store, "c")
    before = versions_found(store, "note.vector")
    store.close()
    store = opened(open_store, moved("before"))
    store.wait(timeout=60)
    assert (before, versions_found(store, "note.vector")) == ([2], [2, 2, 2])
    store.model("Moved").rollback()
    store.wait(timeout=60)
    assert versions_found(store, "note.vector") == [1, 1, 1]


@pytest.mark.parametrize("refresh", ["never", "after"])
def test_the_live_versions_values_are_kept_when_they_are_kept_on_their_rows_from_now_on(
    open_store: OpenStore, refresh: Any
) -> None:
    store = opened(open_store, moved("before"))
    write(store, "a", "b")
    promote_next(store)
    found = [versions_found(store, "note.vector")]
    store.close()
    for other in (refresh, "before", refresh):
        store = opened(open_store, moved(other))
        store.wait(timeout=60)
        found.append(versions_found(store, "note.vector"))
        store.close()
    assert found == [[2, 2]] * 4
    store = opened(open_store, moved(refresh))
    promote_next(store)
    assert versions_found(store, "note.vector") == ([3, 3] if refresh == "after" else [])


@pytest.mark.parametrize(("first", "second"), [("never", "before"), ("before", "never")])
def test_p9_a_candidate_on_its_way_goes_live_whole_although_outputs_move(
    open_store: OpenStore, first: Any, second: Any
) -> None:
    def pair(refresh: Any) -> motion.Component:
        class Pair(Model):
            @motion.infer(on="note.text", sets="note.vector", refresh="before")
            def embed(self, factor: int, text: str) -> np.ndarray[Any, Any]:
                if factor == 2:
                    hold()
                return of(factor, text)

            @motion.infer(on="note.text", sets="note.loose", refresh=refresh)
            def embed_too(self, factor: int, text: str) -> np.ndarray[Any, Any]:
                if factor == 2:
                    hold()
                return of(factor, text)

        return Pair()

    store = opened(open_store, pair(first))
    write(store, "a", "b")
    store.set("note", id=1, label="x")
    store.model("Pair").fit()
    assert HAS_BEGUN.wait(60)
    store.close()
    MAY_GO_ON.set()
    store = opened(open_store, pair(second))
    store.wait(timeout=60)
    assert [version.status for version in store.model("Pair").versions()] == ["retired", "live"]
    assert versions_found(store, "note.vector") == [2, 2]
    assert versions_found(store, "note.loose") == ([2, 2] if second == "before" else [])


def test_p9_an_index_that_is_in_memory_follows_outputs_that_move(open_store: OpenStore) -> None:
    store = opened(open_store, moved("never"))
    write(store, "a", "bb")
    found = []
    for length, refresh in ((1, "before"), (3, "never"), (3, "before"), (5, "never")):
        store.set("note", id=1, text="a" * length).wait()
        found.append([hit.score for hit in store.search("note.vector", [0, 1], k=9)])
        assert opened(open_store, moved(refresh)) is store
    found.append([hit.score for hit in store.search("note.vector", [0, 1], k=9)])
    assert found == [[2, 1], [3, 2], [3, 2], [5, 2], [5, 2]]


def test_outputs_of_versions_are_gone_where_none_are_kept_by_version(open_store: OpenStore) -> None:
    store = opened(open_store, moved("before"))
    write(store, "a", "b")
    promote_next(store)
    store.close()
    store = opened(open_store, moved("never"))
    count = store.sql('SELECT COUNT(*) AS n FROM "motion_outputs_Moved.embed"')
    assert count.column("n").to_pylist() == [0]


# -- ids beside versions --


@dataclass
class Photo:
    id: int
    text: str
    vector: Plane


class Eye(motion.Component):
    def setup(self) -> int:
        return 1

    @motion.infer(on="photo.text", sets="photo.vector")
    def see(self, factor: int, text: str) -> np.ndarray:
        return np.array([factor, len(text)], np.float32)


class Forgetful(motion.Component):
    def setup(self) -> int:
        return 1

    @motion.infer(on="photo.text", sets="photo.vector", refresh="never")
    def see(self, factor: int, text: str) -> np.ndarray:
        return np.array([factor, len(text)], np.float32)


LARGEST = 2**40 - 1


@pytest.mark.parametrize("row", [0, LARGEST])
def test_the_smallest_and_the_largest_id_have_vectors_of_a_version(
    open_store: OpenStore, row: int
) -> None:
    store = open_store(schemas={"photo": Photo}, triggers=[Eye()])
    store.set("photo", id=row, text="abc").wait()
    assert [(hit.id, hit.score) for hit in store.search("photo.vector", [0, 1])] == [(row, 3)]


@pytest.mark.parametrize("row", [-1, LARGEST + 1, 1 - 2**63, 2**63 - 1])
def test_an_id_that_leaves_no_room_for_a_version_is_refused(
    open_store: OpenStore, row: int
) -> None:
    store = open_store(schemas={"photo": Photo}, triggers=[Eye()])
    writes: list[Callable[[], Any]] = [
        lambda: store.set("photo", id=row, text="abc"),
        lambda: store.set_many("photo", [{"id": 1, "text": "a"}, {"id": row, "text": "b"}]),
    ]
    for write in writes:
        with pytest.raises(
            (motion.InvalidValue, motion.BadRows),
            match=r"from 0 to 1099511627775 as long as Eye.see",
        ):
            write()
    assert store.rows("photo") == []


def test_a_table_with_such_an_id_cannot_begin_to_keep_versions(open_store: OpenStore) -> None:
    with open_store(schemas={"photo": Photo}, triggers=[Forgetful()]) as store:
        store.set("photo", id=-1, text="abc").wait()
        assert store.search("photo.vector", [0, 1])[0].id == -1
    with pytest.raises(motion.InvalidValue, match="was given -1"):
        open_store(schemas={"photo": Photo}, triggers=[Eye()])
