"""From rows of cells to products: what the columns of catalogs are called, and which rows are one product.

Owns the names. `cells` makes the rows; `products` knows what a product is.
"""

from __future__ import annotations

import base64
import binascii
import difflib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urljoin, urlsplit

from fashion_search.cells import Cells, Row
from fashion_search.picture_files import check_picture
from fashion_search.prices import currency_of, price_of, stock_of
from fashion_search.products import (
    RETAILERS,
    BadRow,
    CatalogError,
    Draft,
    Product,
    Unusable,
    is_web,
    plain_id,
    shown,
    without_affiliate,
)
from fashion_search.tables import Variant

_NAMES: dict[str, tuple[str, ...]] = {
    "id": ("id", "product_id", "sku", "variant_sku"),
    "title": ("title", "name", "product_name"),
    "description": ("description", "desc", "product_description", "body_html"),
    "image": ("image", "image_bytes"),
    "image_path": ("image_path", "path", "file_name", "filename", "file"),
    "link": ("link", "url", "product_url"),
    "html": ("html", "page_html"),
    "img_url": ("img_url", "image_url", "image_link", "image_src", "image1_src"),
    "retailer": ("retailer", "shop"),
    "source": ("source", "gallery"),
    "price": ("price", "variant_price", "regular_price"),
}
_OF_FEEDS: dict[str, tuple[str, ...]] = {  # understood beside a price
    "group": ("item_group_id", "slug", "handle", "parent_sku", "parent_id"),
    "sale_price": ("sale_price",),
    "currency": ("currency", "price_currency"),
    "stock": ("availability", "in_stock", "stock_status", "inventory_count", "variant_inventory_qty", "quantity"),
    "brand": ("brand", "vendor", "manufacturer", "brand_name"),
    "colour": ("color", "colour"),
    "size": ("size",),
    "more_images": ("additional_image_link", "additional_images", "image2_src", "image_urls"),
}  # fmt: skip
_REQUIRED = (("id",), ("title", "description"), ("image", "image_path", "img_url"))
_COLOUR_WORDS, _SIZE_WORDS = ("color", "colour"), ("size",)
MAX_GROUPED_ROWS = 1_000_000


def is_known(column: str) -> bool:
    """Whether a column's name is one that is understood."""
    return _folded(column) in _KNOWN


def products_of(
    table: Path | str, cells: Cells, owner: str, *, folder: Path | None, address: str = ""
) -> Iterator[Product | BadRow]:
    """Return the products of a table, in its order, and the rows that are none.

    Args:
        table: what errors call it.
        owner: whose products these are; "" where each row names its retailer.
        folder: where the pictures lie that it names; None: it names none by path.
        address: where it was found: relative links are completed with it.

    Raises:
        CatalogError: at once, where a column is missing; while reading, where the table is damaged.
    """
    columns = columns_of(table, cells.columns)
    reader = Reader(Path(table).name, columns, owner, folder, address)
    groups = reader.grouped(cells.rows()) if "group" in columns else ((number, [row]) for number, row in cells.rows())  # fmt: skip
    return reader.products(groups)


def columns_of(table: Path | str, found: Sequence[str]) -> dict[str, str]:
    """Return the table's name of each column we know.

    Raises:
        CatalogError: one that is needed is not there.
    """
    columns = _matched(_NAMES, found)
    if "price" in columns:
        columns |= {ours: name for ours, name in _matched(_OF_FEEDS, found).items() if name not in columns.values()}  # fmt: skip
    for choices in _REQUIRED:
        is_there = any(choice in columns for choice in choices)
        if not is_there and not (choices == ("id",) and "group" in columns):
            raise CatalogError(table, _missing(choices, found))
    return columns


def _matched(names: Mapping[str, Sequence[str]], found: Sequence[str]) -> dict[str, str]:
    by_folded = {_folded(name): name for name in reversed(found)}
    return {
        ours: by_folded[_folded(name)]
        for ours, ones in names.items()
        for name in reversed(ones)
        if _folded(name) in by_folded
    }


def _missing(choices: Sequence[str], found: Sequence[str]) -> str:
    known = [name for choice in choices for name in _NAMES[choice]]
    near = [near for name in known for near in difflib.get_close_matches(name, found, n=1, cutoff=0.7)]  # fmt: skip
    hint = f" Did you mean {', '.join(map(repr, dict.fromkeys(near)))}?" if near else ""
    return f"no column {' or '.join(choices)}; it has {', '.join(found)}.{hint} Rename the column."


def _folded(name: str) -> str:
    return re.sub(r"^g:|[\s_-]|\(html\)", "", name.strip().lower())


_KNOWN = frozenset(_folded(name) for names in (_NAMES | _OF_FEEDS).values() for name in names)


def one_of(given: str, known: Sequence[str]) -> str:
    """Return which names are known, and which of them is near, for an error."""
    near = difflib.get_close_matches(given.lower(), known, n=1)
    return f"it is one of {', '.join(known)}" + (f"; did you mean {near[0]!r}?" if near else "")


@dataclass(slots=True)
class Reader:
    """What has to be known across the rows of one catalog."""

    name: str
    columns: Mapping[str, str]
    owner: str
    folder: Path | None = None
    address: str = ""
    seen: set[tuple[str, str]] = field(default_factory=set)
    hosts: dict[str, str] = field(default_factory=dict)

    def grouped(self, rows: Iterable[Row]) -> Iterator[tuple[int, list[Mapping[str, object] | str]]]:  # fmt: skip
        """Yield the rows of each product together, in the order of the first of each."""
        groups: dict[object, tuple[int, list[Mapping[str, object] | str]]] = {}
        for number, cells in rows:
            if number > MAX_GROUPED_ROWS:
                raise CatalogError(
                    self.name, f"over {MAX_GROUPED_ROWS:,} rows in groups; divide it"
                )
            name = "" if isinstance(cells, str) else self._name(cells, "group")
            groups.setdefault(name or number, (number, []))[1].append(cells)
        yield from groups.values()

    def products(
        self, groups: Iterable[tuple[int, list[Mapping[str, object] | str]]]
    ) -> Iterator[Product | BadRow]:
        for number, rows in groups:
            usable = [cells for cells in rows if not isinstance(cells, str)]
            for cells in rows:
                if isinstance(cells, str):
                    yield BadRow(self.name, number, "", cells, is_damaged=True)
            if usable:
                yield self._answer(number, usable)

    def _answer(self, number: int, rows: list[Mapping[str, object]]) -> Product | BadRow:
        try:
            return self.product(rows)
        except Unusable as exc:
            return BadRow(self.name, number, self.source_id(rows[0]), str(exc))
        except (ValueError, TypeError, ArithmeticError, OSError, RecursionError) as exc:
            # Catalogs are other people's: no row of theirs ends the reading of the others.
            reason = f"it cannot be read: {type(exc).__name__}: {exc}"
            return BadRow(self.name, number, self.source_id(rows[0]), reason)

    def product(self, rows: list[Mapping[str, object]]) -> Product:
        """Return the product that rows tell of; raise `Unusable` where there is none."""
        source_id = self.source_id(rows[0])
        if not source_id:
            named = self.columns.get("group") or self.columns["id"]
            raise Unusable(f"no id (column {named!r} is {shown(rows[0].get(named))})")
        retailer = self._retailer(rows[0])
        if (retailer, source_id) in self.seen:
            raise Unusable(f"duplicate id: an earlier row of {retailer} has it")
        image, addresses = self._pictures(rows)
        if image:
            check_picture(image)
        draft = Draft(
            source_id,
            title=self._first(rows, "title"),
            description=self._first(rows, "description"),
            link=self._link(self._first(rows, "link"), retailer),
            brand=self._first(rows, "brand"),
            currency=currency_of(self._first(rows, "currency") or self._first(rows, "price")),
            variants=[each for cells in rows if (each := self._variant(cells, len(rows) > 1))],
            images=addresses,
            labels=self._labels(rows[0]),
            source=self._first(rows, "source"),
            html=self._first(rows, "html"),
            image=image,
        )
        product = draft.product(retailer, self.address)
        self.seen.add((retailer, source_id))
        return product

    def source_id(self, cells: Mapping[str, object]) -> str:
        return self._name(cells, "group") or self._name(cells, "id")

    def _name(self, cells: Mapping[str, object], ours: str) -> str:
        value = self._cell(cells, ours)
        if isinstance(value, list):
            value = value[0]
        if (
            isinstance(value, float) and value.is_integer()
        ):  # what a table library makes of ids with a gap
            value = int(value)
        is_name = isinstance(value, str | int) and not isinstance(value, bool)
        return plain_id(str(value)) if is_name else ""

    def _cell(self, cells: Mapping[str, object], ours: str) -> object:
        return cells.get(self.columns[ours]) if ours in self.columns else None

    def _text(self, cells: Mapping[str, object], ours: str) -> str:
        value = self._cell(cells, ours)
        if isinstance(value, list) and value and isinstance(value[0], str):
            value = value[0]  # an element that a feed repeats
        if value is None or value != value:  # NaN is a table library's "nothing"
            return ""
        if not isinstance(value, str | int | float):
            raise Unusable(f"{ours} is {shown(value)}, not text")
        return str(value).strip()

    def _first(self, rows: Iterable[Mapping[str, object]], ours: str) -> str:
        return next((text for cells in rows if (text := self._text(cells, ours))), "")

    def _retailer(self, cells: Mapping[str, object]) -> str:
        if self.owner:
            return self.owner
        named = self._text(cells, "retailer").lower()
        if named not in RETAILERS:
            raise Unusable(f"unknown retailer {named!r}; {one_of(named, RETAILERS)}")
        return named

    def _labels(self, cells: Mapping[str, object]) -> dict[str, str]:
        used = set(self.columns.values())
        return {
            name: str(value)
            for name, value in cells.items()
            if name not in used
            and isinstance(value, str | int | float)
            and value == value
            and value != ""
        }

    # --- variants ---------------------------------------------------------------------------------

    def _variant(self, cells: Mapping[str, object], is_one_of_many: bool) -> Variant | None:
        if "price" not in self.columns:
            return None
        stock, currency = self._cell(cells, "stock"), self._text(cells, "currency")
        options = self._options(cells)
        variant = Variant(
            self._text(cells, "colour") or options.get("colour"),
            self._text(cells, "size") or options.get("size"),
            price_of(self._text(cells, "sale_price"), currency)
            or price_of(self._text(cells, "price"), currency),
            stock_of(None if stock in ("", None) else stock),
            next((each for each in self._texts(cells, "img_url") if is_web(each)), None),
        )
        # Shops write a line for the product itself before those of its variants.
        is_heading = is_one_of_many and not variant.price and not (variant.colour or variant.size)
        return None if is_heading else variant

    def _options(self, cells: Mapping[str, object]) -> dict[str, str]:
        found: dict[str, str] = {}
        for name, value in cells.items():
            option = re.fullmatch(r"option([123])name", _folded(name))
            if option is None or not isinstance(value, str):
                continue
            chosen = next(
                (v for n, v in cells.items() if _folded(n) == f"option{option[1]}value"), ""
            )
            ours = "colour" if value.strip().lower() in _COLOUR_WORDS else "size" if value.strip().lower() in _SIZE_WORDS else ""  # fmt: skip
            if ours and isinstance(chosen, str) and chosen.strip():
                found[ours] = chosen.strip()
        return found

    # --- links and pictures -----------------------------------------------------------------------

    def _link(self, written: str, retailer: str) -> str:
        """Return the address of the product itself, completed with the host of the links before it where it is relative."""
        try:
            link = without_affiliate(written)
            parts = urlsplit(link)
        except ValueError:  # urllib on "https://[" and the like
            return ""
        if is_web(link):
            self.hosts[retailer] = f"{parts.scheme}://{parts.netloc}"
            return link
        if parts.scheme or self.address or retailer not in self.hosts:
            return link if self.address else ""
        return urljoin(self.hosts[retailer], link) if link else ""

    def _texts(self, cells: Mapping[str, object], ours: str) -> list[str]:
        value = self._cell(cells, ours)
        found = value if isinstance(value, list) else [value]
        return [text.strip() for each in found if isinstance(each, str) for text in _divided(each)]

    def _pictures(self, rows: list[Mapping[str, object]]) -> tuple[bytes, list[str]]:
        """Return the picture that the rows hold or name, or b"", and the addresses of all that they tell of."""
        addresses = [text for ours in ("img_url", "more_images") for cells in rows for text in self._texts(cells, ours)]  # fmt: skip
        for cells in rows:
            value = self._cell(cells, "image")
            if isinstance(value, dict):  # as data-set libraries write them
                value = value.get("bytes") or value.get("path")
            if value is None or value in (b"", ""):
                value = self._cell(cells, "image_path")
            if isinstance(value, bytes) and value:
                return value, addresses
            if isinstance(value, str) and is_web(value.strip()):
                addresses = [value.strip(), *addresses]
            elif isinstance(value, str) and value.strip():
                return self._file(value.strip()), addresses
            elif value not in (None, b"", ""):
                raise Unusable(f"the image is {shown(value)}, neither bytes nor a path")
        if not addresses:
            raise Unusable("no image: the cell is empty")
        return b"", addresses

    def _file(self, written: str) -> bytes:
        # A path is short; asking the system for a file named like a picture in base64 fails in its own way.
        if self.folder is not None and len(written) < 1_024 and "\0" not in written:
            folder = self.folder.resolve()
            file = _found(folder, written)
            if file is not None:
                if not file.is_relative_to(folder):
                    raise Unusable(f"image path {shown(written)} leads out of the catalog's folder")
                return _content(file)
        encoded = written.partition(",")[2] if written.startswith("data:") else written
        try:
            return _decoded("".join(encoded.split()))
        except (binascii.Error, ValueError) as exc:
            raise Unusable(
                f"image {shown(written)} is neither a file in the catalog's folder nor base64"
            ) from exc


def _divided(text: str) -> list[str]:
    """Return the addresses in a cell: Google's TSV writes several with commas between them."""
    parts = re.split(r",\s*(?=https?://)", text.strip())
    return parts if all(map(is_web, parts)) else [text]


def _found(folder: Path, written: str) -> Path | None:
    """Return the file that a cell names; None where it names none, or cannot be a name."""
    try:
        file = (folder / written).resolve()
        return file if file.is_file() else None
    except (
        OSError,
        ValueError,
        RuntimeError,
    ):  # a part of 300 characters, half a character, links in a loop
        return None


def _content(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as exc:
        raise Unusable(f"image {shown(file.name)} cannot be read: {exc.strerror}") from exc


def _decoded(encoded: str) -> bytes:
    """Return the bytes of a text in base64, of the usual or the URL-safe kind, with or without its padding."""
    usual = encoded.replace("-", "+").replace("_", "/").rstrip("=")
    return base64.b64decode(usual + "=" * (-len(usual) % 4), validate=True)
