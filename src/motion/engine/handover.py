"""Handing over backfills to the queue, part by part."""

from __future__ import annotations

from motion.faults import reach
from motion.persistence.database import Database
from motion.persistence.recompute import backfills


def hand_over(database: Database) -> bool:
    """Enqueue the next part of a backfill that this process can run, once the part before has been taken; return
    whether there was one."""
    known = [spec.name for spec in database.graph.triggers.values() if database.may_run(spec)]
    with database.backend.read() as tx:
        backfill = backfills.next_wanted(tx, database.graph, known)
        if backfill is None:
            return False
        spec = database.graph.triggers[backfill.trigger]
        layouts = database.layouts
        part = backfills.next_part(tx, layouts, spec, backfill)
    reach("backfill.chosen")
    database.write(
        lambda tx: backfills.hand_over(tx, layouts, spec, backfill, part),
        is_durable=not part.rows,  # after a power failure it is handed over again; but who waits hears of an end
    )
    return True
