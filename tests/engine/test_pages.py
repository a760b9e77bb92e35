"""Pages and owned rows: what a fan-out makes is exactly its last result, and so is all that follows from it."""

from __future__ import annotations

import contextvars
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import pytest

import motion
from motion.testing import Stepper
from tests.conftest import OpenStore


@dataclass
class Query:
    """`idea` is told apart by idea_page, `image`, `link` and `liked` by image_page too."""

    id: int
    text: str
    limit: int
    summary: str
    idea: str
    idea_page: int
    loud: str
    image: str
    image_page: int
    link: str
    liked: bool


@dataclass
class Chunk:
    id: int
    text: str
    loud: str
    note: str


@motion.trigger(on="query.text", sets="query.idea", page="idea_page")
def ideas(text: str) -> list[str]:
    """One idea for each word."""
    return text.split()


@motion.trigger(on="query.idea", sets="query.loud")
def shout(idea: str) -> str:
    return idea.upper()


@motion.trigger(on="query.idea", sets="query.image", page="image_page")
def images(idea: str) -> list[str]:
    """One image for each letter."""
    return [f"{idea}/{letter}" for letter in idea]


@motion.trigger(on="query.image", sets="query.link")
def link(image: str) -> str:
    return f"https://{image}"


def open_queries(open_store: OpenStore, *triggers: Any) -> motion.Store:
    return open_store(schemas={"query": Query, "chunk": Chunk}, triggers=triggers)


def ask(store: motion.Store, text: str | None, id: int = 1) -> None:
    store.set("query", id=id, text=text).wait()


def pages(store: motion.Store, key: str, id: int = 1) -> dict[int, Any]:
    """Return idea page -> stored value, for the rows that have image page 0."""
    rows = store.rows("query", id=id, inherit=False)
    return {row.idea_page: getattr(row, key) for row in rows if row.image_page == 0}


def fine_pages(store: motion.Store, key: str, id: int = 1) -> dict[tuple[int, int], Any]:
    rows = store.rows("query", id=id, inherit=False)
    found = {(row.idea_page, row.image_page): getattr(row, key) for row in rows}
    return {page: value for page, value in found.items() if value is not None}


# -- exact replacement --


def test_p6_a_list_makes_one_page_for_each_item(open_store: OpenStore) -> None:
    store = open_queries(open_store, ideas)
    ask(store, "red green blue")
    assert pages(store, "idea") == {0: "red", 1: "green", 2: "blue"}


def test_p6_a_shorter_result_removes_the_pages_behind_it(open_store: OpenStore) -> None:
    store = open_queries(open_store, ideas)
    ask(store, "red green blue")
    ask(store, "red")
    assert pages(store, "idea") == {0: "red"}


def test_p6_a_longer_result_adds_pages(open_store: OpenStore) -> None:
    store = open_queries(open_store, ideas)
    ask(store, "red")
    ask(store, "red green blue")
    assert pages(store, "idea") == {0: "red", 1: "green", 2: "blue"}


def test_p6_another_result_changes_the_pages_in_place(open_store: OpenStore) -> None:
    store = open_queries(open_store, ideas)
    ask(store, "red green")
    ask(store, "red blue")
    assert pages(store, "idea") == {0: "red", 1: "blue"}


def test_p6_an_empty_result_leaves_page_0_with_the_key_unset(open_store: OpenStore) -> None:
    store = open_queries(open_store, ideas)
    ask(store, "red green")
    ask(store, " ")
    assert pages(store, "idea") == {0: None}


def test_p6_unsetting_the_on_key_removes_the_pages(open_store: OpenStore) -> None:
    store = open_queries(open_store, ideas)
    ask(store, "red green")
    ask(store, None)
    assert pages(store, "idea") == {0: None}


def test_p6_pages_of_other_rows_are_left_alone(open_store: OpenStore) -> None:
    store = open_queries(open_store, ideas)
    ask(store, "red green", id=1)
    ask(store, "blue white", id=2)
    ask(store, "red", id=1)
    assert pages(store, "idea", id=2) == {0: "blue", 1: "white"}


def test_p6_a_page_that_a_user_made_is_never_removed(open_store: OpenStore) -> None:
    store = open_queries(open_store, ideas)
    ask(store, "red")
    store.set("query", id=1, idea_page=2, liked=True).wait()
    ask(store, "red green blue")
    ask(store, "red")
    assert pages(store, "idea") == {0: "red", 2: None}
    assert pages(store, "liked")[2] is True


def test_p6_what_derives_from_the_pages_is_exact_too(open_store: OpenStore) -> None:
    store = open_queries(open_store, ideas, shout)
    ask(store, "red green blue")
    ask(store, "white green")
    assert pages(store, "loud") == {0: "WHITE", 1: "GREEN"}


def test_p6_what_derives_from_an_unset_page_0_is_unset(open_store: OpenStore) -> None:
    store = open_queries(open_store, ideas, shout)
    ask(store, "red")
    ask(store, " ")
    assert pages(store, "loud") == {0: None}


def test_a_page_whose_value_changed_loses_what_users_had_set_on_it(open_store: OpenStore) -> None:
    store = open_queries(open_store, ideas)
    ask(store, "red green")
    for page in (0, 1):
        store.set("query", id=1, idea_page=page, liked=True).wait()
    ask(store, "red blue")
    assert pages(store, "liked") == {0: True, 1: None}


def test_a_page_that_is_removed_takes_what_users_set_on_it_along(open_store: OpenStore) -> None:
    store = open_queries(open_store, ideas)
    ask(store, "red green")
    store.set("query", id=1, idea_page=1, liked=True).wait()
    ask(store, "red")
    ask(store, "red green")
    assert pages(store, "liked") == {0: None, 1: None}


def test_what_users_set_on_the_row_itself_survives_a_change_of_page_0(
    open_store: OpenStore,
) -> None:
    store = open_queries(open_store, ideas)
    ask(store, "red")
    store.set("query", id=1, summary="mine", limit=3).wait()
    ask(store, "blue")
    assert store.rows("query", id=1)[0].summary == "mine"


def test_several_outputs_are_laid_out_over_pages_together(open_store: OpenStore) -> None:
    @motion.trigger(on="query.text", sets=("query.idea", "query.loud"), page="idea_page")
    def both(text: str) -> list[tuple[str, str]]:
        return [(word, word.upper()) for word in text.split()]

    store = open_queries(open_store, both)
    ask(store, "red green")
    ask(store, "blue")
    assert (pages(store, "idea"), pages(store, "loud")) == ({0: "blue"}, {0: "BLUE"})


def test_a_result_that_is_no_list_is_the_rows_error(open_store: OpenStore) -> None:
    @motion.trigger(on="query.text", sets="query.idea", page="idea_page")
    def one(text: str) -> str:
        return text

    store = open_queries(open_store, one)
    store.set("query", id=1, text="red").wait(raise_errors=False)
    assert "returns a list" in store.errors()[0].error


def test_a_failed_fan_out_leaves_the_pages_of_the_last_run(open_store: OpenStore) -> None:
    @motion.trigger(on="query.text", sets="query.idea", page="idea_page")
    def fails(text: str) -> list[str]:
        if text == "bad":
            raise RuntimeError(text)
        return text.split()

    store = open_queries(open_store, fails)
    ask(store, "red green")
    store.set("query", id=1, text="bad").wait(raise_errors=False)
    assert pages(store, "idea") == {0: "red", 1: "green"}


@pytest.mark.parametrize("is_generator", [False, True])
def test_a_users_value_of_a_page_beats_a_run_under_way_and_the_other_pages_are_made(
    open_store: OpenStore, is_generator: bool
) -> None:
    meanwhile: list[str] = []

    def listed(text: str) -> list[str]:
        while meanwhile:
            set_outside(store, 1, meanwhile.pop())
        return text.split()

    def generated(text: str) -> Iterator[str]:
        yield from listed(text)

    ideas_of = motion.trigger(
        on="query.text", sets="query.idea", page="idea_page", name="ideas_of", inline=False
    )(generated if is_generator else listed)

    store = open_store(schemas={"query": Query}, triggers=[ideas_of], run=False)
    with Stepper(store) as worker:
        store.set("query", id=1, text="a b")
        worker.run_until_idle()
        meanwhile.append("mine")
        store.set("query", id=1, text="c d e")
        worker.run_until_idle()
        assert pages(store, "idea") == {0: "c", 1: "mine", 2: "e"}
        store.backfill("ideas_of", force=True)
        worker.run_until_idle()
        assert pages(store, "idea") == {0: "c", 1: "mine", 2: "e"}
        store.set("query", id=1, text="c f")
        worker.run_until_idle()
        assert pages(store, "idea") == {0: "c", 1: "f"}


def set_outside(store: motion.Store, page: int, idea: str) -> None:
    """Set a page as somebody else does, while a function runs."""
    write = partial(store.set, "query", id=1, idea_page=page, idea=idea)
    contextvars.Context().run(write)


def test_pages_given_with_what_they_would_be_made_from_replace_the_run_each_time(
    open_store: OpenStore,
) -> None:
    called: list[str] = []

    @motion.trigger(on="query.text", sets="query.idea", page="idea_page")
    def ideas_of(text: str) -> list[str]:
        called.append(text)
        return text.split()

    store = open_store(schemas={"query": Query}, triggers=[ideas_of])
    for text in ("a b", "c d"):
        given = [{"id": 1, "idea_page": page, "idea": f"{text} {page}"} for page in range(2)]
        store.set_many("query", [{"id": 1, "text": text}, *given]).wait()
    assert (pages(store, "idea"), called) == ({0: "c d 0", 1: "c d 1"}, [])


def test_a_page_whose_value_changed_has_defaults_again(open_store: OpenStore) -> None:
    @dataclass
    class Rated:
        id: int
        text: str
        word: str
        word_page: int
        stars: int = 3

    @motion.trigger(on="rated.text", sets="rated.word", page="word_page")
    def words(text: str) -> list[str]:
        return text.split()

    store = open_store(schemas={"rated": Rated}, triggers=[words])
    store.set("rated", id=1, text="a b").wait()
    store.set("rated", id=1, word_page=1, stars=5).wait()
    store.set("rated", id=1, text="a c").wait()
    assert [row.stars for row in store.rows("rated")] == [3, 3]


# -- fan-out of fan-out --


def test_p6_a_fan_out_of_a_fan_out_has_pages_for_each_page(open_store: OpenStore) -> None:
    store = open_queries(open_store, ideas, images, link)
    ask(store, "ab c")
    assert fine_pages(store, "link") == {
        (0, 0): "https://ab/a", (0, 1): "https://ab/b", (1, 0): "https://c/c",
    }  # fmt: skip


def test_p6_a_coarse_page_that_goes_takes_its_finer_pages_along(open_store: OpenStore) -> None:
    store = open_queries(open_store, ideas, images, link)
    ask(store, "ab cde")
    ask(store, "ab")
    assert [(row.idea_page, row.image_page) for row in store.rows("query", id=1)] == [
        (0, 0), (0, 1),
    ]  # fmt: skip


def test_p6_a_coarse_page_that_changes_changes_its_finer_pages(open_store: OpenStore) -> None:
    store = open_queries(open_store, ideas, images, link)
    ask(store, "abc de")
    ask(store, "f de")
    assert fine_pages(store, "image") == {(0, 0): "f/f", (1, 0): "de/d", (1, 1): "de/e"}


def test_p6_an_unset_source_removes_the_finer_pages(open_store: OpenStore) -> None:
    store = open_queries(open_store, ideas, images, link)
    ask(store, "abc de")
    ask(store, None)
    assert fine_pages(store, "link") == {}


def test_a_page_key_before_those_of_the_inputs_is_refused(open_store: OpenStore) -> None:
    @motion.trigger(on="query.image", sets="query.idea", page="idea_page")
    def backwards(image: str) -> list[str]:
        return [image]

    with pytest.raises(motion.TriggerError, match="must come after the page keys of its inputs"):
        open_queries(open_store, backwards)


def test_an_unknown_page_key_is_named_with_the_nearest_one(open_store: OpenStore) -> None:
    @motion.trigger(on="query.text", sets="query.idea", page="idea_pages")
    def wrong(text: str) -> list[str]:
        return [text]

    with pytest.raises(motion.TriggerError, match=r"Did you mean 'idea_page'\?"):
        open_queries(open_store, wrong)


# -- inheritance --


def test_a_parameter_is_inherited_from_page_0(open_store: OpenStore) -> None:
    @motion.trigger(on="query.idea", sets="query.loud")
    def label(text: str, idea: str) -> str:
        return f"{text}: {idea}"

    store = open_queries(open_store, ideas, label)
    ask(store, "a b")
    assert pages(store, "loud") == {0: "a b: a", 1: "a b: b"}


def test_an_inherited_parameter_that_arrives_runs_all_pages_that_wait_for_it(
    open_store: OpenStore,
) -> None:
    @motion.trigger(on="query.idea", sets="query.loud")
    def cut(idea: str, limit: int) -> str:
        return idea[:limit]

    store = open_queries(open_store, ideas, cut)
    ask(store, "red green")
    store.set("query", id=1, limit=2).wait()
    assert pages(store, "loud") == {0: "re", 1: "gr"}


def test_an_inherited_on_key_runs_all_pages(open_store: OpenStore) -> None:
    @motion.trigger(on=("query.idea", "query.limit"), sets="query.loud")
    def cut(idea: str, limit: int) -> str:
        return idea[:limit]

    store = open_queries(open_store, ideas, cut)
    store.set("query", id=1, text="red green", limit=1).wait()
    store.set("query", id=1, limit=2).wait()
    assert pages(store, "loud") == {0: "re", 1: "gr"}


def test_a_row_reads_what_it_inherits(open_store: OpenStore) -> None:
    store = open_queries(open_store, ideas, images)
    ask(store, "ab cd")
    row: Any = store.get("query", 1, idea_page=1, image_page=1)
    assert (row.text, row.idea, row.image) == ("ab cd", "cd", "cd/d")


# -- generators --


def test_p6_a_generators_pages_are_exact_at_its_end(open_store: OpenStore) -> None:
    @motion.trigger(on="query.text", sets="query.idea", page="idea_page")
    def stream(text: str) -> Iterator[str]:
        yield from text.split()

    store = open_queries(open_store, stream, shout)
    ask(store, "red green blue")
    ask(store, "white red")
    assert pages(store, "idea") == {0: "white", 1: "red"}
    assert pages(store, "loud") == {0: "WHITE", 1: "RED"}


def test_p6_a_generator_that_gives_nothing_removes_the_pages(open_store: OpenStore) -> None:
    @motion.trigger(on="query.text", sets="query.idea", page="idea_page")
    def stream(text: str) -> Iterator[str]:
        yield from text.split()

    store = open_queries(open_store, stream)
    ask(store, "red green")
    ask(store, " ")
    assert pages(store, "idea") == {0: None}


def test_a_generators_pages_are_seen_one_by_one(open_store: OpenStore) -> None:
    seen = [threading.Event() for _ in range(3)]

    @motion.trigger(on="query.text", sets="query.idea", page="idea_page")
    def stream(text: str) -> Iterator[str]:
        for word, is_seen in zip(text.split(), seen, strict=True):
            yield word
            assert is_seen.wait(20), "the page was not seen while the run went on"

    store = open_queries(open_store, stream)
    change = store.set("query", id=1, text="red green blue")
    streamed = []
    for row, is_seen in zip(change.stream("idea"), seen, strict=True):
        streamed.append(row.idea)
        is_seen.set()
    assert streamed == ["red", "green", "blue"]
    assert change.errors == []


def test_the_first_page_of_a_generator_clears_those_of_the_last_run(open_store: OpenStore) -> None:
    may_end, has_begun = threading.Event(), threading.Event()

    @motion.trigger(on="query.text", sets="query.idea", page="idea_page")
    def stream(text: str) -> Iterator[str]:
        words = text.split()
        yield words[0]
        if words[0] == "white":
            has_begun.set()
            may_end.wait(20)
        yield from words[1:]

    store = open_queries(open_store, stream)
    ask(store, "red green blue")
    change = store.set("query", id=1, text="white black")
    assert has_begun.wait(20)
    during = pages(store, "idea")
    may_end.set()
    change.wait()
    assert (during, pages(store, "idea")) == ({0: "white"}, {0: "white", 1: "black"})


def breaking(broken: list[int | None]) -> Callable[..., Any]:
    """A generator that raises at a place, as long as there is one."""

    @motion.trigger(on="query.text", sets="query.idea", page="idea_page")
    def streamed(text: str) -> Iterator[str]:
        for place, word in enumerate(text.split()):
            if place == broken[0]:
                raise RuntimeError(text)
            yield word

    return streamed


def test_a_generator_that_fails_half_way_leaves_the_pages_that_came_and_says_so(
    open_store: OpenStore,
) -> None:
    broken: list[int | None] = [None]

    streamed = breaking(broken)
    store = open_queries(open_store, streamed)
    ask(store, "a b c")
    store.set("query", id=1, idea_page=2, liked=True).wait()
    seen = []
    for broken[0], text in ((2, "d e f"), (0, "g h")):
        with pytest.raises(motion.TaskFailed):
            ask(store, text)
        seen.append((pages(store, "idea"), store.explain("query", 1, "idea").is_due))
    broken[0] = None
    store.retry()
    store.wait(timeout=60)
    assert seen == [({0: "d", 1: "e"}, True), ({0: "d", 1: "e"}, True)]
    assert (pages(store, "idea"), pages(store, "liked")) == ({0: "g", 1: "h"}, {0: None, 1: None})


def test_what_derives_from_a_generators_pages_is_seen_one_by_one(open_store: OpenStore) -> None:
    seen = [threading.Event() for _ in range(3)]

    @motion.trigger(on="query.text", sets="query.idea", page="idea_page")
    def stream(text: str) -> Iterator[str]:
        for word, is_seen in zip(text.split(), seen, strict=True):
            yield word
            assert is_seen.wait(20), "the page was not seen while the run went on"

    @motion.trigger(on="query.loud", sets="query.link")
    def behind(loud: str) -> str:
        return f"{loud}!"

    store = open_queries(open_store, stream, shout, behind)
    for text in ("red green blue", "white grey black"):
        change = store.set("query", id=1, text=text)
        streamed = []
        for row, is_seen in zip(change.stream("link"), seen, strict=True):
            streamed.append(row.link)
            is_seen.set()
        assert streamed == [f"{word.upper()}!" for word in text.split()]
        assert change.errors == []
        for is_seen in seen:
            is_seen.clear()


def test_p4_what_derives_from_the_pages_that_came_before_a_generator_failed_is_of_them(
    open_store: OpenStore,
) -> None:
    broken: list[int | None] = [None]

    streamed = breaking(broken)
    store = open_queries(open_store, streamed, shout)
    ask(store, "a b c")
    seen = []
    for broken[0], text in ((2, "d e f"), (0, "g h"), (1, "i j")):
        store.set("query", id=1, text=text)
        store.wait(timeout=60)
        seen.append((pages(store, "idea"), pages(store, "loud")))
        assert store.status().triggers["shout"].stale == 0
    assert seen[0] == seen[1] == ({0: "d", 1: "e"}, {0: "D", 1: "E"})
    assert seen[2] == ({0: "i"}, {0: "I"})
    broken[0] = None
    store.retry()
    store.wait(timeout=60)
    assert pages(store, "loud") == {0: "I", 1: "J"}


def test_p4_what_takes_a_generators_first_page_does_not_run_before_that_has_come(
    open_store: OpenStore,
) -> None:
    called: list[tuple[str, str]] = []
    may_begin, is_broken = threading.Event(), threading.Event()

    @motion.trigger(on="query.text", sets="query.idea", page="idea_page")
    def streamed(text: str) -> Iterator[str]:
        if text == "new":
            assert may_begin.wait(20)
        if is_broken.is_set():
            raise RuntimeError(text)
        yield text

    @motion.trigger(on=("query.text", "query.idea"), sets="query.loud", inline=False, concurrency=2)
    def both(text: str, idea: str) -> str:
        called.append((text, idea))
        return f"{text} {idea}"

    store = open_queries(open_store, streamed, both)
    ask(store, "old")
    store.set("query", id=1, text="new")
    may_begin.set()
    store.wait(timeout=60)
    is_broken.set()
    store.set("query", id=1, text="bad")
    store.wait(timeout=60)
    assert pages(store, "loud") == {0: "new new"}
    assert set(called) == {("old", "old"), ("new", "new")}
    assert store.status().triggers["both"].stale == 1
    is_broken.clear()
    store.retry()
    store.wait(timeout=60)
    assert pages(store, "loud") == {0: "bad bad"}


def test_p3_a_generator_whose_input_changed_writes_no_more_pages(open_store: OpenStore) -> None:
    may_go_on, has_begun = threading.Event(), threading.Event()

    @motion.trigger(on="query.text", sets="query.idea", page="idea_page", concurrency=2)
    def stream(text: str) -> Iterator[str]:
        for word in text.split():
            yield word
            if word == "old":
                has_begun.set()
                may_go_on.wait(20)

    store = open_queries(open_store, stream)
    old = store.set("query", id=1, text="old and long result")
    assert has_begun.wait(20)
    store.set("query", id=1, text="new").wait("idea")
    may_go_on.set()
    old.wait()
    assert pages(store, "idea") == {0: "new"}


# -- rows of another table --


@motion.trigger(on="query.text", sets="chunk")
def cut(text: str) -> list[dict[str, str]]:
    return [{"text": word} for word in text.split()]


@motion.trigger(on="chunk.text", sets="chunk.loud")
def shout_chunk(text: str) -> str:
    return text.upper()


def chunks(store: motion.Store) -> list[tuple[int, str]]:
    return [(chunk.id, chunk.text) for chunk in store.rows("chunk")]


def test_p6_rows_of_another_table_are_exactly_the_last_result(open_store: OpenStore) -> None:
    store = open_queries(open_store, cut)
    ask(store, "a b c")
    ask(store, "d b")
    assert [text for _, text in chunks(store)] == ["d", "b"]


def test_p6_item_i_keeps_its_id(open_store: OpenStore) -> None:
    store = open_queries(open_store, cut)
    ask(store, "a b c")
    before = chunks(store)
    ask(store, "a x")
    ask(store, "a x c d")
    after = chunks(store)
    assert (after[0], after[1][0]) == (before[0], before[1][0])


def test_p6_what_derives_from_owned_rows_is_exact_too(open_store: OpenStore) -> None:
    store = open_queries(open_store, cut, shout_chunk)
    ask(store, "a b c")
    ask(store, "d b")
    assert [chunk.loud for chunk in store.rows("chunk")] == ["D", "B"]


def test_owned_rows_may_be_instances_of_the_schema(open_store: OpenStore) -> None:
    @motion.trigger(on="query.text", sets="chunk")
    def cut_whole(text: str) -> list[Chunk]:
        return [Chunk(id=int(word), text=word, loud="", note="") for word in text.split()]

    store = open_queries(open_store, cut_whole)
    ask(store, "7 8 9")
    ask(store, "8 10")
    assert chunks(store) == [(8, "8"), (10, "10")]


def test_rows_that_a_user_made_are_not_removed(open_store: OpenStore) -> None:
    store = open_queries(open_store, cut)
    store.set("chunk", id=100, text="mine").wait()
    ask(store, "a b")
    ask(store, "")
    assert chunks(store) == [(100, "mine")]


def test_deleting_the_source_deletes_its_owned_rows(open_store: OpenStore) -> None:
    store = open_queries(open_store, cut)
    ask(store, "a b", id=1)
    ask(store, "c", id=2)
    store.delete("query", 1).wait()
    assert [text for _, text in chunks(store)] == ["c"]


def test_deletes_cascade_through_tables(open_store: OpenStore) -> None:
    @dataclass
    class Mark:
        id: int
        text: str

    @motion.trigger(on="chunk.text", sets="mark")
    def mark(text: str) -> list[dict[str, str]]:
        return [{"text": text}, {"text": text}]

    schemas = {"query": Query, "chunk": Chunk, "mark": Mark}
    store = open_store(schemas=schemas, triggers=[cut, mark])
    ask(store, "a b")
    store.wait(timeout=60)
    ask(store, "b")
    store.wait(timeout=60)
    shrunk = [row.text for row in store.rows("mark")]
    store.delete("query", 1)
    assert (shrunk, store.rows("mark")) == (["b", "b"], [])


def test_a_fan_out_in_each_owned_row_is_exact(open_store: OpenStore) -> None:
    @motion.trigger(on="chunk.text", sets="query")
    def back(text: str) -> list[dict[str, str]]:
        return [{"summary": text}]

    @motion.trigger(on="query.text", sets="chunk", when=lambda row: row.text is not None)
    def forth(text: str) -> list[dict[str, str]]:
        return [{"text": text}]

    with pytest.raises(motion.TriggerCycle):
        open_queries(open_store, back, forth)


def test_a_row_deleted_while_its_fan_out_runs_leaves_nothing_behind(open_store: OpenStore) -> None:
    may_end, has_begun = threading.Event(), threading.Event()

    @motion.trigger(on="query.text", sets="chunk")
    def slow_cut(text: str) -> list[dict[str, str]]:
        has_begun.set()
        may_end.wait(20)
        return [{"text": text}]

    store = open_queries(open_store, slow_cut)
    store.set("query", id=1, text="a")
    assert has_begun.wait(20)
    store.delete("query", 1)
    may_end.set()
    store.wait(timeout=60)
    assert (store.rows("query"), store.rows("chunk")) == ([], [])


# -- two fan-outs over one page key --


def test_p6_a_page_stays_while_another_fan_out_has_an_item_on_it(open_store: OpenStore) -> None:
    @motion.trigger(on="query.limit", sets="query.loud", page="idea_page")
    def counts(limit: int) -> list[str]:
        return [str(i) for i in range(limit)]

    store = open_queries(open_store, ideas, counts)
    store.set("query", id=1, text="a b c", limit=3).wait()
    ask(store, "d")
    shorter = pages(store, "idea"), pages(store, "loud")
    store.set("query", id=1, limit=2).wait()
    assert shorter == ({0: "d", 1: None, 2: None}, {0: "0", 1: "1", 2: "2"})
    assert (pages(store, "idea"), pages(store, "loud")) == ({0: "d", 1: None}, {0: "0", 1: "1"})


# -- pages that inherit what triggers run on --


def test_p4_a_new_page_runs_what_it_inherits_all_needed_keys_for(open_store: OpenStore) -> None:
    @motion.trigger(on="query.text", sets="query.link")
    def describe(text: str, liked: bool | None) -> str:
        return f"{text}: {liked}"

    store = open_queries(open_store, describe)
    ask(store, "a")
    store.set("query", id=1, idea_page=2, image="i").wait()
    assert store.get("query", 1, idea_page=2).link == "a: None"


class Teacher(motion.Component):
    """Has no state before its first fit, so its triggers wait, pages or not."""

    @motion.infer(on="query.text", sets="query.summary")
    def summarize(self, state: dict[str, int], text: str) -> str:
        return f"{text} by {state['version']}"

    @motion.fit(on="query.limit", every=1, promote=motion.always)
    def learn(self, state: dict[str, int] | None, rows: list[Query]) -> dict[str, int]:
        return {"version": 1}


def test_what_waited_for_a_first_version_runs_on_its_own_rows_not_on_pages_that_inherit(
    open_store: OpenStore,
) -> None:
    store = open_queries(open_store, Teacher(), ideas)
    ask(store, "a b c")
    store.set("query", id=1, limit=3)
    store.wait(timeout=60)
    ask(store, "d e")
    assert pages(store, "summary") == {0: "d e by 1", 1: None}
    assert [row.summary for row in store.rows("query", id=1)] == ["d e by 1"] * 2


def test_p5_a_task_of_a_deleted_row_does_not_run_on_a_page_that_took_its_number(
    open_store: OpenStore,
) -> None:
    called: list[int] = []

    @motion.trigger(on="query.text", sets="query.idea", page="idea_page", inline=False)
    def ideas_of(id: int, text: str) -> list[str]:
        called.append(id)
        return text.split()

    store = open_store(schemas={"query": Query}, triggers=[ideas_of], run=False)
    with Stepper(store) as worker:
        for id in range(1, 18):  # more than a first claim takes
            store.set("query", id=id, text="a b" if id == 1 else "a")
        store.delete("query", 17)
        worker.run_until_idle()
    assert called == list(range(1, 17))
