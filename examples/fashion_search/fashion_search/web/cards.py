"""Cards: what of a product is shown, and its picture, small and as this process has encoded it."""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any

import motion
from fashion_search.answers import SHOPS, name_of
from fashion_search.pictures import UnreadableImage, open_image
from fashion_search.products import is_web
from fashion_search.tables import RetailerSchema

SIDE_PX = 360
KEYS = (
    "id retailer title brand price currency link kind colour in_stock img_desc img_summary".split()
)  # no picture, no array


def cards(store: motion.Store, ids: Sequence[int]) -> list[dict[str, Any]]:
    """Return what is shown of products, in the order of their ids; those that are gone are left out."""
    if not ids:
        return []
    marks = ", ".join("?" * len(ids))
    rows = store.rows(RetailerSchema, where=f"id IN ({marks})", params=list(ids), keys=KEYS)
    found = {row.id: card(row) for row in rows}
    return [found[id] for id in ids if id in found]


def card(product: RetailerSchema) -> dict[str, Any]:
    return {
        "id": product.id,
        "title": _without_brand(name_of(product), product.brand),
        "brand": product.brand,
        "shop": product.retailer.name,
        "shop_name": SHOPS[product.retailer],
        "price": _price(product.price, product.currency),
        "link": product.link if product.link and is_web(product.link) else None,
        "kind": product.kind,
        "colour": product.colour,
        "sold_out": product.in_stock is False,
    }


def _without_brand(title: str, brand: str | None) -> str:
    """Return a title without the brand in front, which stands beside it."""
    rest = title[len(brand) :].strip() if brand and title.startswith(brand) else ""
    return rest or title


def _price(price: float | None, currency: str | None) -> str | None:
    if price is None:
        return None
    sign = {"USD": "$", "EUR": "€", "GBP": "£"}.get(
        currency or "", f"{currency} " if currency else ""
    )
    return f"{sign}{price:,.0f}" if price == int(price) else f"{sign}{price:,.2f}"


def liked_first(cards: Iterable[dict[str, Any]], opinions: dict[int, bool]) -> list[dict[str, Any]]:
    """Return cards with what a shopper thinks of them."""
    return [{**each, "liked": opinions.get(each["id"])} for each in cards]


def thumbnail(image: bytes) -> bytes | None:
    """Return a picture as a small JPEG, None where it is none. What others wrote is never passed on as it is."""
    return _thumbnail(image)


@lru_cache(maxsize=512)
def _thumbnail(image: bytes) -> bytes | None:
    try:
        picture = open_image(image)
    except UnreadableImage:
        return None
    picture.thumbnail((SIDE_PX, SIDE_PX))
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=85)
    return file.getvalue()
