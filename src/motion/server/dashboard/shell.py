"""The shell: the page and its files, as they lie in the package. The same page answers for each address within it, so that
one can be reloaded, kept and sent."""

from __future__ import annotations

import hashlib
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable

from fastapi import APIRouter, Request, Response

from motion.errors import NotFound

router = APIRouter(include_in_schema=False)

OPEN_PATHS = (
    "/",
    "/rows",
    "/rows/",
    "/changes",
    "/changes/",
    "/models",
    "/models/",
    "/problems",
    "/assets/",
)

KINDS = {
    ".html": "text/html",
    ".css": "text/css",
    ".js": "text/javascript",
    ".svg": "image/svg+xml",
}


@cache
def assets() -> dict[str, bytes]:
    """Return the files by their names: read once, so that no path of a request is ever looked up on the disk."""
    folder: Traversable = files("motion.server.dashboard") / "static"
    return {each.name: each.read_bytes() for each in folder.iterdir() if _kind(each.name)}


def _kind(name: str) -> str | None:
    return next((kind for end, kind in KINDS.items() if name.endswith(end)), None)


@router.get("/")
@router.get("/rows")
@router.get("/rows/{table}")
@router.get("/changes")
@router.get("/changes/{key}")
@router.get("/models")
@router.get("/models/{component}")
@router.get("/problems")
async def page(request: Request) -> Response:
    """The page, whichever part of it is asked for."""
    return _answer(request, "index.html")


@router.get("/assets/{name}")
async def asset(request: Request, name: str) -> Response:
    """One of the page's files."""
    if name not in assets():
        raise NotFound(f"the dashboard has no file {name!r}.")
    return _answer(request, name)


def _answer(request: Request, name: str) -> Response:
    content = assets()[name]
    etag = f'"{hashlib.sha256(content).hexdigest()[:32]}"'
    headers = {"etag": etag, "cache-control": "no-cache"}
    if request.headers.get("if-none-match") == etag:
        return Response(status_code=304, headers=headers)
    return Response(content, headers={**headers, "content-type": f"{_kind(name)}; charset=utf-8"})
