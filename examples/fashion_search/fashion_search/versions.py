"""The versions of CLIP in a store: which there are, how good each is, and the way back."""

from __future__ import annotations

from rich.table import Table

import motion

COMPONENT = "ImageRetrieval"
FIGURES = (("pairs", ".0f"), ("recall_at_1", ".3f"), ("recall_at_10", ".3f"), ("mrr", ".3f"))


def versions_table(store: motion.Store) -> Table:
    """Return the versions with what the gate measured on held-out pairs. The first one was measured when it was held
    against a candidate."""
    table = Table(
        "version", "status", "labels", "pairs", "recall@1", "recall@10", "mrr", box=None, pad_edge=False
    )  # fmt: skip
    versions = store.model(COMPONENT).versions()
    measured_live = {
        version.parent: version.metrics["live"] for version in versions if "live" in version.metrics
    }
    for version in versions:
        metrics = measured_live.get(version.number, {}) | version.metrics
        figures = [f"{metrics[name]:{form}}" if name in metrics else "-" for name, form in FIGURES]
        table.add_row(str(version.number), version.status, str(version.rows), *figures)
    return table


def roll_back(store: motion.Store) -> int:
    """Make the version that was live before live again, and return its number.

    Raises:
        motion.StateError: there is none.
    """
    store.model(COMPONENT).rollback()
    store.wait()
    live = store.status().versions[COMPONENT]
    assert live is not None
    return live
