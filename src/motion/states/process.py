"""Jobs: what of a component's code runs in a process of its own, here or on a cluster: setups, fits and evaluations.

A job is sent there with all that it needs, and gives back plain values: nothing of the store's process is shared.
"""

from __future__ import annotations

import hashlib
import inspect
import logging
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

from motion import clock
from motion.background.tracebacks import reason_of, text_of
from motion.definitions.components import Component
from motion.definitions.fits import Fit
from motion.definitions.tables.schema import TableName
from motion.definitions.triggers.options import Resources
from motion.definitions.versions import Progress
from motion.errors import (
    FitFailed,
    MotionError,
    ProcessLost,
    StoreOutOfReach,
    StoreUnavailable,
    shortened,
)
from motion.executors.base import Executors, KeptConstant
from motion.persistence.database import Database, Where, condition_of
from motion.persistence.layout import Pins
from motion.persistence.states import fit_requests, format, labels, versions
from motion.persistence.states.files import Source
from motion.persistence.states.format import Sent
from motion.persistence.states.label_ranges import LabelRanges
from motion.search.question import keys_of
from motion.views.view import VersionView, View

logger = logging.getLogger(__name__)

T = TypeVar("T")

TOLD_S = 0.5
"""How often progress is written down at most: each time is a commit."""


LOSSES = 3
"""How many processes of the cluster a job may lose: one or two may be lost with their nodes, the third by the job itself."""


@dataclass(frozen=True)
class Job:
    """What a job needs: no connection, no lock, no thread of the store's process.

    Attributes:
        method: of the component.
        folder: the store's; None where that may be out of reach, and states come along and go back whole.
        manifest: the state to begin with, None where there is none.
        source: where its files are.
        classes: those that the manifest names and the job's process cannot find.
        version: of the component that its view sees.
        fit: the name of the fit, for its progress; None for an evaluation.
        like: a version whose rows alone its searches are among: those of a sample.
        labels: those whose rows it is given. It reads them itself, so that they pass through no other process.
        table: the one whose rows these are.
        rows: what it is given where the store may be out of reach, so that it cannot.
        batch: they are given as lists of so many at most.
    """

    open_database: Callable[[], Database]
    component: Component
    method: str
    folder: Path | None
    manifest: str | None = None
    source: Source | None = None
    classes: Mapping[str, type] | None = None
    version: int | None = None
    fit: str | None = None
    like: int | None = None
    labels: LabelRanges | None = None
    table: str = ""
    rows: Sequence[Any] = ()
    batch: int | None = None

    @property
    def name(self) -> str:
        return f"{self.component.name}.{self.method}"


@dataclass(frozen=True)
class Made:
    """A state that a job has made.

    Attributes:
        sent: its files, where the job could not write them to the store's folder.
    """

    manifest: str
    seconds: float
    sent: Sent | None = None


class Jobs:
    """Runs a component's jobs where its infers run: on the cluster, or else in a process of its own on this machine.

    Args:
        reader: returns what opens the store, as its schemas are now, in another process.
    """

    def __init__(
        self,
        database: Database,
        component: str,
        executors: Executors,
        reader: Callable[[], Callable[[], Database]],
    ) -> None:
        self._database, self._name = database, component
        self._executors, self._reader = executors, reader
        self._process, self._cluster = executors.processes.beside(), executors.ray.beside()

    @property
    def takes(self) -> Resources | None:
        """What a job takes of the cluster; None: jobs run on this machine."""
        specs = (each.spec for each in self._database.code.triggers.values())
        return self._executors.jobs_take(each for each in specs if each.component == self._name)

    def set_up(self) -> Made | None:
        """Call `setup`, and return the state it gives, its files written; None where it gives none. Hold the folder."""
        made: Made | None = self._run(_set_up, "setup", None)
        return self._kept(made)

    def fit(
        self,
        fit: Fit,
        parent: int | None,
        learned: LabelRanges,
    ) -> Made:
        """Call a fit on a state version, and return the state it gives, its files written. Hold the folder."""
        spec = fit.spec
        made: Made = self._run(
            _fit, fit.function.__name__, parent, spec.timeout_s,
            fit=spec.name, labels=learned, table=spec.table, batch=spec.batch,
        )  # fmt: skip
        return self._kept(made)

    def evaluate(
        self, version: int, held_out: LabelRanges | None, timeout_s: float | None, like: int | None
    ) -> dict[str, float]:
        """Call `evaluate` on a state version, and return its metrics."""
        fits = self._database.code.fits
        table = "" if held_out is None else fits[held_out.fit].spec.table
        found: dict[str, float] = self._run(
            _evaluate, "evaluate", version, timeout_s, labels=held_out, table=table, like=like
        )
        return found

    def close(self) -> None:
        self._process.close()
        self._cluster.close()

    def _kept(self, made: T) -> T:
        if isinstance(made, Made) and made.sent is not None:
            made.sent.keep(self._database.backend.folder)
        return made

    def _run(
        self,
        function: Callable[[Job], Any],
        method: str,
        version: int | None,
        timeout_s: float | None = None,
        **more: Any,
    ) -> Any:
        """Run a job on a state version, and return what it gives.

        Raises:
            FitFailed: the component's code raised, or took longer than it may.
            ProcessLost: the process has ended.
            ClusterUnavailable: it was not begun; another time.
        """
        code = self._database.code.components[self._name]
        manifest = None
        if version is not None:
            with self._database.backend.read() as tx:
                manifest = versions.manifest_of(tx, self._name, version)
        classes = None if manifest is None else format.classes_of(manifest, code)
        folder = self._database.backend.folder
        job = Job(
            self._reader(), code, method, folder, manifest, folder, classes, version, **more
        )  # fmt: skip
        takes = self.takes
        try:
            if takes is None:
                return self._process.run(partial, function, job, timeout_s=timeout_s)
            return self._run_there(function, job, timeout_s, takes)
        except TimeoutError as exc:
            reason = f"it took longer than its timeout of {timeout_s:g} s, and was ended"
            raise FitFailed(job.name, reason, "") from exc

    def _run_there(
        self,
        function: Callable[[Job], Any],
        job: Job,
        timeout_s: float | None,
        takes: Resources,
    ) -> Any:
        """Run a job on the cluster; again where what ran it was lost, as nothing of the job may be to blame."""
        state = [] if job.version is None else [state_sent(self._database, self._name, job.version)]
        rows = () if job.labels is None else list(_read(self._database, job.labels, job.table))
        job = replace(job, folder=None, source=None, labels=None, rows=rows)
        for losses in range(1, LOSSES + 1):
            try:
                return self._cluster.run(
                    _with_state, function, job, constants=state, timeout_s=timeout_s, takes=takes
                )
            except ProcessLost as exc:
                if losses == LOSSES:
                    raise
                logger.warning("%s is called again: %s", job.name, exc)
        raise AssertionError("it is returned or raised above")


def state_sent(database: Database, component: str, version: int) -> KeptConstant:
    """Return a state version for processes that may not see the store's folder. It is read when it is sent."""
    manifest = database.manifest(component, version)
    read = partial(Sent.of, database.backend.folder, component, version, manifest)
    named = hashlib.sha256(f"{version} {manifest}".encode()).hexdigest()
    return KeptConstant(f"the state of {component}", named, read)


# -- in the other process --


def _with_state(*given: Any) -> Callable[[], Any]:
    """Return the call of a job, with the state that was sent along."""
    *sent, function, job = given
    return partial(function, replace(job, source=sent[0].contents) if sent else job)


def _set_up(job: Job) -> Made | None:
    started = clock.monotonic_s()
    with _errors_told(job):
        state = job.component.setup()
        return None if state is None else _made(job, state, started)


def _fit(job: Job) -> Made:
    started = clock.monotonic_s()
    state = _call(job)
    if state is None:
        raise MotionError(f"fit {job.name} returned None; it returns the next state.")
    with _errors_told(job):
        return _made(job, state, started)


def _made(job: Job, state: Any, started_s: float) -> Made:
    """Write a state's files to the store's folder, or have them go back."""
    if job.folder is not None:
        manifest = format.save_state(job.folder, job.component, state)
        return Made(manifest, clock.monotonic_s() - started_s)
    with TemporaryDirectory(prefix="motion-") as place:
        manifest = format.save_state(Path(place), job.component, state)
        sent = Sent.of(Path(place), job.component.name, 0, manifest)
    return Made(manifest, clock.monotonic_s() - started_s, sent)


def _evaluate(job: Job) -> dict[str, float]:
    """Call `evaluate` and return its metrics as plain numbers."""
    found = _call(job)
    with _errors_told(job):
        if not isinstance(found, Mapping):
            raise MotionError(
                f"{job.name} returns a dict of metrics and their values, not {shortened(found)}."
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
        f"{job.name} gave {shortened(given)} ({type(given).__name__}) for {metric!r}; metrics are "
        f"numbers, and what was not measured is left out."
    )


def _call(job: Job) -> Any:
    global _told
    state = None
    if job.manifest is not None:
        assert job.source is not None
        with _errors_told(job):
            state = format.load_state(job.source, job.component, job.manifest, job.classes)
    method = getattr(job.component, job.method)
    takes = len(inspect.signature(method).parameters)
    database = _database_of(job, is_needed=takes > 2 or job.labels is not None)
    try:
        _told = _Told(database, job.fit) if job.fit and database is not None else None
        with _errors_told(job):
            return method(*(state, _rows_of(job, database), _view_of(job, database))[:takes])
    finally:
        _told = None
        if database is not None:
            database.close()


def _rows_of(job: Job, database: Database | None) -> list[Any] | Batches:
    """Return the rows of a job's labels, in the form that it takes them."""
    read: Callable[[], Iterator[Any]] = partial(iter, job.rows)
    if job.labels is not None:
        assert database is not None, "it is needed where there are labels to read"
        read = partial(_read, database, job.labels, job.table)
    return list(read()) if job.batch is None else Batches(read, job.batch)


def _read(database: Database, of: LabelRanges, table: str) -> Iterator[Any]:
    """Give the rows of labels, which are read as they are taken."""
    return labels.rows_of(database.layouts[table], of.copies(database.backend))


class Batches:
    """Lists of rows, which are read anew each time that they are gone through."""

    def __init__(self, read: Callable[[], Iterator[Any]], size: int) -> None:
        self._read, self._size = read, size

    def __iter__(self) -> Iterator[list[Any]]:
        rows = self._read()
        while some := list(islice(rows, self._size)):
            yield some


def _database_of(job: Job, *, is_needed: bool) -> Database | None:
    """Return the store, or None where it is out of reach and only progress is not told for it."""
    try:
        return job.open_database()
    except StoreOutOfReach:
        if is_needed:
            raise
        return None


def _view_of(job: Job, database: Database | None) -> View | None:
    pins = {} if job.version is None else {job.component.name: job.version}
    if database is None:
        return None
    return VersionView(database, pins) if job.like is None else SampleView(database, pins, job.like)


@contextmanager
def _errors_told(job: Job) -> Iterator[None]:
    """Tell what a component's code raises, of whatever class, as text: the error itself may not pickle."""
    try:
        yield
    except BaseException as exc:  # noqa: BLE001 - user code: anything may come out
        raise FitFailed(job.name, reason_of(exc), text_of(exc)) from None


class SampleView(VersionView):
    """A view whose searches are among the rows that a version has outputs for: so a sample is fair to both."""

    def __init__(self, database: Database, pins: Pins, like: int) -> None:
        super().__init__(database, pins)
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
        found = keys_of(self._database.tables, key, table)
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
        with suppress(StoreUnavailable):  # a figure, for which no fit fails
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
