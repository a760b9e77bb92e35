"""State versions, labels and a fit's progress, as they are told."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from motion.notebook import table_of

Status = Literal["candidate", "live", "retired", "refused", "failed"]


UNSAID = ("lacking", "forgotten", "is_left_out")
"""Of what is noted of a version: what stands beside its metrics, and not among them."""


@dataclass(frozen=True)
class StateVersion:
    """One version of a component's state.

    Attributes:
        number: 1 for what `setup` made, then one more for each fit.
        status: candidate, live, retired, refused (by the gate) or failed (the fit raised).
        parent: the version it was fitted from, None for `setup`'s.
        rows: labels that its fit consumed.
        metrics: what `evaluate` measured. Beside it, unless `evaluate` gives figures of these names: `reason` and
            `traceback` below, `live`, which is `live_metrics`, and `sample`, the figures of the rows that it was tried on
            first (`gate_on=`).
        live_metrics: what `evaluate` gave for the version that was live then, on the same rows; None: nothing.
        duration_s: seconds that making it took.
        fingerprint: of the code that made it: its fit's, or `setup`'s with the constructor's arguments.
        is_kept: its state is still on disk, so it can be promoted.
        reason: why it was refused, or failed.
        traceback: of its failure.
        live_from: when it was made live last, at most 100 ms early (10 s, an hour later); None: it never was, or it
            was before a rollback went further back than to it.
        live_until: when it was retired last; None while it is live.
        forgotten: from how many labels it learned that have been forgotten since, or held something of a forgotten row.
        lacking: how many rows it went live without outputs for, as it fails on them: of those that had none before
            either, and after a rollback of any.
    """

    number: int
    status: Status
    parent: int | None
    rows: int
    metrics: dict[str, Any]
    created_at: datetime
    duration_s: float
    fingerprint: str | None = None
    is_kept: bool = True
    reason: str | None = None
    traceback: str | None = None
    lacking: int = 0
    forgotten: int = 0
    live_from: datetime | None = None
    live_until: datetime | None = None
    live_metrics: dict[str, Any] | None = None

    def _cells_(self) -> Mapping[str, Any]:
        figures = {
            name: each for name, each in self.metrics.items() if isinstance(each, int | float)
        }
        told = {
            "version": self.number,
            "status": self.status,
            "from": self.parent,
            "labels": self.rows,
        }
        return {
            **told,
            **figures,
            "made (UTC)": f"{self.created_at:%Y-%m-%d %H:%M:%S}",
            "reason": self.reason,
        }

    def _repr_html_(self) -> str:
        return table_of([self._cells_()])

    @staticmethod
    def of(figures: Mapping[str, float], notes: Mapping[str, Any], **facts: Any) -> StateVersion:
        """Return a version with its figures and what is said of it beside them."""
        said = {name: each for name, each in notes.items() if name not in UNSAID}
        return StateVersion(
            metrics={**said, **figures},
            reason=notes.get("reason"),
            traceback=notes.get("traceback"),
            live_metrics=notes.get("live"),
            lacking=notes.get("lacking", 0),
            forgotten=notes.get("forgotten", 0),
            **facts,
        )


@dataclass(frozen=True)
class Progress:
    """How far a fit is, as its code told by `motion.progress`.

    Attributes:
        step: how much is done, of `total` where that is known.
        figures: further numbers, such as a loss.
        at: when it was told.
    """

    step: int
    total: int | None
    figures: dict[str, float]
    at: datetime

    def __str__(self) -> str:
        of = "" if self.total is None else f" of {self.total}"
        figures = "".join(f", {name} {value:.4g}" for name, value in self.figures.items())
        return f"step {self.step}{of}{figures} ({self.at:%H:%M:%S} UTC)"


@dataclass(frozen=True)
class Label:
    """A label that a version learned from.

    Attributes:
        fit: the fit that it is a label of.
        id, pages: name the row whose key was set.
        version: the version whose fit learned from it.
        row: the copy of the row that the fit was given.
    """

    fit: str
    id: Any
    pages: Mapping[str, int]
    version: int
    row: Any
