"""`serial_by`: runs of rows with an equal value go one at a time, in their order, each seeing what the one before wrote."""

from __future__ import annotations

import asyncio
import random
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any

import pytest

import motion
from motion.testing import Stepper
from tests.conftest import OpenStore, until


@dataclass
class Message:
    id: str
    ts: int
    user: int
    text: str
    reply: str


@dataclass
class User:
    id: int
    history: str


SCHEMAS = {"message": Message, "user": User}


def messages(users: int, each: int) -> list[dict[str, Any]]:
    """Messages of several users, those of one not in their order."""
    found = [
        {"id": f"{user}-{i}", "ts": i, "user": user, "text": f"{i} "}
        for i in range(each)
        for user in range(users)
    ]
    return [*found[1::2], *found[::2]]


def answering(began: list[str], **options: Any) -> Any:
    @motion.trigger(on="message.text", serial_by="message.user", **options)
    async def answer(id: str, user: int, text: str, store: motion.View) -> None:
        began.append(id)
        found = store.get("user", user)
        history = found.history if found else ""
        await asyncio.sleep(0.001)
        store.set("user", id=user, history=history + text)

    return answer


def test_runs_of_equal_values_go_one_at_a_time_in_their_order(open_store: OpenStore) -> None:
    began: list[str] = []
    store = open_store(schemas=SCHEMAS, triggers=[answering(began)])
    store.set_many("message", messages(4, 12))
    store.wait(timeout=60)
    assert not store.errors()
    expected = "".join(f"{i} " for i in range(12))
    assert {row.id: row.history for row in store.rows(User)} == dict.fromkeys(range(4), expected)
    assert len(began) == 48  # none had to be called again
    assert store.status().called_again == {}


@dataclass
class Chapter:
    id: str
    page: int
    user: int
    text: str


def test_pages_of_a_row_go_in_their_order(open_store: OpenStore) -> None:
    began = list[tuple[str, int]]()

    @motion.trigger(on="chapter.text", serial_by="chapter.user", inline=False)
    def answer(id: str, page: int, text: str, store: motion.View) -> None:
        began.append((id, page))
        store.set("user", id=1, history=text)

    names = [(name, page) for name in ("a", "b") for page in (10, 3, 1, 2, 0)]
    with open_store(
        "books", schemas={"chapter": Chapter, "user": User}, triggers=[answer], run=False
    ) as store:
        for name, page in names:
            store.set("chapter", id=name, page=page, user=1, text=f"{name}{page}")
    with open_store(
        "books", schemas={"chapter": Chapter, "user": User}, triggers=[answer]
    ) as store:
        store.wait(timeout=60)
    assert began == sorted(names)


def test_runs_of_other_values_go_at_once(open_store: OpenStore) -> None:
    under_way: Counter[int] = Counter()
    most: Counter[int] = Counter()
    all_there = threading.Event()

    @motion.trigger(
        on="message.text", sets="message.reply", serial_by="message.user", concurrency=3
    )
    def answer(user: int, text: str) -> str:
        under_way[user] += 1
        most[user] = max(most[user], under_way[user])
        if sum(under_way.values()) == 3:
            all_there.set()
        assert all_there.wait(60)
        under_way[user] -= 1
        return text

    store = open_store(schemas=SCHEMAS, triggers=[answer])
    store.set_many("message", messages(3, 4))
    store.wait(timeout=60)
    assert not store.errors()
    assert most == {0: 1, 1: 1, 2: 1}


def test_a_row_that_comes_while_one_of_its_line_is_under_way_waits(open_store: OpenStore) -> None:
    may_end = threading.Event()
    began: list[str] = []

    @motion.trigger(
        on="message.text", sets="message.reply", serial_by="message.user", concurrency=4
    )
    def answer(id: str, text: str) -> str:
        began.append(id)
        if id == "0-0":
            assert may_end.wait(60)
        return text

    store = open_store(schemas=SCHEMAS, triggers=[answer])
    for row in ("0-0", "0-1", "1-0"):
        store.set("message", id=row, ts=1, user=int(row[0]), text=row)
        if row == "0-0":
            until(store, lambda: began == ["0-0"], timeout_s=60)
    until(store, lambda: "1-0" in began, timeout_s=60)  # which was set after the one that waits
    assert began == ["0-0", "1-0"]
    may_end.set()
    store.wait(timeout=60)
    assert began == ["0-0", "1-0", "0-1"]


def test_a_row_that_is_tried_again_holds_those_behind_it(open_store: OpenStore) -> None:
    called: list[str] = []

    @motion.trigger(on="message.text", sets="message.reply", serial_by="message.user", retries=1)
    def answer(id: str, text: str) -> str:
        called.append(id)
        if id == "0-1" and called.count(id) == 1:
            raise ConnectionError
        if id == "0-2":
            raise ValueError
        return text

    store = open_store(schemas=SCHEMAS, triggers=[answer])
    store.set_many("message", messages(1, 5))
    store.wait(timeout=60)
    assert called == ["0-0", "0-1", "0-1", "0-2", "0-2", "0-3", "0-4"]
    assert [letter.row for letter in store.errors()] == ["id=0-2"]


def test_rows_without_a_value_wait_for_none(open_store: OpenStore) -> None:
    both = threading.Barrier(2)

    @motion.trigger(
        on="message.text", sets="message.reply", serial_by="message.user", concurrency=2
    )
    def answer(text: str) -> str:
        both.wait(60)
        return text

    store = open_store(schemas=SCHEMAS, triggers=[answer])
    store.set_many("message", [{"id": each, "ts": 1, "text": each} for each in "ab"])
    store.wait(timeout=60)
    assert not store.errors()


def test_a_row_that_comes_to_another_value_while_it_waits_stands_in_its_line(
    open_store: OpenStore,
) -> None:
    may_end = {"0-0": threading.Event(), "2-0": threading.Event()}
    began: list[str] = []

    @motion.trigger(
        on="message.text", sets="message.reply", serial_by="message.user", concurrency=4
    )
    def answer(id: str, text: str) -> str:
        began.append(id)
        if id in may_end:
            assert may_end[id].wait(60)
        return text

    def say(row: str) -> None:
        store.set("message", id=row, ts=1, user=int(row[0]), text=row)

    store = open_store(schemas=SCHEMAS, triggers=[answer])
    say("0-0")
    say("2-0")
    until(store, lambda: len(began) == 2, timeout_s=60)
    say("0-1")
    say("1-0")
    until(store, lambda: "1-0" in began, timeout_s=60)
    store.set("message", id="0-1", user=2)
    may_end["0-0"].set()
    until(store, lambda: store.rows(Message, id="0-0")[0].reply is not None, timeout_s=60)
    say("3-0")
    until(store, lambda: "3-0" in began, timeout_s=60)
    assert (
        "0-1" not in began
    )  # the line that it stood in has moved on, and the one that it stands in has not
    may_end["2-0"].set()
    store.wait(timeout=60)
    assert began[-1] == "0-1"


def delete_it(store: motion.Store) -> None:
    store.delete("message", "1")


def move_it(store: motion.Store) -> None:
    store.set("message", id="1", user=2)


def take_it_out(store: motion.Store) -> None:
    store.set("message", id="1", user=None)


def move_it_and_change_it(store: motion.Store) -> None:
    store.set("message", id="1", user=2, text="b")


def put_it_last(store: motion.Store) -> None:
    store.set("message", id="1", ts=9)


def unset_what_it_is_of(store: motion.Store) -> None:
    store.set("message", id="1", text=None)


def change_it(store: motion.Store) -> None:
    store.set("message", id="1", text="b")


@pytest.mark.parametrize(
    "happens",
    [delete_it, move_it, take_it_out, move_it_and_change_it, put_it_last, unset_what_it_is_of, change_it],
)  # fmt: skip
@pytest.mark.parametrize("when", ["while the one before it runs", "before any runs"])
def test_a_line_goes_on_whatever_becomes_of_the_next_in_it(
    open_store: OpenStore, happens: Callable[[motion.Store], None], when: str
) -> None:
    has_begun, may_end = threading.Event(), threading.Event()

    @motion.trigger(on="message.text", sets="message.reply", serial_by="message.user")
    def answer(text: str) -> str:
        has_begun.set()
        assert may_end.wait(60)
        return text

    store = open_store(schemas=SCHEMAS, triggers=[answer])
    rows = [{"id": str(i), "ts": i, "user": 1, "text": "a"} for i in range(4)]
    if when == "before any runs":
        store.set("message", id="held", ts=0, user=1, text="a")
        assert has_begun.wait(60)  # and the next is not looked at yet
        store.set_many("message", rows)
    else:
        store.set_many("message", rows)
        assert has_begun.wait(60)
    happens(store)
    may_end.set()
    store.wait(timeout=60)
    assert [row for row in store.rows(Message) if row.reply != row.text] == []


@pytest.mark.parametrize(
    ("moved", "expected"),
    [
        ({"id": "1-3", "ts": 0}, ["1-0", "1-3", "1-1", "1-2", "2-1", "2-5"]),
        ({"id": "1-1", "ts": 9}, ["1-0", "1-2", "1-3", "1-1", "2-1", "2-5"]),
        ({"id": "1-3", "user": 2}, ["1-0", "1-1", "1-2", "2-1", "1-3", "2-5"]),
        ({"id": "2-5", "user": 1, "ts": 2}, ["1-0", "1-1", "1-2", "2-5", "1-3", "2-1"]),
    ],
    ids=["earlier", "later", "into another line", "into the same line"],
)
def test_a_row_that_waits_goes_by_the_place_that_it_has_when_its_turn_comes(
    open_store: OpenStore, moved: dict[str, Any], expected: list[str]
) -> None:
    began: list[str] = []

    @motion.trigger(on="message.text", sets="message.reply", serial_by="message.user")
    def answer(id: str, text: str) -> str:
        began.append(id)
        if len(began) == 1:
            moving = threading.Thread(target=lambda: store.set("message", **moved))
            moving.start()  # all others are in their lines by now
            moving.join()
        return text

    store = open_store(schemas=SCHEMAS, triggers=[answer], run=False)
    rows = [("1-0", 0), ("1-1", 1), ("1-2", 2), ("1-3", 3), ("2-1", 1), ("2-5", 5)]
    store.set_many(
        "message", [{"id": id, "ts": ts, "user": int(id[0]), "text": "a"} for id, ts in rows]
    )
    with Stepper(store) as worker:
        worker.run_until_idle()
    line = {each: int(each[0]) for each in expected} | {
        moved["id"]: moved.get("user", int(moved["id"][0]))
    }
    for user in (1, 2):  # lines go side by side
        assert [each for each in began if line[each] == user] == [
            each for each in expected if line[each] == user
        ]


def said(text: str) -> str:
    return text


def said_to(text: str, user: int) -> str:
    return f"{text} to {user}"


def said_before(
    text: str, before: Annotated[list[str], motion.Window("message.text", by="user", rows=4)]
) -> str:
    return f"{text} after {before}"


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(
    ("on", "function"),
    [
        ("message.text", said),
        (("message.text", "message.user"), said_to),
        ("message.text", said_before),
    ],
)
def test_lines_of_rows_that_change_all_the_time_come_to_their_end(
    open_store: OpenStore, on: Any, function: Any, seed: int
) -> None:
    answer = motion.trigger(on=on, sets="message.reply", serial_by="message.user")(function)
    store, drawn = open_store(schemas=SCHEMAS, triggers=[answer]), random.Random(seed)
    for step in range(80):
        row: dict[str, Any] = {"id": str(drawn.randrange(7)), "text": str(step)}
        if drawn.random() < 0.15:
            store.delete("message", row["id"])
            continue
        if drawn.random() < 0.4:
            row |= {"user": drawn.choice([1, 2, None])}
        if drawn.random() < 0.4:
            row |= {"ts": drawn.randrange(9)}
        if drawn.random() < 0.1:
            row |= {"text": None}
        store.set("message", **row)
    store.wait(timeout=60)
    for each in store.rows(Message):
        is_whole = each.text is not None and (function is said or each.user is not None)
        assert (each.reply or "").split(" ")[0] == (each.text if is_whole else "")


def test_a_loop_of_rows_of_one_line_is_stopped_and_its_rows_wait_once_each(
    open_store: OpenStore,
) -> None:
    @motion.trigger(on="message.text", serial_by="message.user", concurrency=4, follow=True)
    def tell(id: str, user: int, store: motion.View) -> None:
        store.get("user", 1)
        store.set("user", id=1, history=id)

    store = open_store(schemas=SCHEMAS, triggers=[tell])
    store.set("user", id=1, history="")
    for i in range(6):
        store.set("message", id=str(i), user=i % 2, text="a")
    store.wait(timeout=60)
    errors = [letter.error for letter in store.errors()]
    assert errors
    assert all("CascadeTooDeep" in each for each in errors)


@pytest.mark.parametrize("options", [{}, {"batch": 3}, {"executor": "process"}, {"timeout": 30.0}])
def test_lines_go_with_every_way_of_calling(open_store: OpenStore, options: dict[str, Any]) -> None:
    @motion.trigger(on="message.text", sets="message.reply", serial_by="message.user", **options)
    def answer(text: Any) -> Any:
        return [each.upper() for each in text] if isinstance(text, list) else text.upper()

    store = open_store(schemas=SCHEMAS, triggers=[answer])
    store.set_many("message", messages(5, 4))
    store.wait(timeout=60)
    assert not store.errors()
    assert all(row.reply == row.text for row in store.rows(Message))


def test_lines_go_on_where_a_store_is_closed(open_store: OpenStore) -> None:
    began: list[str] = []
    store = open_store(schemas=SCHEMAS, triggers=[answering(began)], run=False)
    store.set_many("message", messages(2, 6))
    store.close()
    store = open_store(schemas=SCHEMAS, triggers=[answering(began)])
    store.wait(timeout=60)
    expected = "".join(f"{i} " for i in range(6))
    assert [row.history for row in store.rows(User)] == [expected, expected]


@pytest.mark.parametrize(
    ("serial_by", "message"),
    [("message.users", "users"), ("message.id", "equal values"), (3, "a key, such as")],
    ids=str,
)
def test_a_line_by_what_is_no_key_is_refused(
    open_store: OpenStore, serial_by: Any, message: str
) -> None:
    def answer(text: str) -> str:
        return text

    def declare() -> None:
        marked = motion.trigger(on="message.text", sets="message.reply", serial_by=serial_by)
        open_store(schemas=SCHEMAS, triggers=[marked(answer)])

    with pytest.raises(motion.MotionError, match=message):
        declare()


def test_events_stand_in_no_line(open_store: OpenStore) -> None:
    @motion.trigger(on=motion.deleted("message"), serial_by="message.user")
    def clean(id: str) -> None: ...

    with pytest.raises(motion.TriggerError, match="events"):
        open_store(schemas=SCHEMAS, triggers=[clean])
