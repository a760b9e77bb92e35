"""Folds whose work was dropped: an entity that nothing under way makes right counts as stale, and a backfill makes it right."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import motion
from motion.testing import Stepper
from tests.across_rows.messages import SCHEMAS, Calls, Message, User, remembering, say
from tests.across_rows.paged_queries import CHANGES, change, fan_out
from tests.across_rows.test_folds_of_pages import SCHEMAS as PAGED
from tests.across_rows.test_folds_of_pages import WAYS, Way, in_any_order
from tests.conftest import OpenStore

WORLDS = settings(
    max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)

FATES = st.lists(
    st.sampled_from(["run", "cancelled", "cancelled", "left"]), min_size=16, max_size=16
)
"""What becomes of the work of each change; what is left is met by the next that runs."""


def meet(store: motion.Store, worker: Stepper, done: Any, fate: str) -> None:
    made = change(store, done)
    if fate == "cancelled":
        made.cancel()
    elif fate == "run":
        worker.run_until_idle()


def is_told(store: motion.Store, trigger: str) -> bool:
    """Whether it is told that a fold has something to make anew; a status says as much as a plan does."""
    plan = store.plan(trigger)
    assert store.status().triggers[trigger].stale == plan.stale
    return plan.stale + plan.missing > 0


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
@WORLDS
@given(CHANGES, FATES)
def test_values_that_lack_a_dropped_change_are_told_as_stale_and_a_backfill_makes_them_right(
    open_store: OpenStore, way: Way, done: list[Any], fates: list[str]
) -> None:
    store = open_store(schemas=PAGED, triggers=[fan_out, way.declared()], run=False, url=":memory:")
    try:
        with Stepper(store) as worker:
            for each, fate in zip(done, fates, strict=False):
                meet(store, worker, each, fate)
            worker.run_until_idle()
            assert is_told(store, "keep") or way.found(store) == way.expected(store)
            store.backfill("keep")
            worker.run_until_idle()
            assert way.found(store) == way.expected(store)
            assert not is_told(store, "keep")
            assert not store.errors()
    finally:
        store.close()


@pytest.mark.parametrize("way", ["by what page 0 says", "by a key of pages"])
@WORLDS
@given(CHANGES, FATES)
def test_a_dropped_row_of_a_fold_that_applies_once_is_told_and_a_backfill_applies_it(
    open_store: OpenStore, way: str, done: list[Any], fates: list[str]
) -> None:
    declared = WAYS[way]
    trigger = declared.declared(replay=False)
    store = open_store(schemas=PAGED, triggers=[fan_out, trigger], run=False, url=":memory:")

    def is_right() -> bool:
        return in_any_order(declared.found(store)) == in_any_order(declared.expected(store))

    try:
        with Stepper(store) as worker:
            for each, fate in zip(done, fates, strict=False):
                meet(store, worker, each, fate)
            worker.run_until_idle()
            assert is_told(store, "keep") or is_right()
            store.backfill("keep")
            worker.run_until_idle()
            assert is_right()
            assert not is_told(store, "keep")
    finally:
        store.close()


@pytest.mark.parametrize("replay", [True, False])
def test_a_backfill_calls_only_for_what_was_dropped(open_store: OpenStore, replay: bool) -> None:
    calls = Calls()
    triggers = [remembering(calls, replay=replay)]
    store = open_store(schemas=SCHEMAS, triggers=triggers, run=False)
    with Stepper(store) as worker:
        for row in range(1, 6):
            say(store, row, 10 * row, str(row))
            worker.run_until_idle()
        store.set("message", id=6, ts=60, user=1, text="6").cancel()
        worker.run_until_idle()
        assert is_told(store, "remember")
        assert store.explain("user", 1, "profile").is_due
        calls.clear()
        store.backfill("remember")
        worker.run_until_idle()
        assert calls.taken() == ["6"]
        assert store.rows(User)[0].profile == "123456"
        assert not is_told(store, "remember")
        store.set("message", id=7, ts=70, user=1, text="7").cancel()
        store.backfill("remember", force=True)
        worker.run_until_idle()
        assert Counter(calls.taken()) == Counter("1234567")


def test_an_entity_whose_rows_have_all_gone_with_dropped_work_is_stale(
    open_store: OpenStore,
) -> None:
    store = open_store(schemas=SCHEMAS, triggers=[remembering(Calls())], run=False)
    with Stepper(store) as worker:
        say(store, 1, 10, "a")
        worker.run_until_idle()
        store.delete("message", 1).cancel()
        assert is_told(store, "remember")
        store.backfill("remember")
        worker.run_until_idle()
        assert [user.profile for user in store.rows(User)] == [None]
        assert not is_told(store, "remember")


@motion.fold(on="message.text", by="message.user", sets="user.profile")
def remember(profile: str | None, text: str) -> str:
    return f"{profile or ''}{text}"


def test_work_that_is_dropped_while_a_fold_is_away_is_told_when_it_is_back(
    open_store: OpenStore,
) -> None:
    store = open_store(schemas=SCHEMAS, triggers=[remember], run=False)
    with Stepper(store) as worker:
        say(store, 1, 10, "a")
        worker.run_until_idle()
    say(store, 2, 20, "b")
    store.close()
    store = open_store(schemas=SCHEMAS, triggers=[], run=False)
    assert store.drop("remember") == 1
    store.close()
    store = open_store(schemas=SCHEMAS, triggers=[remember], run=False)
    with Stepper(store) as worker:
        assert is_told(store, "remember")
        store.backfill("remember")
        worker.run_until_idle()
        assert [user.profile for user in store.rows(User)] == ["ab"]
        assert [row.text for row in store.rows(Message)] == ["a", "b"]
