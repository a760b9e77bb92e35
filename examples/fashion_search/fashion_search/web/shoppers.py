"""Shoppers: who asks, by a cookie that says nothing of them."""

from __future__ import annotations

import re
import secrets

from fastapi import Request, Response

import motion

COOKIE = "shopper"
_NAME = re.compile(r"[A-Za-z0-9_-]{22}")
_YEAR_S = 365 * 24 * 3600


def shopper_of(request: Request) -> str | None:
    """Return who asks, None for somebody who never saw the page."""
    given = request.cookies.get(COOKIE, "")
    return given if _NAME.fullmatch(given) else None


def welcome(request: Request, response: Response) -> None:
    """Give somebody new a name."""
    if shopper_of(request) is None:
        response.set_cookie(COOKIE, secrets.token_urlsafe(16), max_age=_YEAR_S, httponly=True, samesite="strict")  # fmt: skip


def opinions_of(store: motion.Store, shopper: str | None) -> dict[int, bool]:
    """Return what a shopper thinks, by product; the latest first."""
    if shopper is None:
        return {}
    rows = store.rows(
        "opinion", where={"shopper": shopper}, order_by="ts DESC", keys=["product", "liked"]
    )
    return {row.product: row.liked for row in rows}
