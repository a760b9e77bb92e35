"""From what a file or an address holds to products and links: which kind it is, and who reads it.

Owns the telling apart of Google Merchant feeds, shops' JSON, delimited text, sitemaps and pages. It fetches nothing.
"""

from __future__ import annotations

import gzip
import io
import json
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any, BinaryIO, Literal

from lxml import etree

from fashion_search.cells import Cells, Row, delimited
from fashion_search.encodings import decoded
from fashion_search.products import (
    BadRow,
    CatalogError,
    Draft,
    Product,
    Unusable,
    plain_address,
    shown,
    web_address,
)
from fashion_search.rows import is_known, products_of
from fashion_search.shop_json import drafts_in
from fashion_search.shop_pages import read_shop_page
from fashion_search.xml_feeds import xml_items

MAX_FEED_BYTES = 128 * 1024 * 1024
MAX_SITEMAP_LINKS = 50_000

Kind = Literal["json", "sitemap", "xml", "html", "table"]


@dataclass(frozen=True)
class Contents:
    """What an address holds.

    Attributes:
        is_whole: it is a feed: it tells of all products that it ever told of, and what it no longer tells of is gone.
        products: the products, and the rows that are none.
        links: addresses of product pages.
        further: addresses of more lists: sitemaps, next pages.
    """

    is_whole: bool = False
    products: Iterable[Product | BadRow] = ()
    links: list[str] = field(default_factory=list)
    further: list[str] = field(default_factory=list)


def kind_of(content: bytes, content_type: str = "") -> Kind:
    """Return what bytes are, by how they begin; what a server calls them is asked last."""
    head = _text(content[:4_096], content_type).lstrip("\ufeff \t\r\n")
    lower = head.lower()
    if head[:1] in ("{", "["):
        return "json"
    if re.search(r"<(?:urlset|sitemapindex)[\s>]", lower):
        return "sitemap"
    if re.search(r"<(?:rss|feed|channel|products|catalog|items)[\s>]", lower):
        return "xml"
    if lower.startswith("<") or "html" in content_type.lower():
        return "xml" if lower.startswith("<?xml") and "<html" not in lower else "html"
    return "table"


def feed_products(name: Path | str, content: bytes, retailer: str) -> Iterator[Product | BadRow]:
    """Return the products of a file's content: a feed, JSON, or one product's page.

    Raises:
        CatalogError: at once, where it is damaged or tells of nothing; while reading, where it is damaged in part.
    """
    if kind_of(content) == "html":
        draft = read_shop_page(_text(content), "").product
        found = _made(name, [draft] if draft else [], retailer, "")
    else:
        found = iter(read_contents(content, retailer, str(name), base="").products)
    first = next(found, None)
    if first is None:
        raise CatalogError(name, f"no product is in it; it begins {shown(content[:200].strip())}")
    return chain([first], found)


def read_contents(
    content: bytes, retailer: str, address: str, *, content_type: str = "", base: str | None = None
) -> Contents:
    """Return what an address holds. What is damaged in part raises while its products are taken.

    Args:
        base: completes relative links; `address` where left out.

    Raises:
        CatalogError: it cannot be read at all.
    """
    base = address if base is None else base
    if content.startswith(b"\x1f\x8b"):
        content = _unpacked(content, address)
    kind = kind_of(content, content_type)
    if kind == "json":
        return Contents(
            True, _made(address, _drafts(_json(content, address), address), retailer, base)
        )
    if kind == "sitemap":
        return _sitemap(content, address)
    if kind == "xml":
        return Contents(True, _xml_products(content, address, retailer, base))
    if kind == "html":
        page = read_shop_page(_text(content, content_type), base)
        drafts = [page.product] if page.product else []
        return Contents(False, _made(address, drafts, retailer, base), page.links, page.further)
    cells = delimited(address, lambda: io.BytesIO(content), is_known)
    return Contents(True, products_of(address, cells, retailer, folder=None, address=base))


def _made(
    name: Path | str, drafts: Iterable[Draft], retailer: str, base: str
) -> Iterator[Product | BadRow]:
    seen: set[str] = set()
    for number, draft in enumerate(drafts, start=1):
        try:
            if draft.source_id in seen:
                raise Unusable("duplicate id: an earlier one has it")
            product = draft.product(retailer, base)
        except Unusable as exc:
            yield BadRow(Path(name).name, number, draft.source_id, str(exc))
        except (ValueError, TypeError, ArithmeticError, RecursionError) as exc:
            reason = f"it cannot be read: {type(exc).__name__}: {exc}"
            yield BadRow(Path(name).name, number, draft.source_id, reason)
        else:
            seen.add(draft.source_id)
            yield product


def _drafts(value: Any, address: str) -> Iterator[Draft]:
    try:
        yield from drafts_in(value)
    except OverflowError as exc:
        raise CatalogError(address, str(exc)) from exc


def _xml_products(
    content: bytes, address: str, retailer: str, base: str
) -> Iterator[Product | BadRow]:
    rows: list[Row] = list(xml_items(address, content))
    columns = dict.fromkeys(name for _, cells in rows if not isinstance(cells, str) for name in cells)  # fmt: skip
    if rows:
        yield from products_of(
            address, Cells(tuple(columns), lambda: iter(rows)), retailer, folder=None, address=base
        )


def _sitemap(content: bytes, address: str) -> Contents:
    parser = etree.XMLParser(recover=True, resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False)  # fmt: skip
    root = etree.fromstring(content, parser)
    if root is None:
        raise CatalogError(address, "no XML")
    written = [place.text or "" for place in root.iterfind(".//{*}loc")][:MAX_SITEMAP_LINKS]
    links = [plain_address(found) for each in written if (found := web_address(each, address))]
    is_index = isinstance(root.tag, str) and root.tag.endswith("sitemapindex")
    return Contents(links=[] if is_index else links, further=links if is_index else [])


def _json(content: bytes, address: str) -> Any:
    text = _text(content)
    try:
        return json.loads(text, strict=False)
    except (ValueError, RecursionError) as exc:
        lines = [line for line in text.splitlines() if line.strip()]
        if len(lines) < 2:
            raise CatalogError(address, f"no JSON: {exc}") from exc
    try:
        return [json.loads(line, strict=False) for line in lines]
    except (ValueError, RecursionError) as exc:
        raise CatalogError(address, f"no JSON: {exc}") from exc


def _text(content: bytes, content_type: str = "") -> str:
    named = re.search(r"charset=[\"']?([\w.:-]+)", content_type, re.IGNORECASE) or re.search(
        rb"<meta[^>]+charset=[\"']?([\w.:-]+)", content[:4_096], re.IGNORECASE
    )
    told = named[1] if named else ""
    return decoded(content, told if isinstance(told, str) else told.decode("ascii"))


def _unpacked(content: bytes, address: str) -> bytes:
    return read_within(address, lambda: gzip.open(io.BytesIO(content)), " when unpacked")


def read_within(
    name: Path | str, opened: Callable[[], BinaryIO | gzip.GzipFile], hint: str
) -> bytes:
    """Return what a feed holds, unless that is more than a feed may be."""
    try:
        with opened() as raw:
            content = raw.read(MAX_FEED_BYTES + 1)
    except (OSError, EOFError) as exc:
        raise CatalogError(name, f"damaged: {exc}") from exc
    if len(content) > MAX_FEED_BYTES:
        raise CatalogError(name, f"larger than {MAX_FEED_BYTES:,} bytes{hint}")
    return content
