"""Random stores with triggers that act in turn, once, or a while after a row's time, on rows that go with others.

`serial_by=`, `once=`, `after` and `Ref(delete=True)` say when a function is called, and which rows there are: what is held
against the model is each call at the moment when it begins, and all that is there when the store is idle. Writes with
`if_unchanged=` are held against what was there before them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any

import motion
from tests.promises.stage import Stage, function
from tests.promises.worlds import Clock

Values = dict[str, Any]

DELAY_S = 30


@dataclass
class User:
    id: int
    ts: int
    name: int


@dataclass
class Order:
    """A row that goes with its user, and with the order that it names. Each one that is made has another `life`."""

    id: int
    ts: int
    user: Annotated[int, motion.Ref(User, delete=True)]
    replaces: Annotated[int, motion.Ref("order", delete=True)]
    life: int
    amount: int
    due: int
    told: int


@dataclass
class Line:
    """How many orders of a user were counted; its id is the user's."""

    id: int
    n: int


@dataclass
class Log:
    """What a run has noted, in its commit."""

    id: int
    of: str
    order: int
    life: int
    amount: int
    line: int
    seen: int


SCHEMAS: Mapping[str, type] = {"user": User, "order": Order, "line": Line, "log": Log}
GIVEN: Mapping[str, Sequence[str]] = {
    "user": ("ts", "name"),
    "order": ("ts", "user", "replaces", "life", "amount", "due"),
}


@dataclass(frozen=True)
class Actor:
    """A trigger on orders.

    Attributes:
        kind: "charge": once for a row. "number": it counts the orders of a user, in turn. "tell": it sets `told` a while
            after `due`. "remind": once, a while after `due`.
        is_flaky: the first call for a row raises.
        is_at_most: of "charge": once="at_most".
    """

    kind: str
    style: str = "plain"
    is_flaky: bool = False
    is_at_most: bool = False

    @property
    def is_once(self) -> bool:
        return self.kind in ("charge", "remind")


@dataclass
class Model:
    """What users gave, and what follows from it for runs.

    Attributes:
        waiting: the orders that wait for being counted: their amount was set, and no call has begun since.
        possible: of an order what `told` may be.
        is_over: of an order whose time has come the time that it was.
    """

    given: dict[str, dict[int, Values]] = field(default_factory=lambda: {"user": {}, "order": {}})
    waiting: set[int] = field(default_factory=set)
    possible: dict[int, set[int | None]] = field(default_factory=dict)
    is_over: dict[int, int] = field(default_factory=dict)
    lives: int = 0

    def set(self, table: str, id: int, values: Values) -> None:
        self.take_time()
        own = self.given[table].setdefault(id, {})
        changed = {key for key, value in values.items() if own.get(key) != value}
        own.update(values)
        if table == "user":
            return
        if "amount" in changed and own["amount"] is not None:
            self.waiting.add(id)
        elif "amount" in changed:
            self.waiting.discard(id)
        self.possible.setdefault(id, {None})
        if "amount" in changed and id in self.is_over:
            self.possible[id].add(told(own["amount"]))
        if "due" in changed:
            self.is_over.pop(id, None)
            self.possible[id] = self.possible[id] | {None} if own["due"] is not None else {None}
        self.take_time()

    def take_time(self) -> None:
        """Let the time come of those orders whose it is; what they hold from then on may be told."""
        for id, own in self.given["order"].items():
            if is_over(own.get("due")) and self.is_over.get(id) != own["due"]:
                self.is_over[id] = own["due"]
                self.possible[id] = {told(own.get("amount"))}

    def delete(self, table: str, id: int) -> None:
        """Delete a row, and those that name it."""
        if self.given[table].pop(id, None) is None:
            return
        if table == "order":
            self.waiting.discard(id)
            self.possible.pop(id, None)
            self.is_over.pop(id, None)
        key = "user" if table == "user" else "replaces"
        for other in [o for o, own in self.given["order"].items() if own.get(key) == id]:
            self.delete("order", other)


def _list_of(kind: Any) -> Any:
    return list[kind]


def told(amount: int | None) -> int:
    return -1 if amount is None else amount * 10


def is_over(due: int | None) -> bool:
    return due is not None and due + DELAY_S * 1000 <= Clock.now_ms()


class World(Stage):
    """A store with such triggers, whose tasks run when told so, and its model."""

    def __init__(self, actors: Sequence[Actor], url: str) -> None:
        super().__init__("acting", url)
        self.actors, self.model = actors, Model()
        self._begun = Clock.now_ms()
        self._acted: dict[tuple[str, int], int] = {}
        """(kind, life) -> how many workers had been cut off when a row was acted on"""
        self._raised: set[tuple[str, int]] = set()
        self._under_way: set[int] = set()
        self._writes, self._writes_before = 0, [0, 0]
        self.open()

    def declared(self) -> tuple[dict[str, type], list[Any]]:
        return dict(SCHEMAS), [self._actor(actor) for actor in self.actors]

    # -- the triggers --

    def _actor(self, actor: Actor) -> Any:
        ways: dict[str, Values] = {
            "charge": {"on": "order.amount", "once": "at_most" if actor.is_at_most else True},
            "number": {"on": "order.amount", "serial_by": "order.user"},
            "tell": {"on": motion.after("order.due", seconds=DELAY_S), "sets": "order.told"},
            "remind": {"on": motion.after("order.due", seconds=DELAY_S), "once": True},
        }
        mark = motion.trigger(
            **ways[actor.kind], name=actor.kind, version="1", batch=3 if actor.style == "batch" else None,
            retries=2 if actor.is_flaky else 0,
        )  # fmt: skip
        hints: Values = {"id": int, "life": int, "ts": int}
        hints |= dict.fromkeys(("user", "amount", "due"), int | None)
        hints["amount" if actor.kind in ("charge", "number") else "due"] = int
        if actor.style == "batch":
            hints = {key: _list_of(kind) for key, kind in hints.items()}
        hints |= {} if actor.kind == "tell" else {"store": motion.View}

        def called(values: tuple[Any, ...]) -> Any:
            named = dict(zip(hints, values, strict=True))
            return getattr(self, f"_{actor.kind}")(actor, named)

        return mark(function(called, actor.style, hints))

    def _charge(self, actor: Actor, row: Values) -> None:
        self._act_once(actor, row)

    def _remind(self, actor: Actor, row: Values) -> None:
        assert is_over(row["due"]), f"reminded early: {row}"
        self._act_once(actor, row)

    def _act_once(self, actor: Actor, row: Values) -> None:
        """Act on a row: again only where the process ended before it was noted."""
        at = actor.kind, row["life"]
        self._raise_first(actor, row)
        before = self._acted.get(at)
        assert before is None or (before < self.cuts and not actor.is_at_most), f"again: {at}"
        self._acted[at] = self.cuts
        self.hook(actor.kind, actor, row["id"])
        row["store"].set("log", of=actor.kind, order=row["id"], life=row["life"])

    def _number(self, actor: Actor, row: Values) -> None:
        """Count an order: of a user's orders that wait it is the first, and no other is under way."""
        user, place = row["user"], (row["ts"], row["id"])
        assert user not in self._under_way, f"beside another one: {row}"
        self._assert_first(row["id"], user, place)
        self.model.waiting.discard(row["id"])
        self._raise_first(actor, row)
        self._under_way |= {user} - {None}
        total = row["store"].get("line", user) if user is not None else None
        seen = total.n if total else 0
        self.hook(actor.kind, actor, row["id"])
        self._under_way.discard(user)
        if user is not None:
            row["store"].set("line", id=user, n=seen + 1)
        row["store"].set(
            "log", of="number", order=row["id"], life=row["life"], amount=row["amount"], line=user, seen=seen
        )  # fmt: skip

    def _assert_first(self, id: int, user: int | None, place: tuple[int, int]) -> None:
        """Hold against the model that no order waits before one that is called for; not where something was written after
        the worker had chosen."""
        if user is None or self._writes != self._writes_before[self._stepping[-1]]:
            return
        orders = self.model.given["order"]
        before = [
            other
            for other in self.model.waiting - {id}
            if orders[other].get("user") == user and (orders[other]["ts"], other) < place
        ]
        assert not before, f"order {id} of user {user} comes before {before}, which wait"

    def _raise_first(self, actor: Actor, row: Values) -> None:
        at = actor.kind, row["life"]
        if actor.is_flaky and at not in self._raised:
            self._raised.add(at)
            own = self.model.given["order"].get(row["id"], {})
            if (
                actor.kind == "number" and own.get("amount") is not None
            ):  # else it is not tried again
                self.model.waiting.add(row["id"])
            raise ConnectionError(f"not yet: {at}")

    def _tell(self, actor: Actor, row: Values) -> int:
        assert is_over(row["due"]), f"told early: {row}"
        self.hook(actor.kind, actor, row["id"])
        return told(row["amount"])

    # -- what users do --

    def _new(self, table: str, id: int, values: Values) -> Values:
        """Return what is set of a row that may be new."""
        if id in self.model.given[table]:
            return values
        return {"ts": 3} | self._life(table) | values

    def _life(self, table: str) -> Values:
        if table == "user":
            return {}
        self.model.lives += 1
        return {"life": self.model.lives}

    def _at(self, values: Values) -> Values:
        """Return values with the time that is said in seconds since the story began."""
        due = values.get("due")
        return values if due is None else {**values, "due": self._begun + due * 1000}

    def _do_set(self, table: str, id: int, values: Values) -> None:
        values = self._new(table, id, self._at(values))
        self.store.set(table, id=id, **values)
        self._writes += 1
        self.model.set(table, id, values)

    def _do_load(self, table: str, rows: Mapping[int, Values]) -> None:
        """Set several rows in one write."""
        made = {id: self._new(table, id, self._at(own)) for id, own in rows.items()}
        with self.store.transaction() as tx:
            for id, own in made.items():
                tx.set(table, id=id, **own)
        self._writes += 1
        for id, own in made.items():
            self.model.set(table, id, own)

    def _do_delete(self, table: str, id: int) -> None:
        self.store.delete(table, id)
        self._writes += 1
        self.model.delete(table, id)

    def _do_remake(self, table: str, id: int) -> None:
        """Delete a row and make it anew with equal values, in one write."""
        own = self.model.given[table].get(id)
        if own is None:
            return
        values = {**own, **self._life(table)}
        with self.store.transaction() as tx:
            tx.delete(table, id)
            tx.set(table, id=id, **values)
        self._writes += 1
        self.model.delete(table, id)
        self.model.set(table, id, values)

    def _do_if_unchanged(self, id: int, ops: Sequence[Any], values: Values, *also: int) -> None:
        """Set a row only if nothing that happens meanwhile has changed it, and a user in the same transaction."""
        read: Any = self.store.get(Order, id)
        if read is None:
            return
        self._do_all(ops)
        now: Any = self.store.get(Order, id)
        values, users = self._at(values), [(user, {"name": 77}) for user in also]
        users = [(user, self._new("user", user, own)) for user, own in users]
        is_set = self._set_if_unchanged(read, now, values, users)
        assert is_set == (read == now), f"{read}, then {now}: {'set' if is_set else 'not set'}"
        if is_set:
            self._writes += 1
            self.model.set("order", id, values)
            for user, own in users:
                self.model.set("user", user, own)

    def _set_if_unchanged(self, read: Any, now: Any, values: Values, users: Any) -> bool:
        keys = Order.__dataclass_fields__
        differing = {key for key in keys if now and getattr(read, key) != getattr(now, key)}
        try:
            if not users:
                self.store.set(read, **values, if_unchanged=True)
                return True
            with self.store.transaction() as tx:
                for user, own in users:
                    tx.set("user", id=user, **own)
                tx.set(read, **values, if_unchanged=True)
        except motion.RowChanged as changed:
            named = set(changed.keys)
        else:
            return True
        assert named == differing
        return False

    def _do_tick(self, seconds: int) -> None:
        Clock.advance(seconds if not self._stepping else min(seconds, 5))
        self.model.take_time()

    # -- what workers do --

    def _stepped(self, worker: int) -> bool:
        before, self._writes_before[worker] = self._writes_before[worker], self._writes
        has_worked = super()._stepped(worker)
        self._writes_before[worker] = before
        return has_worked

    def _do_cut(self, worker: int, nth: int) -> None:
        super()._do_cut(worker, nth)
        self._under_way.clear()

    def settle(self) -> None:
        super().settle()
        Clock.advance(1)  # whose time has come is looked for now and then
        self.model.take_time()
        super().settle()
        self.model.take_time()

    # -- what must be there --

    def check(self) -> None:
        self._check_given()
        logged = Counter[tuple[str, int]]()
        for row in self.store.rows(Log):
            logged[row.of, row.life] += 1
        dead = {(letter.trigger, letter.row) for letter in self.store.errors()}
        at_most = {"charge"} if any(actor.is_at_most for actor in self.actors) else set()
        assert {trigger for trigger, _ in dead} <= at_most, self.store.errors()
        for actor in self.actors:
            if actor.is_once:
                self._check_once(actor, logged, dead)
            elif actor.kind == "number":
                self._check_numbers()
            else:
                self._check_told()

    def _check_given(self) -> None:
        for table, keys in GIVEN.items():
            found = {
                row.id: {key: getattr(row, key) for key in keys} for row in self.store.rows(table)
            }
            given = self.model.given[table]
            assert found == {id: {key: own.get(key) for key in keys} for id, own in given.items()}

    def _check_once(
        self, actor: Actor, logged: Counter[tuple[str, int]], dead: set[tuple[str, str]]
    ) -> None:
        often = [at for at, count in logged.items() if at[0] == actor.kind and count > 1]
        assert not often, f"done more than once: {often}"
        for id, own in self.model.given["order"].items():
            needed = is_over(own.get("due")) if actor.kind == "remind" else own.get("amount")
            is_due = needed not in (None, False)
            is_dead = (actor.kind, f"id={id}") in dead
            is_done = bool(logged[actor.kind, own["life"]])
            assert is_done or not is_due or is_dead, f"{actor.kind} was not done for {id}: {own}"
            assert not is_dead or self.cuts, f"given up without a reason: {self.store.errors()}"

    def _check_numbers(self) -> None:
        """Each order was counted as it is, and none saw what another one had seen."""
        counted = [row for row in self.store.rows(Log) if row.of == "number"]
        for id, own in self.model.given["order"].items():
            at = own["life"], own.get("amount")
            is_there = any((row.life, row.amount) == at for row in counted)
            assert is_there or at[1] is None, f"order {id} was not counted: {own}"
        lines = {row.id: row.n for row in self.store.rows(Line)}
        seen = sorted((row.line, row.seen) for row in counted if row.line is not None)
        assert seen == [(user, n) for user, count in sorted(lines.items()) for n in range(count)]

    def _check_told(self) -> None:
        for row in self.store.rows(Order):
            possible = self.model.possible[row.id]
            assert row.told in possible, f"{row} is told, where it may be {possible}"
            self.model.possible[row.id] = {row.told}
