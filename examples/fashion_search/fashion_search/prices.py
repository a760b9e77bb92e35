"""Prices and stock as shops write them."""

from __future__ import annotations

import math
import re

from price_parser import Price

_PLAIN_NUMBER = re.compile(r"\d+(?:\.(?:\d{1,2}|\d{4,}))?")
_CURRENCY_CODE = re.compile(r"\b[A-Z]{3}\b")
_CURRENCY_SIGNS = {
    "$": "USD",
    "€": "EUR",
    "£": "GBP",
    "US$": "USD",
    "zł": "PLN",
    "₹": "INR",
    "Rs": "INR",
}
# Money that is divided into a thousand parts: "12.500 KWD" is twelve and a half.
_IN_THOUSANDTHS = re.compile(r"\b(?:BHD|IQD|JOD|KWD|LYD|OMR|TND)\b")
_THREE_PLACES = re.compile(r"(?<![\d.,])\d{1,6}(?:[.,]\d{3})+(?![\d.,])")
# An amount with a sign or a code at it, of a text with other numbers before: "2 for $30", "3-pack $19".
_SIGNED = re.compile(r"(?:[$€£¥₹₽₺]|\b[A-Z]{3})\s?\d[\d.,' \u00a0\u202f]*")
_IN_POWERS = re.compile(
    r"\d+(?:\.\d+)?[eE]\+?\d{1,2}"
)  # as spreadsheets and floats are written out: "1.2E+3"
_BELOW_ZERO = re.compile(r"[$€£¥]?\s?[-\u2212]\s?[$€£¥]?\s?\d")
_MYRIADS = re.compile(
    r"(\d+(?:\.\d+)?)\s?[万萬]\s?(\d[\d,]*)?"
)  # ten thousands: "12万円", "1万2,000円"
_APOSTROPHES = str.maketrans("’‘´`", "''''")
_CAN_BE_BOUGHT = frozenset(
    "instock available yes true 1 limitedavailability onlineonly instoreonly preorder presale backorder madetoorder".split()
)
_CANNOT_BE_BOUGHT = frozenset(
    "outofstock soldout discontinued unavailable notavailable no false 0 oos".split()
)


def price_of(written: object, currency: str = "") -> float | None:
    """Return the first amount in what a shop wrote: "$1,299.00", "1.299,00 €", 1299 and "1299.0000" are the same.

    None where there is none, or it is no price: nothing, below 0, infinite. `currency`: where the shop tells it elsewhere.
    """
    if isinstance(written, bool) or written is None:
        return None
    if isinstance(written, int | float):
        found: float | None = float(written) if abs(written) < 1e12 else None
    else:
        text = str(written)[:200].translate(_APOSTROPHES).strip()
        if not any(map(str.isdigit, text)):
            return None  # "free", "on request"
        if _BELOW_ZERO.match(text):
            return None
        if myriads := _MYRIADS.search(text):
            return float(myriads[1]) * 10_000 + float((myriads[2] or "0").replace(",", ""))
        if _IN_THOUSANDTHS.search(f"{text} {currency}") and (exact := _THREE_PLACES.search(text)):
            return int(re.sub("[.,]", "", exact[0])) / 1_000
        signed = _SIGNED.search(text)
        if signed and re.match(r"\d+[\s-]", text):
            text = signed[0].strip()
        # "1.299" may be either; what a shop writes with three places is more often a thousand than a fraction.
        found = (
            float(text)
            if _PLAIN_NUMBER.fullmatch(text) or _IN_POWERS.fullmatch(text)
            else Price.fromstring(text).amount_float
        )
    return found if found is not None and math.isfinite(found) and 0 <= found < 1e12 else None


def currency_of(written: object) -> str:
    """Return the currency in a price as shops write it: its code where that is clear, else the sign, or ""."""
    text = str(written or "")[:200]
    if code := _CURRENCY_CODE.search(text):
        return code[0]
    sign = Price.fromstring(text).currency or ""
    return _CURRENCY_SIGNS.get(sign, sign)


def stock_of(written: object) -> bool | None:
    """Return whether something can be bought, from "in stock", "https://schema.org/OutOfStock", True, or a count."""
    if isinstance(written, bool) or written is None:
        return written
    if isinstance(written, int | float):
        return written > 0
    word = re.sub(r"[^a-z0-9]", "", str(written).strip().rstrip("/").rsplit("/", 1)[-1].lower())
    if word.isdecimal():
        return int(word[:9]) > 0
    return True if word in _CAN_BE_BOUGHT else False if word in _CANNOT_BE_BOUGHT else None
