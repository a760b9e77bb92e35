"""A browser's session: a page gives the token once, and the browser sends it along from then on, where no script can read it."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from motion.server.access.guard import COOKIE
from motion.server.access.problems import answer
from motion.server.access.roles import Tokens
from motion.server.api import documents as docs
from motion.server.api.serving import body_of, json

router = APIRouter(prefix="/v1/session", tags=["session"])

SESSION_S = 30 * 24 * 3600


@router.get("", responses=docs.answers(docs.ANYTHING))
async def session(request: Request) -> Response:
    """Say which role this browser has: null where it needs to give a token first."""
    role = request.state.role
    return json({"role": None if role is None else role.name.lower()})


@router.post(
    "",
    responses=docs.answers(docs.ANYTHING),
    openapi_extra=docs.takes({"type": "object", "required": ["token"], "properties": {"token": {"type": "string"}}}),
)  # fmt: skip
async def begin(request: Request) -> Response:
    """Take a token, and have the browser send it from now on."""
    tokens: Tokens = request.app.state.tokens
    given = await body_of(request)
    text = given.get("token") if isinstance(given, dict) else None
    token = tokens.found(text) if isinstance(text, str) else None
    if token is None or not isinstance(text, str):
        return answer(401, "NoToken", "this is no token of this server.")
    found = json({"role": token.role})
    found.set_cookie(
        COOKIE, text, max_age=SESSION_S, httponly=True, samesite="strict", secure=request.url.scheme == "https",
    )  # fmt: skip
    return found


@router.delete("", responses=docs.answers(docs.ANYTHING))
async def end() -> Response:
    """Have the browser forget its token."""
    found = json({"role": None})
    found.delete_cookie(COOKIE, httponly=True, samesite="strict")
    return found
