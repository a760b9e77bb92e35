"""From a product page's HTML to what it says about the product.

Owns the reading of product pages: JSON-LD first, then microdata, then `og:` tags, then the page's title and meta
description. Each field is taken from the first of these that has it. It fetches nothing.

HTML is parsed by Beautiful Soup over lxml: both are kept well, and take any broken page; extruct, the alternative, brings
rdflib along for formats that shops do not use.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, fields
from itertools import islice
from typing import TypeAlias
from urllib.parse import urljoin, urlsplit

from bs4 import BeautifulSoup
from bs4.element import Tag
from lxml import etree

from fashion_search.prices import price_of

Json: TypeAlias = "dict[str, Json] | list[Json] | str | int | float | bool | None"

MAX_SUMMARY_CHARS = 200
MAX_PAGE_CHARS = 2_000_000  # the pages of shops have a tenth of it
MAX_TAGS = 50_000  # of a page: a parser takes seconds for as many that lie in one another
MAX_TEXT_CHARS = 200_000  # of a title or a description, with its tags
MAX_STEPS = 200_000  # elements looked at for the properties of all items of a page
MAX_PROPERTIES = 1_000  # of one item
MAX_STRINGS = 500  # in the text of one property
MAX_REFERENCES = 50  # places elsewhere on the page that one item names; each is looked for

PRODUCT_TYPES = frozenset(
    {"product", "productgroup", "productmodel", "individualproduct", "someproducts", "vehicle"}
)
_BLOCKS = frozenset({"p", "li", "br", "div", "ul", "ol", "tr", "dt", "dd", "h1", "h2", "h3", "h4"})
_SILENT = frozenset({"script", "style", "template"})
_CONTROLS = re.compile("[\0-\x08\x0b\x0c\x0e-\x1f\x7f]")
# A string or a comment that does not end goes to the end of the text: looked at once, and not again from each quote in it.
_STRING = r'"(?:\\.|[^"\\])*+(?:"|\\?\Z)'
_STRINGS_AND_COMMENTS = re.compile(_STRING + r"|//[^\n]*|/\*.*?(?:\*/|\Z)", re.DOTALL)
_STRINGS_AND_LAST_COMMAS = re.compile(_STRING + r"|,(?=\s*[}\]])", re.DOTALL)
_WRAPPING = re.compile(r"^\s*(?:<!--|//\s*<!\[CDATA\[|<!\[CDATA\[)|(?:-->|//\s*\]\]>|\]\]>|;)\s*$")
# What shops write on every page and says nothing about the one product.
_BOILERPLATE = re.compile(
    r"imported|item #|style no|free shipping|returns|wash|dry clean|tumble|iron\b|bleach|true to size|line dry|"
    r"shop now|buy .*online|product code",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Page:
    """What a product page says. Texts are plain, on one line, and empty where the page is silent."""

    title: str = ""
    description: str = ""
    image_url: str = ""
    price: float | None = None
    currency: str = ""
    brand: str = ""
    colour: str = ""
    material: str = ""


def read_page(html: str) -> Page:
    """Return what the page says about its product.

    Any text is accepted, of any quality: broken JSON-LD is repaired or passed over, and a page without a product gives
    what its title and meta tags say. Of several products the first is taken. A relative image address is completed
    where the page tells its own address.
    """
    soup = soup_of(html)
    return Page() if soup is None else page_of(soup)


def soup_of(html: str) -> BeautifulSoup | None:
    """Return a page parsed, its first 2 million characters and 50,000 tags; None where it is empty."""
    html = whole_text(html[:MAX_PAGE_CHARS])
    if html.count("<") > MAX_TAGS:
        html = "<".join(html.split("<", MAX_TAGS)[:-1])
    if not html.strip():
        return None
    # Without a tag, Beautiful Soup may take it for the name of a file, and warn of that.
    return BeautifulSoup(html if "<" in html else f"<p>{html}", "lxml")


def page_of(soup: BeautifulSoup) -> Page:
    """Return what a parsed page says about its product, as `read_page` does."""
    sources = (
        _from_json_ld(soup),
        _from_microdata(soup),
        _from_open_graph(soup),
        _from_the_rest(soup),
    )
    return _with_absolute_image(_merged(sources), canonical_of(soup))


def summarise(page: Page) -> str:
    """Return one line of at most 200 characters: the title, then what it does not say itself.

    Brand, colour and material come first, then phrases of the description, whole ones only. Care instructions, item
    numbers and the like are left out, and so is the price, which changes while the product does not.
    """
    phrases = [page.title, page.brand, page.colour, page.material, *_phrases(page.description)]
    kept: list[str] = []
    for phrase in phrases:
        phrase = phrase.strip(" .;,")
        is_said = any(_folded(phrase) in _folded(said) for said in kept)
        if not phrase or is_said or (kept and _BOILERPLATE.search(phrase)):
            continue
        if kept and len("; ".join([*kept, phrase])) > MAX_SUMMARY_CHARS:
            break
        kept.append(phrase)
    return _shortened("; ".join(kept), MAX_SUMMARY_CHARS)


def product_text(title: str | None, description: str | None) -> str:
    """Return title and description as one text, without saying the same twice; empty if there is neither."""
    head, body = (title or "").strip(), (description or "").strip()
    if not head or body.lower().startswith(head.lower()):
        return body
    return head if not body or head.lower().startswith(body.lower()) else f"{head}. {body}"


def plain_text(html: str) -> str:
    """Return a text on one line without tags and entities; paragraphs and list items become sentences."""
    html = whole_text(html[:MAX_TEXT_CHARS])
    if "<" not in html and "&" not in html:
        return " ".join(html.split())
    # No tree is made: what nests a hundred thousand times would take minutes.
    parser = etree.HTMLParser(target=_Lines(), encoding="utf-8", no_network=True)
    text = str(etree.fromstring(f"<div>{html}</div>".encode(), parser))
    lines = [" ".join(line.split()) for line in text.split("\n")]
    return " ".join(_as_sentences([line for line in lines if line]))


class _Lines:
    """What a parser says of a text: its words, each block of them on a line of its own."""

    def __init__(self) -> None:
        self._parts: list[str] = []
        self._silent = 0

    def start(self, tag: str, attributes: object) -> None:
        self._silent += tag in _SILENT
        self._break(tag)

    def end(self, tag: str) -> None:
        self._silent -= tag in _SILENT
        self._break(tag)

    def _break(self, tag: str) -> None:
        if tag in _BLOCKS:
            self._parts.append("\n")

    def data(self, text: str) -> None:
        if self._silent <= 0:
            self._parts.append(text)

    def close(self) -> str:
        return "".join(self._parts)


def whole_text(text: str) -> str:
    """Return a text that can be kept: halves of surrogate pairs are joined, or, where the other half is missing, are a question
    mark of Unicode's, as JSON may name them one by one; control characters, NUL among them, are spaces."""
    if not text.isascii():
        text = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return _CONTROLS.sub(" ", text)


def _as_sentences(lines: list[str]) -> list[str]:
    ended = [line if line[-1] in ".!?:;," else f"{line}." for line in lines[:-1]]
    return ended + lines[-1:]


def page_about(product: dict[str, Json], page: Page) -> Page:
    """Return what a page says of one of its products, a schema.org item; where the item is silent, what the page says."""
    return _merged([_page_of(product), page])


def _merged(sources: Iterable[Page]) -> Page:
    known: dict[str, object] = {}
    for source in sources:
        for field in fields(Page):
            value = getattr(source, field.name)
            if value not in ("", None):
                known.setdefault(field.name, value)
    return Page(**known)  # type: ignore[arg-type]  # values come from the same fields of other pages


def _with_absolute_image(page: Page, address: str) -> Page:
    if not page.image_url or not address or urlsplit(page.image_url).scheme:
        return page
    found = {field.name: getattr(page, field.name) for field in fields(Page)}
    return Page(**{**found, "image_url": urljoin(address, page.image_url)})


def canonical_of(soup: BeautifulSoup) -> str:
    canonical = soup.find("link", rel="canonical")
    written = attribute_of(canonical, "href") if isinstance(canonical, Tag) else ""
    return written or _meta(soup, "og:url")


# --- JSON-LD --------------------------------------------------------------------------------------


def _from_json_ld(soup: BeautifulSoup) -> Page:
    for script in soup.find_all(
        "script", type=re.compile(r"^\s*application/ld\+json", re.IGNORECASE)
    ):
        for product in _products_in(json_ld_of(script.string or script.get_text())):
            return _page_of(product)
    return Page()


def json_ld_of(text: str) -> Json:
    """Return the JSON in a script, or None. Line breaks in strings, comments and last commas are taken."""
    text = _WRAPPING.sub("", _WRAPPING.sub("", text.strip()))
    without_comments = _STRINGS_AND_COMMENTS.sub(_only_strings, text)
    repaired = _STRINGS_AND_LAST_COMMAS.sub(_only_strings, without_comments)
    for attempt in (text, repaired):
        try:
            found: Json = json.loads(attempt, strict=False)
        except (json.JSONDecodeError, RecursionError):
            continue
        return found
    return None


def _only_strings(match: re.Match[str]) -> str:
    return match[0] if match[0].startswith('"') else ""


def _products_in(value: Json, depth: int = 0) -> Iterator[dict[str, Json]]:
    if depth > 8:  # @graph, mainEntity and the like nest a few levels; deeper is no product page
        return
    if isinstance(value, list):
        for item in value:
            yield from _products_in(item, depth + 1)
    elif isinstance(value, dict):
        if PRODUCT_TYPES & {name.rsplit("/", 1)[-1].lower() for name in _texts(value.get("@type"))}:
            yield value
        for name, inner in value.items():
            if name in ("@graph", "mainEntity", "mainEntityOfPage", "itemListElement", "item"):
                yield from _products_in(inner, depth + 1)


def _page_of(product: dict[str, Json]) -> Page:
    offer = _first_dict(product.get("offers"))
    price_in = _first_dict(offer.get("priceSpecification"))
    prices = (offer.get("price"), offer.get("lowPrice"), price_in.get("price"))
    currencies = (offer.get("priceCurrency"), price_in.get("priceCurrency"))
    return Page(
        title=plain_text(_text(product.get("name"))),
        description=plain_text(_text(product.get("description"))),
        image_url=_text(product.get("image")),
        price=next(
            (price for value in prices if (price := price_of(_text(value))) is not None), None
        ),
        currency=next((_text(value) for value in currencies if value), ""),
        brand=plain_text(_text(product.get("brand"))),
        colour=plain_text(_text(product.get("color"))),
        material=plain_text(_text(product.get("material"))),
    )


def _texts(value: Json) -> list[str]:
    return [
        text for item in (value if isinstance(value, list) else [value]) if (text := _text(item))
    ]


def _text(value: Json) -> str:
    """Return a value as text; a thing with a name or an address is its name or its address."""
    if isinstance(value, list):
        return next((text for item in value if (text := _text(item))), "")
    if isinstance(value, dict):
        return next(
            (
                text
                for key in ("name", "url", "contentUrl", "@id")
                if (text := _text(value.get(key)))
            ),
            "",
        )
    return "" if value is None or isinstance(value, bool) else whole_text(str(value).strip())


def _first_dict(value: Json) -> Mapping[str, Json]:
    if isinstance(value, list):
        return next((item for item in value if isinstance(item, dict)), {})
    return value if isinstance(value, dict) else {}


# --- microdata ------------------------------------------------------------------------------------


def _from_microdata(soup: BeautifulSoup) -> Page:
    for scope in soup.find_all(itemscope=True):
        types = {
            name.rsplit("/", 1)[-1].lower() for name in attribute_of(scope, "itemtype").split()
        }
        if types & PRODUCT_TYPES:
            return _page_of_scope(soup, scope)
    return Page()


def _page_of_scope(soup: BeautifulSoup, scope: Tag) -> Page:
    places = Places(soup)
    own = list(islice(properties_of(places, scope), MAX_PROPERTIES))
    offers = [
        element for name, element in own if name == "offers" and element.has_attr("itemscope")
    ]
    offered = list(islice(properties_of(places, offers[0]), MAX_PROPERTIES)) if offers else []

    def first(name: str, among: list[tuple[str, Tag]]) -> str:
        return next(
            (text for key, element in among if key == name and (text := value_of(element))), ""
        )

    return Page(
        title=first("name", own),
        description=first("description", own),
        image_url=first("image", own),
        price=price_of(
            first("price", offered) or first("lowPrice", offered) or first("price", own)
        ),
        currency=first("priceCurrency", offered) or first("priceCurrency", own),
        brand=first("brand", own),
        colour=first("color", own),
        material=first("material", own),
    )


class Places:
    """The places of a page that its items name, and how many more elements of it are looked at.

    Items may name one another, nest and overlap: read for each of them, a page of 40 KB can ask for billions of steps.
    """

    def __init__(self, soup: BeautifulSoup) -> None:
        self.left = MAX_STEPS
        self._by_id: dict[str, Tag] = {}
        for tag in soup.find_all(id=True):
            self._by_id.setdefault(attribute_of(tag, "id"), tag)

    def named(self, written: str) -> list[Tag]:
        names = dict.fromkeys(written.split()[:MAX_REFERENCES])
        return [self._by_id[name] for name in names if name in self._by_id]


def properties_of(places: Places, scope: Tag) -> Iterator[tuple[str, Tag]]:
    """Yield the properties of one item, not those of the items inside it; `itemref` adds places elsewhere."""
    yield from _properties_below(places, scope)
    for place in places.named(attribute_of(scope, "itemref")):
        if place is not scope:
            yield from ((key, place) for key in attribute_of(place, "itemprop").split())
            if not place.has_attr("itemscope"):
                yield from _properties_below(places, place)


def _properties_below(places: Places, place: Tag) -> Iterator[tuple[str, Tag]]:
    left = [
        iter(place.find_all(True, recursive=False))
    ]  # not by recursion: a page may nest as deep as it likes
    while left and places.left > 0:
        child = next(left[-1], None)
        if child is None:
            left.pop()
            continue
        places.left -= 1
        yield from ((key, child) for key in attribute_of(child, "itemprop").split())
        if not child.has_attr("itemscope"):
            left.append(iter(child.find_all(True, recursive=False)))


def value_of(element: Tag) -> str:
    if element.has_attr("itemscope"):  # a brand written as an item of its own
        inner = element.find(itemprop="name")
        return value_of(inner) if isinstance(inner, Tag) else ""
    for attribute in ("content", "src", "href", "datetime"):
        if written := attribute_of(element, attribute):
            return " ".join(written.split())
    return " ".join(" ".join(islice(element.strings, MAX_STRINGS)).split())


# --- tags that any page has -----------------------------------------------------------------------


def _from_open_graph(soup: BeautifulSoup) -> Page:
    return Page(
        title=_meta(soup, "og:title"),
        description=_meta(soup, "og:description"),
        image_url=_meta(soup, "og:image"),
        price=price_of(
            _meta(soup, "og:price:amount", "product:price:amount", "wanelo:product:price")
        ),
        currency=_meta(
            soup, "og:price:currency", "product:price:currency", "wanelo:product:price:currency"
        ),
        brand=_meta(soup, "product:brand", "og:brand"),
        colour=_meta(soup, "product:color"),
        material=_meta(soup, "product:material"),
    )


def _from_the_rest(soup: BeautifulSoup) -> Page:
    title = soup.title.get_text(" ") if soup.title is not None else ""
    block = soup.find(class_=re.compile(r"(?:^|[-_])description(?:$|[-_])", re.IGNORECASE))
    written = plain_text(str(block)) if isinstance(block, Tag) else ""
    brand = soup.find(True, attrs={"property": "brand"})
    return Page(
        # "Red dress | Shop" is the product and the shop.
        title=" ".join(re.split(r"\s[|–—]\s", title)[0].split()),
        description=written or _meta(soup, "description"),
        brand=plain_text(brand.get_text(" ")) if isinstance(brand, Tag) else "",
    )


def _meta(soup: BeautifulSoup, *names: str) -> str:
    for name in names:
        for key in ("property", "name"):
            found = soup.find("meta", attrs={key: name})
            if isinstance(found, Tag) and (written := attribute_of(found, "content")):
                return plain_text(written)
    return ""


def attribute_of(tag: Tag, name: str) -> str:
    value = tag.get(name)
    return " ".join(value) if isinstance(value, list) else (value or "").strip()


def _phrases(description: str) -> list[str]:
    return [
        phrase.strip() for phrase in re.split(r"(?<=[.;!?])(?<!No\.)\s+|\s[•·|]\s", description)
    ]


def _folded(text: str) -> str:
    return " ".join(re.findall(r"\w+", text.casefold()))


def _shortened(text: str, limit: int) -> str:
    if len(text) <= limit:
        return text
    cut = text[: limit - 1].rsplit(" ", 1)[0] if " " in text[: limit - 1] else text[: limit - 1]
    return cut.rstrip(" ,;.") + "…"
