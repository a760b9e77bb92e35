"""The tables of a store: how its own and the user's are made, widened, and brought up from an older format."""

from __future__ import annotations

import msgspec

from motion.backends.base import Transaction
from motion.definitions.tasks import BACKFILL_PRIORITY, BUILD_PRIORITY
from motion.definitions.triggers.specs import TriggerSpec
from motion.errors import StoreUnavailable
from motion.persistence.late_indexes import make_indexes
from motion.persistence.layout import Layout, outputs_table, quoted
from motion.persistence.limits import check_width
from motion.persistence.notes import part_notes
from motion.persistence.numbers import UNNUMBERED
from motion.persistence.rows import handovers, shown
from motion.persistence.rows.listed import open_lists
from motion.persistence.rows.noted import note_declared
from motion.persistence.rows.respelling import respell
from motion.persistence.rows.used import keepers
from motion.persistence.states import lessons
from motion.persistence.stored_graph import signatures
from motion.persistence.table_ddl import TableDdl

FORMAT = 7
"""7: lessons are ranges of labels. 6: lookups may be by a list. Nothing that was stored is another; but code of format 5 takes them for lookups of one row."""

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
CREATE TABLE IF NOT EXISTS motion_code_before (  -- what triggers' former code took and set, where the present one does otherwise
    number INTEGER PRIMARY KEY, trigger TEXT NOT NULL, spec TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS motion_away (  -- triggers that were taken away: the last change until then
    trigger TEXT PRIMARY KEY, number INTEGER NOT NULL
);
CREATE TABLE IF NOT EXISTS motion_made_before (  -- tables where a trigger's former code made rows, and the present one makes none
    trigger TEXT NOT NULL, name TEXT NOT NULL, PRIMARY KEY (trigger, name)
);
CREATE TABLE IF NOT EXISTS motion_handed_over (  -- keys of tables that a trigger has set, and another one sets by now
    trigger TEXT NOT NULL, name TEXT NOT NULL, key TEXT NOT NULL,
    since INTEGER NOT NULL, until INTEGER NOT NULL,  -- the last changes until it did, and until it did not any more
    PRIMARY KEY (trigger, name, key, until)
);
CREATE TABLE IF NOT EXISTS motion_fits (name TEXT PRIMARY KEY, spec TEXT NOT NULL, is_active INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS motion_origins (
    origin INTEGER PRIMARY KEY, trigger TEXT NOT NULL,
    fingerprint TEXT NOT NULL,  -- with a last change after it: of what was made before the trigger was away
    version INTEGER NOT NULL,
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
    among INTEGER NOT NULL DEFAULT 0,                 -- rows that were held when its process ended; 0: it is no suspect
    line TEXT, place, tie                             -- with serial_by: which line the row stands in, and where; '': not found out
);
CREATE INDEX IF NOT EXISTS motion_tasks_lines ON motion_tasks (trigger, line, place, tie) WHERE line IS NOT NULL;
CREATE INDEX IF NOT EXISTS motion_tasks_in_line ON motion_tasks (trigger, line, status) WHERE line IS NOT NULL;
CREATE INDEX IF NOT EXISTS motion_tasks_ready ON motion_tasks (status, trigger, priority DESC, attempts, task);
CREATE INDEX IF NOT EXISTS motion_tasks_rows ON motion_tasks (trigger, low);
CREATE INDEX IF NOT EXISTS motion_tasks_wide ON motion_tasks (trigger, low) WHERE high > low;
DROP INDEX IF EXISTS motion_tasks_postponed;
CREATE INDEX IF NOT EXISTS motion_tasks_later  -- with the status first, as motion_tasks_ready has it, which would be taken else
    ON motion_tasks (status, trigger, not_before) WHERE status = 4;
CREATE INDEX IF NOT EXISTS motion_tasks_expiring ON motion_tasks (trigger, expires_ms) WHERE expires_ms IS NOT NULL;
CREATE INDEX IF NOT EXISTS motion_tasks_builds ON motion_tasks (trigger, version, status) WHERE version IS NOT NULL;
CREATE INDEX IF NOT EXISTS motion_tasks_conflicts ON motion_tasks (status) WHERE conflicts >= 3;
CREATE INDEX IF NOT EXISTS motion_tasks_dead ON motion_tasks (trigger, task) WHERE status = 2;
CREATE INDEX IF NOT EXISTS motion_tasks_change ON motion_tasks (change);
CREATE INDEX IF NOT EXISTS motion_tasks_suspects ON motion_tasks (losses, task) WHERE among > 0;
CREATE TABLE IF NOT EXISTS motion_task_changes (  -- further changes that wait for a task, after coalescing
    task INTEGER NOT NULL, change INTEGER NOT NULL, PRIMARY KEY (change, task)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS motion_task_changes_task ON motion_task_changes (task);
CREATE TABLE IF NOT EXISTS motion_traces (  -- the spans that writes from outside were made in, where they are traced
    change INTEGER PRIMARY KEY, line TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS motion_discards (
    trigger TEXT PRIMARY KEY, rows INTEGER NOT NULL DEFAULT 0,  -- how many it has dropped
    again INTEGER NOT NULL DEFAULT 0,  -- how often it was called again, as what it had read had changed
    done INTEGER NOT NULL DEFAULT 0,   -- of one that acts once on a row: on how many that are there it has succeeded
    waiting INTEGER NOT NULL DEFAULT 0  -- of a trigger with discard_beyond: so many rows wait at most
);
CREATE TABLE IF NOT EXISTS motion_components (
    name TEXT PRIMARY KEY, live INTEGER, candidate INTEGER,
    is_gated INTEGER NOT NULL DEFAULT 1,     -- whether the candidate must be better, or goes live once it is built
    is_rollback INTEGER NOT NULL DEFAULT 0,  -- whether the candidate is on its way back
    setup TEXT                               -- fingerprint of the `setup` whose result was taken up last
);
CREATE TABLE IF NOT EXISTS motion_renamed (  -- components whose code has not been seen since they were renamed
    component TEXT PRIMARY KEY, was TEXT NOT NULL
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
CREATE TABLE IF NOT EXISTS motion_labels_due (  -- labels that wait for the end of the pending work on their rows
    fit TEXT NOT NULL, row INTEGER NOT NULL,
    was_there INTEGER NOT NULL DEFAULT 0,     -- 1: of a row that was there before the fit; 2: set while the fit was away
    PRIMARY KEY (fit, row)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS motion_seen (      -- rows as they were when a run first set a key for their `on` values
    seen INTEGER PRIMARY KEY, name TEXT NOT NULL, row INTEGER NOT NULL, key TEXT NOT NULL,
    number INTEGER NOT NULL,                  -- the change that these values are as of
    copy BLOB NOT NULL, UNIQUE (name, row, key)
);
CREATE TABLE IF NOT EXISTS motion_used (  -- what values were made from, where that has become another since
    trigger TEXT NOT NULL, slot INTEGER NOT NULL, -- the row
    since INTEGER NOT NULL, until INTEGER NOT NULL,  -- the changes that have set it, and taken it away
    key TEXT NOT NULL, value,
    PRIMARY KEY (trigger, slot, key)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS motion_lessons (  -- what a version's fit learned from: all labels from one to another, but what is held out
    component TEXT NOT NULL, number INTEGER NOT NULL, fit TEXT NOT NULL,
    first INTEGER NOT NULL, last INTEGER NOT NULL,
    PRIMARY KEY (component, number, fit, first)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS motion_lessons_fit ON motion_lessons (fit, last, first);
CREATE TABLE IF NOT EXISTS motion_fit_requests (  -- fits that are to run, and `setup`s that have changed
    component TEXT NOT NULL,
    fit TEXT NOT NULL,                        -- the name of the fit; empty: a changed `setup`
    setup TEXT NOT NULL,                      -- the fingerprint of that; empty: a fit
    owner TEXT, change INTEGER NOT NULL,
    progress TEXT,                            -- as the fit told last: JSON
    seen INTEGER,                             -- of one that runs: the newest label that it may learn from
    PRIMARY KEY (component, fit, setup)
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
CREATE TABLE IF NOT EXISTS motion_after (  -- how far triggers that run a while after a row's time have come
    trigger TEXT PRIMARY KEY, name TEXT NOT NULL, key TEXT NOT NULL,  -- the table and the key that holds the time
    delay_ms INTEGER NOT NULL, is_text INTEGER NOT NULL,              -- how it is stored
    until NOT NULL  -- all rows up to this time, as it is stored, have become due
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
    kind TEXT NOT NULL,  -- backfill: asked for; unset: what it begins with where rows outside a fold have a value; build: a candidate's outputs; refresh: what a switch leaves to do,
                         -- sweep: what looks up something that has changed; joined: waits for a sweep
    next INTEGER NOT NULL, last INTEGER NOT NULL,     -- the rows it has not come to, both included; none: next > last
    total INTEGER NOT NULL, remaining INTEGER NOT NULL,  -- rows to remake: as counted first, and not yet made tasks
    condition TEXT, parameters BLOB NOT NULL, is_forced INTEGER NOT NULL,  -- of a sweep: key and value
    number INTEGER NOT NULL DEFAULT 0,                -- of a sweep: the change that its rows are to be newer than,
                                                      -- of a build: since which it judges rows
    again INTEGER NOT NULL DEFAULT 0,                 -- of a sweep: it goes round once more, as another has joined it
    path TEXT NOT NULL DEFAULT '',                    -- of a sweep: that of its cause
    PRIMARY KEY (change, trigger, parameters)  -- one change may leave several sweeps of a trigger
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS motion_switches (  -- outputs that went live, until the numbers of their changes are put right
    trigger TEXT PRIMARY KEY, component TEXT NOT NULL, change INTEGER NOT NULL,
    before INTEGER NOT NULL, version INTEGER NOT NULL,  -- that was live, and that is
    next INTEGER NOT NULL                               -- the first row that is not put right
);
CREATE TABLE IF NOT EXISTS motion_follows (  -- what runs of triggers with follow=True have read by hand, there or not
    name TEXT NOT NULL, id TEXT NOT NULL,         -- the table, and the id, as text
    pages TEXT NOT NULL,                          -- the page keys' values, with commas between them; empty: all pages
    key TEXT NOT NULL,                            -- the key; empty: all keys; id: only whether there is such a row
    trigger TEXT NOT NULL, row INTEGER NOT NULL,  -- who has read it
    PRIMARY KEY (name, id, pages, key, trigger, row)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS motion_follows_row ON motion_follows (trigger, row);
CREATE TABLE IF NOT EXISTS motion_gone (  -- rows that were deleted while runs were under way that may write by hand
    name TEXT NOT NULL, id TEXT NOT NULL,         -- the table, and the id, as text
    number INTEGER NOT NULL, at_ms INTEGER NOT NULL,
    PRIMARY KEY (name, id)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS motion_left (  -- windows that rows have left in this transaction: entity and place in its order
    entry INTEGER PRIMARY KEY, source TEXT NOT NULL, key TEXT NOT NULL, value, place
);
CREATE TABLE IF NOT EXISTS motion_checkpoints (  -- of folds: the value as of some of an entity's rows, and as of the last
    trigger TEXT NOT NULL, entity INTEGER NOT NULL,
    position INTEGER NOT NULL,                    -- how many rows are folded into it
    place, row, value,                            -- the last of them by its order and id; the value in stored form
    PRIMARY KEY (trigger, entity, position)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS motion_left_out (  -- rows that folds have given up; dead letters stand at the number below zero
    number INTEGER PRIMARY KEY, trigger TEXT NOT NULL, entity INTEGER NOT NULL, row INTEGER NOT NULL
);
CREATE INDEX IF NOT EXISTS motion_left_out_row ON motion_left_out (trigger, entity, row);
CREATE TABLE IF NOT EXISTS motion_refs (  -- keys that name rows of a table with which their own rows go
    name TEXT NOT NULL, key TEXT NOT NULL, target TEXT NOT NULL, PRIMARY KEY (name, key)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS motion_forgets (  -- what was forgotten: numbers, and nothing of the rows themselves
    change INTEGER PRIMARY KEY,                   -- whose cascade is to be done before the file is rewritten
    at_ms INTEGER NOT NULL, told TEXT NOT NULL,   -- JSON
    is_done INTEGER NOT NULL DEFAULT 0
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


def check_format(tx: Transaction, place: str) -> str | None:
    """Return the name of a store that is opened as it is; None: it has none, being a copy that was not opened yet.

    Raises:
        StoreUnavailable: there is no store, or one of another format.
    """
    if not tx.columns("motion_clock"):
        raise StoreUnavailable(place, "its database is none that Motion has made.")
    found = int(tx.execute("SELECT format FROM motion_clock").fetchone()[0])
    if found > FORMAT:
        raise StoreUnavailable(place, _newer(found))
    if found < FORMAT or not tx.columns("motion_declared"):
        raise StoreUnavailable(
            place,
            f"an older Motion has made it (format {found}), and looking at a store changes nothing. Open it once with its "
            f"program, as with 'motion run module:store --until-idle', which brings it up to date.",
        )
    name = tx.execute("SELECT name FROM motion_clock").fetchone()[0]
    return None if name is None else str(name)


def _newer(found: int) -> str:
    return f"it has format {found}, made by a newer Motion; this one reads up to {FORMAT}. Upgrade."


def open_system(tx: Transaction) -> None:
    _bring_up(tx)
    for statement in SYSTEM_TABLES.split(";\n"):
        if statement.strip():
            tx.execute(statement)
    tx.execute(
        "INSERT INTO motion_clock (one, format, number, graph) VALUES (1, ?, ?, 0) ON CONFLICT DO NOTHING",
        (FORMAT, UNNUMBERED),
    )


def _bring_up(tx: Transaction) -> None:
    """Bring a store that is there to the present format."""
    if not tx.columns("motion_clock"):
        return
    found = int(tx.execute("SELECT format FROM motion_clock").fetchone()[0])
    if found > FORMAT:
        raise StoreUnavailable("this folder", _newer(found))
    if found < 2:
        _bring_to_2(tx)
    if found < 3:
        _bring_to_3(tx)
    if found < 4:
        _bring_to_4(tx)
    if found < 5:
        _bring_to_5(tx)
    if found < 7:
        _bring_to_7(tx)
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


def _bring_to_3(tx: Transaction) -> None:
    """Bring a store of format 2 to format 3: tasks have a line and a place in it, and what was done once is counted."""
    for table, column, kind in (
        ("motion_tasks", "line", "TEXT"),
        ("motion_tasks", "place", ""),
        ("motion_tasks", "tie", ""),
        ("motion_discards", "done", "INTEGER NOT NULL DEFAULT 0"),
    ):
        if column not in tx.columns(table):
            tx.execute(f"ALTER TABLE {table} ADD COLUMN {column} {kind}")


def _bring_to_4(tx: Transaction) -> None:
    """Bring a store of format 3 to format 4: what requests for fits say is in columns, and was one text."""
    found = tx.execute(
        "SELECT fit, owner, change, progress, seen FROM motion_fit_requests"
    ).fetchall()
    tx.execute("DROP TABLE motion_fit_requests")
    _make(tx, "motion_fit_requests")
    for text, *rest in found:
        name, _, fingerprint = text.partition(".setup ")
        component = name if fingerprint else name.rpartition(".")[0]
        tx.execute(
            "INSERT INTO motion_fit_requests (component, fit, setup, owner, change, progress, seen) VALUES (?, ?, ?, ?, ?, ?, ?)",
            (component, "" if fingerprint else name, fingerprint, *rest),
        )


def _bring_to_5(tx: Transaction) -> None:
    """Bring a store of format 4 to format 5: a sweep goes on with what led to it."""
    if "path" not in tx.columns("motion_backfills"):
        tx.execute("ALTER TABLE motion_backfills ADD COLUMN path TEXT NOT NULL DEFAULT ''")


def _bring_to_7(tx: Transaction) -> None:
    """Bring a store of format 6 to format 7: what a version learned from is told by ranges of labels, and was a row for each."""
    if "first" in tx.columns("motion_lessons"):
        return
    tx.execute(f"ALTER TABLE motion_lessons RENAME TO {lessons.APART}")
    tx.execute("DROP INDEX IF EXISTS motion_lessons_version")
    _make(tx, "motion_lessons")
    lessons.put_together(tx)


def _make(tx: Transaction, table: str) -> None:
    created = f"CREATE TABLE IF NOT EXISTS {table} "
    tx.execute(next(each for each in SYSTEM_TABLES.split(";\n") if created in each))


def _make_anew(tx: Transaction, table: str) -> None:
    """Make a system table again in its present form, with the rows that it has."""
    tx.execute(f"ALTER TABLE {table} RENAME TO {table}_1")
    _make(tx, table)
    columns = ", ".join(tx.columns(f"{table}_1"))
    tx.execute(f"INSERT INTO {table} ({columns}) SELECT {columns} FROM {table}_1")
    tx.execute(f"DROP TABLE {table}_1")


def open_table(tx: Transaction, layout: Layout, stored: dict[str, str] | None) -> None:
    signature = msgspec.json.encode(layout.table.signature()).decode()
    if stored is None:
        ddl = TableDdl(layout)
        check_width(layout.table, len(layout.table.keys) + len(ddl.hidden_columns()) + 4)
        for statement in ddl.create_base():
            tx.execute(statement)
    _add_columns(tx, layout)
    make_indexes(tx, layout)
    for spec in layout.versioned_specs:
        _open_outputs(tx, layout, spec)
    _open_triggers(tx, layout)
    open_lists(tx, layout)
    _open_views(tx, layout)
    respell(tx, layout, stored or {})
    tx.execute(
        "INSERT INTO motion_tables (name, signature) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET signature = excluded.signature",
        (layout.table.name, signature),
    )
    note_declared(tx, layout.table)


OF_GRAPHS = ("motion_left_", "motion_used_", handovers.PREFIX, shown.PREFIX)
"""What the names of the database's own triggers begin with that a graph needs."""


def _open_triggers(tx: Transaction, layout: Layout) -> None:
    """Make the database's own triggers that the graph needs, and drop those that none needs any more."""
    kept = shown.keepers(layout)
    if not kept.keys() <= tx.objects("trigger", layout.base.strip('"')).keys():
        shown.fill(tx, layout)
    handing = handovers.keepers(layout, set(map(quoted, tx.columns(layout.base))))
    wanted = {**TableDdl(layout).leavers(), **keepers(layout), **handing, **kept}
    outputs = [outputs_table(spec.name) for spec in layout.versioned_specs]
    for table in (layout.base, *outputs):
        on_table = tx.objects("trigger", table.strip('"'))
        present = {name for name in on_table if name.startswith(OF_GRAPHS)}
        own = {name: each for name, each in wanted.items() if each.table == table}
        for name in present - own.keys():
            tx.drop_trigger(name, table)
        for name in own.keys() - present:
            tx.make_trigger(own[name])


def _open_views(tx: Transaction, layout: Layout) -> None:
    """Make the table readable under its name, unless it is: a changed schema costs every other process a look."""
    for name, create in TableDdl(layout).create_views().items():
        if tx.objects("view", name).get(name) != create:
            tx.make_view(name, create)


def _add_columns(tx: Transaction, layout: Layout) -> None:
    ddl, present = TableDdl(layout), set(tx.columns(layout.base))
    there = set(map(quoted, present))
    hidden = [column for column in ddl.hidden_columns() if column not in there]
    check_width(layout.table, len({*present, *layout.table.keys}) + len(hidden))
    for key in layout.table.keys.values():
        if key.name not in present:
            tx.execute(
                f"ALTER TABLE {layout.base} ADD COLUMN {quoted(key.name)} {key.codec.sql_type}"
            )
    for column in hidden:
        tx.execute(f"ALTER TABLE {layout.base} ADD COLUMN {column} {ddl.hidden_kind(column)}")


def _open_outputs(tx: Transaction, layout: Layout, spec: TriggerSpec) -> None:
    tx.execute(TableDdl(layout).create_outputs(spec))
    present = tx.columns(outputs_table(spec.name))
    for key in spec.sets:
        for column, kind in (
            (key, layout.table.keys[key].codec.sql_type),
            (f"{key}:changed", "INTEGER"),
        ):
            if column not in present:
                tx.execute(
                    f"ALTER TABLE {outputs_table(spec.name)} ADD COLUMN {quoted(column)} {kind}"
                )
