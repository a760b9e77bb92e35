"""One product picture: chooses the ground, the pose and the painter."""

import numpy as np
from PIL import Image

from fashion_search.garments.accessories import ACCESSORIES
from fashion_search.garments.clothes import CLOTHES
from fashion_search.garments.easel import Easel, Painter
from fashion_search.garments.shoes import SHOES
from fashion_search.garments.vocabulary import Garment, Rgb

_PAINTERS: dict[str, Painter] = {**CLOTHES, **SHOES, **ACCESSORIES}
_STUDIOS: tuple[Rgb, ...] = (
    (255, 255, 255),
    (255, 255, 255),
    (247, 247, 247),
    (244, 241, 236),
    (236, 238, 241),
)
_PAIRABLE = {*SHOES} - {"boots", "flip flops"}


def draw(garment: Garment, size: int = 256, *, view: int = 0) -> Image.Image:
    """Return the garment's picture, RGB, `(size, size)` pixels.

    Args:
        garment: what to draw.
        size: pixels of a side; the picture is painted at twice that and reduced.
        view: 0 is the shop's picture on a pale ground; other numbers give other poses, grounds and dye lots.

    Deterministic: the same garment, size and view give the same pixels. Safe to call from several threads.
    """
    rng = np.random.default_rng([garment.seed, view])
    outdoors = view != 0 and rng.random() < 0.3
    easel = Easel(size * 2, rng, _ground(rng, outdoors), textured=outdoors)
    easel.figure = not outdoors and rng.random() < 0.62
    easel.scale = easel.u(0.86, 1.04) if view else easel.u(0.94, 1.0)
    easel.angle = easel.u(-0.09, 0.09) * (view != 0) * (0.4 if easel.figure else 1)
    easel.shift = (easel.u(-0.03, 0.03), easel.u(-0.03, 0.03)) if view else (0.0, 0.0)
    easel.flip = view != 0 and rng.random() < 0.25
    if garment.type in _PAIRABLE and rng.random() < 0.15:
        _paint_other_shoe(easel, garment)
    _PAINTERS[garment.type](easel, garment)
    return easel.image(size)


def _ground(rng: np.random.Generator, outdoors: bool) -> Rgb:
    """Return a pale studio ground, or the muted colour of a floor, a bedspread or a wall."""
    if not outdoors:
        return _STUDIOS[int(rng.integers(len(_STUDIOS)))]
    grey, tint = int(rng.integers(60, 225)), rng.integers(-28, 29, 3) * (1.0, 0.6, 1.2)
    red, green, blue = (int(np.clip(grey + t, 0, 255)) for t in tint)
    return red, green, blue


def _paint_other_shoe(easel: Easel, garment: Garment) -> None:
    """Paint the second shoe of the pair, which the first will half hide."""
    scale, (x, y) = easel.scale, easel.shift
    easel.scale, easel.shift = scale * 0.8, (x + 0.07, y - 0.09)
    _PAINTERS[garment.type](easel, garment)
    easel.scale, easel.shift = scale * 0.85, (x - 0.03, y + 0.04)
