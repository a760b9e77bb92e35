"""The JSON that shops' own pages and apps are fed with: Shopify's, and the shapes of Nordstrom, Revolve and Bloomingdale's.

Owns which of these an object is, and where each keeps what. Nordstrom's, Revolve's and Bloomingdale's shapes are known from
public recordings; whatever key is missing is passed over.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

from fashion_search.prices import currency_of, price_of, stock_of
from fashion_search.products import Draft
from fashion_search.tables import Variant

Json: TypeAlias = Any

MAX_NODES = 2_000_000
_COLOURS, _SIZES = ("color", "colour"), ("size",)


def drafts_in(value: Json) -> Iterator[Draft]:
    """Yield the products in a parsed JSON document, wherever it holds them, in its order.

    Raises:
        OverflowError: it holds more than is looked at, so that products may be missing.
    """
    left, looked_at = [value], 0
    while left and looked_at < MAX_NODES:
        node, looked_at = left.pop(), looked_at + 1
        if isinstance(node, list):
            left.extend(reversed(node))
        elif isinstance(node, dict):
            reader = _reader_of(node)
            if reader is None:
                left.extend(reversed(node.values()))
            else:
                yield reader(node)
    if left:
        raise OverflowError(f"over {MAX_NODES:,} values that are no products; divide it")


def _reader_of(node: dict[str, Json]) -> Callable[[dict[str, Json]], Draft] | None:
    return next((read for needed, read in _SHAPES if needed <= node.keys()), None)


def _shopify(product: dict[str, Json]) -> Draft:
    positions = {_lower(option.get("name")): number for number, option in enumerate(_dicts(product.get("options")), 1)}  # fmt: skip
    positions |= {_lower(option): number for number, option in enumerate(_list(product.get("options")), 1) if isinstance(option, str)}  # fmt: skip

    def option(variant: dict[str, Json], names: tuple[str, ...]) -> str | None:
        number = next((positions[name] for name in names if name in positions), None)
        return _text(variant.get(f"option{number}")) or None if number else None

    tags = product.get("tags")
    return Draft(
        _text(product.get("id")),
        title=_text(product.get("title")),
        description=_text(product.get("body_html")),
        link=f"/products/{_text(product.get('handle'))}" if product.get("handle") else "",
        brand=_text(product.get("vendor")),
        variants=[
            Variant(
                option(each, _COLOURS), option(each, _SIZES), price_of(each.get("price")), _shopify_stock(each),
                _text(_dict(each.get("featured_image")).get("src")) or None,
            )
            for each in _dicts(product.get("variants"))
        ],
        images=[_text(image.get("src")) for image in _dicts(product.get("images"))],
        labels=_labels(product_type=product.get("product_type"), tags=", ".join(map(_text, tags)) if isinstance(tags, list) else tags),
    )  # fmt: skip


def _shopify_stock(variant: dict[str, Json]) -> bool | None:
    if isinstance(variant.get("available"), bool):
        return bool(variant["available"])
    if not variant.get("inventory_management") or variant.get("inventory_policy") == "continue":
        return True if "inventory_policy" in variant else None  # it is sold whatever is counted
    return stock_of(variant.get("inventory_quantity"))


def _nordstrom(product: dict[str, Json]) -> Draft:
    media = _dict(product.get("mediaById"))

    def shown(ids: Json) -> list[str]:
        found = (_text(_dict(media.get(_text(id))).get("src")) for id in _list(ids))
        return [address for address in found if address]

    lowest = _dict(_dict(_dict(product.get("price")).get("totalPriceRange")).get("min"))
    by_id = _dict(product.get("pricesById"))
    plain = _dict(by_id.get("sale")) or _dict(by_id.get("regular"))
    units = price_of(lowest.get("units"))
    price = (
        price_of(plain.get("minItemPrice"))
        if units is None
        else units + (price_of(lowest.get("nanos")) or 0) / 1e9
    )
    colours = _dict(product.get("colorsById"))
    order = [_text(id) for id in _list(product.get("colorIds"))] or list(colours)
    ordered = [_dict(colours.get(id)) for id in sorted(order, key=lambda id: id != product.get("colorDefaultId"))]  # fmt: skip
    return Draft(
        _text(product.get("id")),
        title=_text(product.get("name")),
        link=_text(product.get("productPageUrl")),
        brand=_text(product.get("brandName")),
        currency=_text(lowest.get("currencyCode") or product.get("priceCurrencyCode")),
        variants=[
            Variant(_text(each.get("label")) or None, None, price, None, next(iter(shown(each.get("mediaIds"))), None))
            for each in ordered
        ],
        images=[address for each in ordered for address in shown(each.get("mediaIds"))] or shown(list(media)),
    )  # fmt: skip


def _nordstrom_style(style: dict[str, Json]) -> Draft:
    price = _dict(
        next((each.get("Price") for each in _dicts(style.get("ChoiceGroups"))), {})  # the first
    )
    asked, is_available = price_of(price.get("CurrentPrice")), stock_of(style.get("IsAvailable"))
    return Draft(
        _text(style.get("Id")),
        title=_text(style.get("Name") or style.get("Title")),
        description=_text(style.get("Description")),
        link=f"/s/{_text(style.get('PathAlias')) or 'x'}/{_text(style.get('Id'))}",
        brand=_text(_dict(style.get("Brand")).get("Name")),
        currency=_text(price.get("CurrencyCode")) or currency_of(price.get("CurrentPrice")),
        variants=[
            Variant(_text(each.get("Color")) or None, _text(each.get("Size")) or None, asked, is_available)
            for each in _dicts(style.get("Skus"))
        ]
        or [Variant(price=asked, in_stock=is_available)],
        images=[_text(_dict(each.get("ImageMediaUri")).get("Large")) for each in _dicts(style.get("StyleMedia"))],
    )  # fmt: skip


def _revolve(product: dict[str, Json]) -> Draft:
    bullets = product.get("bulletDescription")
    return Draft(
        _text(product.get("code")),
        title=_text(product.get("name")),
        description=_items(bullets),
        link=_text(product.get("url")) or f"/r/dp/{_text(product.get('code'))}/",
        brand=_text(product.get("brand")),
        currency=currency_of(product.get("priceDisplay")),
        variants=[
            Variant(_text(product.get("color")) or None, None, price_of(product.get("price")))
        ],
        images=[_text(each) for each in _list(product.get("images"))],
        labels=_labels(category=product.get("cat1"), parent_category=product.get("cat2")),
    )


def _bloomingdales(product: dict[str, Json]) -> Draft:
    detail, traits = _dict(product.get("detail")), _dict(product.get("traits"))
    colours = _dict(_dict(traits.get("colors")).get("colorMap"))
    sizes = _dict(_dict(traits.get("sizes")).get("sizeMap"))
    folder = _text(_dict(product.get("urlTemplate")).get("product"))
    everywhere = _bloomingdales_price(product)

    def shown(holder: dict[str, Json]) -> list[str]:
        paths = [_text(each.get("filePath")) for each in _dicts(_dict(holder.get("imagery")).get("images"))]  # fmt: skip
        return [folder + path for path in paths if path and folder]  # a path alone leads nowhere

    def variant(colour: dict[str, Json], size: dict[str, Json], stock: bool | None) -> Variant:
        return Variant(
            _text(colour.get("normalName") or colour.get("name")) or None, _text(size.get("name")) or None,
            _bloomingdales_price(colour) or everywhere, stock, next(iter(shown(colour)), None),
        )  # fmt: skip

    variants = [
        variant(
            _dict(colours.get(_text(_dict(chosen.get("colors")).get("selectedColor")))),
            _dict(sizes.get(_text(_dict(chosen.get("sizes")).get("selectedSize")))),
            stock_of(_dict(each.get("availability")).get("available")),
        )
        for each in _dict_values(_dict(product.get("relationships")).get("upcs"))
        if (chosen := _dict(each.get("traits")))
    ]
    whole = stock_of(_dict(product.get("availability")).get("available"))
    variants = variants or [variant(_dict(each), {}, whole) for each in colours.values()]
    told = [_text(detail.get("description")), _text(detail.get("secondaryDescription")), _items(detail.get("bulletText")),
            _items(detail.get("materialsAndCare"))]  # fmt: skip
    return Draft(
        _text(product.get("id")),
        title=_text(detail.get("name") or detail.get("completeName")),
        description=" ".join(text for text in told if text),
        link=_text(_dict(product.get("identifier")).get("productUrl")),
        brand=_text(_dict(detail.get("brand")).get("name")),
        currency=_bloomingdales_currency(product),
        variants=variants or [Variant(price=everywhere, in_stock=whole)],
        images=shown(product) + [address for each in colours.values() for address in shown(_dict(each))],
        labels=_labels(category=detail.get("typeName"), department=_dict(product.get("identifier")).get("topLevelCategoryName")),
    )  # fmt: skip


def _tiers(holder: dict[str, Json]) -> list[dict[str, Json]]:
    tiers = _dict(_dict(holder.get("pricing")).get("price")).get("tieredPrice")
    return [value for tier in _dicts(tiers) for value in _dicts(tier.get("values"))]


def _bloomingdales_price(holder: dict[str, Json]) -> float | None:
    prices = (price_of(value.get("value")) for value in _tiers(holder))
    return min((price for price in prices if price), default=None)


def _bloomingdales_currency(product: dict[str, Json]) -> str:
    return next((currency_of(value.get("formattedValue")) for value in _tiers(product)), "")


def _myntra(product: dict[str, Json]) -> Draft:
    pictures = _dict(product.get("styleImages"))
    told = _dict(_dict(product.get("productDescriptors")).get("description"))
    price = price_of(product.get("discountedPrice")) or price_of(product.get("price"))
    colour = _text(product.get("baseColour")) or None
    return Draft(
        _text(product.get("id")),
        title=_text(product.get("productDisplayName")),
        description=_text(told.get("value")),
        link=_text(product.get("landingPageUrl")),
        brand=_text(product.get("brandName")),
        currency="INR",
        variants=[
            Variant(colour, _text(each.get("value")) or None, price, stock_of(each.get("available")))
            for each in _dicts(product.get("styleOptions"))
        ]
        or [Variant(colour, price=price)],
        images=[
            _text(_dict(each).get("imageURL"))
            for each in (pictures.get("default"), *pictures.values())
        ],
    )  # fmt: skip


_SHAPES: tuple[tuple[frozenset[str], Callable[[dict[str, Json]], Draft]], ...] = (
    (frozenset({"id", "title", "variants", "images"}), _shopify),
    (frozenset({"id", "colorsById", "mediaById"}), _nordstrom),
    (frozenset({"Id", "Name", "StyleMedia"}), _nordstrom_style),
    (frozenset({"code", "name", "images"}), _revolve),
    (frozenset({"id", "identifier", "detail", "imagery"}), _bloomingdales),
    (frozenset({"id", "productDisplayName", "styleImages"}), _myntra),
)


# --- whatever is there ----------------------------------------------------------------------------


def _dict(value: Json) -> dict[str, Json]:
    return value if isinstance(value, dict) else {}


def _list(value: Json) -> list[Json]:
    return value if isinstance(value, list) else []


def _dicts(value: Json) -> list[dict[str, Json]]:
    return [each for each in _list(value) if isinstance(each, dict)]


def _dict_values(value: Json) -> list[dict[str, Json]]:
    return [each for each in _dict(value).values() if isinstance(each, dict)]


def _text(value: Json) -> str:
    is_told = isinstance(value, str | int | float) and not isinstance(value, bool)
    return str(value).strip() if is_told else ""


def _lower(value: Json) -> str:
    return _text(value).lower()


def _items(value: Json) -> str:
    return "".join(f"<li>{text}</li>" for each in _list(value) if (text := _text(each)))


def _labels(**values: Json) -> dict[str, str]:
    return {name: text for name, value in values.items() if (text := _text(value))}
