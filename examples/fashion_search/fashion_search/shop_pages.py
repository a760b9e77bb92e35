"""From a shop's page to products and links: schema.org in JSON-LD and microdata, as product pages and listings carry it.

Owns which product a page is about, its variants and pictures, the shop's own id of it, and which links of a listing lead
to products. What a page says in words, `pages` reads.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, TypeAlias
from urllib.parse import urlsplit

from bs4 import BeautifulSoup
from bs4.element import Tag

from fashion_search.pages import (
    MAX_PROPERTIES,
    PRODUCT_TYPES,
    Page,
    Places,
    attribute_of,
    canonical_of,
    json_ld_of,
    page_about,
    page_of,
    properties_of,
    soup_of,
    value_of,
)
from fashion_search.prices import currency_of, price_of, stock_of
from fashion_search.products import Draft, id_in, plain_address, web_address, without_affiliate
from fashion_search.tables import Variant

Json: TypeAlias = Any

MAX_LINKS = 2_000
MAX_DEPTH = 6
MAX_ITEMS = 5_000
_NESTING = ("@graph", "mainEntity", "mainEntityOfPage", "itemListElement", "item")
_PRODUCT_PATH = re.compile(
    r"/dp/[^/]+/?$|/s/(?:[^/]+/)?\d+/?$|/products?/[^/]+|/p/[^/]+|/shop/product/", re.IGNORECASE
)
_PRODUCT_CLASS = re.compile(r"product[-_]?(?:link|card|tile|image)|pdp[-_]?link", re.IGNORECASE)
_NEXT_CLASS = re.compile(r"(?:^|[-_])next(?:$|[-_])", re.IGNORECASE)


@dataclass(frozen=True)
class ShopPage:
    """What a page of a shop leads to: its product, or the products and further pages that it lists."""

    product: Draft | None = None
    links: list[str] = field(default_factory=list)  # of products
    further: list[str] = field(default_factory=list)  # of the listing's next pages


def read_shop_page(html: str, address: str) -> ShopPage:
    """Return what a page leads to. Any text is accepted, of any quality.

    Args:
        address: where it was found. All links are completed with it, those that leave its host are dropped.
    """
    soup = soup_of(html)
    if soup is None:
        return ShopPage()
    found = list(_json_ld_products(soup))
    alone = [product for product, is_listed in found if not is_listed]
    scopes = [] if found else _microdata_products(soup)
    page = page_of(soup)
    if alone:
        return ShopPage(_draft(alone[0], page, soup, address))
    if len(scopes) == 1:
        return ShopPage(_draft(scopes[0], page, soup, address))
    if not found and not scopes and _is_sold(soup, page):
        return ShopPage(_draft({}, page, soup, address))
    listed = [_first(product.get("url")) for product in [each for each, _ in found] + scopes]
    return ShopPage(None, _links(soup, listed, address), _further(soup, address))


# --- which product --------------------------------------------------------------------------------


def _json_ld_products(soup: BeautifulSoup) -> Iterator[tuple[dict[str, Json], bool]]:
    """Yield the products of all scripts, and whether each is an item of a list."""
    kinds = re.compile(r"^\s*application/ld\+json", re.IGNORECASE)
    for script in soup.find_all("script", type=kinds):
        left: list[tuple[Json, bool, int]] = [
            (json_ld_of(script.string or script.get_text()), False, 0)
        ]
        looked_at = 0
        while left and looked_at < MAX_ITEMS:
            node, is_listed, depth = left.pop()
            looked_at += 1
            if depth > 2 * MAX_DEPTH:
                continue
            if isinstance(node, list):
                left.extend((each, is_listed, depth + 1) for each in reversed(node))
            elif isinstance(node, dict):
                if _types(node) & PRODUCT_TYPES:
                    yield node, is_listed
                    continue
                inner = [(node[name], is_listed or name == "itemListElement", depth + 1) for name in _NESTING if name in node]  # fmt: skip
                left.extend(reversed(inner))


def _types(node: dict[str, Json]) -> set[str]:
    named = node.get("@type")
    return {
        name.rstrip("/").rsplit("/", 1)[-1].lower()
        for name in (named if isinstance(named, list) else [named])
        if isinstance(name, str)
    }


def _microdata_products(soup: BeautifulSoup) -> list[dict[str, Json]]:
    """Return the page's own products: those that are no property of another item, such as a related one."""
    found: list[dict[str, Json]] = []
    places = Places(soup)
    for scope in soup.find_all(itemscope=True, limit=MAX_ITEMS):
        types = {
            name.rstrip("/").rsplit("/", 1)[-1].lower()
            for name in attribute_of(scope, "itemtype").split()
        }
        if types & PRODUCT_TYPES and not scope.has_attr("itemprop"):
            found.append(_item(places, scope))
    referred = {id for scope in soup.find_all(itemref=True) for id in attribute_of(scope, "itemref").split()}  # fmt: skip
    own = [each for each in found if each.get("@id") not in referred]
    return own or found


def _item(places: Places, scope: Tag, depth: int = 0) -> dict[str, Json]:
    item: dict[str, Json] = {"@id": attribute_of(scope, "id")}
    for name, element in islice(properties_of(places, scope), MAX_PROPERTIES):
        value: Json = value_of(element)
        if element.has_attr("itemscope") and depth < MAX_DEPTH and name in _INNER:
            value = _item(places, element, depth + 1)
        if value:
            item.setdefault(name, []).append(value)
    return item


_INNER = frozenset({"offers", "hasVariant", "brand", "priceSpecification", "itemOffered", "image"})


def _is_sold(soup: BeautifulSoup, page: Page) -> bool:
    kind = soup.find("meta", attrs={"property": "og:type"})
    named = attribute_of(kind, "content").lower() if isinstance(kind, Tag) else ""
    return bool(page.title and page.image_url) and ("product" in named or page.price is not None)


# --- what it is -----------------------------------------------------------------------------------


def _draft(product: dict[str, Json], page: Page, soup: BeautifulSoup, address: str) -> Draft:
    own, page = _own_address(soup, address), page_about(product, page)
    variants = [each for variant in _dicts(product.get("hasVariant")) for each in _offered(variant, page, variant.get("image"))]  # fmt: skip
    variants = (
        variants
        or list(_offered(product, page))
        or [Variant(page.colour or None, None, page.price)]
    )
    variants = _with_sizes(soup, variants)
    images = [
        *_images(product.get("image")),
        *(image for variant in _dicts(product.get("hasVariant")) for image in _images(variant.get("image"))),
        page.image_url,
    ]  # fmt: skip
    return Draft(
        _id_of(product, soup, own),
        title=page.title,
        description=page.description,
        link=own,
        brand=page.brand,
        currency=page.currency or _currency(product),
        variants=variants,
        images=[image for image in images if image],
        labels={"material": page.material} if page.material else {},
    )


def _own_address(soup: BeautifulSoup, address: str) -> str:
    """Return the address that a page gives itself, if it is one of its own host, else where it was found."""
    written = web_address(canonical_of(soup), address)
    is_own = bool(written) and urlsplit(written).hostname == urlsplit(address).hostname
    return plain_address(written if is_own or not address else address) if address or written else ""  # fmt: skip


def _id_of(product: dict[str, Json], soup: BeautifulSoup, address: str) -> str:
    for name in ("productGroupID", "productID"):
        if found := _first(product.get(name)):
            return found.removeprefix("sku:")
    hidden = soup.find("input", id=re.compile("^product-?(?:code|id)$", re.IGNORECASE))
    in_page = attribute_of(hidden, "value") if isinstance(hidden, Tag) else ""
    told = _first(product.get("sku")) or _first(product.get("mpn"))
    return in_page or id_in(address) or told or urlsplit(address).path.strip("/")


def _offered(product: dict[str, Json], page: Page, image: Json = None) -> Iterator[Variant]:
    colour = _first(product.get("color")) or page.colour or None
    size = _first(product.get("size")) or None
    shown = next(iter(_images(image)), None)
    for offer in _offers(product):
        of = next(iter(_dicts(offer.get("itemOffered"))), {})
        specified = next(iter(_dicts(offer.get("priceSpecification"))), {})
        currency = _first(offer.get("priceCurrency") or specified.get("priceCurrency"))
        prices = (offer.get("price"), offer.get("lowPrice"), specified.get("price"))
        yield Variant(
            _first(of.get("color")) or colour,
            _first(of.get("size")) or size,
            next((price for each in prices if (price := price_of(_scalar(each), currency)) is not None), None),
            stock_of(_scalar(offer.get("availability"))),
            next(iter(_images(of.get("image"))), shown),
        )  # fmt: skip


def _offers(product: dict[str, Json]) -> list[dict[str, Json]]:
    offers = _dicts(product.get("offers"))
    inner = [each for offer in offers for each in _dicts(offer.get("offers")) if each.get("price")]
    return (inner or offers)[:MAX_ITEMS]


def _with_sizes(soup: BeautifulSoup, variants: list[Variant]) -> list[Variant]:
    """Return variants with the sizes that Revolve's pages tell beside them: all, and those that are out of stock."""
    place = soup.find(True, attrs={"data-all-size": True})
    if not isinstance(place, Tag) or len(variants) != 1 or variants[0].size:
        return variants
    gone = set(attribute_of(place, "data-oos-size").split(","))
    [one] = variants
    return [
        Variant(one.colour, size, one.price, size not in gone, one.img_url)
        for size in attribute_of(place, "data-all-size").split(",")
        if size
    ]


def _currency(product: dict[str, Json]) -> str:
    offers = [offer for each in [product, *_dicts(product.get("hasVariant"))] for offer in _offers(each)]  # fmt: skip
    return next((currency_of(_first(offer.get("priceCurrency"))) for offer in offers), "")


# --- links ----------------------------------------------------------------------------------------


def _links(soup: BeautifulSoup, listed: list[str], address: str) -> list[str]:
    anchors = (
        attribute_of(each, "href")
        for each in soup.find_all("a", href=True, limit=4 * MAX_LINKS)
        if _PRODUCT_CLASS.search(attribute_of(each, "class")) or _leads_to_product(each, address)
    )
    items = (attribute_of(each, "href") for each in soup.find_all("a", itemprop="url", href=True))
    return _own([*listed, *items, *anchors], address)


def _leads_to_product(anchor: Tag, address: str) -> bool:
    written = without_affiliate(web_address(attribute_of(anchor, "href"), address))
    return bool(written and _PRODUCT_PATH.search(urlsplit(written).path))


def _further(soup: BeautifulSoup, address: str) -> list[str]:
    next_ones = soup.find_all(["a", "link"], rel="next", href=True, limit=5)
    named = soup.find_all("a", class_=_NEXT_CLASS, href=True, limit=5)
    return _own([attribute_of(each, "href") for each in [*next_ones, *named]], address)


def _own(written: list[str], address: str) -> list[str]:
    """Return addresses on the host of `address`, each once, without what only tells where a visitor came from."""
    host = urlsplit(address).netloc
    found = (without_affiliate(web_address(each, address)) for each in written if each)
    own = (plain_address(each) for each in found if each and urlsplit(each).netloc == host)
    return list(dict.fromkeys(own))[:MAX_LINKS]


# --- JSON of any kind -----------------------------------------------------------------------------


def _dicts(value: Json) -> list[dict[str, Json]]:
    return [each for each in (value if isinstance(value, list) else [value]) if isinstance(each, dict)]  # fmt: skip


def _scalar(value: Json) -> Json:
    return next(iter(value), None) if isinstance(value, list) else value


def _first(value: Json) -> str:
    """Return the first text in a value; a thing with a name or an address is its name or its address."""
    for each in value if isinstance(value, list) else [value]:
        if isinstance(each, dict):
            each = each.get("name") or each.get("url") or each.get("@id")
        if isinstance(each, str | int | float) and not isinstance(each, bool) and str(each).strip():
            return str(each).strip()
    return ""


def _images(value: Json) -> list[str]:
    found = []
    for each in value if isinstance(value, list) else [value]:
        if isinstance(each, dict):
            each = each.get("contentUrl") or each.get("url") or each.get("@id")
        each = _scalar(each)
        if isinstance(each, str) and each.strip():
            found.append(each.strip())
    return found
