"""Changed code is noticed, shown, and its results remade; a value can say where it came from."""

from __future__ import annotations

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
