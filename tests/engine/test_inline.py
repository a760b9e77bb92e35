"""Cheap triggers run in memory before the write that they follow from; what that gives is what tasks would give."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, given, settings

import motion
from motion import clock
from tests.conftest import Garment, OpenStore


@dataclass
class Line:
    id: int
    text: str
    extra: int
    upper: str
    length: int
    total: int


def chain(inline: bool | None) -> list[Any]:
    @motion.trigger(on="line.text", sets="line.upper", inline=inline, retries=0)
    def upper(text: str) -> str:
        if text == "fails":
            raise ValueError("this text fails")
        return text.upper()

    @motion.trigger(on="line.upper", sets="line.length", inline=inline)
    def length(upper: str) -> int:
        return len(upper)

    @motion.trigger(on=("line.length", "line.extra"), sets="line.total", inline=inline)
    def total(length: int, extra: int) -> int:
        return length + extra

    return [upper, length, total]


def opened(triggers: list[Any], *, run: bool = True) -> motion.Store:
    return motion.create_store(
        "inline", schemas={"line": Line}, triggers=triggers, url=":memory:", run=run
    )


def test_values_are_there_when_set_returns() -> None:
    with opened(chain(inline=True)) as store:
        change = store.set("line", text="abc", extra=2)
        row = store.get("line", change.id)
        assert (row.upper, row.length, row.total) == ("ABC", 3, 5)


def test_a_bulk_load_has_its_values_when_it_returns() -> None:
    with opened(chain(inline=True)) as store:
        store.set_many("line", [{"text": f"t{i}", "extra": i} for i in range(50)])
        found = store.sql("SELECT SUM(total) AS total FROM line").to_pylist()
        assert found == [{"total": sum(len(f"t{i}") + i for i in range(50))}]


def test_nothing_runs_before_the_write_where_inline_is_forbidden() -> None:
    calls: list[str] = []

    @motion.trigger(on="line.text", sets="line.upper", inline=False)
    def upper(text: str) -> str:
        calls.append(text)
        return text.upper()

    with opened([upper]) as store:
        for i in range(10):
            store.set("line", text=f"t{i}").wait()
    with opened([upper], run=False) as store:
        store.set("line", text="left")
        assert "left" not in calls


def test_a_process_that_runs_nothing_runs_nothing_inline() -> None:
    with opened(chain(inline=True), run=False) as store:
        change = store.set("line", text="abc", extra=1)
        assert store.get("line", change.id).upper is None


def test_a_cheap_trigger_comes_to_run_inline_by_itself() -> None:
    with opened(chain(inline=None)) as store:
        for i in range(20):
            change = store.set("line", text=f"t{i}", extra=i)
            at_once = store.get("line", change.id).total
            change.wait()
        assert at_once == len("t19") + 19


def test_what_raises_becomes_a_task_and_the_write_stands() -> None:
    with opened(chain(inline=True)) as store:
        change = store.set("line", text="fails", extra=1)
        with pytest.raises(motion.TaskFailed, match="this text fails"):
            change.wait()
        assert store.get("line", change.id).text == "fails"
        assert [letter.trigger for letter in store.errors()] == ["upper"]


def test_other_rows_of_a_bulk_load_are_not_held_up_by_one_that_fails() -> None:
    with opened(chain(inline=True)) as store:
        texts = ["a", "fails", "ccc"]
        store.set_many("line", [{"text": text, "extra": 0} for text in texts])
        store.wait(timeout=60)
        assert [row.total for row in store.rows("line")] == [1, None, 3]


def test_a_users_value_for_a_derived_key_stays_when_given_with_its_input() -> None:
    with opened(chain(inline=True)) as store:
        change = store.set("line", text="abc", upper="given", extra=1).wait()
        row = store.get("line", change.id)
        assert (row.upper, row.length, row.total) == ("given", 5, 6)


def test_setting_an_equal_value_leaves_a_users_value_alone() -> None:
    with opened(chain(inline=True)) as store:
        change = store.set("line", text="abc", extra=1)
        store.set("line", id=change.id, upper="mine").wait()
        store.set("line", id=change.id, text="abc").wait()
        assert store.get("line", change.id).upper == "mine"


def test_an_input_that_is_not_in_the_write_is_read_by_a_task() -> None:
    with opened(chain(inline=True)) as store:
        change = store.set("line", text="abc", extra=1)
        store.set("line", id=change.id, text="abcdef").wait()
        assert store.get("line", change.id).total == 7


def test_a_trigger_that_writes_through_the_store_is_left_to_a_task() -> None:
    @motion.trigger(on="line.text", sets="line.upper", inline=True)
    def upper(text: str) -> str:
        if not text.startswith("copy"):
            store.set("line", text=f"copy of {text}")
        return text.upper()

    with opened([upper]) as store:
        store.set("line", text="abc")
        store.wait(timeout=60)
        assert sorted(row.upper for row in store.rows("line")) == ["ABC", "COPY OF ABC"]


@pytest.mark.parametrize("option", [{"retries": 1}, {"batch": 4}, {"when": lambda row: True}])
def test_inline_is_refused_for_what_cannot_run_inline(option: dict[str, Any]) -> None:
    @motion.trigger(on="line.text", sets="line.upper", inline=True, **option)
    def upper(text: str) -> str:
        return text.upper()

    with pytest.raises(motion.TriggerError, match="inline=True needs a plain function"):
        opened([upper])


@pytest.mark.parametrize("inline", [True, False])
def test_a_function_that_raises_stop_iteration_fails_its_row_only(inline: bool) -> None:
    @motion.trigger(on="line.text", sets="line.upper", inline=inline)
    def upper(text: str) -> str:
        return next(iter(text)).upper()

    with opened([upper]) as store:
        store.set_many("line", [{"text": text} for text in ("ab", "", "cd")])
        store.wait(timeout=60)
        assert [row.upper for row in store.rows("line")] == ["A", None, "C"]
        alone = store.set("line", text="").wait(raise_errors=False)
        assert store.get("line", alone.id).upper is None
        assert [each.error.splitlines()[-1] for each in store.errors()] == ["StopIteration"] * 2


def test_a_row_alone_is_checked_as_rows_together_are() -> None:
    """Single rows are called in a shorter way: what they give is held against their keys all the same."""

    @motion.trigger(on="line.text", sets="line.length", inline=True)
    def length(text: str) -> Any:
        return {"a tuple of it": (3,), "by name": {"length": 4}, "nothing": None, "a text": "five"}[
            text
        ]

    with opened([length]) as store:
        for text in ("a tuple of it", "by name", "nothing", "a text"):
            store.set("line", text=text).wait(raise_errors=False)
        store.set_many("line", [{"text": text} for text in ("a tuple of it", "by name", "nothing")])
        store.wait()
        assert [row.length for row in store.rows("line")] == [3, 4, None, None, 3, 4, None]
        assert "length takes int" in store.errors()[0].error


WRITE = st.tuples(
    st.integers(1, 3),
    st.dictionaries(
        st.sampled_from(["text", "text", "extra", "upper", "length", "total"]),
        st.sampled_from(["a", "bb", "fails", None, 1, 2]),
        min_size=1,
        max_size=3,
    ),
)
TRANSACTIONS = st.lists(st.lists(WRITE, min_size=1, max_size=3), max_size=6)


def fitting(key: str, value: Any) -> Any:
    if value is None or isinstance(value, int) == (key in ("extra", "length", "total")):
        return value
    return "zz" if isinstance(value, int) else 5


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(TRANSACTIONS)
def test_inline_and_as_tasks_end_alike(
    transactions: list[list[tuple[int, dict[str, Any]]]],
) -> None:
    def end(inline: bool | None) -> list[Any]:
        with opened(chain(inline)) as store:
            for writes in transactions:
                with store.transaction() as tx:
                    for row, keys in writes:
                        tx.set("line", id=row, **{k: fitting(k, v) for k, v in keys.items()})
                store.wait(timeout=60)
            return [(r.id, r.text, r.extra, r.upper, r.length, r.total) for r in store.rows("line")]

    ends: list[Callable[[], list[Any]]] = [lambda: end(True), lambda: end(False), lambda: end(None)]
    first, *others = (each() for each in ends)
    assert all(other == first for other in others)


@pytest.mark.parametrize("inline", [True, False])
def test_a_users_value_behind_a_key_that_its_write_changes_is_made_anew(inline: bool) -> None:
    with opened(chain(inline)) as store:
        store.set("line", id=1, text="abc", length=99, extra=1).wait(timeout=60)
        store.wait(timeout=60)
        store.set("line", id=2, text="abc", total=99, extra=1).wait(timeout=60)
        store.wait(timeout=60)
        found = [(row.upper, row.length, row.total) for row in store.rows("line")]
        assert found == [("ABC", 3, 4)] * 2


@pytest.mark.parametrize("inline", [True, False])
def test_nothing_is_derived_of_what_a_transaction_has_replaced(inline: bool) -> None:
    with opened(chain(inline)) as store:
        store.set("line", id=1, text="old").wait(timeout=60)
        for row in (1, 2):
            with store.transaction() as tx:
                tx.set("line", id=row, text="draft")
                tx.set("line", id=row, text="fails")
        store.wait(timeout=60)
        assert [row.upper for row in store.rows("line")] == ["OLD", None]
        assert [letter.row for letter in store.errors()] == ["id=1", "id=2"]


@pytest.mark.parametrize("inline", [True, False])
def test_what_one_key_refuses_the_others_do_not_get_either(inline: bool) -> None:
    @motion.trigger(on="line.text", sets=("line.upper", "line.length"), inline=inline)
    def parse(text: str) -> Any:
        name, _, length = text.partition(" ")
        return name, int(length) if length.isdigit() else length

    @motion.trigger(on="line.upper", sets="line.total", inline=inline)
    def total(upper: str) -> int:
        return len(upper)

    with opened([parse, total]) as store:
        store.set_many("line", [{"id": 1, "text": "bad x"}, {"id": 2, "text": "good 5"}])
        store.set("line", id=3, text="bad x")
        store.wait(timeout=60)
        store.set("line", id=2, text="evil x").wait(timeout=60, raise_errors=False)
        found = [(row.upper, row.length, row.total) for row in store.rows("line")]
        assert found == [(None, None, None), ("good", 5, 4), (None, None, None)]
        assert len(store.errors()) == 3


def test_a_row_that_a_transaction_writes_twice_has_values_of_its_last_state() -> None:
    with opened(chain(inline=True)) as store:
        with store.transaction() as tx:
            tx.set("line", id=1, text="abc", extra=2)
            tx.set("line", id=1, extra=5)
        store.wait(timeout=60)
        assert store.get("line", 1).total == 8


@dataclass
class Counted:
    id: int
    text: str
    length: int = 0


@pytest.mark.parametrize("inline", [True, False])
def test_a_derived_value_replaces_the_default_of_its_key(inline: bool) -> None:
    @motion.trigger(on="counted.text", sets="counted.length", inline=inline)
    def length(text: str) -> int:
        return len(text)

    with motion.create_store(
        "inline", schemas={"counted": Counted}, triggers=[length], url=":memory:"
    ) as store:
        store.set("counted", id=1, text="abc").wait(timeout=60)
        assert store.get("counted", 1).length == 3


def test_code_that_has_changed_is_measured_again_before_it_runs_inline(tmp_path: Path) -> None:
    threads: list[str] = []

    def upper_in(seen: list[str] | None) -> Any:
        @motion.trigger(on="line.text", sets="line.upper", name="upper")
        def upper(text: str) -> str:
            if seen is not None:
                seen.append(threading.current_thread().name)
            return text.upper()

        return upper

    url = f"sqlite:///{tmp_path}"
    with motion.create_store(
        "again", schemas={"line": Line}, triggers=[upper_in(None)], url=url
    ) as store:
        for i in range(50):
            store.set("line", id=1, text=f"t{i}").wait()
        motion.create_store("again", triggers=[upper_in(threads)], url=url)
        store.set("line", id=1, text="last").wait()
    assert threads
    assert threading.main_thread().name not in threads


@dataclass
class Paged:
    id: int
    text: str
    upper: str
    hit: int
    hit_page: int


@pytest.mark.parametrize("inline", [True, False])
def test_a_page_that_gives_its_own_value_up_derives_from_the_inherited_one(inline: bool) -> None:
    @motion.trigger(on="paged.text", sets="paged.upper", inline=inline)
    def upper(text: str) -> str:
        return text.upper()

    with motion.create_store(
        "inline", schemas={"paged": Paged}, triggers=[upper], url=":memory:"
    ) as store:
        store.set("paged", id=1, text="a").wait(timeout=60)
        store.set("paged", id=1, hit_page=2, text="b").wait(timeout=60)
        store.set("paged", id=1, hit_page=2, text=None).wait(timeout=60)
        found = store.sql("SELECT upper FROM paged WHERE hit_page = 2").to_pylist()
    assert found == [{"upper": "A"}]


def test_a_load_into_a_new_store_measures_on_its_first_rows(open_store: OpenStore) -> None:
    here, inline = threading.current_thread(), 0

    @motion.trigger(on="garment.name", sets="garment.shop")
    def shop(name: str) -> str:
        nonlocal inline
        inline += threading.current_thread() is here
        return name.upper()

    for attempt in range(
        5
    ):  # a busy machine may hold up the first calls for so long that they do not seem cheap
        store = open_store(f"new{attempt}", schemas={"garment": Garment}, triggers=[shop])
        given = [{"id": i, "name": f"n{i}"} for i in range(1, 5_001)]
        store.set_many("garment", given, commit_every=5_000).wait(timeout=60)
        assert [row.shop for row in store.rows("garment")] == [f"N{i}" for i in range(1, 5_001)]
        if inline:
            break
    assert inline == 4_800


@pytest.mark.parametrize("inline", [None, True])
def test_calls_that_turn_slow_are_left_to_tasks(open_store: OpenStore, inline: bool | None) -> None:
    here, slow = threading.current_thread(), 0

    @motion.trigger(on="garment.name", sets="garment.shop", inline=inline)
    def shop(name: str) -> str:
        nonlocal slow
        if name.startswith("slow"):
            slow += threading.current_thread() is here
            clock.sleep(0.15)
        return name.upper()

    @motion.trigger(on="garment.shop", sets="garment.stock")
    def stock(shop: str) -> int:
        return len(shop)

    store = open_store(schemas={"garment": Garment}, triggers=[shop, stock])
    store.set_many("garment", [{"id": i, "name": f"n{i}"} for i in range(1_000)]).wait(timeout=60)
    given = [{"id": 1_000 + i, "name": f"slow {i}"} for i in range(12)]
    store.set_many("garment", given).wait(timeout=60)
    found = store.rows("garment", where="id >= 1000")
    assert [(row.shop, row.stock) for row in found] == [
        (f"SLOW {i}", len(f"SLOW {i}")) for i in range(12)
    ]
    assert slow == 12 if inline else slow <= 2


def test_a_load_of_one_chunk_is_one_commit_in_a_new_store_too(open_store: OpenStore) -> None:
    @motion.trigger(on="garment.name", sets="garment.shop")
    def shop(name: str) -> str:
        return name.upper()

    store = open_store(schemas={"garment": Garment}, triggers=[shop])
    given: list[dict[str, Any]] = [{"id": i, "name": f"n{i}"} for i in range(1, 1_000)]
    with pytest.raises(motion.BadRows):
        store.set_many("garment", [*given, {"id": 1_000, "name": 7}])
    assert store.rows("garment") == []
