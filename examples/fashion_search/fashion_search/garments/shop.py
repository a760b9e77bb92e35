"""Invented catalogs, and the pages that a shop would publish for their products."""

import html
import json
import zlib
from collections.abc import Sequence

import numpy as np

from fashion_search.garments.vocabulary import (
    COLOURS,
    COMMON_COLOURS,
    TYPES,
    USUAL_COLOURS,
    Garment,
)

BRANDS: dict[str, tuple[str, ...]] = {
    "nordstrom": ("Alder & Quill", "Norvane", "Tessaly", "Harrow Mill", "Bexley Row", "Ostrander", "Pell & Thorne", "Juniper Vale", "Marlowe Knit", "Calder Works", "Sundral", "Fenwick Lowe"),
    "revolve": ("Solenne Ro", "Vexa Blue", "Lune Atelier", "Kairo West", "Miravel", "Palo Sol", "Ninth Hour", "Ostara Lane", "Wilde Coast", "Echo Parade", "Dahlia Noon", "Rue Sauvage"),
    "bloomingdales": ("Ashcombe", "Verity Lane", "Corbin & Sable", "Lindqvist", "Montrave", "Petra Hale", "Graymoor", "Isolde", "Whitlock", "Sable Court", "Emberline", "Tavistock Park"),
}  # fmt: skip
_OWNER = {"men": "men's", "women": "women's", "unisex": "unisex"}
_FITS = {
    "apparel": ("Cut for a relaxed fit.", "Fits true to size.", "A slim cut with room to move.", "An easy shape that layers well."),
    "footwear": ("Cushioned footbed.", "True to size; choose the larger one between sizes.", "A grippy outsole.", "Padded at the heel."),
    "accessories": ("Comes in a dust bag.", "Made to be worn every day.", "A gift that lasts.", "Finished by hand."),
}  # fmt: skip
_MOMENTS = (
    "the office",
    "weekends",
    "holidays by the sea",
    "evenings out",
    "the first cold days",
    "long walks",
    "a summer wedding",
    "every day",
)


def sample(
    rng: np.random.Generator,
    *,
    brands: Sequence[str] = BRANDS["nordstrom"],
    type: str | None = None,
) -> Garment:
    """Return one invented garment of the given type, or of any type, all types being equally likely."""
    kind = TYPES[type or str(rng.choice(list(TYPES)))]
    colour = _likely_colour(rng, kind.singular)
    pattern, gender = str(rng.choice(kind.patterns)), str(rng.choice(kind.genders))
    brand, material = str(rng.choice(brands)), str(rng.choice(kind.materials))
    low, high = kind.price_usd
    price = round(low * (high / low) ** float(rng.random())) - 0.05 * float(rng.integers(2))
    told = "" if pattern == "solid" else f"{pattern} "
    title = (
        f"{brand} {_OWNER[gender]} {colour} {told}{kind.singular}".title()
        .replace("'S", "'s")
        .replace("Piqué", "piqué")
    )
    description = f"{_article(f'{colour} {told}{kind.singular}').capitalize()} for {gender if gender != 'unisex' else 'men and women'} in {material}, made for {rng.choice(_MOMENTS)}. {rng.choice(_FITS[kind.department])}"
    return Garment(
        kind.singular,
        colour,
        pattern,
        gender,
        brand,
        title,
        description,
        material,
        price,
        int(rng.integers(1 << 31)),
    )


def _likely_colour(rng: np.random.Generator, type: str) -> str:
    """Return a colour of a shop's rail: mostly what is usual for the type, at times any."""
    if type in USUAL_COLOURS and rng.random() < 0.75:
        return str(rng.choice(USUAL_COLOURS[type]))
    weights = np.asarray([COMMON_COLOURS.get(name, 1) for name in COLOURS], np.float64)
    return str(rng.choice(list(COLOURS), p=weights / weights.sum()))


def _article(noun: str) -> str:
    if any(noun.endswith(kind.plural) for kind in TYPES.values() if kind.plural == kind.singular):
        return noun
    return f"{'an' if noun[0] in 'aeiou' else 'a'} {noun}"


def catalog(retailer: str, n: int = 320, seed: int = 7) -> list[Garment]:
    """Return `n` garments of the drawn catalog of `nordstrom`, `revolve` or `bloomingdales`.

    Every type occurs before any occurs twice more than another; titles are unique within a catalog. The same
    arguments always give the same garments. No product, brand or price is a real one.

    Raises:
        ValueError: no such retailer.
    """
    if retailer not in BRANDS:
        known = ", ".join(sorted(BRANDS))
        raise ValueError(
            f"there is no drawn catalog for {retailer!r}; there is one for {known}. Choose one of these."
        )
    rng = np.random.default_rng([seed, zlib.crc32(retailer.encode())])
    types, found = list(TYPES), dict[str, Garment]()
    while len(found) < n:
        garment = sample(rng, brands=BRANDS[retailer], type=types[len(found) % len(types)])
        found.setdefault(garment.title, garment)
    return list(found.values())


def page_html(garment: Garment, url: str, *, image_url: str = "") -> str:
    """Return a product page as shops publish them: open graph tags, schema.org JSON-LD, breadcrumb, description block.

    Args:
        garment: the product.
        url: the page's own address.
        image_url: address of its picture; `url` with `.png` after it if empty.
    """
    said = {
        "title": garment.title,
        "description": garment.description,
        "brand": garment.brand,
        "url": url,
        "image": image_url or f"{url}.png",
    }
    safe = {name: html.escape(text, quote=True) for name, text in said.items()}
    kind, price = TYPES[garment.type], f"{garment.price_usd:.2f}"
    trail = ("Home", garment.gender.title(), garment.department.title(), kind.plural.title())
    rows = {
        "Colour": garment.colour,
        "Pattern": garment.pattern,
        "Material": garment.material,
        "Style": f"{garment.seed % 10_000_000:07d}",
    }
    return _PAGE.format(
        **safe,
        price=price,
        json_ld=_json_ld(garment, url, said["image"], price),
        breadcrumb="".join(f"<li>{html.escape(step)}</li>" for step in trail),
        details="".join(
            f"<tr><th>{name}</th><td>{html.escape(value)}</td></tr>" for name, value in rows.items()
        ),
    )


def _json_ld(garment: Garment, url: str, image: str, price: str) -> str:
    offer = {
        "@type": "Offer",
        "price": price,
        "priceCurrency": "USD",
        "availability": "https://schema.org/InStock",
        "url": url,
    }
    product = {
        "@context": "https://schema.org", "@type": "Product", "name": garment.title, "image": [image],
        "description": garment.description, "sku": str(garment.seed), "color": garment.colour, "material": garment.material,
        "category": TYPES[garment.type].plural, "brand": {"@type": "Brand", "name": garment.brand},
        "audience": {"@type": "PeopleAudience", "suggestedGender": garment.gender}, "offers": offer,
    }  # fmt: skip
    return json.dumps(product, ensure_ascii=False).replace(
        "<", "\\u003c"
    )  # a title cannot end the script element


_PAGE = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>{title} | {brand}</title>
<link rel="canonical" href="{url}"><meta name="description" content="{description}">
<meta property="og:type" content="product"><meta property="og:title" content="{title}"><meta property="og:url" content="{url}">
<meta property="og:image" content="{image}"><meta property="og:description" content="{description}">
<meta property="product:price:amount" content="{price}"><meta property="product:price:currency" content="USD">
<script type="application/ld+json">{json_ld}</script></head>
<body><header><a href="/">Home</a> <a href="/new">New in</a> <a href="/sale">Sale</a> <a href="/bag">Bag</a></header>
<nav aria-label="breadcrumb"><ol class="breadcrumb">{breadcrumb}</ol></nav>
<main><figure><img src="{image}" alt="{title}"></figure>
<h2 class="product-brand">{brand}</h2><h1 class="product-title">{title}</h1><p class="product-price">${price}</p>
<section id="product-description"><h3>Description</h3><p>{description}</p><table>{details}</table></section>
<section class="delivery"><p>Free delivery over $50. Returns within 30 days.</p></section></main>
<footer><p>Help, sizes, stores, careers</p></footer></body></html>
"""
