"""Memos: a function is called once for equal inputs, and what it gave then is what every row gets."""

from __future__ import annotations

import contextvars
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import motion
from motion.persistence.tasks import memos
from motion.testing import Stepper
from tests.conftest import OpenStore


@dataclass
class Doc:
    id: int
    text: str
    tone: str
    loud: str
    score: float
    vector: Annotated[np.ndarray, motion.Vector(2)]


@dataclass
class Ask:
    id: int
    query: str
    idea: str
    idea_page: int


@dataclass
class Part:
    id: int
    text: str


SCHEMAS = {"doc": Doc, "ask": Ask, "part": Part}
Calls = Counter[Any]


def shouting(calls: Calls, version: str = "1", **options: Any) -> Callable[..., Any]:
    """Return a trigger that counts its calls. It has a version, as the counter is data that it closes over."""

    @motion.trigger(on="doc.text", sets="doc.loud", memo=True, version=version, **options)
    def shout(text: str) -> str:
        calls[text] += 1
        return text.upper()

    return shout


def opened(open_store: OpenStore, *triggers: Any, **options: Any) -> motion.Store:
    return open_store(schemas=SCHEMAS, triggers=triggers, **options)


def louds(store: motion.Store) -> list[str]:
    return [row.loud for row in store.rows("doc")]


def test_equal_inputs_of_one_load_are_one_call(open_store: OpenStore) -> None:
    calls: Calls = Counter()
    store = opened(open_store, shouting(calls))
    store.set_many("doc", [{"text": "ab"[i % 2]} for i in range(100)]).wait()
    assert louds(store) == ["AB"[i % 2] for i in range(100)]
    assert calls == {"a": 1, "b": 1}


class Gate:
    """A function with a memo that says when it is called, and ends when it may. The first call for `bad` raises."""

    def __init__(self, **options: Any) -> None:
        self.calls: Calls = Counter()
        self.may_end = threading.Event()
        self.changed = threading.Condition()

        @motion.trigger(on="doc.text", sets="doc.loud", memo=True, version="1", **options)
        def shout(text: str) -> str:
            with self.changed:
                self.calls[text] += 1
                self.changed.notify_all()
            assert text == "quick" or self.may_end.wait(60)
            if text == "bad" and self.calls[text] == 1:
                raise ValueError("not this time")
            return text.upper()

        self.trigger = shout

    def await_call(self, text: str, calls: int = 1) -> None:
        with self.changed:
            assert self.changed.wait_for(lambda: self.calls[text] >= calls, 60)


def begun_beside(open_store: OpenStore, gate: Gate, text: str) -> motion.Store:
    """Return a store where a call on a text is under way, and another row with it has been claimed meanwhile."""
    store = opened(open_store, gate.trigger)
    store.set("doc", id=1, text=text)
    gate.await_call(text)
    store.set("doc", id=2, text=text)
    store.set("doc", id=3, text="quick").wait(timeout=60)  # rows are claimed in their order
    return store


def test_a_row_waits_for_a_call_on_equal_inputs_that_is_under_way_and_holds_up_no_other(
    open_store: OpenStore,
) -> None:
    gate = Gate(concurrency=4)
    store = begun_beside(open_store, gate, "a")
    gate.may_end.set()
    store.wait(timeout=60)
    assert louds(store) == ["A", "A", "QUICK"]
    assert gate.calls == {"a": 1, "quick": 1}


def test_a_row_that_waited_for_a_call_which_failed_is_called_itself(open_store: OpenStore) -> None:
    gate = Gate(concurrency=4)
    store = begun_beside(open_store, gate, "bad")
    gate.may_end.set()
    store.wait(timeout=60)
    assert louds(store) == [None, "BAD", "QUICK"]
    assert gate.calls == {"bad": 2, "quick": 1}
    assert [letter.row for letter in store.errors()] == ["id=1"]


def test_a_row_that_waits_for_the_call_of_another_is_there_at_the_next_start(
    open_store: OpenStore,
) -> None:
    gate = Gate(concurrency=4)
    store = begun_beside(open_store, gate, "a")
    gate.may_end.set()
    store.close()
    store = opened(open_store, gate.trigger)
    store.wait(timeout=60)
    assert louds(store) == ["A", "A", "QUICK"]
    assert gate.calls == {"a": 1, "quick": 1}


def test_a_row_that_is_stepped_to_inside_an_equal_call_is_left_for_a_later_step(
    open_store: OpenStore,
) -> None:
    calls: Calls = Counter()

    @motion.trigger(on="doc.text", sets="doc.loud", memo=True, version="1", concurrency=4)
    def shout(text: str) -> str:
        calls[text] += 1
        contextvars.Context().run(meanwhile, text)
        return text.upper()

    def meanwhile(text: str) -> None:
        """As if by others: not by the run."""
        store.set("doc", id=2, text=text)
        worker.step()

    store = opened(open_store, shout, run=False)
    with Stepper(store) as worker:
        store.set("doc", id=1, text="a")
        worker.run_until_idle()
    assert louds(store) == ["A", "A"]
    assert calls == {"a": 1}


def test_a_result_is_kept_over_rows_writes_and_starts(open_store: OpenStore) -> None:
    calls: Calls = Counter()
    store = opened(open_store, shouting(calls))
    store.set("doc", id=1, text="a").wait()
    store.set("doc", id=1, text="b").wait()
    store.set("doc", id=1, text="a").wait()
    store.close()
    store = opened(open_store, shouting(calls))
    store.set("doc", id=2, text="b").wait()
    assert louds(store) == ["A", "B"]
    assert calls == {"a": 1, "b": 1}


def test_other_code_makes_its_own_results(open_store: OpenStore) -> None:
    calls: Calls = Counter()
    for version in ("1", "2", "1"):
        store = opened(open_store, shouting(calls, version=version))
        store.set("doc", text="a").wait()
        store.close()
    assert calls == {"a": 2}


def test_another_state_version_makes_its_own_results(open_store: OpenStore) -> None:
    class Shouter(motion.Component):
        def setup(self) -> dict[str, str]:
            return {"end": "!"}

        @motion.infer(on="doc.text", sets="doc.loud", memo=True)
        def shout(self, state: dict[str, str], text: str) -> str:
            return text.upper() + state["end"]

        @motion.fit(on="doc.tone")
        def fit(self, state: dict[str, str], rows: list[Doc]) -> dict[str, str]:
            return {"end": rows[-1].tone}

    store = opened(open_store, Shouter())
    store.set("doc", id=1, text="a", tone="?").wait()
    store.model("Shouter").fit()
    store.wait(timeout=60)
    store.set("doc", id=2, text="a").wait()
    assert louds(store) == ["A!", "A?"]


def test_what_failed_is_not_kept_and_is_one_call_for_equal_inputs(open_store: OpenStore) -> None:
    calls: Calls = Counter()

    @motion.trigger(on="doc.text", sets="doc.loud", memo=True)
    def shout(text: str) -> str:
        calls[text] += 1
        if calls["bad"] == 1 and text == "bad":
            raise ValueError("not this time")
        return text.upper()

    store = opened(open_store, shout, run=False)
    store.set_many("doc", [{"text": text} for text in ("bad", "good", "bad")])
    store.close()
    store = opened(open_store, shout)
    store.wait(timeout=60)
    assert louds(store) == [None, "GOOD", None]
    assert len(store.errors()) == 2
    store.retry()
    store.wait(timeout=60)
    assert louds(store) == ["BAD", "GOOD", "BAD"]
    assert calls == {"bad": 2, "good": 1}


def test_a_batch_is_handed_only_what_is_not_known_each_once(open_store: OpenStore) -> None:
    given: list[list[str]] = []

    @motion.trigger(on="doc.text", sets=("doc.loud", "doc.score"), memo=True, batch=8)
    def shout(text: list[str]) -> list[tuple[str, float]]:
        given.append(text)
        return [(each.upper(), len(each)) for each in text]

    store = opened(open_store, shout)
    store.set_many("doc", [{"text": text} for text in ("a", "bb")]).wait()
    store.set_many("doc", [{"text": text} for text in ("bb", "ccc", "a", "ccc")]).wait()
    assert given == [["a", "bb"], ["ccc"]]
    assert [(row.loud, row.score) for row in store.rows("doc")] == [
        (text.upper(), len(text)) for text in ("a", "bb", "bb", "ccc", "a", "ccc")
    ]


def test_an_async_function_is_called_once_for_equal_inputs(open_store: OpenStore) -> None:
    calls: Calls = Counter()

    @motion.trigger(on="doc.text", sets="doc.loud", memo=True, rate="100/s")
    async def shout(text: str) -> str:
        calls[text] += 1
        return text.upper()

    store = opened(open_store, shout)
    store.set_many("doc", [{"text": "a"} for _ in range(20)]).wait()
    store.set("doc", text="a").wait()
    assert louds(store) == ["A"] * 21
    assert calls == {"a": 1}


def test_a_fan_out_and_rows_of_another_table_are_kept_as_they_were(open_store: OpenStore) -> None:
    calls: Calls = Counter()

    @motion.trigger(on="ask.query", sets="ask.idea", page="idea_page", memo=True)
    def ideas(query: str) -> list[str]:
        calls["ideas"] += 1
        return query.split()

    @motion.trigger(on="doc.text", sets="part", memo=True)
    def parts(text: str) -> list[dict[str, str]]:
        calls["parts"] += 1
        return [{"text": each} for each in text.split()]

    store = opened(open_store, ideas, parts)
    for id in (1, 2):
        store.set("ask", id=id, query="red dress").wait()
        store.set("doc", id=id, text="hat shoe").wait()
    store.set("ask", id=2, query="blue").wait()
    store.set("ask", id=2, query="red dress").wait()
    assert [row.idea for row in store.rows("ask")] == ["red", "dress"] * 2
    assert [row.text for row in store.rows("part")] == ["hat", "shoe"] * 2
    assert calls == {"ideas": 2, "parts": 1}


def test_unset_results_arrays_and_unset_parameters_are_kept_too(open_store: OpenStore) -> None:
    calls: Calls = Counter()

    @motion.trigger(on="doc.text", sets="doc.vector", memo=True)
    def embed(text: str, tone: str | None) -> np.ndarray | None:
        calls[text, tone] += 1
        return None if text == "none" else np.array([len(text), len(tone or "")], np.float32)

    store = opened(open_store, embed)
    rows = [{"text": "none"}, {"text": "a"}, {"text": "a", "tone": "soft"}]
    for _ in range(2):
        store.set_many("doc", rows).wait()
    found = [None if row.vector is None else row.vector.tolist() for row in store.rows("doc")]
    assert found == [None, [1, 0], [1, 4]] * 2
    assert set(calls.values()) == {1}


def test_when_decides_before_anything_is_recalled(open_store: OpenStore) -> None:
    calls: Calls = Counter()
    store = opened(open_store, shouting(calls, when=lambda row: row.tone == "loud"))
    store.set_many("doc", [{"text": "a", "tone": tone} for tone in ("loud", "soft")]).wait()
    assert louds(store) == ["A", None]
    assert calls == {"a": 1}


@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.lists(st.lists(st.sampled_from("abcd"), min_size=1, max_size=6), max_size=5))
def test_each_row_has_what_the_function_gives_and_no_input_is_called_twice(
    open_store: OpenStore, loads: list[list[str]]
) -> None:
    calls: Calls = Counter()
    store = opened(open_store, shouting(calls), url=":memory:")
    for texts in loads:
        store.set_many("doc", [{"text": text} for text in texts]).wait()
    given = [text for texts in loads for text in texts]
    assert louds(store) == [text.upper() for text in given]
    assert calls == dict.fromkeys(given, 1)
    store.close()


def test_what_was_kept_first_is_dropped_when_there_is_too_much(
    open_store: OpenStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memos, "KEPT", 10)
    monkeypatch.setattr(memos, "TRIMMED_EVERY", 5)
    calls: Calls = Counter()
    store = opened(open_store, shouting(calls))
    for start in range(0, 40, 5):
        store.set_many("doc", [{"text": str(i)} for i in range(start, start + 5)]).wait()
    assert store.sql("select count(*) as kept from motion_memos")["kept"].to_pylist()[0] <= 15
    store.set_many("doc", [{"text": text} for text in ("0", "39")]).wait()
    assert (calls["0"], calls["39"]) == (2, 1)


def test_large_results_are_dropped_by_size(
    open_store: OpenStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memos, "KEPT_BYTES", 10_000)
    monkeypatch.setattr(memos, "TRIMMED_EVERY", 1)
    store = opened(open_store, shouting(Counter()))
    for i in range(5):
        store.set("doc", text=str(i) * 4_000).wait()
    assert store.sql("select count(*) as kept from motion_memos")["kept"].to_pylist() == [2]


def test_a_function_that_also_writes_through_the_store_is_told_so(open_store: OpenStore) -> None:
    @motion.trigger(on="doc.text", sets="doc.loud", memo=True)
    def shout(text: str) -> str:
        if text == "bad":
            opened_stores[0].set("part", text=text)
        return text.upper()

    opened_stores = [opened(open_store, shout)]
    store = opened_stores[0]
    store.set_many("doc", [{"text": text} for text in ("good", "bad")])
    store.wait(timeout=60)
    assert louds(store) == ["GOOD", None]
    assert store.rows("part") == []
    (letter,) = store.errors()
    assert "wrote through the store" in letter.error


@pytest.mark.parametrize(
    ("function", "options", "said"),
    [
        (lambda text, store: None, {}, "'store'"),
        (lambda row: None, {}, "'row'"),
        (lambda text: None, {"sets": ()}, "sets="),
        (lambda text: None, {"inline": True}, "memo="),
        (lambda text: (yield ""), {}, "generator"),
        (lambda id: None, {"on": motion.deleted("doc"), "sets": ()}, "sets="),
    ],
)
def test_what_is_no_function_of_its_parameters_alone_is_refused(
    function: Any, options: dict[str, Any], said: str, open_store: OpenStore
) -> None:
    given = {"on": "doc.text", "sets": "doc.loud", "name": "memo", "memo": True, **options}
    with pytest.raises(motion.TriggerError, match=said):
        opened(open_store, motion.trigger(**given)(function))


def memos_of(store: motion.Store) -> int:
    return len(store.sql("select 1 from motion_memos"))


@pytest.mark.parametrize("is_away", [False, True])
def test_a_result_goes_with_the_last_row_it_is_of_also_while_its_trigger_is_away(
    open_store: OpenStore, is_away: bool
) -> None:
    calls: Calls = Counter()
    store = opened(open_store, shouting(calls))
    store.set_many("doc", [{"id": 1, "text": "diary"}, {"id": 2, "text": "both"}])
    store.wait(timeout=60)
    store.set("doc", id=1, text="both").wait()  # what it was before is of it, too
    store.set("doc", id=3, text="other").wait()
    assert memos_of(store) == 3
    if is_away:
        store.close()
        store = open_store(schemas=SCHEMAS, triggers=[], run=False)
    store.delete("doc", 1).wait()
    assert memos_of(store) == 2  # row 2 shares one
    store.delete("doc", 2).wait()
    assert memos_of(store) == 1
    assert len(store.sql("select 1 from motion_memo_rows")) == 1
    store.close()
    store = opened(open_store, shouting(calls))
    store.set_many("doc", [{"id": 4, "text": "diary"}, {"id": 5, "text": "other"}])
    store.wait(timeout=60)
    assert calls == {"diary": 2, "both": 1, "other": 1}


def test_nothing_is_kept_of_a_row_that_was_deleted_while_its_function_ran(
    open_store: OpenStore,
) -> None:
    has_begun, may_go_on = threading.Event(), threading.Event()

    @motion.trigger(on="doc.text", sets="doc.loud", memo=True, version="1", inline=False)
    def shout(text: str) -> str:
        has_begun.set()
        assert may_go_on.wait(30)
        return text.upper()

    store = opened(open_store, shout)
    store.set("doc", id=1, text="diary")
    assert has_begun.wait(30)
    store.delete("doc", 1)
    may_go_on.set()
    store.wait(timeout=60)
    assert memos_of(store) == 0
