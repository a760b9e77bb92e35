"""A picture of what a search found: one row of photos per idea, for people to look at.

Owns the layout and nothing else. The type is the one that Pillow brings along, so a sheet looks the same everywhere.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont, ImageOps, ImageStat

MAX_ITEMS_PER_ROW = 6

# Measures in pixels, colours in sRGB.
_MARGIN = 56
_PHOTO_W, _PHOTO_H = 208, 260
_GAP = 20
_BETWEEN_VERSIONS = 64
_CAPTION_H = 76
_IDEA_H = 58
_ROW_GAP = 26
_HEADER_H = 132
_COLUMN_HEAD_H = 52
_CORNER = 10
_PALE = 215  # darker edges are a room, not a studio

_PAPER = (250, 249, 246)
_CARD = (255, 255, 255)
_EDGE = (226, 222, 214)
_RULE = (217, 211, 200)
_INK = (28, 27, 25)
_SOFT = (118, 112, 103)
_ACCENT = (158, 62, 45)


@dataclass(frozen=True, slots=True)
class Item:
    """One photo. `score` is larger for better; it is shown as it is, rounded."""

    image: bytes
    title: str
    retailer: str
    score: float


@dataclass(frozen=True, slots=True)
class Section:
    """An idea and what was found for it, best first."""

    idea: str
    items: Sequence[Item]


@dataclass(frozen=True, slots=True)
class Comparison:
    """What a second version of the model found for the same ideas, and what to call the two versions."""

    sections: Sequence[Section]
    before: str = "before"
    after: str = "after"


def contact_sheet(
    query: str,
    sections: Sequence[Section],
    path: Path | str,
    *,
    compared_with: Comparison | None = None,
) -> Path:
    """Draw the sheet, write it to `path` as PNG, and return the path.

    Args:
        query: what was asked, shown on top.
        sections: one row each. At most six photos of each are shown, four in a comparison.
        path: where to write; folders are made.
        compared_with: a second result, drawn to the right of the first, row by row in the order of the ideas; what
            the first did not show for the idea is marked "new".

    A photo that cannot be read is drawn as an empty card: one broken file does not cost the sheet.
    """
    columns = [("", sections)] if compared_with is None else _columns(sections, compared_with)
    across = _photos_across([sections for _, sections in columns])
    rows = max((len(sections) for _, sections in columns), default=0)
    column_w = across * _PHOTO_W + (across - 1) * _GAP
    top = _HEADER_H + (_COLUMN_HEAD_H if compared_with is not None else 0)
    row_h = _IDEA_H + _PHOTO_H + _CAPTION_H + _ROW_GAP
    width = 2 * _MARGIN + len(columns) * column_w + (len(columns) - 1) * _BETWEEN_VERSIONS
    sheet = Image.new("RGB", (width, top + max(rows, 1) * row_h + _MARGIN - _ROW_GAP), _PAPER)
    pen = ImageDraw.Draw(sheet)
    _header(pen, query, sections, width)
    for place, (name, found) in enumerate(columns):
        left = _MARGIN + place * (column_w + _BETWEEN_VERSIONS)
        if compared_with is not None:
            _column_head(pen, name, left, column_w, is_new=place == 1)
        shown_before = (
            {} if place == 0 else {section.idea: _pictures(section, across) for section in sections}
        )
        for row, section in enumerate(found):
            _section(sheet, section, (left, top + row * row_h), column_w, across, shown_before)
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    sheet.save(path, "PNG", optimize=True)
    return path


def _columns(sections: Sequence[Section], other: Comparison) -> list[tuple[str, Sequence[Section]]]:
    """Put both results in one order of ideas, with an empty row where only the other has one."""
    ideas = list(dict.fromkeys([*(s.idea for s in sections), *(s.idea for s in other.sections)]))
    of_both: list[tuple[str, Sequence[Section]]] = []
    for name, found in ((other.before, sections), (other.after, other.sections)):
        by_idea = {section.idea: section for section in found}
        of_both.append((name, [by_idea.get(idea, Section(idea, ())) for idea in ideas]))
    return of_both


def _photos_across(results: Sequence[Sequence[Section]]) -> int:
    most = max((len(section.items) for sections in results for section in sections), default=1)
    # Four are as wide as the header needs, and a comparison of two times four still fits a screen.
    return max(3, min(most, MAX_ITEMS_PER_ROW if len(results) == 1 else 4))


def _pictures(section: Section, across: int) -> frozenset[bytes]:
    return frozenset(item.image for item in section.items[:across])


def _header(pen: ImageDraw.ImageDraw, query: str, sections: Sequence[Section], width: int) -> None:
    inner = width - 2 * _MARGIN
    count = f"{len(sections)} idea{'s' if len(sections) != 1 else ''}"
    _spaced(pen, (_MARGIN, 40), "OUTFIT IDEAS FOR", _font(13), _ACCENT)
    pen.text((width - _MARGIN, 40), count, font=_font(15), fill=_SOFT, anchor="ra")
    pen.text((_MARGIN, 61), _fitted(query, _font(38), inner), font=_font(38), fill=_INK)
    pen.line((_MARGIN, _HEADER_H - 10, width - _MARGIN, _HEADER_H - 10), fill=_INK, width=2)


def _column_head(
    pen: ImageDraw.ImageDraw, name: str, left: int, column_w: int, *, is_new: bool
) -> None:
    font, top = _font(17), _HEADER_H + 8
    text = _fitted(name, font, column_w - 32)
    box = (left, top, left + font.getlength(text) + 28, top + 32)
    pen.rounded_rectangle(box, 16, fill=_ACCENT if is_new else _INK)
    pen.text((left + 14, top + 16), text, font=font, fill=_PAPER, anchor="lm")


def _section(
    sheet: Image.Image,
    section: Section,
    corner: tuple[int, int],
    column_w: int,
    across: int,
    shown_before: dict[str, frozenset[bytes]],
) -> None:
    pen = ImageDraw.Draw(sheet)
    left, top = corner
    font = _font(22)
    pen.text(
        (left, top + 34), _fitted(section.idea, font, column_w), font=font, fill=_INK, anchor="ls"
    )
    pen.line((left, top + 45, left + column_w, top + 45), fill=_RULE, width=1)
    if not section.items:
        pen.text((left, top + _IDEA_H + 12), "nothing found", font=_font(16), fill=_SOFT)
    for place, item in enumerate(section.items[:across]):
        at = (left + place * (_PHOTO_W + _GAP), top + _IDEA_H)
        is_new = section.idea in shown_before and item.image not in shown_before[section.idea]
        _card(sheet, item, at, is_new=is_new)


def _card(sheet: Image.Image, item: Item, at: tuple[int, int], *, is_new: bool) -> None:
    left, top = at
    pen = ImageDraw.Draw(sheet)
    box = (left, top, left + _PHOTO_W - 1, top + _PHOTO_H - 1)
    pen.rounded_rectangle(box, _CORNER, fill=_CARD)
    photo = _photo(item.image)
    if photo is not None:
        sheet.paste(photo, at, _rounded_mask())
    else:
        pen.text(
            (left + _PHOTO_W // 2, top + _PHOTO_H // 2),
            "no picture",
            font=_font(15),
            fill=_SOFT,
            anchor="mm",
        )
    pen.rounded_rectangle(
        box, _CORNER, outline=_ACCENT if is_new else _EDGE, width=2 if is_new else 1
    )
    if is_new:
        pen.rounded_rectangle((left + 8, top + 8, left + 50, top + 28), 10, fill=_ACCENT)
        pen.text((left + 29, top + 18), "new", font=_font(13), fill=_PAPER, anchor="mm")
    score, score_font = _score(item.score), _font(14)
    shop_w = _PHOTO_W - int(score_font.getlength(score)) - 12
    _spaced(
        pen,
        (left, top + _PHOTO_H + 10),
        _fitted(item.retailer.upper(), _font(11), shop_w * 5 // 6),
        _font(11),
        _SOFT,
    )
    pen.text(
        (left + _PHOTO_W, top + _PHOTO_H + 7), score, font=score_font, fill=_ACCENT, anchor="ra"
    )
    for line, text in enumerate(_wrapped(item.title or "untitled", _font(15), _PHOTO_W, lines=2)):
        pen.text((left, top + _PHOTO_H + 30 + 20 * line), text, font=_font(15), fill=_INK)


def _photo(image: bytes) -> Image.Image | None:
    """Return the photo on white, as large as the card allows, or None where the bytes are no picture."""
    try:
        with Image.open(io.BytesIO(image)) as opened:
            upright = ImageOps.exif_transpose(opened).convert("RGBA")
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
        return None
    on_white = Image.new("RGBA", upright.size, (255, 255, 255, 255))
    on_white.alpha_composite(upright)
    inset = ImageOps.contain(
        on_white.convert("RGB"), (_PHOTO_W - 16, _PHOTO_H - 16), Image.Resampling.LANCZOS
    )
    card = Image.new("RGB", (_PHOTO_W, _PHOTO_H), _backdrop(inset))
    card.paste(inset, ((_PHOTO_W - inset.width) // 2, (_PHOTO_H - inset.height) // 2))
    return card


def _backdrop(photo: Image.Image) -> tuple[int, int, int]:
    """Return the colour of a studio's wall, so that the photo's edge does not show; else the card's white."""
    strips = (
        photo.crop((0, 0, photo.width, 1)),
        photo.crop((0, photo.height - 1, photo.width, photo.height)),
    )
    tops = [ImageStat.Stat(strip).median for strip in strips]
    red, green, blue = (round(sum(pair) / 2) for pair in zip(*tops, strict=True))
    return (red, green, blue) if min(red, green, blue) > _PALE else _CARD


@cache
def _rounded_mask() -> Image.Image:
    # Drawn larger and scaled down, for smooth corners.
    large = Image.new("L", (_PHOTO_W * 4, _PHOTO_H * 4))
    ImageDraw.Draw(large).rounded_rectangle(
        (0, 0, _PHOTO_W * 4 - 1, _PHOTO_H * 4 - 1), _CORNER * 4, fill=255
    )
    return large.resize((_PHOTO_W, _PHOTO_H), Image.Resampling.LANCZOS)


@cache
def _font(size: int) -> ImageFont.FreeTypeFont:
    font = ImageFont.load_default(size)
    assert isinstance(font, ImageFont.FreeTypeFont), "Pillow's wheels bring FreeType"
    return font


def _score(score: float) -> str:
    return f"{score:.0f}" if float(score).is_integer() else f"{score:.2f}"


def _spaced(
    pen: ImageDraw.ImageDraw,
    at: tuple[int, int],
    text: str,
    font: ImageFont.FreeTypeFont,
    fill: tuple[int, int, int],
) -> None:
    """Write small capitals with air between them."""
    x, y = at
    for letter in text:
        pen.text((x, y), letter, font=font, fill=fill)
        x += round(font.getlength(letter)) + 1  # whole pixels: fractions make the gaps uneven


def _fitted(text: str, font: ImageFont.FreeTypeFont, width: float) -> str:
    text = " ".join(text.split())
    if font.getlength(text) <= width:
        return text
    while text and font.getlength(text + "…") > width:
        text = text[:-1]
    return text.rstrip(" ,;.-") + "…"


def _wrapped(text: str, font: ImageFont.FreeTypeFont, width: float, *, lines: int) -> list[str]:
    """Break a text at spaces; the last line is cut where it does not fit."""
    done: list[str] = []
    words = text.split()
    while words and len(done) < lines - 1:
        taken = 1
        while taken < len(words) and font.getlength(" ".join(words[: taken + 1])) <= width:
            taken += 1
        done.append(_fitted(" ".join(words[:taken]), font, width))
        words = words[taken:]
    return [*done, _fitted(" ".join(words), font, width)] if words else done
