"""Changed code is noticed, shown, and its results remade; a value can say where it came from."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import motion


@dataclass
class Line:
    id: int
    text: str
    upper: str
    length: int


def upper_with(ending: str) -> Callable[..., Any]:
    @motion.trigger(on="line.text", sets="line.upper")
    def upper(text: str) -> str:
        return text.upper() + ending

    return upper


@motion.trigger(on="line.upper", sets="line.length")
def length(upper: str) -> int:
    return len(upper)


def opened(folder: Path, *triggers: Any) -> motion.Store:
    return motion.create_store(
        "recompute", schemas={"line": Line}, triggers=list(triggers), url=f"sqlite:///{folder}"
    )


def filled(folder: Path, *triggers: Any) -> None:
    with opened(folder, *triggers) as store:
        store.set_many("line", [{"id": i, "text": "x" * i} for i in range(1, 6)])
        store.wait(timeout=30)


def test_a_plan_counts_what_changed_code_has_left_stale(tmp_path: Path) -> None:
    filled(tmp_path, upper_with(""), length)
    with opened(tmp_path, upper_with("!"), length) as store:
        assert (store.plan("upper").stale, store.plan("upper").current) == (5, 0)
        assert (store.plan(length).stale, store.plan(length).current) == (0, 5)


def test_the_same_code_leaves_nothing_stale(tmp_path: Path) -> None:
    filled(tmp_path, upper_with(""), length)
    with opened(tmp_path, upper_with(""), length) as store:
        assert store.plan("upper").stale == 0


def test_stale_values_stay_until_they_are_remade(tmp_path: Path) -> None:
    filled(tmp_path, upper_with(""), length)
    with opened(tmp_path, upper_with("!"), length) as store:
        assert store.get("line", 2).upper == "XX"


def test_a_backfill_remakes_stale_values_and_what_follows(tmp_path: Path) -> None:
    filled(tmp_path, upper_with(""), length)
    with opened(tmp_path, upper_with("!"), length) as store:
        change = store.backfill("upper").wait()
        assert change.count == 5
        assert [(row.upper, row.length) for row in store.rows("line")][1] == ("XX!", 3)
        assert store.plan("upper").stale == 0


def test_a_trigger_that_is_new_to_rows_is_run_by_a_backfill(tmp_path: Path) -> None:
    filled(tmp_path)
    with opened(tmp_path, upper_with(""), length) as store:
        assert store.plan("upper").missing == 5
        store.backfill("upper").wait()
        assert [row.length for row in store.rows("line")] == [1, 2, 3, 4, 5]


def test_a_backfill_leaves_users_values_alone(tmp_path: Path) -> None:
    filled(tmp_path, upper_with(""), length)
    with opened(tmp_path, upper_with("!"), length) as store:
        store.set("line", id=3, upper="mine").wait()
        store.backfill("upper", force=True).wait()
        assert store.get("line", 3).upper == "mine"
        assert store.plan("upper").by_users == 1


def test_a_backfill_takes_only_the_rows_asked_for(tmp_path: Path) -> None:
    filled(tmp_path, upper_with(""), length)
    with opened(tmp_path, upper_with("!"), length) as store:
        store.backfill("upper", where="id <= ?", params=[2]).wait()
        assert [row.upper for row in store.rows("line")] == ["X!", "XX!", "XXX", "XXXX", "XXXXX"]


def test_an_unknown_trigger_is_named_with_the_nearest(tmp_path: Path) -> None:
    with (
        opened(tmp_path, upper_with(""), length) as store,
        pytest.raises(motion.TriggerError, match="Did you mean 'upper'"),
    ):
        store.plan("uper")


def test_a_value_tells_the_triggers_and_inputs_that_made_it(tmp_path: Path) -> None:
    filled(tmp_path, upper_with(""), length)
    with opened(tmp_path, upper_with(""), length) as store:
        found = store.explain("line", 2, "length")
        assert (found.value, found.made_by, found.is_current) == (2, "length", True)
        assert [(each.key, each.made_by) for each in found.inputs] == [("upper", "upper")]
        assert [(each.key, each.value) for each in found.inputs[0].inputs] == [("text", "xx")]


def test_a_users_value_is_explained_as_given(tmp_path: Path) -> None:
    with opened(tmp_path, upper_with(""), length) as store:
        store.set("line", id=1, text="abc", upper="mine").wait()
        assert store.explain("line", 1, "upper").made_by is None


def test_a_value_made_by_other_code_is_explained_as_stale(tmp_path: Path) -> None:
    filled(tmp_path, upper_with(""), length)
    with opened(tmp_path, upper_with("!"), length) as store:
        assert not store.explain("line", 2, "upper").is_current


class During(list[Any]):
    """Parameters of a condition that do something when they are read."""

    def __init__(self, values: list[Any], act: Callable[[], Any]) -> None:
        super().__init__(values)
        self._act = act

    def __iter__(self) -> Iterator[Any]:
        self._act()
        return super().__iter__()


def test_a_users_value_given_while_a_backfill_chooses_its_rows_stays(tmp_path: Path) -> None:
    filled(tmp_path, upper_with(""), length)
    with opened(tmp_path, upper_with("!"), length) as store:
        during = During([0], lambda: store.set("line", id=2, upper="mine"))
        store.backfill("upper", where="id > ?", params=during).wait(timeout=30)
        assert [row.upper for row in store.rows("line", limit=3)] == ["X!", "mine", "XXX!"]


# -- a backfill as one decision --


class Gate:
    """A trigger that, once it is closed, waits until it is opened again; it notes what it ran on."""

    def __init__(self, ending: str = "", **options: Any) -> None:
        self.calls: list[str] = []
        self._open, self._reached = threading.Event(), threading.Event()
        self._open.set()

        @motion.trigger(on="line.text", sets="line.upper", inline=False, **options)
        def upper(text: str) -> str:
            self.calls.append(text)
            self._reached.set()
            assert self._open.wait(20)
            return text.upper() + ending

        self.trigger = upper

    def close(self) -> None:
        self._reached.clear()
        self._open.clear()

    def await_call(self) -> None:
        assert self._reached.wait(20)

    def open(self) -> None:
        self._open.set()


def load(folder: Path, count: int, *triggers: Any) -> None:
    """Make rows with texts "x1", "x2", ..., all of them derived."""
    with opened(folder, *triggers) as store:
        store.set_many("line", [{"id": i, "text": f"x{i}"} for i in range(1, count + 1)])
        store.wait(timeout=30)


def uppers(store: motion.Store) -> list[str]:
    return [row.upper for row in store.rows("line", order_by="id")]


def test_a_backfill_is_one_decision_that_a_process_without_the_code_can_make(
    tmp_path: Path,
) -> None:
    load(tmp_path, 5, upper_with(""))
    opened(tmp_path, upper_with("!")).close()
    with motion.create_store(
        "recompute", schemas={"line": Line}, url=f"sqlite:///{tmp_path}"
    ) as other:
        change = other.backfill("upper")
        assert (change.count, change.progress.remaining) == (5, 5)
        assert other.status().tasks == {}  # ten million rows would not make a longer queue either
        key = change.key
    with opened(tmp_path, upper_with("!")) as store:
        store.change(key).wait(timeout=30)
        assert uppers(store) == ["X1!", "X2!", "X3!", "X4!", "X5!"]


def test_a_backfill_of_many_parts_ends_with_all_rows_remade(tmp_path: Path) -> None:
    load(tmp_path, 25_000, upper_with(""))
    with opened(tmp_path, upper_with("!")) as store:
        change = store.backfill("upper").wait(timeout=60)
        assert change.count == 25_000
        assert store.plan("upper") == motion.Plan("upper", 0, 0, 25_000, 0, 0.0)


def test_scattered_rows_are_backfilled_and_only_these(tmp_path: Path) -> None:
    load(tmp_path, 5_000, upper_with(""))
    with opened(tmp_path, upper_with("!")) as store:
        assert (
            store.backfill("upper", where="id % 2 = ?", params=[1]).wait(timeout=60).count == 2500
        )
        assert [text.endswith("!") for text in uppers(store)] == [True, False] * 2500


def test_a_backfill_runs_each_row_once(tmp_path: Path) -> None:
    load(tmp_path, 12_000, upper_with(""))
    gate = Gate("!")
    with opened(tmp_path, gate.trigger) as store:
        store.backfill("upper", force=True).wait(timeout=60)
        assert len(gate.calls) == len(set(gate.calls)) == 12_000


def test_a_cancelled_backfill_leaves_the_rest_stale_and_consistent(tmp_path: Path) -> None:
    load(tmp_path, 9_000, upper_with(""), length)
    calls: list[str] = []
    is_half_done, is_cancelled = threading.Event(), threading.Event()

    @motion.trigger(on="line.text", sets="line.upper", inline=False)
    def upper(text: str) -> str:
        calls.append(text)
        if len(calls) == 3_000:
            is_half_done.set()
            assert is_cancelled.wait(20)
        return text.upper() + "!"

    @motion.trigger(on="line.upper", sets="line.length", name="length", retries=1)
    def slow_length(upper: str) -> int:
        assert is_cancelled.wait(20)
        return len(upper)

    with opened(tmp_path, upper, slow_length) as store:
        change = store.backfill("upper")
        assert is_half_done.wait(20)
        change.cancel()
        is_cancelled.set()
        change.wait(timeout=30)
        plan = store.plan("upper")
        assert (plan.stale + plan.current, plan.missing) == (9_000, 0)
        assert 2_000 <= plan.current < 9_000
        assert all(row.length == len(row.upper) for row in store.rows("line"))
        assert store.explain("line", 9_000, "upper").made_by == "upper"


def test_live_work_goes_before_a_backfill_whatever_priority_its_trigger_has(tmp_path: Path) -> None:
    load(tmp_path, 100, upper_with(""))
    gate = Gate("!", priority=7)
    with opened(tmp_path, gate.trigger) as store:
        gate.close()
        backfill = store.backfill("upper")
        gate.await_call()
        live = store.set("line", id=1000, text="live")
        gate.open()
        live.wait(timeout=30)
        backfill.wait(timeout=30)
        assert len(gate.calls) == 101
        assert gate.calls.index("live") < 100


def test_a_backfill_begins_by_itself_where_it_is_asked_for(tmp_path: Path) -> None:
    def made(ending: str) -> Any:
        @motion.trigger(on="line.text", sets="line.upper", on_change="backfill")
        def upper(text: str) -> str:
            return text.upper() + ending

        return upper

    load(tmp_path, 5, made(""), length)
    with opened(tmp_path, made("!"), length) as store:
        store.wait(timeout=30)
        assert uppers(store) == ["X1!", "X2!", "X3!", "X4!", "X5!"]
    with opened(tmp_path, made("!"), length) as store:
        assert store.plan("upper").current == 5


def test_an_unknown_way_to_meet_a_change_of_code_is_refused(tmp_path: Path) -> None:
    @motion.trigger(on="line.text", sets="line.upper", on_change="recompute")  # type: ignore[arg-type]
    def upper(text: str) -> str:
        return text

    with pytest.raises(motion.TriggerError, match="'recompute' is neither 'backfill' nor None"):
        opened(tmp_path, upper)


def test_a_backfill_of_a_trigger_that_vanished_says_that_it_did(tmp_path: Path) -> None:
    load(tmp_path, 2, upper_with(""), length)
    with (
        opened(tmp_path, upper_with("")) as store,
        pytest.raises(
            motion.TriggerError, match=r"'length' is not among those .* last opened with"
        ),
    ):
        store.backfill("length")


def test_the_work_of_a_backfill_whose_trigger_vanished_is_kept_and_not_waited_for(
    tmp_path: Path,
) -> None:
    load(tmp_path, 3, upper_with(""), length)
    opened(tmp_path, upper_with("!"), length).close()
    schemas, url = {"line": Line}, f"sqlite:///{tmp_path}"
    with motion.create_store("recompute", schemas=schemas, url=url) as other:
        key = other.backfill("upper").key
    with opened(tmp_path, length) as store:
        store.wait(timeout=30)
        assert uppers(store) == ["X1", "X2", "X3"]
    with opened(tmp_path, upper_with("!"), length) as store:
        store.change(key).wait(timeout=30)
        assert uppers(store) == ["X1!", "X2!", "X3!"]


def test_a_wrong_condition_of_a_backfill_is_an_error_at_once(tmp_path: Path) -> None:
    load(tmp_path, 2, upper_with(""))
    with opened(tmp_path, upper_with("!")) as store, pytest.raises(motion.SqlError, match="colour"):
        store.backfill("upper", where="colour = 'red'")


def test_a_backfill_shows_its_progress(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    load(tmp_path, 30, upper_with(""))
    with opened(tmp_path, upper_with("!")) as store:
        store.backfill("upper").wait(timeout=30, progress=True)
    assert "30/30" in capsys.readouterr().out
