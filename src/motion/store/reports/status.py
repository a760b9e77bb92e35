"""Status: what a store is doing, as values, and as a page of text to read."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html import escape

from motion import clock
from motion.backends.base import Transaction
from motion.background.owners import what_they_have
from motion.definitions.tasks import TaskStatus
from motion.definitions.triggers.specs import TriggerSpec
from motion.definitions.versions import Progress
from motion.notebook import lines_of, table_of
from motion.persistence import stored_graph
from motion.persistence.changes.erasing import open_forgets
from motion.persistence.database import Database
from motion.persistence.inputs.outside import count_held
from motion.persistence.numbers import last_number
from motion.persistence.recompute import backfills
from motion.persistence.rows import provenance
from motion.persistence.states import fit_requests
from motion.persistence.states import versions as states
from motion.persistence.tasks import backlog, once, timeline
from motion.persistence.tasks.discards import called_again, discarded
from motion.store.reports.explain import duration

CHEAP_COUNT_S = 0.25
"""Counting what is stale reads all marks of a table. A count that took longer than this is shown for a while."""

COUNTED_AGAIN_AFTER = 20
"""How many times its own duration such a count is shown: looking at a large store takes at most a twentieth of a core."""


@dataclass(frozen=True)
class TriggerStatus:
    """What one trigger is doing.

    Attributes:
        tasks: status (ready, claimed, blocked, dead) -> how many tasks; a task may hold many rows.
        rows: the rows of those that are not dead.
        stale: rows whose outputs are not what the trigger would make, as `Plan.stale` tells, whether or not this process has the
            table's schema.
        calls: how often the present code has been called, in all processes; what another process has done in the last
            half second may be missing.
        seconds: what a call takes on average; None where there was none.
        per_second: calls a second in this process, in the last 10 to 20 seconds.
        has_code: whether this process has its code.
        needs: what a worker must have to run it.
        may_run: whether this process can run it: it has the code, and what is needed.
    """

    tasks: Mapping[str, int]
    rows: int
    stale: int
    calls: int
    seconds: float | None
    per_second: float
    has_code: bool
    needs: Sequence[str]
    may_run: bool


@dataclass(frozen=True)
class BackfillStatus:
    """Work in bulk that still has rows to enqueue: a backfill, or what a new state version brings.

    Attributes:
        change: the key of its change: `store.change(key)` waits for it, or cancels a backfill.
        total: rows to make as counted when it began, or, for one that began by itself, the most that there can be.
        remaining: how many of them it has not come to.
        kind: "backfill"; "build" of a candidate version's outputs; "refresh" of what derives from a version that has
            gone live; "sweep" of what looks up something that has changed. Only a backfill can be cancelled.
    """

    change: int
    trigger: str
    total: int
    remaining: int
    kind: str = "backfill"


@dataclass(frozen=True)
class Status:
    """What a store is doing. Its text, `str(status)`, is made to be read.

    Attributes:
        triggers: what each trigger is doing.
        orphaned: tasks of triggers that this store does not have any more.
        backfills: recomputations in bulk that are under way, those of a new state version too.
        fits: fits that are asked for or running.
        running_fits: the names of those that are running.
        versions: component -> its live version, None where it has none yet.
        fit_progress: component -> what its running fit told last by `motion.progress`.
        last_change: the number of the last change.
        called_again: trigger -> rows that were called again, ever, as what they had read through `store` had changed.
        forgetting: how often rows were forgotten of which not every byte is out of the folder yet.
        done_once: trigger -> on how many of the rows that are there it has succeeded, of those with `once=`.
        discarded: trigger -> rows that its `discard_after` or `discard_beyond` has dropped, ever.
        waiting_for: trigger -> what it needs, of those that have rows to do and that no process at work on this machine can
            run: none has all of it.
    """

    name: str
    triggers: Mapping[str, TriggerStatus]
    orphaned: int
    backfills: Sequence[BackfillStatus]
    fits: int
    running_fits: Sequence[str]
    versions: Mapping[str, int | None]
    fit_progress: Mapping[str, Progress]
    last_change: int
    discarded: Mapping[str, int]
    called_again: Mapping[str, int]
    forgetting: int
    done_once: Mapping[str, int]
    waiting_for: Mapping[str, Sequence[str]]

    @property
    def tasks(self) -> dict[str, Mapping[str, int]]:
        """Trigger -> status -> how many tasks, for the triggers that have any."""
        return {name: each.tasks for name, each in self.triggers.items() if each.tasks}

    def __repr__(self) -> str:
        rows = sum(each.rows for each in self.triggers.values())
        failed = sum(each.tasks.get("dead", 0) for each in self.triggers.values())
        return f"<status of store {self.name!r}: {rows} row(s) to do, {failed} given up>"

    def _repr_html_(self) -> str:
        lines = str(self).splitlines()
        beside = lines[len(self.triggers) + 2 if self.triggers else 1 :]
        table = table_of(
            [
                dict(zip(HEADINGS, _cells(name, each), strict=True))
                for name, each in self.triggers.items()
            ]
        )
        return f"<p>{escape(lines[0])}</p>{table}{lines_of(beside) if beside else ''}"

    def __str__(self) -> str:
        rows = sum(each.rows for each in self.triggers.values())
        lines = [f"store {self.name}: {rows} row(s) to do, last change {self.last_change}"]
        lines += _table([HEADINGS, *(_cells(name, each) for name, each in self.triggers.items())])
        for each in self.backfills:
            done = each.total - each.remaining
            lines.append(
                f"{each.kind} of {each.trigger}: has come to {done} of {each.total} rows (change {each.change})"
            )
        for component, version in self.versions.items():
            live = "no version is live yet" if version is None else f"version {version} is live"
            lines.append(f"{component}: {live}")
        if self.fits:
            running = f", running: {', '.join(self.running_fits)}" if self.running_fits else ""
            lines.append(f"{self.fits} fit(s) asked for{running}")
        lines += [f"{name}: its fit is at {told}" for name, told in self.fit_progress.items()]
        for trigger, rows in self.called_again.items():
            lines.append(
                f"{trigger}: {rows} row(s) were called again, as what they had read had changed"
            )
        for trigger, rows in self.done_once.items():
            lines.append(f"{trigger}: {rows} row(s) are done, once and for all")
        for trigger, rows in self.discarded.items():
            lines.append(f"{trigger}: {rows} row(s) were discarded, as its policy says")
        for trigger, needs in self.waiting_for.items():
            lines.append(
                f"{trigger}: {self.triggers[trigger].rows} row(s) wait for a process that has {' and '.join(needs)}; none at "
                f"work here has ('motion run --has {needs[0]}')"
            )
        if self.forgetting:
            lines.append(
                f"{self.forgetting} forgetting(s) are under way: the file is to be rewritten"
            )
        if self.orphaned:
            lines.append(
                f"{self.orphaned} task(s) of triggers that are gone, kept for their return; store.drop() drops them"
            )
        return "\n".join(lines)


HEADINGS = (
    "trigger", "rows to do", "ready", "running", "blocked", "failed", "stale", "calls", "a call", "calls/s",
)  # fmt: skip


def _cells(name: str, each: TriggerStatus) -> Sequence[str]:
    counts = [str(each.tasks.get(status.name.lower(), 0)) for status in SHOWN_STATUSES]
    mean = "-" if each.seconds is None else duration(each.seconds)
    shown = name if each.may_run else f"{name} (not run here)"
    return (
        shown, str(each.rows), *counts, str(each.stale), str(each.calls), mean,
        f"{each.per_second:.3g}",
    )  # fmt: skip


SHOWN_STATUSES = (TaskStatus.READY, TaskStatus.CLAIMED, TaskStatus.BLOCKED, TaskStatus.DEAD)


def _table(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            cell.ljust(width) if place == 0 else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in (rows if len(rows) > 1 else ())
    ]


@dataclass
class StaleCounts:
    """How many rows of each trigger are stale; counts that are dear are shown again for a while. Thread-safe."""

    _counts: dict[tuple[str, str], _Count] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def of(self, tx: Transaction, database: Database, spec: TriggerSpec) -> int:
        if spec.event:
            return 0  # what it ran on is over
        if not provenance.may_be_stale(tx, database.layouts[spec.table], spec):
            return 0  # no row needs to be looked at
        with self._lock:
            known = self._counts.get((spec.name, spec.fingerprint))
            started = clock.monotonic_s()
            if known is None or not known.holds(started):
                rows = provenance.stale_rows(tx, database.layouts[spec.table], spec)
                rows += count_held(tx, database.layouts, spec)
                known = _Count(rows, started, clock.monotonic_s() - started)
                self._counts[spec.name, spec.fingerprint] = known
            return known.rows


@dataclass(frozen=True)
class _Count:
    rows: int
    counted_s: float
    took_s: float

    def holds(self, now_s: float) -> bool:
        is_dear = self.took_s > CHEAP_COUNT_S
        return is_dear and now_s - self.counted_s < COUNTED_AGAIN_AFTER * self.took_s


def status_of(database: Database, counts: StaleCounts) -> Status:
    """Return what a store is doing."""
    with database.backend.read() as tx:
        tasks, rows = backlog.depths(tx), backlog.rows_to_do(tx)
        specs = stored_graph.active_specs(tx)
        ordered = [*database.graph.order, *specs]  # in the order in which they feed each other
        components = sorted({*database.code.components, *stored_graph.active_components(tx)})
        return Status(
            name=database.name,
            triggers={
                name: _trigger_status(
                    tx, database, specs[name], tasks.get(name, {}), rows.get(name, 0), counts
                )
                for name in dict.fromkeys(ordered)
                if name in specs
            },
            orphaned=sum(sum(each.values()) for name, each in tasks.items() if name not in specs),
            backfills=[
                BackfillStatus(
                    each.change,
                    each.trigger,
                    each.total,
                    each.remaining,
                    "backfill" if each.is_asked else each.kind,
                )
                for each in backfills.unfinished(tx)
            ],
            fits=sum(each in database.components(tx) for each in fit_requests.pending(tx)),
            running_fits=fit_requests.running(tx),
            versions={name: states.live_version(tx, name) for name in components},
            fit_progress={
                name: told for name in components if (told := fit_requests.progress_of(tx, name))
            },
            last_change=last_number(tx),
            discarded=discarded(tx),
            called_again=called_again(tx),
            forgetting=len(open_forgets(tx)),
            done_once=once.done(tx),
            waiting_for=_waiting_for(database, specs, rows),
        )


def _trigger_status(
    tx: Transaction,
    database: Database,
    spec: TriggerSpec,
    tasks: Mapping[str, int],
    rows: int,
    counts: StaleCounts,
) -> TriggerStatus:
    code = (spec.name, spec.fingerprint, None)
    cost = timeline.cost_of(tx, code) + database.costs.unkept(code)
    return TriggerStatus(
        tasks=tasks,
        rows=rows,
        stale=counts.of(tx, database, spec),
        calls=cost.calls,
        seconds=cost.mean,
        per_second=database.costs.per_second(spec.name),
        has_code=database.has_code(spec),
        needs=spec.needs,
        may_run=database.may_run(spec),
    )


def _waiting_for(
    database: Database, specs: Mapping[str, TriggerSpec], rows: Mapping[str, int]
) -> dict[str, Sequence[str]]:
    """Return what triggers need that have rows to do and that no process at work can run."""
    wanted = {name: specs[name].needs for name in specs if specs[name].needs and rows.get(name)}
    at_work = what_they_have(database.backend.folder) if wanted else []
    return {
        name: needs
        for name, needs in wanted.items()
        if not any(has.issuperset(needs) for has in at_work)
    }
