"""Kept: keys that are a lookup or a window themselves, made up in the write that changes what they are made of.

No code of a user's is in them, so they need no task where they are few: a payment that comes late costs one commit, and who
reads next sees the sums of the later ones with it. What is too much for a write, whose lock others wait for, is left to tasks.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from motion.backends.base import Transaction
from motion.definitions.tables.lookups import Lookup
from motion.definitions.tables.windows import Window
from motion.definitions.triggers.specs import TriggerSpec
from motion.errors import InvalidValue
from motion.persistence.inputs.frames import first_held, may_hold
from motion.persistence.inputs.own import Chain, Inputs, read_inputs
from motion.persistence.layout import Layout, mark_of, quoted
from motion.persistence.many import columns_of, select_for_each
from motion.persistence.ranges import parts_of
from motion.persistence.rows.derived import Derived, write_values
from motion.persistence.rows.written import Written
from motion.persistence.states.versions import live_version
from motion.persistence.stored_graph import origin_of
from motion.persistence.tasks import queue

ROWS_AT_ONCE, HELD_AT_ONCE = 100, 5_000
"""Rows of one key that one write makes up at most, and what their windows hold, counted for each of them; both take some
milliseconds."""


def make_up(
    tx: Transaction, layout: Layout, spec: TriggerSpec, rows: Sequence[int], number: int
) -> Written | None:
    """Write a kept key of those rows that are due, as what it is made of is now.

    Args:
        spec: the trigger that keeps it.
        number: of a change that is newer than all that it is made of.

    Returns:
        What that changes; None where it is to be left to tasks.
    """
    upstream = layout.graph.upstream(spec)
    if len(rows) > ROWS_AT_ONCE or (upstream and queue.has_any(tx, upstream)):
        return None
    if any(_holds_many(tx, layout, each, rows) for each in spec.windows):
        return None
    if any(_names_many(tx, layout, each, rows) for each in spec.lookups_of_lists):
        return None
    inputs = read_inputs(tx, _chain(tx, layout, spec), rows)
    if not inputs.rows:
        return Written(layout)
    derived = _derived(tx, layout, spec, inputs, number)
    if derived is None or inputs.unread is not None:
        return None
    written = write_values(tx, layout, inputs.rows, [derived], number)
    written.met_again[spec.name] = inputs.rows
    return written


def _derived(
    tx: Transaction, layout: Layout, spec: TriggerSpec, inputs: Inputs, number: int
) -> Derived | None:
    key, (taken,) = layout.table.keys[spec.sets[0]], spec.elsewhere
    try:
        column = key.encode_column(inputs.chain.decoded(inputs.keys)[taken.column])
    except InvalidValue:  # as a sum that is too large is: a task says of which row
        return None
    seen = layout.graph.sees(spec)
    version = live_version(tx, seen[0]) or 0 if seen else 0
    marks = [mark_of(number, origin_of(tx, spec, version))] * len(inputs.rows)
    return Derived(spec, [column], [inputs.outputs[key.name]], marks)


def _chain(tx: Transaction, layout: Layout, spec: TriggerSpec) -> Chain:
    """Return the trigger as a chain, the same one as before under one graph: it keeps the text of its statement."""
    known = tx.lasting.get((_chain, spec.name))
    if known is None or known.layout is not layout:
        known = tx.lasting[_chain, spec.name] = Chain(layout, (spec,))
    chain: Chain = known
    return chain


def _names_many(tx: Transaction, layout: Layout, lookup: Lookup, rows: Sequence[int]) -> bool:
    """Whether lists name so much that reading it would take long; by their commas, of which texts may have further ones."""
    by, count = f"r.{quoted(lookup.bys[0])}", 0
    for part in parts_of(rows):
        sql = (
            f"SELECT COALESCE(SUM(LENGTH({by}) - LENGTH(REPLACE({by}, ',', '')) + 1), 0) "
            f"FROM {layout.base} r WHERE {part.condition(layout.row)}"
        )
        count += int(tx.execute(sql, part.numbers).fetchone()[0])
    return count > HELD_AT_ONCE


def _holds_many(tx: Transaction, layout: Layout, window: Window, rows: Sequence[int]) -> bool:
    """Whether reading what windows hold would take long."""
    if window.rows is not None:
        return window.rows * len(rows) > HELD_AT_ONCE
    if window.agg == "last":
        return False
    other = Layout(layout.graph.tables.get(window.table), layout.graph)
    own = [layout.place(key) for key in (window.own_by, window.own_order)]
    places: list[Sequence[Any]] = []
    for part in parts_of(rows):
        sql = f"SELECT {', '.join(own)} FROM {layout.base} r WHERE {part.condition(layout.row)}"
        found = tx.execute(sql, part.numbers)
        places += [row for row in found if None not in row]
    if not places:
        return False
    named, at = columns_of(places, 2), other.place(window.other_order, "w")
    held, fixed = may_hold(other, window, "w")
    if window.within is not None:
        named.append([first_held(window, order) for order in named[1]])
        held += f" AND {at} >= {{2}}"
    condition = f"{other.place(window.other_by, 'w')} = {{0}} AND {at} <= {{1}}{held} LIMIT {HELD_AT_ONCE + 1}"
    kinds = [layout.sql_type(window.own_by), *[layout.sql_type(window.own_order)] * 2]
    source = other.source(window.names, "w")
    found = select_for_each(tx, "1", source, condition, named, kinds, fixed=fixed)
    return len(found) > HELD_AT_ONCE
