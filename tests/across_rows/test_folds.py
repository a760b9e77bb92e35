"""Folds: a value per entity, of its rows in order, right after rows that come late, change, move or go."""

from __future__ import annotations

import asyncio
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import motion
from motion import faults
from motion.definitions.triggers import folds
from motion.testing import Stepper
from tests.across_rows.messages import SCHEMAS, Calls, Message, User, profiles, remembering, say
from tests.conftest import OpenStore, pause, until


@pytest.fixture
def calls() -> Calls:
    return Calls()


@pytest.fixture
def messages(open_store: OpenStore, calls: Calls) -> motion.Store:
    return open_store(schemas=SCHEMAS, triggers=[remembering(calls)])


def test_a_fold_keeps_a_value_in_the_row_of_the_entity(messages: motion.Store) -> None:
    messages.set("user", id=1, name="ann")
    say(messages, 1, 10, "a")
    say(messages, 2, 20, "b")
    say(messages, 3, 30, "x", user=2)
    assert profiles(messages) == {1: "ab", 2: "x"}
    assert messages.rows(User, id=1)[0].name == "ann"


def test_an_appended_row_costs_one_call(messages: motion.Store, calls: Calls) -> None:
    for row in range(1, 40):
        say(messages, row, row, "a")
        messages.wait(timeout=60)
        assert calls.taken() == ["a"]


def test_rows_of_one_time_are_appended_by_id(messages: motion.Store, calls: Calls) -> None:
    for row in range(1, 10):
        say(messages, row, 5, str(row))
        messages.wait(timeout=60)
        assert calls.taken() == [str(row)]
    assert profiles(messages) == {1: "123456789"}


def test_a_row_that_comes_late_has_the_later_ones_folded_again(
    messages: motion.Store, calls: Calls
) -> None:
    say(messages, 1, 10, "a")
    say(messages, 2, 20, "b")
    say(messages, 3, 30, "c")
    assert profiles(messages) == {1: "abc"}
    calls.clear()
    say(messages, 4, 15, "L")
    assert profiles(messages) == {1: "aLbc"}
    assert calls.taken() == ["L", "b", "c"]


def test_a_late_row_has_about_twice_as_many_folded_again_as_come_after_it(
    messages: motion.Store, calls: Calls
) -> None:
    rows = [{"id": i, "ts": 10 * i, "user": 1, "text": "."} for i in range(1, 2_001)]
    messages.set_many("message", rows).wait(timeout=60)
    for behind in (3, 30, 300):
        calls.clear()
        say(messages, 5_000 + behind, 10 * (2_000 - behind) + 5, "L")
        messages.wait(timeout=60)
        assert behind <= len(calls) <= 2 * behind + 40
    assert len(profiles(messages)[1] or "") == 2_003


def test_a_row_that_changes_is_folded_as_it_is(messages: motion.Store) -> None:
    say(messages, 1, 10, "a")
    say(messages, 2, 20, "b")
    assert profiles(messages) == {1: "ab"}
    messages.set("message", id=1, text="A")
    assert profiles(messages) == {1: "Ab"}
    messages.set("message", id=1, text=None)
    assert profiles(messages) == {1: "b"}
    messages.set("message", id=2, ts=5)
    messages.set("message", id=1, text="z")
    assert profiles(messages) == {1: "bz"}


def test_a_row_that_moves_leaves_one_entity_and_comes_to_another(messages: motion.Store) -> None:
    say(messages, 1, 10, "a")
    say(messages, 2, 20, "b")
    say(messages, 3, 15, "x", user=2)
    assert profiles(messages) == {1: "ab", 2: "x"}
    messages.set("message", id=2, user=2)
    assert profiles(messages) == {1: "a", 2: "xb"}
    messages.set("message", id=2, user=None)
    assert profiles(messages) == {1: "a", 2: "x"}


def test_a_row_that_goes_is_folded_no_more(messages: motion.Store) -> None:
    say(messages, 1, 10, "a")
    say(messages, 2, 20, "b")
    assert profiles(messages) == {1: "ab"}
    messages.delete("message", 1)
    assert profiles(messages) == {1: "b"}
    messages.delete("message", 2)
    assert profiles(messages) == {1: None}
    say(messages, 1, 10, "c")
    assert profiles(messages) == {1: "c"}


def test_a_row_that_goes_leaves_a_fold_and_a_window_of_another_order_each_at_its_place(
    open_store: OpenStore, calls: Calls
) -> None:
    @dataclass
    class Message:
        id: int
        ts: int
        user: int
        text: str
        rank: str
        words: int

    called: list[int] = []
    held = Annotated[int, motion.Window("message.text", by="user", agg="count", rows=3)]

    def count(id: int, words: Any) -> int:
        called.append(id)
        return int(words)

    count.__annotations__["words"] = held
    counting = motion.trigger(on="message.text", sets="message.words", inline=False)(count)
    folding = remembering(calls, order="message.rank")
    store = open_store(schemas={"message": Message, "user": User}, triggers=[counting, folding])
    rows = [{"id": i, "ts": i, "user": 1, "text": ".", "rank": f"r{i:02}"} for i in range(1, 41)]
    store.set_many("message", rows)
    assert profiles(store) == {1: "." * 40}
    calls.clear()
    called.clear()
    store.delete("message", 38)
    assert profiles(store) == {1: "." * 39}
    assert called == [39, 40]
    assert len(calls) <= 4


def test_what_derives_from_a_fold_follows(open_store: OpenStore, calls: Calls) -> None:
    @motion.trigger(on="user.profile", sets="user.name")
    def shout(profile: str) -> str:
        return profile.upper()

    store = open_store(schemas=SCHEMAS, triggers=[shout, remembering(calls)])
    say(store, 1, 10, "a")
    say(store, 2, 5, "b")
    store.wait(timeout=60)
    assert store.rows(User, id=1)[0].name == "BA"


# -- users' values, and entities that go --


def test_a_users_value_stands_for_all_rows_folded_until_then(
    messages: motion.Store, calls: Calls
) -> None:
    say(messages, 1, 10, "a")
    say(messages, 2, 20, "b")
    assert profiles(messages) == {1: "ab"}
    messages.set("user", id=1, profile="U")
    calls.clear()
    say(messages, 3, 30, "c")
    assert profiles(messages) == {1: "Uc"}
    say(messages, 4, 15, "L")  # it was not among those
    assert profiles(messages) == {1: "ULc"}
    messages.delete("message", 1)  # it is in the user's value
    assert profiles(messages) == {1: "ULc"}


@pytest.mark.parametrize("replay", [True, False])
@pytest.mark.parametrize(
    "between",
    ["nothing", "a row goes", "a row is unset", "a late row", "a backfill", "the user goes"],
)
def test_a_second_value_of_a_user_stands_for_all_that_the_first_did(
    open_store: OpenStore, calls: Calls, between: str, *, replay: bool
) -> None:
    store = open_store(schemas=SCHEMAS, triggers=[remembering(calls, replay=replay)])
    for row, text in enumerate("abc", 1):
        say(store, row, 10 * row, text)
    store.wait(timeout=60)
    store.set("user", id=1, profile="U")
    if between == "a row goes":
        store.delete("message", 1)
    elif between == "a row is unset":
        store.set("message", id=1, text=None)
    elif between == "a late row":
        say(store, 4, 5, "L")
    elif between == "a backfill":
        store.backfill("remember", force=True).wait(timeout=60)
    elif between == "the user goes":
        store.delete("user", 1)
    store.wait(timeout=60)
    store.set("user", id=1, profile="V")
    say(store, 9, 90, "x")
    assert profiles(store) == {1: "Vx"}


@pytest.mark.parametrize("seed", range(6))
def test_what_a_users_values_stand_for_is_never_folded_onto_them(
    open_store: OpenStore, seed: int
) -> None:
    store, chance = (
        open_store(schemas=SCHEMAS, triggers=[remembering(Calls())]),
        random.Random(seed),
    )
    texts, is_in = dict[int, str | None](), set[int]()
    base: str | None = None
    for step in range(40):
        row = chance.randrange(1, 7)
        what = chance.choice(["say", "say", "unset", "delete", "give", "end"])
        if what == "say":
            texts[row] = f"{chr(97 + step % 26)}"
            is_in.discard(row)
            say(store, row, 10 * (row * 5 % 7), texts[row])
        elif what == "unset" and row in texts:
            texts[row] = None
            store.set("message", id=row, text=None)
        elif what == "delete" and row in texts:
            del texts[row]
            store.delete("message", row)
        elif what in ("give", "end"):
            base, is_in = (f"[{step}]" if what == "give" else None), set(texts)
            if what == "give":
                store.set("user", id=1, profile=base)
            else:
                store.delete("user", 1)
        rows = sorted((each for each in texts if each not in is_in), key=lambda row: row * 5 % 7)
        expected = "".join([base or "", *(texts[each] or "" for each in rows)])
        assert (profiles(store).get(1) or "") == expected, (seed, step)


def test_a_backfill_leaves_a_users_value(messages: motion.Store) -> None:
    say(messages, 1, 10, "a")
    assert profiles(messages) == {1: "a"}
    messages.set("user", id=1, profile="U")
    messages.backfill("remember", force=True).wait(timeout=60)
    assert profiles(messages) == {1: "U"}
    assert messages.explain("user", 1, "profile").made_by is None


def test_deleting_the_row_of_an_entity_ends_its_fold_there(messages: motion.Store) -> None:
    say(messages, 1, 10, "a")
    assert profiles(messages) == {1: "a"}
    messages.delete("user", 1)
    assert profiles(messages) == {}
    say(messages, 2, 5, "b")  # later ones make it anew, whatever their order
    assert profiles(messages) == {1: "b"}
    messages.backfill("remember", force=True).wait(timeout=60)
    assert profiles(messages) == {1: "b"}


def test_an_entity_whose_row_goes_in_mid_call_is_not_made_again(open_store: OpenStore) -> None:
    has_begun, may_end = threading.Event(), threading.Event()

    @motion.fold(on="message.text", by="message.user", sets="user.profile")
    def remember(profile: str | None, text: str) -> str:
        if text == "slow":
            has_begun.set()
            assert may_end.wait(60)
        return (profile or "") + text

    store = open_store(schemas=SCHEMAS, triggers=[remember])
    store.set("user", id=1, name="ann")
    say(store, 1, 10, "slow")
    assert has_begun.wait(60)
    store.delete("user", 1)
    may_end.set()
    assert profiles(store) == {}
    say(store, 2, 5, "b")
    assert profiles(store) == {1: "b"}


# -- calls under way --


def test_a_row_that_comes_late_in_mid_call_is_in_its_place(open_store: OpenStore) -> None:
    has_begun, may_end = threading.Event(), threading.Event()
    calls = Calls()

    @motion.fold(on="message.text", by="message.user", sets="user.profile")
    def remember(profile: str | None, text: str) -> str:
        calls.append(text)
        if text == "slow" and not may_end.is_set():
            has_begun.set()
            assert may_end.wait(60)
        return (profile or "") + text

    store = open_store(schemas=SCHEMAS, triggers=[remember])
    say(store, 2, 20, "slow")
    assert has_begun.wait(60)
    say(store, 1, 10, "L")
    may_end.set()
    assert profiles(store) == {1: "Lslow"}


def test_a_row_that_is_appended_in_mid_call_has_no_call_made_again(open_store: OpenStore) -> None:
    has_begun, may_end = threading.Event(), threading.Event()
    calls = Calls()

    @motion.fold(on="message.text", by="message.user", sets="user.profile", concurrency=4)
    def remember(profile: str | None, text: str) -> str:
        calls.append(text)
        if text == "slow":
            has_begun.set()
            assert may_end.wait(60)
        return (profile or "") + text

    store = open_store(schemas=SCHEMAS, triggers=[remember])
    say(store, 1, 10, "a")
    store.wait(timeout=60)
    say(store, 2, 10, "slow")
    assert has_begun.wait(60)
    say(store, 3, 10, "b")
    say(store, 4, 40, "c")
    may_end.set()
    assert profiles(store) == {1: "aslowbc"}
    assert calls == ["a", "slow", "b", "c"]


def test_calls_of_one_entity_are_one_at_a_time_and_of_several_at_once(
    open_store: OpenStore,
) -> None:
    under_way: Counter[str] = Counter()
    most: Counter[str] = Counter()
    both = threading.Event()

    @motion.fold(on="message.text", by="message.user", sets="user.profile")
    async def remember(profile: str | None, text: str) -> str:
        under_way[text] += 1
        most[text] = max(most[text], under_way[text])
        if len(under_way) == 2 and min(under_way.values()) > 0:
            both.set()
        while not both.is_set():
            await asyncio.sleep(0.001)
        await asyncio.sleep(0)
        under_way[text] -= 1
        return (profile or "") + text

    store = open_store(schemas=SCHEMAS, triggers=[remember])
    for row in range(1, 41):
        say(store, row, row, "ab"[row % 2], user=row % 2 + 1)
    assert profiles(store) == {1: "a" * 20, 2: "b" * 20}
    assert most == {"a": 1, "b": 1}


def test_an_entity_under_way_waits_and_others_do_not(open_store: OpenStore) -> None:
    may_end = threading.Event()
    began: list[str] = []

    @motion.fold(on="message.text", by="message.user", sets="user.profile", concurrency=4)
    def remember(profile: str | None, text: str) -> str:
        began.append(text)
        if text == "slow":
            assert may_end.wait(60)
        return (profile or "") + text

    store = open_store(schemas=SCHEMAS, triggers=[remember])
    say(store, 1, 10, "slow")
    until(store, lambda: began == ["slow"], timeout_s=60)
    say(store, 2, 20, "b")
    say(store, 3, 30, "other", user=2)
    until(store, lambda: "other" in began, timeout_s=60)  # which was set after the one that waits
    assert began == ["slow", "other"]
    may_end.set()
    assert profiles(store) == {1: "slowb", 2: "other"}
    assert began == ["slow", "other", "b"]


def test_while_rows_are_folded_again_the_value_that_is_shown_stays(
    open_store: OpenStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folds, "LONGEST_RUN_S", 0.0)  # each call is a run
    seen: set[str | None] = set()
    store: motion.Store

    @motion.fold(on="message.text", by="message.user", sets="user.profile")
    def remember(profile: str | None, text: str) -> str:
        seen.add(store.rows(User)[0].profile if store.rows(User) else None)
        return (profile or "") + text

    store = open_store(schemas=SCHEMAS, triggers=[remember])
    for row in range(1, 6):
        say(store, row, 10 * row, f"{row}")
    assert profiles(store) == {1: "12345"}
    assert seen == {None, "1", "12", "123", "1234"}
    seen.clear()
    say(store, 6, 5, "L")
    assert profiles(store) == {1: "L12345"}
    assert seen == {"12345"}


def test_a_failed_row_is_tried_as_often_as_it_may_however_many_rows_come(
    open_store: OpenStore, calls: Calls
) -> None:
    @motion.fold(on="message.text", by="message.user", sets="user.profile", retries=2)
    def remember(profile: str | None, text: str) -> str:
        calls.append(text)
        if text == "bad":
            raise ConnectionError
        return (profile or "") + text

    store = open_store(schemas=SCHEMAS, triggers=[remember])
    say(store, 1, 1, "bad")
    row = 1
    while not store.errors():
        row += 1
        say(store, row, row, ".")
        pause()
    store.wait(timeout=60)
    assert calls.count("bad") == 3
    assert len(store.errors()) == 1


def test_calls_that_last_are_committed_one_by_one(
    open_store: OpenStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    may_end = threading.Semaphore(0)
    monkeypatch.setattr(folds, "LONGEST_RUN_S", 0.0)

    @motion.fold(on="message.text", by="message.user", sets="user.profile")
    def remember(profile: str | None, text: str) -> str:
        assert may_end.acquire(timeout=60)
        return (profile or "") + text

    store = open_store(schemas=SCHEMAS, triggers=[remember])
    rows = [{"id": i, "ts": i, "user": 1, "text": f"{i}"} for i in (1, 2, 3)]
    change = store.set_many("message", rows)
    for expected in ("1", "12", "123"):
        may_end.release()
        until(store, partial(has_profile, store, expected), timeout_s=60)
    change.wait(timeout=60)


def profile_of(store: motion.Store) -> str | None:
    return next((row.profile for row in store.rows(User, id=1)), None)


def has_profile(store: motion.Store, expected: str) -> bool:
    return profile_of(store) == expected


def test_keys_that_are_set_in_another_order_are_folded_in_theirs_without_calls_made_again(
    open_store: OpenStore, calls: Calls
) -> None:
    ended: list[int] = []

    @motion.trigger(on="message.raw", sets="message.text", retries=1)
    async def read(id: int, raw: int) -> str | None:
        while raw not in (len(ended), -1):  # the last come first
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
    left = [i for i in range(1, 13) if 12 - i not in (2, 5)]
    assert profiles(store) == {1: "".join(f"{i} " for i in left)}
    assert ended == list(range(12, 0, -1))
    assert calls == [f"{i} " for i in left]


def test_a_fold_goes_on_where_what_it_waits_for_is_given_up(
    open_store: OpenStore, calls: Calls
) -> None:
    may_end = threading.Event()

    @motion.trigger(on="message.thread", sets="message.text", concurrency=3)
    def read(id: int, thread: str) -> str:
        if id == 1:
            assert may_end.wait(60)
            raise ValueError(thread)
        return thread

    store = open_store(schemas=SCHEMAS, triggers=[read, remembering(calls)])
    store.set_many("message", [{"id": i, "ts": i, "user": 1, "thread": f"{i}"} for i in (1, 2, 3)])
    until(store, lambda: len(store.rows(Message, where="text is not null")) == 2, timeout_s=60)
    assert calls == []
    may_end.set()
    store.wait(timeout=60)
    assert [letter.trigger for letter in store.errors()] == ["read"]
    assert profile_of(store) == "23"
    assert calls == ["2", "3"]


# -- failures --


def test_a_row_that_is_given_up_is_left_out_until_it_is_tried_again(
    open_store: OpenStore, calls: Calls
) -> None:
    is_down = threading.Event()
    is_down.set()

    @motion.fold(on="message.text", by="message.user", sets="user.profile")
    def remember(profile: str | None, text: str) -> str:
        calls.append(text)
        if text == "bad" and is_down.is_set():
            raise ConnectionError("the model is down")
        return (profile or "") + text

    store = open_store(schemas=SCHEMAS, triggers=[remember])
    rows = [{"id": i, "ts": i, "user": 1, "text": t} for i, t in enumerate(["a", "bad", "c"], 1)]
    store.set_many("message", rows)
    store.wait(timeout=60)
    assert profile_of(store) == "ac"
    (letter,) = store.errors()
    assert (letter.trigger, letter.table, letter.row) == ("remember", "message", "id=2")
    assert "the model is down" in letter.error
    assert letter.inputs == "text='bad'"
    assert store.explain("user", 1, "profile").is_due
    say(store, 4, 4, "d")
    store.wait(timeout=60)
    assert profile_of(store) == "acd"
    assert len(store.errors()) == 1
    is_down.clear()
    calls.clear()
    assert store.retry() == 1
    assert profiles(store) == {1: "abadcd"}
    assert calls == ["bad", "c", "d"]
    assert not store.explain("user", 1, "profile").is_due


def test_a_row_that_was_given_up_is_folded_when_it_is_mended(open_store: OpenStore) -> None:
    @motion.fold(on="message.text", by="message.user", sets="user.profile")
    def remember(profile: str | None, text: str) -> str:
        if text == "bad":
            raise ValueError(text)
        return (profile or "") + text

    store = open_store(schemas=SCHEMAS, triggers=[remember])
    say(store, 1, 1, "bad")
    say(store, 2, 2, "b")
    store.wait(timeout=60)
    assert profile_of(store) == "b"
    store.set("message", id=1, text="good")
    assert profiles(store) == {1: "goodb"}


def test_a_value_that_is_changed_in_place_before_an_error_is_not_kept(
    open_store: OpenStore,
) -> None:
    @dataclass
    class Basket:
        id: int
        items: list[str]

    tries = Counter[str]()

    @motion.fold(on="message.text", by="message.user", sets="basket.items", retries=2)
    def collect(items: list[str] | None, text: str) -> list[str]:
        items = items if items is not None else []
        items.append(text)
        tries[text] += 1
        if text == "b" and tries[text] < 3:
            raise ConnectionError
        return items

    store = open_store(schemas={"message": Message, "basket": Basket}, triggers=[collect])
    rows = [{"id": i, "ts": i, "user": 1, "text": text} for i, text in enumerate("abc", 1)]
    store.set_many("message", rows)
    store.wait(timeout=60)
    assert store.rows(Basket)[0].items == ["a", "b", "c"]
    assert tries == {"a": 1, "b": 3, "c": 1}


def test_a_result_that_does_not_fit_is_the_rows_failure(open_store: OpenStore) -> None:
    @motion.fold(on="message.text", by="message.user", sets="user.profile")
    def remember(profile: str | None, text: str) -> Any:
        return 7 if text == "seven" else (profile or "") + text

    store = open_store(schemas=SCHEMAS, triggers=[remember])
    rows = [{"id": i, "ts": i, "user": 1, "text": t} for i, t in enumerate(["a", "seven", "c"], 1)]
    store.set_many("message", rows)
    store.wait(timeout=60)
    assert profile_of(store) == "ac"
    assert "profile" in store.errors()[0].error


# -- ways of calling --


@pytest.mark.parametrize("size", [1, 3, 100])
def test_rows_are_handed_over_in_lists(open_store: OpenStore, size: int) -> None:
    sizes: list[int] = []

    @motion.fold(on="message.text", by="message.user", sets="user.profile", gather=size)
    def remember(profile: str | None, text: list[str]) -> str:
        sizes.append(len(text))
        if "bad" in text:
            raise ValueError(text)
        return (profile or "") + "".join(text)

    store = open_store(schemas=SCHEMAS, triggers=[remember])
    texts = ["a", "b", "c", "d", "bad", "e", "f", "g"]
    rows = [{"id": i, "ts": i, "user": 1, "text": text} for i, text in enumerate(texts, 1)]
    store.set_many("message", rows)
    store.wait(timeout=60)
    assert profile_of(store) == "abcdefg"
    assert [letter.row for letter in store.errors()] == ["id=5"]
    assert max(sizes) == min(size, len(texts))


def test_rows_in_lists_lack_only_what_a_list_may_lack(open_store: OpenStore) -> None:
    @motion.fold(on="message.text", by="message.user", sets="user.profile", gather=3)
    def remember(profile: str | None, text: list[str], thread: list[str | None]) -> str:
        return (profile or "") + "".join(f"{a}/{b} " for a, b in zip(text, thread, strict=True))

    store = open_store(schemas=SCHEMAS, triggers=[remember])
    rows: list[Any] = [{"text": "a", "thread": "x"}, {"text": "b"}, {"thread": "y"}]
    store.set_many("message", [{"id": i, "ts": i, "user": 1, **r} for i, r in enumerate(rows)])
    store.wait(timeout=60)
    assert profile_of(store) == "a/x b/None "


def test_a_fold_runs_in_another_process(open_store: OpenStore) -> None:
    @motion.fold(on="message.text", by="message.user", sets="user.profile", executor="process")
    def remember(profile: str | None, text: str) -> str:
        return (profile or "") + text

    store = open_store(schemas=SCHEMAS, triggers=[remember])
    rows = [{"id": i, "ts": i, "user": i % 3 + 1, "text": f"{i} "} for i in range(1, 31)]
    store.set_many("message", rows)
    expected = {
        user: "".join(f"{i} " for i in range(1, 31) if i % 3 + 1 == user) for user in (1, 2, 3)
    }
    assert profiles(store) == expected


@dataclass
class Said:
    text: str
    of: list[int]


@dataclass
class Listener:
    id: int
    heard: list[str]
    counted: dict[str, int]
    said: list[Said]


def test_a_fold_of_any_kind_of_value_runs_in_another_process(open_store: OpenStore) -> None:
    options: dict[str, Any] = {"on": "message.text", "by": "message.user", "executor": "process"}

    @motion.fold(sets="listener.heard", **options)
    def hear(heard: list[str] | None, text: str) -> list[str]:
        return [*(heard or []), text]

    @motion.fold(sets="listener.counted", **options)
    def count(counted: dict[str, int] | None, text: str) -> dict[str, int]:
        return {**(counted or {}), text: len(counted or {})}

    @motion.fold(sets="listener.said", **options)
    def say(said: list[Said] | None, text: str) -> list[Said]:
        return [*(said or []), Said(text, [len(said or [])])]

    store = open_store(
        schemas={"message": Message, "listener": Listener}, triggers=[hear, count, say]
    )
    store.set_many("message", [{"id": i, "ts": i, "user": 1, "text": f"{i}"} for i in range(1, 4)])
    store.wait(timeout=60)
    assert store.errors() == []
    assert store.get(Listener, 1) == Listener(
        1,
        ["1", "2", "3"],
        {"1": 0, "2": 1, "3": 2},
        [Said("1", [0]), Said("2", [1]), Said("3", [2])],
    )


def test_a_call_that_times_out_is_its_rows_failure(open_store: OpenStore) -> None:
    may_end = threading.Event()

    @motion.fold(on="message.text", by="message.user", sets="user.profile", timeout=0.2)
    def remember(profile: str | None, text: str) -> str:
        if text == "slow":
            may_end.wait(60)
        return (profile or "") + text

    store = open_store(schemas=SCHEMAS, triggers=[remember])
    rows = [{"id": i, "ts": i, "user": 1, "text": t} for i, t in enumerate(["a", "slow", "c"], 1)]
    store.set_many("message", rows)
    store.wait(timeout=60)
    may_end.set()
    assert profile_of(store) == "ac"
    assert [letter.row for letter in store.errors()] == ["id=2"]


def test_a_rate_counts_calls(open_store: OpenStore, calls: Calls) -> None:
    store = open_store(schemas=SCHEMAS, triggers=[remembering(calls, rate="20/s")])
    started = time.monotonic()
    rows = [{"id": i, "ts": i, "user": 1, "text": "a"} for i in range(1, 12)]
    store.set_many("message", rows)
    assert profiles(store) == {1: "a" * 11}
    assert time.monotonic() - started > 0.4  # ten calls after the first, one in 50 ms


# -- other code, and stores that are opened again --


def test_rows_that_were_there_before_a_fold_are_folded_with_the_next_of_their_entity(
    open_store: OpenStore, calls: Calls
) -> None:
    store = open_store(schemas=SCHEMAS)
    say(store, 1, 10, "a")
    say(store, 2, 20, "x", user=2)
    store.close()
    store = open_store(schemas=SCHEMAS, triggers=[remembering(calls)])
    store.wait(timeout=60)
    assert calls == []
    assert store.plan("remember").missing == 2
    say(store, 3, 30, "b")
    assert profiles(store) == {1: "ab"}
    store.backfill("remember").wait(timeout=60)
    assert profiles(store) == {1: "ab", 2: "x"}
    assert store.plan("remember").current == 2


def test_after_a_change_of_code_the_next_row_of_an_entity_has_all_folded_again(
    open_store: OpenStore, calls: Calls
) -> None:
    store = open_store(schemas=SCHEMAS, triggers=[remembering(calls)])
    say(store, 1, 10, "a")
    say(store, 2, 20, "x", user=2)
    assert profiles(store) == {1: "a", 2: "x"}
    store.close()

    @motion.fold(on="message.text", by="message.user", sets="user.profile")
    def remember(profile: str | None, text: str) -> str:
        return (profile or "") + text.upper()

    store = open_store(schemas=SCHEMAS, triggers=[remember])
    assert store.status().triggers["remember"].stale == 2
    assert not store.explain("user", 1, "profile").is_current
    say(store, 3, 30, "b")
    assert profiles(store) == {1: "AB", 2: "x"}
    assert store.status().triggers["remember"].stale == 1
    store.backfill("remember", where={"id": 2}).wait(timeout=60)
    assert profiles(store) == {1: "AB", 2: "X"}


def test_what_a_fold_goes_by_is_part_of_its_fingerprint(open_store: OpenStore) -> None:
    def remember(profile: str | None, text: str) -> str:
        return (profile or "") + text

    def profile_by(order: str | None) -> str:
        fold = motion.fold(on="message.text", by="message.user", sets="user.profile", order=order)(
            remember
        )
        store = open_store(schemas=SCHEMAS, triggers=[fold])
        store.backfill("remember").wait(timeout=60)
        found = store.get(User, 1)
        store.close()
        return found.profile if found else ""

    store = open_store(schemas=SCHEMAS)
    say(store, 1, 20, "a")
    say(store, 2, 10, "b")
    store.close()
    assert [profile_by(order) for order in ("ts", "message.id", "text")] == ["ba", "ab", "ab"]


def test_work_goes_on_where_a_store_is_closed(open_store: OpenStore, calls: Calls) -> None:
    store = open_store(schemas=SCHEMAS, triggers=[remembering(calls)], run=False)
    say(store, 1, 10, "a")
    say(store, 2, 5, "b")
    store.close()
    store = open_store(schemas=SCHEMAS, triggers=[remembering(calls)])
    assert profiles(store) == {1: "ba"}


# -- the value as of each row --


@dataclass
class Payment:
    id: int
    at: float
    account: str
    amount: int
    balance: int


@motion.fold(on="payment.amount", by="payment.account", sets="payment.balance", order="payment.at")
def balance_of(balance: int | None, amount: int) -> int:
    return (balance or 0) + amount


def balances(store: motion.Store) -> dict[int, int | None]:
    store.wait(timeout=60)
    assert not store.errors()
    return {row.id: row.balance for row in store.rows(Payment, order_by="at")}


def test_folded_rows_keep_the_value_as_of_each(open_store: OpenStore) -> None:
    store = open_store(schemas={"payment": Payment}, triggers=[balance_of])
    store.set_many(
        "payment",
        [{"id": i, "at": float(i), "account": "a", "amount": 10 * i} for i in range(1, 5)],
    )
    assert balances(store) == {1: 10, 2: 30, 3: 60, 4: 100}
    store.set("payment", id=9, at=1.5, account="a", amount=1)
    assert balances(store) == {1: 10, 9: 11, 2: 31, 3: 61, 4: 101}
    store.set("payment", id=9, account="b")
    assert balances(store) == {1: 10, 9: 1, 2: 30, 3: 60, 4: 100}
    store.set("payment", id=2, amount=None)
    assert balances(store) == {1: 10, 9: 1, 2: None, 3: 40, 4: 80}


def test_later_rows_go_on_from_the_value_that_a_user_gave_for_one(open_store: OpenStore) -> None:
    store = open_store(schemas={"payment": Payment}, triggers=[balance_of])
    store.set_many(
        "payment",
        [{"id": i, "at": float(i), "account": "a", "amount": 10 * i} for i in range(1, 5)],
    )
    assert balances(store) == {1: 10, 2: 30, 3: 60, 4: 100}
    store.set("payment", id=2, balance=0)
    assert balances(store) == {1: 10, 2: 0, 3: 30, 4: 70}
    store.set("payment", id=1, amount=11)
    assert balances(store) == {1: 11, 2: 0, 3: 30, 4: 70}
    assert store.explain("payment", 2, "balance").made_by is None
    store.set("payment", id=2, amount=21)  # the row's own
    assert balances(store) == {1: 11, 2: 32, 3: 62, 4: 102}


# -- against a fold by hand --

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


def by_hand(rows: Sequence[Message], user: int) -> str | None:
    folded = sorted(
        (row.ts, row.id, row.text) for row in rows if row.user == user and row.text is not None
    )
    return "".join(f"{row}{text}" for _, row, text in folded) or None


def told(profile: str | None, id: int, text: str) -> str:
    return f"{profile or ''}{id}{text}"


def told_in_lists(profile: str | None, id: list[int], text: list[str]) -> str:
    return (profile or "") + "".join(f"{i}{t}" for i, t in zip(id, text, strict=True))


async def told_later(profile: str | None, id: int, text: str) -> str:
    return f"{profile or ''}{id}{text}"


@motion.fold(on="message.text", by="message.user", sets="message.thread")
def threads(thread: str | None, id: int, text: str) -> str:
    return f"{thread or ''}{id}{text}"


WAYS: list[tuple[Any, dict[str, Any]]] = [
    (told, {}),
    (told, {"timeout": 60.0}),
    (told_in_lists, {"gather": 2}),
    (told_later, {}),
]


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    CHANGES,
    st.sampled_from(WAYS),
    st.lists(st.booleans(), min_size=25, max_size=25),
)
def test_a_fold_is_what_a_fold_by_hand_gives_after_any_changes(
    open_store: OpenStore, changes: list[Any], way: tuple[Any, dict[str, Any]], waits: list[bool]
) -> None:
    function, options = way
    kept = motion.fold(on="message.text", by="message.user", sets="user.profile", **options)
    store = open_store(schemas=SCHEMAS, triggers=[kept(function), threads], url=":memory:")
    try:
        for change, is_waited_for in zip(changes, waits, strict=False):
            if isinstance(change, int):
                store.delete("message", change)
            else:
                store.set("message", **change)
            if is_waited_for:
                store.wait(timeout=60)
        store.wait(timeout=60)
        assert not store.errors()
        rows = store.rows(Message)
        found = {user.id: user.profile for user in store.rows(User)}
        for user in (1, 2):
            assert found.get(user) == by_hand(rows, user)
        for row in rows:
            earlier = [each for each in rows if (each.ts, each.id) <= (row.ts, row.id)]
            is_folded = row.user is not None and row.text is not None
            assert row.thread == (by_hand(earlier, row.user) if is_folded else None)
    finally:
        store.close()


# -- what is refused --


def refused(**options: Any) -> Any:
    def fold(profile: str | None, text: str) -> str:
        return text

    declared = {"on": "message.text", "by": "message.user", "sets": "user.profile"} | options
    return motion.fold(**declared)(fold)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"on": "message.txt"}, "no key 'txt'"),
        ({"by": "user.name"}, "several tables"),
        ({"by": "message.text"}, "an id of 'user' is int"),
        ({"by": "message.id"}, "primary key"),
        ({"sets": "user.id"}, "primary key"),
        ({"sets": "user.name"}, "'name'"),
        ({"sets": "message.text"}, "'text'"),
        ({"order": "message.when"}, "no key 'when'"),
        ({"gather": 0}, "at least 1"),
        ({"by": 3}, "one key each"),
        ({"on": motion.every(minutes=1)}, "keys of rows"),
    ],
    ids=str,
)
def test_a_fold_that_does_not_fit_is_refused_with_what_is_allowed(
    open_store: OpenStore, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(motion.MotionError, match=message):
        open_store(schemas=SCHEMAS, triggers=[refused(**options)])


def test_a_fold_takes_none_for_the_first_row(open_store: OpenStore) -> None:
    @motion.fold(on="message.text", by="message.user", sets="user.profile")
    def remember(profile: str, text: str) -> str:
        return profile + text

    with pytest.raises(motion.TriggerError, match="first row"):
        open_store(schemas=SCHEMAS, triggers=[remember])


def test_a_fold_of_what_it_feeds_is_refused(open_store: OpenStore) -> None:
    @motion.trigger(on="user.profile", sets="user.name")
    def name(profile: str) -> str:
        return profile

    @motion.fold(on="user.name", by="user.profile", sets="user.profile")
    def remember(profile: str | None, name: str) -> str:
        return name

    with pytest.raises(motion.MotionError, match="profile"):
        open_store(schemas=SCHEMAS, triggers=[name, remember])


def test_a_lookup_of_what_is_folded_from_its_own_table_says_whether_it_follows(
    open_store: OpenStore, calls: Calls
) -> None:
    def answer(text: str, profile: Any) -> str:
        return f"{profile}: {text}"

    def opened(follow: bool | None) -> motion.Store:
        lookup = motion.Lookup("user.profile", by="user", follow=follow)
        answer.__annotations__["profile"] = Annotated[str | None, lookup]
        answering = motion.trigger(on="message.text", sets="message.thread")(answer)
        return open_store(f"{follow}", schemas=SCHEMAS, triggers=[remembering(calls), answering])

    with pytest.raises(motion.TriggerError, match="earlier ones of its entity"):
        opened(None)
    for follow, first in ((True, "ab: a"), (False, "a: a")):
        store = opened(follow)
        say(store, 1, 1, "a")
        store.wait(timeout=60)
        store.set("message", id=1, text="a", force=True)
        store.wait(timeout=60)
        say(store, 2, 2, "b")
        store.wait(timeout=60)
        assert store.rows(Message, id=1)[0].thread == first


def test_a_fold_without_types_waits_for_what_it_takes(open_store: OpenStore) -> None:
    @motion.fold(on=["message.text", "message.thread"], by="message.user", sets="user.profile")
    def remember(profile, text, thread):  # type: ignore[no-untyped-def]
        return f"{profile or ''}{thread}:{text} "

    store = open_store(schemas=SCHEMAS, triggers=[remember])
    store.set("message", id=1, ts=1, user=1, text="a").wait()
    assert [user.profile for user in store.rows("user")] in ([], [None])
    store.set("message", id=1, thread="t").wait()
    assert [user.profile for user in store.rows("user")] == ["t:a "]


@pytest.mark.parametrize("by", ["the run", "others"])
@pytest.mark.parametrize("change", ["deleted", "moved"])
def test_a_row_that_goes_while_it_is_waited_for_holds_up_nothing(
    open_store: OpenStore, change: str, by: str
) -> None:
    has_begun, may_end = threading.Event(), threading.Event()

    def take_away() -> None:
        if change == "deleted":
            store.delete("message", 2)
        else:
            store.set("message", id=2, user=2)

    @motion.trigger(on="message.text", sets="message.thread", inline=False, concurrency=2)
    def name(text: str) -> str:
        if text == "slow":
            has_begun.set()
            assert may_end.wait(60)
        return text

    @motion.fold(on="message.thread", by="message.user", sets="user.profile")
    def remember(profile: str | None, thread: str) -> str:
        if thread == "a":  # it has read that the next row is waited for
            assert has_begun.wait(60)
            if by == "the run":
                take_away()
            else:
                others = threading.Thread(target=take_away)
                others.start()
                others.join()
        return (profile or "") + thread

    store = open_store(schemas=SCHEMAS, triggers=[name, remember])
    store.set("message", id=2, ts=2, user=1, text="slow")
    assert has_begun.wait(60)
    store.set("message", id=1, ts=1, user=1, text="a")
    until(store, lambda: [each.profile for each in store.rows("user")] == ["a"])
    may_end.set()
    store.wait(timeout=60)
    assert [each.profile for each in store.rows("user")] == ["a", "slow"][: 1 + (change == "moved")]


def test_a_row_that_comes_before_the_one_that_is_waited_for_is_folded_at_once(
    open_store: OpenStore,
) -> None:
    found: list[list[str | None]] = []

    @motion.trigger(on="message.text", sets="message.thread", inline=False, priority=1)
    def name(text: str) -> str:
        if text == "slow":
            apart(look)
        return text

    def look() -> None:
        """Look at the entity, which is to wait for the row that is under way."""
        with Stepper(store) as beside, at_point("task.read", come_first):
            beside.step()
            beside.run_until_idle()
        found.append([each.profile for each in store.rows("user")])

    def come_first() -> None:
        """Let an earlier row come between what the other has read and its commit."""
        store.set("message", id=1, ts=1, user=1, text="a")
        with Stepper(store) as third:
            third.step()

    @motion.fold(on="message.thread", by="message.user", sets="user.profile")
    def remember(profile: str | None, thread: str) -> str:
        return (profile or "") + thread

    store = open_store(schemas=SCHEMAS, triggers=[name, remember], run=False)
    store.set("message", id=2, ts=2, user=1, text="slow")
    with Stepper(store) as worker:
        worker.run_until_idle()
    assert found == [["a"]]
    assert [each.profile for each in store.rows("user")] == ["aslow"]


def apart(work: Callable[[], None]) -> None:
    """Do something that is not of the run which it is called in."""
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()


@contextmanager
def at_point(name: str, work: Callable[[], None]) -> Iterator[None]:
    """Do something once, when a point in the code is reached the next time."""

    def at(reached: str) -> None:
        if reached == name:
            faults.arm(None)
            work()

    faults.arm(at)
    try:
        yield
    finally:
        faults.arm(None)


# -- tables with pages --


@dataclass
class Click:
    id: int
    ts: int
    query: int
    liked: str


@dataclass
class Query:
    id: int
    taste: str
    idea: str
    idea_page: int
    shown: str


@motion.trigger(on="query.taste", sets="query.idea", page="idea_page")
def suggest(taste: str) -> list[str]:
    """An idea for each letter."""
    return [letter.upper() for letter in taste]


@motion.trigger(on=("query.idea", "query.taste"), sets="query.shown")
def show(idea: str, taste: str) -> str:
    return f"{taste}/{idea}"


PAGES = {"click": Click, "query": Query}


def tasting(calls: Calls, **options: Any) -> Any:
    @motion.fold(on="click.liked", by="click.query", sets="query.taste", **options)
    def learn(taste: str | None, liked: str) -> str:
        calls.append(liked)
        return (taste or "") + liked

    return learn


def click(store: motion.Store, row: int, liked: str, query: int = 1) -> None:
    store.set("click", id=row, ts=row, query=query, liked=liked)
    store.wait(timeout=60)
    assert not store.errors()


@pytest.mark.parametrize("replay", [True, False])
def test_pages_have_the_value_that_is_folded_into_page_0(
    open_store: OpenStore, calls: Calls, replay: bool
) -> None:
    learn = tasting(calls, replay=replay)
    store = open_store(schemas=PAGES, triggers=[learn, suggest, show])
    for row, liked in enumerate("abc", 1):
        click(store, row, liked)
    shown = [(row.idea_page, row.taste, row.shown) for row in store.rows("query", id=1)]
    assert shown == [(i, "abc", f"abc/{letter}") for i, letter in enumerate("ABC")]
    assert store.explain("query", 1, "taste", idea_page=2).made_by == "learn"
    assert calls.taken() == ["a", "b", "c"]

    store.delete("click", 3)  # a page that goes ends nothing
    store.backfill("learn").wait(timeout=60)
    store.wait(timeout=60)
    assert [row.taste for row in store.rows("query", id=1)] == ["ab", "ab"]
    click(store, 4, "d")
    assert [row.taste for row in store.rows("query", id=1)] == ["abd"] * 3

    store.set("query", id=1, taste="U")
    assert store.status().triggers["learn"].stale == 0
    click(store, 5, "e")
    assert [row.taste for row in store.rows("query", id=1)] == ["Ue"] * 2
    store.delete("query", 1)
    click(store, 6, "f")
    assert [(row.idea_page, row.taste) for row in store.rows("query")] == [(0, "f")]


def test_what_a_user_gives_for_a_page_is_not_the_value_of_the_fold(
    open_store: OpenStore, calls: Calls
) -> None:
    store = open_store(schemas=PAGES, triggers=[tasting(calls, replay=False), suggest])
    click(store, 1, "a")
    click(store, 2, "b")
    click(store, 1, "A")
    store.set("query", id=1, idea_page=1, taste="mine")
    store.wait(timeout=60)
    assert store.plan("learn").stale == 1
    store.backfill("learn").wait(timeout=60)
    store.wait(timeout=60)
    assert [row.taste for row in store.rows("query", id=1)] == ["Ab", "mine"]


def test_a_fold_into_a_page_is_refused_with_what_to_do(open_store: OpenStore) -> None:
    @motion.fold(on="click.liked", by="click.query", sets="query.shown")
    def learn(shown: str | None, liked: str) -> str:
        return liked

    with pytest.raises(motion.TriggerError, match="idea_page tells apart"):
        open_store(schemas=PAGES | SCHEMAS, triggers=[learn])


def test_rows_that_are_made_from_pages_are_folded(open_store: OpenStore) -> None:
    """The way where a fold is to go over rows of its own, and not over pages."""

    @dataclass
    class Idea:
        id: str
        user: int
        text: str

    @dataclass
    class Query:
        id: int
        user: int
        idea: str
        idea_page: int

    @motion.trigger(on="query.idea", sets="idea")
    def note(id: int, user: int, idea: str, idea_page: int) -> list[dict[str, Any]]:
        return [{"id": f"{id}-{idea_page}", "user": user, "text": idea}]

    @motion.fold(on="idea.text", by="idea.user", sets="user.profile")
    def remember(profile: str | None, text: str) -> str:
        return (profile or "") + text

    store = open_store(
        schemas={"query": Query, "idea": Idea, "user": User}, triggers=[note, remember]
    )
    store.set("query", id=1, user=7)
    store.set_many("query", [{"id": 1, "idea_page": i, "idea": f"{i}"} for i in range(3)])
    store.set("query", id=1, idea_page=1, idea="x")
    assert profiles(store) == {7: "0x2"}
    store.delete("query", 1)
    assert profiles(store) == {7: None}


@pytest.mark.parametrize("replay", [True, False])
@pytest.mark.parametrize("is_newer", [True, False])
def test_cancelling_a_change_leaves_another_ones_rows_of_its_entity(
    open_store: OpenStore, is_newer: bool, replay: bool
) -> None:
    @motion.fold(on="message.text", by="message.user", sets="user.profile", replay=replay)
    def remember(profile: str | None, text: str) -> str:
        return (profile or "") + text

    store = open_store(schemas=SCHEMAS, triggers=[remember], run=False)
    with Stepper(store) as worker:
        sent = [
            store.set("message", id=i, ts=1, user=1, text=text) for i, text in ((1, "a"), (2, "b"))
        ]
        sent[is_newer].cancel()
        worker.run_until_idle()
        assert "ba"[is_newer] in store.get("user", 1).profile
