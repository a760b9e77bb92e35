"""Pictures of other people: which bytes are one that may be kept."""

from __future__ import annotations

import io
import struct
import zlib

from PIL import Image, UnidentifiedImageError

from fashion_search.products import Unusable, shown

MIN_SIDE_PX = 16  # smaller is a tracking pixel or a spacer, not a product
MAX_PIXELS = 50_000_000
FORMATS = ("JPEG", "PNG", "WEBP", "AVIF", "GIF", "BMP", "TIFF")

# What a decoder raises when it is fed with something else than a whole picture.
_DECODING_ERRORS = (
    OSError, SyntaxError, ValueError, EOFError, TypeError, LookupError, ArithmeticError, struct.error, zlib.error,
    Image.DecompressionBombError,
)  # fmt: skip


def check_picture(image: bytes) -> None:
    """Decode a picture once, whole. Its size is looked at before it is decoded: a bomb is refused, not unpacked.

    Raises:
        Unusable: it is none, is damaged, too small or too large.
    """
    try:
        with Image.open(io.BytesIO(image), formats=FORMATS) as picture:
            width, height = picture.size
            if width * height > MAX_PIXELS:
                raise Unusable(
                    f"the image has {width} x {height} pixels; at most {MAX_PIXELS:,} are read"
                )
            picture.load()
    except UnidentifiedImageError as exc:
        raise Unusable(f"the image is no picture; it begins {shown(image[:16])}") from exc
    except _DECODING_ERRORS as exc:
        raise Unusable(f"the image is damaged: {exc}") from exc
    if min(width, height) < MIN_SIDE_PX:
        raise Unusable(
            f"the image has {width} x {height} pixels; a side needs at least {MIN_SIDE_PX}"
        )
