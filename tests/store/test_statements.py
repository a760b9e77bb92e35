"""Statements: few texts, whatever rows they are about, and none that walks a table where one row is meant."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, make_dataclass
from pathlib import Path
from typing import Annotated, Any

import pytest

import motion
from motion.backends import sqlite

ROWS = 300


@dataclass
class Doc:
    id: int
    text: str
    size: int
    mark: str
    loud_page: int
    loud: str
    weight: int


@motion.trigger(on="doc.text", sets="doc.size", version="1", inline=False)
def size(text: str) -> int:
    return len(text)


@motion.trigger(on="doc.size", sets="doc.mark", version="1", inline=False)
def mark(size: int) -> str:
    return f"{size}!"


@motion.trigger(on="doc.text", sets="doc.loud", page="loud_page", version="1", inline=False)
def loud(text: str) -> list[str]:
    return text.upper().split()


@motion.trigger(on="doc.loud", sets="doc.weight", version="1", inline=False)
def weigh(loud: str) -> int:
    return len(loud)


@dataclass
class Note:
    id: int
    text: str
    size: int


@motion.trigger(on="note.text", sets="note.size", version="1", inline=False, memo=True)
def measure(text: str) -> int:
    return len(text)


@contextmanager
def told(monkeypatch: pytest.MonkeyPatch) -> Iterator[set[str]]:
    """Collect the statements that connections are given which are opened inside."""
    texts: set[str] = set()

    class Told(sqlite._Connection):
        def execute(self, sql: str, *parameters: Any) -> Any:
            texts.add(sql)
            return super().execute(sql, *parameters)

        def executemany(self, sql: str, *parameters: Any) -> Any:
            texts.add(sql)
            return super().executemany(sql, *parameters)

    with monkeypatch.context() as patch:
        patch.setattr(sqlite, "_Connection", Told)
        yield texts


def use(store: motion.Store, numbers: range) -> None:
    for n in numbers:
        store.set("doc", id=n, text=f"some words {n}").wait(timeout=60)
        store.set("doc", id=n, text=f"other {n}").wait(timeout=60)
        store.get("doc", n)
    store.delete("doc", numbers[-1]).wait(timeout=60)


def test_the_same_statements_serve_all_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with (
        told(monkeypatch) as texts,
        motion.create_store(
            "docs",
            schemas={"doc": Doc},
            triggers=[size, mark, loud, weigh],
            url=f"sqlite:///{tmp_path}/docs",
        ) as store,
    ):
        use(store, range(1, 31))
        before = set(texts)
        use(store, range(101, 161))
        shapes = {re.sub(r"\d+", "N", text) for text in before}
        again = sorted(text for text in texts - before if re.sub(r"\d+", "N", text) in shapes)
        assert len(again) < 5, "\n".join(again)


MOST_LENGTHS = 8
"""Of lists of values in one statement, up to 2 ** 7 long."""


def test_the_same_statements_serve_any_number_of_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A connection keeps what it has compiled: with a text for each length, streams of many rows took 20 MB in each."""
    with (
        told(monkeypatch) as texts,
        motion.create_store(
            "docs",
            schemas={"doc": Doc, "note": Note},
            triggers=[size, mark, loud, measure],
            url=f"sqlite:///{tmp_path}/docs",
        ) as store,
    ):
        for count in range(1, 40):
            rows = [{"id": n, "text": f"text {count} of {n}"} for n in range(count)]
            change = store.set_many("note", rows)
            assert {row.id for row in change.stream("size")} == set(range(count))
            change = store.set_many("doc", rows)
            assert {row.id for row in change.stream("loud")} == set(range(count))
            assert {row.id for row in change.wait("mark", timeout=60).rows()} == set(range(count))
    lengths: dict[str, set[str]] = {}
    for text in texts:
        lengths.setdefault(re.sub(r"\?\d*(, \?\d*)*", "?", text), set()).add(text)
    assert {shape for shape, each in lengths.items() if len(each) > MOST_LENGTHS} == set()


def test_no_statement_about_one_row_walks_a_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"sqlite:///{tmp_path}/docs"
    options: dict[str, Any] = {"schemas": {"doc": Doc}, "triggers": [size, mark, loud], "url": url}
    with motion.create_store("docs", **options) as store:
        store.set_many("doc", [{"id": n, "text": f"some words {n}"} for n in range(1, ROWS)]).wait(
            timeout=60
        )
    with told(monkeypatch) as texts, motion.create_store("docs", **options) as store:
        store.wait(timeout=60)
        texts.clear()
        use(store, range(1, 4))
        assert walks(tmp_path / "docs" / "store.sqlite", texts) == []


@dataclass
class Shop:
    id: int
    name: str
    total: int


@dataclass
class Visit:
    id: int
    shop: int
    price: int
    name: Annotated[str, motion.Lookup("shop.name", by="shop")]
    before: Annotated[int, motion.Window("visit.price", by="shop", rows=3, agg="sum")]
    told: str
    part_page: int
    part: str
    length: int


@motion.trigger(on="visit.price", sets="visit.told", version="1", inline=False)
def tell(name: str, before: int | None, price: int) -> str:
    return f"{name} {before} {price}"


@motion.trigger(on="visit.told", sets="visit.part", page="part_page", version="1", inline=False)
def take_apart(told: str) -> list[str]:
    return told.split()


@motion.trigger(on="visit.part", sets="visit.length", version="1", inline=False)
def count(part: str) -> int:
    return len(part)


@motion.fold(on="visit.price", by="visit.shop", sets="shop.total", version="1")
def add(total: int | None, price: int) -> int:
    return (total or 0) + price


def test_no_statement_about_rows_that_lie_apart_walks_a_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"sqlite:///{tmp_path}/shops"
    options: dict[str, Any] = {
        "schemas": {"shop": Shop, "visit": Visit}, "triggers": [tell, take_apart, count, add], "url": url,
    }  # fmt: skip
    apart = [n for n in range(1, ROWS) if n % 10 in (1, 2, 3)]
    with motion.create_store("shops", **options) as store:
        store.set_many("shop", [{"id": n, "name": f"shop {n}"} for n in range(1, 40)])
        store.set_many("visit", [{"id": n, "shop": 1 + n % 20, "price": n} for n in range(1, ROWS)])
        store.wait(timeout=60)
    with told(monkeypatch) as texts, motion.create_store("shops", **options) as store:
        store.wait(timeout=60)
        texts.clear()
        store.set_many("visit", [{"id": n, "price": 2 * n} for n in apart]).wait(timeout=60)
        store.set_many("shop", [{"id": n, "name": f"new {n}"} for n in (1, 2, 5, 6, 9, 10)])
        store.wait(timeout=60)
        with store.transaction() as tx:
            for n in apart[:12]:
                tx.delete("visit", n)
        store.wait(timeout=60)
    assert walks(tmp_path / "shops" / "store.sqlite", texts) == []


def test_no_statement_of_a_worker_walks_the_queue(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"sqlite:///{tmp_path}/docs"
    options: dict[str, Any] = {"schemas": {"doc": Doc}, "triggers": [size, mark, loud], "url": url}
    with motion.create_store("docs", **options, run=False) as store:
        store.set_many("doc", [{"id": 2 * n, "text": f"some words {n}"} for n in range(1, ROWS)])
    with told(monkeypatch) as texts, motion.create_store("docs", **options) as store:
        store.wait(timeout=60)
        use(store, range(1, 4))
    on_tasks = {text for text in texts if "motion_tasks" in text}
    assert on_tasks
    walked = [
        f"{step}: {text}"
        for text in sorted(on_tasks)
        if text.lstrip().startswith(("SELECT", "UPDATE", "DELETE"))
        and not re.search(
            r"LIMIT|COUNT\(\*\)|MIN\(", text
        )  # these end early, or are asked for by people
        for step in plan(tmp_path / "docs" / "store.sqlite", text)
        if re.search(
            r"SEARCH \S+ USING .*INDEX motion_tasks_\w+ \((status=\? AND )?trigger=\?\)", step
        )
    ]
    assert walked == []


def asked_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, count: int) -> int:
    """Return how often a worker's longest statement looks at the queue, in a store with so many triggers of which one has
    work."""
    keys = [("id", int), ("given", int), ("idle", int), *((f"made{n}", int) for n in range(count))]

    def listening(n: int, on: str, function: Callable[..., int]) -> Any:
        options: dict[str, Any] = {"name": f"t{n}", "version": "1", "inline": False}
        return motion.trigger(on=f"sheet.{on}", sets=f"sheet.made{n}", **options)(function)

    idle = [listening(n, "idle", lambda idle: idle) for n in range(1, count)]
    options: dict[str, Any] = {
        "schemas": {"sheet": make_dataclass("Sheet", keys)},
        "triggers": [listening(0, "given", lambda given: given), *idle],
        "url": f"sqlite:///{tmp_path}/sheet{count}",
    }
    with told(monkeypatch) as texts, motion.create_store(f"sheet{count}", **options) as store:
        for n in range(3):
            store.set("sheet", given=n).wait(timeout=60)
    return max(text.count("FROM motion_tasks") for text in texts)


def test_a_claim_asks_about_triggers_that_have_work_however_many_there_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    few = asked_at_once(tmp_path, monkeypatch, 1)
    assert asked_at_once(tmp_path, monkeypatch, 40) == few > 1


def walks(path: Path, texts: set[str]) -> list[str]:
    """Return where statements read all of a table's rows, each with the step that does."""
    return [
        f"{step}: {text}"
        for text in sorted(texts)
        if text.lstrip().startswith(("SELECT", "UPDATE", "DELETE", "INSERT", "WITH"))
        for step in plan(path, text)
        if re.match(r"SCAN (r|x|s|motion_rows_\w+|motion_tasks|t)\b(?!.*USING INDEX)", step)
    ]


def plan(path: Path, text: str) -> list[str]:
    """Return the steps that SQLite takes for a statement."""
    numbered = [int(number) for number in re.findall(r"\?(\d+)", text)]
    places = max(numbered) if numbered else text.count("?")
    with closing(sqlite3.connect(path)) as connection:
        rows = connection.execute(f"EXPLAIN QUERY PLAN {text}", [None] * places)
        return [str(row[3]) for row in rows]
