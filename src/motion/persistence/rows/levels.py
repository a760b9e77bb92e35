"""Levels: which page keys tell a key's values apart, as the store has noted it and as a schema says now.

The level follows from the place in the dataclass, which the noted signature keeps: a key that is moved over a page key means
another thing on all pages that are there.
"""

from __future__ import annotations

from motion.backends.base import Transaction
from motion.definitions.graph import Graph
from motion.definitions.tables.schema import Key, Table, Tables
from motion.errors import SchemaMismatch
from motion.persistence.layout import Layout, quoted
from motion.persistence.rows.noted import noted_table

Level = frozenset[str]


def check_levels(tx: Transaction, tables: Tables, graph: Graph) -> None:
    """Refuse schemas by which pages that are there would show other values. Reads a table only where a key has moved, up to
    its first such page.

    Raises:
        SchemaMismatch: it says which keys have moved, and what keeps their meaning.
    """
    for table in tables:
        was = noted_table(tx, table.name) if _is_noted(tx, table) else None
        moved = _moved(graph, table, was) if was is not None else {}
        layout = Layout(table, graph)
        differences = [
            _told(table, key, before, after)
            for key, (before, after) in moved.items()
            if _has_pages(tx, layout, before ^ after)
        ]
        if differences:
            raise SchemaMismatch(table.name, differences)


def _is_noted(tx: Transaction, table: Table) -> bool:
    """Whether the levels of a table with pages are known: an older Motion has noted none that were said by hand."""
    sql = "SELECT 1 FROM motion_declared WHERE name = ?"
    return bool(table.page_keys) and tx.execute(sql, (table.name,)).fetchone() is not None


def _moved(graph: Graph, table: Table, was: Table) -> dict[str, tuple[Level, Level]]:
    """Return the keys that other page keys tell apart now, each with those that did and those that do."""
    then, now = was.declared_levels(), table.declared_levels()
    found: dict[str, tuple[Level, Level]] = {}
    for name in table.value_keys:
        if name in then:
            made = _of_maker(graph, table, name)
            before = _whole(was.keys[name], then[name], made)
            after = _whole(table.keys[name], now[name], made)
            found |= {name: (before, after)} if before != after else {}
    return found


def _of_maker(graph: Graph, table: Table, key: str) -> Level:
    """Return the page keys that tell a key apart wherever it is declared, since those of its trigger's inputs do."""
    spec = graph.triggers.get(graph.producers.get((table.name, key), ""))
    if spec is None or spec.table != table.name:
        return frozenset()
    return graph.row_level(spec) | ({spec.page} if spec.page else frozenset())


def _whole(key: Key, declared: Level, made: Level) -> Level:
    return declared if key.level is not None else declared | made


def _has_pages(tx: Transaction, layout: Layout, pages: Level) -> bool:
    """Whether a row is on another page than 0 by one of these page keys."""
    beyond = " OR ".join(f"{quoted(page)} <> 0" for page in sorted(pages))
    sql = f"SELECT 1 FROM {layout.base} WHERE {beyond} LIMIT 1"
    return tx.execute(sql).fetchone() is not None


def _told(table: Table, key: str, before: Level, after: Level) -> str:
    pages = ", ".join(page for page in table.page_keys if page in before ^ after)
    return (
        f"{key} {_word(table, before, 'had')} and {_word(table, after, 'has')} now, since it is declared elsewhere or at "
        f"another level, and there are rows beyond page 0 of {pages}, which would show another value than they did: "
        f"declare it {_remedy(table, before, after)}"
    )


def _word(table: Table, level: Level, has: str) -> str:
    names = [page for page in table.page_keys if page in level]
    return (
        f"{has} a value for each {' and '.join(names)}"
        if names
        else f"{has} one value for all pages"
    )


def _remedy(table: Table, before: Level, after: Level) -> str:
    """Return where a key means what it did: at its place, or at a level that can be said by hand."""
    last = len(before)
    if before and before == frozenset(table.page_keys[:last]):
        return f"where it was, or with motion.Key(level={table.page_keys[last - 1]!r})"
    extra = next((page for page in table.page_keys if page in after - before), None)
    return "where it was" + (f", before {extra}" if extra else "")
