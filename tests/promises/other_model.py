"""What must be there in a random store whose values depend on other rows: all is derived anew from what users gave.

Written from what is said of lookups, windows and folds, over all rows at once; it knows nothing of tasks.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable
from dataclasses import dataclass, field

from tests.promises.other_plans import (
    GIVEN,
    OF_PAGES,
    Beside,
    Fold,
    Id,
    Plan,
    Rule,
    Value,
    Values,
    marks,
)


@dataclass
class Model:
    """What users gave: table -> id -> key -> value, and their values for what rules would give.

    Attributes:
        changed: when each of an event's keys has changed.
        ended: when a card's row was last deleted: of the events from before, none counts for its folds any more.
    """

    plan: Plan
    given: dict[str, dict[Id, Values]] = field(
        default_factory=lambda: {table: {} for table in GIVEN}
    )
    overridden: dict[tuple[str, Id, str], Value] = field(default_factory=dict)
    changed: dict[int, dict[str, int]] = field(default_factory=dict)
    ended: dict[int, int] = field(default_factory=dict)
    now: int = 0

    def set(self, table: str, id: Id, values: Values) -> bool:
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

    def delete(self, table: str, id: Id) -> None:
        self.now += 1
        if table == "sheet":
            own = self.given[table]
            self.given[table] = {at: row for at, row in own.items() if at[0] != id}
            return
        self.given[table].pop(id, None)
        if table == "event":
            self.changed.pop(id, None)
        else:
            self.ended[id] = self.now
        for at in [at for at in self.overridden if at[:2] == (table, id)]:
            del self.overridden[at]

    def expected(self) -> dict[str, dict[Id, Values]]:
        """Derive everything from what users gave."""
        found = {
            table: {id: dict(own) for id, own in rows.items()} for table, rows in self.given.items()
        }
        _cut(found["sheet"])
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

    def _derive(self, found: dict[str, dict[Id, Values]], rule: Rule) -> None:
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

    def _fold(self, found: dict[str, dict[Id, Values]], fold: Fold) -> None:
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


def _cut(sheets: dict[Id, Values]) -> None:
    for (id, page), own in list(sheets.items()):
        made = marks(own["make"]) if page == 0 and own.get("make") is not None else []
        for number, mark in enumerate(made):
            sheets.setdefault((id, number), {})["mark"] = mark


def shown(found: dict[str, dict[Id, Values]], table: str, id: Id, name: str) -> Value:
    """Return the value of a key that a row shows, None where there is no such row: pages show most of what page 0 has."""
    if id not in found[table]:
        return None
    if name == "id":
        return id
    if table == "sheet" and name not in OF_PAGES:
        id = (id[0], 0)
    return found[table].get(id, {}).get(name)


def held(found: dict[str, dict[Id, Values]], table: str, id: Id, beside: Beside) -> Value:
    """Return what a row is given from other rows."""
    if beside.agg is None:
        return _looked_up(found, [shown(found, table, id, key) for key in beside.names], beside)
    return _in_window(found, table, id, beside)


def _looked_up(found: dict[str, dict[Id, Values]], by: list[Value], beside: Beside) -> Value:
    table, _, name = beside.key.partition(".")

    def one(value: Value) -> Value:
        if beside.to is None:
            page = by[1] if len(by) > 1 else 0
            return shown(found, table, (value, page) if table == "sheet" else value, name)
        having = [id for id, row in found[table].items() if row.get(beside.to) == value]
        return shown(found, table, min(having), name) if having else None

    if None in by:
        return None
    if isinstance(by[0], list):
        listed = [one(each) for each in by[0]]
        return listed if beside.has_gaps or None not in listed else None
    return one(by[0])


def _in_window(found: dict[str, dict[Id, Values]], table: str, id: Id, beside: Beside) -> Value:
    """Go over all rows that there are: which of them are of the entity, have what is held, and come before this row?"""
    other_table, _, name = beside.key.partition(".")
    of, other_of = (beside.by, f".{beside.by}") if isinstance(beside.by, str) else beside.by
    order = beside.order or ("ts", ".ts") if other_table != table else beside.order or "ts"
    place, other_place = (order, f".{order}") if isinstance(order, str) else order
    entity, at = shown(found, table, id, of), shown(found, table, id, place)
    if entity is None or at is None:
        return None
    values = []
    for other in found[other_table]:
        value = found[other_table][other].get(name)
        if beside.also is not None:
            value = (value, found[other_table][other].get(beside.also))
        then = shown(found, other_table, other, other_place.rpartition(".")[2])
        if value is None or (isinstance(value, tuple) and None in value) or then is None:
            continue
        if shown(found, other_table, other, other_of.rpartition(".")[2]) != entity:
            continue
        if beside.where and shown(found, other_table, other, beside.where[0]) != beside.where[1]:
            continue
        if beside.within is not None and not then > at - beside.within:
            continue
        is_before = then <= at if other_table != table else (then, other) < (at, id)
        if is_before or (beside.itself and other_table == table and other == id):
            values.append((then, other, value))
    return _aggregated(beside, [value for *_, value in sorted(values)][-(beside.rows or 0) :])


def _aggregated(beside: Beside, values: list[Value]) -> Value:
    if not values:
        return {"list": [], "distinct": [], "count": 0, "sum": 0}.get(beside.agg)
    aggregations: dict[str, Callable[[], Value]] = {
        "list": lambda: values,
        "distinct": lambda: list(dict.fromkeys(values)),
        "count": lambda: len(values),
        "sum": lambda: sum(values),
        "mean": lambda: sum(values) / len(values),
        "std": lambda: statistics.stdev(values) if len(values) > 1 else None,
        "min": lambda: min(values),
        "max": lambda: max(values),
        "last": lambda: values[-1],
    }
    return aggregations[beside.agg]()
