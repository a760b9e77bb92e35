"""The drawn catalogs and their pictures and pages."""

import json
import re
from dataclasses import replace

import numpy as np
import pytest

from fashion_search.garments import (
    BRANDS,
    COLOURS,
    PATTERNS,
    TYPES,
    Garment,
    catalog,
    draw,
    page_html,
    sample,
)

RETAILERS = sorted(BRANDS)


@pytest.fixture
def shirt() -> Garment:
    return sample(np.random.default_rng(5), type="shirt")


@pytest.mark.parametrize("retailer", RETAILERS)
def test_a_catalog_has_at_least_300_products_of_every_type(retailer: str) -> None:
    products = catalog(retailer)
    assert len(products) >= 300
    assert {p.type for p in products} == set(TYPES)


@pytest.mark.parametrize("retailer", RETAILERS)
def test_a_catalog_is_the_same_each_time(retailer: str) -> None:
    assert catalog(retailer) == catalog(retailer)


def test_another_seed_gives_another_catalog() -> None:
    assert catalog("revolve", 20, seed=1) != catalog("revolve", 20, seed=2)


def test_the_three_catalogs_share_no_title() -> None:
    titles = [p.title for retailer in RETAILERS for p in catalog(retailer)]
    assert len(set(titles)) == len(titles)


def test_an_unknown_retailer_is_refused_with_the_names_of_the_known() -> None:
    with pytest.raises(ValueError, match=r"bloomingdales, nordstrom, revolve"):
        catalog("harrods")


def test_products_use_the_vocabulary_and_have_words_and_a_price() -> None:
    for product in catalog("nordstrom"):
        assert product.colour in COLOURS
        assert product.pattern in PATTERNS
        assert product.brand in BRANDS["nordstrom"]
        assert product.colour in product.description.lower()
        assert product.type in product.title.lower()
        assert product.price_usd > 0


def test_a_picture_is_square_rgb_of_the_size_asked_for(shirt: Garment) -> None:
    picture = draw(shirt, 96)
    assert (picture.size, picture.mode) == ((96, 96), "RGB")


def test_the_same_garment_always_draws_the_same_picture(shirt: Garment) -> None:
    assert draw(shirt, 64).tobytes() == draw(shirt, 64).tobytes()


def test_another_view_is_another_picture(shirt: Garment) -> None:
    assert draw(shirt, 64).tobytes() != draw(shirt, 64, view=1).tobytes()


def test_the_colour_of_a_garment_shows_in_its_pixels(shirt: Garment) -> None:
    plain = replace(shirt, pattern="solid", material="cotton")
    red, blue = (
        np.asarray(draw(replace(plain, colour=colour), 64), float).mean((0, 1))
        for colour in ("red", "blue")
    )
    assert red[0] - red[2] > blue[0] - blue[2] + 10


def test_the_pattern_of_a_garment_shows_in_its_pixels(shirt: Garment) -> None:
    drawn = {
        pattern: draw(replace(shirt, pattern=pattern), 64).tobytes()
        for pattern in ("solid", "striped", "checked")
    }
    assert len(set(drawn.values())) == len(drawn)


@pytest.mark.parametrize("kind", TYPES)
def test_every_type_draws_something_in_every_view(kind: str) -> None:
    garment = replace(sample(np.random.default_rng(3), type=kind), colour="red")
    for view in range(3):
        pixels = np.asarray(draw(garment, 48, view=view), float)
        assert pixels.std() > 5


def test_a_page_holds_the_product_as_json_ld(shirt: Garment) -> None:
    page = page_html(shirt, "https://shop.example/p/1", image_url="https://shop.example/i/1.png")
    found = re.search(r'<script type="application/ld\+json">(.*?)</script>', page, re.S)
    assert found is not None
    product = json.loads(found[1])
    assert product["@type"] == "Product"
    assert product["name"] == shirt.title
    assert product["description"] == shirt.description
    assert product["offers"]["price"] == f"{shirt.price_usd:.2f}"
    assert product["image"] == ["https://shop.example/i/1.png"]


def test_a_page_escapes_what_the_product_says(shirt: Garment) -> None:
    page = page_html(replace(shirt, title='A "B" <i> & </script>'), "https://shop.example/p/1")
    assert "<i>" not in page
    assert page.count("</script>") == 1


def test_a_page_has_the_open_graph_tags_a_description_block_and_a_breadcrumb(
    shirt: Garment,
) -> None:
    page = page_html(shirt, "https://shop.example/p/1", image_url="https://shop.example/i/1.png")
    for tag in ("og:title", "og:image", "og:description", "product:price:amount"):
        assert f'property="{tag}"' in page
    assert 'class="breadcrumb"' in page
    assert 'id="product-description"' in page
