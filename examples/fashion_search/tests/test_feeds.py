"""Feeds and shops' JSON: what shops publish becomes products, in every dialect, and nothing of it breaks the reader."""

from __future__ import annotations

import csv
import gzip
import io
import json
import os
from collections.abc import Iterable
from pathlib import Path
from xml.sax.saxutils import escape

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fashion_search.catalogs import read_catalog
from fashion_search.feeds import read_contents
from fashion_search.prices import currency_of, price_of, stock_of
from fashion_search.products import BadRow, CatalogError, Product
from fashion_search.tables import Variant

DATA = Path(os.environ.get("MOTION_DATA", Path(__file__).parents[4] / "shared" / "data"))
needs_data = pytest.mark.skipif(
    not DATA.is_dir(), reason="the fashion data pack is not here; set MOTION_DATA"
)
SHOP = "https://shop.example/feeds/all"


def read(content: str | bytes, address: str = SHOP) -> list[Product | BadRow]:
    raw = content.encode() if isinstance(content, str) else content
    return list(read_contents(raw, "revolve", address).products)


def products(rows: Iterable[Product | BadRow]) -> list[Product]:
    found = list(rows)
    assert all(isinstance(row, Product) for row in found), found
    return [row for row in found if isinstance(row, Product)]


def the_product(content: str | bytes, address: str = SHOP) -> Product:
    [product] = products(read(content, address))
    return product


# --- Google Merchant ------------------------------------------------------------------------------

FEED = """<?xml version="1.0" encoding="UTF-8"?>
<rss version="2.0" xmlns:g="http://base.google.com/ns/1.0"><channel><title>Shop</title>
<item><g:id>1-S</g:id><g:item_group_id>1</g:item_group_id><title>Red &amp; blue dress</title>
 <description>&lt;p&gt;Of linen.&lt;/p&gt;</description><link>/s/red-dress/1?utm_source=google</link>
 <g:image_link>https://img.example/1.jpg</g:image_link>
 <g:additional_image_link>https://img.example/2.jpg</g:additional_image_link>
 <g:additional_image_link>https://img.example/3.jpg</g:additional_image_link>
 <g:availability>in_stock</g:availability><g:price>49.00 EUR</g:price><g:sale_price>39,50 EUR</g:sale_price>
 <g:brand>Acme</g:brand><g:color>Red</g:color><g:size>S</g:size></item>
<item><g:id>2</g:id><title>Cap</title><g:image_link>https://img.example/cap.jpg</g:image_link>
 <g:availability>out of stock</g:availability><g:price>1,299.00 EUR</g:price></item>
<item><g:id>1-M</g:id><g:item_group_id>1</g:item_group_id><title>Red &amp; blue dress</title>
 <g:image_link>https://img.example/1b.jpg</g:image_link><g:availability>out_of_stock</g:availability>
 <g:price>29.00 EUR</g:price><g:color>Blue</g:color><g:size>M</g:size></item>
</channel></rss>"""


def test_a_google_feed_gives_one_product_of_its_colours_and_sizes() -> None:
    dress, cap = products(read(FEED))
    assert (dress.source_id, dress.title, dress.brand) == ("1", "Red & blue dress", "Acme")
    assert dress.description == "Of linen."
    assert dress.variants == (
        Variant("Red", "S", 39.5, True, "https://img.example/1.jpg"),
        Variant("Blue", "M", 29.0, False, "https://img.example/1b.jpg"),
    )
    assert (dress.price, dress.currency, dress.in_stock) == (39.5, "EUR", True)
    assert (dress.colours, dress.sizes) == (["Red", "Blue"], ["S"])
    assert dress.img_url == "https://img.example/1.jpg"
    assert [url[-6:] for url in dress.img_urls] == ["/1.jpg", "1b.jpg", "/2.jpg", "/3.jpg"]
    assert (cap.source_id, cap.price, cap.in_stock) == ("2", 1299.0, False)


def test_a_relative_link_of_a_feed_is_completed_with_its_address() -> None:
    assert products(read(FEED))[0].link == "https://shop.example/s/red-dress/1?utm_source=google"


def test_mistakes_of_a_feed_are_passed_over() -> None:
    dirty = FEED.replace("Red &amp; blue", "Red & blue").replace("Acme", "Acme\x0b")
    assert [each.title for each in products(read(dirty))] == ["Red & blue dress", "Cap"]


@pytest.mark.parametrize("share", [0.3, 0.6, 0.95])
def test_a_feed_that_ends_before_its_end_is_an_error_and_not_a_shorter_feed(share: float) -> None:
    with pytest.raises(CatalogError, match="no whole XML"):
        read(FEED[: int(len(FEED) * share)])


@pytest.mark.parametrize("declared", ['"EXPANDED"', 'SYSTEM "file://{secret}"'])
def test_what_a_feed_declares_as_entities_is_not_expanded(declared: str, tmp_path: Path) -> None:
    secret = tmp_path / "secret.txt"
    secret.write_text("EXPANDED")
    doctype = f"<!DOCTYPE rss [<!ENTITY x {declared.format(secret=secret)}>]>"
    feed = FEED.replace("<rss", f"{doctype}<rss", 1).replace("Cap", "Cap &x;")
    assert [each.title for each in products(read(feed))] == ["Red & blue dress", "Cap &x;"]


DIRT = {
    "a bare <": "Jeans < 50",
    "a bare &": "Dolce & Gabbana",
    "another language's letter": "Caf&eacute;",
    "half a character": "a&#xD800;b",
    "no character": "a&#0;b",
    "a control character": "a\x0bb",
    "a tag without end": "<b>Red",
    "a text of 11 MB": "x " * 5_500_000,
    "tags in tags": "<i>" * 400 + "Red" + "</i>" * 400,
    "CDATA": "<![CDATA[Red <item> & </item> <b>dress</b>]]>",
    "a comment": "Red <!-- </item> --> dress",
}


def item(number: object, title: str = "Cap") -> str:
    return (
        f"<item><id>{number}</id><image_link>https://img.example/{number}.jpg</image_link>"
        f"<title>{title}</title></item>"
    )


def feed_of(*items: str) -> str:
    return f'<?xml version="1.0"?><rss><channel>{"".join(items)}</channel></rss>'


@pytest.mark.parametrize("title", DIRT.values(), ids=DIRT)
def test_the_dirt_of_one_item_takes_no_other_along(title: str) -> None:
    found = products(read(feed_of(item(1), item(2, title), item(3), item(4))))
    assert [each.source_id for each in found] == ["1", "2", "3", "4"]
    assert all(each.title for each in found)


def test_letters_that_xml_does_not_know_are_those_of_pages() -> None:
    found = products(read(feed_of(item(1, "Caf&eacute; &amp; b&auml;r &lt; 5 & 6"))))
    assert [each.title for each in found] == ["Café & bär < 5 & 6"]


def test_an_item_without_end_is_told_and_the_next_is_read() -> None:
    found = read(feed_of(item(1), item(2)[:-7], item(3)))
    assert [each.source_id for each in found if isinstance(each, Product)] == ["1", "3"]
    assert [each.reason for each in found if isinstance(each, BadRow)] == ["it has no end"]


def test_entities_that_nest_are_never_expanded() -> None:
    entities = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 10))
    feed = feed_of(item(1), item(2, "&l9;"), item(3))
    laughs = feed.replace("<rss>", f'<!DOCTYPE rss [<!ENTITY l0 "ha">{entities}]><rss>')
    assert [each.title for each in products(read(laughs))] == ["Cap", "&l9;", "Cap"]


@pytest.mark.parametrize("told", ["utf-8", "utf-16", "iso-8859-1", "windows-1252", "klingon"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
def test_a_feed_is_read_whatever_it_says_of_its_encoding(told: str, encoding: str) -> None:
    feed = feed_of(item(1, "Levi’s café")).replace('"1.0"', f'"1.0" encoding="{told}"')
    assert [each.title for each in products(read(feed.encode(encoding)))] == ["Levi’s café"]


# --- delimited text -------------------------------------------------------------------------------

TABLE = [
    ("id", "title", "image_link", "price", "brand"),
    ("7", "Robe d’été, très légère", "https://img.example/7.jpg", "1.299,00 €", "Zoé & Cie"),
    ("8", "Größe „XL“; weiß", "https://img.example/8.jpg", "49,95 €", "Süß"),
]


def text_of(delimiter: str) -> str:
    lines = (delimiter.join(f'"{cell}"' for cell in row) for row in TABLE)
    return "\r\n".join(lines) + "\r\n"


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "cp1252"])
def test_delimited_text_is_read_in_any_dialect_and_encoding(delimiter: str, encoding: str) -> None:
    found = products(read(text_of(delimiter).encode(encoding)))
    assert [(each.title, each.brand, each.price, each.currency) for each in found] == [
        ("Robe d’été, très légère", "Zoé & Cie", 1299.0, "EUR"),
        ("Größe „XL“; weiß", "Süß", 49.95, "EUR"),
    ]


@pytest.mark.parametrize(
    "before",
    [
        "sep=;\r\n",
        "\ufeff",
        "\ufeff\ufeff",
        "\r\n \r\n",
        "# exported by shop 4.2\r\n",
        "Catalog, 2026\r\n\r\n",
    ],
)
def test_what_stands_before_the_header_is_passed_over(before: str) -> None:
    found = products(read((before + text_of(";")).encode("utf-8-sig")))
    assert [(each.source_id, each.price) for each in found] == [("7", 1299.0), ("8", 49.95)]


def test_a_delimiter_at_the_end_of_lines_and_lines_of_nothing_are_passed_over() -> None:
    for ends in ((",\n", "\n"), ("\n", ",\n"), (",,\n", ",\n")):
        table = f"id,title,image_link{ends[0]}1,Cap,https://img.example/1.jpg{ends[1]},,\n\n,,,,\n"
        assert [each.source_id for each in products(read(table))] == ["1"]


def test_a_quotation_mark_that_nobody_closes_takes_no_other_row_along() -> None:
    rows = [f"{n},Cap {n},https://img.example/{n}.jpg" for n in range(1, 2_000)]
    rows[9] = '10,"Cap 10,https://img.example/10.jpg'
    rows[19] = '20,"Cap\n20",https://img.example/20.jpg'
    found = products(read("id,title,image_link\n" + "\n".join(rows) + "\n"))
    assert [each.source_id for each in found] == [str(n) for n in range(1, 2_000)]
    assert (found[9].title, found[19].title) == ('"Cap 10', "Cap 20")


@pytest.mark.parametrize("size", [10, 8_000])
def test_feeds_of_two_sources_that_were_joined_are_read_letter_by_letter(size: int) -> None:
    """Also where the first letter that is not UTF-8 comes long after what the encoding was told from."""
    head = "id,title,image_link\n" + "".join(
        f"{n},Robe d’été,https://img.example/{n}.jpg\n" for n in range(size)
    )
    last = "x,Größe ’n,https://img.example/x.jpg\n"
    found = products(read(head.encode() + last.encode("cp1252")))
    assert [found[0].title, found[-1].title] == ["Robe d’été", "Größe ’n"]


def test_a_file_of_any_dialect_may_be_packed(tmp_path: Path) -> None:
    file = tmp_path / "revolve.csv.gz"
    file.write_bytes(gzip.compress(text_of(";").encode("cp1252")))
    assert [each.source_id for each in products(read_catalog(file))] == ["7", "8"]


def test_a_line_for_the_product_and_lines_for_its_variants_are_one_product() -> None:
    product = the_product(
        "slug,sku,name,price,currency,option1_name,option1_value,option2_name,option2_value,image1_src,inventory_count\n"
        "red-dress,RED,Red dress,0,USD,,,,,https://img.example/1.jpg,\n"
        "red-dress,RED-S,,49.50,USD,Color,Red,Size,S,https://img.example/2.jpg,5\n"
        "red-dress,RED-M,,59.50,USD,Color,Red,Size,M,,0\n"
    )
    assert (product.source_id, product.title) == ("red-dress", "Red dress")
    assert product.variants == (
        Variant("Red", "S", 49.5, True, "https://img.example/2.jpg"),
        Variant("Red", "M", 59.5, False),
    )
    assert (product.price, product.sizes) == (49.5, ["S"])


def test_a_table_without_prices_is_a_data_set_whose_columns_are_labels() -> None:
    product = the_product("id,title,image_link,colour\n1,Cap,https://img.example/1.jpg,Red\n")
    assert product.labels == {"colour": "Red"}
    assert product.colours == []


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=400))
def test_no_bytes_break_the_reader(content: bytes) -> None:
    try:
        read(content)
    except CatalogError:
        pass


@settings(max_examples=60, deadline=None)
@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.integers() | st.text(),
        lambda inner: (
            st.lists(inner)
            | st.dictionaries(
                st.sampled_from(
                    "id title variants images colorsById mediaById price Id Name StyleMedia Skus code name identifier "
                    "detail imagery traits pricing productDisplayName styleImages @type options relationships".split()
                ),
                inner,
            )
        ),
    )
)
def test_no_json_breaks_the_reader(value: object) -> None:
    shapes = (
        {"id": value, "title": value, "variants": value, "images": value, "options": value},
        {"id": 1, "colorsById": value, "mediaById": value, "price": value, "colorIds": value},
        {"Id": 1, "Name": "x", "StyleMedia": value, "Skus": value, "ChoiceGroups": value},
        {"code": "x", "name": "x", "images": value, "bulletDescription": value},
        {"id": 1, "identifier": value, "detail": value, "imagery": value, "traits": value},
    )
    for shape in (value, *shapes):
        read(json.dumps([shape]))


def test_json_that_nests_without_end_is_an_error() -> None:
    with pytest.raises(CatalogError, match="no JSON"):
        read("[" * 100_000)


NAMED = st.text(
    st.characters(codec="utf-8", exclude_categories=("Cc", "Cs", "Zs", "Zl", "Zp"), exclude_characters="<>&\ufeff"),
    min_size=1, max_size=20,
).map(str.strip).filter(lambda text: text and text[0] not in "#+")  # fmt: skip
CATALOG = st.lists(st.tuples(NAMED, st.integers(1, 10**8)), min_size=1, max_size=6)


def as_table(rows: list[tuple[str, int]], delimiter: str) -> str:
    text = io.StringIO()
    lines = csv.writer(text, delimiter=delimiter)
    lines.writerow(["id", "title", "price", "image_link"])
    lines.writerows([n, title, f"{cents / 100:.2f}", f"https://img.example/{n}.jpg"] for n, (title, cents) in enumerate(rows))  # fmt: skip
    return text.getvalue()


def as_feed(rows: list[tuple[str, int]]) -> str:
    return feed_of(*(
        item(n, escape(title)).replace("</item>", f"<price>{cents / 100:.2f} USD</price></item>")
        for n, (title, cents) in enumerate(rows)
    ))  # fmt: skip


def as_json(rows: list[tuple[str, int]], *, is_ascii: bool) -> str:
    products = [
        {"id": n, "title": title, "variants": [{"price": f"{cents / 100:.2f}"}], "images": [{"src": f"https://img.example/{n}.jpg"}]}
        for n, (title, cents) in enumerate(rows)
    ]  # fmt: skip
    return json.dumps({"products": products}, ensure_ascii=is_ascii)


@settings(max_examples=60, deadline=None)
@given(
    rows=CATALOG,
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-32"]),
    packed=st.booleans(),
)
def test_a_catalog_is_the_same_in_whatever_format_it_comes(
    rows: list[tuple[str, int]], encoding: str, packed: bool
) -> None:
    told = [(str(n), " ".join(title.split()), cents / 100) for n, (title, cents) in enumerate(rows)]
    texts = [as_table(rows, each) for each in ",;|\t"]
    texts += [as_feed(rows), as_json(rows, is_ascii=True), as_json(rows, is_ascii=False)]
    for text in texts:
        raw = text.encode(encoding)
        found = products(read(gzip.compress(raw) if packed else raw))
        assert [(each.source_id, each.title, each.price) for each in found] == told


# --- shops' JSON ----------------------------------------------------------------------------------


def test_shopify_products_are_read() -> None:
    product = the_product(
        json.dumps(
            {
                "products": [
                    {
                        "id": 7, "title": "Red dress", "handle": "red-dress", "body_html": "<p>Of linen.</p>", "vendor": "Acme",
                        "options": [{"name": "Size", "position": 1}, {"name": "Colour", "position": 2}],
                        "images": [{"src": "//cdn.example/1.jpg"}, {"src": "https://cdn.example/2.jpg"}],
                        "variants": [
                            {"id": 70, "price": "49.50", "available": True, "option1": "S", "option2": "Red"},
                            {"id": 71, "price": "59.50", "available": False, "option1": "M", "option2": "Red"},
                        ],
                    }
                ]
            }
        )
    )  # fmt: skip
    assert (product.source_id, product.link) == ("7", "https://shop.example/products/red-dress")
    assert product.variants == (
        Variant("Red", "S", 49.5, True),
        Variant("Red", "M", 59.5, False),
    )
    assert product.img_urls == ("https://cdn.example/1.jpg", "https://cdn.example/2.jpg")


def test_a_product_in_the_shape_of_nordstrom_is_read() -> None:
    product = the_product(
        json.dumps(
            {
                "productsById": {
                    "80": {
                        "id": 80, "name": "Air shoe", "brandName": "Nike", "productPageUrl": "/s/air-shoe/80",
                        "colorDefaultId": "2", "colorIds": ["1", "2"],
                        "colorsById": {"1": {"label": "black", "mediaIds": ["a"]}, "2": {"label": "white", "mediaIds": ["b"]}},
                        "mediaById": {"a": {"src": "https://m.example/a.jpeg"}, "b": {"src": "https://m.example/b.jpeg"}},
                        "price": {"totalPriceRange": {"min": {"currencyCode": "USD", "units": 207, "nanos": 500000000}}},
                    }
                }
            }
        )
    )  # fmt: skip
    assert (product.source_id, product.link) == ("80", "https://shop.example/s/air-shoe/80")
    assert product.colours == ["white", "black"]  # the one that the shop shows first
    assert product.img_url == "https://m.example/b.jpeg"
    assert (product.price, product.currency) == (207.5, "USD")


def test_a_product_in_the_shape_of_bloomingdales_has_a_colour_size_and_stock_for_each_upc() -> None:
    price = {"price": {"tieredPrice": [{"values": [{"value": 162.0, "formattedValue": "$162.00"}]}]}}  # fmt: skip
    sale = {"price": {"tieredPrice": [{"values": [{"value": 162.0}]}, {"values": [{"value": 99.0}]}]}}  # fmt: skip

    def upc(colour: int, size: int, is_there: bool) -> dict[str, object]:
        chosen = {"colors": {"selectedColor": colour}, "sizes": {"selectedSize": size}}
        return {"availability": {"available": is_there}, "traits": chosen}

    product = the_product(
        json.dumps(
            {
                "product": [
                    {
                        "id": 1881331, "identifier": {"productUrl": "/shop/product/shirt?ID=1881331"},
                        "detail": {"name": "Check shirt", "brand": {"name": "Levis"}, "bulletText": ["Imported"]},
                        "imagery": {"images": [{"filePath": "1/a.tif"}]},
                        "urlTemplate": {"product": "https://img.example/p/"},
                        "pricing": price,
                        "relationships": {"upcs": {"9": upc(5, 0, True), "10": upc(6, 1, False)}},
                        "traits": {
                            "colors": {"colorMap": {
                                "5": {"name": "Blue", "pricing": sale, "imagery": {"images": [{"filePath": "2/b.tif"}]}},
                                "6": {"name": "Red"},
                            }},
                            "sizes": {"sizeMap": {"0": {"name": "S"}, "1": {"name": "M"}}},
                        },
                    }
                ]
            }
        )
    )  # fmt: skip
    assert product.source_id == "1881331"
    assert product.link == "https://shop.example/shop/product/shirt?ID=1881331"
    assert product.variants == (
        Variant("Blue", "S", 99.0, True, "https://img.example/p/2/b.tif"),
        Variant("Red", "M", 162.0, False),
    )
    assert product.currency == "USD"


def test_a_product_in_the_shape_of_revolve_is_read() -> None:
    product = the_product(
        json.dumps(
            {
                "productData": [
                    {
                        "code": "WWQS-WZ560", "name": "Pink sandals", "brand": "Cobblerz", "price": 49, "priceDisplay": "$49",
                        "color": "Pink", "bulletDescription": ["100% cotton", "Zip closure"], "images": ["https://img.example/V1.jpg"],
                    }
                ]
            }
        )
    )  # fmt: skip
    assert (product.source_id, product.price, product.colours) == ("WWQS-WZ560", 49.0, ["Pink"])
    assert product.description == "100% cotton. Zip closure"


# --- what no table can hold -----------------------------------------------------------------------


def test_what_no_table_can_hold_is_left_out_of_all_that_is_told() -> None:
    odd = "a\0b\ud83d\x1b[31mc"
    told = {
        "id": odd, "title": odd, "body_html": odd, "vendor": odd, "product_type": odd, "tags": odd,
        "options": ["color"], "variants": [{"option1": odd, "price": "1"}], "images": [{"src": "https://img.example/1.jpg"}],
    }  # fmt: skip
    product = the_product(json.dumps([told]))
    texts = [
        product.source_id,
        product.title,
        product.description,
        product.brand,
        *product.labels.values(),
        *product.colours,
    ]
    assert set(texts) == {"a b\ufffd [31mc"}
    twice = read(json.dumps([told, {**told, "id": "a b\ufffd [31mc"}]))
    assert isinstance(twice[1], BadRow)


def test_what_is_too_long_is_cut_and_an_id_refused() -> None:
    told = {"id": 1, "title": "red " * 500_000, "body_html": "<div>" * 300_000 + "linen " * 100_000,
            "variants": [], "images": [{"src": "https://img.example/1.jpg"}]}  # fmt: skip
    product = the_product(json.dumps([told]))
    assert (len(product.title) <= 500, product.title[:7]) == (True, "red red")
    told["body_html"] = "<div>" * 30_000 + "linen " * 100_000
    assert the_product(json.dumps([told])).description.startswith("linen linen")
    assert len(the_product(json.dumps([told])).description) <= 20_000
    [bad] = read(json.dumps([{**told, "id": "7" * 3_000}]))
    assert isinstance(bad, BadRow)
    assert "3,000 characters" in bad.reason


# --- prices and stock -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("written", "price", "currency"),
    [
        ("$1,299.00", 1299.0, "USD"),
        ("1.299,00 €", 1299.0, "EUR"),
        ("1.2E+3", 1200.0, ""),
        ("1万2,000円", 12_000.0, "円"),
        ("12万,", 120_000.0, ""),
        ("-$3.00", None, "$"),
        ("$-3.00", None, "$"),
        ("207.00 USD", 207.0, "USD"),
        ("EUR 49,95", 49.95, "EUR"),
        ("CHF 1’299.–", 1299.0, "CHF"),
        ("£12", 12.0, "GBP"),
        ("Rs. 2,999", 2999.0, "INR"),
        ("1 299,50 zł", 1299.5, "PLN"),
        ("Now $49.99 (was $99)", 49.99, "USD"),
        ("12.500 KWD", 12.5, "KWD"),
        ("TND 45,900", 45.9, "TND"),
        ("1,299.500 BHD", 1299.5, "BHD"),
        ("12.990 CLP", 12990.0, "CLP"),
        ("₹1,29,999.00", 129999.0, "INR"),
        ("¥12,800", 12800.0, "¥"),
        ("1.250.000 ₫", 1250000.0, "₫"),
        ("1.299,90 TL", 1299.9, "TL"),
        ("19,90\u202f€*", 19.9, "EUR"),
        ("3-pack $19.00", 19.0, "USD"),
        ("2 for $30", 30.0, "USD"),
        ("$12 - $15", 12.0, "USD"),
        ("49.000000", 49.0, ""),
        (49.5, 49.5, ""),
        (0.999, 0.999, ""),
        ("on request", None, ""),
        ("", None, ""),
        (None, None, ""),
        (True, None, ""),
        (float("nan"), None, ""),
        (float("inf"), None, ""),
        (-5, None, ""),
        ("9" * 5_000, None, ""),
    ],
)
def test_prices_are_read_in_every_form(written: object, price: float | None, currency: str) -> None:
    assert price_of(written) == price
    if isinstance(written, str) and price is not None:
        assert currency_of(written) == currency


def test_money_with_three_places_is_known_by_its_currency_wherever_that_is_told() -> None:
    table = "id,title,image_link,price,currency\n1,Cap,https://img.example/1.jpg,12.500,{}\n"
    assert [the_product(table.format(each)).price for each in ("KWD", "EUR")] == [12.5, 12500.0]
    offer = {"@type": "Offer", "price": "12.500", "priceCurrency": "KWD"}
    told = {
        "@type": "Product",
        "name": "Cap",
        "sku": "1",
        "image": "https://img.example/1.jpg",
        "offers": offer,
    }
    page = f"<title>Cap</title><script type='application/ld+json'>{json.dumps(told)}</script>"
    assert the_product(f"<html>{page}").price == 12.5


@pytest.mark.parametrize(
    ("written", "is_there"),
    [
        ("in_stock", True),
        ("In Stock", True),
        ("https://schema.org/InStock", True),
        (" http://schema.org/OutOfStock/", False),
        ("sold out", False),
        ("preorder", True),
        ("12", True),
        (0, False),
        (False, False),
        ("ask us", None),
        (None, None),
    ],
)
def test_stock_is_read_in_every_form(written: object, is_there: bool | None) -> None:
    assert stock_of(written) is is_there


# --- the data pack --------------------------------------------------------------------------------


@pytest.mark.data
@needs_data
@pytest.mark.parametrize(
    ("name", "count", "first"),
    [
        ("google_merchant_feed.tsv", 36, ("g6648", 207.0, "USD")),
        ("google_merchant_feed.xml", 36, ("g6648", 207.0, "USD")),
        ("nordstrom_browse_products.json", 12, ("8084365", 207.0, "USD")),
        ("nordstrom_legacy_stylemodel.json", 1, ("8084365", 207.0, "USD")),
        ("nordstrom_pdp.html", 1, ("8084365", 207.0, "USD")),
        ("revolve_app_product_details.json", 12, ("WWQS-WZ560", 49.0, "USD")),
        ("revolve_pdp.html", 1, ("WWQS-WZ560", 49.0, "USD")),
        ("bloomingdales_xapi_product.json", 12, ("1881331", 162.0, "USD")),
        ("real_shopify_products.json", 4, ("1", 199.0, "")),
        ("real_spree_sample_products.csv", 37, ("automatic-espresso-machine", 819.99, "USD")),
    ],
)
def test_the_feeds_of_the_data_pack_are_read_whole(
    name: str, count: int, first: tuple[str, float, str]
) -> None:
    found = products(read((DATA / "fixtures" / name).read_bytes()))
    assert len(found) == count
    assert (found[0].source_id, found[0].price, found[0].currency) == first
    assert all(each.img_urls and each.title for each in found)
