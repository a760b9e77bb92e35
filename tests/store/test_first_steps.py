"""What a newcomer meets first: typical slips at the front door, and what is said when rows and fits fail."""

from __future__ import annotations

import logging
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import motion
from tests.conftest import OpenStore


@dataclass
class Doc:
    id: int
    text: str
    words: int
    page: int


SCRIPT = """
from dataclasses import dataclass
import motion

@dataclass
class Item:
    id: int
    x: float
    y: float

class Scale(motion.Component):
    def setup(self): return {"w": 1.0}

    @motion.fit(on="item.y", every=3)
    def learn(self, state, rows): return {"w": sum(r.y for r in rows) / sum(r.x for r in rows)}

store = motion.create_store("script", schemas={"item": Item}, triggers=[Scale()], url=":memory:")
store.set_many("item", [{"x": 1.0, "y": 2.0}] * 3)
store.wait(timeout=60)
print([(v.number, v.status) for v in store.model("Scale").versions()])
store.close()
"""


def test_a_fit_runs_from_a_script_without_a_main_guard(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    done = subprocess.run(
        [sys.executable, str(script)], capture_output=True, text=True, check=False
    )
    assert done.stdout.strip() == "[(1, 'retired'), (2, 'live')]", done.stderr


@pytest.mark.parametrize(
    ("returned", "said"),
    [
        ([1], "was given 4 rows and returned 1 results"),
        ("abcd", "returned 'abcd'"),
        (7, "returned 7"),
    ],
)
def test_a_batch_that_does_not_give_one_result_for_each_row_fails_whole(
    open_store: OpenStore, returned: Any, said: str
) -> None:
    calls: list[int] = []

    @motion.trigger(on="doc.text", sets="doc.words", batch=10)
    def count(text: list[str]) -> Any:
        calls.append(len(text))
        return returned

    store = open_store(schemas={"doc": Doc}, triggers=[count])
    store.set_many("doc", [{"text": t} for t in "abcd"])
    store.wait(timeout=60)
    assert calls == [4]
    assert [said in letter.error for letter in store.errors()] == [True] * 4


def test_rows_that_a_trigger_gives_up_on_are_said_aloud(
    open_store: OpenStore, caplog: pytest.LogCaptureFixture
) -> None:
    @motion.trigger(on="doc.text", sets="doc.words")
    def count(text: str) -> int:
        raise ValueError("boom")

    store = open_store(schemas={"doc": Doc}, triggers=[count])
    with caplog.at_level(logging.WARNING, logger="motion"):
        store.set_many("doc", [{"text": t} for t in "abc"])
        store.wait(timeout=60)
    said = [record.getMessage() for record in caplog.records]
    counts = [int(line.split(" gave up on ")[1].split()[0]) for line in said]  # one for each commit
    assert sum(counts) == 3
    assert all(line.startswith("trigger count gave up on ") for line in said)
    assert all("; the first: doc id=" in line for line in said)
    assert all(line.endswith(" page=0: ValueError: boom") for line in said)


def test_a_result_of_the_wrong_type_is_one_line_not_a_traceback(open_store: OpenStore) -> None:
    @motion.trigger(on="doc.text", sets="doc.words")
    def count(text: str) -> Any:
        return "many"

    store = open_store(schemas={"doc": Doc}, triggers=[count])
    store.set("doc", text="a")
    store.wait(timeout=60)
    (letter,) = store.errors()
    assert letter.error.count("\n") == 1
    assert "doc.words takes int, but was given 'many' (str)" in letter.error


def test_changed_code_is_said_aloud_at_opening(
    open_store: OpenStore, caplog: pytest.LogCaptureFixture
) -> None:
    def counting(more: int) -> Callable[..., Any]:
        @motion.trigger(on="doc.text", sets="doc.words")
        def count(text: str) -> int:
            return len(text) + more

        return count

    open_store(schemas={"doc": Doc}, triggers=[counting(0)]).close()
    with caplog.at_level(logging.WARNING, logger="motion"):
        open_store(schemas={"doc": Doc}, triggers=[counting(1)])
    assert "store.backfill('count')" in caplog.text


@pytest.mark.parametrize("schemas", [[Doc], Doc])
def test_schemas_that_are_no_dict_are_refused_with_the_right_form(schemas: Any) -> None:
    with pytest.raises(motion.SchemaError, match="takes a dict of table names"):
        motion.create_store("slips", schemas=schemas, url=":memory:")


def test_a_trigger_outside_of_a_list_is_refused_with_the_right_form() -> None:
    @motion.trigger(on="doc.text", sets="doc.words")
    def count(text: str) -> int:
        return len(text)

    with pytest.raises(motion.TriggerError, match="takes a list"):
        motion.create_store("slips", schemas={"doc": Doc}, triggers=count, url=":memory:")  # type: ignore[arg-type]


def test_a_page_number_below_0_is_refused(open_store: OpenStore) -> None:
    store = open_store(schemas={"doc": Doc})
    with pytest.raises(motion.InvalidValue, match="a page number, an int of at least 0"):
        store.set("doc", id=1, page=-1, text="x")


def test_infer_that_forgot_the_state_is_refused(open_store: OpenStore) -> None:
    class Model(motion.Component):
        def setup(self) -> int:
            return 1

        @motion.infer(on="doc.text", sets="doc.words")
        def predict(self, text: str) -> int:
            return len(text)

    with pytest.raises(motion.TriggerError, match="receives the component's state"):
        open_store(schemas={"doc": Doc}, triggers=[Model()])


def test_a_promotion_by_its_name_is_refused_with_the_right_form() -> None:
    with pytest.raises(motion.TriggerError, match=r"motion\.always"):
        motion.fit(on="doc.words", promote="always")  # type: ignore[arg-type]


@pytest.mark.parametrize("call", ["errors", "retry", "plan", "backfill"])
def test_an_unknown_trigger_is_an_error_with_the_names_there_are(
    open_store: OpenStore, call: str
) -> None:
    store = open_store(schemas={"doc": Doc})
    with pytest.raises(motion.TriggerError, match="has no trigger 'nope'"):
        getattr(store, call)("nope")


@pytest.mark.parametrize("given", [({"text": "a"},), (1, {"text": "a"})], ids=["a dict", "an id"])
def test_what_stands_behind_the_table_without_a_name_is_told_how_it_is_given(
    open_store: OpenStore, given: tuple[Any, ...]
) -> None:
    store = open_store(schemas={"doc": Doc})
    set_row: Callable[..., Any] = store.set
    with pytest.raises(motion.InvalidArgument, match=r"keys by their names, as in store\.set"):
        set_row("doc", *given)
    with store.transaction() as tx:
        set_in_turn: Callable[..., Any] = tx.set
        with pytest.raises(motion.InvalidArgument, match=r"keys by their names, as in store\.set"):
            set_in_turn("doc", *given)
    assert store.rows("doc") == []
