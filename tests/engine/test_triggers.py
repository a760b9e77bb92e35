"""Triggers: how they are declared, what they are given, and what becomes of their results and errors."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import motion
from motion.engine import commits
from tests.conftest import OpenStore, until


class Language(Enum):
    FRENCH = 0
    GERMAN = 1


@dataclass
class Doc:
    id: int
    text: str
    language: Language
    loud: str
    words: int
    letters: int
    score: float
    vector: np.ndarray
    extra: dict[str, int]


@dataclass
class Note:
    id: int
    doc: int
    text: str


def open_docs(open_store: OpenStore, *triggers: Any, **options: Any) -> motion.Store:
    return open_store(schemas={"doc": Doc, "note": Note}, triggers=triggers, **options)


def doc(store: motion.Store, id: int = 1) -> Any:
    """Return a row whose keys may be unset, whatever its schema says."""
    return store.get(Doc, id)


@motion.trigger(on="doc.text", sets="doc.loud")
def shout(text: str) -> str:
    return text.upper()


# -- declaring --


def test_the_decorated_function_stays_an_ordinary_function() -> None:
    assert shout("hi") == "HI"
    assert shout.__name__ == "shout"


def test_a_parameter_that_is_no_key_is_named_with_the_nearest_key(open_store: OpenStore) -> None:
    @motion.trigger(on="doc.text", sets="doc.loud")
    def mistyped(textt: str) -> str:
        return textt

    with pytest.raises(motion.TriggerError, match=r"'mistyped'.*'textt'.*Did you mean 'text'\?"):
        open_docs(open_store, mistyped)


def test_an_unknown_on_key_is_named_with_the_nearest_key(open_store: OpenStore) -> None:
    @motion.trigger(on="doc.txt", sets="doc.loud")
    def lost(text: str) -> str:
        return text

    with pytest.raises(motion.TriggerError, match=r"'lost'.*'txt'.*Did you mean 'text'\?"):
        open_docs(open_store, lost)


def test_an_unknown_output_key_is_named_with_the_nearest_key(open_store: OpenStore) -> None:
    @motion.trigger(on="doc.text", sets="doc.lout")
    def lost(text: str) -> str:
        return text

    with pytest.raises(motion.TriggerError, match=r"'lout'.*Did you mean 'loud'\?"):
        open_docs(open_store, lost)


def test_an_unknown_table_is_named_with_the_nearest_table(open_store: OpenStore) -> None:
    @motion.trigger(on="dok.text", sets="doc.loud")
    def lost(text: str) -> str:
        return text

    with pytest.raises(motion.TriggerError, match=r"'dok'.*Did you mean 'doc'\?"):
        open_docs(open_store, lost)


def test_a_key_without_a_table_is_refused(open_store: OpenStore) -> None:
    @motion.trigger(on="text", sets="doc.loud")
    def lost(text: str) -> str:
        return text

    with pytest.raises(motion.TriggerError, match=r"'table\.key'"):
        open_docs(open_store, lost)


def test_a_star_parameter_is_refused(open_store: OpenStore) -> None:
    @motion.trigger(on="doc.text", sets="doc.loud")
    def greedy(*args: str) -> str:
        return args[0]

    with pytest.raises(motion.TriggerError, match="greedy"):
        open_docs(open_store, greedy)


def test_a_result_cannot_go_to_the_row_of_another_table(open_store: OpenStore) -> None:
    @motion.trigger(on="doc.text", sets="note.text")
    def astray(text: str) -> str:
        return text

    with pytest.raises(motion.TriggerError, match=r"sets='note'"):
        open_docs(open_store, astray)


@pytest.mark.parametrize("key", ["doc.id"])
def test_the_primary_key_can_neither_run_a_trigger_nor_be_set_by_one(
    open_store: OpenStore, key: str
) -> None:
    @motion.trigger(on=key, sets="doc.loud")
    def wrong(text: str) -> str:
        return text

    with pytest.raises(motion.TriggerError, match="primary key"):
        open_docs(open_store, wrong)


def test_a_trigger_that_sets_what_it_runs_on_is_refused(open_store: OpenStore) -> None:
    @motion.trigger(on="doc.text", sets="doc.text")
    def ouroboros(text: str) -> str:
        return text

    with pytest.raises(motion.TriggerError, match="ouroboros"):
        open_docs(open_store, ouroboros)


def test_a_cycle_is_refused_and_its_loop_named(open_store: OpenStore) -> None:
    @motion.trigger(on="doc.text", sets="doc.loud")
    def there(text: str) -> str:
        return text

    @motion.trigger(on="doc.loud", sets="doc.text")
    def back(loud: str) -> str:
        return loud

    with pytest.raises(motion.TriggerCycle) as caught:
        open_docs(open_store, there, back)
    assert {"there", "back", "doc.loud", "doc.text"} <= set(caught.value.loop)


def test_a_cycle_through_the_rows_of_another_table_is_refused(open_store: OpenStore) -> None:
    @motion.trigger(on="doc.text", sets="note")
    def cut(text: str) -> list[dict[str, str]]:
        return [{"text": text}]

    @motion.trigger(on="note.text", sets="doc")
    def merge(text: str) -> list[dict[str, str]]:
        return [{"text": text}]

    with pytest.raises(motion.TriggerCycle, match="cut"):
        open_docs(open_store, cut, merge)


def test_a_refused_graph_leaves_the_triggers_in_force(open_store: OpenStore) -> None:
    store = open_docs(open_store, shout)

    @motion.trigger(on="doc.loud", sets="doc.text")
    def back(loud: str) -> str:
        return loud

    with pytest.raises(motion.TriggerCycle):
        open_docs(open_store, shout, back)
    store.set("doc", id=1, text="a").wait()
    assert doc(store).loud == "A"


def test_each_key_has_one_trigger(open_store: OpenStore) -> None:
    @motion.trigger(on="doc.text", sets="doc.loud")
    def whisper(text: str) -> str:
        return text.lower()

    with pytest.raises(motion.TriggerError, match=r"'shout' and 'whisper' both set doc\.loud"):
        open_docs(open_store, shout, whisper)


def test_two_triggers_of_one_name_are_refused(open_store: OpenStore) -> None:
    @motion.trigger(on="doc.text", sets="doc.words", name="shout")
    def count(text: str) -> int:
        return len(text.split())

    with pytest.raises(motion.TriggerError, match="two triggers are called 'shout'"):
        open_docs(open_store, shout, count)


def test_a_trigger_may_be_given_a_name(open_store: OpenStore) -> None:
    @motion.trigger(on="doc.text", sets="doc.loud", name="megaphone")
    def fails(text: str) -> str:
        raise RuntimeError(text)

    store = open_docs(open_store, fails)
    store.set("doc", id=1, text="a").wait(raise_errors=False)
    assert [letter.trigger for letter in store.errors()] == ["megaphone"]


def test_a_function_without_the_decorator_is_refused(open_store: OpenStore) -> None:
    with pytest.raises(motion.TriggerError, match=r"@motion\.trigger"):
        open_docs(open_store, len)


@pytest.mark.parametrize(
    "options",
    [{"batch": 0}, {"retries": -1}, {"concurrency": 0}, {"timeout": -1}, {"on": ()}],
    ids=lambda options: next(iter(options)),
)
def test_an_option_out_of_its_range_is_an_error_at_the_decorator(options: dict[str, Any]) -> None:
    with pytest.raises(motion.TriggerError, match=next(iter(options))):
        motion.trigger(**{"on": "doc.text", "sets": "doc.loud", **options})


def test_batch_does_not_go_with_row(open_store: OpenStore) -> None:
    @motion.trigger(on="doc.text", sets="doc.loud", batch=2)
    def both(row: Doc) -> list[str]:
        return [row.text]

    with pytest.raises(motion.TriggerError, match="batch"):
        open_docs(open_store, both)


# -- what a trigger is given --


def test_parameters_are_keys_in_any_order(open_store: OpenStore) -> None:
    @motion.trigger(on=("doc.text", "doc.words"), sets="doc.loud")
    def join(words: int, text: str) -> str:
        return f"{text}{words}"

    store = open_docs(open_store, join)
    store.set("doc", id=1, text="a", words=2).wait()
    assert doc(store).loud == "a2"


def test_values_arrive_as_their_python_types(open_store: OpenStore) -> None:
    seen: list[tuple[Any, ...]] = []

    @motion.trigger(on="doc.text")
    def look(text: str, language: Language, vector: np.ndarray, extra: dict[str, int]) -> None:
        seen.append((text, language, vector.tolist(), extra))

    store = open_docs(open_store, look)
    vector = np.array([1, 2], np.float32)
    store.set("doc", text="a", language=Language.GERMAN, vector=vector, extra={"a": 1}).wait()
    assert seen == [("a", Language.GERMAN, [1.0, 2.0], {"a": 1})]


def test_row_is_the_whole_row(open_store: OpenStore) -> None:
    @motion.trigger(on="doc.text", sets="doc.loud")
    def describe(row: Doc) -> str:
        return f"{row.id} {row.text} {row.words}"

    store = open_docs(open_store, describe)
    store.set("doc", id=3, text="a", words=4).wait()
    assert doc(store, 3).loud == "3 a 4"


def test_a_trigger_waits_for_a_missing_parameter_and_runs_when_it_arrives(
    open_store: OpenStore,
) -> None:
    @motion.trigger(on="doc.text", sets="doc.loud")
    def join(text: str, words: int) -> str:
        return f"{text}{words}"

    store = open_docs(open_store, join)
    store.set("doc", id=1, text="a").wait()
    assert doc(store).loud is None
    store.set("doc", id=1, words=2).wait()
    assert doc(store).loud == "a2"


def test_a_parameter_without_a_type_is_waited_for_like_any_other(open_store: OpenStore) -> None:
    @motion.trigger(on="doc.text", sets="doc.loud")
    def join(text, words):  # type: ignore[no-untyped-def]
        return f"{text}{words}"

    store = open_docs(open_store, join)
    store.set("doc", id=1, text="a").wait()
    assert doc(store).loud is None
    store.set("doc", id=1, words=2).wait()
    assert doc(store).loud == "a2"


def test_a_parameter_that_is_not_in_on_does_not_run_it_again(open_store: OpenStore) -> None:
    @motion.trigger(on="doc.text", sets="doc.loud")
    def join(text: str, words: int) -> str:
        return f"{text}{words}"

    store = open_docs(open_store, join)
    store.set("doc", id=1, text="a", words=2).wait()
    store.set("doc", id=1, words=3).wait()
    assert doc(store).loud == "a2"


def test_an_optional_parameter_may_be_unset(open_store: OpenStore) -> None:
    @motion.trigger(on="doc.text", sets="doc.loud")
    def join(text: str, words: int | None) -> str:
        return f"{text}{words}"

    store = open_docs(open_store, join)
    store.set("doc", id=1, text="a").wait()
    assert doc(store).loud == "aNone"


def test_an_optional_on_key_may_be_unset(open_store: OpenStore) -> None:
    @motion.trigger(on=("doc.text", "doc.words"), sets="doc.loud")
    def join(text: str, words: int | None) -> str:
        return f"{text}{words}"

    store = open_docs(open_store, join)
    store.set("doc", id=1, text="a", words=1).wait()
    store.set("doc", id=1, words=None).wait()
    assert doc(store).loud == "aNone"


def test_unsetting_an_on_key_unsets_the_output(open_store: OpenStore) -> None:
    store = open_docs(open_store, shout)
    store.set("doc", id=1, text="a").wait()
    store.set("doc", id=1, text=None).wait()
    assert doc(store).loud is None


def test_when_false_keeps_it_from_running(open_store: OpenStore) -> None:
    @motion.trigger(on="doc.text", sets="doc.loud", when=lambda row: row.words > 1)
    def long_only(text: str) -> str:
        return text.upper()

    store = open_docs(open_store, long_only)
    store.set_many("doc", [{"id": 1, "text": "a", "words": 1}, {"id": 2, "text": "b", "words": 2}])
    store.wait(timeout=60)
    assert (doc(store, 1).loud, doc(store, 2).loud) == (None, "B")


def test_when_turning_false_unsets_the_output(open_store: OpenStore) -> None:
    @motion.trigger(on="doc.text", sets="doc.loud", when=lambda row: row.text != "secret")
    def public(text: str) -> str:
        return text.upper()

    store = open_docs(open_store, public)
    store.set("doc", id=1, text="a").wait()
    store.set("doc", id=1, text="secret").wait()
    assert doc(store).loud is None


def test_an_error_in_when_is_the_rows_error(open_store: OpenStore) -> None:
    @motion.trigger(on="doc.text", sets="doc.loud", when=lambda row: row.words > 1)
    def long_only(text: str) -> str:
        return text.upper()

    store = open_docs(open_store, long_only)
    store.set("doc", id=1, text="a").wait(raise_errors=False)
    assert "TypeError" in store.errors()[0].error


# -- what becomes of the result --


def test_several_outputs_come_as_a_tuple(open_store: OpenStore) -> None:
    @motion.trigger(on="doc.text", sets=("doc.loud", "doc.words"))
    def study(text: str) -> tuple[str, int]:
        return text.upper(), len(text.split())

    store = open_docs(open_store, study)
    store.set("doc", id=1, text="a b").wait()
    assert (doc(store).loud, doc(store).words) == ("A B", 2)


def test_several_outputs_come_as_a_dict(open_store: OpenStore) -> None:
    @motion.trigger(on="doc.text", sets=("doc.loud", "doc.words"))
    def study(text: str) -> dict[str, Any]:
        return {"words": len(text.split()), "loud": text.upper()}

    store = open_docs(open_store, study)
    store.set("doc", id=1, text="a b").wait()
    assert (doc(store).loud, doc(store).words) == ("A B", 2)


def test_none_unsets_several_outputs(open_store: OpenStore) -> None:
    @motion.trigger(on="doc.text", sets=("doc.loud", "doc.words"))
    def study(text: str) -> tuple[str, int] | None:
        return (text, 1) if text != "nothing" else None

    store = open_docs(open_store, study)
    store.set("doc", id=1, text="a").wait()
    store.set("doc", id=1, text="nothing").wait()
    assert (doc(store).loud, doc(store).words) == (None, None)


def test_a_dict_is_a_value_where_the_key_holds_dicts(open_store: OpenStore) -> None:
    @motion.trigger(on="doc.text", sets="doc.extra")
    def count(text: str) -> dict[str, int]:
        return {letter: text.count(letter) for letter in text}

    store = open_docs(open_store, count)
    store.set("doc", id=1, text="aab").wait()
    assert doc(store).extra == {"a": 2, "b": 1}


@pytest.mark.parametrize("result", [("A",), {"loud": "A"}, "A", ("A", 1, 2)], ids=str)
def test_a_result_of_the_wrong_shape_is_the_rows_error(
    open_store: OpenStore, result: object
) -> None:
    @motion.trigger(on="doc.text", sets=("doc.loud", "doc.words"))
    def study(text: str) -> object:
        return result

    store = open_docs(open_store, study)
    store.set("doc", id=1, text="a").wait(raise_errors=False)
    assert "study" in store.errors()[0].error


def test_a_result_of_the_wrong_type_is_the_rows_error_and_the_others_go_on(
    open_store: OpenStore,
) -> None:
    @motion.trigger(on="doc.text", sets="doc.words")
    def count(text: str) -> object:
        return len(text) if text != "bad" else "three"

    store = open_docs(open_store, count)
    store.set_many("doc", [{"id": 1, "text": "a"}, {"id": 2, "text": "bad"}]).wait(
        raise_errors=False
    )
    assert (doc(store, 1).words, doc(store, 2).words) == (1, None)
    assert "doc.words takes int, but was given 'three'" in store.errors()[0].error


def test_p10_a_result_that_the_database_cannot_hold_fails_its_row_only(
    open_store: OpenStore,
) -> None:
    @motion.trigger(on="doc.text", sets="doc.loud")
    def broken(text: str) -> str:
        return "\ud800" if text == "7" else text

    store = open_docs(open_store, broken)
    store.set_many("doc", [{"id": i, "text": str(i)} for i in range(1, 21)])
    store.wait(timeout=60)
    assert [letter.row for letter in store.errors()] == ["id=7"]
    assert sum(row.loud == row.text for row in store.rows("doc")) == 19


# -- batches --


def test_a_batch_is_handed_over_as_lists(open_store: OpenStore) -> None:
    sizes: list[int] = []

    @motion.trigger(on="doc.text", sets="doc.loud", batch=4)
    def shout_all(text: list[str]) -> list[str]:
        sizes.append(len(text))
        return [each.upper() for each in text]

    store = open_docs(open_store, shout_all)
    store.set_many("doc", [{"id": i, "text": f"t{i}"} for i in range(1, 11)]).wait()
    assert [row.loud for row in store.rows("doc")] == [f"T{i}" for i in range(1, 11)]
    assert sizes == [4, 4, 2]


def test_a_batch_may_return_an_array(open_store: OpenStore) -> None:
    @motion.trigger(on="doc.text", sets="doc.vector", batch=8)
    def embed(text: list[str]) -> np.ndarray:
        return np.array([[len(each), 1] for each in text], np.float32)

    store = open_docs(open_store, embed)
    store.set_many("doc", [{"id": 1, "text": "a"}, {"id": 2, "text": "bb"}]).wait()
    assert [row.vector.tolist() for row in store.rows("doc")] == [[1, 1], [2, 1]]


def test_a_batch_may_return_an_array_of_numbers(open_store: OpenStore) -> None:
    @motion.trigger(on="doc.text", sets="doc.words", batch=8)
    def count(text: list[str]) -> np.ndarray:
        return np.array([len(each) for each in text])

    store = open_docs(open_store, count)
    store.set_many("doc", [{"id": 1, "text": "a"}, {"id": 2, "text": "bb"}]).wait()
    assert [row.words for row in store.rows("doc")] == [1, 2]


def test_a_batch_may_set_several_keys(open_store: OpenStore) -> None:
    @motion.trigger(on="doc.text", sets=("doc.loud", "doc.words"), batch=8)
    def study(text: list[str]) -> list[tuple[str, int]]:
        return [(each.upper(), len(each)) for each in text]

    store = open_docs(open_store, study)
    store.set_many("doc", [{"id": 1, "text": "a"}, {"id": 2, "text": "bb"}]).wait()
    assert [(row.loud, row.words) for row in store.rows("doc")] == [("A", 1), ("BB", 2)]


def test_p10_an_item_of_a_batch_may_be_failed(open_store: OpenStore) -> None:
    @motion.trigger(on="doc.text", sets="doc.loud", batch=4)
    def picky(text: list[str]) -> list[Any]:
        return [motion.Failed(f"no {each}") if each == "b" else each.upper() for each in text]

    store = open_docs(open_store, picky)
    store.set_many("doc", [{"id": i, "text": t} for i, t in enumerate("abc", 1)]).wait(
        raise_errors=False
    )
    assert [row.loud for row in store.rows("doc")] == ["A", None, "C"]
    assert [(letter.row, letter.error) for letter in store.errors()] == [("id=2", "no b")]


def test_p10_a_batch_that_raises_is_halved_until_the_failing_rows_stand_alone(
    open_store: OpenStore,
) -> None:
    @motion.trigger(on="doc.text", sets="doc.loud", batch=16)
    def fragile(text: list[str]) -> list[str]:
        if "c" in text or "j" in text:
            raise ValueError("out of memory")
        return [each.upper() for each in text]

    store = open_docs(open_store, fragile)
    letters = "abcdefghijklmnop"
    store.set_many("doc", [{"id": i, "text": t} for i, t in enumerate(letters, 1)]).wait(
        raise_errors=False
    )
    assert [row.loud or "-" for row in store.rows("doc")] == list("AB-DEFGHI-KLMNOP")
    assert sorted(letter.row for letter in store.errors()) == ["id=10", "id=3"]


def test_a_batch_that_returns_too_few_results_is_an_error(open_store: OpenStore) -> None:
    @motion.trigger(on="doc.text", sets="doc.loud", batch=4)
    def short(text: list[str]) -> list[str]:
        return []

    store = open_docs(open_store, short)
    store.set("doc", id=1, text="a").wait(raise_errors=False)
    assert "1 rows and returned 0 results" in store.errors()[0].error


def test_p2_a_batch_that_is_halved_makes_its_free_writes_once(open_store: OpenStore) -> None:
    @motion.trigger(on="doc.text", batch=4)
    def journal(text: list[str], store: motion.View) -> list[None]:
        for each in text:
            store.set("note", text=each)
        if "b" in text and len(text) > 1:
            raise ValueError("too many")
        return [None] * len(text)

    store = open_docs(open_store, journal)
    store.set_many("doc", [{"id": i, "text": t} for i, t in enumerate("abcd", 1)]).wait()
    assert sorted(row.text for row in store.rows("note")) == ["a", "b", "c", "d"]


def test_a_failed_item_does_not_undo_the_free_writes_of_its_batch(open_store: OpenStore) -> None:
    @motion.trigger(on="doc.text", batch=4)
    def journal(text: list[str], store: motion.View) -> list[Any]:
        for each in text[1:]:
            store.set("note", text=each)
        return [motion.Failed("the first")] + [None] * (len(text) - 1)

    store = open_docs(open_store, journal)
    store.set_many("doc", [{"id": i, "text": t} for i, t in enumerate("abc", 1)]).wait(
        raise_errors=False
    )
    assert sorted(row.text for row in store.rows("note")) == ["b", "c"]


# -- async --


def test_async_calls_are_under_way_at_once_up_to_concurrency(open_store: OpenStore) -> None:
    under_way, most = 0, 0
    full = asyncio.Event()

    @motion.trigger(on="doc.text", sets="doc.loud", concurrency=3)
    async def shout_later(text: str) -> str:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        if under_way == 3:
            full.set()
        await full.wait()  # nobody goes on before three are under way
        await asyncio.sleep(0)
        under_way -= 1
        return text.upper()

    store = open_docs(open_store, shout_later)
    store.set_many("doc", [{"id": i, "text": f"t{i}"} for i in range(1, 10)]).wait()
    assert [row.loud for row in store.rows("doc")] == [f"T{i}" for i in range(1, 10)]
    assert most == 3


def test_async_batches_are_under_way_at_once(open_store: OpenStore) -> None:
    under_way = 0
    both = asyncio.Event()

    @motion.trigger(on="doc.text", sets="doc.loud", batch=2, concurrency=2, timeout=60)
    async def shout_later(text: list[str]) -> list[str]:
        nonlocal under_way
        under_way += 1
        if under_way == 2:
            both.set()
        await both.wait()
        return [each.upper() for each in text]

    store = open_docs(open_store, shout_later)
    store.set_many("doc", [{"id": i, "text": f"t{i}"} for i in range(1, 5)]).wait()
    assert [row.loud for row in store.rows("doc")] == ["T1", "T2", "T3", "T4"]


def test_an_async_call_that_takes_too_long_is_the_rows_error(open_store: OpenStore) -> None:
    @motion.trigger(on="doc.text", sets="doc.loud", timeout=0.01)
    async def slow(text: str) -> str:
        if text == "hang":
            await asyncio.Event().wait()
        return text.upper()

    store = open_docs(open_store, slow)
    store.set_many("doc", [{"id": 1, "text": "hang"}, {"id": 2, "text": "b"}]).wait(
        raise_errors=False
    )
    assert doc(store, 2).loud == "B"
    assert "CallTimeout: the call did not return within 0.01 s" in store.errors()[0].error


def test_an_async_batch_that_takes_too_long_is_an_error(open_store: OpenStore) -> None:
    @motion.trigger(on="doc.text", sets="doc.loud", timeout=0.01, batch=1)
    async def slow(text: list[str]) -> list[str]:
        await asyncio.Event().wait()
        return text

    store = open_docs(open_store, slow)
    store.set("doc", id=1, text="a").wait(raise_errors=False)
    assert "CallTimeout: the call did not return within 0.01 s" in store.errors()[0].error


def test_an_async_error_is_the_rows_error(open_store: OpenStore) -> None:
    @motion.trigger(on="doc.text", sets="doc.loud")
    async def fails(text: str) -> str:
        raise LookupError(text)

    store = open_docs(open_store, fails)
    store.set("doc", id=1, text="gone").wait(raise_errors=False)
    assert "LookupError: gone" in store.errors()[0].error


def test_async_free_writes_belong_to_their_own_row(open_store: OpenStore) -> None:
    @motion.trigger(on="doc.text")
    async def journal(id: int, text: str, store: motion.View) -> None:
        await asyncio.sleep(0)
        store.set("note", id=id, text=text)
        if text == "bad":
            raise ValueError(text)

    store = open_docs(open_store, journal)
    store.set_many("doc", [{"id": 1, "text": "bad"}, {"id": 2, "text": "b"}]).wait(
        raise_errors=False
    )
    assert [row.id for row in store.rows("note")] == [2]


# -- errors --


def test_set_never_raises_a_triggers_error(open_store: OpenStore) -> None:
    @motion.trigger(on="doc.text", sets="doc.loud")
    def fails(text: str) -> str:
        raise RuntimeError("no")

    store = open_docs(open_store, fails)
    change = store.set("doc", id=1, text="a")
    with pytest.raises(motion.TaskFailed, match="RuntimeError: no"):
        change.wait()


def test_p10_an_error_is_kept_with_traceback_row_inputs_and_attempts(open_store: OpenStore) -> None:
    @motion.trigger(on="doc.text", sets="doc.loud")
    def fails(text: str) -> str:
        raise RuntimeError("out of ink")

    store = open_docs(open_store, fails)
    store.set("doc", id=7, text="paper").wait(raise_errors=False)
    (letter,) = store.errors()
    assert (letter.trigger, letter.table, letter.row, letter.attempts) == (
        "fails", "doc", "id=7", 1,
    )  # fmt: skip
    assert 'raise RuntimeError("out of ink")' in letter.error
    assert letter.inputs == "text='paper'"


def test_p10_other_rows_go_on(open_store: OpenStore) -> None:
    @motion.trigger(on="doc.text", sets="doc.loud")
    def fails(text: str) -> str:
        if text == "t5":
            raise RuntimeError(text)
        return text

    store = open_docs(open_store, fails)
    store.set_many("doc", [{"id": i, "text": f"t{i}"} for i in range(1, 11)]).wait(
        raise_errors=False
    )
    assert [row.id for row in store.rows("doc") if row.loud is None] == [5]


def test_p10_a_failed_run_is_retried_by_policy(open_store: OpenStore) -> None:
    attempts: list[str] = []

    @motion.trigger(on="doc.text", sets="doc.loud", retries=2)
    def flaky(text: str) -> str:
        attempts.append(text)
        if len(attempts) < 3:
            raise ConnectionError("try again")
        return text.upper()

    store = open_docs(open_store, flaky)
    store.set("doc", id=1, text="a").wait()
    assert (doc(store).loud, len(attempts), store.errors()) == ("A", 3, [])


def test_p10_after_the_last_retry_the_row_is_set_aside_with_its_last_error(
    open_store: OpenStore,
) -> None:
    attempts: list[str] = []

    @motion.trigger(on="doc.text", sets="doc.loud", retries=1)
    def flaky(text: str) -> str:
        attempts.append(text)
        raise ConnectionError(f"attempt {len(attempts)}")

    store = open_docs(open_store, flaky)
    store.set("doc", id=1, text="a").wait(raise_errors=False)
    (letter,) = store.errors()
    assert letter.attempts == 2
    assert "attempt 2" in letter.error


def test_retry_tries_dead_letters_again(open_store: OpenStore) -> None:
    is_mended = threading.Event()

    @motion.trigger(on="doc.text", sets="doc.loud")
    def fails(text: str) -> str:
        if not is_mended.is_set():
            raise RuntimeError("no")
        return text.upper()

    store = open_docs(open_store, fails)
    store.set("doc", id=1, text="a").wait(raise_errors=False)
    is_mended.set()
    assert store.retry() == 1
    store.wait(timeout=60)
    assert (doc(store).loud, store.errors()) == ("A", [])


def test_retry_and_errors_may_be_of_one_trigger(open_store: OpenStore) -> None:
    @motion.trigger(on="doc.text", sets="doc.loud")
    def one(text: str) -> str:
        raise RuntimeError("one")

    @motion.trigger(on="doc.text", sets="doc.words")
    def two(text: str) -> int:
        raise RuntimeError("two")

    store = open_docs(open_store, one, two)
    store.set("doc", id=1, text="a").wait(raise_errors=False)
    assert [letter.trigger for letter in store.errors("two")] == ["two"]
    assert store.retry("two") == 1


def test_a_new_value_supersedes_a_dead_letter(open_store: OpenStore) -> None:
    @motion.trigger(on="doc.text", sets="doc.loud")
    def fails(text: str) -> str:
        if text == "bad":
            raise RuntimeError("no")
        return text.upper()

    store = open_docs(open_store, fails)
    store.set("doc", id=1, text="bad").wait(raise_errors=False)
    store.set("doc", id=1, text="good").wait()
    assert (doc(store).loud, store.errors()) == ("GOOD", [])


def test_a_failed_run_leaves_the_old_value(open_store: OpenStore) -> None:
    @motion.trigger(on="doc.text", sets="doc.loud")
    def fails(text: str) -> str:
        if text == "bad":
            raise RuntimeError("no")
        return text.upper()

    store = open_docs(open_store, fails)
    store.set("doc", id=1, text="good").wait()
    store.set("doc", id=1, text="bad").wait(raise_errors=False)
    assert doc(store).loud == "GOOD"


# -- the store inside a run --


def test_p2_free_writes_commit_with_the_run(open_store: OpenStore) -> None:
    @motion.trigger(on="doc.text", sets="doc.loud")
    def journal(id: int, text: str, store: motion.View) -> str:
        store.set("note", doc=id, text=text)
        return text.upper()

    store = open_docs(open_store, journal)
    store.set("doc", id=1, text="a").wait()
    assert [(note.doc, note.text) for note in store.rows("note")] == [(1, "a")]


def test_p2_the_free_writes_of_a_failed_run_are_dropped(open_store: OpenStore) -> None:
    @motion.trigger(on="doc.text")
    def journal(text: str, store: motion.View) -> None:
        store.set("note", text=text)
        raise RuntimeError("after the write")

    store = open_docs(open_store, journal)
    store.set("doc", id=1, text="a").wait(raise_errors=False)
    assert store.rows("note") == []


def test_p2_free_writes_of_retried_runs_are_made_once(open_store: OpenStore) -> None:
    attempts: list[str] = []

    @motion.trigger(on="doc.text", retries=1)
    def journal(text: str, store: motion.View) -> None:
        store.set("note", text=text)
        attempts.append(text)
        if len(attempts) == 1:
            raise RuntimeError("after the write")

    store = open_docs(open_store, journal)
    store.set("doc", id=1, text="a").wait()
    assert [note.text for note in store.rows("note")] == ["a"]


def test_free_writes_fire_triggers(open_store: OpenStore) -> None:
    @motion.trigger(on="note.text")
    def forward(doc: int, text: str, store: motion.View) -> None:
        store.set("doc", id=doc, text=text)

    store = open_docs(open_store, forward, shout)
    store.set("note", id=1, doc=5, text="a").wait()
    assert doc(store, 5).loud == "A"


def test_exact_reads_inside_a_run_see_its_own_writes_and_open_ones_committed_data_only(
    open_store: OpenStore,
) -> None:
    @motion.trigger(on="doc.text", sets=("doc.words", "doc.letters"))
    def count(text: str, store: motion.View) -> tuple[int, int]:
        store.set("note", text=text)
        return len(store.rows("note")), len(store.rows("note", where="text IS NOT NULL"))

    store = open_docs(open_store, count)
    store.set("doc", id=1, text="a").wait()
    assert (doc(store).words, doc(store).letters) == (1, 0)


def test_a_run_may_delete_rows(open_store: OpenStore) -> None:
    @motion.trigger(on="doc.text")
    def tidy(text: str, store: motion.View) -> None:
        for note in store.rows("note"):
            store.delete(note)

    store = open_docs(open_store, tidy)
    store.set("note", id=1, text="old")
    store.set("doc", id=1, text="a").wait()
    assert store.rows("note") == []


def test_a_store_reached_globally_inside_a_run_acts_as_the_view(open_store: OpenStore) -> None:
    @motion.trigger(on="doc.text")
    def journal(text: str) -> None:
        outside.set("note", text=text)
        assert [note.text for note in outside.rows("note")] == [text]
        raise RuntimeError("so the write is dropped")

    outside = open_docs(open_store, journal)
    outside.set("doc", id=1, text="a").wait(raise_errors=False)
    assert outside.rows("note") == []
    assert "so the write is dropped" in outside.errors()[0].error


def test_a_transaction_inside_a_run_commits_with_the_run(open_store: OpenStore) -> None:
    @motion.trigger(on="doc.text", sets="doc.words")
    def journal(text: str) -> int:
        with outside.transaction() as tx:
            tx.set("note", text=text)
            tx.set("note", text=text)
        return len(outside.rows("note"))

    outside = open_docs(open_store, journal)
    outside.set("doc", id=1, text="a").wait()
    assert (doc(outside).words, len(outside.rows("note"))) == (2, 2)


@pytest.mark.parametrize("waits", ["change", "store", "view", "stream"])
def test_waiting_inside_a_run_raises(open_store: OpenStore, waits: str) -> None:
    @motion.trigger(on="doc.text")
    def impatient(text: str, store: motion.View) -> None:
        change = outside.set("note", text=text)
        if waits == "change":
            change.wait()
        elif waits == "store":
            outside.wait()
        elif waits == "view":
            store.wait()
        else:
            list(outside.change(change.key).stream("text"))

    outside = open_docs(open_store, impatient)
    outside.set("doc", id=1, text="a").wait(raise_errors=False)
    assert "WaitInsideRun" in outside.errors()[0].error


@pytest.mark.parametrize("inline", [True, False])
def test_closing_the_store_inside_a_run_is_the_rows_error_and_the_store_goes_on(
    open_store: OpenStore, inline: bool
) -> None:
    @motion.trigger(on="doc.text", sets="doc.words", inline=inline)
    def hasty(text: str) -> int:
        if text == "last":
            outside.close()
        return len(text)

    outside = open_docs(open_store, hasty)
    outside.set("doc", id=1, text="last").wait(raise_errors=False)
    assert "CloseInsideRun" in outside.errors()[0].error
    outside.set("doc", id=2, text="next").wait()
    assert outside.get("doc", 2).words == 4


def test_a_wrong_write_inside_a_run_is_the_rows_error(open_store: OpenStore) -> None:
    @motion.trigger(on="doc.text")
    def wrong(text: str, store: motion.View) -> None:
        store.set("note", txt=text)

    store = open_docs(open_store, wrong)
    store.set("doc", id=1, text="a").wait(raise_errors=False)
    assert "Did you mean 'text'?" in store.errors()[0].error


def test_a_loop_through_free_writes_is_stopped_with_an_error(open_store: OpenStore) -> None:
    @motion.trigger(on="doc.words")
    def ping(id: int, words: int, store: motion.View) -> None:
        store.set("note", id=id, doc=words)

    @motion.trigger(on="note.doc")
    def pong(id: int, doc: int, store: motion.View) -> None:
        store.set("doc", id=id, words=doc + 1)

    store = open_docs(open_store, ping, pong)
    store.set("doc", id=1, words=0)
    store.wait(timeout=60)
    (letter,) = store.errors()
    assert "ping -> pong" in letter.error


# -- generators of one text --


def test_a_generator_without_page_grows_one_text(open_store: OpenStore) -> None:
    @motion.trigger(on="doc.text", sets="doc.loud")
    def spell(text: str) -> Iterator[str]:
        yield from text.upper()

    store = open_docs(open_store, spell)
    store.set("doc", id=1, text="abc").wait()
    assert doc(store).loud == "ABC"


def test_a_generator_that_raises_half_way_leaves_the_old_text(open_store: OpenStore) -> None:
    @motion.trigger(on="doc.text", sets="doc.loud")
    def spell(text: str) -> Iterator[str]:
        yield text
        if text == "bad":
            raise RuntimeError(text)

    store = open_docs(open_store, spell)
    store.set("doc", id=1, text="good").wait()
    store.set("doc", id=1, text="bad").wait(raise_errors=False)
    assert doc(store).loud == "good"


# -- the graph in the store --


def test_a_process_without_the_code_fires_triggers_but_does_not_run_them(
    open_store: OpenStore,
) -> None:
    open_docs(open_store, shout).close()
    store = open_store(schemas={"doc": Doc, "note": Note})
    store.set("doc", id=1, text="a")
    assert store.status().tasks == {"shout": {"ready": 1}}
    store.close()
    store = open_docs(open_store, shout)
    store.wait(timeout=60)
    assert doc(store).loud == "A"


def test_tasks_of_a_trigger_that_vanished_are_no_work(open_store: OpenStore) -> None:
    store = open_docs(open_store, shout, run=False)
    store.set("doc", id=1, text="a")
    store.close()
    store = open_docs(open_store)
    store.wait(timeout=60)
    assert store.status().orphaned == 1


def test_triggers_are_replaced_in_a_store_that_is_open(open_store: OpenStore) -> None:
    store = open_docs(open_store, shout)

    @motion.trigger(on="doc.text", sets="doc.loud", name="shout")
    def whisper(text: str) -> str:
        return text.lower()

    assert open_docs(open_store, whisper) is store
    store.set("doc", id=1, text="ABC").wait()
    assert doc(store).loud == "abc"


@pytest.mark.parametrize("writer", ["view", "store"])
def test_a_run_matches_rows_by_a_key_and_removes_those_it_does_not_give(
    open_store: OpenStore, writer: str
) -> None:
    @motion.trigger(on="doc.text", inline=False)
    def note(row: Any, store: motion.View) -> None:
        used = store if writer == "view" else outside
        rows = [{"doc": row.id, "text": word} for word in row.text.split()]
        used.set_many("note", rows, by="text", prune="doc")
        used.set_many("note", [{"doc": 99, "text": "last"}], by="text")

    store = outside = open_docs(open_store, note)
    store.set("doc", id=1, text="a b c").wait()
    before = {each.text: each.id for each in store.rows("note")}
    store.set("doc", id=2, text="x").wait()
    store.set("doc", id=1, text="b d b").wait()
    after = {each.text: (each.id, each.doc) for each in store.rows("note")}
    assert {text: doc for text, (_, doc) in after.items()} == {"b": 1, "d": 1, "x": 2, "last": 99}
    assert after["b"][0] == before["b"]
    assert after["last"][0] == before["last"]


def test_a_transaction_matches_rows_by_a_key_as_they_are_at_its_end(open_store: OpenStore) -> None:
    store = open_docs(open_store)
    store.set("note", id=1, doc=1, text="a")
    with store.transaction() as tx:
        tx.set_many("note", [{"doc": 1, "text": "b"}], by="text")
        tx.set("note", id=5, doc=2, text="c")
        tx.set_many("note", [{"doc": 3, "text": "c"}], by="text", prune="doc")
        tx.set_many("note", [], by="text")
    assert [(each.id, each.doc, each.text) for each in store.rows("note")] == [
        (1, 1, "a"),
        (2, 1, "b"),
        (5, 3, "c"),
    ]
    with pytest.raises(motion.InvalidValue, match="by= names it"), store.transaction() as tx:
        tx.set_many("note", [{"doc": 1}], by="text")
    with pytest.raises(motion.UnknownKey), store.transaction() as tx:
        tx.set_many("note", [{"doc": 1}], prune="dock")


def test_a_store_that_closes_while_its_worker_comes_to_rest_is_closed(
    open_store: OpenStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the thread that commits has found nothing to do, and has not begun to wait, closing must still end it."""
    resting = threading.Event()
    closers: list[threading.Thread] = []

    class Resting(threading.Event):
        def clear(self) -> None:
            super().clear()
            if resting.is_set() and not closers:
                closer = threading.Thread(target=store.close, daemon=True)
                closer.start()
                closers.append(closer)
                assert self.wait(30), "closing sets it"
                super().clear()

    events = iter([Resting])  # the first that is made says whether anything is under way
    made = SimpleNamespace(Event=lambda: next(events, threading.Event)(), Thread=threading.Thread)
    monkeypatch.setattr(commits, "threading", made)

    @motion.trigger(on="doc.text", sets="doc.words", inline=False)
    def count(text: str) -> int:
        return len(text.split())

    store = open_docs(open_store, count)
    resting.set()
    store.set("doc", text="one")
    until(store, lambda: bool(closers))
    closers[0].join(30)
    assert not closers[0].is_alive()
