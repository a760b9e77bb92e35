"""Jobs: what of a component's code runs in a process of its own: setups, fits and evaluations.

A job is sent there with all that it needs, and gives back plain values: nothing of the store's process is shared.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from motion import clock
from motion.definitions.components import Component
from motion.definitions.tables.schema import TableName
from motion.definitions.versions import Progress
from motion.errors import FitFailed, MotionError, shortened
from motion.executors.base import Executor
from motion.persistence.database import Database, Where, condition_of
from motion.persistence.layout import Pins
from motion.persistence.states import fit_requests, format, versions
from motion.search.answer import keys_of
from motion.tracebacks import reason_of, text_of
from motion.views.view import View

T = TypeVar("T")

TOLD_S = 0.5
"""How often progress is written down at most: each time is a commit."""


@dataclass(frozen=True)
class Job:
    """What a job needs: no connection, no lock, no thread of the store's process.

    Attributes:
        fit: the name of the fit, for its progress; None for an evaluation.
        method: of the component.
        manifest: the state to begin with, None where there is none.
        classes: those that the manifest names and the job's process cannot find.
        version: of the component that its view sees.
        like: a version whose rows alone its searches are among: those of a sample.
    """

    open_database: Callable[[], Database]
    component: Component
    fit: str | None
    method: str
    folder: Path
    manifest: str | None = None
    classes: Mapping[str, type] | None = None
    version: int | None = None
    like: int | None = None
    rows: Sequence[Any] = ()


class JobProcess:
    """Where a component's jobs run: a process of its own, and another beside it where one is under way.

    Args:
        reader: returns what opens the store, as its schemas are now, in another process.
    """

    def __init__(
        self,
        database: Database,
        component: str,
        process: Executor,
        reader: Callable[[], Callable[[], Database]],
    ) -> None:
        self._database, self._name = database, component
        self._process, self._reader = process, reader

    def run(
        self,
        function: Callable[[Job], T],
        method: str,
        version: int | None,
        rows: Sequence[Any] = (),
        timeout_s: float | None = None,
        fit: str | None = None,
        like: int | None = None,
    ) -> T:
        """Run a job on a state version, and return what it gives.

        Raises:
            FitFailed: the component's code raised, or took longer than it may.
            ProcessLost: the process has ended.
        """
        code = self._database.code.components[self._name]
        manifest = None
        if version is not None:
            with self._database.backend.read() as tx:
                manifest = versions.manifest_of(tx, self._name, version)
        classes = None if manifest is None else format.classes_of(manifest, code)
        folder = self._database.backend.folder
        job = Job(self._reader(), code, fit, method, folder, manifest, classes, version, like, rows)
        try:
            made: T = self._process.run(partial, function, job, timeout_s=timeout_s)
            return made
        except TimeoutError as exc:
            reason = f"it took longer than its timeout of {timeout_s:g} s, and was ended"
            raise FitFailed(f"{self._name}.{method}", reason, "") from exc

    def close(self) -> None:
        self._process.close()


def run_setup(job: Job) -> tuple[str, float] | None:
    """Call `setup`, and return the manifest of the state it gives and the seconds it took; None where it gives none."""
    started = clock.monotonic_s()
    with _errors_told(job):
        state = job.component.setup()
        if state is None:
            return None
        manifest = format.save_state(job.folder, job.component, state)
    return manifest, clock.monotonic_s() - started


def run_fit(job: Job) -> tuple[str, float]:
    """Call a fit, and return the manifest of the state it gives and the seconds it took."""
    started = clock.monotonic_s()
    state = _call(job)
    if state is None:
        raise MotionError(
            f"fit {job.component.name}.{job.method} returned None; it returns the next state."
        )
    with _errors_told(job):
        manifest = format.save_state(job.folder, job.component, state)
    return manifest, clock.monotonic_s() - started


def run_evaluate(job: Job) -> dict[str, float]:
    """Call `evaluate` and return its metrics as plain numbers."""
    found = _call(job)
    with _errors_told(job):
        if not isinstance(found, Mapping):
            name = f"{job.component.name}.{job.method}"
            raise MotionError(
                f"{name} returns a dict of metrics and their values, not {shortened(found)}."
            )
        figures = {_readable(name): _number(job, name, value) for name, value in found.items()}
        return {name: value for name, value in figures.items() if value is not None}


def _readable(name: Any) -> str:
    """Return a metric's name as a database takes it."""
    return str(name).encode("utf-8", "backslashreplace").decode()


def _number(job: Job, metric: Any, given: Any) -> float | None:
    """Return a metric's value as a plain number; None, as nothing was measured, stays None."""
    if given is None:
        return None
    try:
        number = given.item() if hasattr(given, "item") else given  # of arrays and tensors with one
        if not isinstance(number, str | bytes):
            return float(number)
    except Exception:  # noqa: BLE001 - it may be anything: what it is, is said below
        pass
    raise MotionError(
        f"{job.component.name}.{job.method} gave {shortened(given)} ({type(given).__name__}) for {metric!r}; metrics are "
        f"numbers, and what was not measured is left out."
    )


def _call(job: Job) -> Any:
    global _told
    name = job.component.name
    state = None
    if job.manifest is not None:
        with _errors_told(job):
            state = format.load_state(job.folder, job.component, job.manifest, job.classes)
    database = job.open_database()
    try:
        _told = _Told(database, job.fit) if job.fit else None
        pins = {} if job.version is None else {name: job.version}
        view = (
            View(database, [], pins) if job.like is None else SampleView(database, pins, job.like)
        )
        with _errors_told(job):
            method = getattr(job.component, job.method)
            arguments = (state, list(job.rows), view)
            return method(*arguments[: len(inspect.signature(method).parameters)])
    finally:
        _told = None
        database.close()


@contextmanager
def _errors_told(job: Job) -> Iterator[None]:
    """Tell what a component's code raises, of whatever class, as text: the error itself may not pickle."""
    try:
        yield
    except BaseException as exc:  # noqa: BLE001 - user code: anything may come out
        name = f"{job.component.name}.{job.method}"
        raise FitFailed(name, reason_of(exc), text_of(exc)) from None


class SampleView(View):
    """A view whose searches are among the rows that a version has outputs for: so a sample is fair to both."""

    def __init__(self, database: Database, pins: Pins, like: int) -> None:
        super().__init__(database, [], pins)
        self._like = like

    def search(
        self,
        key: str | Sequence[str],
        vector: Any = None,
        *,
        table: TableName | None = None,
        text: str | Sequence[str] | None = None,
        k: int = 10,
        where: Where = None,
        params: Sequence[Any] = (),
        keys: Sequence[str] | None = None,
    ) -> list[Any]:
        found = keys_of(self._database, key, table)
        layout = self._database.layout(found[0][0].name)
        specs = {
            layout.versioned[name]
            for name in (each.name for _, each in found)
            if name in layout.versioned and layout.versioned[name].component in self._pins
        }
        condition, values = condition_of(layout, where, params)
        parts = [versions.has_output(spec, self._like) for spec in specs]
        parts += [f"({condition})"] if condition is not None else []
        both = " AND ".join(parts) or None
        return super().search(
            key, vector, table=table, text=text, k=k, where=both, params=values, keys=keys
        )


# -- progress --


class _Told:
    """Where the progress of the fit that runs in this process goes."""

    def __init__(self, database: Database, fit: str) -> None:
        self._database, self._fit = database, fit
        self._at_s = -math.inf

    def note(self, told: Progress) -> None:
        if told.step != told.total and clock.monotonic_s() - self._at_s < TOLD_S:
            return
        self._at_s = clock.monotonic_s()
        self._database.backend.write(
            lambda tx: fit_requests.note_progress(tx, self._fit, told), is_durable=False
        )


_told: _Told | None = None


def progress(step: int, total: int | None = None, **figures: float) -> None:
    """Tell how far a fit is: `motion.progress(step, total, loss=0.3)` inside its method, as often as you like.

    Outside it shows as `store.model(...).progress` and in `store.status()`, from any process. Called anywhere else than
    in a fit, it does nothing: the method can be tried by hand.

    Args:
        step: how much is done.
        total: of how much, where that is known.
        **figures: further numbers to show, such as a loss.
    """
    given = {name: float(value) for name, value in figures.items()}
    shown = {name: value for name, value in given.items() if math.isfinite(value)}
    told = Progress(int(step), None if total is None else int(total), shown, clock.now())
    if _told is not None:
        _told.note(told)
