"""What a component's model is doing: its candidate's step, its fits, and the labels that are there and wanted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from motion.backends.base import Transaction
from motion.definitions.fits import FitSpec
from motion.definitions.versions import Progress
from motion.persistence.database import Database
from motion.persistence.recompute import backfills
from motion.persistence.states import fit_requests, labels, versions
from motion.persistence.tasks import backlog
from motion.states.promotion import Candidate, candidate_of
from motion.store.reports.explain import fits_of

Step = Literal["fit", "queued", "build", "measure", "gate", "switch"]


@dataclass(frozen=True)
class FitStatus:
    """What one fit is doing.

    Attributes:
        labels: made since its last run of any outcome.
        wanted: how many of them start it by themselves; None: it has a schedule, or is asked for.
        is_asked: it is asked for, and has not begun.
        progress: what it told last, while it runs.
    """

    name: str
    labels: int
    wanted: int | None
    schedule: str | None
    is_asked: bool
    is_running: bool
    progress: Progress | None


@dataclass(frozen=True)
class ModelStatus:
    """What a component's model is doing. Read in a few look-ups, however many rows and labels there are.

    Attributes:
        live: the version that answers; None where there is none yet.
        candidate: the version that is on its way to be live; None where there is none.
        step: where it is. "fit": one runs; "queued": its version waits for the candidate before it; "build": the
            candidate's outputs are built beside the live ones; "measure": it is tried on a sample, or `evaluate` measures
            it; "gate": it is measured, and waits for a person; "switch": nothing but the switch is left, or outputs
            of rows that were set meanwhile. None: nothing is on its way.
        is_asked: a person asked for this candidate, so no gate holds it.
        is_rollback: it was live before.
        left: rows whose outputs are still to be built; `total`: of how many, None where that is not known.
        rollback_to: the version that `rollback()` goes to; None where there is none.
    """

    name: str
    live: int | None
    candidate: int | None
    step: Step | None
    is_asked: bool
    is_rollback: bool
    left: int
    total: int | None
    fits: tuple[FitStatus, ...]
    rollback_to: int | None


def model_status(database: Database, component: str) -> ModelStatus:
    """Return what a component's model is doing."""
    candidate = candidate_of(database, component)
    with database.backend.read() as tx:
        running = fit_requests.running(tx)
        asked = [each.fit for each in fit_requests.requests(tx)]
        fits = tuple(_fit_status(tx, fit, running, asked) for fit in fits_of(database, component))
        left, total = _build(tx, database, component)
        queued = versions.queued(tx, component)
        live = versions.live_version(tx, component)
        if candidate is not None and candidate.number == live:
            candidate = None  # what was asked for was taken back
        step = _step(candidate, left)
        if step is None and queued:
            step = "queued"
        if step is None and any(each.is_running for each in fits):
            step = "fit"
        return ModelStatus(
            component,
            live,
            candidate.number if candidate else None,
            step,
            candidate is not None and not candidate.is_gated,
            candidate is not None and candidate.is_rollback,
            left,
            total,
            fits,
            versions.version_before(tx, component),
        )


def _step(candidate: Candidate | None, left: int) -> Step | None:
    if candidate is None:
        return None
    if candidate.waits:
        return "gate"
    if candidate.may_go_live and not left:
        return "switch"
    if candidate.stage == "trial":
        return "measure"
    return "build" if left else "measure"


def _build(tx: Transaction, database: Database, component: str) -> tuple[int, int | None]:
    """Return how many rows' outputs are still to be built for a candidate, and of how many."""
    names = {
        spec.name
        for spec in database.graph.triggers.values()
        if spec.component == component and spec.is_versioned
    }
    builds = [b for b in backfills.of_kind(tx, "build") if b.trigger in names]
    left = sum(each.remaining for each in builds)
    left += sum(backlog.rows_to_build(tx, name) for name in names)
    totals = [each.total for each in builds]
    return left, max(sum(totals), left) if totals else None


def _fit_status(tx: Transaction, fit: FitSpec, running: list[str], asked: list[str]) -> FitStatus:
    is_running = fit.name in running
    return FitStatus(
        fit.name,
        labels.new_labels(tx, fit),
        fit.every,
        str(fit.schedule) if fit.schedule else None,
        fit.name in asked and not is_running,
        is_running,
        fit_requests.progress_of(tx, fit.component) if is_running else None,
    )
