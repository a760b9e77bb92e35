"""Labels: copies of rows whose fit key was set, and which fit learned from which. When a copy is made is decided in
`changes.labelling`."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import msgspec

from motion import clock
from motion.backends.base import Transaction
from motion.definitions.fits import FitSpec
from motion.definitions.values.codecs import Stored
from motion.definitions.versions import Label
from motion.persistence.layout import Layout, quoted
from motion.persistence.ranges import parts_of
from motion.persistence.states import asked, fit_requests, lessons
from motion.persistence.states.fit_requests import Request, fit_request, request
from motion.persistence.states.label_ranges import LabelRanges, last_label, ranges_where
from motion.persistence.states.seen import COPIES_AT_ONCE, copies_seen, forget_seen


def make_labels(
    tx: Transaction, layout: Layout, fit: FitSpec, rows: Sequence[int], *, is_counted: bool = True
) -> None:
    """Copy rows whose fit key is set, replacing labels of theirs that no fit has learned from.

    Args:
        is_counted: they count for `every=`.
    """
    unset = " OR ".join(f"{layout.value(key)} IS NULL" for key in fit.on)
    keys = tuple(layout.table.keys)
    columns = ", ".join(layout.inherited_value(key) for key in keys)
    for part in parts_of(rows):
        found = tx.execute(
            f"SELECT {layout.row}, ({unset}), {columns} FROM {layout.joined(keys)} "
            f"WHERE {part.condition(layout.row)}",
            part.numbers,
        ).fetchall()
        fewer = _forget_unlearned(tx, fit.name, [row for row, *_ in found])
        seen = copies_seen(tx, layout, fit.seen_by, part) if fit.seen_by else {}
        made = [
            (
                fit.name,
                row,
                msgspec.msgpack.encode(
                    _as_seen(fit, dict(zip(keys, values, strict=True)), seen.get(row))
                ),
                held_out(row, fit.holdout),
                clock.now_ms(),
            )
            for row, is_unset, *values in found
            if not is_unset
        ]
        tx.executemany(
            "INSERT INTO motion_labels (fit, row, copy, is_held_out, made_at) VALUES (?, ?, ?, ?, ?)",
            made,
        )
        _count(tx, fit.name, len(made) * is_counted - fewer)


def _as_seen(
    fit: FitSpec, now: dict[str, Stored], seen: Mapping[str, Stored] | None
) -> dict[str, Stored]:
    """Return what a label holds: the row as it is, or as a run saw it, with what is said of it now."""
    return now if seen is None else {**now, **seen, **{key: now[key] for key in fit.on}}


def take_back_labels(tx: Transaction, fit: FitSpec, rows: Sequence[int]) -> None:
    """Delete labels of rows that no fit has learned from: others come in their place, once the rows are whole."""
    fewer = _forget_unlearned(tx, fit.name, rows)
    _count(tx, fit.name, -fewer)


# -- labels that wait --


WAS_THERE, WAS_AWAY = 1, 2
"""Of rows whose labels wait: they were there before the fit, or were labelled while it was away. Then what triggers could make
of them has perhaps never been asked for, and their labels wait for that, too."""


def let_wait(tx: Transaction, fit: str, rows: Iterable[int], was_there: int = 0) -> None:
    """Note rows whose labels are to be made once their own pending work is done.

    Args:
        was_there: `WAS_THERE`, `WAS_AWAY`, or 0 for rows that were labelled while the fit was there.
    """
    tx.executemany(
        "INSERT INTO motion_labels_due (fit, row, was_there) VALUES (?, ?, ?) "
        "ON CONFLICT (fit, row) DO UPDATE SET was_there = excluded.was_there",
        [(fit, row, was_there) for row in rows],
    )


def waiting_among(tx: Transaction, fit: str, rows: Sequence[int]) -> dict[int, int]:
    """Return row -> `was_there`, of those of the rows whose labels wait."""
    sql = "SELECT row, was_there FROM motion_labels_due WHERE fit = ?"
    found: dict[int, int] = {}
    for part in parts_of(rows):
        some = tx.execute(f"{sql} AND {part.condition('row')}", (fit, *part.numbers))
        found |= dict(some.fetchall())
    return found


def waiting_after(tx: Transaction, fit: str, row: int) -> dict[int, int]:
    """Return the same of the next rows after one whose labels wait, as many as are held in memory at once."""
    sql = "SELECT row, was_there FROM motion_labels_due WHERE fit = ? AND row > ? ORDER BY row LIMIT ?"
    return dict(tx.execute(sql, (fit, row, COPIES_AT_ONCE)).fetchall())


def wait_no_more(tx: Transaction, fit: str, rows: Iterable[int]) -> None:
    sql = "DELETE FROM motion_labels_due WHERE fit = ? AND row = ?"
    tx.executemany(sql, [(fit, row) for row in rows])


def is_any_waiting(tx: Transaction) -> bool:
    return tx.execute("SELECT 1 FROM motion_labels_due LIMIT 1").fetchone() is not None


def count_waiting(tx: Transaction, fit: FitSpec) -> int:
    """Return how many labels that wait for pending work will be for a fit to learn from. Rows that were there before the fit
    may wait for values that nobody has asked for, and are none of these."""
    found = tx.execute(
        "SELECT row FROM motion_labels_due WHERE fit = ? AND was_there = 0", (fit.name,)
    )
    return sum(not held_out(row, fit.holdout) for (row,) in found)


def may_begin(tx: Transaction, fit: FitSpec, lineage: Sequence[int]) -> bool:
    """Whether a fit that is asked for need not wait for its first label to be whole."""
    sql = "SELECT 1 FROM motion_labels_due WHERE fit = ? AND was_there = 0 LIMIT 1"
    is_any = tx.execute(sql, (fit.name,)).fetchone() is not None
    if not is_any:
        return True
    condition, values = _to_learn(tx, fit, lineage)
    sql = f"SELECT 1 FROM motion_labels WHERE fit = ? AND is_held_out = 0 AND {condition} LIMIT 1"
    return tx.execute(sql, (fit.name, *values)).fetchone() is not None


def see_all(tx: Transaction, fit: str) -> None:
    """Let the labels that are there count for no fit to come."""
    tx.execute(
        "INSERT INTO motion_fit_runs (fit, seen) VALUES (?, ?) ON CONFLICT (fit) DO UPDATE SET seen = excluded.seen",
        (fit, last_label(tx, fit)),
    )


def request_if_due(tx: Transaction, fit: FitSpec, number: int) -> None:
    """Ask for a fit if so many labels are new that it comes by itself."""
    if fit.every is not None and new_labels(tx, fit) >= fit.every:
        request(tx, fit_request(fit), number)


def held_out(row: int, share: float) -> bool:
    """Whether a row's labels are kept for evaluation: always the same rows, about `share` of them."""
    digest = hashlib.sha256(str(row).encode()).digest()
    return int.from_bytes(digest[:8], "big") < share * 2**64


UNLEARNED = (
    "(is_held_out = 1 OR NOT EXISTS (SELECT 1 FROM motion_lessons l "
    "WHERE l.fit = motion_labels.fit AND l.last >= motion_labels.label AND l.first <= motion_labels.label))"
)


def _forget_unlearned(tx: Transaction, fit: str, rows: Sequence[int]) -> int:
    """Delete the labels of rows that no version has learned from; return how many of them no fit has seen. Those that a
    running fit learns from stay until its end: they are the record of what its version knows."""
    learning_to = fit_requests.seen_by(tx, fit)
    if learning_to is None:
        return _delete(tx, fit, rows, UNLEARNED)
    mark = f"UPDATE motion_labels SET is_old = 1 WHERE fit = ? AND row = ? AND label <= ? AND {UNLEARNED}"
    tx.executemany(mark, [(fit, row, learning_to) for row in rows])
    return _delete(tx, fit, rows, f"is_old = 0 AND {UNLEARNED}")


def forget_replaced(tx: Transaction, fit: str) -> None:
    """Delete the labels that were replaced or taken back while a fit ran, and that it has not learned from after all."""
    tx.execute(f"DELETE FROM motion_labels WHERE fit = ? AND is_old = 1 AND {UNLEARNED}", (fit,))


def _delete(tx: Transaction, fit: str, rows: Sequence[int], condition: str) -> int:
    seen = _seen(tx, fit)
    own = f"DELETE FROM motion_labels WHERE fit = ? AND row = ? AND {condition}"
    fresh = tx.executemany(f"{own} AND label > ?", [(fit, row, seen) for row in rows]).rowcount
    tx.executemany(own, [(fit, row) for row in rows])
    return max(int(fresh), 0)


def _seen(tx: Transaction, fit: str) -> int:
    found = tx.execute("SELECT seen FROM motion_fit_runs WHERE fit = ?", (fit,)).fetchone()
    return 0 if found is None else int(found[0])


def _count(tx: Transaction, fit: str, more: int) -> None:
    """Note that so many more labels are newer than what the last fit saw: counting them at each label would be linear."""
    if more:
        tx.execute(
            "INSERT INTO motion_fit_runs (fit, fresh) VALUES (?, ?) "
            "ON CONFLICT (fit) DO UPDATE SET fresh = motion_fit_runs.fresh + excluded.fresh",
            (fit, more),
        )


def forget_rows(tx: Transaction, table: str, fits: Sequence[FitSpec], rows: Sequence[int]) -> None:
    """Delete the labels of deleted rows."""
    for fit in fits:
        if fit.table == table:
            _count(tx, fit.name, -_delete(tx, fit.name, rows, "1 = 1"))
            wait_no_more(tx, fit.name, rows)
    forget_seen(tx, table, rows)


def new_labels(tx: Transaction, fit: FitSpec) -> int:
    """Return how many labels were made since the last fit of any outcome."""
    sql = "SELECT fresh FROM motion_fit_runs WHERE fit = ?"
    found = tx.execute(sql, (fit.name,)).fetchone()
    return 0 if found is None else int(found[0])


def claim(tx: Transaction, wanted: Sequence[Request], owner: str) -> Request | None:
    """Claim one of these that is asked for, and note what it may learn from."""
    found = fit_requests.claim(tx, wanted, owner)
    if found is not None and found.fit:
        forget_replaced(tx, found.fit)
        fit_requests.note_seen(tx, found.fit, last_label(tx, found.fit))
        asked.begin_fit(tx, found.fit)
    return found


def end_fit(tx: Transaction, fit: FitSpec, owner: str, number: int) -> bool:
    """Note that a fit of any outcome is over, having seen the labels that were there when it was claimed, however far it
    came; those made meanwhile may ask for another. Return whether it still was its owner's: another's outcome counts where
    it was taken over."""
    seen = fit_requests.seen_by(tx, fit.name) or 0
    if not fit_requests.end(tx, fit_request(fit), owner):
        return False
    sql = "SELECT COUNT(*) FROM motion_labels WHERE fit = ? AND label > ?"
    fresh = int(tx.execute(sql, (fit.name, seen)).fetchone()[0])
    tx.execute(
        "INSERT INTO motion_fit_runs (fit, seen, fresh) VALUES (?, ?, ?) "
        "ON CONFLICT (fit) DO UPDATE SET seen = excluded.seen, fresh = excluded.fresh",
        (fit.name, seen, fresh),
    )
    request_if_due(tx, fit, number)
    if asked.is_wanted(tx, fit.name):
        request(tx, fit_request(fit), number)
    return True


def labels_for(tx: Transaction, fit: FitSpec, lineage: Sequence[int], seen: int) -> LabelRanges:
    """Return the labels that a fit learns from: those that no version of `lineage` has, or as its `rows` says.

    Args:
        seen: the newest label when it was claimed.
    """
    condition, values = _to_learn(tx, fit, lineage)
    return ranges_where(tx, fit.name, condition, values, newest=seen)


def count_for(tx: Transaction, fit: FitSpec, lineage: Sequence[int]) -> int:
    """Return how many labels a fit would learn from."""
    condition, values = _to_learn(tx, fit, lineage)
    sql = f"SELECT COUNT(*) FROM motion_labels WHERE fit = ? AND is_held_out = 0 AND {condition}"
    return int(tx.execute(sql, (fit.name, *values)).fetchone()[0])


CURRENT = "is_old = 0"


def _to_learn(tx: Transaction, fit: FitSpec, lineage: Sequence[int]) -> tuple[str, tuple[int, ...]]:
    """Return what holds for the labels of a fit that it learns from, but for those held out, and its parameters."""
    if fit.rows == "all":
        return CURRENT, ()
    if fit.rows != "new":
        return f"{CURRENT} AND made_at >= ?", (clock.now_ms() - fit.rows,)
    known = lessons.of_lineage(tx, fit, lineage)
    if not known:
        return CURRENT, ()
    ranges = ", ".join(["(?, ?)"] * len(known))
    outside = (
        f"NOT EXISTS (SELECT 1 FROM (VALUES {ranges}) l WHERE label BETWEEN column1 AND column2)"
    )
    return f"{CURRENT} AND {outside}", tuple(end for each in known for end in each)


def held_out_of(tx: Transaction, fit: str) -> LabelRanges:
    """Return all labels of a fit that are held out for evaluation: they never enter it."""
    return ranges_where(tx, fit, CURRENT, newest=last_label(tx, fit), is_held_out=True)


def rows_of(layout: Layout, copies: Iterable[bytes]) -> Iterator[Any]:
    """Give the rows that labels are copies of."""
    return (_decoded(layout, copy) for copy in copies)


def learned(
    tx: Transaction, layout: Layout, fit: FitSpec, lineage: Sequence[int], limit: int
) -> list[Label]:
    """Return the labels of a fit that versions of a lineage learned from, the latest first."""
    found = tx.execute(
        f"SELECT s.number, b.copy FROM motion_lessons s JOIN motion_labels b ON {lessons.OF_LABEL} "
        f"WHERE s.component = ? AND s.number IN ({', '.join(map(str, lineage))}) AND b.fit = ? "
        "ORDER BY b.label DESC, s.number DESC LIMIT ?",
        (fit.component, fit.name, limit),
    ).fetchall()
    rows = [(number, _decoded(layout, copy)) for number, copy in found]
    pages = layout.table.page_keys
    return [
        Label(fit.name, row.id, {page: getattr(row, page) for page in pages}, number, row)
        for number, row in rows
    ]


def versions_that_learned(
    tx: Transaction, layout: Layout, fit: FitSpec, name: Sequence[Stored]
) -> list[int]:
    """Return the versions whose fit learned from labels of a row, which its id and page keys name."""
    named = " AND ".join(f"{quoted(key)} = ?" for key in layout.table.primary_key)
    found = tx.execute(
        f"SELECT DISTINCT s.number FROM motion_lessons s JOIN motion_labels b ON {lessons.OF_LABEL} "
        f"WHERE s.component = ? AND b.fit = ? AND b.row = (SELECT {layout.row_column} FROM {layout.base} WHERE {named})",
        (fit.component, fit.name, *name),
    ).fetchall()
    return [int(row[0]) for row in found]


def _decoded(layout: Layout, copy: bytes) -> Any:
    stored = msgspec.msgpack.decode(copy)
    return layout.table.instance(
        key.decode(stored.get(name)) for name, key in layout.table.keys.items()
    )


# -- forgetting --


def copies(tx: Transaction, fit: str) -> Iterator[tuple[int, bytes]]:
    """Give the labels of a fit, some at a time, each with its row as it was."""
    last = 0
    sql = "SELECT label, copy FROM motion_labels WHERE fit = ? AND label > ? ORDER BY label LIMIT ?"
    while some := tx.execute(sql, (fit, last, COPIES_AT_ONCE)).fetchall():
        yield from some
        last = some[-1][0]


def put_copies(tx: Transaction, rows: Mapping[int, Mapping[str, Stored]]) -> None:
    """Let labels hold other rows than they did."""
    sql = "UPDATE motion_labels SET copy = ? WHERE label = ?"
    tx.executemany(sql, [(msgspec.msgpack.encode(row), label) for label, row in rows.items()])


def drop(tx: Transaction, fit: str, found: Sequence[int]) -> None:
    """Delete labels."""
    seen = _seen(tx, fit)
    tx.executemany("DELETE FROM motion_labels WHERE label = ?", [(label,) for label in found])
    _count(tx, fit, -sum(label > seen for label in found))


def numbers_of(tx: Transaction, fit: FitSpec, rows: Sequence[int]) -> list[int]:
    """Return the labels of rows."""
    found: list[int] = []
    for part in parts_of(rows):
        sql = f"SELECT label FROM motion_labels WHERE fit = ? AND {part.condition('row')}"
        found += [int(row[0]) for row in tx.execute(sql, (fit.name, *part.numbers))]
    return found


def learned_from(tx: Transaction, fit: FitSpec, found: Sequence[int]) -> dict[int, int]:
    """Return the versions that learned from labels, each with from how many of them."""
    counted: dict[int, int] = {}
    for part in parts_of(found):
        sql = (
            f"SELECT s.number, COUNT(*) FROM motion_lessons s JOIN motion_labels b ON {lessons.OF_LABEL} "
            f"WHERE s.component = ? AND b.fit = ? AND {part.condition('b.label')} GROUP BY s.number"
        )
        for number, count in tx.execute(sql, (fit.component, fit.name, *part.numbers)):
            counted[number] = counted.get(number, 0) + count
    return counted
