"""Listings: what a shop tells of in several pages of one address, fetched as one document.

Shopify's `products.json` tells of 30 products where nothing is said, of 250 at most, and goes on with `page=2`. A page alone is
no feed: as products come and go, others move from one page to the next.
"""

from __future__ import annotations

import json
from dataclasses import replace
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx

from fashion_search.fetching import Answer, Fetcher, TryLater

AT_ONCE, PAGES = 250, 100
"""Products of a page, and pages, that Shopify tells of at most."""


def is_listing(address: str) -> bool:
    """Whether an address is a `products.json`, and none of its pages alone."""
    split = urlsplit(address)
    return split.path.endswith("/products.json") and "page" not in parse_qs(split.query)


def fetched(
    fetcher: Fetcher, address: str, *, limit: int, etag: str = "", modified: str = ""
) -> Answer:
    """Return what is at an address, as `Fetcher.get` does; of a listing, all pages together.

    Raises:
        NotFetched, TryLater: as `Fetcher.get`; where one page cannot be had, nothing is told.
    """
    if not is_listing(address):
        return fetcher.get(address, limit=limit, etag=etag, modified=modified)
    products: list[Any] = []
    before: list[Any] | None = None
    for number in range(1, PAGES + 1):
        page = fetcher.get(_page(address, number), limit=limit)
        found = _products(page)
        if found is None and (number == 1 or page.status != HTTPStatus.OK):
            return page  # it is no shop of Shopify's, or says what keeps it from telling
        if found is None:
            raise TryLater(address, f"its page {number} is no list of products")
        if not found or found == before:  # some do not know pages
            break
        products, before, limit = products + found, found, limit - len(page.content)
    whole = json.dumps({"products": products}, ensure_ascii=False).encode()
    return replace(page, address=address, content=whole, etag="", modified="")


def _page(address: str, number: int) -> str:
    return str(httpx.URL(address).copy_merge_params({"limit": str(AT_ONCE), "page": str(number)}))


def _products(page: Answer) -> list[Any] | None:
    """Return the products that a page tells of; None where it is none."""
    if page.status != HTTPStatus.OK:
        return None
    try:
        told = json.loads(page.content, strict=False)
    except (ValueError, RecursionError):
        return None
    products = told.get("products") if isinstance(told, dict) else None
    return products if isinstance(products, list) else None
