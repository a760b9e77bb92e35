"""Changed code is noticed, shown, and its results remade; a value can say where it came from."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated, Any

import pytest

import motion
from motion import clock
from motion.testing import Stepper
from tests.conftest import OpenStore


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
        store.wait(timeout=60)


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
        store.backfill("upper", where="id > ?", params=during).wait(timeout=60)
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
        store.wait(timeout=60)


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
        store.change(key).wait(timeout=60)
        assert uppers(store) == ["X1!", "X2!", "X3!", "X4!", "X5!"]


def test_a_backfill_of_many_parts_ends_with_all_rows_remade(tmp_path: Path) -> None:
    load(tmp_path, 25_000, upper_with(""))
    with opened(tmp_path, upper_with("!")) as store:
        change = store.backfill("upper").wait(timeout=60)
        assert change.count == 25_000
        assert store.plan("upper") == motion.Plan("upper", 0, 0, 25_000, 0, 0.0)


def test_p12_a_backfill_whose_rows_all_fail_for_a_while_does_not_put_the_table_into_the_queue(
    tmp_path: Path,
) -> None:
    @motion.trigger(on="line.text", sets="line.upper", retries=20)
    def upper(text: str) -> str:
        raise OSError(f"{text}: the service is down")

    load(tmp_path, 4_500)
    schemas, url = {"line": Line}, f"sqlite:///{tmp_path}"
    with (
        motion.create_store(
            "recompute", schemas=schemas, triggers=[upper], url=url, run=False
        ) as store,
        Stepper(store) as worker,
    ):
        store.backfill("upper")
        for _ in range(150):
            worker.step()
        queued = store.status().triggers["upper"].tasks
        assert queued.get("dead", 0) == 0
        assert sum(queued.values()) <= 3_000  # one part, and what may be held up beside it


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
        change.wait(timeout=60)
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
        live.wait(timeout=60)
        backfill.wait(timeout=60)
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
        store.wait(timeout=60)
        assert uppers(store) == ["X1!", "X2!", "X3!", "X4!", "X5!"]
    with opened(tmp_path, made("!"), length) as store:
        assert store.plan("upper").current == 5


def test_an_unknown_way_to_meet_a_change_of_code_is_refused() -> None:
    with pytest.raises(
        motion.TriggerError, match="takes 'backfill' or None, but was given 'recompute'"
    ):
        motion.trigger(on="line.text", sets="line.upper", on_change="recompute")  # type: ignore[arg-type]


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
        store.wait(timeout=60)
        assert uppers(store) == ["X1", "X2", "X3"]
    with opened(tmp_path, upper_with("!"), length) as store:
        store.change(key).wait(timeout=60)
        assert uppers(store) == ["X1!", "X2!", "X3!"]


def test_a_wrong_condition_of_a_backfill_is_an_error_at_once(tmp_path: Path) -> None:
    load(tmp_path, 2, upper_with(""))
    with opened(tmp_path, upper_with("!")) as store, pytest.raises(motion.SqlError, match="colour"):
        store.backfill("upper", where="colour = 'red'")


def test_a_backfill_shows_its_progress(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    load(tmp_path, 30, upper_with(""))
    with opened(tmp_path, upper_with("!")) as store:
        store.backfill("upper").wait(timeout=30, progress=True)
    assert "30/30" in capsys.readouterr().err


# -- what made a value, when, and how long that takes --


@pytest.fixture(autouse=True)
def own_time() -> Iterator[None]:
    yield
    clock.reset()


def is_between(before: datetime, at: datetime | None, after: datetime) -> bool:
    """Whether a time is right: it may be told up to 100 ms early, and is told in whole milliseconds."""
    return at is not None and before - timedelta(milliseconds=101) <= at <= after


def test_a_value_tells_when_it_was_made_and_given(tmp_path: Path) -> None:
    with opened(tmp_path, upper_with(""), length) as store:
        times = []
        for row in range(1, 4):
            before = clock.now()
            store.set("line", id=row, text="a").wait(timeout=60)
            times.append((before, clock.now()))
            clock.advance(3600)
        for row, (before, after) in enumerate(times, 1):
            found = store.explain("line", row, "length")
            for each in (found, found.inputs[0], found.inputs[0].inputs[0]):
                assert is_between(before, each.at, after), each


def test_a_value_that_is_made_again_tells_the_later_time(tmp_path: Path) -> None:
    filled(tmp_path, upper_with(""))
    with opened(tmp_path, upper_with("!")) as store:
        clock.advance(3600)
        before = clock.now()
        store.backfill("upper").wait(timeout=60)
        found = store.explain("line", 2, "upper")
        assert is_between(before, found.at, clock.now())
        assert found.inputs[0].at is not None
        assert found.inputs[0].at < before


def test_a_users_value_of_a_derived_key_tells_when_it_was_given(tmp_path: Path) -> None:
    with opened(tmp_path, upper_with("")) as store:
        store.set("line", id=1, text="a").wait(timeout=60)
        clock.advance(3600)
        before = clock.now()
        store.set("line", id=1, upper="mine")
        found = store.explain("line", 1, "upper")
        assert (found.made_by, found.inputs) == (None, ())
        assert is_between(before, found.at, clock.now())
        assert "given from outside" in str(found)


def test_a_value_given_before_anything_ran_on_its_key_has_no_time(tmp_path: Path) -> None:
    filled(tmp_path)
    with opened(tmp_path, upper_with("")) as store:
        store.backfill("upper").wait(timeout=60)
        found = store.explain("line", 2, "upper")
        assert found.at is not None
        assert (found.inputs[0].value, found.inputs[0].change, found.inputs[0].at) == (
            "xx",
            None,
            None,
        )


def test_moments_long_past_are_told_to_ten_seconds(tmp_path: Path) -> None:
    with opened(tmp_path, upper_with("")) as store:
        times = []
        for row in range(1, 41):
            before = clock.now()
            store.set("line", id=row, text="a").wait(timeout=60)
            times.append((before, clock.now()))
            clock.advance(1)
        clock.advance(2 * 3600)
    with opened(tmp_path, upper_with("")) as store:
        for row, (before, after) in enumerate(times, 1):
            at = store.explain("line", row, "upper").at
            assert is_between(before - timedelta(seconds=10.1), at, after)
        kept = store.sql("select count(*) as n from motion_moments").to_pylist()[0]["n"]
        assert kept < 15


def test_what_calls_take_is_kept_for_other_processes(tmp_path: Path) -> None:
    @motion.trigger(on="line.text", sets="line.upper", inline=False)
    def upper(text: str) -> str:
        return text.upper()

    load(tmp_path, 50, upper)
    with motion.create_store(
        "recompute", schemas={"line": Line}, url=f"sqlite:///{tmp_path}"
    ) as other:
        seconds = other.explain("line", 1, "upper").seconds
        assert seconds is not None
        assert 0 < seconds < 1
        status = other.status().triggers["upper"]
        assert (status.calls, status.seconds, status.has_code) == (50, seconds, False)


def test_a_row_that_waits_for_a_value_is_neither_stale_nor_current(tmp_path: Path) -> None:
    @motion.trigger(on="line.text", sets="line.length")
    def measured(text: str, upper: str) -> int:
        return len(text + upper)

    with opened(tmp_path, measured) as store:
        store.set("line", id=1, text="a", upper="A").wait(timeout=60)
        store.set("line", id=1, upper=None).wait(timeout=60)
        store.set("line", id=1, text="ab").wait(timeout=60)
        plan = store.plan(measured)
        assert (plan.stale, plan.missing, plan.current) == (0, 0, 0)
        assert store.status().triggers["measured"].stale == 0
        assert store.backfill(measured).wait(timeout=60).count == 0
        store.set("line", id=1, upper="AB").wait(timeout=60)
        assert store.get("line", 1).length == 4


def test_a_plan_tells_the_time_of_calls_that_another_process_has_measured(tmp_path: Path) -> None:
    load(tmp_path, 50, upper_with(""))
    with opened(tmp_path, upper_with("!")) as store:
        plan = store.plan("upper")
        assert plan.stale == 50
        assert plan.seconds is not None
        assert plan.seconds > 0


def test_a_row_that_a_trigger_made_tells_the_row_it_was_made_from(tmp_path: Path) -> None:
    @dataclass
    class Word:
        id: int
        word: str
        size: int

    @motion.trigger(on="line.text", sets="word")
    def split(text: str) -> list[dict[str, str]]:
        return [{"word": word} for word in text.split()]

    @motion.trigger(on="word.word", sets="word.size")
    def measure(word: str) -> int:
        return len(word)

    with motion.create_store(
        "words", schemas={"line": Line, "word": Word}, triggers=[split, measure], url=":memory:"
    ) as store:
        store.set("line", id=7, text="two words").wait(timeout=60)
        found = store.explain("word", store.rows("word")[1].id, "size")
        assert (found.made_by, found.inputs[0].made_by) == ("measure", "split")
        source = found.inputs[0].inputs[0]
        assert (source.table, source.id, source.value) == ("line", 7, "two words")


def test_an_explanation_is_written_to_be_read(tmp_path: Path) -> None:
    filled(tmp_path, upper_with(""), length)
    with opened(tmp_path, upper_with("!"), length) as store:
        text = str(store.explain("line", 2, "length"))
    lines = text.splitlines()
    assert lines[0] == "line.length of id=2 = 2"
    assert re.fullmatch(
        r"  made by length, 20\d\d-\d\d-\d\d \d\d:\d\d:\d\d UTC, [\d.]+ \S+ a call, code [0-9a-f]{8}",
        lines[1],
    )
    assert lines[2] == "    upper = 'XX'"
    assert lines[3].endswith(", STALE: its code is another now")
    assert lines[4] == "        text = 'xx'"
    assert lines[5].startswith("          given from outside, 20")


def test_an_explanation_of_a_row_that_is_not_there_says_so(tmp_path: Path) -> None:
    filled(tmp_path, upper_with(""), length)
    with opened(tmp_path, upper_with(""), length) as store:
        absent, unset = store.explain("line", 99, "length"), store.explain("line", 2, "text")
        assert (absent.is_row, absent.value, unset.is_row) == (False, None, True)
        assert str(absent).splitlines()[1] == "  there is no such row"


def test_a_value_that_waits_to_be_made_again_says_so(tmp_path: Path) -> None:
    filled(tmp_path, upper_with(""))
    opened(tmp_path, upper_with("!")).close()
    with motion.create_store(
        "recompute", schemas={"line": Line}, url=f"sqlite:///{tmp_path}"
    ) as other:
        other.set("line", id=2, text="new")
        found = other.explain("line", 2, "upper")
        assert (found.value, found.made_by, found.is_due) == ("XX", "upper", True)
        assert "to be made again" in str(found)


# -- status --


def test_status_tells_how_many_rows_changed_code_has_left_stale(tmp_path: Path) -> None:
    load(tmp_path, 5, upper_with(""), length)
    with opened(tmp_path, upper_with("!"), length) as store:
        assert [each.stale for each in store.status().triggers.values()] == [5, 0]
        store.set("line", id=1, text="new").wait(timeout=60)
        assert store.status().triggers["upper"].stale == 4
        store.backfill("upper").wait(timeout=60)
        assert store.status().triggers["upper"].stale == 0


def test_status_shows_backfills_that_are_under_way(tmp_path: Path) -> None:
    load(tmp_path, 5, upper_with(""))
    opened(tmp_path, upper_with("!")).close()
    with motion.create_store(
        "recompute", schemas={"line": Line}, url=f"sqlite:///{tmp_path}"
    ) as other:
        change = other.backfill("upper")
        (backfill,) = other.status().backfills
        assert (backfill.change, backfill.total, backfill.remaining) == (change.key, 5, 5)
        change.cancel()
        assert other.status().backfills == []


def test_status_is_written_to_be_read(tmp_path: Path) -> None:
    load(tmp_path, 5, upper_with(""), length)
    with opened(tmp_path, upper_with("!"), length) as store:
        lines = str(store.status()).splitlines()
        assert lines[0].startswith("store recompute: 0 row(s) to do, last change ")
        assert lines[1].split() == (
            "trigger rows to do ready running blocked failed stale calls a call calls/s".split()
        )
        assert lines[2].split()[:7] == ["upper", "0", "0", "0", "0", "0", "5"]
        assert lines[3].split()[7] == "5"  # calls of length, by the process before


def test_status_counts_the_calls_of_this_moment(tmp_path: Path) -> None:
    with opened(tmp_path, upper_with("")) as store:
        store.set_many("line", [{"text": "a"} for _ in range(200)]).wait(timeout=60)
        found = store.status().triggers["upper"]
        assert found.calls == 200
        assert 0 < found.per_second <= 20


# -- what a value was made from --


def test_an_input_that_has_changed_since_a_value_was_made_says_so(tmp_path: Path) -> None:
    @motion.trigger(on="line.text", sets="line.upper")
    def upper(text: str) -> str:
        if text == "bad":
            raise ValueError(text)
        return text.upper()

    with opened(tmp_path, upper, length) as store:
        store.set("line", id=1, text="good").wait()
        before = store.explain("line", 1, "length")
        store.set("line", id=1, text="bad").wait(raise_errors=False)
        found = store.explain("line", 1, "upper")
        whole = store.explain("line", 1, "length")
        assert [each.has_changed for each in (before.inputs[0], *before.inputs[0].inputs)] == [
            False, False,
        ]  # fmt: skip
        assert (found.value, found.is_due, found.inputs[0].value) == ("GOOD", True, "good")
        assert found.inputs[0].has_changed
        assert found.inputs[0].now
        assert found.inputs[0].now.value == "bad"
        assert (whole.inputs[0].has_changed, whole.inputs[0].inputs[0].has_changed) == (False, True)
        assert (
            "text = 'good'\n      as it was when the value was made: CHANGED SINCE, and now it is"
            in str(found)
        )
        store.set("line", id=1, text="new").wait()
        assert not store.explain("line", 1, "upper").inputs[0].has_changed


def test_a_parameter_that_nothing_runs_on_tells_that_it_has_changed(tmp_path: Path) -> None:
    @motion.trigger(on="line.text", sets="line.upper")
    def repeat(text: str, length: int) -> str:
        return text * length

    with opened(tmp_path, repeat) as store:
        store.set("line", id=1, text="a", length=2).wait()
        before = [each.has_changed for each in store.explain("line", 1, "upper").inputs]
        store.set("line", id=1, length=3).wait()
        after = store.explain("line", 1, "upper")
    assert (before, [each.has_changed for each in after.inputs]) == ([False, False], [False, True])
    used = after.inputs[1]
    assert (after.value, used.value, used.now and used.now.value) == ("aa", 2, 3)


@dataclass
class Split:
    id: int
    text: str
    word: str
    word_page: int


@dataclass
class Word:
    id: int
    word: str
    note: str


def test_a_users_value_of_a_page_or_of_a_made_row_is_explained_as_given(tmp_path: Path) -> None:
    @motion.trigger(on="split.text", sets="split.word", page="word_page")
    def pages(text: str) -> list[str]:
        return text.split()

    @motion.trigger(on="split.text", sets="word")
    def rows(text: str) -> list[dict[str, str]]:
        return [{"word": word} for word in text.split()]

    with motion.create_store(
        "given", schemas={"split": Split, "word": Word}, triggers=[pages, rows], url=":memory:"
    ) as store:
        store.set("split", id=1, text="a b").wait()
        store.set("split", id=1, word_page=1, word="mine")
        store.set("word", id=2, word="mine")
        store.set("word", id=1, note="seen").wait()
        made = [
            store.explain("split", 1, "word").made_by,
            store.explain("split", 1, "word", word_page=1).made_by,
            *(store.explain("word", id, "word").made_by for id in (1, 2)),
            store.explain("word", 1, "note").made_by,
        ]
        store.set("split", id=1, text="a c").wait()
        again = store.explain("split", 1, "word", word_page=1).made_by
    assert (made, again) == (["pages", None, "rows", None, None], "pages")


# -- what nobody is going to make right by itself --


def doubling(**options: Any) -> Callable[..., Any]:
    @motion.trigger(on="line.length", sets="line.upper", inline=False, name="double", **options)
    def double(length: int) -> str:
        return str(2 * length)

    return double


def lengths(store: motion.Store, length: int) -> motion.Change:
    return store.set_many("line", [{"id": i, "length": length} for i in range(8)])


DROPS: dict[str, dict[str, Any]] = {
    "cancel": {},
    "discard_after": {"discard_after": 60},
    "discard_beyond": {"discard_beyond": 2},
}


@pytest.mark.parametrize("how", DROPS)
def test_rows_whose_run_was_dropped_are_stale_until_it_is_made_up_for(
    open_store: OpenStore, how: str
) -> None:
    store = open_store(schemas={"line": Line}, triggers=[doubling(**DROPS[how])], run=False)
    with Stepper(store) as worker:
        for i in range(8):
            store.set("line", id=i, length=1)
            worker.run_until_idle()
        change = lengths(store, 2)
        plan = store.plan("double")
        assert how == "discard_beyond" or (plan.stale, plan.current) == (0, 8)  # they wait
        if how == "cancel":
            change.cancel()
        elif how == "discard_after":
            clock.advance(120)
        worker.run_until_idle()
        old = [row.id for row in store.rows("line") if row.upper == "2"]
        assert len(old) >= 5
        assert store.status().triggers["double"].stale == len(old)
        assert (store.plan("double").stale, store.plan("double").current) == (
            len(old),
            8 - len(old),
        )
        assert store.backfill("double", where={"id": old[0]}).count == 1
        worker.run_until_idle()
        assert store.get("line", old[0]).upper == "4"
        left = store.backfill("double")
        assert how != "cancel" or left.count == len(old) - 1
        for _ in range(8):  # a backfill is work that may be too much, too
            worker.run_until_idle()
            left = store.backfill("double")
        worker.run_until_idle()
        assert {row.upper for row in store.rows("line")} == {"4"}
        assert (store.status().triggers["double"].stale, left.count) == (0, 0)


@pytest.mark.parametrize("how", ["cancel", "discard_after"])
def test_a_value_that_was_to_be_unset_is_stale_where_that_run_was_dropped(
    open_store: OpenStore, how: str
) -> None:
    store = open_store(schemas={"line": Line}, triggers=[doubling(**DROPS[how])], run=False)
    with Stepper(store) as worker:
        lengths(store, 1)
        worker.run_until_idle()
        store.set("line", id=3, upper="mine")
        changes = [store.set("line", id=i, length=None) for i in (3, 5)]
        for change in changes if how == "cancel" else ():
            change.cancel()
        clock.advance(120)
        worker.run_until_idle()
        assert [store.get("line", i).upper for i in (3, 5)] == ["mine", "2"]
        plan = store.plan("double")
        assert (store.status().triggers["double"].stale, plan.stale, plan.current) == (2, 2, 6)
        assert store.explain("line", 5, "upper").is_due
        assert store.backfill("double").count == 2
        worker.run_until_idle()
        assert [row.id for row in store.rows("line") if row.upper is None] == [3, 5]
        plan = store.plan("double")
        assert (store.status().triggers["double"].stale, plan.stale, plan.current) == (0, 0, 6)


@dataclass
class Guest:
    id: int
    name: str
    line: int
    note: str
    told: str


GONE: dict[str, Callable[[motion.Store], motion.Change]] = {
    "what is looked up is unset": lambda store: store.set("line", id=2, text=None),
    "what is looked up is deleted": lambda store: store.delete("line", 2),
    "what looks it up is unset": lambda store: store.set("guest", id=1, line=None),
    "a key that it runs on is unset": lambda store: store.set("guest", id=1, name=None),
}


@pytest.mark.parametrize("gone", GONE.values(), ids=GONE)
def test_a_value_of_what_is_gone_is_stale_where_that_run_was_dropped(
    open_store: OpenStore, gone: Callable[[motion.Store], motion.Change]
) -> None:
    @motion.trigger(on="guest.name", sets="guest.told", inline=False)
    def tell(
        name: str, note: str, text: Annotated[str, motion.Lookup("line.text", by="line")]
    ) -> str:
        return f"{name} {note} {text}"

    store = open_store(schemas={"line": Line, "guest": Guest}, triggers=[tell], run=False)
    with Stepper(store) as worker:
        store.set("line", id=2, text="two")
        store.set("guest", id=1, name="ann", note="new", line=2)
        worker.run_until_idle()
        gone(store).cancel()
        worker.run_until_idle()
        assert store.get("guest", 1).told == "ann new two"
        assert (store.status().triggers["tell"].stale, store.plan("tell").stale) == (1, 1)
        store.backfill("tell")
        worker.run_until_idle()
        assert store.get("guest", 1).told is None
        assert (store.status().triggers["tell"].stale, store.plan("tell").stale) == (0, 0)


def test_a_value_that_waits_for_another_is_not_stale_because_a_run_was_dropped(
    open_store: OpenStore,
) -> None:
    """It stays until what it waits for is there: a backfill could not do more."""

    @motion.trigger(on="guest.name", sets="guest.told", inline=False)
    def tell(name: str, note: str) -> str:
        return f"{name} {note}"

    store = open_store(schemas={"guest": Guest}, triggers=[tell], run=False)
    with Stepper(store) as worker:
        store.set("guest", id=1, name="ann", note="new")
        worker.run_until_idle()
        store.set("guest", id=1, note=None)
        store.set("guest", id=1, name="eve").cancel()
        worker.run_until_idle()
        assert (store.status().triggers["tell"].stale, store.backfill("tell").count) == (0, 0)
        store.set("guest", id=1, note="old")
        worker.run_until_idle()
        assert store.get("guest", 1).told == "eve old"


@dataclass
class Verse:
    id: int
    text: str
    times: int
    whole: str
    word: str
    page: int


@motion.trigger(on=["verse.text", "verse.times"], sets="verse.whole", inline=False)
def repeat_verse(text: str, times: int) -> str:
    return text * times


@motion.trigger(on="verse.text", sets="verse.whole", inline=False)
def count_before(
    text: str, before: Annotated[int, motion.Window("verse.text", by="times", agg="count")]
) -> str:
    return f"{text} {before}"


@motion.trigger(on="verse.text", sets="verse.whole", inline=False)
def look_up(text: str, upper: Annotated[str, motion.Lookup("line.upper", by="times")]) -> str:
    return f"{text} {upper}"


@motion.trigger(on=["verse.text", "verse.times"], sets="verse.word", page="page", inline=False)
def lay_out(text: str, times: int) -> list[str]:
    return [text] * times


@motion.trigger(on=["verse.text", "verse.times"], sets="word", inline=False)
def list_words(text: str, times: int) -> list[dict[str, str]]:
    return [{"word": text}] * times


@motion.trigger(on=["verse.text", "verse.times"], inline=False)
def tell_others(text: str, times: int) -> None: ...


class Reciter(motion.Component):
    def setup(self) -> str:
        return "!"

    @motion.infer(on=["verse.text", "verse.times"], sets="verse.whole", refresh="before")
    def recite(self, state: str, text: str, times: int) -> str:
        return text * times + state


MAKERS: dict[str, tuple[Any, str | None]] = {
    "a value": (repeat_verse, "whole"),
    "a value of other rows": (count_before, "whole"),
    "a value of what is looked up": (look_up, "whole"),
    "a value by version": (Reciter(), "whole"),
    "pages": (lay_out, "word"),
    "rows of another table": (list_words, None),
    "nothing": (tell_others, None),
}
"""Triggers that need `times`, each with the key of the row that it sets."""


@pytest.mark.parametrize("maker", MAKERS.values(), ids=MAKERS)
@pytest.mark.parametrize("had", [False, True])
def test_a_row_that_has_nothing_and_not_what_it_could_be_made_of_is_not_stale(
    open_store: OpenStore, maker: tuple[Any, str | None], had: bool
) -> None:
    trigger, key = maker
    schemas = {"verse": Verse, "word": Word, "line": Line}
    store = open_store(schemas=schemas, triggers=[trigger], run=False)
    (name,) = store.status().triggers

    def told() -> tuple[int, int, bool, int]:
        stale = store.status().triggers[name].stale
        is_due = key is not None and store.explain("verse", 1, key).is_due
        change = store.backfill(name)
        change.cancel()
        return stale, store.plan(name).stale, is_due, change.count

    with Stepper(store) as worker:
        store.set("line", id=2, upper="TWO")
        store.set("verse", id=1, text="la", times=2 if had else None)
        worker.run_until_idle()
        store.set("verse", id=1, times=None)
        worker.run_until_idle()
        store.set("verse", id=1, text="lo").cancel()  # it would have made nothing
        assert told() == (0, 0, False, 0)
        store.set("verse", id=1, times=2).cancel()  # by now it could make something
        assert told() == (1, 1, key is not None, 1)
        store.backfill(name)
        worker.run_until_idle()
        assert told() == (0, 0, False, 0)
        store.set("verse", id=1, times=None).cancel()  # what it has made stays
        is_left = trigger is not tell_others
        assert told() == (is_left, is_left, key is not None, is_left)
        store.backfill(name)
        worker.run_until_idle()
        assert told() == (0, 0, False, 0)


def test_a_users_value_is_stale_once_a_run_that_was_to_follow_it_is_dropped(
    open_store: OpenStore,
) -> None:
    store = open_store(schemas={"line": Line}, triggers=[doubling()], run=False)
    with Stepper(store) as worker:
        lengths(store, 1)
        worker.run_until_idle()
        store.set("line", id=3, upper="mine")
        assert (store.plan("double").by_users, store.plan("double").stale) == (1, 0)
        store.set("line", id=3, length=5).cancel()
        assert (store.plan("double").by_users, store.plan("double").stale) == (0, 1)
        store.backfill("double")
        worker.run_until_idle()
        assert store.get("line", 3).upper == "10"


def test_what_stands_behind_a_dead_letter_is_stale(open_store: OpenStore) -> None:
    """A run does not go on with an input that was given up: its old value stays, and is told as stale."""
    mended = threading.Event()

    @motion.trigger(on="line.text", sets="line.length", retries=0, inline=False)
    def count(text: str) -> int:
        if text == "bad" and not mended.is_set():
            raise ValueError(text)
        return len(text)

    @motion.trigger(on="line.text", sets="line.upper", inline=False)
    def tell(text: str, length: int) -> str:
        return f"{text} {length}"

    store = open_store(schemas={"line": Line}, triggers=[count, tell])
    store.set_many("line", [{"id": i, "text": "good"} for i in range(4)]).wait(timeout=60)
    store.set("line", id=2, text="bad")
    store.wait(timeout=60)
    assert store.get("line", 2).upper == "good 4"
    assert {name: each.stale for name, each in store.status().triggers.items()} == {
        "count": 1,
        "tell": 1,
    }
    assert (store.plan("tell").stale, store.plan("tell").current) == (1, 3)
    mended.set()
    store.retry()
    store.wait(timeout=60)
    assert store.get("line", 2).upper == "bad 3"
    assert {each.stale for each in store.status().triggers.values()} == {0}
