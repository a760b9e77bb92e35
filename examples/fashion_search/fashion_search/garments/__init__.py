"""Drawn garments: product pictures, catalogs and product pages that belong to this project.

Every picture, brand and text here is invented, so all of it may be published and trained on. Nothing here embeds or
searches.
"""

from fashion_search.garments.drawing import draw
from fashion_search.garments.shop import BRANDS, catalog, page_html, sample
from fashion_search.garments.vocabulary import COLOURS, PATTERNS, TYPES, Garment, Kind

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
