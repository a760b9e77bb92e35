"""Random stores whose values depend on other rows, with a model of them: lookups, windows, and runs that read and write.

Like `worlds`: a plan and what happens to it are plain data, the model derives all from what users gave, from scratch, and
what happens between a run's read and its commit is drawn, too.
"""

from __future__ import annotations

import contextvars
import inspect
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, make_dataclass
from datetime import timedelta
from functools import cached_property
from typing import Annotated, Any
from unittest.mock import patch

import motion
from motion import faults
from motion.engine.leases import Leases
from motion.persistence.changes import followers
from motion.persistence.recompute import backfills
from motion.testing import Stepper
from tests.promises.worlds import MOD, Clock

Value = Any
Values = dict[str, Value]

GIVEN = {"card": ("ts", "a", "boss"), "event": ("ts", "card", "prev", "n", "cards")}
"""The keys that users set; `boss`, `card` and `prev` hold ids: of a card, a card, and an event; `cards` a list of ids."""

BETWEEN_RESETS = 1_000


@dataclass(frozen=True)
class Beside:
    """An input from other rows.

    Attributes:
        key: what is looked up or held.
        by: the key, or keys, by which it is found.
        agg: of a window; None: it is a lookup.
        within: in milliseconds.
        is_optional: the function takes None for it.
        has_gaps: of a lookup by a list: there may be None in it.
        by_hand: of a lookup: how the function reads it through its store, in the place of a declared one, and follows it.
    """

    key: str
    by: str | tuple[str, str]
    agg: Any = None
    within: int | None = None
    rows: int | None = None
    itself: bool = False
    is_optional: bool = False
    by_hand: str | None = None
    has_gaps: bool = False

    @property
    def is_list(self) -> bool:
        return self.agg is None and self.by == "cards"

    def read(self, store: motion.View, of: int) -> Value:
        """Read it by hand, in the row with this id."""
        table, _, name = self.key.partition(".")
        row: Any = None
        if self.by_hand == "get":
            row = store.get(table, of, keys=(name,))
        elif self.by_hand == "whole":
            row = store.get(table, of)
        else:
            row = next(iter(store.rows(table, id=of, keys=(name,))), None)
        return getattr(row, name, None)

    @property
    def declared(self) -> motion.Lookup | motion.Window:
        if self.agg is None:
            assert isinstance(self.by, str)
            return motion.Lookup(self.key, by=self.by, follow=True)
        within = None if self.within is None else timedelta(milliseconds=self.within)
        return motion.Window(
            self.key, by=self.by, agg=self.agg, within=within, rows=self.rows, itself=self.itself
        )

    def hint(self, style: str = "plain") -> Any:
        kind: Any = {"list": list[int], "mean": float}.get(self.agg, int)
        if self.is_list:
            kind = list[int | None] if self.has_gaps else list[int]
        kind = kind | None if self.is_optional else kind
        if self.is_list and style == "batch":
            kind = list[kind]
        return Annotated[kind, self.declared]

    @property
    def own_keys(self) -> tuple[str, ...]:
        """The keys of the row itself that say what it is."""
        own = self.by if isinstance(self.by, str) else self.by[0]
        return (own,) if self.agg is None else (own, "ts")


@dataclass(frozen=True)
class Rule:
    """A trigger as plain data: `sets` is derived from keys of its own row, and from other rows."""

    table: str
    sets: str
    on: tuple[str, ...]
    beside: tuple[Beside, ...] = ()
    factor: int = 1
    none_at: int | None = None
    style: str = "plain"
    inline: bool | None = None
    memo: bool = False

    @property
    def name(self) -> str:
        return f"make_{self.sets}"

    @property
    def follows(self) -> bool:
        return any(each.by_hand for each in self.beside)

    @property
    def own_keys(self) -> set[str]:
        """The keys of the row whose change ends a user's value."""
        return {*self.on, *(key for each in self.beside for key in each.own_keys)}

    @property
    def can_override(self) -> bool:
        return self.own_keys <= {*GIVEN[self.table], "id"}

    def result(self, values: Sequence[Value]) -> Value:
        number = (sum((i + 2) * _flat(v) for i, v in enumerate(values)) * self.factor + 1) % MOD
        return None if number == self.none_at else number


def _flat(value: Value) -> int:
    if isinstance(value, list):
        return sum((i + 1) * _flat(each) for i, each in enumerate(value))
    return MOD if value is None else round(value * 60)


@dataclass(frozen=True)
class Fold:
    """A fold over events as plain data.

    Attributes:
        target: "card": the value is kept in the entity's row; "event": as of each folded row.
        takes: keys of the row; the first is what it is on.
        is_optional: the second may be unset.
        order: None: by `ts`.
        gather: rows that one call is handed at most.
        after: how many of the rules of events come before it; what these set it may take.
        replay: otherwise rows are applied in any order, so that of a card the value is one that none makes another.
    """

    target: str
    takes: tuple[str, ...]
    is_optional: bool = False
    order: str | None = None
    gather: int | None = None
    factor: int = 2
    style: str = "plain"
    after: int = 0
    replay: bool = True

    @property
    def sets(self) -> str:
        return "worth" if self.target == "card" else "run"

    @property
    def name(self) -> str:
        return f"fold_{self.sets}"

    @property
    def needs(self) -> tuple[str, ...]:
        """The keys that a row must have values of to be folded."""
        return (*(self.takes[:1] if self.is_optional else self.takes), "card", self.place)

    @property
    def place(self) -> str:
        return self.order or "ts"

    def value(self, before: Value, inputs: Sequence[Value]) -> int:
        """Return the value with one more row: what rows there are, and in which order, tells it from others."""
        number = sum((i + 2) * _flat(each) for i, each in enumerate(inputs))
        if not self.replay and self.target == "card":
            return int(((before or 0) + (number + 1) ** 2 * self.factor) % 9973)
        return int(((1 if before is None else before) * 31 * self.factor + number + 1) % 9973)


@dataclass(frozen=True)
class Writer:
    """A trigger that reads and writes other rows: it counts in "total", or takes a free "slot", by `n` modulo 3."""

    kind: str
    style: str = "plain"
    reads: str = "get"

    @property
    def name(self) -> str:
        return f"{self.kind}_{self.reads}"


@dataclass(frozen=True)
class Plan:
    """Triggers over a fixed schema.

    Attributes:
        kept: keys of "event" that are a lookup or a window themselves.
        rules: in the order in which they feed each other.
        is_swept: more than one follower is many, so that sweeps make them due.
    """

    kept: Mapping[str, Beside]
    rules: tuple[Rule, ...]
    writers: tuple[Writer, ...]
    is_swept: bool = False
    folds: tuple[Fold, ...] = ()

    @cached_property
    def schemas(self) -> dict[str, type]:
        keys: dict[str, list[tuple[str, Any]]] = {
            table: [(key, int) for key in ("id", *given)] for table, given in GIVEN.items()
        }
        keys["event"] = [(k, list[int] if k == "cards" else kind) for k, kind in keys["event"]]
        keys["event"] += [(key, each.hint()) for key, each in self.kept.items()]
        for rule in self.rules:
            keys[rule.table].append((rule.sets, int))
        for fold in self.folds:
            keys[fold.target].append((fold.sets, int))
        keys["total"] = [("id", int), ("of", str), ("n", int)]
        keys["log"] = [("id", int), ("of", str), ("event", int), ("seen", int)]
        keys["slot"] = [("id", int), ("of", str)]
        return {table: make_dataclass(table.title(), own) for table, own in keys.items()}


# -- the model --


@dataclass
class Model:
    """What users gave: table -> id -> key -> value, and their values for what rules would give.

    Attributes:
        changed: when each of an event's keys has changed.
        ended: when a card's row was last deleted: of the events from before, none counts for its folds any more.
    """

    plan: Plan
    given: dict[str, dict[int, Values]] = field(default_factory=lambda: {"card": {}, "event": {}})
    overridden: dict[tuple[str, int, str], Value] = field(default_factory=dict)
    changed: dict[int, dict[str, int]] = field(default_factory=dict)
    ended: dict[int, int] = field(default_factory=dict)
    now: int = 0

    def set(self, table: str, id: int, values: Values) -> bool:
        """Take in a write, and return whether it changes anything."""
        own = self.given[table].setdefault(id, {})
        changed = {key for key, value in values.items() if own.get(key) != value}
        own.update(values)
        self.now += 1
        if table == "event":
            self.changed.setdefault(id, {}).update(dict.fromkeys(changed, self.now))
        for rule in self.plan.rules:
            if rule.table == table and changed & rule.own_keys:
                self.overridden.pop((table, id, rule.sets), None)
        return bool(changed)

    def delete(self, table: str, id: int) -> None:
        self.given[table].pop(id, None)
        self.now += 1
        if table == "event":
            self.changed.pop(id, None)
        else:
            self.ended[id] = self.now
        for at in [at for at in self.overridden if at[:2] == (table, id)]:
            del self.overridden[at]

    def expected(self) -> dict[str, dict[int, Values]]:
        """Derive everything from what users gave."""
        found = {
            table: {id: dict(own) for id, own in rows.items()} for table, rows in self.given.items()
        }
        for fold in self.plan.folds:
            if fold.target == "card":
                self._fold(found, fold)
        for rule in (
            rule for rule in self.plan.rules if rule.table == "card" and not _is_last(rule)
        ):
            self._derive(found, rule)
        for key, beside in self.plan.kept.items():
            for id, row in found["event"].items():
                row[key] = held(found, "event", id, beside)
        of_events = [rule for rule in self.plan.rules if rule.table == "event"]
        for place in range(len(of_events) + 1):
            for fold in self.plan.folds:
                if fold.target == "event" and fold.after == place:
                    self._fold(found, fold)
            for rule in of_events[place : place + 1]:
                self._derive(found, rule)
        for rule in filter(_is_last, self.plan.rules):
            self._derive(found, rule)
        return found

    def _derive(self, found: dict[str, dict[int, Values]], rule: Rule) -> None:
        for id, row in found[rule.table].items():
            if (rule.table, id, rule.sets) in self.overridden:
                row[rule.sets] = self.overridden[rule.table, id, rule.sets]
                continue
            inputs = [row.get(key) for key in rule.on]
            others = [held(found, rule.table, id, each) for each in rule.beside]
            needed = [
                v for v, each in zip(others, rule.beside, strict=True) if not each.is_optional
            ]
            is_complete = None not in (*inputs, *needed)
            row[rule.sets] = rule.result([*inputs, *others]) if is_complete else None

    def _fold(self, found: dict[str, dict[int, Values]], fold: Fold) -> None:
        """Fold by hand; the row of a card that nobody has set is made."""
        rows, values = found["event"], dict[int, int]()
        for row in rows.values() if fold.target == "event" else ():
            row[fold.sets] = None
        for id in sorted(rows, key=lambda id: (rows[id].get(fold.place) or 0, id)):
            row = {"id": id, **rows[id]}
            if any(row.get(key) is None for key in fold.needs) or not self._counts(fold, id, row):
                continue
            card = row["card"]
            values[card] = fold.value(values.get(card), [row.get(key) for key in fold.takes])
            if fold.target == "event":
                rows[id][fold.sets] = values[card]
        for card, value in values.items() if fold.target == "card" else ():
            found["card"].setdefault(card, {})[fold.sets] = value

    def _counts(self, fold: Fold, id: int, row: Values) -> bool:
        """Whether a row has changed, for a fold into the row of its card, since that was deleted."""
        if fold.target == "event":
            return True
        own = self.changed.get(id, {})
        last = max(own.get(key, 0) for key in (*fold.takes, "card", fold.place))
        return last > self.ended.get(row["card"], -1)


def _is_last(rule: Rule) -> bool:
    """Whether a rule of cards is derived from events."""
    return rule.table == "card" and any(each.key.startswith("event.") for each in rule.beside)


def held(found: dict[str, dict[int, Values]], table: str, id: int, beside: Beside) -> Value:
    """Return what a row is given from other rows."""
    row, (other_table, _, name) = {"id": id, **found[table][id]}, beside.key.partition(".")
    others = found[other_table]
    if beside.agg is None:
        entity = row.get(str(beside.by))
        if isinstance(entity, list):
            listed = [others.get(each, {}).get(name) for each in entity]
            return listed if beside.has_gaps or None not in listed else None
        return None if entity is None else others.get(entity, {}).get(name)
    own, other = (beside.by, beside.by) if isinstance(beside.by, str) else beside.by
    entity, at = row.get(own), row.get("ts")
    if entity is None or at is None:
        return None
    values = [
        each[name]
        for _, other_id, each in sorted(
            (
                (each["ts"], other_id, each)
                for other_id, each in others.items()
                if each.get("ts") is not None
            ),
            key=lambda known: known[:2],
        )
        if each.get(other.rpartition(".")[2]) == entity
        and each.get(name) is not None
        and (beside.within is None or each["ts"] > at - beside.within)
        and (
            each["ts"] <= at
            if other_table != table
            else (each["ts"], other_id) < (at, id) or (beside.itself and other_id == id)
        )
    ]
    return _aggregated(beside, values[-(beside.rows or 0) :])


def _aggregated(beside: Beside, values: list[Value]) -> Value:
    if not values:
        return {"list": [], "count": 0, "sum": 0}.get(beside.agg)
    return {
        "list": values,
        "count": len(values),
        "sum": sum(values),
        "mean": sum(values) / len(values),
        "min": min(values),
        "max": max(values),
        "last": values[-1],
    }[beside.agg]


# -- the store under test --


class World:
    """A store with a plan's triggers, whose tasks run when told so, and its model."""

    def __init__(self, plan: Plan, url: str, *, mode: str = "itself") -> None:
        self.plan, self.model = plan, Model(plan)
        self._url, self._mode = url, mode
        self._hooks: list[tuple[str, Sequence[Any]]] = []
        self._stepping: list[int] = []
        self._here: tuple[Rule | Writer | Fold, int] = plan.rules[0], 0
        self._is_hooked = False
        self._bases: Counter[str] = Counter()
        self._counted: set[int] = set()
        self._patches = [
            patch.object(followers, "AT_ONCE", 1),
            patch.object(backfills, "ROWS_AT_ONCE", 2),
        ]
        for each in self._patches if plan.is_swept else ():
            each.start()
        self._open()

    def _open(self) -> None:
        triggers = [self._trigger(rule) for rule in self.plan.rules]
        triggers += [self._writer(writer) for writer in self.plan.writers]
        triggers += [self._fold(fold) for fold in self.plan.folds]
        self.store = motion.create_store(
            "others", schemas=self.plan.schemas, triggers=triggers, url=self._url, run=False,
            durability="normal",
        )  # fmt: skip
        self.workers = [Stepper(self.store), Stepper(self.store)]

    def close(self) -> None:
        for worker in self.workers:
            worker.close()
        self.store.close()
        for each in self._patches if self.plan.is_swept else ():
            each.stop()

    # -- the triggers --

    def _trigger(self, rule: Rule) -> Any:
        is_plain = rule.style == "plain" and not (rule.memo or rule.beside)
        inline = {"inline": True, "tasks": False}.get(self._mode, rule.inline)
        mark = motion.trigger(
            on=[f"{rule.table}.{key}" for key in rule.on], sets=f"{rule.table}.{rule.sets}", name=rule.name,
            version="1", memo=rule.memo, batch=3 if rule.style == "batch" else None,
            inline=inline if is_plain or not inline else None, follow=rule.follows,
        )  # fmt: skip

        known = [] if rule.memo else ["id"]

        def called(values: tuple[Any, ...]) -> Any:
            named = dict(zip(hints, values, strict=True))
            for i, each in enumerate(rule.beside):
                if each.by_hand:
                    named[f"o{i}"] = each.read(named["store"], named[str(each.by)])
            self._hook(rule.name, rule, values[0])
            return rule.result(
                [named[key] for key in (*rule.on, *(f"o{i}" for i in range(len(rule.beside))))]
            )

        hints: dict[str, Any] = dict.fromkeys([*known, *rule.on], int)
        taken = [(f"o{i}", each) for i, each in enumerate(rule.beside) if not each.by_hand]
        hints |= {name: each.hint(rule.style) for name, each in taken}
        hints |= {"store": motion.View} if rule.follows else {}
        return mark(_function(called, rule.style, hints))

    def _fold(self, fold: Fold) -> Any:
        def called(values: tuple[Any, ...]) -> Any:
            value, id, *inputs = values
            self._hook(fold.name, fold, id if fold.gather is None else id[0])
            rows = [inputs] if fold.gather is None else zip(*inputs, strict=True)
            for row in rows:
                value = fold.value(value, row)
            return value

        mark = motion.fold(
            on=f"event.{fold.takes[0]}", by="event.card", sets=f"{fold.target}.{fold.sets}", order=fold.order,
            gather=fold.gather, replay=fold.replay, name=fold.name, version="1",
        )  # fmt: skip
        hints: dict[str, Any] = {fold.sets: int | None, "id": int} | dict.fromkeys(fold.takes, int)
        if fold.is_optional:
            hints[fold.takes[1]] = int | None if fold.gather is None else list[int | None]
        return mark(_function(called, "async" if fold.style == "async" else "plain", hints))

    def _writer(self, writer: Writer) -> Any:
        mark = motion.trigger(
            on="event.n",
            name=writer.name,
            version="1",
            batch=3 if writer.style == "batch" else None,
        )
        run = {"count": self._count, "claim": self._claim}[writer.kind]

        def called(values: tuple[Any, ...]) -> Any:
            id, n, store = values
            run(writer, store, id, n)

        hints = {"id": int, "n": int, "store": motion.View}
        return mark(_function(called, writer.style, hints))

    def _count(self, writer: Writer, store: motion.View, id: int, n: int) -> None:
        """Add one to a total, and note what it was."""
        of = f"{writer.name} {n % 3}"
        row: Any = _total(writer, n)
        if writer.reads == "get":
            total: Any = store.get("total", row)
        else:
            total = next(iter(store.rows("total", where={"of": of})), None)
        seen = total.n if total else 0
        self._hook(writer.name, writer, n)
        store.set("total", id=row, of=of, n=seen + 1)
        store.set("log", of=of, event=id, seen=seen)

    def _claim(self, writer: Writer, store: motion.View, id: int, n: int) -> None:
        """Take a slot that is free, of which there is one."""
        of = f"{writer.name} {n % 3}"
        taken = store.rows("slot", where={"of": of})
        self._hook(writer.name, writer, n)
        if not taken:
            store.set("slot", of=of)

    def _hook(self, name: str, of: Rule | Writer | Fold, number: int) -> None:
        """Let happen what is to happen inside a call.

        Args:
            number: of a rule its row, of a writer what it counts.
        """
        place = next((i for i, (hooked, _) in enumerate(self._hooks) if hooked == name), None)
        if place is not None:
            _, ops = self._hooks.pop(place)
            was = self._is_hooked, self._here
            self._is_hooked, self._here = True, (of, number)
            contextvars.Context().run(self._do_all, ops)
            self._is_hooked, self._here = was  # another worker's call may be inside this one

    # -- what users do --

    def do(self, op: tuple[Any, ...]) -> None:
        getattr(self, f"_do_{op[0]}")(*op[1:])

    def _do_all(self, ops: Sequence[Any]) -> None:
        for op in ops:
            self.do(op)

    def _noted(self, table: str, id: int, values: Values) -> None:
        before = self.model.given[table].get(id, {}).get("n")
        self.model.set(table, id, values)
        if table == "event" and values.get("n", before) not in (None, before):
            self._counted.add(id)
        if table == "event" and "n" in values and values["n"] is None:
            self._counted.discard(id)

    def _do_set(self, table: str, id: int, values: Values) -> None:
        if id not in self.model.given[table]:
            values = {"ts": 3, **values}  # else a new row has that of the clock
        self.store.set(table, id=id, **values)
        if id not in self.model.given[table]:  # what ran before the write has deleted it
            row: Any = self.store.get(table, id)
            values = {"ts": row.ts, **values}
        self._noted(table, id, values)

    def _do_set_many(self, table: str, rows: Mapping[int, Values]) -> None:
        self.store.set_many(table, [{"id": id, **own} for id, own in rows.items()])
        for id, own in rows.items():  # None means left out here
            self._noted(table, id, {key: value for key, value in own.items() if value is not None})

    def _do_delete(self, table: str, id: int) -> None:
        is_there = self.store.get(table, id) is not None
        self.store.delete(table, id)
        self._gone(table, id, is_there)

    def _gone(self, table: str, id: int, is_there: bool) -> None:
        if is_there:  # a fold may have made it, or not yet
            self.model.delete(table, id)
        if table == "event":
            self._counted.discard(id)

    def _do_remake(self, table: str, id: int, values: Values) -> None:
        """Delete a row and make it anew, in one write."""
        is_there = self.store.get(table, id) is not None
        with self.store.transaction() as tx:
            tx.delete(table, id)
            tx.set(table, id=id, **values)
        self._gone(table, id, is_there)
        self._noted(table, id, values)

    def _do_override(self, rule: Rule, id: int, value: int | None) -> None:
        if id not in self.model.given[rule.table]:
            return
        values: Values = {"id": id, rule.sets: value}
        self.store.set(rule.table, **values)
        self.model.overridden[rule.table, id, rule.sets] = value

    def _do_touch(self, id: int, value: int) -> None:
        """Change what the very call takes from other rows."""
        of, here = self._here
        if isinstance(of, Writer):
            self._do_rival(id, value)
            return
        if isinstance(of, Fold):
            card = self.model.given["event"].get(here, {}).get("card")
            self._do_set("event", id, {"ts": value, "card": card, "n": value})
            return
        own = self.model.given[of.table].get(here, {})
        for beside in of.beside if not of.memo else ():
            table, _, key = beside.key.partition(".")
            if key not in GIVEN[table]:
                key = "a" if table == "card" else "n"
            if isinstance(beside.by, str) and beside.agg is None:
                other = own.get(beside.by)
                if isinstance(other, list):
                    other = other[id % len(other)] if other else None
                if other in self.model.given[table]:
                    self._do_set(table, other, {key: value})
            elif id != here or table != of.table:
                entity = own.get(beside.own_keys[0])
                self._do_set(table, id, {"ts": 1, "card": entity, key: value})

    def _do_rival(self, id: int, value: int) -> None:
        """Let another worker do the same as the very call."""
        of, here = self._here
        if isinstance(of, Writer):
            self._do_set("event", id, {"n": here % 3 + 3 * (value % 2)})
            self._do_step(1 - self._stepping[-1])

    def _do_reset(self, writer: Writer, n: int) -> None:
        """Delete a total, and make it anew with a number that is far from all before."""
        of, row = f"{writer.name} {n % 3}", _total(writer, n)
        self._bases[of] += BETWEEN_RESETS
        with self.store.transaction() as tx:
            tx.delete("total", row)
            tx.set("total", id=row, of=of, n=self._bases[of])

    def _do_free(self, writer: Writer, n: int) -> None:
        for row in self.store.rows("slot", where={"of": f"{writer.name} {n % 3}"}):
            self.store.delete("slot", row.id)

    # -- what workers do --

    def _do_step(self, worker: int = 0) -> None:
        if self._stepping and self._here[0].style == "async":
            worker = 1 - self._stepping[-1]  # a call on an event loop cannot wait for the same one
        if worker in self._stepping[:-1]:
            return
        self._stepped(worker)

    def _stepped(self, worker: int) -> bool:
        self._stepping.append(worker)
        has_worked = self.workers[worker].step()
        self._stepping.pop()
        return has_worked

    def _do_cut(self, worker: int, nth: int) -> None:
        """Let a worker step until it is cut off at the nth point that it reaches; another one takes its place."""
        if self._stepping:
            return
        left = nth

        def cut(point: str) -> None:
            nonlocal left
            left -= not self._is_hooked
            if not left:
                faults.arm(None)
                raise motion.StoreUnavailable("others", f"cut off at {point}")

        faults.arm(cut)
        try:
            self._do_step(worker)
        except motion.StoreUnavailable:
            self._stepping.clear()
            self.workers[worker].close()
            self.workers[worker] = Stepper(self.store)
            owner = self.workers[
                worker
            ]._owner  # as a process that finds out that another has ended
            Leases(self.store._database, owner)._take_over()
        finally:
            faults.arm(None)

    def _do_hook(self, name: str, ops: Sequence[Any]) -> None:
        """Let things happen inside the next call of a function."""
        self._hooks.append((name, ops))

    def _do_reopen(self) -> None:
        if not self._stepping:
            for worker in self.workers:
                worker.close()
            self.store.close()
            self._open()

    def _do_settle(self) -> None:
        if not self._stepping:
            self.settle()
            self.check()

    def settle(self) -> None:
        """Run all there is, also what waits for its next attempt."""
        for _ in range(3_000):
            if not sum([self._stepped(worker) for worker in range(2)]):
                states = {each for counts in self.store.status().tasks.values() for each in counts}
                if not states & {"ready", "postponed"}:
                    return
                Clock.advance(61)
        raise AssertionError(f"there is no end of work: {self.store.status()}")

    # -- what must be there --

    def check(self) -> None:
        """Hold an idle store against the model."""
        assert self.store.errors() == []
        assert self.store.status().tasks == {}
        self._apply_again()
        check_derived(self.store, self.model)
        self._check_counted()

    def _apply_again(self) -> None:
        """Backfill folds that apply each row once, until nothing happens meanwhile: of cards those that count as stale, so
        that what the others hold is held against the model as it is; of events all, which are then in their order."""
        folds, hooked = [fold for fold in self.plan.folds if not fold.replay], -1
        while folds and hooked != len(self._hooks):
            hooked = len(self._hooks)
            for fold in folds:
                self.store.backfill(fold.name, force=fold.target == "event")
                self.settle()

    def _check_counted(self) -> None:
        """P13: of the totals, each count was made once; of slots there is one at most; and no run's writes are lost."""
        seen: dict[str, list[int]] = {}
        logged: dict[str, set[int]] = {}
        for row in self.store.rows("log"):
            seen.setdefault(row.of, []).append(row.seen)
            logged.setdefault(row.of.split()[0], set()).add(row.event)
        for of, numbers in seen.items():
            assert len(numbers) == len(set(numbers)), f"counted twice: {of}: {sorted(numbers)}"
            starts = {number for number in numbers if number - 1 not in set(numbers)}
            assert all(start % BETWEEN_RESETS == 0 for start in starts), (of, sorted(numbers))
        for row in self.store.rows("total"):
            since = [n for n in seen.get(row.of, []) if n >= self._bases[row.of]]
            assert row.n == self._bases[row.of] + len(since), f"not counted: {row}: {since}"
        for writer in self.plan.writers:
            if writer.kind == "count":
                missing = self._counted - logged.get(writer.name, set())
                assert not missing, f"{writer.name} did not count events {missing}"
        slots = Counter(row.of for row in self.store.rows("slot"))
        assert all(count == 1 for count in slots.values()), f"taken twice: {slots}"


def check_derived(store: motion.Store, model: Model) -> None:
    """P14: all that is derived is what a recompute from scratch gives."""
    for table, rows in model.expected().items():
        keys = [key for key in store_keys(model.plan, table) if key != "id"]
        found = {row.id: {key: getattr(row, key) for key in keys} for row in store.rows(table)}
        wanted = {id: {key: own.get(key) for key in keys} for id, own in rows.items()}
        for id in found.keys() - model.given[table].keys() if model.plan.folds else ():
            found[id]["ts"] = wanted.setdefault(id, dict.fromkeys(keys))["ts"] = None
        assert found == wanted, list(_differing(table, found, wanted))


def _differing(table: str, found: dict[int, Values], wanted: dict[int, Values]) -> Iterator[str]:
    for id in sorted(found.keys() | wanted.keys()):
        one, other = found.get(id), wanted.get(id)
        if one is None or other is None:
            yield f"{table} {id} is {one}, and is to be {other}"
        else:
            keys = [key for key in one if one[key] != other[key]]
            yield from (f"{table} {id} {key}: {one[key]}, to be {other[key]}" for key in keys)


def store_keys(plan: Plan, table: str) -> list[str]:
    return list(plan.schemas[table].__dataclass_fields__)  # type: ignore[attr-defined]  # a dataclass


def _total(writer: Writer, n: int) -> int:
    return 10 * (1 + (writer.reads == "get")) + n % 3


def _function(called: Callable[[tuple[Any, ...]], Any], style: str, hints: dict[str, Any]) -> Any:
    """Return a function with these parameters; all but the store in lists, where it takes a batch."""

    def plain(*values: Any) -> Any:
        return called(values)

    def batch(*columns: Any) -> list[Any]:
        lists = [column for column in columns if isinstance(column, list)]
        rows = [
            column if isinstance(column, list) else [column] * len(lists[0]) for column in columns
        ]
        return [called(row) for row in zip(*rows, strict=True)]

    async def later(*values: Any) -> Any:
        return called(values)

    function: Any = {"batch": batch, "async": later}.get(style, plain)
    function.__annotations__ = dict(hints)
    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    function.__signature__ = inspect.Signature([inspect.Parameter(key, kind) for key in hints])
    return function
