"""The page and its files, as they lie in the package."""

from __future__ import annotations

from functools import cache
from importlib.resources import files

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse

from fashion_search.web.shoppers import welcome

router = APIRouter(include_in_schema=False)

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; connect-src 'self'; "
    "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
_KINDS = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}


@cache
def assets() -> dict[str, bytes]:
    """Return the files by their names: read once, so that no path of a request is ever looked up on the disk."""
    folder = files("fashion_search.web") / "static"
    return {each.name: each.read_bytes() for each in folder.iterdir() if each.is_file()}


@router.get("/")
async def page(request: Request) -> Response:
    """The page, whatever it is to show: its address says that to its script."""
    response = Response(assets()["index.html"], media_type="text/html")
    response.headers["content-security-policy"] = POLICY
    welcome(request, response)
    return response


@router.get("/assets/{name}")
async def asset(name: str) -> Response:
    """One of the page's files."""
    kind = next((kind for end, kind in _KINDS.items() if name.endswith(end)), None)
    if kind is None or name not in assets():
        return JSONResponse({"error": "there is no such file"}, 404)
    return Response(assets()[name], media_type=kind, headers={"cache-control": "no-cache"})
