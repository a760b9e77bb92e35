"""Products: what is known of one, whoever told it, and how shops write links and ids.

Owns the one way from a shop's words to a `Product`: every reader fills a `Draft`. It reads no files and fetches nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qs, parse_qsl, quote, unquote, urljoin, urlsplit

from w3lib.url import canonicalize_url, url_query_cleaner

from fashion_search.pages import plain_text, whole_text
from fashion_search.places import is_web as is_web
from fashion_search.tables import Variant

MAX_IMAGES = 40  # of one product; what comes after is left out
MAX_VARIANTS = 500
MAX_LINK_CHARS = 2_000
MAX_ID_CHARS = 200
# What is longer is cut: it is shown, searched and embedded, and shops' own limits are below (Google's: 150 and 5,000).
MAX_TITLE_CHARS = 500
MAX_DESCRIPTION_CHARS = 20_000
MAX_LABEL_CHARS = 2_000

# What says who sent a visitor, and nothing about which product it is.
_TRACKING = (
    "utm_source utm_medium utm_campaign utm_term utm_content gclid dclid fbclid msclkid mc_cid mc_eid ref srctype "
    "sectionurl siplt ranmid raneaid ransiteid cm_mmc linkshare origin"
).split()
# Where the shops write a product's own id into its address, most telling first.
_ID_IN_QUERY = ("ID", "id", "pid", "product_id", "productId", "sku")
_ID_IN_PATH = (
    re.compile(r"/dp/([^/]+)"),  # Revolve
    re.compile(r"/s/(?:[^/]+/)?(\d+)/?$"),  # Nordstrom
    re.compile(r"/products/([^/]+)/?$"),  # Shopify
    re.compile(r"[/-]p?(\d{4,})(?:\.html?)?/?$"),
)


RETAILERS = ("nordstrom", "revolve", "bloomingdales")


class CatalogError(ValueError):
    """A whole catalog cannot be read. `path` is its file or its address."""

    def __init__(self, path: Path | str, reason: str) -> None:
        super().__init__(path, reason)
        self.path, self.reason = path, reason

    def __str__(self) -> str:
        return f"catalog {self.path}: {self.reason}"


class Unusable(Exception):
    """Why something that was told is no product."""


@dataclass(frozen=True, slots=True)
class BadRow:
    """A row that is no product, and why. Rows count from 1, a CSV's header not counted.

    Attributes:
        is_damaged: it could not be read at all, so it may be of any product, or of several.
    """

    catalog: str
    row_number: int
    source_id: str
    reason: str
    is_damaged: bool = field(default=False, compare=False)


def shown(value: object) -> str:
    """Return a value of other people's for an error: as Python writes it, and not longer than a line."""
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


@dataclass(frozen=True, slots=True)
class Product:
    """One product of a catalog.

    Attributes:
        retailer: one of `RETAILERS`.
        source_id: the shop's own id of it; `(retailer, source_id)` is unique within a catalog.
        img_url: names the picture for good: its web address where the catalog has one, else
            `catalog:<retailer>/<source_id>`. Two products may share a web address.
        title: one line of plain text; where the catalog has none, the words of the link, or "".
        description: plain text, maybe "".
        link: the product's page, an absolute web address, or "".
        html: that page, or "".
        image: the picture file as the catalog holds it, byte for byte; it was decoded once, whole. b"": only its address
            is known, `img_url`.
        labels: the catalog's other columns, as text; for measuring only.
        source: the collection that the picture comes from, or "".
        brand, currency: as written by the shop, or "".
        variants: the ways to buy it, with colour, size, price and stock.
        img_urls: all its pictures, the first in `img_url`.
    """

    retailer: str
    source_id: str
    img_url: str
    title: str
    description: str
    link: str
    html: str
    image: bytes
    labels: Mapping[str, str] = field(default_factory=dict)
    source: str = ""
    brand: str = ""
    currency: str = ""
    variants: tuple[Variant, ...] = ()
    img_urls: tuple[str, ...] = ()

    @property
    def price(self) -> float | None:
        """The lowest price that is asked for it, of what is in stock if something is."""
        asked = [each for each in self.variants if each.price is not None]
        bought = [each.price for each in asked if each.in_stock is not False and each.price]
        return min(bought or [each.price for each in asked if each.price], default=None)

    @property
    def in_stock(self) -> bool | None:
        """Whether any variant can be bought; None where the shop does not say."""
        told = [each.in_stock for each in self.variants if each.in_stock is not None]
        return any(told) if told else None

    @property
    def colours(self) -> list[str]:
        return _once(each.colour for each in self.variants)

    @property
    def sizes(self) -> list[str]:
        """The sizes that can be bought; all of them where the shop does not tell its stock."""
        return _once(each.size for each in self.variants if each.in_stock is not False)


@dataclass(slots=True)
class Draft:
    """A product as a reader finds it: in the shop's words, with tags, relative links and whatever else."""

    source_id: str
    title: str = ""
    description: str = ""
    link: str = ""
    brand: str = ""
    currency: str = ""
    variants: list[Variant] = field(default_factory=list)
    images: list[str] = field(default_factory=list)
    labels: dict[str, str] = field(default_factory=dict)
    source: str = ""
    html: str = ""
    image: bytes = b""

    def __post_init__(self) -> None:
        self.source_id = plain_id(self.source_id)

    def product(self, retailer: str, address: str = "") -> Product:
        """Return it as a product.

        Args:
            address: where it was told: relative links and pictures are completed with it.

        Raises:
            Unusable: it lacks an id, a picture, or any word.
        """
        if not self.source_id:
            raise Unusable("no id")
        if len(self.source_id) > MAX_ID_CHARS:
            raise Unusable(
                f"the id has {len(self.source_id):,} characters; at most {MAX_ID_CHARS} are kept"
            )
        images = _once(web_address(each, address) for each in self.images)[:MAX_IMAGES]
        if not images and not self.image:
            raise Unusable("no image: neither a picture nor a web address of one")
        link = without_affiliate(web_address(self.link, address))
        title = plain_text(self.title)[:MAX_TITLE_CHARS].rstrip()
        description = plain_text(self.description)[:MAX_DESCRIPTION_CHARS].rstrip()
        title = title or ("" if description else words_of(link))
        if not title and not description:
            raise Unusable("no title, no description, and no words in its link")
        return Product(
            retailer=retailer,
            source_id=self.source_id,
            img_url=images[0] if images else locator(retailer, self.source_id),
            title=title,
            description=description,
            link=link,
            html=whole_text(self.html),
            image=self.image,
            labels={_label(name): _label(text) for name, text in self.labels.items()},
            source=_label(self.source),
            brand=_label(plain_text(self.brand)),
            currency=_label(self.currency),
            variants=tuple(self._variants(address)),
            img_urls=tuple(images),
        )

    def _variants(self, address: str) -> Iterable[Variant]:
        for each in self.variants[:MAX_VARIANTS]:
            shown = web_address(each.img_url or "", address)
            yield Variant(
                _label(plain_text(each.colour or "")) or None, _label(plain_text(each.size or "")) or None,
                each.price, each.in_stock, shown or None,
            )  # fmt: skip


def plain_id(written: str) -> str:
    """Return a shop's id as it is kept: without what no table can hold, and without spaces around it."""
    return whole_text(written).strip()


def _label(text: str) -> str:
    return whole_text(text)[:MAX_LABEL_CHARS]


def _once(texts: Iterable[str | None]) -> list[str]:
    return [text for text in dict.fromkeys(texts) if text]


# --- addresses ------------------------------------------------------------------------------------


def web_address(written: str, base: str = "") -> str:
    """Return an absolute http(s) address, completed with `base`, or "" where there is none: a script, data, a mail address."""
    written = written.strip()
    if not written or len(written) > MAX_LINK_CHARS or any(map(_is_odd, written)):
        return ""
    try:
        address = urljoin(base, written) if base else written
        if address.startswith("//"):
            address = f"https:{address}"
        return address.partition("#")[0].replace(" ", "%20") if is_web(address) else ""
    except ValueError:
        return ""


def _is_odd(mark: str) -> bool:
    return mark != " " and (mark.isspace() or not mark.isprintable())


def without_affiliate(link: str) -> str:
    """Return the page that a link through an advertiser's counter leads to."""
    inner = [value for _, value in parse_qsl(urlsplit(link).query) if is_web(value)]
    return inner[0] if len(inner) == 1 else link


def plain_address(link: str) -> str:
    """Return an address without what only tells who sent the visitor, so that one page has one address."""
    named = [name for name, _ in parse_qsl(urlsplit(link).query, keep_blank_values=True)]
    tracking = [name for name in named if name.lower() in _TRACKING]
    cleaned = url_query_cleaner(link, tracking, remove=True, unique=False) if tracking else link
    return str(canonicalize_url(cleaned, keep_blank_values=True))


def id_in(address: str) -> str:
    """Return the shop's own product id in an address, or "": the path's, or the query's, as Bloomingdale's `?ID=7`."""
    parts = urlsplit(address)
    asked = parse_qs(parts.query)
    for name in _ID_IN_QUERY:
        if asked.get(name):
            return asked[name][0].strip()
    for pattern in _ID_IN_PATH:
        if found := pattern.search(parts.path):
            return unquote(found[1])
    return ""


def locator(retailer: str, source_id: str) -> str:
    """Return the name of a picture that has no web address."""
    return f"catalog:{retailer}/{quote(source_id, safe='', errors='replace')}"


def words_of(link: str) -> str:
    """Return the product's name as shops write it into its address, or ""."""
    parts = [part.split("-") for part in urlsplit(link).path.split("/")]
    named = [words for words in parts if sum(word.isalpha() for word in words) >= 2]
    longest = max(named, key=lambda words: len(words), default=[""])
    return " ".join(longest).capitalize()
