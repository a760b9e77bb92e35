"""The gate: measures a candidate beside the live version, and decides whether it goes live, as its fit says."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from motion.backends.base import Transaction
from motion.background.tracebacks import reason_of, text_of
from motion.definitions.components import evaluates
from motion.definitions.fits import Fit, FitSpec, Promotion, manual
from motion.errors import FitFailed, StoreUnavailable
from motion.faults import reach
from motion.persistence.database import Database
from motion.persistence.states import labels, versions
from motion.states.process import Jobs
from motion.states.promotion import Candidate, build_the_rest, drop, forget_old, make_indexes_ready

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Measured:
    """What `evaluate` gave for a candidate, and for the version that was live then."""

    figures: Mapping[str, float]
    live: Mapping[str, float]

    @property
    def notes(self) -> dict[str, Any]:
        return {"live": dict(self.live)} if self.live else {}


class Gate:
    """Brings the candidates of one component to a decision."""

    def __init__(
        self, database: Database, component: str, jobs: Jobs, stop: threading.Event
    ) -> None:
        self._database, self._name, self._jobs, self._stop = database, component, jobs, stop

    def advance(self, candidate: Candidate) -> bool:
        """Bring a candidate a step further; return whether anything was done."""
        if candidate.dead:
            self._refuse(candidate, could_not_be_built(candidate))
        elif not candidate.is_built:
            return False
        elif candidate.stage == "trial":
            self._try_on_sample(candidate)
        else:
            self._judge(candidate)
        return True

    def is_tried_first(self, fit: FitSpec) -> bool:
        """Whether a fit's versions are measured on a sample before all their outputs are built."""
        return fit.promote.kind == "if_better" and fit.gate_on is not None

    def _judge(self, candidate: Candidate) -> None:
        """Measure a candidate, and let it go live, wait for a person, or be refused; note the figures."""
        measured = self._measured(candidate, None)
        if measured is None:
            return
        reach("candidate.measured")
        is_manual = self._policy(candidate).kind == "manual"
        if not is_manual:
            try:
                make_indexes_ready(self._database, self._name, candidate.number)
            except Exception as exc:
                if self._stop.is_set() or isinstance(exc, StoreUnavailable):
                    raise
                self._refuse(candidate, reason_of(exc), measured)
                return

        def work(tx: Transaction) -> None:
            if self._is_candidate(tx, candidate):
                self._note(tx, candidate, measured)
                stage: versions.Stage = "ready" if is_manual else "passed"
                versions.set_stage(tx, self._name, candidate.number, stage)
                if is_manual:
                    versions.end_asking(tx, self._name, candidate.number)

        self._database.write(work)

    def _try_on_sample(self, candidate: Candidate) -> None:
        """Measure a candidate on the rows that it has outputs for so far; if it is better there, build the rest."""
        measured = self._measured(candidate, candidate.number)
        if measured is None:
            return
        fit = self._fits().get(candidate.fit or "")
        sample = {**measured.notes, "rows": fit.gate_on if fit else None, **measured.figures}

        def work(tx: Transaction) -> None:
            if self._is_candidate(tx, candidate):
                versions.add_notes(tx, self._name, candidate.number, {"sample": sample})
                versions.set_stage(tx, self._name, candidate.number, None)
                build_the_rest(tx, self._database, self._name)

        self._database.write(work)

    def _measured(self, candidate: Candidate, like: int | None) -> Measured | None:
        """Return what `evaluate` gives for a candidate and for the live version, or None where the candidate was refused
        for it. A `setup` that has changed is only promoted by itself if it is better: it has learned nothing.

        Args:
            like: searches are among the rows that this version has outputs for.
        """
        promote, live = self._policy(candidate), candidate.live
        try:
            evaluated = self._evaluation(candidate, like)
            new = evaluated(candidate.number)
            old = None if live is None else evaluated(live)
        except BaseException as exc:
            if self._stop.is_set() or isinstance(exc, StoreUnavailable):  # or the cluster is
                raise  # another time
            why = why_of(exc)
            if promote.kind != "always":
                self._refuse(candidate, why["reason"], notes=why)
                return None
            logger.warning("%s cannot be evaluated: %s", self._name, why["reason"])
            new, old = {}, {}
        measured = Measured(new, old or {})
        reason = promote.decide(new, old)
        if reason is None:
            return measured
        self._refuse(candidate, reason, measured, {} if like is None else {"sample": True})
        return None

    def _refuse(
        self,
        candidate: Candidate,
        reason: str,
        measured: Measured | None = None,
        notes: Mapping[str, Any] | None = None,
    ) -> None:
        def work(tx: Transaction) -> bool:
            is_candidate = self._is_candidate(tx, candidate)
            if is_candidate:  # else another process was first, or a person decided
                if measured is not None:
                    self._note(tx, candidate, measured)
                number = candidate.number
                drop(tx, self._database, self._name, number, reason, notes or {}, has_failed=True)
            return is_candidate

        if self._database.write(work):
            logger.warning("version %d of %s is refused: %s", candidate.number, self._name, reason)
        forget_old(self._database, self._name)

    def _note(self, tx: Transaction, candidate: Candidate, measured: Measured) -> None:
        versions.set_figures(tx, self._name, candidate.number, measured.figures)
        versions.add_notes(tx, self._name, candidate.number, measured.notes)

    def _is_candidate(self, tx: Transaction, candidate: Candidate) -> bool:
        """Whether it still is for the gate to decide: not where a person has meanwhile."""
        is_it = versions.candidate_version(tx, self._name) == candidate.number
        return is_it and versions.is_gated(tx, self._name)

    def _fits(self) -> dict[str, FitSpec]:
        fits: Iterable[Fit] = self._database.code.fits.values()
        return {fit.spec.name: fit.spec for fit in fits if fit.spec.component == self._name}

    def _policy(self, candidate: Candidate) -> Promotion:
        fits = self._fits()
        if candidate.fit in fits:
            return fits[candidate.fit].promote
        better = [spec.promote for spec in fits.values() if spec.promote.kind == "if_better"]
        return next(iter(better), manual)

    def _evaluation(
        self, candidate: Candidate, like: int | None
    ) -> Callable[[int], Mapping[str, float]]:
        """Return what measures a version, each on the same rows."""
        if not evaluates(self._database.code.components[self._name]):
            return lambda _: {}
        fits = self._fits()
        fit = fits.get(candidate.fit or "") or _first_held_out(fits.values())
        with self._database.backend.read() as tx:
            held = labels.held_out_of(tx, fit.name) if fit else None
        timeout_s = fit.timeout_s if fit else None
        return lambda version: self._jobs.evaluate(version, held, timeout_s, like)


def could_not_be_built(candidate: Candidate) -> str:
    return f"{candidate.dead} row(s) could not be remade with it, the first for {candidate.first_error}"


def why_of(exc: BaseException) -> dict[str, str]:
    """Return what is said of a version that was not made, or not measured, for an error."""
    if isinstance(exc, FitFailed):
        return {"reason": exc.reason, "traceback": exc.trace}
    return {"reason": reason_of(exc), "traceback": text_of(exc)}


def _first_held_out(fits: Iterable[FitSpec]) -> FitSpec | None:
    """Return the fit whose held-out labels measure a version that no fit made."""
    return next(iter(sorted(fits, key=lambda fit: fit.holdout == 0)), None)
