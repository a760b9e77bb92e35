"""From an XML feed to rows of cells: the items of RSS, Atom and what shops make up, however they are written.

Items are found by their tags and parsed one by one. A parser that is given the whole stops at what it cannot take, such as a
`<` in a title or a text of 10 MB, and all items after it would be missing as if they were sold.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lxml import etree

from fashion_search.cells import Row
from fashion_search.encodings import decoded, encoding_of, errors_of
from fashion_search.products import CatalogError

_HEAD_BYTES, _TAIL_BYTES = 65_536, 4_096
_ITEM_TAG = re.compile(
    rb"<!--.*?(?:-->|\Z)|<!\[CDATA\[.*?(?:\]\]>|\Z)|"
    rb"<(?P<end>/?)(?P<name>(?:[\w.-]+:)?(?:item|entry|product|offer))(?=[\s/>])[^<>]*>",
    re.DOTALL | re.IGNORECASE,
)
_FIRST_TAG = re.compile(rb"<!DOCTYPE[^<>\[]*+(?:\[.*?\]\s*)?>|<!--.*?-->|<([A-Za-z_][\w.:-]*)", re.DOTALL | re.IGNORECASE)  # fmt: skip
# What is no mark-up though it looks like it, and references to characters. What CDATA holds is as it is.
_LOOSE = re.compile(
    r"<!\[CDATA\[.*?(?:\]\]>|\Z)|&#(?P<number>\d{1,7}|[xX][\da-fA-F]{1,6});|&(?!(?:amp|lt|gt|quot|apos);)|<(?![A-Za-z_/!?])",
    re.DOTALL,
)
_CONTROLS = re.compile("[\0-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")


def xml_items(name: Path | str, content: bytes) -> Iterator[Row]:
    """Yield the items of a feed, each as its elements' texts by name; a name that repeats holds a list.

    Entities that a feed declares are not expanded, nothing is loaded from elsewhere, and mistakes such as a bare `&` are
    passed over.

    Raises:
        CatalogError: it is no XML, or ends before its end.
    """
    content, encoding = _in_bytes(content)
    number = 0
    for number, item in enumerate(_slices(content), start=1):
        yield (
            number,
            _cells_in(item.decode(encoding, errors_of(encoding))) if item else "it has no end",
        )
    if not _is_whole(content):
        raise CatalogError(name, f"no whole XML: it ends after item {number}, before its end")


def _in_bytes(content: bytes) -> tuple[bytes, str]:
    """Return a feed in which a tag is written as in ASCII, and its encoding."""
    told = re.search(rb"""^[^>]{0,100}encoding=["']([\w.:-]+)""", content[:200])
    encoding = encoding_of(content, told[1].decode("ascii") if told else "")
    if encoding.startswith(("utf-16", "utf-32")):
        return decoded(content).encode("utf-8", "replace"), "utf-8"
    return content, encoding


def _is_whole(content: bytes) -> bool:
    """Whether the feed's last tag is there: one cut short would be a shorter feed."""
    root = next(
        (found[1] for found in _FIRST_TAG.finditer(content[:_HEAD_BYTES]) if found[1]), b"?"
    )
    return bool(re.search(rb"</%s\s*>" % re.escape(root), content[-_TAIL_BYTES:], re.IGNORECASE))


def _slices(content: bytes) -> Iterator[bytes]:
    """Yield each item from its tag to the end of it; b"" for one that has none before the next begins."""
    start, name = -1, b""
    for tag in _ITEM_TAG.finditer(content):
        if tag["name"] is None or (name and tag["name"] != name):
            continue
        if tag["end"]:
            if name:
                yield content[start : tag.end()]
            start, name = -1, b""
        elif not tag[0].endswith(b"/>"):
            if name:
                yield b""
            start, name = tag.start(), tag["name"]
    if name:
        yield b""


def _cells_in(item: str) -> dict[str, object] | str:
    # It begins with its tag, so nothing is declared in it that could grow: its texts and depths need no limit but the feed's.
    parser = etree.XMLParser(recover=True, resolve_entities=False, no_network=True, load_dtd=False, huge_tree=True)  # fmt: skip
    try:
        root = etree.fromstring(_LOOSE.sub(_as_text, _CONTROLS.sub("", item)), parser)
    except (etree.XMLSyntaxError, ValueError) as exc:
        return f"it is no XML: {exc}"
    return "it is no XML" if root is None else _cells_of(root)


def _as_text(found: re.Match[str]) -> str:
    written = found[0]
    if written.startswith("<!"):
        return written
    if found["number"] is None:
        return "&amp;" if written == "&" else "&lt;"
    code = int(found["number"].lower().replace("x", "0x"), 0) if written[2] in "xX" else int(found["number"])  # fmt: skip
    is_character = code in (9, 10, 13) or 32 <= code < 0xD800 or 0xE000 <= code < 0xFFFE or 0xFFFF < code <= 0x10FFFF  # fmt: skip
    return f"&#{code};" if is_character else ""


def _local(element: Any) -> str:
    """Return a tag's name without its space: "id" of "g:id"; "" of a comment."""
    if not isinstance(element.tag, str):
        return ""
    return str(element.tag).rpartition("}")[2].rpartition(":")[2].lower()


def _cells_of(item: Any) -> dict[str, object]:
    cells: dict[str, object] = {}
    for child in item:
        name = _local(child)
        text = " ".join("".join(child.itertext()).split()) or child.get("href", "")
        if not name or not text:
            continue
        before = cells.get(name)
        cells[name] = text if before is None else [*(before if isinstance(before, list) else [before]), text]  # fmt: skip
    return cells
