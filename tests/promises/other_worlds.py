"""Random stores whose values depend on other rows, held against a model of them.

What happens is plain data, as is the plan; what happens between a run's read and its commit is drawn, too.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any
from unittest.mock import patch

import motion
from motion.persistence.changes import followers
from motion.persistence.recompute import backfills
from tests.promises.other_model import Model
from tests.promises.other_plans import GIVEN, Fold, Id, Plan, Rule, Values, Writer, marks
from tests.promises.stage import Stage, function

BETWEEN_RESETS = 1_000


class World(Stage):
    """A store with a plan's triggers, whose tasks run when told so, and its model."""

    def __init__(self, plan: Plan, url: str, *, mode: str = "itself") -> None:
        super().__init__("others", url)
        self.plan, self.model = plan, Model(plan)
        self._mode = mode
        self._bases: Counter[str] = Counter()
        self._counted: set[int] = set()
        self._patches = [
            patch.object(followers, "AT_ONCE", 1),
            patch.object(backfills, "ROWS_AT_ONCE", 2),
        ]
        for each in self._patches if plan.is_swept else ():
            each.start()
        self.open()

    def declared(self) -> tuple[dict[str, type], list[Any]]:
        triggers = [_cutting, *(self._trigger(rule) for rule in self.plan.rules)]
        triggers += [self._writer(writer) for writer in self.plan.writers]
        triggers += [self._fold(fold) for fold in self.plan.folds]
        return self.plan.schemas, triggers

    def end(self) -> None:
        self.close()
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
                    named[f"o{i}"] = each.read(named["store"], [named[key] for key in each.names])
            self.hook(rule.name, rule, named.get("id", 0))  # with a memo it is not told of a row
            return rule.result(
                [named[key] for key in (*rule.on, *(f"o{i}" for i in range(len(rule.beside))))]
            )

        hints: dict[str, Any] = dict.fromkeys([*known, *rule.on], int)
        taken = [(f"o{i}", each) for i, each in enumerate(rule.beside) if not each.by_hand]
        hints |= {name: each.hint(rule.style) for name, each in taken}
        hints |= {"store": motion.View} if rule.follows else {}
        return mark(function(called, rule.style, hints))

    def _fold(self, fold: Fold) -> Any:
        def called(values: tuple[Any, ...]) -> Any:
            value, id, *inputs = values
            self.hook(fold.name, fold, id if fold.gather is None else id[0])
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
        return mark(function(called, "async" if fold.style == "async" else "plain", hints))

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
        return mark(function(called, writer.style, hints))

    def _count(self, writer: Writer, store: motion.View, id: int, n: int) -> None:
        """Add one to a total, and note what it was."""
        of = f"{writer.name} {n % 3}"
        row: Any = _total(writer, n)
        if writer.reads == "get":
            total: Any = store.get("total", row)
        else:
            total = next(iter(store.rows("total", where={"of": of})), None)
        seen = total.n if total else 0
        self.hook(writer.name, writer, n)
        store.set("total", id=row, of=of, n=seen + 1)
        store.set("log", of=of, event=id, seen=seen)

    def _claim(self, writer: Writer, store: motion.View, id: int, n: int) -> None:
        """Take a slot that is free, of which there is one."""
        of = f"{writer.name} {n % 3}"
        taken = store.rows("slot", where={"of": of})
        self.hook(writer.name, writer, n)
        if not taken:
            store.set("slot", of=of)

    # -- what users do --

    def _noted(self, table: str, id: Id, values: Values) -> None:
        before = self.model.given[table].get(id, {}).get("n")
        self.model.set(table, id, values)
        if table == "event" and values.get("n", before) not in (None, before):
            self._counted.add(id)
        if table == "event" and "n" in values and values["n"] is None:
            self._counted.discard(id)

    def _do_set(self, table: str, id: Id, values: Values) -> None:
        if id not in self.model.given[table] and _has_time(table, id):
            values = {"ts": 3, **values}  # else a new row has that of the clock
        self.store.set(table, **_named(table, id), **values)
        if id not in self.model.given[table] and _has_time(table, id):
            named = _named(table, id)  # what ran before the write has deleted it
            row: Any = self.store.get(table, named.pop("id"), **named)
            values = {"ts": row.ts, **values}
        self._noted(table, id, values)

    def _do_set_many(self, table: str, rows: Mapping[Id, Values]) -> None:
        self.store.set_many(table, [{**_named(table, id), **own} for id, own in rows.items()])
        for id, own in rows.items():  # None means left out here
            self._noted(table, id, {key: value for key, value in own.items() if value is not None})

    def _do_delete(self, table: str, id: int) -> None:
        is_there = self.store.get(table, id) is not None
        self.store.delete(table, id)
        self._gone(table, id, is_there)

    def _gone(self, table: str, id: int, is_there: bool) -> None:
        if is_there or table == "sheet":  # a fold may have made a card, or not yet
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
        self._noted(table, (id, 0) if table == "sheet" else id, values)

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
            if table == "sheet":
                sheet = 1 + id % 2 if beside.agg else own.get("sheet")
                if (sheet, 0) in self.model.given[table]:
                    self._do_set(table, (sheet, 0), {"make" if value % 2 else "title": value})
            elif beside.to is not None:
                self._do_set(table, id, {beside.to if beside.to in GIVEN[table] else key: value})
            elif isinstance(beside.by, str) and beside.agg is None:
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
        keys = [key for key in store_keys(model.plan, table) if key not in ("id", "page")]
        found = {
            (row.id, row.page) if table == "sheet" else row.id: {
                key: getattr(row, key) for key in keys
            }
            for row in store.rows(table, inherit=False)
        }
        wanted = {id: {key: own.get(key) for key in keys} for id, own in rows.items()}
        is_folded = table == "card" and bool(model.plan.folds)
        for id in found.keys() - model.given[table].keys() if is_folded else ():
            found[id]["ts"] = wanted.setdefault(id, dict.fromkeys(keys))["ts"] = None
        assert found == wanted, list(_differing(table, found, wanted))


def _differing(table: str, found: dict[Id, Values], wanted: dict[Id, Values]) -> Iterator[str]:
    for id in sorted(found.keys() | wanted.keys()):
        one, other = found.get(id), wanted.get(id)
        if one is None or other is None:
            yield f"{table} {id} is {one}, and is to be {other}"
        else:
            keys = [key for key in one if one[key] != other[key]]
            yield from (f"{table} {id} {key}: {one[key]}, to be {other[key]}" for key in keys)


def store_keys(plan: Plan, table: str) -> list[str]:
    return list(plan.schemas[table].__dataclass_fields__)  # type: ignore[attr-defined]  # a dataclass


@motion.trigger(on="sheet.make", sets="sheet.mark", page="page", version="1", name="cutting")
def _cutting(make: int) -> list[int]:
    return marks(make)


def _named(table: str, id: Id) -> Values:
    return {"id": id[0], "page": id[1]} if table == "sheet" else {"id": id}


def _has_time(table: str, id: Id) -> bool:
    """Whether a row has a time of its own: pages show that of page 0."""
    return table != "sheet" or id[1] == 0


def _total(writer: Writer, n: int) -> int:
    return 10 * (1 + (writer.reads == "get")) + n % 3
