"""Ingest: catalogs become rows of the retailer table; the triggers do the rest."""

from __future__ import annotations

import csv
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import motion
from fashion_search.catalogs import BadRow, Product
from fashion_search.pages import product_text
from fashion_search.tables import Retailer

COMMIT_EVERY = 200  # pictures of some MB each must fit in memory
LOOK_EVERY_S = 0.5

ShowWork = Callable[[int], None]


def ingest(
    store: motion.Store,
    products: Iterable[Product | BadRow],
    *,
    commit_every: int = COMMIT_EVERY,
    given: set[str] | None = None,
) -> tuple[int, list[BadRow]]:
    """Write all products and return how many there were, and the rows that are none.

    A product that is there already, by its shop and id, is updated: ingesting a catalog twice changes nothing. Each
    `commit_every` products are kept together with the work they cause: after a crash, the next start goes on with it.
    `given` takes the names of those that were there, for `remove_others`.
    """
    bad: list[BadRow] = []

    def rows() -> Iterator[dict[str, Any]]:
        for product in products:
            if isinstance(product, BadRow):
                bad.append(product)
            else:
                row = row_of(product)
                if given is not None:
                    given.add(row["sku"])
                yield row

    change = store.set_many("retailer", rows(), by="sku", commit_every=commit_every)
    return change.count, bad


def remove_others(store: motion.Store, given: Collection[str]) -> int:
    """Remove the products of the shops in `given` that are not in it, with all that was made of them; return how many.

    For catalogs that are whole. Call it only where no row was left out: a product whose row is damaged today is not gone.
    """
    shops = {sku.partition("/")[0].upper() for sku in given}
    held = store.sql("SELECT id, retailer, sku FROM retailer").to_pylist()
    gone = [row["id"] for row in held if row["retailer"] in shops and row["sku"] not in given]
    for start in range(0, len(gone), COMMIT_EVERY):
        with store.transaction() as tx:
            for row_id in gone[start : start + COMMIT_EVERY]:
                tx.delete("retailer", row_id)
    return len(gone)


def wait(store: motion.Store, show: ShowWork) -> None:
    """Wait until the pipeline has nothing to do; `show` is told now and then how many rows of work are left."""
    while True:
        try:
            store.wait(timeout=LOOK_EVERY_S)
        except motion.WaitTimeout as exc:
            show(exc.remaining)
        else:
            show(0)
            return


def write_bad_rows(path: Path, bad: Sequence[BadRow]) -> None:
    """Write every row that was left out, and why, to a CSV file."""
    with path.open("w", encoding="utf-8", newline="") as file:
        lines = csv.writer(file)
        lines.writerow(["catalog", "row", "id", "why"])
        lines.writerows([row.catalog, row.row_number, row.source_id, row.reason] for row in bad)


def row_of(product: Product) -> dict[str, Any]:
    """Return a product as a row. Where there is a page, its summary comes from the page by a trigger."""
    row: dict[str, Any] = {
        "retailer": Retailer[product.retailer.upper()],
        "sku": f"{product.retailer}/{product.source_id}",
        "img_url": product.img_url,
        "link": product.link or None,
        "title": product.title,
        "brand": product.brand,
        "price": product.price,
        "currency": product.currency,
        "in_stock": product.in_stock,
        "sizes": product.sizes,
        "colours": product.colours,
        "variants": list(product.variants),
        "img_urls": list(product.img_urls),
        "image": product.image or None,  # None: it is fetched from `img_url`
        "source": product.source,
        "source_id": product.source_id,
        "labels": dict(product.labels),
    }
    if product.html:
        return row | {"img_html": product.html}
    return row | {
        "img_desc": product.description,
        "img_summary": product_text(product.title, product.description),
    }
