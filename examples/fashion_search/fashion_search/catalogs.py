"""From catalogs to products: Parquet, CSV, folders of pictures, and the drawn catalogs of this package.

Owns what a usable product is, and says of every row that is none why. Rows stream: a table of any size needs
the memory of one batch of rows, and of the ids already seen; one with groups, that of its texts.

Read are Parquet, CSV and TSV in any dialect and encoding, Google Merchant feeds (XML, TSV), the JSON of Shopify and of
the three shops, and product pages: `feeds` tells them apart. A table has these columns; the names after the first are
understood too, in any case and with any of space, `-`, `_` and `:` between their words:

| column | must it be there | what it holds |
| --- | --- | --- |
| `id`, `product_id`, `sku`, `variant_sku` | yes, or a group | the catalog's own id, text or number |
| `item_group_id`, `slug`, `handle`, `parent_sku` | no | the product that a row is a colour or size of: such rows are one product |
| `title`, `name`, `product_name` | this or a description | one line |
| `description`, `desc`, `product_description`, `body_html` | this or a title | text or HTML |
| `image`, `image_bytes` | a picture, a path, or an address | the picture file's bytes; in CSV base64, a path, or an address |
| `image_path`, `path`, `file_name`, `filename`, `file` | as above | a file, relative to the table's folder |
| `img_url`, `image_url`, `image_link`, `image_src`, `image1_src` | as above | where the picture is on the web; it is fetched |
| `link`, `url`, `product_url` | no | the product's page |
| `html`, `page_html` | no | that page |
| `retailer`, `shop` | no | one of `RETAILERS` |
| `source`, `gallery` | no | which collection of pictures the row comes from |

Where there is a `price`, it is a shop's feed, and these are understood as well: `sale_price`, `currency`, `availability` or
`inventory_count`, `brand`, `color`, `size`, `option1_name` and `option1_value` (to 3), `additional_image_link`. Any other
column of text, numbers or booleans is a label: kept for measuring, never searched.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path

from rich.table import Table
from rich.text import Text

from fashion_search import garments
from fashion_search.cells import delimited, opened, parquet
from fashion_search.feeds import feed_products, kind_of, read_within
from fashion_search.products import RETAILERS as RETAILERS
from fashion_search.products import BadRow as BadRow
from fashion_search.products import CatalogError as CatalogError
from fashion_search.products import Product as Product
from fashion_search.products import locator
from fashion_search.rows import is_known, one_of, products_of
from fashion_search.tables import Variant

DRAWN_SIDE_PX = (
    192  # as large as a contact sheet shows it; drawing takes most of the time of a demo
)
_TABLE_SUFFIXES = (".parquet", ".csv", ".tsv", ".txt")
_FEED_SUFFIXES = (".xml", ".json", ".jsonl", ".html", ".htm")


def read_catalog(path: Path | str, retailer: str | None = None) -> Iterator[Product | BadRow]:
    """Return the catalog's rows one by one, each a `Product` or a `BadRow`, in the file's order.

    Args:
        path: a Parquet, CSV, TSV, XML, JSON or HTML file, maybe packed as .gz, or a folder that holds one table and the
            pictures it names.
        retailer: whose products these are. None: the `retailer` column tells, or else the file's name.

    Of rows with one id, the first usable one is taken. HTML in texts becomes plain text; a link through an affiliate
    is replaced by the page it leads to; a relative link is completed with the host of the links before it; what is no
    web address is no link.

    Raises:
        CatalogError: at once, where the file is not there, is of another kind, or lacks a column; while reading,
            where the file is damaged.
    """
    path = Path(path)
    table = _table_in(path)
    if retailer is not None and retailer not in RETAILERS:
        raise CatalogError(path, f"unknown retailer {retailer!r}; {one_of(retailer, RETAILERS)}")
    kind = _suffix(table)
    if kind in _FEED_SUFFIXES or (kind != ".parquet" and _is_feed(table)):
        owner = retailer or _retailer_named_by(table)
        content = read_within(table, lambda: opened(table), "; give it as CSV or Parquet")
        return feed_products(table, content, owner)
    cells = parquet(table) if kind == ".parquet" else delimited(table, lambda: opened(table), is_known)  # fmt: skip
    has_owner = any(name.strip().lower() in ("retailer", "shop") for name in cells.columns)
    owner = retailer or ("" if has_owner else _retailer_named_by(table))
    return products_of(table, cells, owner, folder=table.parent)


def _is_feed(path: Path) -> bool:
    """Whether a file that is called a table is none: whatever a shop calls it, how it begins tells."""
    with path.open("rb") as file:
        head = file.read(4_096)
    is_packed = head.startswith(b"\x1f\x8b")
    return is_packed != (path.suffix.lower() == ".gz") or (
        not is_packed and kind_of(head) != "table"
    )


def _suffix(path: Path) -> str:
    return (path.with_suffix("") if path.suffix.lower() == ".gz" else path).suffix.lower()


def _table_in(path: Path) -> Path:
    if path.is_dir():
        tables = sorted(file for file in path.iterdir() if file.suffix.lower() in _TABLE_SUFFIXES)
        if len(tables) != 1:
            found = ", ".join(file.name for file in tables) or "none"
            raise CatalogError(
                path,
                f"a folder of pictures holds one .parquet, .csv or .tsv that names them; found {found}",
            )
        return tables[0]
    if not path.is_file():
        raise CatalogError(path, "no such file or folder; check the path")
    if _suffix(path) not in _TABLE_SUFFIXES + _FEED_SUFFIXES:
        raise CatalogError(
            path,
            f"{path.suffix or 'a file without suffix'} is not read; give "
            f"{', '.join(_TABLE_SUFFIXES + _FEED_SUFFIXES)}, or a folder",
        )
    return path


def _retailer_named_by(path: Path) -> str:
    for name in (path.stem.lower(), path.parent.name.lower()):
        for retailer in RETAILERS:
            if retailer in name:
                return retailer
    raise CatalogError(
        path,
        "neither a column retailer nor the file's name says whose products these are; "
        f"say it, as in --catalog {RETAILERS[0]}={path.name}",
    )


def drawn_catalogs(n: int = 300, seed: int = 7) -> Iterator[Product]:
    """Return `n` drawn products of the three retailers in turn, each with its page.

    Deterministic, and free to publish: every picture, brand and text is invented by this package.
    """
    share = -(-n // len(RETAILERS))
    shops = [garments.catalog(retailer, share, seed) for retailer in RETAILERS]
    in_turn = chain.from_iterable(
        zip(RETAILERS, of_each, strict=True) for of_each in zip(*shops, strict=True)
    )
    for number, (retailer, garment) in zip(range(n), in_turn, strict=False):
        yield _drawn(retailer, garment, number // len(RETAILERS) + 1)


def report(bad_rows: Iterable[BadRow], limit: int = 20) -> Table:
    """Return a table of the rows that were left out, the first `limit` of them in full."""
    rows = list(bad_rows)
    table = Table(
        title=f"{len(rows):,} row{'s' if len(rows) != 1 else ''} left out", title_justify="left"
    )
    for name in ("catalog", "row", "id", "why"):
        table.add_column(name, justify="right" if name == "row" else "left", overflow="fold")
    for row in rows[:limit]:
        told = (row.catalog, f"{row.row_number:,}", row.source_id, row.reason)
        table.add_row(*map(as_it_is, told))
    if len(rows) > limit:
        table.caption = f"and {len(rows) - limit:,} more"
    return table


def as_it_is(text: str) -> Text:
    """Return a text of other people for the terminal: nothing in it is markup or moves the cursor."""
    return Text("".join(each if each.isprintable() else repr(each)[1:-1] for each in text))


def _drawn(retailer: str, garment: garments.Garment, number: int) -> Product:
    source_id = f"drawn-{retailer}-{number:04d}"
    slug = "-".join(re.findall(r"[a-z0-9]+", garment.title.lower().replace("'", "")))
    link = f"https://www.{retailer}.example/s/{slug}/{number}"
    file = io.BytesIO()
    garments.draw(garment, DRAWN_SIDE_PX).save(file, "JPEG", quality=90)
    return Product(
        retailer=retailer,
        source_id=source_id,
        img_url=locator(retailer, source_id),
        title=garment.title,
        description=garment.description,
        link=link,
        html=garments.page_html(garment, link),
        image=file.getvalue(),
        labels={
            "category": garment.type,
            "colour": garment.colour,
            "pattern": garment.pattern,
            "gender": garment.gender,
        },
        source="drawn",
        brand=garment.brand,
        currency="USD",
        variants=(Variant(garment.colour, price=garment.price_usd, in_stock=True),),
    )
