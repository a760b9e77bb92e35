"""Media: a value as an answer of its own. An image goes out as itself, with a type that was read off its first bytes, and
never as something that a browser would run."""

from __future__ import annotations

import hashlib
from typing import Any

from fastapi import Request, Response

from motion.definitions.tables import wire
from motion.definitions.tables.schema import Key

SIGNATURES = (
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
    (b"BM", "image/bmp"),
)
"""Pictures that cannot hold a program, as a drawing (SVG) can."""

OTHER = "application/octet-stream"


def media_of(request: Request, key: Key, value: Any) -> Response:
    """Return the answer that a value is; 304 where the asker has it."""
    is_bytes = isinstance(value, bytes)
    body = value if is_bytes else wire.encoded(wire.plain(value))
    etag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'
    headers = {"etag": etag, "cache-control": "private, no-cache"}
    if request.headers.get("if-none-match") == etag:
        return Response(status_code=304, headers=headers)
    kind = type_of(body) if is_bytes else "application/json"
    if kind == OTHER:
        headers["content-disposition"] = f'attachment; filename="{key.name}.bin"'
    return Response(body, headers=headers, media_type=kind)


def type_of(content: bytes) -> str:
    """Return the media type of an image, and of all else the one that nothing is done with."""
    if content[:4] == b"RIFF" and content[8:12] == b"WEBP":
        return "image/webp"
    if content[4:12] in (b"ftypavif", b"ftypavis"):
        return "image/avif"
    return next((kind for start, kind in SIGNATURES if content.startswith(start)), OTHER)
