"""Pictures of products: bytes, files and Pillow's images, decoded, upright, on white.

Owns what a picture is for this package, and what is said of one that is none. It knows no model.
"""

from __future__ import annotations

import io
import os
from typing import TypeAlias

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

Picture: TypeAlias = bytes | str | os.PathLike[str] | Image.Image

_WHITE = (255, 255, 255)


class UnreadableImage(ValueError):
    """A picture could not be decoded. `index` is its place in the list that was passed, 0 for a single one."""

    def __init__(self, reason: str, index: int = 0) -> None:
        super().__init__(reason, index)
        self.reason, self.index = reason, index

    def __str__(self) -> str:
        return f"picture {self.index} cannot be read: {self.reason}. Pass the bytes of a JPEG, PNG, GIF or WebP file, a path, or a PIL image."


def open_image(picture: Picture) -> Image.Image:
    """Return the picture decoded, upright, RGB; what is transparent becomes white.

    Raises:
        UnreadableImage: it is empty, cut short, too large, no picture at all, or the file is not there.
    """
    try:
        if isinstance(picture, Image.Image):
            image = picture
        elif isinstance(picture, bytes):
            if not picture:
                raise UnreadableImage("it is empty (0 bytes)")
            image = Image.open(io.BytesIO(picture))
        else:
            image = Image.open(picture)
        return _rgb(ImageOps.exif_transpose(image))
    except UnidentifiedImageError as exc:
        raise UnreadableImage("the data is not in a known picture format") from exc
    except (
        OSError,
        SyntaxError,
        ValueError,
        Image.DecompressionBombError,
    ) as exc:  # what Pillow's decoders raise
        if isinstance(exc, UnreadableImage):
            raise
        raise UnreadableImage(str(exc) or type(exc).__name__) from exc


def _rgb(image: Image.Image) -> Image.Image:
    if image.mode == "RGB":
        image.load()
        return image
    if image.mode in ("I", "F") or image.mode.startswith("I;"):
        return _eight_bits(image).convert("RGB")
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        clear = image.convert("RGBA")
        ground = Image.new("RGBA", clear.size, (*_WHITE, 255))
        return Image.alpha_composite(ground, clear).convert("RGB")
    return image.convert("RGB")


def _eight_bits(image: Image.Image) -> Image.Image:
    """Return a grey picture of 16 or 32 bits, or of floats, in 8 bits; Pillow's own conversion makes it white or black.

    Black is 0, and white the largest that its kind of picture has: 1 of floats up to there, 255, or 65,535.
    """
    greys = np.nan_to_num(np.asarray(image, np.float64), nan=0.0, posinf=0.0, neginf=0.0)
    largest = float(greys.max(initial=0.0))
    is_float = image.mode == "F"
    white = next(
        (each for each in ((1.0,) if is_float else ()) + (255.0, 65_535.0) if largest <= each),
        largest,
    )
    if image.mode.startswith("I;16"):
        white = 65_535.0
    return Image.fromarray(np.clip(np.rint(greys * (255 / white)), 0, 255).astype(np.uint8))


def padded(image: Image.Image) -> Image.Image:
    """Return the RGB picture centred on a white square of its longer side: nothing of a tall photo is cut off."""
    side = max(image.size)
    if image.size == (side, side):
        return image
    square = Image.new("RGB", (side, side), _WHITE)
    square.paste(image, ((side - image.width) // 2, (side - image.height) // 2))
    return square


def opened(image: Picture, index: int) -> Image.Image:
    """Return a picture decoded; the error of one that cannot be says that it is number `index`."""
    try:
        return open_image(image)
    except UnreadableImage as exc:
        raise UnreadableImage(exc.reason, index) from exc
