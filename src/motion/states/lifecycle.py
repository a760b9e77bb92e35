"""Fitting: how a component's state versions come about and go live.

    labels --fit, in a process of its own--> candidate --its outputs built beside the live ones--> evaluate --> live

Owns the order of fits and setups, one component's after the other and each component's beside the others'. What they offer
is judged by `gate`, and goes live by `switches`; what these write is `promotion`'s.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from functools import partial

from motion import clock
from motion.backends.base import Transaction
from motion.background import forks
from motion.background.loops import Rounds, going_on
from motion.background.owners import Owner
from motion.definitions.components import has_setup, setup_fingerprint
from motion.definitions.fits import Fit, FitSpec
from motion.errors import StateError, StoreUnavailable
from motion.executors.base import Executors
from motion.faults import reach
from motion.persistence.changes.labelling import settle_all
from motion.persistence.database import Database
from motion.persistence.numbers import last_number
from motion.persistence.states import asked, files, fit_requests, format, labels, lessons, versions
from motion.persistence.states.fit_requests import Request
from motion.persistence.states.label_ranges import LabelRanges
from motion.persistence.tasks import schedules
from motion.states.gate import Gate, why_of
from motion.states.process import Jobs, Made
from motion.states.promotion import ask_live, candidate_of, offer, sample_of, sweep, take_next
from motion.states.switches import Switcher

logger = logging.getLogger(__name__)

Reader = Callable[[], Callable[[], Database]]
"""Returns what opens the store, as its schemas are now, in another process."""

IDLE_WAIT_S = 0.5

GATHER_S = 0.02
"""How long commits are gathered before the next look: there may be thousands in a second, and a fit takes longer."""

_setup_lock = threading.Lock()


def _renew_lock() -> None:
    global _setup_lock
    _setup_lock = threading.Lock()


forks.renew_in_child(_renew_lock)


def ensure_live(
    database: Database, component: str, jobs: Callable[[], Jobs] | None = None
) -> int | None:
    """Return a component's live version, made by its `setup` if there was none; None while it waits for a fit.

    Args:
        jobs: gives what runs the `setup` where that is on a cluster; else it runs here.
    """
    with database.backend.read() as tx:
        live = versions.live_version(tx, component)
    if live is not None:
        return live
    with _setup_lock:
        with database.backend.read() as tx:
            live = versions.live_version(tx, component)
        if live is not None:
            return live
        there = jobs() if jobs is not None else None
        if there is not None and there.takes is not None:
            return _set_up_there(database, component, there)
        return _set_up_here(database, component)


def _set_up_there(database: Database, name: str, jobs: Jobs) -> int | None:
    component = database.code.components[name]
    if not has_setup(component):
        return None
    with files.held(database.backend.folder):
        made = jobs.set_up()
        if made is None:
            return None
        format.check_classes(made.manifest, component)
        return _first_version(database, name, made, setup_fingerprint(component))


def _set_up_here(database: Database, name: str) -> int | None:
    component = database.code.components[name]
    fingerprint = setup_fingerprint(component)
    started = clock.monotonic_s()
    with forks.user_code():
        state = component.setup()
    if state is None:
        return None
    with files.held(database.backend.folder):
        manifest = format.save_state(database.backend.folder, component, state)
        reach("state.saved")
        made = Made(manifest, clock.monotonic_s() - started)
        version = _first_version(database, name, made, fingerprint)
    database.state(name, version)
    return version


def _first_version(database: Database, name: str, made: Made, fingerprint: str) -> int:
    """Make a state the live version, unless another process was first: its state is as good."""

    def work(tx: Transaction) -> int:
        live = versions.live_version(tx, name)
        if live is None:
            live = versions.add_version(
                tx, name, "live", manifest=made.manifest, duration_s=made.seconds, fingerprint=fingerprint
            )  # fmt: skip
            versions.set_live(tx, name, live, last_number(tx))
            versions.note_setup(tx, name, fingerprint)
        return live

    return database.write(work)


class Fitter:
    """Runs the fits of one store that are asked for, and brings candidates to their end: each component's in a thread of
    its own, so that a long fit of one holds up nothing of another."""

    def __init__(
        self,
        database: Database,
        owner: Owner,
        executors: Executors,
        reader: Reader,
    ) -> None:
        self._database, self._owner = database, owner
        self._executors, self._reader = executors, reader
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
            asked = {each.component for each in fit_requests.requests(tx)}
            found = schedules.due(tx, list(code.fits), clock.now_ms())
            due = {code.fits[name].spec.component for name in found}
            return [
                name
                for name in filter(self._database.may_fit, code.components)
                if name in due
                or name in asked
                or versions.candidate_version(tx, name) is not None
                or versions.queued(tx, name)
                or versions.unnumbered(tx, name)
            ]

    def _keeper(self, component: str) -> _Keeper:
        if component not in self._keepers:
            jobs = Jobs(self._database, component, self._executors, self._reader)
            new = _Keeper(self._database, self._owner, jobs, component)
            self._keepers[component] = new
            new.start()
        return self._keepers[component]


class _Keeper:
    """Brings the fits of one component on, one after the other, and measures what they offer; beside it, what was asked for
    goes live."""

    def __init__(self, database: Database, owner: Owner, jobs: Jobs, component: str) -> None:
        self._database, self._owner, self._name = database, owner, component
        self._stop, self._jobs = threading.Event(), jobs
        self._gate = Gate(database, component, jobs, self._stop)
        switcher = Switcher(database, component, self._stop)
        name, who = f"motion-fitter-{component}", f"the fitter of {component}"
        self._rounds = [
            Rounds(name, who, self._stop, self._step),
            Rounds(f"{name}-switch", who, self._stop, switcher.step),
        ]

    def start(self) -> None:
        for each in self._rounds:
            each.start()

    def look(self) -> None:
        """There may be something to do."""
        for each in self._rounds:
            each.look()

    def stop(self, timeout_s: float) -> None:
        self._stop.set()
        self._jobs.close()
        for each in self._rounds:
            each.join(timeout_s)

    def _step(self) -> bool:
        """Do the next thing, and return whether there was one. While a candidate is on its way no fit begins: what it
        made would supersede that one, and with labels that never cease none would ever be live."""
        if self._name not in self._database.code.components:
            return False
        candidate = candidate_of(self._database, self._name)
        if candidate is not None and not candidate.waits:
            return not candidate.may_go_live and self._gate.advance(candidate)
        return self._take_next() or self._begin_fit()

    def _take_next(self) -> bool:
        """Make the version that was offered last the candidate."""
        with self._database.backend.read() as tx:
            numbers = versions.queued(tx, self._name)
            fit = versions.fit_of(tx, self._name, numbers[-1]) if numbers else None
            has_live = versions.live_version(tx, self._name) is not None
        if not numbers:
            return False
        known = self._database.code.fits.get(fit or "")
        gate_on = known.spec.gate_on if known and self._gate.is_tried_first(known.spec) else None
        sample = sample_of(self._database, self._name, gate_on) if gate_on and has_live else {}
        is_taken = self._database.write(
            lambda tx: take_next(tx, self._database, self._name, numbers[-1], sample)
        )
        self._database.backend.call()
        return is_taken

    def _begin_fit(self) -> bool:
        request = self._claimed()
        if request is None:
            return False
        reach("fit.claimed")
        fit = self._database.code.fits.get(request.fit)
        if fit is None:
            self._set_up_anew(request)
        else:
            self._fit(fit)
        return True

    # -- fits --

    def _fits(self) -> list[Fit]:
        fits = self._database.code.fits.values()
        return [fit for fit in fits if fit.spec.component == self._name]

    def _claimed(self) -> Request | None:
        """Claim what is asked for and this process has the code of; schedules ask here."""
        own = setup_fingerprint(self._database.code.components[self._name])
        fits = [fit.spec.name for fit in self._fits()]
        wanted = [*(Request(self._name, fit) for fit in fits), Request(self._name, setup=own)]
        with self._database.backend.read() as tx:
            gone = [owner for owner in fit_requests.owners(tx) if self._owner.is_gone(owner)]
            is_due = bool(schedules.due(tx, fits, clock.now_ms()))
            if not gone and not is_due and not self._that_may_begin(tx, wanted):
                return None

        def work(tx: Transaction) -> Request | None:
            for name in schedules.take_due(tx, fits, clock.now_ms()):
                fit_requests.request(tx, Request(self._name, name), last_number(tx))
            fit_requests.take_over(tx, gone)
            settle_all(tx, self._database.layouts)
            return labels.claim(tx, self._that_may_begin(tx, wanted), self._owner.name)

        return self._database.write(work)

    def _that_may_begin(self, tx: Transaction, wanted: Sequence[Request]) -> list[Request]:
        """Return what of this is asked for, without fits that wait for their first label to be whole."""
        asked_for = {*fit_requests.open_to(tx, self._owner.name)}
        found = [each for each in wanted if each in asked_for]
        if not any(each.fit for each in found):
            return found
        lineage = versions.lineage(tx, self._name, versions.live_version(tx, self._name))
        specs = {fit.spec.name: fit.spec for fit in self._fits()}
        return [
            each for each in found if not each.fit or labels.may_begin(tx, specs[each.fit], lineage)
        ]

    def _fit(self, fit: Fit) -> None:
        spec = fit.spec
        parent = None
        try:
            live = ensure_live(self._database, self._name, lambda: self._jobs)
            with self._database.backend.read() as tx:
                seen = fit_requests.seen_by(tx, spec.name) or 0
                parent = versions.base_of_fit(tx, self._name, live)
                if parent is None and live is not None:
                    raise StateError(
                        f"no state of {self._name} is kept that had not learned from what was forgotten, so no fit without it "
                        f"can begin. Change setup(), or the component's name, to begin anew."
                    )
                lineage = versions.lineage(tx, self._name, parent)
                learned = labels.labels_for(tx, spec, lineage, seen)
            if not learned.count:
                self._database.write(partial(self._leave, spec, live, parent))
                return
            with files.held(self._database.backend.folder):
                made = self._jobs.fit(fit, parent, learned)
                format.check_classes(made.manifest, self._database.code.components[self._name])
                reach("fit.learned")
                is_taken = self._database.write(partial(self._take_up, spec, parent, learned, made))
            if not is_taken:  # it was taken back, as what it learned from was forgotten
                sweep(self._database)
                return
        except StoreUnavailable:  # or the cluster is
            raise  # it is still claimed here, and begins anew with the next step
        except BaseException as exc:  # noqa: BLE001 - the user's code, or the end of its process: a failed fit, which loses no label
            if not self._stop.is_set():  # else it ended with the store: the next start fits again
                self._database.write(partial(self._fail, spec, parent, exc))
            return
        logger.info(
            "fit %s learned from %d labels in %.1f s", spec.name, learned.count, made.seconds
        )

    def _take_up(
        self,
        fit: FitSpec,
        parent: int | None,
        learned: LabelRanges,
        made: Made,
        tx: Transaction,
    ) -> bool:
        if not self._end(tx, fit):
            return False
        number = versions.add_version(
            tx, self._name, "candidate", parent=parent, manifest=made.manifest, labels=learned.count,
            duration_s=made.seconds, fit=fit.name, fingerprint=fit.fingerprint,
        )  # fmt: skip
        lessons.note(tx, learned, self._name, number)
        labels.forget_replaced(tx, fit.name)
        asked.note_made(tx, fit.name, number)
        offer(tx, self._database, self._name, number)
        reach("fit.noted")
        return True

    def _leave(self, fit: FitSpec, live: int | None, parent: int | None, tx: Transaction) -> None:
        """End a fit that has nothing to learn from. What it was to begin at goes live where that is not, as the live one has
        learned from what was forgotten."""
        if self._end(tx, fit):
            labels.forget_replaced(tx, fit.name)
            asked.end_fit(tx, fit.name, "done")
            if parent is not None and parent != live:
                ask_live(tx, self._database, self._name, parent, is_rollback=True)

    def _end(self, tx: Transaction, fit: FitSpec) -> bool:
        return labels.end_fit(tx, fit, self._owner.name, last_number(tx))

    def _fail(self, fit: FitSpec, parent: int | None, exc: BaseException, tx: Transaction) -> None:
        if not self._end(tx, fit):
            return
        number = versions.add_version(
            tx, self._name, "failed", parent=parent, notes=why_of(exc), fit=fit.name,
            fingerprint=fit.fingerprint,
        )  # fmt: skip
        labels.forget_replaced(tx, fit.name)
        asked.end_fit(tx, fit.name, "failed", why_of(exc)["reason"])
        message = "fit %s failed, and is version %d; no label is lost: %s"
        logger.warning(message, fit.name, number, why_of(exc)["reason"])

    # -- a setup that has changed --

    def _set_up_anew(self, request: Request) -> None:
        """Offer what a changed `setup` gives as a candidate. Where it gives what is known already, nothing is new."""
        fingerprint = setup_fingerprint(self._database.code.components[self._name])
        try:
            with files.held(self._database.backend.folder):
                made = self._jobs.set_up()
                if made is not None:
                    format.check_classes(made.manifest, self._database.code.components[self._name])
                self._database.write(partial(self._offer, request, fingerprint, made))
        except StoreUnavailable:  # or the cluster is
            raise
        except BaseException as exc:  # noqa: BLE001 - the user's code, or the end of its process
            if not self._stop.is_set():
                self._database.write(partial(self._fail_setup, request, fingerprint, exc))

    def _offer(
        self, request: Request, fingerprint: str, made: Made | None, tx: Transaction
    ) -> None:
        if not fit_requests.end(tx, request, self._owner.name):
            return
        versions.note_setup(tx, self._name, fingerprint)
        if made is None or versions.is_known(tx, self._name, made.manifest):
            return
        number = versions.add_version(
            tx, self._name, "candidate", manifest=made.manifest, duration_s=made.seconds, fingerprint=fingerprint
        )  # fmt: skip
        logger.info("setup of %s has changed; what it gives is version %d", self._name, number)
        offer(tx, self._database, self._name, number)

    def _fail_setup(
        self, request: Request, fingerprint: str, exc: BaseException, tx: Transaction
    ) -> None:
        if not fit_requests.end(tx, request, self._owner.name):  # the next opening tries again
            return
        number = versions.add_version(
            tx, self._name, "failed", notes=why_of(exc), fingerprint=fingerprint
        )
        message = "the changed setup of %s failed, and is version %d; the live version goes on: %s"
        logger.warning(message, self._name, number, why_of(exc)["reason"])
