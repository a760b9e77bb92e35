"""What notebooks show: HTML tables of rows and values, with small pictures, everything escaped; and short plain texts.

It needs nothing from outside: images are those that the values are, and nothing is fetched.
"""

from __future__ import annotations

import base64
import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any, TypeVar

import numpy as np

from motion.errors import shortened

T = TypeVar("T")

ROWS, CELL, ITEMS = 100, 120, 30
"""Rows of a table, letters of a cell, and items of a plain text: what is more is counted."""

LARGE = 80
"""Letters, or bytes, from which on a value is told by its size in a plain text."""

IMAGE_BYTES, ALL_IMAGE_BYTES = 2**20, 2**22
"""Of one picture, and of all in one table: a notebook keeps what it shows."""

IMAGES = (
    (b"\x89PNG\r\n\x1a\n", "png"), (b"\xff\xd8\xff", "jpeg"), (b"GIF8", "gif"), (b"RIFF", "webp"),
)  # fmt: skip

POINTS = 48


class Shown(list[T]):
    """A list that notebooks show as a table, and whose plain text tells large values by their size."""

    def _repr_html_(self) -> str:
        return table_of([cells_of(each) for each in self[:ROWS]], more=len(self) - ROWS)

    def __repr__(self) -> str:
        told = [brief(each) for each in self[:ITEMS]]
        more = [f"... and {len(self) - ITEMS} more"] if len(self) > ITEMS else []
        return f"[{', '.join([*told, *more])}]"


def brief(item: Any) -> str:
    """Return what `repr` does, with the large values of a dataclass told by their size."""
    values = _values(item) if dataclasses.is_dataclass(item) else {}
    if not any(map(_is_large, values.values())):
        return repr(item)
    told = [f"{name}={_sized(value)}" for name, value in values.items()]
    return f"{type(item).__name__}({', '.join(told)})"


def _values(item: Any) -> dict[str, Any]:
    return {each.name: getattr(item, each.name) for each in dataclasses.fields(item)}


def _is_large(value: Any) -> bool:
    return isinstance(value, str | bytes | np.ndarray) and (
        value.size if isinstance(value, np.ndarray) else len(value)
    ) > (8 if isinstance(value, np.ndarray) else LARGE)


def _sized(value: Any) -> str:
    if isinstance(value, np.ndarray) and _is_large(value):
        return f"<array {value.dtype} {'×'.join(map(str, value.shape))}>"
    if isinstance(value, bytes) and _is_large(value):
        return f"<{len(value):,} bytes>"
    return shortened(value, LARGE)


def cells_of(item: Any) -> Mapping[str, Any]:
    """Return what a table has of an item, by heading."""
    if hasattr(item, "_cells_"):
        return item._cells_()  # type: ignore[no-any-return]  # a mapping, by its own declaration
    if dataclasses.is_dataclass(item):
        return _values(item)
    return {"value": item}


STYLE = "text-align:left;vertical-align:top;max-width:28em;overflow-wrap:anywhere"


def table_of(records: Sequence[Mapping[str, Any]], *, more: int = 0) -> str:
    """Return records as an HTML table; the headings are those of all of them.

    Args:
        more: how many there are beyond these.
    """
    headings = list(dict.fromkeys(name for each in records for name in each))
    left = ALL_IMAGE_BYTES
    lines = ["".join(f'<th style="{STYLE}">{escape(name)}</th>' for name in headings)]
    for each in records:
        cells = []
        for name in headings:
            value = each.get(name)
            if isinstance(value, bytes):
                left -= len(value)
            cells.append(f'<td style="{STYLE}">{cell(value, pictures=left >= 0)}</td>')
        lines.append("".join(cells))
    body = "".join(f"<tr>{line}</tr>" for line in lines)
    end = f"<p>... and {more:,} more</p>" if more > 0 else "" if records else "<p>nothing</p>"
    return f'<table class="motion">{body}</table>{end}' if records else end


def cell(value: Any, *, pictures: bool = True) -> str:
    """Return a value as HTML: pictures and arrays small, all else as text.

    Args:
        pictures: whether images are shown as such.
    """
    if value is None:
        return ""
    if isinstance(value, bytes):
        kind = next((name for magic, name in IMAGES if value.startswith(magic)), None)
        if kind is None or not pictures or len(value) > IMAGE_BYTES:
            return f"{len(value):,} bytes"
        return f'<img alt="" style="max-width:64px;max-height:64px" src="data:image/{kind};base64,{base64.b64encode(value).decode()}">'
    if isinstance(value, np.ndarray):
        return f"{_plot(value)}<br>{escape(f'{value.dtype} {value.shape}')}"
    if isinstance(value, float):
        return escape(f"{value:.6g}")
    text = value if isinstance(value, str) else str(getattr(value, "name", value))
    return escape(text if len(text) <= CELL else f"{text[: CELL - 1]}…")


def _plot(array: np.ndarray[Any, Any]) -> str:
    """Return a small line of an array's numbers, "" where they are none."""
    flat = array.ravel()
    if array.dtype.kind not in "fiu" or flat.size < 2 or not np.isfinite(flat).all():
        return ""
    picked = flat[np.linspace(0, flat.size - 1, min(flat.size, POINTS)).astype(int)].astype(float)
    span = float(np.ptp(picked)) or 1.0
    heights = 18 - 16 * (picked - picked.min()) / span
    points = " ".join(
        f"{x:.0f},{y:.1f}" for x, y in zip(np.linspace(1, 47, picked.size), heights, strict=True)
    )
    return f'<svg width="48" height="20" role="img"><polyline points="{points}" fill="none" stroke="#6a3fc0"/></svg>'


def lines_of(lines: Iterable[str]) -> str:
    """Return lines of text as HTML."""
    return f"<pre>{escape(chr(10).join(lines))}</pre>"
