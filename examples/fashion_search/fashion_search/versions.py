"""The versions of the encoders in a store: which there are, how good each is, and the way back."""

from __future__ import annotations

from rich.table import Table

import motion
from fashion_search.gate import MOST_ROUNDS, NEEDED

COMPONENT = "ImageRetrieval"
LEAST_PRODUCTS = 5 * NEEDED // MOST_ROUNDS  # a fifth is held out for the gate
FIGURES = (
    ("pairs", ".0f"),
    ("recall_at_1", ".3f"),
    ("recall_at_10", ".3f"),
    ("mrr", ".3f"),
    ("gain_low", "+.3f"),
)


def versions_table(store: motion.Store) -> Table:
    """Return the versions with what the gate measured on held-out pairs. The first one was measured when it was held
    against a candidate."""
    table = Table(
        "version", "status", "labels", "pairs", "recall@1", "recall@10", "mrr", "gain ≥", box=None, pad_edge=False
    )  # fmt: skip
    versions = store.model(COMPONENT).versions()
    measured_live = {
        version.parent: version.live_metrics for version in versions if version.live_metrics
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


MOST_GROWTH = 1.02
"""How much a catalog may grow before the encoders learn what is new of it."""


def study(store: motion.Store) -> motion.StateVersion | None:
    """Let the encoders learn a catalog's own pairs, and return the version that came of it.

    None where it has not grown by a fiftieth since they last did, or is too small for the gate to tell chance from gain.
    """
    if not begin_to_study(store):
        return None
    store.wait()
    return store.model(COMPONENT).versions()[-1]


def begin_to_study(store: motion.Store) -> bool:
    """Do what `study` does, in the background; return whether there is something to learn."""
    [(products, studied)] = [
        tuple(row.values())
        for row in store.sql(
            "SELECT (SELECT COUNT(img_embedding) FROM retailer) AS products, "
            "(SELECT COALESCE(MAX(products), 0) FROM lesson) AS studied"
        ).to_pylist()
    ]
    if products < max(LEAST_PRODUCTS, MOST_GROWTH * studied):
        return False
    store.set("lesson", products=products)
    return True
