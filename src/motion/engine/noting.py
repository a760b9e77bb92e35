"""Noting: what a commit held, taken into the history as runs of the changes that its tasks belong to."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Mapping
from datetime import datetime

from motion import clock
from motion.background.tracebacks import headline
from motion.history import Run
from motion.persistence.changes.claims import Step
from motion.persistence.changes.commit import Commit
from motion.persistence.database import Database


def note_commit(
    database: Database,
    commit: Commit,
    spans: Mapping[int, tuple[float, float]],
    whole: tuple[float, float],
) -> None:
    """Take in what was just written, as runs of the changes that its tasks belong to. Within the transaction, so that who
    waits for the end of a change finds all its runs.

    Args:
        spans: row -> when its call began and ended; of those left out, `whole`.
    """
    if commit.rest is None or commit.is_noted:
        return
    commit.is_noted = True  # a transaction may be made once more
    rows, committed_s = commit.inputs.rows, clock.monotonic_s()
    for task in commit.tasks:
        first, end = bisect_left(rows, task.low), bisect_right(rows, task.high)
        if first == end:
            continue
        own = [spans.get(row, whole) for row in rows[first:end]] if spans else [whole]
        span = min(began for began, _ in own), max(ended for _, ended in own)
        at, places = database.history.moment(span[0]), range(first, end)
        found = (_run_of(commit, step, places, at, span, committed_s) for step in commit.steps)
        runs = [run for run in found if run is not None]
        if runs:
            database.history.note_runs(database.history.course_of(task.change), runs, span[0])


def _run_of(
    commit: Commit,
    step: Step,
    places: range,
    at: datetime,
    span: tuple[float, float],
    committed_s: float,
) -> Run | None:
    is_whole = len(step.met) == len(commit.inputs.rows)
    errors = [] if is_whole else [step.errors[i] for i in places if i in step.errors]
    count = len(places) if is_whole else sum(i in step.met for i in places) + len(errors)
    if not count:
        return None
    table = commit.claim.chain.layout.table
    row_id, *pages = commit.inputs.names[places.start]
    return Run(
        step.spec.name,
        step.spec.source,
        table.keys["id"].decode(row_id),
        dict(zip(table.primary_key[1:], pages, strict=True)),
        count,
        at,
        span[1] - span[0] if step is commit.steps[0] else None,
        committed_s - span[0],
        commit.claim.version or None,
        len(errors),
        headline(errors[0]) if errors else None,
    )
