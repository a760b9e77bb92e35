"""Rows that triggers make in another table: exactly what the last runs give, whoever makes them and in whichever order."""

from __future__ import annotations

import contextvars
import itertools
import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass, make_dataclass
from datetime import UTC, datetime
from typing import Annotated, Any

import pytest

import motion
from motion.testing import Stepper
from tests.conftest import OpenStore


@dataclass
class Doc:
    id: int
    text: str
    more: str


@dataclass
class Page:
    id: str
    part: int
    part_page: int
    text: str


@dataclass
class Chunk:
    id: int
    word: str
    link: str
    upper: str
    vote: int
    rank: int = 7


@dataclass
class Tag:
    id: str
    letters: int
    source: str
    color: str
    vote: int


SCHEMAS = {"doc": Doc, "page": Page, "chunk": Chunk, "tag": Tag}


def linked(word: str) -> dict[str, Any]:
    """Give keys that only some words have: as None, or left out."""
    item: dict[str, Any] = {"word": word, "link": word if word.startswith("http") else None}
    return item | ({"rank": 1} if word.endswith("!") else {})


@motion.trigger(on="doc.text", sets="chunk", inline=False)
def chunks(text: str) -> list[dict[str, Any]]:
    return [linked(word) for word in text.split()]


@motion.trigger(on="chunk.link", sets="chunk.upper", inline=False)
def upper(link: str) -> str:
    return link.upper()


@motion.trigger(on="doc.text", sets="tag")
def tags(id: int, text: str) -> list[dict[str, Any]]:
    return [{"id": word, "letters": len(word), "source": f"doc {id}"} for word in text.split()]


@motion.trigger(on="doc.more", sets="tag")
def colors(more: str) -> list[dict[str, Any]]:
    return [{"id": word, "color": word.upper(), "source": "colors"} for word in more.split()]


@pytest.fixture
def store(open_store: OpenStore) -> motion.Store:
    return open_store(schemas=SCHEMAS, triggers=[chunks, upper, tags, colors])


def tagged(store: motion.Store) -> dict[str, tuple[Any, ...]]:
    return {tag.id: (tag.letters, tag.source, tag.color) for tag in store.rows("tag")}


def shown(store: motion.Store) -> list[tuple[Any, ...]]:
    return [(each.word, each.link, each.upper, each.rank) for each in store.rows("chunk")]


def ask(store: motion.Store, text: str | None, id: int = 1) -> None:
    store.set("doc", id=id, text=text).wait()


# -- what a result gives no more --


def test_p4_what_the_new_result_gives_as_none_is_unset_with_what_follows(
    store: motion.Store,
) -> None:
    ask(store, "http://secret b")
    ask(store, "a b")
    assert shown(store) == [("a", None, None, 7), ("b", None, None, 7)]


def test_p4_what_the_new_result_leaves_out_has_its_default_again(store: motion.Store) -> None:
    ask(store, "now! then")
    ask(store, "now then!")
    assert [(each.word, each.rank) for each in store.rows("chunk")] == [("now", 7), ("then!", 1)]


@motion.trigger(on="doc.text", sets="chunk")
def pairs(text: str) -> list[dict[str, Any]]:
    word, _, link = text.partition("=")
    return [{"word": word} | ({"link": link} if link else {})]


@motion.trigger(on="doc.text", sets="chunk")
def pairs_with_none(text: str) -> list[dict[str, Any]]:
    word, _, link = text.partition("=")
    return [{"word": word, "link": link or None}]


@pytest.mark.parametrize("trigger", [pairs, pairs_with_none])
def test_p4_a_key_that_alone_is_given_no_more_is_unset(open_store: OpenStore, trigger: Any) -> None:
    store = open_store(schemas=SCHEMAS, triggers=[trigger, upper])
    ask(store, "a=x")
    ask(store, "a")
    assert shown(store) == [("a", None, None, 7)]


def test_an_item_keeps_the_time_at_which_its_row_was_made(open_store: OpenStore) -> None:
    @dataclass
    class Timed:
        id: int
        ts: int
        word: str

    @motion.trigger(on="doc.text", sets="timed")
    def times(text: str) -> list[dict[str, Any]]:
        return [{"word": word} for word in text.split()]

    store = open_store(schemas={"doc": Doc, "timed": Timed}, triggers=[times])
    ask(store, "a")
    made = store.rows("timed")[0].ts
    ask(store, "b")
    assert [(each.ts, each.word) for each in store.rows("timed")] == [(made, "b")]


@pytest.mark.parametrize("kind", [int, datetime])
def test_an_item_without_a_time_has_that_of_the_row_it_was_made_from(
    open_store: OpenStore, kind: type
) -> None:
    """So a window over the items is as of the same moment, however late they are made."""

    window = motion.Window("word.word", by="word", agg="count")
    said = make_dataclass("Said", [("id", int), ("ts", kind), ("line_page", int), ("text", str)])
    keys = [("id", int), ("ts", kind), ("word", str), ("before", Annotated[int, window])]

    @motion.trigger(on="said.text", sets="word")
    def words(text: str) -> list[dict[str, Any]]:
        return [{"word": word} for word in text.split()]

    def at(second: int) -> Any:
        return second if kind is int else datetime(2026, 1, 1, 0, 0, second, tzinfo=UTC)

    store = open_store(
        schemas={"said": said, "word": make_dataclass("Word", keys)}, triggers=[words]
    )
    for second in (3, 1, 2):
        store.set("said", id=second, ts=at(second), text="a b")
    store.set("said", id=3, line_page=1, text="a")
    store.wait()
    found = sorted((each.word, each.ts, each.before) for each in store.rows("word"))
    assert [each[:2] for each in found] == [("a", at(n)) for n in (1, 2, 3, 3)] + [
        ("b", at(n)) for n in (1, 2, 3)
    ]
    assert [count for word, _, count in found if word == "b"] == [0, 1, 2]


def test_a_key_that_a_trigger_derives_is_not_given_by_another(open_store: OpenStore) -> None:
    @motion.trigger(on="doc.text", sets="chunk")
    def whole(text: str) -> list[dict[str, Any]]:
        return [{"word": text, "upper": text.upper()}]

    store = open_store(schemas=SCHEMAS, triggers=[whole, upper])
    store.set("doc", id=1, text="a").wait(raise_errors=False)
    assert "chunk.upper = 'A', which another trigger derives" in store.errors()[0].error
    assert store.rows("chunk") == []


def test_a_field_of_an_instance_that_has_its_default_counts_as_left_out(
    open_store: OpenStore,
) -> None:
    @dataclass
    class Note:
        id: int
        word: str
        vote: int = 0

    @motion.trigger(on="doc.text", sets="note")
    def notes(text: str) -> list[Note]:
        return [Note(None, word) for word in text.split()]  # type: ignore[arg-type]  # a new row

    store = open_store(schemas={"doc": Doc, "note": Note}, triggers=[notes])
    ask(store, "a b")
    for note in store.rows("note"):
        store.set(note, vote=5)
    ask(store, "x b")
    assert [(each.word, each.vote) for each in store.rows("note")] == [("x", 0), ("b", 5)]


# -- rows that several runs make --


def test_p6_a_row_that_two_rows_make_lives_while_one_does(store: motion.Store) -> None:
    ask(store, "red dress", 1)
    ask(store, "red shoes", 2)
    ask(store, "blue", 1)
    both = tagged(store)
    ask(store, "shoes", 2)
    assert both == {
        "blue": (4, "doc 1", None), "red": (3, "doc 2", None), "shoes": (5, "doc 2", None),
    }  # fmt: skip
    assert tagged(store) == {"blue": (4, "doc 1", None), "shoes": (5, "doc 2", None)}


@pytest.mark.parametrize("gone", [1, 2])
def test_p6_a_row_whose_maker_is_deleted_is_made_by_the_other(
    store: motion.Store, gone: int
) -> None:
    ask(store, "red", 1)
    ask(store, "red", 2)
    store.delete("doc", gone).wait()
    left = tagged(store)
    store.delete("doc", 3 - gone).wait()
    assert (left, tagged(store)) == ({"red": (3, f"doc {3 - gone}", None)}, {})


def test_p6_a_row_is_gone_when_all_its_makers_are_deleted_at_once(store: motion.Store) -> None:
    store.set_many("doc", [{"id": id, "text": "red"} for id in (1, 2, 3)]).wait()
    store.set("doc", id=4, text="sea", more="red").wait()
    with store.transaction() as tx:
        for id in (1, 2, 3):
            tx.delete("doc", id)
    assert tagged(store) == {"sea": (3, "doc 4", None), "red": (None, "colors", "RED")}


WRITES: Sequence[Callable[[motion.Store], Any]] = (
    lambda store: store.set("doc", id=1, text="red sea"),
    lambda store: store.set("doc", id=2, text="red", more="red"),
    lambda store: store.set("doc", id=3, more="sea"),
)


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_the_values_of_a_shared_row_do_not_depend_on_the_order_of_runs(
    open_store: OpenStore, order: Sequence[int]
) -> None:
    store = open_store(schemas=SCHEMAS, triggers=[tags, colors], run=False)
    with Stepper(store) as worker:
        for i in order:
            WRITES[i](store)
            worker.run_until_idle()
        assert tagged(store) == {"red": (3, "colors", "RED"), "sea": (3, "colors", "SEA")}
        store.delete("doc", 3)
        store.set("doc", id=2, more=None)
        worker.run_until_idle()
        assert tagged(store) == {"red": (3, "doc 1", None), "sea": (3, "doc 1", None)}


def test_makers_are_ordered_by_the_names_of_their_rows_not_by_when_these_were_made(
    open_store: OpenStore,
) -> None:
    @motion.trigger(on="page.text", sets="tag")
    def of_pages(id: str, part_page: int, text: str) -> list[dict[str, Any]]:
        return [{"id": text, "source": f"{id}{part_page}"}]

    store = open_store(schemas=SCHEMAS, triggers=[of_pages])
    for id, page in (("b", 0), ("a", 10), ("a", 9), ("c", 0)):
        store.set("page", id=id, part_page=page, part=1, text="red").wait()
    assert [tag.source for tag in store.rows("tag")] == ["a9"]


def test_of_two_items_of_one_result_for_one_row_the_first_counts(open_store: OpenStore) -> None:
    @motion.trigger(on="doc.text", sets="tag")
    def twice(text: str) -> list[dict[str, Any]]:
        return [{"id": word[0], "source": word} for word in text.split()]

    store = open_store(schemas=SCHEMAS, triggers=[twice])
    ask(store, "ab ac bd")
    first = tagged(store)
    ask(store, "ac bd")
    assert first == {"a": (None, "ab", None), "b": (None, "bd", None)}
    assert tagged(store) == {"a": (None, "ac", None), "b": (None, "bd", None)}


def test_p6_an_item_that_loses_its_id_leaves_a_row_that_others_make(open_store: OpenStore) -> None:
    @motion.trigger(on="doc.text", sets="chunk")
    def named(text: str) -> list[dict[str, Any]]:
        return [{"id": 5, "word": text} if text.islower() else {"word": text}]

    store = open_store(schemas=SCHEMAS, triggers=[named])
    ask(store, "a", 1)
    ask(store, "b", 2)
    ask(store, "A", 1)
    assert [(each.id, each.word) for each in store.rows("chunk")] == [(5, "b"), (6, "A")]


def test_p6_what_derives_from_a_shared_row_is_exact_too(open_store: OpenStore) -> None:
    @motion.trigger(on="tag.source", sets="chunk")
    def marks(id: str, source: str) -> list[dict[str, Any]]:
        return [{"word": f"{id} of {source}"}]

    store = open_store(schemas=SCHEMAS, triggers=[tags, marks])
    ask(store, "red", 1)
    ask(store, "red", 2)
    store.delete("doc", 1)
    store.wait(timeout=60)
    passed_on = [each.word for each in store.rows("chunk")]
    store.delete("doc", 2)
    store.wait(timeout=60)
    assert (passed_on, store.rows("chunk")) == (["red of doc 2"], [])


def test_makers_are_known_after_reopening(open_store: OpenStore) -> None:
    store = open_store(schemas=SCHEMAS, triggers=[tags])
    ask(store, "red", 1)
    ask(store, "red", 2)
    store.close()
    store = open_store(schemas=SCHEMAS, triggers=[tags])
    ask(store, "sea", 1)
    assert tagged(store) == {"red": (3, "doc 2", None), "sea": (3, "doc 1", None)}


# -- users' values and rows --


def test_a_row_whose_content_changed_loses_what_users_had_set_on_it(store: motion.Store) -> None:
    ask(store, "good fine")
    for row in store.rows("chunk"):
        store.set(row, vote=5)
    ask(store, "terrible fine")
    assert [(each.word, each.vote) for each in store.rows("chunk")] == [
        ("terrible", None),
        ("fine", 5),
    ]


def test_a_users_row_stays_and_loses_only_what_runs_gave_it(store: motion.Store) -> None:
    store.set("tag", id="red", vote=3).wait()
    ask(store, "red")
    made = store.get("tag", "red")
    ask(store, "sea")
    assert made == Tag("red", 3, "doc 1", None, 3)  # type: ignore[arg-type]  # not set
    assert store.get("tag", "red") == Tag("red", None, None, None, 3)  # type: ignore[arg-type]
    store.delete("doc", 1).wait()
    assert list(tagged(store)) == ["red"]


def test_a_users_value_beats_a_run_under_way_and_the_other_items_are_made(
    open_store: OpenStore,
) -> None:
    meanwhile: list[Callable[[], Any]] = []

    @motion.trigger(on="doc.text", sets="chunk", inline=False)
    def words(text: str) -> list[dict[str, Any]]:
        while meanwhile:
            meanwhile.pop()()
        return [{"word": word} for word in text.split()]

    store = open_store(schemas=SCHEMAS, triggers=[words], run=False)
    with Stepper(store) as worker:
        store.set("doc", id=1, text="a b")
        worker.run_until_idle()
        meanwhile.append(lambda: correct(store, "mine"))
        store.set("doc", id=1, text="c d")
        worker.run_until_idle()
        assert [each.word for each in store.rows("chunk")] == ["mine", "d"]
        store.backfill("words", force=True)
        worker.run_until_idle()
        assert [each.word for each in store.rows("chunk")] == ["mine", "d"]
        store.set("doc", id=1, text="c e")
        worker.run_until_idle()
        assert [each.word for each in store.rows("chunk")] == ["c", "e"]


def correct(store: motion.Store, word: str) -> None:
    def outside() -> None:
        store.set("chunk", id=store.rows("chunk")[0].id, word=word)

    contextvars.Context().run(outside)


def test_a_users_value_stays_when_another_maker_comes_and_goes(store: motion.Store) -> None:
    ask(store, "red", 1)
    store.set("tag", id="red", letters=99).wait()
    ask(store, "red", 2)
    ask(store, "sea", 2)
    corrected = tagged(store)["red"]
    ask(store, "red sea", 1)
    assert (corrected, tagged(store)["red"]) == ((99, "doc 1", None), (3, "doc 1", None))


def test_what_a_run_gave_is_known_after_a_users_value_when_another_maker_comes(
    store: motion.Store,
) -> None:
    ask(store, "red", 2)
    store.set("tag", id="red", letters=99).wait()
    ask(store, "red", 1)  # comes first from now on
    ask(store, None, 1)
    assert tagged(store)["red"] == (3, "doc 2", None)


def test_a_row_that_a_user_deletes_is_made_again_by_the_next_run(store: motion.Store) -> None:
    ask(store, "red sea", 1)
    ask(store, "red", 2)
    store.delete("tag", "red").wait()
    without = list(tagged(store))
    ask(store, "red blue", 2)
    assert (without, tagged(store)["red"]) == (["sea"], (3, "doc 2", None))
    ask(store, "sea", 1)
    assert sorted(tagged(store)) == ["blue", "red", "sea"]


def test_a_row_made_again_under_an_id_has_none_of_its_old_makers(open_store: OpenStore) -> None:
    @motion.trigger(on="doc.text", sets="chunk")
    def numbered(text: str) -> list[dict[str, Any]]:
        return [{"id": int(word), "word": word} for word in text.split()]

    store = open_store(schemas=SCHEMAS, triggers=[numbered])
    ask(store, "5", 1)
    ask(store, "5", 2)
    store.delete("chunk", 5).wait()
    store.set("chunk", id=5, vote=1).wait()
    ask(store, "6", 1)
    assert [(each.id, each.word) for each in store.rows("chunk")] == [(5, None), (6, "6")]


# -- stores of old --


def as_of_old(store: motion.Store) -> None:
    """Close a store, and take from it what older versions did not keep."""
    folder = store._database.backend.folder
    store.close()
    file = sqlite3.connect(folder / "store.sqlite", isolation_level=None)
    file.execute("DROP VIEW chunk")
    for column in (":made_keys", ":own"):
        file.execute(f'ALTER TABLE motion_rows_chunk DROP COLUMN "{column}"')
    file.execute("DROP TABLE motion_makers")
    file.close()


def test_rows_that_an_older_version_made_lose_what_the_new_result_leaves_out(
    open_store: OpenStore,
) -> None:
    store = open_store(schemas=SCHEMAS, triggers=[pairs, upper])
    ask(store, "a=x")
    as_of_old(store)
    store = open_store(schemas=SCHEMAS, triggers=[pairs, upper])
    ask(store, "a")
    assert shown(store) == [("a", None, None, 7)]


def test_a_users_value_on_a_row_that_an_older_version_made_stays(open_store: OpenStore) -> None:
    store = open_store(schemas=SCHEMAS, triggers=[pairs])
    ask(store, "a=x")
    as_of_old(store)
    store = open_store(schemas=SCHEMAS, triggers=[pairs])
    store.set(store.rows("chunk")[0], word="mine").wait()
    store.backfill("pairs", force=True).wait()
    assert [(each.word, each.link) for each in store.rows("chunk")] == [("mine", "x")]
