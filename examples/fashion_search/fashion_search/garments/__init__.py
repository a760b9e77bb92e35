"""Drawn garments: product pictures, catalogs and product pages that belong to this project.

Every picture, brand and text here is invented, so all of it may be published and trained on. Nothing here embeds or
searches. What draws is imported when it is asked for: a search needs the names of garments only.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from fashion_search.garments.vocabulary import COLOURS, PATTERNS, TYPES, Garment, Kind

if TYPE_CHECKING:
    from fashion_search.garments.drawing import draw
    from fashion_search.garments.shop import BRANDS, catalog, page_html, sample

__all__ = [
    "BRANDS",
    "COLOURS",
    "PATTERNS",
    "TYPES",
    "Garment",
    "Kind",
    "catalog",
    "draw",
    "page_html",
    "sample",
]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{'drawing' if name == 'draw' else 'shop'}"), name)
