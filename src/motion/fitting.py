"""Fitting: how a component's state versions come about and go live.

    labels --fit, in a process of its own--> candidate --its outputs built beside the live ones--> evaluate --> live

Owns the order of these steps, one component's after the other and each component's beside the others'; what they
write is `promotion`'s.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

from motion import clock, forks
from motion.backends.base import Transaction
from motion.components import Fit, FitSpec, Promotion, evaluates, manual, setup_fingerprint
from motion.database import Database
from motion.errors import FitFailed
from motion.executors.base import Executor
from motion.faults import reach
from motion.guard import going_on
from motion.jobs import Job, run_evaluate, run_fit, run_setup
from motion.owners import Owner
from motion.persistence import backlog, files, forms, labels, schedules, states
from motion.persistence.numbers import last_number
from motion.promotion import (
    begin_switch,
    build_the_rest,
    forget_old,
    is_built,
    make_indexes_ready,
    number_part,
    refuse,
    sample_of,
    switch,
)
from motion.tracebacks import reason_of, text_of

logger = logging.getLogger(__name__)

T = TypeVar("T")

IDLE_WAIT_S = 0.5

GATHER_S = 0.02
"""How long commits are gathered before the next look: there may be thousands in a second, and a fit takes longer."""

AWAITED = "sample_awaited"
"""Among a candidate's metrics: the rows of the sample that it is to be tried on first."""

_setup_lock = threading.Lock()


def _renew_lock() -> None:
    global _setup_lock
    _setup_lock = threading.Lock()


forks.renew_in_child(_renew_lock)


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
    fingerprint = setup_fingerprint(component)
    started = clock.monotonic_s()
    with forks.user_code():
        state = component.setup()
    if state is None:
        return None
    with files.held(database.backend.folder):
        manifest = forms.save_state(database.backend.folder, component, state)
        reach("state.saved")
        seconds = clock.monotonic_s() - started

        def work(tx: Transaction) -> int:
            live = states.live_version(tx, name)
            if live is None:  # otherwise another process was first, and its state is as good
                live = states.add_version(
                    tx, name, "live", manifest=manifest, duration_s=seconds, fingerprint=fingerprint
                )
                states.set_live(tx, name, live, last_number(tx))
                states.note_setup(tx, name, fingerprint)
            return live

        version = database.write(work)
    database.state(name, version)
    return version


class Fitter:
    """Runs the fits of one store that are asked for, and brings candidates to their end: each component's in a thread of
    its own, so that a long fit of one holds up nothing of another."""

    def __init__(
        self,
        database: Database,
        owner: Owner,
        new_process: Callable[[], Executor],
        reader: Callable[[], Callable[[], Database]],
    ) -> None:
        self._database, self._owner = database, owner
        self._new_process, self._reader = new_process, reader
        self._keepers: dict[str, _Keeper] = {}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._loop, name="motion-fitter", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self, timeout_s: float) -> None:
        """End the fits under way; the next start makes them again."""
        self._stop.set()
        self._database.backend.wake()
        self._thread.join(timeout_s)
        for keeper in self._keepers.values():
            keeper.stop(timeout_s)

    def _loop(self) -> None:
        who = f"the fitter of store {self._database.name!r}"
        while not self._stop.is_set():
            with going_on(self._stop, who):
                commits = self._database.backend.committed.count
                # It may be set since, and the commit that tells so be counted already.
                if self._stop.is_set():
                    return
                for name in self._with_work():
                    self._keeper(name).look()
                self._database.backend.committed.wait(commits, IDLE_WAIT_S)
                self._stop.wait(GATHER_S)

    def _with_work(self) -> list[str]:
        code = self._database.code
        with self._database.backend.read() as tx:
            asked = labels.requests(tx)
            found = schedules.due(tx, list(code.fits), clock.now_ms())
            due = {code.fits[name].spec.component for name in found}
            return [
                name
                for name in code.components
                if name in due
                or any(request.startswith(f"{name}.") for request in asked)
                or states.candidate_version(tx, name) is not None
                or states.unnumbered(tx, name)
            ]

    def _keeper(self, component: str) -> _Keeper:
        if component not in self._keepers:
            new = _Keeper(self._database, self._owner, self._new_process(), self._reader, component)
            self._keepers[component] = new
            new.start()
        return self._keepers[component]


@dataclass(frozen=True)
class _Candidate:
    """A version on its way to be live, as one snapshot shows it.

    Attributes:
        is_built: no output is left to be built.
        dead: tasks that were given up.
        fit: the fit that made it; None for `setup`.
    """

    number: int
    live: int | None
    is_built: bool
    dead: int
    first_error: str
    is_gated: bool
    metrics: dict[str, Any]
    fit: str | None

    @property
    def waits(self) -> bool:
        """Whether it waits for a person to promote it."""
        return self.is_gated and "is_ready" in self.metrics and not self.dead


class _Keeper:
    """Brings the fits and candidates of one component on, one after the other, in a thread of its own."""

    def __init__(
        self,
        database: Database,
        owner: Owner,
        process: Executor,
        reader: Callable[[], Callable[[], Database]],
        component: str,
    ) -> None:
        self._database, self._owner, self._process = database, owner, process
        self._reader, self._name = reader, component
        self._stop, self._called = threading.Event(), threading.Event()
        self._thread = threading.Thread(
            target=self._loop, name=f"motion-fitter-{component}", daemon=True
        )

    def start(self) -> None:
        self._thread.start()

    def look(self) -> None:
        """There may be something to do."""
        self._called.set()

    def stop(self, timeout_s: float) -> None:
        self._stop.set()
        self._process.close()
        self._called.set()
        self._thread.join(timeout_s)

    def _loop(self) -> None:
        while not self._stop.is_set():
            self._called.wait()
            self._called.clear()
            with going_on(self._stop, f"the fitter of {self._name}"):
                while not self._stop.is_set() and self._step():
                    pass

    def _step(self) -> bool:
        """Do the next thing, and return whether there was one. While a candidate is on its way no fit begins: what it
        made would supersede that one, and with labels that never cease none would ever be live."""
        if self._name not in self._database.code.components:
            return False
        if number_part(self._database, self._name):
            self._end_switch()
            return True
        candidate = self._candidate()
        if candidate is not None and not candidate.waits:
            return self._advance(candidate)
        request = self._claimed()
        if request is None:
            return False
        reach("fit.claimed")
        fit = self._database.code.fits.get(request)
        if fit is None:
            self._set_up_anew(request)
        else:
            self._fit(fit)
        return True

    # -- fits --

    def _fits(self) -> list[Fit]:
        fits = self._database.code.fits.values()
        return [fit for fit in fits if fit.spec.component == self._name]

    def _claimed(self) -> str | None:
        """Claim what is asked for and this process has the code of; schedules ask here."""
        own = setup_fingerprint(self._database.code.components[self._name])
        fits = [fit.spec.name for fit in self._fits()]
        names = [*fits, labels.setup_request(self._name, own)]
        with self._database.backend.read() as tx:
            gone = [owner for owner in labels.fit_owners(tx) if self._owner.is_gone(owner)]
            is_due = bool(schedules.due(tx, fits, clock.now_ms()))
            if not gone and not is_due and not set(names) & set(labels.requests(tx)):
                return None

        def work(tx: Transaction) -> str | None:
            for name in schedules.take_due(tx, fits, clock.now_ms()):
                labels.request_fit(tx, name, last_number(tx))
            labels.take_over_fits(tx, gone)
            return labels.claim_fit(tx, names, self._owner.name)

        return self._database.write(work)

    def _fit(self, fit: Fit) -> None:
        spec = fit.spec
        parent, seen = None, 0
        try:
            parent = ensure_live(self._database, self._name)
            with self._database.backend.read() as tx:
                seen = labels.last_label(tx, spec.name)
                lineage = states.lineage(tx, self._name, parent)
                numbers, rows = labels.labels_for(
                    tx, self._database.layouts[spec.table], spec, lineage
                )
            if not rows:
                self._database.write(lambda tx: self._end(tx, spec, seen))
                return
            with files.held(self._database.backend.folder):
                manifest, seconds = self._in_process(
                    run_fit, fit.function.__name__, parent, rows, spec.timeout_s, spec.name
                )
                forms.check_classes(manifest, self._database.code.components[self._name])
                reach("fit.learned")
                sample = self._sample(spec, parent)
                self._database.write(
                    partial(self._take_up, spec, parent, seen, numbers, manifest, seconds, sample)
                )
                self._database.backend.call()
        except BaseException as exc:  # noqa: BLE001 - the user's code, or the end of its process: a failed fit, which loses no label
            if not self._stop.is_set():  # else it ended with the store: the next start fits again
                self._database.write(partial(self._fail, spec, parent, seen, exc))
            return
        logger.info("fit %s learned from %d labels in %.1f s", spec.name, len(rows), seconds)

    def _take_up(
        self,
        fit: FitSpec,
        parent: int | None,
        seen: int,
        numbers: Sequence[int],
        manifest: str,
        seconds: float,
        sample: Mapping[str, int | None],
        tx: Transaction,
    ) -> None:
        if not self._end(tx, fit, seen):
            return
        metrics = {AWAITED: fit.gate_on} if sample else {}
        number = states.add_version(
            tx, self._name, "candidate", parent=parent, manifest=manifest, labels=len(numbers),
            metrics=metrics, duration_s=seconds, fit=fit.name, fingerprint=fit.fingerprint,
        )  # fmt: skip
        labels.note_lessons(tx, numbers, self._name, number)
        reach("fit.noted")
        begin_switch(tx, self._database, self._name, number, is_gated=True, sample=sample)

    def _sample(self, fit: FitSpec, parent: int | None) -> Mapping[str, int | None]:
        """Return the rows that a new version is tried on first, none where it is tried on all."""
        is_tried = fit.promote.kind == "if_better" and parent is not None
        return (
            sample_of(self._database, self._name, fit.gate_on) if is_tried and fit.gate_on else {}
        )

    def _end(self, tx: Transaction, fit: FitSpec, seen: int) -> bool:
        return labels.end_fit(tx, fit, self._owner.name, seen, last_number(tx))

    def _fail(
        self, fit: FitSpec, parent: int | None, seen: int, exc: BaseException, tx: Transaction
    ) -> None:
        if not self._end(tx, fit, seen):
            return
        number = states.add_version(
            tx, self._name, "failed", parent=parent, metrics=_why(exc), fit=fit.name,
            fingerprint=fit.fingerprint,
        )  # fmt: skip
        message = "fit %s failed, and is version %d; no label is lost: %s"
        logger.warning(message, fit.name, number, _why(exc)["reason"])

    def _in_process(
        self,
        function: Callable[[Job], T],
        method: str,
        version: int | None,
        rows: Sequence[Any] = (),
        timeout_s: float | None = None,
        request: str | None = None,
        like: int | None = None,
    ) -> T:
        code = self._database.code.components[self._name]
        manifest = None
        if version is not None:
            with self._database.backend.read() as tx:
                manifest = states.manifest_of(tx, self._name, version)
        job = Job(
            self._reader(),
            code,
            request,
            method,
            self._database.backend.folder,
            manifest,
            None if manifest is None else forms.classes_of(manifest, code),
            version,
            like,
            rows,
        )
        try:
            made: T = self._process.run(partial, function, job, timeout_s=timeout_s)
            return made
        except TimeoutError as exc:
            reason = f"it took longer than its timeout of {timeout_s:g} s, and was ended"
            raise FitFailed(f"{self._name}.{method}", reason, "") from exc

    # -- a setup that has changed --

    def _set_up_anew(self, request: str) -> None:
        """Offer what a changed `setup` gives as a candidate. Where it gives what is known already, nothing is new."""
        fingerprint = setup_fingerprint(self._database.code.components[self._name])
        try:
            with files.held(self._database.backend.folder):
                made = self._in_process(run_setup, "setup", None)
                if made is not None:
                    forms.check_classes(made[0], self._database.code.components[self._name])
                self._database.write(partial(self._offer, request, fingerprint, made))
        except BaseException as exc:  # noqa: BLE001 - the user's code, or the end of its process
            if not self._stop.is_set():
                self._database.write(partial(self._fail_setup, request, fingerprint, exc))

    def _offer(
        self, request: str, fingerprint: str, made: tuple[str, float] | None, tx: Transaction
    ) -> None:
        if not labels.end_request(tx, request, self._owner.name):
            return
        states.note_setup(tx, self._name, fingerprint)
        if made is None or states.is_known(tx, self._name, made[0]):
            return
        number = states.add_version(
            tx, self._name, "candidate", manifest=made[0], duration_s=made[1], fingerprint=fingerprint
        )  # fmt: skip
        logger.info("setup of %s has changed; what it gives is version %d", self._name, number)
        begin_switch(tx, self._database, self._name, number, is_gated=True)

    def _fail_setup(
        self, request: str, fingerprint: str, exc: BaseException, tx: Transaction
    ) -> None:
        if not labels.end_request(tx, request, self._owner.name):  # the next opening tries again
            return
        number = states.add_version(
            tx, self._name, "failed", metrics=_why(exc), fingerprint=fingerprint
        )
        message = "the changed setup of %s failed, and is version %d; the live version goes on: %s"
        logger.warning(message, self._name, number, _why(exc)["reason"])

    # -- candidates --

    def _candidate(self) -> _Candidate | None:
        with self._database.backend.read() as tx:
            number = states.candidate_version(tx, self._name)
            if number is None:
                return None
            is_done, dead = is_built(tx, self._database, self._name, number)
            metrics = next(v.metrics for v in states.versions(tx, self._name) if v.number == number)
            return _Candidate(
                number,
                states.live_version(tx, self._name),
                is_done,
                dead,
                backlog.first_error(tx, number) if dead else "",
                states.is_gated(tx, self._name),
                metrics,
                states.fit_of(tx, self._name, number),
            )

    def _advance(self, candidate: _Candidate) -> bool:
        """Bring a candidate a step further; return whether anything was done."""
        number = candidate.number
        if candidate.dead:
            reason = f"{candidate.dead} row(s) could not be remade with it, the first for {candidate.first_error}"
            self._refuse(number, {"reason": reason})
            return True
        if not candidate.is_built:
            return False
        if candidate.is_gated and AWAITED in candidate.metrics:
            self._try_on_sample(candidate)
            return True
        if candidate.is_gated and not self._passes(candidate):
            return True
        reach("candidate.measured")
        make_indexes_ready(self._database, self._name, number)
        if self._database.write(lambda tx: switch(tx, self._database, self._name, number)):
            reach("switch.committed")
            self._end_switch()
        return True

    def _end_switch(self) -> None:
        """Once it is known what a switch has changed, let that be worked on, and delete what is not kept."""
        with self._database.backend.read() as tx:
            if states.unnumbered(tx, self._name):
                return
        self._database.backend.call()
        forget_old(self._database, self._name)

    def _refuse(self, number: int, metrics: dict[str, Any]) -> None:
        def work(tx: Transaction) -> bool:
            is_candidate = states.candidate_version(tx, self._name) == number
            if is_candidate:  # else another process was first
                refuse(tx, self._database, self._name, number, metrics)
            return is_candidate

        if self._database.write(work):
            message = "version %d of %s is refused: %s"
            logger.warning(message, number, self._name, metrics.get("reason"))
        forget_old(self._database, self._name)

    def _try_on_sample(self, candidate: _Candidate) -> None:
        """Measure a candidate on the rows that it has outputs for so far; if it is better there, build the rest."""
        measured = self._measured(candidate, candidate.number)
        if measured is None:
            return
        metrics = {**measured, "rows": candidate.metrics[AWAITED]}

        def work(tx: Transaction) -> None:
            if states.candidate_version(tx, self._name) == candidate.number:
                states.set_status(
                    tx, self._name, candidate.number, "candidate", {"sample": metrics}
                )
                build_the_rest(tx, self._database, self._name, candidate.number)

        self._database.write(work)

    def _passes(self, candidate: _Candidate) -> bool:
        """Measure a candidate beside the live version, and decide as its fit says; note the figures."""
        metrics = self._measured(candidate)
        if metrics is None:
            return False
        is_manual = self._policy(candidate).kind == "manual"
        if "sample" in candidate.metrics:
            metrics["sample"] = candidate.metrics["sample"]
        if is_manual:
            metrics["is_ready"] = True

        def work(tx: Transaction) -> None:
            if states.candidate_version(tx, self._name) == candidate.number:
                states.set_status(tx, self._name, candidate.number, "candidate", metrics)

        self._database.write(work)
        return not is_manual

    def _measured(self, candidate: _Candidate, like: int | None = None) -> dict[str, Any] | None:
        """Return what `evaluate` gives for a candidate and for the live version, or None where the candidate was refused
        for it. A `setup` that has changed is only promoted by itself if it is better: it has learned nothing.

        Args:
            like: searches are among the rows that this version has outputs for.
        """
        number, promote = candidate.number, self._policy(candidate)
        try:
            new = self._evaluated(candidate, number, like)
            live = candidate.live
            old = None if live is None else self._evaluated(candidate, live, like)
        except BaseException as exc:
            if self._stop.is_set():
                raise
            if promote.kind != "always":
                self._refuse(number, _why(exc))
                return None
            logger.warning("%s cannot be evaluated: %s", self._name, _why(exc)["reason"])
            new, old = {}, {}
        metrics: dict[str, Any] = {**new, **({"live": old} if old else {})}
        reason = promote.decide(new, old)
        if reason is None:
            return metrics
        on_sample = {} if like is None else {"sample": True}
        self._refuse(number, {**metrics, **on_sample, "reason": reason})
        return None

    def _policy(self, candidate: _Candidate) -> Promotion:
        fits = {fit.spec.name: fit.spec for fit in self._fits()}
        if candidate.fit in fits:
            return fits[candidate.fit].promote
        better = [spec.promote for spec in fits.values() if spec.promote.kind == "if_better"]
        return next(iter(better), manual)

    def _evaluated(self, candidate: _Candidate, version: int, like: int | None) -> dict[str, float]:
        component = self._database.code.components[self._name]
        if not evaluates(component):
            return {}
        fits = {fit.spec.name: fit.spec for fit in self._fits()}
        fit = fits.get(candidate.fit or "") or _first_held_out(fits.values())
        with self._database.backend.read() as tx:
            layout = self._database.layouts[fit.table] if fit else None
            held = labels.held_out_rows(tx, layout, fit.name) if fit and layout else []
        timeout_s = fit.timeout_s if fit else None
        return self._in_process(run_evaluate, "evaluate", version, held, timeout_s, like=like)


def _first_held_out(fits: Iterable[FitSpec]) -> FitSpec | None:
    """Return the fit whose held-out labels measure a version that no fit made."""
    return next(iter(sorted(fits, key=lambda fit: fit.holdout == 0)), None)


def _why(exc: BaseException) -> dict[str, str]:
    if isinstance(exc, FitFailed):
        return {"reason": exc.reason, "traceback": exc.trace}
    return {"reason": reason_of(exc), "traceback": text_of(exc)}
