"""Fitting: how a component's state versions come about and go live.

    labels --fit, in a process of its own--> candidate --its outputs built beside the live ones--> evaluate --> live

Owns the order of these steps. Each is one transaction that another process can go on from.
"""

from __future__ import annotations

import inspect
import logging
import threading
import traceback
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from motion import clock
from motion.backends.base import Transaction
from motion.components import Component, FitSpec
from motion.database import Database
from motion.errors import FitFailed, MotionError, StoreClosed
from motion.owners import Owner
from motion.persistence import files, labels, queue, states
from motion.persistence.cascade import due_rows, enqueue_rows
from motion.persistence.catalog import last_number, next_number
from motion.persistence.rows import clear_marks
from motion.tasks import BACKFILL_PRIORITY, Cause, ranges_of
from motion.view import View

logger = logging.getLogger(__name__)

IDLE_WAIT_S = 0.5
_setup_lock = threading.Lock()


def ensure_live(database: Database, component: str) -> int | None:
    """Return a component's live version, made by its `setup` if there was none; None while it waits for a fit."""
    with database.backend.read() as tx:
        live = states.live_version(tx, component)
    if live is not None:
        return live
    with _setup_lock:
        with database.backend.read() as tx:
            live = states.live_version(tx, component)
        return live if live is not None else _set_up(database, component)


def _set_up(database: Database, name: str) -> int | None:
    component = database.code.components[name]
    started = clock.monotonic_s()
    state = component.setup()
    if state is None:
        return None
    manifest = files.save_state(database.backend.folder, name, component.save(state))
    seconds = clock.monotonic_s() - started

    def work(tx: Transaction) -> int:
        live = states.live_version(tx, name)
        if live is None:  # otherwise another process was first, and its state is as good
            live = states.add_version(tx, name, "live", manifest=manifest, duration_s=seconds)
            states.set_live(tx, name, live)
        return live

    version = database.write(work)
    database.state(name, version)
    return version


# -- in the process of the fit --


@dataclass(frozen=True)
class Job:
    """What a fit or an evaluation needs in its own process: no connection, no lock, no thread of this one."""

    open_database: Callable[[], Database]
    component: Component
    method: str
    folder: Path
    manifest: str | None
    version: int | None
    rows: Sequence[Any]


def run_fit(job: Job) -> tuple[str, float]:
    """Call a fit, and return the manifest of the state it gives and the seconds it took."""
    started = clock.monotonic_s()
    state = _call(job)
    if state is None:
        raise MotionError(
            f"fit {job.component.name}.{job.method} returned None; it returns the next state."
        )
    manifest = files.save_state(job.folder, job.component.name, job.component.save(state))
    return manifest, clock.monotonic_s() - started


def run_evaluate(job: Job) -> dict[str, float]:
    """Call `evaluate` and return its metrics as plain numbers."""
    found = _call(job)
    if not isinstance(found, Mapping):
        name = f"{job.component.name}.{job.method}"
        raise MotionError(f"{name} returns a dict of metrics and their values, not {found!r}.")
    return {str(name): float(value) for name, value in found.items()}


def _call(job: Job) -> Any:
    name = job.component.name
    state = None
    if job.manifest is not None:
        state = job.component.load(files.load_state(job.folder, name, job.manifest))
    database = job.open_database()
    try:
        view = View(database, [], {} if job.version is None else {name: job.version})
        method = getattr(job.component, job.method)
        arguments = (state, list(job.rows), view)
        return method(*arguments[: len(inspect.signature(method).parameters)])
    except Exception as exc:  # noqa: BLE001 - user code: anything may come out
        reason, trace = f"{type(exc).__name__}: {exc}", "".join(traceback.format_exception(exc))
        raise FitFailed(f"{name}.{job.method}", reason, trace) from None  # its cause may not pickle
    finally:
        database.close()


# -- in the process of the store --


class Fitter:
    """Runs the fits of one store that are asked for, and brings candidates to their end."""

    def __init__(
        self,
        database: Database,
        owner: Owner,
        processes: Executor,
        reader: Callable[[], Callable[[], Database]],
    ) -> None:
        self._database, self._owner = database, owner
        self._processes, self._reader = processes, reader
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._loop, name="motion-fitter", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def begin_stop(self) -> None:
        """From now on a fit that ends is not noted: its process is about to be ended."""
        self._stop.set()

    def stop(self, timeout_s: float = 10.0) -> None:
        self._stop.set()
        self._database.backend.wake()
        self._thread.join(timeout_s)

    def _loop(self) -> None:
        while True:
            try:
                commits = self._database.backend.committed.count
                if self._stop.is_set():
                    return
                if not self._step():
                    self._database.backend.committed.wait(commits, IDLE_WAIT_S)
            except StoreClosed:
                return
            except Exception:
                if self._stop.is_set():
                    return
                logger.exception(
                    "the fitter of store %r met an error and goes on", self._database.name
                )
                self._stop.wait(IDLE_WAIT_S)

    def _step(self) -> bool:
        advanced = [self._advance(name) for name in self._database.code.components]
        fit = self._claim()
        if fit is not None:
            self._fit(fit)
        return fit is not None or any(advanced)

    def _claim(self) -> FitSpec | None:
        names = list(self._database.code.fits)
        with self._database.backend.read() as tx:
            gone = [owner for owner in labels.fit_owners(tx) if self._owner.is_gone(owner)]
            if not names or (not gone and not labels.fits_pending(tx)):
                return None

        def work(tx: Transaction) -> str | None:
            labels.take_over_fits(tx, gone)
            return labels.claim_fit(tx, names, self._owner.name)

        claimed = self._database.write(work)
        return self._database.code.fits[claimed].spec if claimed else None

    def _fit(self, fit: FitSpec) -> None:
        layout = self._database.layouts[fit.table]
        method = self._database.code.fits[fit.name].function.__name__
        parent, seen = None, 0
        try:
            parent = ensure_live(self._database, fit.component)
            with self._database.backend.read() as tx:
                seen = labels.last_label(tx, fit.name)
                lineage = states.lineage(tx, fit.component, parent)
                numbers, rows, _ = labels.labels_for(tx, layout, fit, lineage)
            if not rows:
                self._database.write(lambda tx: labels.end_fit(tx, fit, seen, last_number(tx)))
                return
            manifest, seconds = self._in_process(run_fit, fit.component, method, parent, rows)
        except Exception as exc:  # noqa: BLE001 - the user's code, or the end of its process: a failed fit, which loses no label
            if not self._stop.is_set():  # else it ended with the store: the next start fits again
                self._note_failure(fit, parent, seen, exc)
            return
        logger.info("fit %s learned from %d labels in %.1f s", fit.name, len(rows), seconds)

        def work(tx: Transaction) -> None:
            number = states.add_version(
                tx,
                fit.component,
                "candidate",
                parent=parent,
                manifest=manifest,
                labels=len(numbers),
                duration_s=seconds,
            )
            labels.note_lessons(tx, numbers, fit.component, number)
            labels.end_fit(tx, fit, seen, last_number(tx))
            begin_switch(tx, self._database, fit.component, number, is_gated=True)

        self._database.write(work)

    def _in_process(
        self,
        function: Callable[[Job], Any],
        component: str,
        method: str,
        version: int | None,
        rows: Sequence[Any],
    ) -> Any:
        with self._database.backend.read() as tx:
            manifest = None if version is None else states.manifest_of(tx, component, version)
        job = Job(
            self._reader(), self._database.code.components[component], method,
            self._database.backend.folder, manifest, version, rows,
        )  # fmt: skip
        return self._processes.submit(function, job).result()

    def _note_failure(self, fit: FitSpec, parent: int | None, seen: int, exc: Exception) -> None:
        trace = (
            exc.trace if isinstance(exc, FitFailed) else "".join(traceback.format_exception(exc))
        )
        reason = exc.reason if isinstance(exc, FitFailed) else f"{type(exc).__name__}: {exc}"

        def work(tx: Transaction) -> int:
            metrics = {"reason": reason, "traceback": trace}
            labels.end_fit(tx, fit, seen, last_number(tx))
            return states.add_version(tx, fit.component, "failed", parent=parent, metrics=metrics)

        number = self._database.write(work)
        logger.warning(
            "fit %s failed, and is version %d; no label is lost: %s", fit.name, number, reason
        )

    def _advance(self, component: str) -> bool:
        """Bring a candidate a step further; return whether anything was done."""
        with self._database.backend.read() as tx:
            number = states.candidate_version(tx, component)
            if number is None:
                return False
            remaining, dead = queue.version_is_built(
                tx, _versioned(self._database, component), number
            )
            first_error = queue.first_error(tx, number) if dead else ""
            is_gated = states.is_gated(tx, component)
            live = states.live_version(tx, component)
            metrics = next(v.metrics for v in states.versions(tx, component) if v.number == number)
        if dead:
            reason = f"{dead} row(s) could not be remade with it, the first for {first_error}"
            self._database.write(
                lambda tx: refuse(tx, self._database, component, number, {"reason": reason})
            )
            return True
        if remaining or (is_gated and "is_ready" in metrics):
            return False
        if is_gated and not self._passes(component, number, live):
            return True
        self._make_indexes_ready(component, number)
        self._database.write(lambda tx: switch(tx, self._database, component, number))
        self._database.write(lambda tx: forget_old_outputs(tx, self._database, component))
        return True

    def _make_indexes_ready(self, component: str, number: int) -> None:
        """Build the indexes of a version before it is live: then no search waits for them."""
        for name in _versioned(self._database, component):
            layout = self._database.layouts[self._database.graph.triggers[name].table]
            for key in self._database.graph.triggers[name].sets:
                if layout.table.keys[key].is_array:
                    self._database.indexes.make_ready(layout, layout.table.keys[key], number)

    def _passes(self, component: str, number: int, live: int | None) -> bool:
        """Measure a candidate beside the live version, and decide as its fit says."""
        fit = next(
            f.spec for f in self._database.code.fits.values() if f.spec.component == component
        )
        new = self._evaluated(fit, number)
        old = None if live is None else self._evaluated(fit, live)
        reason = fit.promote.decide(new, old)
        metrics: dict[str, Any] = {**new, **({"live": old} if old else {})}
        if reason is not None:
            self._database.write(
                lambda tx: refuse(
                    tx, self._database, component, number, {**metrics, "reason": reason}
                )
            )
            return False
        if fit.promote.kind == "manual":
            metrics["is_ready"] = True
            self._database.write(
                lambda tx: states.set_status(tx, component, number, "candidate", metrics)
            )
            return False
        self._database.write(
            lambda tx: states.set_status(tx, component, number, "candidate", metrics)
        )
        return True

    def _evaluated(self, fit: FitSpec, version: int) -> dict[str, float]:
        component = self._database.code.components[fit.component]
        if not hasattr(component, "evaluate"):
            return {}
        with self._database.backend.read() as tx:
            _, _, held = labels.labels_for(tx, self._database.layouts[fit.table], fit, ())
        try:
            found: Mapping[str, float] = self._in_process(
                run_evaluate, fit.component, "evaluate", version, held
            )
            return dict(found)
        except Exception as exc:  # noqa: BLE001 - user code: a version that cannot be measured is not better
            logger.warning("%s on version %d: %s", fit.component, version, exc)
            return {}


# -- the transactions --


def begin_switch(
    tx: Transaction, database: Database, component: str, number: int, *, is_gated: bool
) -> None:
    """Make a version the candidate, and enqueue the outputs that it lacks. A candidate before it is superseded."""
    before = states.candidate_version(tx, component)
    if before is not None and before != number:
        refuse(tx, database, component, before, {"reason": f"superseded by version {number}"})
    live = states.live_version(tx, component)
    states.set_candidate(tx, component, number, is_gated=is_gated)
    if number != live:
        states.set_status(tx, component, number, "candidate")
    change = next_number(tx)
    cause = Cause(change, change, priority=BACKFILL_PRIORITY)
    for name in _versioned(database, component):
        spec = database.graph.triggers[name]
        layout = database.layouts[spec.table]
        if live is not None:  # rows set from now on get a task for each version
            missing = {
                *states.rows_without_outputs(tx, layout, spec, live, number),
                *due_rows(tx, layout, spec),
            }
            queue.enqueue(tx, spec, ranges_of(missing), cause, version=number)


def refuse(
    tx: Transaction, database: Database, component: str, number: int, metrics: Mapping[str, Any]
) -> None:
    """Take back a candidate; it stays as a version, with its figures and the reason."""
    queue.drop_version(tx, _versioned(database, component), number)
    states.set_candidate(tx, component, None)
    states.set_status(tx, component, number, "refused", dict(metrics))


def switch(tx: Transaction, database: Database, component: str, number: int) -> None:
    """Make a built candidate live. Its values are beside the live ones already, so this changes one number."""
    remaining, _ = queue.version_is_built(tx, _versioned(database, component), number)
    if states.candidate_version(tx, component) != number or remaining:
        return  # superseded, or rows came meanwhile: it is looked at again after the next commit
    before = states.live_version(tx, component)
    change = next_number(tx)
    for name in _versioned(database, component):
        spec = database.graph.triggers[name]
        followed = [k for k in spec.sets if (spec.table, k) in database.graph.listeners]
        if before is not None and followed:
            states.number_differences(tx, spec, followed, before, number, change)
    states.set_live(tx, component, number)
    cause = Cause(change, change, priority=BACKFILL_PRIORITY)
    _run_what_follows(tx, database, component, cause, is_first=before is None)


def _run_what_follows(
    tx: Transaction, database: Database, component: str, cause: Cause, *, is_first: bool
) -> None:
    """Enqueue what derives from the outputs that were switched, the outputs to refresh after a switch, and, with the
    first version, what has been waiting for it."""
    graph = database.graph
    for spec in graph.triggers.values():
        layout = database.layouts[spec.table]
        follows = any(
            key in layout.versioned and layout.versioned[key].component == component
            for key in spec.on
        )
        if spec.component == component and spec.refresh == "after":
            clear_marks(tx, layout, spec)
        elif not (follows or (is_first and component in spec.components)):
            continue
        enqueue_rows(tx, layout, spec, due_rows(tx, layout, spec), cause)


def forget_old_outputs(tx: Transaction, database: Database, component: str) -> None:
    """Delete the outputs of versions that nobody can go back to at once: all but live, candidate and live's forerunner."""
    keep = states.kept_versions(tx, component)
    for name in _versioned(database, component):
        states.delete_outputs(tx, database.graph.triggers[name], keep)
        for key in database.graph.triggers[name].sets:
            database.indexes.keep_versions(
                database.layouts[database.graph.triggers[name].table], key, keep
            )


def _versioned(database: Database, component: str) -> list[str]:
    return [
        s.name
        for s in database.graph.triggers.values()
        if s.component == component and s.is_versioned
    ]
