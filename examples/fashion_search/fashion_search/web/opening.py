"""Opening: what a store needs before somebody looks, and the shop that is served over it."""

from __future__ import annotations

import motion
from fashion_search.encoders import kind_of_text
from fashion_search.stock import stock_of
from fashion_search.trunks import english_words
from fashion_search.versions import begin_to_study
from fashion_search.web import create_shop
from motion.server import Serving, serve


def opened_shop(store: motion.Store, port: int) -> Serving:
    """Return the shop, ready to be run. What there is to learn of a catalog is learned while people look."""
    _tell_facets_of_old_rows(store)
    kind_of_text(
        "something for a rainy day"
    )  # all models are loaded before the first question comes
    english_words()
    stock_of(store)
    begin_to_study(store)
    return serve(store, port=port, app=create_shop(store))


def _tell_facets_of_old_rows(store: motion.Store) -> None:
    """Fill what filters ask for in a store that was made before there were any."""
    [(rows, told)] = [
        tuple(row.values())
        for row in store.sql(
            "SELECT COUNT(*) AS products, COUNT(COALESCE(kind, colour)) AS told FROM retailer"
        ).to_pylist()
    ]
    if rows and not told:
        store.backfill("tell_facets")
