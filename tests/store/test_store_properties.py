"""A store beside a plain dict: whatever is written, deleted and reopened, both hold the same.

The model is a list of stored rows by name, and knows the rules of ids, defaults, pages and inheritance in a few lines.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date
from enum import Enum
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    multiple,
    precondition,
    rule,
)

import motion
from tests.postgres import is_postgres_wanted


class Mood(Enum):
    CALM = 1
    LOUD = 2


@dataclass
class Look:
    """Two page keys, keys at each level, defaults, and an int id."""

    id: int
    mood: Mood
    budget: float
    idea: str
    idea_page: int
    tags: list[str]
    item: int
    item_page: int
    liked: bool
    season: str = "all"
    weights: dict[str, int] = field(default_factory=dict)


@dataclass
class Shop:
    """No page keys, and a text id."""

    id: str
    opened: date
    place: np.ndarray
    open_now: bool = True


SCHEMAS: dict[str, type] = {"look": Look, "shop": Shop}
PAGES = {"look": ("idea_page", "item_page"), "shop": ()}
DEFAULTS: dict[str, dict[str, Any]] = {
    "look": {"season": "all", "weights": {}},
    "shop": {"open_now": True},
}

# What page keys tell each key apart; it inherits from page 0 of the others.
LEVELS: dict[str, set[str]] = {
    "mood": set(), "budget": set(), "idea": {"idea_page"}, "tags": {"idea_page"},
    "item": {"idea_page", "item_page"}, "liked": {"idea_page", "item_page"},
    "season": {"idea_page", "item_page"}, "weights": {"idea_page", "item_page"},
}  # fmt: skip

NEVER = "\x00" if is_postgres_wanted() else ""  # its texts hold none
TEXT = st.text(st.characters(exclude_characters=NEVER, codec="utf-8"), max_size=4)
VALUES: dict[str, dict[str, st.SearchStrategy[Any]]] = {
    "look": {
        "mood": st.sampled_from(Mood),
        "budget": st.floats(allow_nan=False),
        "idea": TEXT,
        "tags": st.lists(TEXT, max_size=2),
        "item": st.integers(-(2**63) + 1, 2**63 - 1),
        "liked": st.booleans(),
        "season": TEXT,
        "weights": st.dictionaries(TEXT, st.integers(-9, 9), max_size=2),
    },
    "shop": {
        "opened": st.dates(),
        "place": st.tuples(st.integers(-9, 9), st.integers(-9, 9)).map(lambda p: np.array(p, "f8")),
        "open_now": st.booleans(),
    },
}
IDS: dict[str, st.SearchStrategy[Any]] = {
    "look": st.integers(-2, 12),
    "shop": st.sampled_from(["", "a", "b", "a" if NEVER else "a\x00", "é", "1"]),
}
TABLES = st.sampled_from(["look", "shop"])

Row = dict[str, Any]
Name = tuple[Any, ...]


def rows_of(table: str, *, values: bool = True, unset: bool = False) -> st.SearchStrategy[Row]:
    """Rows as they are given to the store: any keys, perhaps without an id and pages."""
    strategies = dict(VALUES[table]) if values else {}
    if unset:
        strategies = {key: st.none() | strategy for key, strategy in strategies.items()}
    named = {"id": IDS[table], **{page: st.integers(0, 2) for page in PAGES[table]}}
    return st.fixed_dictionaries({}, optional={**strategies, **named})


WRITES = TABLES.flatmap(lambda table: st.tuples(st.just(table), rows_of(table, unset=True)))
LOADS = TABLES.flatmap(
    lambda table: st.tuples(st.just(table), st.lists(rows_of(table, unset=True), max_size=6))
)


class Model:
    """What the store should hold: table -> name (id and page keys) -> stored values."""

    def __init__(self) -> None:
        self.rows: dict[str, dict[Name, Row]] = {"look": {}, "shop": {}}
        self.largest = 0

    def write(self, table: str, row: Row) -> None:
        pages = tuple(row.get(page, 0) for page in PAGES[table])
        name = (row["id"], *pages)
        given = {key: value for key, value in row.items() if key in VALUES[table]}
        if name not in self.rows[table]:
            empty = dict.fromkeys(VALUES[table])
            self.rows[table][name] = {**empty, **DEFAULTS[table]}
        self.rows[table][name].update(given)
        if table == "look":
            self.largest = max(self.largest, row["id"])

    def delete(self, table: str, row_id: Any) -> None:
        for name in [name for name in self.rows[table] if name[0] == row_id]:
            del self.rows[table][name]

    def read(self, table: str, name: Name) -> Row | None:
        """Return a row with inherited keys filled in."""
        own = self.rows[table].get(name)
        return own and {key: self._inherited(table, name, key) for key in own}

    def _inherited(self, table: str, name: Name, key: str) -> Any:
        own = self.rows[table][name][key]
        if own is not None or not PAGES[table]:
            return own
        pages = zip(PAGES[table], name[1:], strict=True)
        above = (name[0], *(value if page in LEVELS[key] else 0 for page, value in pages))
        return self.rows[table].get(above, {}).get(key)


class StoreMachine(RuleBasedStateMachine):
    """Drives a store and the model through the same calls."""

    names: Bundle[tuple[str, Name]] = Bundle("names")

    @initialize()
    def open(self) -> None:
        self.model = Model()
        self.folder = tempfile.TemporaryDirectory(prefix="motion-test-")
        self.seen_ids: set[Any] = set()
        self.store = self._opened()

    def _opened(self) -> motion.Store:
        url = f"sqlite:///{self.folder.name}/store"
        return motion.create_store(
            "beside", schemas=SCHEMAS, url=url, durability="normal", run=False
        )

    def teardown(self) -> None:
        if hasattr(self, "store"):
            self.store.close()
            self.folder.cleanup()

    def _take(self, table: str, row: Row, row_id: Any) -> tuple[str, Name]:
        """Write a row to the model under the id that the store chose, if it chose one."""
        if "id" not in row:
            assert row_id not in self.seen_ids
            if table == "look":
                assert row_id > self.model.largest
        self.seen_ids.add(row_id)
        self.model.write(table, {**row, "id": row_id})
        return table, (row_id, *(row.get(page, 0) for page in PAGES[table]))

    @rule(target=names, write=WRITES)
    def set(self, write: tuple[str, Row]) -> tuple[str, Name]:
        table, row = write
        return self._take(table, row, self.store.set(table, **row).id)

    @rule(target=names, load=LOADS, commit_every=st.integers(1, 4))
    def set_many(self, load: tuple[str, list[Row]], commit_every: int) -> Any:
        table, rows = load
        given = [{key: value for key, value in row.items() if value is not None} for row in rows]
        change = self.store.set_many(table, rows, commit_every=commit_every)
        assert change.count == len(rows)
        chunks = [given[i : i + commit_every] for i in range(0, len(given), commit_every)]
        ids = self._new_numbers(chunks) if table == "look" else self._new_texts(chunks)
        named = [self._take(table, row, next(ids)) for chunk in chunks for row in chunk]
        return multiple(*named)

    def _new_numbers(self, chunks: list[list[Row]]) -> Iterator[Any]:
        """Give each row's id; new ones are larger than all before, and all given in their chunk."""
        for chunk in chunks:
            following = max([self.model.largest, *(row["id"] for row in chunk if "id" in row)])
            for row in chunk:
                following += "id" not in row
                yield row.get("id", following)

    def _new_texts(self, chunks: list[list[Row]]) -> Iterator[Any]:
        """Give each row's id; new ones are those that the store made, in the order of their making."""
        given = {row["id"] for chunk in chunks for row in chunk if "id" in row}
        known = given | self.seen_ids
        made = iter(sorted(row.id for row in self.store.rows("shop") if row.id not in known))
        for row in (row for chunk in chunks for row in chunk):
            yield row["id"] if "id" in row else next(made)

    @rule(name=names, data=st.data())
    def set_a_row_that_was_read(self, name: tuple[str, Name], data: st.DataObject) -> None:
        table, (row_id, *pages) = name
        row = self.store.get(table, row_id, **dict(zip(PAGES[table], pages, strict=True)))
        if row is None:
            return
        key = data.draw(st.sampled_from(sorted(VALUES[table])))
        value = data.draw(st.none() | VALUES[table][key])
        values: Row = {key: value}
        self.store.set(row, **values)
        named: Row = dict(zip(("id", *PAGES[table]), (row_id, *pages), strict=True))
        self.model.write(table, {**named, key: value})

    @rule(writes=st.lists(WRITES, max_size=4))
    def transaction(self, writes: list[tuple[str, Row]]) -> None:
        named = [(table, row) for table, row in writes if "id" in row]
        with self.store.transaction() as tx:
            for table, row in named:
                tx.set(table, **row)
        for table, row in named:
            self._take(table, row, row["id"])

    @rule(name=consumes(names))
    def delete(self, name: tuple[str, Name]) -> None:
        table, (row_id, *_) = name
        self.store.delete(table, row_id)
        self.model.delete(table, row_id)

    @rule(write=WRITES)
    def refuse(self, write: tuple[str, Row]) -> None:
        table, row = write
        with pytest.raises(motion.UnknownKey):
            self.store.set(table, **row, nowhere=1)

    @rule(is_closed_first=st.booleans())
    def reopen(self, is_closed_first: bool) -> None:
        if is_closed_first:
            self.store.close()
        self.store = self._opened()

    @invariant()
    def rows_are_those_of_the_model(self) -> None:
        for table in SCHEMAS:
            expected = self.model.rows[table]
            found = {_name(table, row): row for row in self.store.rows(table)}
            assert list(found) == sorted(expected, key=_order)
            for name in expected:
                assert _same(found[name], self.model.read(table, name))

    @rule(name=names)
    def get_gives_the_row_of_the_model(self, name: tuple[str, Name]) -> None:
        table, (row_id, *pages) = name
        named = dict(zip(PAGES[table], pages, strict=True))
        row = self.store.get(table, row_id, **named)
        expected = self.model.read(table, (row_id, *pages))
        assert (row is None and expected is None) or _same(row, expected)

    @precondition(lambda self: self.model.rows["look"])
    @rule(data=st.data())
    def conditions_find_what_rows_show(self, data: st.DataObject) -> None:
        key = data.draw(st.sampled_from(["mood", "budget", "idea", "item", "liked", "season"]))
        shown = {name: self.model.read("look", name) or {} for name in self.model.rows["look"]}
        value = data.draw(st.sampled_from([row[key] for row in shown.values()]))
        found = self.store.rows("look", where={key: value})
        expected = [name for name, row in shown.items() if row[key] == value]
        assert [_name("look", row) for row in found] == sorted(expected)


def _name(table: str, row: Any) -> Name:
    return (row.id, *(getattr(row, page) for page in PAGES[table]))


def _order(name: Name) -> Any:
    """Text is ordered by its UTF-8 bytes, as in the database."""
    return tuple(part.encode() if isinstance(part, str) else part for part in name)


def _same(row: Any, expected: Row | None) -> bool:
    pairs: Iterator[tuple[Any, Any]] = (
        (getattr(row, key), value) for key, value in (expected or {}).items()
    )
    return expected is not None and all(
        np.array_equal(a, b) if isinstance(b, np.ndarray) else type(a) is type(b) and a == b
        for a, b in pairs
    )


StoreMachine.TestCase.settings = settings(
    max_examples=25,
    stateful_step_count=30,
    deadline=None,
    phases=[
        Phase.reuse,
        Phase.generate,
    ],  # to shrink an example takes minutes; add Phase.shrink for that
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
TestAStoreHoldsWhatADictHolds = StoreMachine.TestCase
