"""What depends on other rows, goes with them, or acts once and in turn, in two processes that are killed."""

from __future__ import annotations

import random
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import pytest

import motion
from tests.conftest import OpenStore
from tests.promises.other_model import Model
from tests.promises.other_plans import GIVEN, Beside, Plan, Rule
from tests.promises.other_worlds import World, check_derived

ROOT = Path(__file__).parents[2]
USERS_PAGE = 4

KILLED = [1, pytest.param(2, marks=pytest.mark.crash), pytest.param(3, marks=pytest.mark.crash)]


def start(write: str, folder: str, seed: int) -> subprocess.Popen[str]:
    code = f"import tests.promises.test_words_killed as here; here.{write}({folder!r}, {seed})"
    return subprocess.Popen(
        [sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )


def let_write_and_kill(write: str, folder: str, seed: int) -> int:
    """Let two processes write and kill them, twice; return how many writes they have told of."""
    chance, told = random.Random(seed), 0
    for kill in range(2):
        processes = [start(write, folder, 100 * seed + 2 * kill + i) for i in (0, 1)]
        lines = chance.randrange(10, 50)
        for process in processes:
            assert process.stdout is not None
            assert [process.stdout.readline() for _ in range(lines)] == ["done\n"] * lines
        for process in processes:
            process.kill()
            told += lines + process.communicate()[0].count("done\n")
    return told


def done() -> None:
    print("done", flush=True)  # noqa: T201 - the message to the process that kills this one


# -- what is taken from other rows --


def plan() -> Plan:
    """Return a plan with each way of taking from other rows."""
    found = Beside("card.a", "host", to="domain", is_optional=True)
    listed = Beside("card.a", "cards", to="domain", has_gaps=True, is_optional=True)
    page = Beside("sheet.mark", ("sheet", "place"), is_optional=True)
    pairs = Beside("event.n", "card", "list", also="prev", where=("kind", 0), itself=True)
    several = Beside("event.n", "card", "distinct", within=4, order="prev", is_optional=True)
    sheets = Beside("sheet.mark", ("card", "sheet.card"), "list", where=("title", 1))
    moved = Beside("event.n", "x0", "std", order="x1", is_optional=True)
    over = Beside("event.x1", ("boss", "event.card"), "last", also="n", order=("a", "event.prev"))
    return Plan(
        kept={"kept": page, "spread": Beside("event.n", "card", "std", where=("kind", 1))},
        rules=(
            Rule("event", "x0", ("n",), (found, several), style="async", factor=3),
            Rule("event", "x1", ("x0", "kind"), (pairs, sheets), style="batch"),
            Rule("event", "x2", ("n",), (moved, listed, page)),
            Rule("card", "w", ("a",), (over,)),
        ),
        writers=(),
    )


class Running(World):
    """A store whose workers run by themselves."""

    def open(self) -> None:
        schemas, triggers = self.declared()
        self.store = motion.create_store(
            "words", schemas=schemas, triggers=triggers, url=self._url, durability="normal"
        )
        self.workers = []


VALUES: dict[str, Any] = {
    "boss": [1, 2, 3], "card": [1, 2, None], "prev": [1, 2, 3, 4], "n": [0, 1, 2, 3], "kind": [0, 1, None],
    "cards": [[], [0, 1], [2, 2]], "host": [0, 1, None], "domain": [0, 1, 2], "sheet": [1, 2], "place": [0, 1, 4],
    "title": [0, 1, None], "make": [0, 1, 2, 3, None],
}  # fmt: skip


def take_and_give(folder: str, seed: int) -> None:
    """Set and delete rows without end. Runs in a process of its own."""
    chance, store = random.Random(seed), Running(plan(), folder).store
    while True:
        table, id = chance.choice(["card", "event", "event", "sheet"]), chance.randrange(1, 5)
        if chance.random() < 0.15:
            store.delete(table, id)
        elif table == "sheet" and chance.random() < 0.3:
            store.set(table, id=id, page=USERS_PAGE, note=chance.randrange(3))
        else:
            keys = [key for key in GIVEN[table] if key not in ("ts", "page", "note")]
            some = chance.sample(keys, chance.randrange(1, len(keys) + 1))
            values = {key: chance.choice(VALUES.get(key, [0, 1, 2])) for key in some}
            store.set(table, id=id, ts=chance.randrange(1, 6), **values)
        done()


@pytest.mark.parametrize("seed", KILLED)
def test_p14_what_is_taken_from_other_rows_is_right_after_kills_in_two_processes(
    tmp_path: Path, seed: int
) -> None:
    folder = f"sqlite:///{tmp_path / 'words.motion'}"
    let_write_and_kill("take_and_give", folder, seed)
    world = Running(plan(), folder)
    try:
        world.store.wait(timeout=120)
        assert not world.store.errors()
        check_derived(world.store, given_of(world.store, world.plan))
    finally:
        world.end()


def given_of(store: motion.Store, plan: Plan) -> Model:
    """Return a model with what users gave, which is in the store as they gave it."""
    model = Model(plan)
    for table, keys in GIVEN.items():
        for row in store.rows(table, inherit=False):
            if table != "sheet" or row.page in (0, USERS_PAGE):
                id = (row.id, row.page) if table == "sheet" else row.id
                values = {key: getattr(row, key) for key in keys if key != "page"}
                model.given[table][id] = {k: v for k, v in values.items() if v is not None}
    return model


# -- what acts --


@dataclass
class Customer:
    id: int
    ts: int
    orders: int


@dataclass
class Order:
    id: int
    ts: int
    customer: Annotated[int, motion.Ref(Customer, delete=True)]
    amount: int


@dataclass
class Noted:
    id: int
    of: str
    order: int
    amount: int
    customer: int
    seen: int


@dataclass
class Tally:
    id: int
    n: int


SCHEMAS = {"customer": Customer, "order": Order, "noted": Noted, "counter": Tally}


@motion.trigger(on="order.amount", once=True)
def charge(id: int, amount: int, store: motion.View) -> None:
    store.set("noted", of="charge", order=id, amount=amount)


@motion.trigger(on="order.amount", serial_by="order.customer", concurrency=4)
async def count(id: int, customer: int, amount: int, store: motion.View) -> None:
    found = store.get("counter", 100 + customer)
    seen = found.n if found else 0
    store.set("counter", id=100 + customer, n=seen + 1)
    store.set("noted", of="count", order=id, amount=amount, customer=customer, seen=seen)


def act(folder: str, seed: int) -> None:
    """Order, delete customers, and count by hand, without end. Runs in a process of its own."""
    chance, store = random.Random(seed), opened(folder)
    order = 10_000 * seed
    while True:
        customer = chance.randrange(1, 4)
        if chance.random() < 0.15:
            store.delete("customer", customer)
        with store.transaction() as tx:
            tx.set("customer", id=customer, ts=1)
            order += 1
            tx.set("order", id=order, ts=chance.randrange(9), customer=customer, amount=seed)
        while True:
            read: Any = store.get("counter", 1)
            try:
                store.set(read, n=read.n + 1, if_unchanged=True)
                break
            except motion.RowChanged:
                pass
        done()


def opened(folder: str) -> motion.Store:
    return motion.create_store(
        "acting", schemas=SCHEMAS, triggers=[charge, count], url=folder, durability="normal"
    )


@pytest.mark.parametrize("seed", KILLED)
def test_what_acts_has_acted_once_and_in_turn_after_kills_in_two_processes(
    open_store: OpenStore, tmp_path: Path, seed: int
) -> None:
    folder = f"sqlite:///{tmp_path / 'acting.motion'}"
    with opened(folder) as store:
        store.set("counter", id=1, n=0)
    told = let_write_and_kill("act", folder, seed)
    with opened(folder) as store:
        store.wait(timeout=120)
        assert not store.errors()
        customers = {row.id for row in store.rows("customer")}
        orders: Any = store.rows("order")
        assert {row.customer for row in orders} <= customers  # the others went with theirs
        noted: Any = store.rows("noted")
        charged = Counter(row.order for row in noted if row.of == "charge")
        assert set(charged.values()) <= {1}
        assert charged.keys() >= {row.id for row in orders}
        assert {row.order for row in noted if row.of == "count"} >= {row.id for row in orders}
        counters = {row.id: row.n for row in store.rows("counter")}
        by_hand = counters.pop(1)
        assert (
            told <= by_hand <= told + 4
        )  # a process that was killed may have counted, and not said so
        seen = sorted((100 + row.customer, row.seen) for row in noted if row.of == "count")
        assert seen == [(id, n) for id, total in sorted(counters.items()) for n in range(total)]
