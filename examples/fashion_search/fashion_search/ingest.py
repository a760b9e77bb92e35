"""Ingest: catalogs become rows of the retailer table; the triggers do the rest."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import motion
from fashion_search.catalogs import BadRow, Product
from fashion_search.clip import product_text
from fashion_search.pipeline import Retailer

COMMIT_EVERY = 500


def ingest(store: motion.Store, products: Iterable[Product | BadRow]) -> tuple[int, list[BadRow]]:
    """Write all products and return how many there were, and the rows that are none.

    A product that is there already, by its shop and id, is updated: ingesting a catalog twice changes nothing.
    """
    bad: list[BadRow] = []

    def rows() -> Iterator[dict[str, Any]]:
        for product in products:
            if isinstance(product, BadRow):
                bad.append(product)
            else:
                yield row_of(product)

    change = store.set_many("retailer", rows(), by="sku", commit_every=COMMIT_EVERY)
    return change.count, bad


def row_of(product: Product) -> dict[str, Any]:
    """Return a product as a row. Where there is a page, its summary comes from the page by a trigger."""
    row: dict[str, Any] = {
        "retailer": Retailer[product.retailer.upper()],
        "sku": f"{product.retailer}/{product.source_id}",
        "img_url": product.img_url,
        "link": product.link or None,
        "title": product.title,
        "image": product.image,
        "source": product.source,
        "source_id": product.source_id,
        "labels": dict(product.labels),
    }
    if product.html:
        return row | {"img_html": product.html}
    return row | {
        "img_desc": product.description,
        "img_summary": product_text(product.title, product.description) or None,
    }
