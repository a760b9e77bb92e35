"""Folds with `replay=False`: each row is applied once, as it arrives, and what changes later calls nothing by itself."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import motion
from motion.definitions.triggers import folds
from motion.persistence.inputs.applied import AppliedOnce
from tests.across_rows import messages as messages_of
from tests.across_rows.messages import SCHEMAS, Calls, Message, User, profiles, say
from tests.conftest import OpenStore, until

remembering = partial(messages_of.remembering, replay=False)


@pytest.fixture
def calls() -> Calls:
    return Calls()


@pytest.fixture
def messages(open_store: OpenStore, calls: Calls) -> motion.Store:
    return open_store(schemas=SCHEMAS, triggers=[remembering(calls)])


def stale(store: motion.Store, name: str = "remember") -> int:
    """Return how many entities are stale; a status may tell a count that took long a while later."""
    store.wait(timeout=60)
    found = store.plan(name).stale
    until(store, lambda: store.status().triggers[name].stale == found, timeout_s=60)
    return found


def said(store: motion.Store, text: str = "abc") -> None:
    """Let user 1 have said some letters, in order."""
    for place, letter in enumerate(text, 1):
        say(store, place, 10 * place, letter)
        store.wait(timeout=60)


# -- each row once, as it arrives --


def test_a_row_that_comes_late_is_applied_as_it_comes(messages: motion.Store, calls: Calls) -> None:
    said(messages, "ab")
    say(messages, 3, 15, "L")
    assert profiles(messages) == {1: "abL"}
    assert calls == ["a", "b", "L"]
    assert stale(messages) == 0


def test_rows_that_wait_are_applied_in_the_order_of_their_arrival(
    open_store: OpenStore, calls: Calls
) -> None:
    store = open_store(schemas=SCHEMAS, triggers=[remembering(calls)], run=False)
    say(store, 1, 30, "c")
    say(store, 2, 10, "a")
    say(store, 3, 20, "x", user=2)
    store.set_many("message", [{"id": i, "ts": 9 - i, "user": 1, "text": f"{i}"} for i in (4, 5)])
    store.close()
    store = open_store(schemas=SCHEMAS, triggers=[remembering(calls)])
    assert profiles(store) == {1: "ca54", 2: "x"}  # of one write by their order
    assert len(calls) == 5


@pytest.mark.parametrize("change", ["edited", "deleted", "moved in time", "unset"])
def test_an_applied_row_that_becomes_another_calls_nothing_and_leaves_its_entity_stale(
    messages: motion.Store, calls: Calls, change: str
) -> None:
    said(messages, "abc")
    say(messages, 9, 5, "x", user=2)
    messages.wait(timeout=60)
    calls.clear()
    match change:
        case "edited":
            messages.set("message", id=2, text="B")
        case "deleted":
            messages.delete("message", 2)
        case "moved in time":
            messages.set("message", id=2, ts=99)
        case _:
            messages.set("message", id=2, text=None)
    assert profiles(messages) == {1: "abc", 2: "x"}
    assert calls == []
    assert stale(messages) == 1
    assert messages.explain("user", 1, "profile").is_due
    assert not messages.explain("user", 2, "profile").is_due
    say(messages, 4, 40, "d")
    assert profiles(messages)[1] == "abcd"
    assert (calls.taken(), stale(messages)) == (["d"], 1)
    messages.backfill("remember").wait(timeout=60)
    expected = {"edited": "aBcd", "moved in time": "acdb"}.get(change, "acd")
    assert profiles(messages) == {1: expected, 2: "x"}
    assert calls == list(expected)
    assert stale(messages) == 0
    assert not messages.explain("user", 1, "profile").is_due


def test_a_row_that_moves_is_not_applied_again_and_leaves_both_entities_stale(
    messages: motion.Store, calls: Calls
) -> None:
    said(messages, "ab")
    say(messages, 3, 15, "x", user=2)
    messages.wait(timeout=60)
    calls.clear()
    messages.set("message", id=1, user=2)
    messages.set("message", id=2, user=3)
    assert profiles(messages) == {1: "ab", 2: "x"}
    assert (calls.taken(), stale(messages)) == ([], 3)
    messages.backfill("remember", where={"id": 2}).wait(timeout=60)
    assert profiles(messages) == {1: "ab", 2: "ax"}
    assert (calls.taken(), stale(messages)) == (["a", "x"], 2)
    messages.backfill("remember").wait(timeout=60)
    assert profiles(messages) == {1: None, 2: "ax", 3: "b"}
    assert (calls.taken(), stale(messages)) == (["b"], 0)


def test_a_row_that_changes_before_it_was_applied_leaves_nothing_stale(
    open_store: OpenStore, calls: Calls
) -> None:
    store = open_store(schemas=SCHEMAS, triggers=[remembering(calls)], run=False)
    said_at_once = [{"id": i, "ts": i, "user": 1, "text": f"{i}"} for i in range(1, 6)]
    store.set_many("message", said_at_once)
    store.set("message", id=2, text="two")
    store.delete("message", 3)
    store.set("message", id=4, user=2)
    store.close()
    store = open_store(schemas=SCHEMAS, triggers=[remembering(calls)])
    assert profiles(store) == {1: "15two", 2: "4"}
    assert stale(store) == 0
    assert len(calls) == 4


def test_a_row_that_is_made_again_is_another_row(messages: motion.Store) -> None:
    said(messages, "ab")
    with messages.transaction() as tx:
        tx.delete("message", 1)
        tx.set("message", id=1, ts=10, user=1, text="a")
    assert profiles(messages) == {1: "aba"}
    assert stale(messages) == 1
    messages.backfill("remember").wait(timeout=60)
    assert profiles(messages) == {1: "ab"}


def test_rows_that_were_applied_are_not_looked_at_again(
    open_store: OpenStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Held against the database's plan: what an append costs does not grow with the rows of its entity."""
    store = open_store(schemas=SCHEMAS, triggers=[remembering(Calls())])
    said(store, "ab")
    asked: list[tuple[str, Any]] = []
    select = AppliedOnce._select

    def selected(self: AppliedOnce, tx: Any, *given: Any) -> Any:
        asking: Any = Asking(tx)
        found = select(self, asking, *given)
        asked.extend(asking.statements)
        return found

    monkeypatch.setattr(AppliedOnce, "_select", selected)
    say(store, 3, 30, "c")
    assert profiles(store) == {1: "abc"}
    with store._database.backend.read() as tx:
        sql, values = asked[0]
        plan = [str(step[3]) for step in tx.execute(f"EXPLAIN QUERY PLAN {sql}", values)]
    assert "waiting (user=?" in plan[0], plan


class Asking:
    """A transaction that keeps what it was asked."""

    def __init__(self, tx: Any) -> None:
        self._tx = tx
        self.statements: list[tuple[str, Any]] = []

    def execute(self, sql: str, values: Sequence[Any] = ()) -> Any:
        self.statements.append((sql, values))
        return self._tx.execute(sql, values)


def test_keys_that_triggers_set_are_applied_as_each_is_done_and_once(
    open_store: OpenStore, calls: Calls
) -> None:
    ended: list[int] = []

    @motion.trigger(on="message.raw", sets="message.text")
    async def read(id: int, raw: int) -> str | None:
        while raw != len(ended):  # the last come first
            await asyncio.sleep(0.001)
        ended.append(id)
        return None if raw in (2, 5) else f"{id} "

    @dataclass
    class Message:
        id: int
        ts: int
        user: int
        raw: int
        text: str
        thread: str

    store = open_store(
        schemas={"message": Message, "user": User}, triggers=[read, remembering(calls)]
    )
    say_at = [{"id": i, "ts": i, "user": 1, "raw": 12 - i} for i in range(1, 13)]
    store.set_many("message", say_at)
    assert profiles(store)[1] == "".join(calls)
    assert sorted(calls) == sorted(f"{i} " for i in range(1, 13) if 12 - i not in (2, 5))
    assert stale(store) == 0


@pytest.mark.parametrize("change", ["deleted", "moved", "neither"])
def test_a_row_that_triggers_still_have_work_on_is_waited_for_and_not_when_it_has_left(
    open_store: OpenStore, change: str
) -> None:
    has_begun, may_end = threading.Event(), threading.Event()

    @motion.trigger(on="message.text", sets="message.thread", inline=False, concurrency=2)
    def name(text: str) -> str:
        if text == "slow":
            has_begun.set()
            assert may_end.wait(60)
        return text

    @motion.fold(on="message.thread", by="message.user", sets="user.profile", replay=False)
    def remember(profile: str | None, thread: str) -> str:
        return (profile or "") + thread

    store = open_store(schemas=SCHEMAS, triggers=[name, remember])
    store.set("message", id=2, ts=2, text="b")
    store.wait(timeout=60)
    store.set("message", id=2, text="slow", user=1)  # it has a thread, which is to become another
    assert has_begun.wait(60)
    until(store, lambda: "blocked" in store.status().tasks.get("remember", {}), timeout_s=60)
    if change == "deleted":
        store.delete("message", 2)
    elif change == "moved":
        store.set("message", id=2, user=2)
    may_end.set()
    expected = {"deleted": {}, "moved": {2: "slow"}, "neither": {1: "slow"}}
    assert profiles(store) == expected[change]
    assert stale(store) == 0


# -- calls under way --


class Slow:
    """A fold whose call on "slow" lasts until it is told to end."""

    def __init__(self) -> None:
        self.has_begun, self.may_end = threading.Event(), threading.Event()
        self.calls = Calls()

    def fold(self) -> Any:
        @motion.fold(
            on="message.text", by="message.user", sets="user.profile", replay=False, concurrency=4
        )
        def remember(profile: str | None, text: str) -> str:
            self.calls.append(text)
            if text == "slow":
                self.has_begun.set()
                assert self.may_end.wait(60)
            return (profile or "") + text

        return remember

    def opened_in_mid_call(self, open_store: OpenStore) -> motion.Store:
        """Return a store in which a row is applied, and the call on the next one is under way."""
        store = open_store(schemas=SCHEMAS, triggers=[self.fold()])
        say(store, 1, 10, "a")
        store.wait(timeout=60)
        say(store, 2, 20, "slow")
        assert self.has_begun.wait(60)
        return store


@pytest.fixture
def slow() -> Slow:
    return Slow()


def test_a_row_that_is_deleted_in_mid_call_is_not_in_the_value(
    open_store: OpenStore, slow: Slow
) -> None:
    store = slow.opened_in_mid_call(open_store)
    store.delete("message", 2)
    say(store, 3, 30, "b")
    slow.may_end.set()
    assert profiles(store) == {1: "ab"}
    assert slow.calls == ["a", "slow", "b"]
    assert stale(store) == 0


def test_a_row_that_is_edited_in_mid_call_is_applied_as_it_is_then(
    open_store: OpenStore, slow: Slow
) -> None:
    store = open_store(schemas=SCHEMAS, triggers=[slow.fold()])
    say(store, 1, 10, "slow")
    assert slow.has_begun.wait(60)
    store.set("message", id=1, text="quick")
    slow.may_end.set()
    assert profiles(store) == {1: "quick"}
    assert stale(store) == 0


def test_rows_that_come_in_mid_call_wherever_have_no_call_made_again(
    open_store: OpenStore, slow: Slow
) -> None:
    store = slow.opened_in_mid_call(open_store)
    say(store, 3, 5, "L")
    say(store, 4, 40, "c")
    store.delete("message", 1)
    slow.may_end.set()
    assert profiles(store) == {1: "aslowLc"}
    assert slow.calls == ["a", "slow", "L", "c"]
    assert stale(store) == 1


def test_a_users_value_in_mid_call_is_what_the_row_is_applied_to(
    open_store: OpenStore, slow: Slow
) -> None:
    store = slow.opened_in_mid_call(open_store)
    store.set("user", id=1, profile="U")
    slow.may_end.set()
    assert profiles(store) == {1: "Uslow"}


# -- users' values, and entities that go --


def test_a_users_value_stands_for_the_rows_that_were_applied(
    messages: motion.Store, calls: Calls
) -> None:
    said(messages, "ab")
    messages.set("message", id=1, text="A")
    messages.set("user", id=1, profile="U")
    assert stale(messages) == 0  # it is theirs, whatever had changed
    calls.clear()
    say(messages, 3, 5, "c")
    assert profiles(messages) == {1: "Uc"}
    messages.backfill("remember", force=True).wait(timeout=60)
    assert profiles(messages) == {1: "Uc"}
    assert calls == ["c", "c"]
    messages.set("message", id=2, text="B")  # changed since
    assert stale(messages) == 1
    messages.backfill("remember").wait(timeout=60)
    assert profiles(messages) == {1: "UcB"}
    assert stale(messages) == 0


def test_a_backfill_leaves_a_users_value(messages: motion.Store, calls: Calls) -> None:
    said(messages, "ab")
    messages.set("user", id=1, profile="U")
    calls.clear()
    messages.backfill("remember", force=True).wait(timeout=60)
    assert profiles(messages) == {1: "U"}
    assert calls == []
    assert messages.explain("user", 1, "profile").made_by is None


def test_deleting_the_row_of_an_entity_ends_its_fold_there(
    messages: motion.Store, calls: Calls
) -> None:
    said(messages, "ab")
    messages.set("message", id=1, text="A")
    messages.delete("user", 1)
    assert profiles(messages) == {}
    assert stale(messages) == 0
    say(messages, 3, 5, "c")
    assert profiles(messages) == {1: "c"}
    messages.backfill("remember", force=True).wait(timeout=60)
    assert profiles(messages) == {1: "c"}


def test_where_no_row_is_left_a_backfill_unsets_the_value(messages: motion.Store) -> None:
    said(messages, "a")
    messages.delete("message", 1)
    assert profiles(messages) == {1: "a"}
    messages.backfill("remember").wait(timeout=60)
    assert profiles(messages) == {1: None}
    assert stale(messages) == 0


# -- rows that are applied again --


def test_while_rows_are_applied_again_the_value_stays_and_what_comes_is_applied_behind(
    open_store: OpenStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folds, "LONGEST_RUN_S", 0.0)  # each call is a run
    happens: dict[str, Any] = {}
    seen: list[str | None] = []
    store: motion.Store

    @motion.fold(on="message.text", by="message.user", sets="user.profile", replay=False)
    def remember(profile: str | None, text: str) -> str:
        if text in happens:
            happen = threading.Thread(target=happens.pop(text))
            happen.start()
            happen.join()
        seen.append(next((row.profile for row in store.rows(User)), None))
        return (profile or "") + text

    store = open_store(schemas=SCHEMAS, triggers=[remember])
    said(store, "abcdef")
    store.set("message", id=1, text="A")
    seen.clear()

    def change() -> None:
        say(store, 9, 5, "L")  # before all of them, and yet it comes last
        store.set("message", id=4, text="D")  # still to be applied again
        store.delete("message", 5)
        say(store, 8, 80, "h")

    happens["c"] = change
    store.backfill("remember").wait(timeout=60)
    assert profiles(store) == {1: "AbcDfLh"}
    assert seen[:5] == ["abcdef"] * 5
    assert stale(store) == 0
    happens["c"] = partial(store.set, "message", id=2, text="B")  # it is applied by then
    store.backfill("remember", force=True).wait(timeout=60)
    assert profiles(store) == {1: "LAbcDfh"}
    assert stale(store) == 1


def test_an_applied_row_that_moves_to_an_entity_whose_last_rows_are_applied_again_is_among_them(
    open_store: OpenStore,
) -> None:
    happens: list[Any] = []
    store: motion.Store

    @motion.fold(on="message.text", by="message.user", sets="user.profile", replay=False)
    def remember(profile: str | None, text: str) -> str:
        if happens:
            happen = threading.Thread(target=happens.pop())
            happen.start()
            happen.join()
        return (profile or "") + text

    store = open_store(schemas=SCHEMAS, triggers=[remember])
    say(store, 1, 10, "a")
    say(store, 2, 20, "b", user=2)
    assert profiles(store) == {1: "a", 2: "b"}
    happens.append(partial(store.set, "message", id=2, user=1))
    store.backfill("remember", where={"id": 1}, force=True).wait(timeout=60)
    assert profiles(store) == {1: "ab", 2: "b"}
    assert not store.explain("user", 1, "profile").is_due
    assert stale(store) == 1


def test_a_users_value_ends_that_rows_are_applied_again(
    open_store: OpenStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folds, "LONGEST_RUN_S", 0.0)
    happens: list[Any] = []
    store: motion.Store

    @motion.fold(on="message.text", by="message.user", sets="user.profile", replay=False)
    def remember(profile: str | None, text: str) -> str:
        if text == "c" and happens:
            happen = threading.Thread(target=happens.pop())
            happen.start()
            happen.join()
        return (profile or "") + text

    store = open_store(schemas=SCHEMAS, triggers=[remember])
    said(store, "abcdef")
    happens.append(partial(store.set, "user", id=1, profile="U"))
    store.backfill("remember", force=True).wait(timeout=60)
    assert profiles(store) == {1: "U"}
    say(store, 9, 5, "x")
    assert profiles(store) == {1: "Ux"}


def test_a_forgotten_row_is_not_in_the_value_any_more(messages: motion.Store, calls: Calls) -> None:
    said(messages, "abc")
    calls.clear()
    messages.forget("message", 2)
    assert profiles(messages) == {1: "ac"}
    assert calls == ["a", "c"]
    assert stale(messages) == 0


def test_nothing_is_left_of_a_forgotten_user(open_store: OpenStore, tmp_path: Path) -> None:
    store = open_store(schemas=SCHEMAS, triggers=[remembering(Calls())])
    say(store, 1, 10, "canary")
    say(store, 2, 20, "other", user=2)
    store.wait(timeout=60)
    store.forget("message", 1)
    store.forget("user", 1)
    assert profiles(store) == {2: "other"}
    store.close()
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert not any(b"canary" in path.read_bytes() for path in files)


# -- other code --


def test_after_a_change_of_code_the_next_row_is_applied_to_the_old_value(
    open_store: OpenStore, calls: Calls
) -> None:
    store = open_store(schemas=SCHEMAS, triggers=[remembering(calls)])
    said(store, "ab")
    say(store, 9, 5, "x", user=2)
    store.wait(timeout=60)
    store.close()

    @motion.fold(on="message.text", by="message.user", sets="user.profile", replay=False)
    def remember(profile: str | None, text: str, thread: str | None) -> str:
        return (profile or "") + text.upper()

    store = open_store(schemas=SCHEMAS, triggers=[remember])
    assert stale(store) == 2
    say(store, 3, 30, "c")
    assert profiles(store) == {1: "abC", 2: "x"}
    assert stale(store) == 2  # most of it is still of the old code
    store.backfill("remember", where={"id": 1}).wait(timeout=60)
    assert profiles(store) == {1: "ABC", 2: "x"}
    assert stale(store) == 1


def test_whether_rows_are_folded_again_is_part_of_the_fingerprint(open_store: OpenStore) -> None:
    def fingerprint(**options: Any) -> str:
        @motion.fold(on="message.text", by="message.user", sets="user.profile", **options)
        def remember(profile: str | None, text: str) -> str:
            return text

        store = open_store(schemas=SCHEMAS, triggers=[remember], url=":memory:")
        say(store, 1, 1, "a")
        store.wait(timeout=60)
        found = str(store.explain("user", 1, "profile").fingerprint)
        store.close()
        return found

    assert fingerprint() == fingerprint(replay=True) != fingerprint(replay=False)


def test_rows_that_were_there_before_a_fold_are_applied_with_the_next_of_their_entity(
    open_store: OpenStore, calls: Calls
) -> None:
    store = open_store(schemas=SCHEMAS)
    say(store, 1, 20, "b")
    say(store, 2, 10, "a")
    say(store, 3, 20, "x", user=2)
    store.close()
    store = open_store(schemas=SCHEMAS, triggers=[remembering(calls)])
    store.wait(timeout=60)
    assert calls == []
    assert store.plan("remember").missing == 2
    say(store, 4, 5, "c")
    assert profiles(store) == {1: "abc"}
    store.backfill("remember").wait(timeout=60)
    assert profiles(store) == {1: "abc", 2: "x"}
    assert len(calls) == 4


def test_a_fold_that_was_away_goes_on_from_its_values_and_none_counts_as_current(
    open_store: OpenStore, calls: Calls
) -> None:
    store = open_store(schemas=SCHEMAS, triggers=[remembering(calls)])
    said(store, "ab")
    store.close()
    store = open_store(schemas=SCHEMAS, triggers=[])
    store.set("message", id=1, text="A")
    say(store, 3, 5, "c")
    say(store, 4, 5, "x", user=2)
    store.close()
    store = open_store(schemas=SCHEMAS, triggers=[remembering(calls)])
    assert profiles(store) == {1: "ab"}
    assert stale(store) == 1
    assert calls.taken() == ["a", "b"]
    say(store, 5, 1, "d")
    assert profiles(store) == {1: "abcd"}
    assert (calls.taken(), stale(store)) == (["c", "d"], 1)
    store.backfill("remember").wait(timeout=60)
    assert profiles(store) == {1: "dcAb", 2: "x"}
    assert stale(store) == 0


@pytest.mark.parametrize("with_row", [False, True])
def test_a_row_that_moved_while_a_fold_was_away_leaves_where_it_has_come_to_stale(
    open_store: OpenStore, with_row: bool
) -> None:
    """Also where it was of none when the fold left, where rows have come with it, and where the entity has a row of its own."""
    triggers = [remembering(Calls()), threads]
    store = open_store(schemas=SCHEMAS, triggers=triggers)
    said(store, "abcde")
    store.set("message", id=3, user=None)
    if with_row:
        store.set_many("user", [{"id": user, "name": "new"} for user in (2, 3, 4)])
    store.wait(timeout=60)
    store.close()
    store = open_store(schemas=SCHEMAS, triggers=[])
    for row, user in ((2, 2), (3, 3), (4, 4)):
        store.set("message", id=row, user=user)
    say(store, 6, 35, "f", user=4)
    say(store, 7, 70, "g", user=5)
    store.close()
    store = open_store(schemas=SCHEMAS, triggers=triggers)
    for fold in ("remember", "threads"):
        assert (stale(store, fold), store.plan(fold).missing) == (4, 1)
    assert store.explain("message", 2, "thread").is_due
    assert store.explain("message", 4, "thread").is_due
    say(store, 8, 80, "h", user=2)
    store.wait(timeout=60)
    for fold in ("remember", "threads"):
        assert stale(store, fold) == 4
        store.backfill(fold).wait(timeout=60)
        assert (stale(store, fold), store.plan(fold).missing) == (0, 0)
    assert profiles(store) == {1: "ae", 2: "bh", 3: "c", 4: "fd", 5: "g"}  # in their order
    found = {row.id: row.thread for row in store.rows(Message)}
    assert found == {1: "a", 2: "b", 3: "c", 4: "fd", 5: "ae", 6: "f", 7: "g", 8: "bh"}


def test_an_entity_that_no_run_had_gone_over_is_not_stale_when_its_fold_is_back(
    open_store: OpenStore, calls: Calls
) -> None:
    store = open_store(schemas=SCHEMAS, triggers=[remembering(calls)], run=False)
    say(store, 1, 10, "a")
    store.close()
    store = open_store(schemas=SCHEMAS, triggers=[])
    say(store, 2, 20, "b")
    store.close()
    store = open_store(schemas=SCHEMAS, triggers=[remembering(calls)])
    store.wait(timeout=60)
    assert sorted(profiles(store)[1] or "") == ["a", "b"]
    assert stale(store) == 0


def test_a_fold_that_is_to_replay_again_folds_all_rows_with_the_next(
    open_store: OpenStore, calls: Calls
) -> None:
    store = open_store(schemas=SCHEMAS, triggers=[remembering(calls)])
    said(store, "ab")
    say(store, 3, 15, "L")
    assert profiles(store) == {1: "abL"}
    store.close()

    @motion.fold(on="message.text", by="message.user", sets="user.profile")
    def remember(profile: str | None, text: str) -> str:
        return (profile or "") + text

    store = open_store(schemas=SCHEMAS, triggers=[remember])
    say(store, 4, 40, "d")
    assert profiles(store) == {1: "aLbd"}


def test_a_fold_that_replayed_until_now_goes_on_from_its_values(
    open_store: OpenStore, calls: Calls
) -> None:
    def replaying() -> Any:
        @motion.fold(on="message.text", by="message.user", sets="user.profile")
        def remember(profile: str | None, text: str) -> str:
            if text == "bad":
                raise ValueError(text)
            return (profile or "") + text

        return remember

    store = open_store(schemas=SCHEMAS, triggers=[replaying()])
    said(store, "ab")
    say(store, 3, 15, "L")
    say(store, 4, 17, "bad")
    say(store, 11, 20, "y", user=2)
    say(store, 21, 20, "z", user=3)
    store.wait(timeout=60)
    store.set("user", id=3, profile="U")
    say(store, 22, 30, "z", user=3)
    store.wait(timeout=60)
    store.close()
    store = open_store(schemas=SCHEMAS, triggers=[replaying()], run=False)
    say(store, 12, 10, "x", user=2)
    store.close()
    store = open_store(schemas=SCHEMAS, triggers=[remembering(calls)])
    store.wait(timeout=60)
    assert {row.id: row.profile for row in store.rows(User)} == {1: "aLb", 2: "yx", 3: "Uz"}
    assert calls.taken() == ["y", "x"]  # it was due, so it has begun anew
    say(store, 5, 1, "c")
    store.set("message", id=21, text="Z")
    store.wait(timeout=60)
    store.retry()
    assert profiles(store) == {1: "aLbcbad", 2: "yx", 3: "Uz"}
    assert sorted(calls.taken()) == ["bad", "c"]
    store.backfill("remember").wait(timeout=60)
    assert profiles(store) == {1: "caLbadb", 2: "yx", 3: "UZz"}


# -- failures, and ways of calling --


def test_a_row_that_is_given_up_is_applied_when_it_is_tried_again(
    open_store: OpenStore, calls: Calls
) -> None:
    is_down = threading.Event()
    is_down.set()

    @motion.fold(on="message.text", by="message.user", sets="user.profile", replay=False)
    def remember(profile: str | None, text: str) -> str:
        calls.append(text)
        if text == "bad" and is_down.is_set():
            raise ConnectionError("the model is down")
        return (profile or "") + text

    store = open_store(schemas=SCHEMAS, triggers=[remember])
    rows = [{"id": i, "ts": i, "user": 1, "text": t} for i, t in enumerate(["a", "bad", "c"], 1)]
    store.set_many("message", rows)
    store.wait(timeout=60)
    assert store.rows(User)[0].profile == "ac"
    (letter,) = store.errors()
    assert (letter.row, letter.inputs) == ("id=2", "text='bad'")
    assert store.explain("user", 1, "profile").is_due
    is_down.clear()
    calls.clear()
    assert store.retry() == 1
    assert profiles(store) == {1: "acbad"}
    assert calls == ["bad"]
    assert not store.explain("user", 1, "profile").is_due


def told(profile: str | None, id: int, text: str) -> str:
    return f"{profile or ''}{id}{text} "


def told_in_lists(profile: str | None, id: list[int], text: list[str]) -> str:
    return (profile or "") + "".join(f"{i}{t} " for i, t in zip(id, text, strict=True))


async def told_later(profile: str | None, id: int, text: str) -> str:
    return f"{profile or ''}{id}{text} "


WAYS: list[tuple[Any, dict[str, Any]]] = [
    (told, {}),
    (told, {"timeout": 60.0, "retries": 1}),
    (told, {"rate": "1000/s"}),
    (told_in_lists, {"gather": 2}),
    (told_later, {}),
]


@pytest.mark.parametrize(
    "way",
    [*WAYS, (told, {"executor": "process"})],
    ids=lambda way: f"{way[0].__name__} {way[1]}",
)
def test_rows_are_applied_once_in_each_way_of_calling(
    open_store: OpenStore, way: tuple[Any, dict[str, Any]]
) -> None:
    function, options = way
    kept = motion.fold(
        on="message.text", by="message.user", sets="user.profile", replay=False, **options
    )
    store = open_store(schemas=SCHEMAS, triggers=[kept(function)])
    for i in range(1, 31):
        say(store, i, -i, ".", user=i % 3)
    expected = {
        user: "".join(f"{i}. " for i in range(1, 31) if i % 3 == user) for user in (0, 1, 2)
    }
    assert profiles(store) == expected


# -- the value as of each row --


@motion.fold(
    on="message.text", by="message.user", sets="message.thread", replay=False, name="threads"
)
def threads(thread: str | None, text: str) -> str:
    return f"{thread or ''}{text}"


def test_rows_keep_the_value_as_of_their_arrival(open_store: OpenStore) -> None:
    store = open_store(schemas=SCHEMAS, triggers=[threads])

    def shown() -> dict[int, str | None]:
        store.wait(timeout=60)
        return {row.id: row.thread for row in store.rows(Message)}

    said(store, "ab")
    say(store, 3, 15, "L")
    assert shown() == {1: "a", 2: "ab", 3: "abL"}
    store.set("message", id=1, text="A")
    assert shown() == {1: "a", 2: "ab", 3: "abL"}
    assert stale(store, "threads") == 1
    store.set("message", id=4, ts=40, user=1, text="d", thread="U")  # in place of a call
    say(store, 5, 50, "e")
    assert shown() == {1: "a", 2: "ab", 3: "abL", 4: "U", 5: "Ue"}
    store.backfill("threads").wait(timeout=60)
    assert shown() == {1: "A", 2: "ALb", 3: "AL", 4: "U", 5: "Ue"}
    assert stale(store, "threads") == 0
    store.set("message", id=5, text=None)
    assert shown()[5] is None


# -- after any changes --

CHANGES = st.lists(
    st.one_of(
        st.fixed_dictionaries(
            {"id": st.integers(1, 8)},
            optional={
                "ts": st.integers(1, 6),
                "user": st.sampled_from([1, 2, None]),
                "text": st.sampled_from(["a", "b", "c", None]),
            },
        ),
        st.integers(1, 8),
    ),
    min_size=1,
    max_size=25,
)


def rows_of(rows: Sequence[Message], user: int) -> list[str]:
    """Return what a fold is to be told of a user's rows, in their order."""
    folded = sorted(
        (row.ts, row.id, row.text) for row in rows if row.user == user and row.text is not None
    )
    return [f"{row}{text}" for _, row, text in folded]


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    CHANGES,
    st.sampled_from(WAYS),
    st.lists(st.booleans(), min_size=25, max_size=25),
)
def test_a_value_that_is_not_stale_holds_each_row_once_and_a_backfill_puts_them_in_order(
    open_store: OpenStore, changes: list[Any], way: tuple[Any, dict[str, Any]], waits: list[bool]
) -> None:
    function, options = way
    kept = motion.fold(
        on="message.text", by="message.user", sets="user.profile", replay=False, name="remember",
        **options,
    )  # fmt: skip
    store = open_store(schemas=SCHEMAS, triggers=[kept(function), threads], url=":memory:")
    try:
        for change, is_waited_for in zip(changes, waits, strict=False):
            if isinstance(change, int):
                store.delete("message", change)
            else:
                store.set("message", **change)
            if is_waited_for:
                store.wait(timeout=60)
        stale(store)
        assert not store.errors()
        rows = store.rows(Message)
        for user in store.rows(User):
            if not store.explain("user", user.id, "profile").is_due:
                held = Counter((user.profile or "").split())
                assert held == Counter(rows_of(rows, user.id))
        store.backfill("remember").wait(timeout=60)
        assert stale(store) == 0
        for user in store.rows(User):
            held = Counter((user.profile or "").split())
            assert held == Counter(rows_of(rows, user.id))
        store.backfill("remember", force=True).wait(timeout=60)
        found = {user.id: (user.profile or "").split() for user in store.rows(User)}
        for number in (1, 2):
            assert found.get(number, []) == rows_of(rows, number)
    finally:
        store.close()


def test_replay_is_true_or_false() -> None:
    with pytest.raises(motion.TriggerError, match="True or False"):
        motion.fold(on="message.text", by="message.user", sets="user.profile", replay="no")  # type: ignore[arg-type]


def test_an_entity_is_stale_until_its_rows_were_all_applied_again(
    messages: motion.Store,
) -> None:
    said(messages, "abc")
    messages.set("message", id=2, text="B")
    until(messages, lambda: messages.status().triggers["remember"].stale == 1, timeout_s=60)
    messages.backfill("remember", where={"id": 2}).wait(timeout=60)  # another one
    assert stale(messages) == 1
