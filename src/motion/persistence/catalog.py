"""The catalog: which tables, triggers and components a store has, and the database objects that they need.

Owns the format of everything on disk. Opening a store is one transaction: the catalog afterwards fits the schemas and
the triggers given, or nothing was changed.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from typing import TypeVar

import msgspec

from motion.backends.base import Transaction
from motion.codecs import VectorCodec
from motion.components import FitSpec
from motion.errors import SchemaMismatch, StoreUnavailable
from motion.graph import Graph
from motion.persistence import schedules
from motion.persistence.ids import check_stored_ids
from motion.persistence.layout import ORIGIN_MASK, Layout, outputs_table, quoted
from motion.persistence.limits import check_table_name, check_trigger_names, check_width
from motion.persistence.noted import note_declared
from motion.persistence.notes import part_notes
from motion.persistence.numbers import UNNUMBERED, note_new_graph
from motion.persistence.queue import wake_all
from motion.persistence.respelling import respell
from motion.schema import Key, Table, Tables
from motion.tasks import BACKFILL_PRIORITY, BUILD_PRIORITY
from motion.triggers import TriggerSpec

T = TypeVar("T")

logger = logging.getLogger(__name__)

FORMAT = 2

SYSTEM_TABLES = """
CREATE TABLE IF NOT EXISTS motion_clock (
    one INTEGER PRIMARY KEY CHECK (one = 1), format INTEGER NOT NULL,
    number INTEGER NOT NULL,  -- of the last change: every commit that changes rows takes the next
    graph INTEGER NOT NULL,   -- grows when triggers are replaced, so that other processes notice
    thinned INTEGER NOT NULL DEFAULT 0, -- up to here motion_moments keeps one entry in ten seconds
    last_task INTEGER NOT NULL DEFAULT 0, -- the largest number that any task or event had
    name TEXT                             -- of the store; NULL: not opened since it was copied
);
CREATE TABLE IF NOT EXISTS motion_moments (  -- when changes were committed, one entry in about 100 ms of activity
    number INTEGER PRIMARY KEY, at_ms INTEGER NOT NULL  -- milliseconds since the epoch
);
CREATE TABLE IF NOT EXISTS motion_tables (
    name TEXT PRIMARY KEY, signature TEXT NOT NULL,
    last_id INTEGER NOT NULL DEFAULT 0, -- the largest id that a deleted row had
    last_row INTEGER NOT NULL DEFAULT 0 -- the same of the numbers of rows that are not numbered by their id
);
CREATE TABLE IF NOT EXISTS motion_declared (  -- what a table's schema says of its keys beside their types: JSON
    name TEXT PRIMARY KEY, keys TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS motion_triggers (name TEXT PRIMARY KEY, spec TEXT NOT NULL, is_active INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS motion_fits (name TEXT PRIMARY KEY, spec TEXT NOT NULL, is_active INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS motion_origins (
    origin INTEGER PRIMARY KEY, trigger TEXT NOT NULL, fingerprint TEXT NOT NULL, version INTEGER NOT NULL,
    calls INTEGER NOT NULL DEFAULT 0, seconds REAL NOT NULL DEFAULT 0,  -- of its calls, in all processes
    UNIQUE (trigger, fingerprint, version)
);
CREATE TABLE IF NOT EXISTS motion_tasks (
    task INTEGER PRIMARY KEY, trigger TEXT NOT NULL,
    low INTEGER NOT NULL, high INTEGER NOT NULL,      -- rows, both included: those of them that are due
    number INTEGER NOT NULL,                          -- the change that made them due
    version INTEGER,                                  -- the candidate to build outputs for; NULL: the live version
    change INTEGER NOT NULL,                          -- the change from outside that caused it
    path TEXT NOT NULL,                               -- the triggers whose free writes led here, one a line
    priority INTEGER NOT NULL, status INTEGER NOT NULL, attempts INTEGER NOT NULL DEFAULT 0,
    not_before INTEGER NOT NULL DEFAULT 0,            -- milliseconds since the epoch, of one that is postponed; of a dead letter when it was given up
    losses INTEGER NOT NULL DEFAULT 0,                -- processes that ended while they held it
    conflicts INTEGER NOT NULL DEFAULT 0,             -- times that it was called again, as what it had read had changed
    expires_ms INTEGER,                               -- milliseconds since the epoch, after which it is dropped
    owner TEXT, error TEXT, inputs TEXT,
    claim INTEGER NOT NULL DEFAULT 0,                 -- how often it was claimed: task and claim name who holds it
    among INTEGER NOT NULL DEFAULT 0                  -- rows that were held when its process ended; 0: it is no suspect
);
CREATE INDEX IF NOT EXISTS motion_tasks_ready ON motion_tasks (status, trigger, priority DESC, attempts, task);
CREATE INDEX IF NOT EXISTS motion_tasks_rows ON motion_tasks (trigger, low);
CREATE INDEX IF NOT EXISTS motion_tasks_wide ON motion_tasks (trigger, low) WHERE high > low;
CREATE INDEX IF NOT EXISTS motion_tasks_postponed ON motion_tasks (trigger, not_before) WHERE status = 4;
CREATE INDEX IF NOT EXISTS motion_tasks_expiring ON motion_tasks (trigger, expires_ms) WHERE expires_ms NOT NULL;
CREATE INDEX IF NOT EXISTS motion_tasks_builds ON motion_tasks (trigger, version, status) WHERE version NOT NULL;
CREATE INDEX IF NOT EXISTS motion_tasks_conflicts ON motion_tasks (status) WHERE conflicts >= 3;
CREATE INDEX IF NOT EXISTS motion_tasks_dead ON motion_tasks (trigger, task) WHERE status = 2;
CREATE INDEX IF NOT EXISTS motion_tasks_change ON motion_tasks (change);
CREATE INDEX IF NOT EXISTS motion_tasks_suspects ON motion_tasks (losses, task) WHERE among > 0;
CREATE TABLE IF NOT EXISTS motion_task_changes (  -- further changes that wait for a task, after coalescing
    task INTEGER NOT NULL, change INTEGER NOT NULL, PRIMARY KEY (change, task)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS motion_task_changes_task ON motion_task_changes (task);
CREATE TABLE IF NOT EXISTS motion_discards (
    trigger TEXT PRIMARY KEY, rows INTEGER NOT NULL DEFAULT 0,  -- how many it has dropped
    again INTEGER NOT NULL DEFAULT 0,  -- how often it was called again, as what it had read had changed
    done INTEGER NOT NULL DEFAULT 0,   -- of one that acts once on a row: on how many it has succeeded
    waiting INTEGER NOT NULL DEFAULT 0  -- of a trigger with discard_beyond: so many rows wait at most
);
CREATE TABLE IF NOT EXISTS motion_components (
    name TEXT PRIMARY KEY, live INTEGER, candidate INTEGER,
    is_gated INTEGER NOT NULL DEFAULT 1,     -- whether the candidate must be better, or goes live once it is built
    is_rollback INTEGER NOT NULL DEFAULT 0,  -- whether the candidate is on its way back
    setup TEXT                               -- fingerprint of the `setup` whose result was taken up last
);
CREATE TABLE IF NOT EXISTS motion_states (
    component TEXT NOT NULL, number INTEGER NOT NULL, status TEXT NOT NULL, parent INTEGER,
    manifest TEXT,                           -- what it is made of; NULL: it failed, or is not kept any more
    labels INTEGER NOT NULL, metrics TEXT NOT NULL, created_at TEXT NOT NULL, duration_s REAL NOT NULL,
    fit TEXT,                                -- the fit that made it; NULL: `setup`
    fingerprint TEXT,                        -- of the code that made it
    since INTEGER, until INTEGER,            -- changes at which it was promoted, and last retired
    notes TEXT NOT NULL DEFAULT '{}',        -- what is said of it beside its metrics: why it was refused, the live one's
    stage TEXT,                              -- of a candidate: queued, trial, passed or ready; NULL: being built
    PRIMARY KEY (component, number)
);
CREATE TABLE IF NOT EXISTS motion_makers (  -- of rows that several runs make, or users as well: what each run gave
    name TEXT NOT NULL, row INTEGER NOT NULL,     -- the table and the row that is made
    trigger TEXT NOT NULL, place TEXT NOT NULL,   -- the trigger, and id and pages of the row that it ran on
    item INTEGER NOT NULL, source INTEGER NOT NULL, given BLOB NOT NULL,
    PRIMARY KEY (name, row, trigger, place, item)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS motion_makers_source ON motion_makers (trigger, source);
CREATE TABLE IF NOT EXISTS motion_labels (
    label INTEGER PRIMARY KEY AUTOINCREMENT,  -- no number twice: lessons name labels that are deleted by now
    fit TEXT NOT NULL, row INTEGER NOT NULL, copy BLOB NOT NULL,
    is_held_out INTEGER NOT NULL,
    made_at INTEGER NOT NULL,                 -- milliseconds since the epoch
    is_old INTEGER NOT NULL DEFAULT 0         -- replaced or taken back while a fit learned from it
);
CREATE INDEX IF NOT EXISTS motion_labels_row ON motion_labels (fit, row);
CREATE INDEX IF NOT EXISTS motion_labels_fit ON motion_labels (fit);
CREATE TABLE IF NOT EXISTS motion_lessons (  -- which fit consumed a label, and the version it made
    label INTEGER NOT NULL, component TEXT NOT NULL, number INTEGER NOT NULL, PRIMARY KEY (label, component, number)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS motion_lessons_version ON motion_lessons (component, number);
CREATE TABLE IF NOT EXISTS motion_fit_requests (  -- fits, and offers of a changed `setup`: `<component>.setup <fingerprint>`
    fit TEXT PRIMARY KEY, owner TEXT, change INTEGER NOT NULL,
    progress TEXT,                            -- as the fit told last: JSON
    seen INTEGER                              -- of one that runs: the newest label that it may learn from
);
CREATE TABLE IF NOT EXISTS motion_asked (  -- fits and promotions that people asked for, until long after their end
    change INTEGER NOT NULL, component TEXT NOT NULL,
    fit TEXT NOT NULL,                        -- empty: a promotion
    number INTEGER,                           -- the version to be promoted, or that the fit has made
    is_begun INTEGER NOT NULL DEFAULT 0,      -- whether a fit has begun since
    outcome TEXT, reason TEXT,                -- done, failed or superseded; NULL: it has not come to its end
    PRIMARY KEY (change, component, fit)
);
CREATE INDEX IF NOT EXISTS motion_asked_open ON motion_asked (component, fit) WHERE outcome IS NULL;
CREATE TABLE IF NOT EXISTS motion_fit_runs (
    fit TEXT PRIMARY KEY,
    seen INTEGER NOT NULL DEFAULT 0,          -- the newest label that a fit of any outcome has seen
    fresh INTEGER NOT NULL DEFAULT 0          -- how many labels are newer
);
CREATE TABLE IF NOT EXISTS motion_schedules (  -- when what has a schedule occurs next, in milliseconds since the epoch
    name TEXT PRIMARY KEY, schedule TEXT NOT NULL, next_ms INTEGER NOT NULL
);
CREATE TABLE IF NOT EXISTS motion_parts (  -- of texts that are growing: what their runs have given; gone when whole
    trigger TEXT NOT NULL, row INTEGER NOT NULL,
    run INTEGER NOT NULL,                         -- names the run that gave it, by chance
    part INTEGER NOT NULL, text TEXT NOT NULL,
    number INTEGER NOT NULL DEFAULT 0,            -- the change of the `on` keys that the run is for
    PRIMARY KEY (trigger, row, run, part)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS motion_backfills (  -- work on a trigger's whole table; a worker makes its tasks part by part
    change INTEGER NOT NULL, trigger TEXT NOT NULL,
    kind TEXT NOT NULL,  -- backfill: asked for; build: a candidate's outputs; refresh: what a switch leaves to do,
                         -- sweep: what looks up something that has changed; joined: waits for a sweep
    next INTEGER NOT NULL, last INTEGER NOT NULL,     -- the rows it has not come to, both included; none: next > last
    total INTEGER NOT NULL, remaining INTEGER NOT NULL,  -- rows to remake: as counted first, and not yet made tasks
    condition TEXT, parameters BLOB NOT NULL, is_forced INTEGER NOT NULL,  -- of a sweep: key and value
    number INTEGER NOT NULL DEFAULT 0,                -- of a sweep: the change that its rows are to be newer than
    again INTEGER NOT NULL DEFAULT 0,                 -- of a sweep: it goes round once more, as another has joined it
    PRIMARY KEY (change, trigger, parameters)  -- one change may leave several sweeps of a trigger
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS motion_switches (  -- outputs that went live, until the numbers of their changes are put right
    trigger TEXT PRIMARY KEY, component TEXT NOT NULL, change INTEGER NOT NULL,
    before INTEGER NOT NULL, version INTEGER NOT NULL,  -- that was live, and that is
    next INTEGER NOT NULL                               -- the first row that is not put right
);
CREATE TABLE IF NOT EXISTS motion_left (  -- windows that rows have left in this transaction: entity and place in its order
    entry INTEGER PRIMARY KEY, source TEXT NOT NULL, key TEXT NOT NULL, value, place
);
CREATE TABLE IF NOT EXISTS motion_rates (  -- of a trigger with a rate: when its next call may begin, in milliseconds since the epoch
    trigger TEXT PRIMARY KEY, next_ms REAL NOT NULL
);
CREATE TABLE IF NOT EXISTS motion_memos (  -- results of triggers with memo=True, in stored form
    memo INTEGER PRIMARY KEY, trigger TEXT NOT NULL,
    inputs BLOB NOT NULL,                         -- digest of the code, the state versions and the inputs
    result BLOB NOT NULL, UNIQUE (trigger, inputs)
);
CREATE TABLE IF NOT EXISTS motion_memo_rows (  -- of which rows a result is, so that it goes with the last of them
    trigger TEXT NOT NULL, row INTEGER NOT NULL, inputs BLOB NOT NULL, PRIMARY KEY (trigger, row, inputs)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS motion_memo_rows_inputs ON motion_memo_rows (trigger, inputs);
CREATE TABLE IF NOT EXISTS motion_vector_log (  -- rows whose vectors changed: what an index must catch up with
    entry INTEGER PRIMARY KEY, key TEXT NOT NULL, slot INTEGER NOT NULL
);
"""


def open_catalog(
    tx: Transaction,
    tables: Tables,
    graph: Graph,
    of_schemas: Sequence[TriggerSpec] = (),
    *,
    replace_graph: bool,
) -> Graph:
    """Make the database fit `tables` and `graph`, and return the graph in force.

    Args:
        of_schemas: the triggers that keep what keys are declared as, which are in force whatever the others are.
        replace_graph: the triggers given replace the stored ones; otherwise the stored ones are kept and returned.

    Raises:
        SchemaMismatch: a stored table differs in a way that would lose or reinterpret data.
        InvalidValue: an id in a table leaves no room for a state version beside it, and outputs are to be kept so.
        StoreUnavailable: the store was made by a newer version of Motion.
    """
    _open_system(tx)
    stored = signatures(tx)
    specs = graph.triggers.values() if replace_graph else known_triggers(tx).values()
    take_sizes(tx, tables, specs)
    for table in tables:
        check_table_name(table, stored)
        _check_signature(table, stored.get(table.name))
    if replace_graph:
        check_trigger_names(tx, graph)
        _store_graph(tx, graph)
    else:
        graph = _with(tx, read_graph(tx, tables), of_schemas)
    for table in graph.tables:
        if table.is_event:
            _open_events(tx, Layout(table, graph))
        else:
            layout = Layout(table, graph)
            _open_table(tx, layout, stored.get(table.name))
            check_stored_ids(tx, layout)
    return graph


def _with(tx: Transaction, graph: Graph, specs: Sequence[TriggerSpec]) -> Graph:
    """Return the stored graph with further triggers, and keep them."""
    fresh = [spec for spec in specs if graph.triggers.get(spec.name) != spec]
    if not fresh:
        return graph
    names = {spec.name for spec in fresh}
    others = [spec for name, spec in graph.triggers.items() if name not in names]
    whole = Graph(graph.tables, [*others, *fresh], graph.fits.values())
    _keep_specs(tx, "motion_triggers", fresh)
    note_new_graph(tx)
    return whole


def take_name(tx: Transaction, name: str) -> str | None:
    """Keep a store's name where it has none yet; return the one that was there. None: there was none."""
    _open_system(tx)
    found = tx.execute("SELECT name FROM motion_clock").fetchone()[0]
    if found is None:
        tx.execute("UPDATE motion_clock SET name = ?", (name,))
    return None if found is None else str(found)


def check_format(tx: Transaction, place: str) -> str | None:
    """Return the name of a store that is opened as it is; None: it has none, being a copy that was not opened yet.

    Raises:
        StoreUnavailable: there is no store, or one of another format.
    """
    sql = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'motion_declared'"
    clock_there = sql.replace("motion_declared", "motion_clock")
    if tx.execute(clock_there).fetchone() is None:
        raise StoreUnavailable(place, "its database is none that Motion has made.")
    found = int(tx.execute("SELECT format FROM motion_clock").fetchone()[0])
    if found > FORMAT:
        raise StoreUnavailable(place, _newer(found))
    if found < FORMAT or tx.execute(sql).fetchone() is None:
        raise StoreUnavailable(
            place,
            f"an older Motion has made it (format {found}), and looking at a store changes nothing. Open it once with its "
            f"program, as with 'motion run module:store --until-idle', which brings it up to date.",
        )
    name = tx.execute("SELECT name FROM motion_clock").fetchone()[0]
    return None if name is None else str(name)


def _newer(found: int) -> str:
    return f"it has format {found}, made by a newer Motion; this one reads up to {FORMAT}. Upgrade."


def forget_name(tx: Transaction) -> None:
    """Let a copy be opened under any name."""
    tx.execute("UPDATE motion_clock SET name = NULL")


def active_triggers(tx: Transaction) -> list[str]:
    return [str(row[0]) for row in tx.execute("SELECT name FROM motion_triggers WHERE is_active")]


def read_graph(tx: Transaction, tables: Tables) -> Graph:
    """Return the graph kept in the store, as far as it is about `tables`."""
    specs = _decoded(tx, "SELECT spec FROM motion_triggers WHERE is_active", TriggerSpec)
    fits = _decoded(tx, "SELECT spec FROM motion_fits WHERE is_active", FitSpec)
    # A trigger whose rows go to a table that is not known here is fired all the same: who knows it runs it.
    known = [spec for spec in specs if spec.schedule or (spec.deleted or spec.table) in tables]
    for spec in known:
        _check_known(tables, spec)
    return Graph(tables, known, [fit for fit in fits if fit.table in tables])


def active_specs(tx: Transaction) -> dict[str, TriggerSpec]:
    """Return the triggers in force, by name, also those on tables that this process has no schema for."""
    specs = _decoded(
        tx, "SELECT spec FROM motion_triggers WHERE is_active = 1 ORDER BY name", TriggerSpec
    )
    return {spec.name: spec for spec in specs}


def active_components(tx: Transaction) -> list[str]:
    """Return the components whose triggers or fits are in force."""
    found = {spec.component for spec in active_specs(tx).values() if spec.component}
    return sorted({*found, *(fit.component for fit in active_fits(tx))})


def active_fits(tx: Transaction) -> Sequence[FitSpec]:
    """Return the fits in force."""
    sql = "SELECT spec FROM motion_fits WHERE is_active = 1 ORDER BY name"
    return _decoded(tx, sql, FitSpec)


def _check_known(tables: Tables, spec: TriggerSpec) -> None:
    """Refuse a trigger on keys that this process does not know of: writing without it would lose what it does."""
    if spec.schedule:
        return
    keys = {*spec.on, *spec.inputs, *spec.looked_up_by, *(() if spec.sets_table else spec.sets)}
    missing = sorted(keys - tables.get(spec.source).keys.keys())
    missing += [
        each.key
        for each in spec.elsewhere
        if each.table not in tables or each.name not in tables.get(each.table).keys
    ]
    if missing:
        uses = f"has trigger {spec.name}, which uses {', '.join(missing)}, since another process opened the store"
        raise SchemaMismatch(spec.source, [uses])


def known_triggers(tx: Transaction) -> dict[str, TriggerSpec]:
    """Return the triggers as the store knows them, by name; also those that are not there any more."""
    sql = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'motion_triggers'"
    if tx.execute(sql).fetchone() is None:  # the store is being made
        return {}
    specs = _decoded(tx, "SELECT spec FROM motion_triggers", TriggerSpec)
    return {spec.name: spec for spec in specs}


def former_triggers(tx: Transaction, table: str) -> list[TriggerSpec]:
    """Return the triggers that were on a table and are not there any more."""
    specs = _decoded(tx, "SELECT spec FROM motion_triggers WHERE is_active = 0", TriggerSpec)
    return [spec for spec in specs if spec.table == table]


def former_fits(tx: Transaction) -> Sequence[FitSpec]:
    """Return the fits that are not there any more."""
    return _decoded(tx, "SELECT spec FROM motion_fits WHERE is_active = 0", FitSpec)


def origin_of(tx: Transaction, spec: TriggerSpec, version: int) -> int:
    """Return the number that stands in marks for a trigger's code and the state version it ran with."""
    facts = (spec.name, spec.fingerprint, version)
    origin = tx.lasting.get(facts) or tx.memo.get(facts)
    if origin is not None:
        return int(origin)
    found = tx.execute(
        "SELECT origin FROM motion_origins WHERE trigger = ? AND fingerprint = ? AND version = ?",
        facts,
    ).fetchone()
    if found:
        tx.lasting[facts] = int(found[0])
        return int(found[0])
    sql = "INSERT INTO motion_origins (trigger, fingerprint, version) VALUES (?, ?, ?)"
    origin = tx.memo[facts] = int(
        tx.execute(sql, facts).lastrowid
    )  # lasting only once it is committed
    assert origin <= ORIGIN_MASK, (
        "a store has room for about a million pairs of code and state version"
    )
    return origin


def _open_system(tx: Transaction) -> None:
    _bring_up(tx)
    for statement in SYSTEM_TABLES.split(";\n"):
        if statement.strip():
            tx.execute(statement)
    tx.execute(
        "INSERT OR IGNORE INTO motion_clock (one, format, number, graph) VALUES (1, ?, ?, 0)",
        (FORMAT, UNNUMBERED),
    )


def _bring_up(tx: Transaction) -> None:
    """Bring a store that is there to the present format."""
    sql = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'motion_clock'"
    if tx.execute(sql).fetchone() is None:
        return
    found = int(tx.execute("SELECT format FROM motion_clock").fetchone()[0])
    if found > FORMAT:
        raise StoreUnavailable("this folder", _newer(found))
    if found < 2:
        _bring_to_2(tx)
    if found < FORMAT:
        tx.execute("UPDATE motion_clock SET format = ?", (FORMAT,))


def _bring_to_2(tx: Transaction) -> None:
    """Bring a store of format 1 to format 2: numbers of tasks, events and rows are never given twice, and a claim has a
    name."""
    for table, column in (
        ("motion_clock", "last_task"),
        ("motion_tables", "last_row"),
        ("motion_tasks", "claim"),
        ("motion_tasks", "among"),
        ("motion_tasks", "conflicts"),
        ("motion_discards", "again"),
        ("motion_discards", "done"),
        ("motion_parts", "number"),
    ):
        tx.execute(f"ALTER TABLE {table} ADD COLUMN {column} INTEGER NOT NULL DEFAULT 0")
    tx.execute("ALTER TABLE motion_clock ADD COLUMN name TEXT")
    tx.execute(  # work in bulk has been further below live work since
        "UPDATE motion_tasks SET priority = CASE WHEN version IS NULL THEN ? ELSE ? END WHERE priority <= ?",
        (BACKFILL_PRIORITY, BUILD_PRIORITY, -500_000),
    )
    tx.execute("ALTER TABLE motion_states ADD COLUMN notes TEXT NOT NULL DEFAULT '{}'")
    tx.execute("ALTER TABLE motion_states ADD COLUMN stage TEXT")
    tx.execute("ALTER TABLE motion_fit_requests ADD COLUMN seen INTEGER")
    tx.execute("ALTER TABLE motion_labels ADD COLUMN is_old INTEGER NOT NULL DEFAULT 0")
    part_notes(tx)
    _make_anew(tx, "motion_backfills")
    named = "SELECT name FROM sqlite_master WHERE type = 'table' AND name GLOB 'motion_rows_*'"
    events = {name for (name,) in tx.execute(named)} - {
        f"motion_rows_{table}" for table in signatures(tx)
    }
    used = [("task", "motion_tasks"), *((quoted(":row"), quoted(name)) for name in sorted(events))]
    for column, table in used:
        largest = f"SELECT COALESCE(MAX({column}), 0) FROM {table}"
        tx.execute(f"UPDATE motion_clock SET last_task = MAX(last_task, ({largest}))")


def _make_anew(tx: Transaction, table: str) -> None:
    """Make a system table again in its present form, with the rows that it has."""
    tx.execute(f"ALTER TABLE {table} RENAME TO {table}_1")
    created = f"CREATE TABLE IF NOT EXISTS {table} "
    tx.execute(next(each for each in SYSTEM_TABLES.split(";\n") if created in each))
    columns = ", ".join(str(row[1]) for row in tx.execute(f"PRAGMA table_info({table}_1)"))
    tx.execute(f"INSERT INTO {table} ({columns}) SELECT {columns} FROM {table}_1")
    tx.execute(f"DROP TABLE {table}_1")


def take_sizes(tx: Transaction, tables: Tables, specs: Iterable[TriggerSpec]) -> None:
    """Take in which lengths the vectors of older state versions have: the size of a vector belongs to the version."""
    for name, signature in signatures(tx).items():
        for key, kind in signature.items() if name in tables else ():
            codec = tables.get(name).keys[key].codec if key in tables.get(name).keys else None
            if isinstance(codec, VectorCodec) and kind.startswith("vector "):
                codec.former = frozenset(map(int, kind.split()[1:])) - {codec.dim}
    for spec in specs:
        if spec.is_versioned and spec.table in tables:
            for key in spec.sets:
                held = tables.get(spec.table).keys.get(key)
                if held is not None and isinstance(held.codec, VectorCodec):
                    held.codec.is_by_version = True
                    held.codec.former = _sizes_kept(tx, spec, key, held.codec.former)


def _sizes_kept(
    tx: Transaction, spec: TriggerSpec, key: str, former: frozenset[int]
) -> frozenset[int]:
    """Return those of former lengths that a vector still has. Reads the outputs where there are any."""
    table = outputs_table(spec.name)
    present = {row[1] for row in tx.execute(f"PRAGMA table_info({table})")} if former else set()
    if key not in present:
        return former
    sql = f"SELECT 1 FROM {table} WHERE LENGTH({quoted(key)}) = ? LIMIT 1"
    return frozenset(size for size in former if tx.execute(sql, (4 * size,)).fetchone())


def table_names(tx: Transaction) -> Sequence[str]:
    """Return the names of all tables that the store has, with a schema in this process or without."""
    return tuple(signatures(tx))


def signatures(tx: Transaction) -> dict[str, dict[str, str]]:
    """Return table -> key -> what kind of values it has, for all tables of the store."""
    rows = tx.execute("SELECT name, signature FROM motion_tables").fetchall()
    return {name: msgspec.json.decode(signature, type=dict[str, str]) for name, signature in rows}


def _check_signature(table: Table, stored: dict[str, str] | None) -> None:
    differences = [
        f"{name} {difference}"
        for name, kind in (stored or {}).items()
        if (difference := _difference(table.keys.get(name), kind))
    ]
    differences += [
        f"{name} is a new page key, which changes what names a row"
        for name, key in table.keys.items()
        if stored is not None and name not in stored and key.is_page
    ]
    if differences:
        raise SchemaMismatch(table.name, differences)


def _difference(key: Key | None, stored: str) -> str | None:
    """Return what keeps a key's stored values from being read, None where nothing does."""
    if key is None:
        return f"({stored}) is gone"
    kind = stored.removeprefix("page ")
    if key.is_page != stored.startswith("page "):
        return "was a page key and is none now" if kind != stored else "is a page key now"
    return key.codec.difference(kind)


def _open_table(tx: Transaction, layout: Layout, stored: dict[str, str] | None) -> None:
    signature = msgspec.json.encode(layout.table.signature()).decode()
    if stored is None:
        check_width(layout.table, len(layout.table.keys) + len(layout.hidden_columns()) + 4)
        for statement in layout.create_base():
            tx.execute(statement)
    _add_columns(tx, layout)
    sql = "SELECT name FROM sqlite_master WHERE type = 'index' AND tbl_name = ?"
    present = tx.execute(sql, (f"motion_rows_{layout.table.name}",))
    for statement in layout.create_indexes({row[0] for row in present}):
        tx.execute(statement)
    _open_leavers(tx, layout)
    for spec in layout.versioned_specs:
        _open_outputs(tx, layout, spec)
    _open_views(tx, layout)
    respell(tx, layout, stored or {})
    tx.execute(
        "INSERT INTO motion_tables (name, signature) VALUES (?, ?) ON CONFLICT DO UPDATE SET signature = excluded.signature",
        (layout.table.name, signature),
    )
    note_declared(tx, layout.table)


def _open_leavers(tx: Transaction, layout: Layout) -> None:
    """Make the database's own triggers that windows need, and drop those that none needs any more."""
    sql = "SELECT name, sql FROM sqlite_master WHERE type = 'trigger' AND tbl_name = ? AND name GLOB 'motion_left_*'"
    present = dict(tx.execute(sql, (f"motion_rows_{layout.table.name}",)).fetchall())
    wanted = layout.create_leavers()
    for name in present.keys() - wanted.keys():
        tx.execute(f"DROP TRIGGER {quoted(name)}")
    for name in wanted.keys() - present.keys():
        tx.execute(wanted[name])


def _open_events(tx: Transaction, layout: Layout) -> None:
    tx.execute(layout.create_events())
    _add_columns(tx, layout)


def _open_views(tx: Transaction, layout: Layout) -> None:
    """Make the table readable under its name, unless it is: a changed schema costs every other process a look."""
    sql = "SELECT sql FROM sqlite_master WHERE type = 'view' AND name = ?"
    for name, create in layout.create_views().items():
        found = tx.execute(sql, (name,)).fetchone()
        if found is None or found[0] != create:
            tx.execute(f"DROP VIEW IF EXISTS {quoted(name)}")
            tx.execute(create)


def _add_columns(tx: Transaction, layout: Layout) -> None:
    present = {row[1] for row in tx.execute(f"PRAGMA table_info({layout.base})")}
    hidden = [column for column in layout.hidden_columns() if column.strip('"') not in present]
    check_width(layout.table, len({*present, *layout.table.keys}) + len(hidden))
    for key in layout.table.keys.values():
        if key.name not in present:
            tx.execute(
                f"ALTER TABLE {layout.base} ADD COLUMN {quoted(key.name)} {key.codec.sql_type}"
            )
    for column in hidden:
        kind = "TEXT" if column == quoted(":made_keys") else "INTEGER"
        tx.execute(f"ALTER TABLE {layout.base} ADD COLUMN {column} {kind}")


def _open_outputs(tx: Transaction, layout: Layout, spec: TriggerSpec) -> None:
    tx.execute(layout.create_outputs(spec))
    present = {row[1] for row in tx.execute(f"PRAGMA table_info({outputs_table(spec.name)})")}
    for key in spec.sets:
        for column, kind in (
            (key, layout.table.keys[key].codec.sql_type),
            (f"{key}:changed", "INTEGER"),
        ):
            if column not in present:
                tx.execute(
                    f"ALTER TABLE {outputs_table(spec.name)} ADD COLUMN {quoted(column)} {kind}"
                )


def _tell_changed_code(before: dict[str, str], graph: Graph) -> None:
    """Say which triggers' code differs from what the store knew: their values stay as they are until a backfill."""
    for name, spec in graph.triggers.items():
        known = before.get(name)
        if known is None or spec.event or spec.on_change == "backfill":
            continue
        if msgspec.json.decode(known, type=TriggerSpec).fingerprint != spec.fingerprint:
            logger.warning(
                "the code of trigger %s has changed; values that it made before stay until store.backfill(%r)",
                name,
                name,
            )


def _store_graph(tx: Transaction, graph: Graph) -> None:
    before = [
        tx.execute(f"SELECT name, spec FROM {table} WHERE is_active ORDER BY name").fetchall()
        for table in GRAPH
    ]
    _replace_specs(tx, "motion_triggers", graph.triggers.values())
    _replace_specs(tx, "motion_fits", graph.fits.values())
    scheduled: list[TriggerSpec | FitSpec] = [*graph.triggers.values(), *graph.fits.values()]
    schedules.keep(tx, {spec.name: spec.schedule for spec in scheduled if spec.schedule})
    after = [
        tx.execute(f"SELECT name, spec FROM {table} WHERE is_active ORDER BY name").fetchall()
        for table in GRAPH
    ]
    _tell_changed_code(dict(before[0]), graph)
    if before != after:
        note_new_graph(tx)
        wake_all(tx)  # what blocked tasks wait for may be a trigger that is gone
    components = {spec.component for spec in graph.triggers.values()} | {
        fit.component for fit in graph.fits.values()
    }
    for name in components - {None}:
        tx.execute("INSERT OR IGNORE INTO motion_components (name) VALUES (?)", (name,))
    _tell_renamed(tx, graph, {name for name in components if name is not None})


def _tell_renamed(tx: Transaction, graph: Graph, components: set[str]) -> None:
    """Say where a component that has no version sets what one that is gone has set: perhaps it has another name now, and
    its versions, with their vectors, stay behind."""
    counts = dict(tx.execute("SELECT component, COUNT(*) FROM motion_states GROUP BY component"))
    gone = [
        spec
        for spec in _decoded(
            tx, "SELECT spec FROM motion_triggers WHERE is_active = 0", TriggerSpec
        )
        if spec.component in counts.keys() - components
    ]
    for new in sorted(components - counts.keys()):
        for old in sorted({spec.component or "" for spec in gone}):
            was = {
                (s.sets_table or s.table, key) for s in gone if s.component == old for key in s.sets
            }
            own = [spec for spec in graph.triggers.values() if spec.component == new]
            sets = {(spec.sets_table or spec.table, key) for spec in own for key in spec.sets}
            if was & sets:
                logger.warning(
                    "component %s is new to this store and sets %s, as %s did, which is not among the triggers now: its "
                    "%d version(s), their labels and the vectors that they made stay behind. If it is the same one under "
                    'another name, declare class %s(motion.Component, name="%s") and open the store again',
                    new, ", ".join(sorted(f"{table}.{key}" for table, key in was & sets)), old, counts[old], new, old,
                )  # fmt: skip


GRAPH = ("motion_triggers", "motion_fits")


def _replace_specs(
    tx: Transaction, table: str, specs: Iterable[TriggerSpec] | Iterable[FitSpec]
) -> None:
    tx.execute(f"UPDATE {table} SET is_active = 0 WHERE is_active")
    _keep_specs(tx, table, specs)


def _keep_specs(
    tx: Transaction, table: str, specs: Iterable[TriggerSpec] | Iterable[FitSpec]
) -> None:
    for spec in specs:
        tx.execute(
            f"INSERT INTO {table} (name, spec, is_active) VALUES (?, ?, 1) "
            f"ON CONFLICT DO UPDATE SET spec = excluded.spec, is_active = 1",
            (spec.name, msgspec.json.encode(spec).decode()),
        )


def _decoded(tx: Transaction, sql: str, kind: type[T]) -> Sequence[T]:
    return [msgspec.json.decode(row[0], type=kind) for row in tx.execute(sql)]
