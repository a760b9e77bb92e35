"""The easel: shapes in unit coordinates become shaded, patterned cloth.

`(0, 0)` is the top left of the picture, `(1, 1)` the bottom right. Knows no garment; `clothes`, `shoes` and
`accessories` say what to paint.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

from fashion_search.garments.vocabulary import COLOURS, JEWELLERY, LEATHER_TYPES, Garment, Rgb

Point: TypeAlias = tuple[float, float]
Outline: TypeAlias = Sequence[Point]
Part: TypeAlias = tuple[slice, slice]
FloatArray: TypeAlias = NDArray[np.floating[Any]]


@dataclass(frozen=True, slots=True)
class Cloth:
    """What a part is made of; `finish` is matte, leather, metal or glass."""

    rgb: Rgb
    second: Rgb
    pattern: str = "solid"
    finish: str = "matte"


SKINS: tuple[Rgb, ...] = (
    (244, 214, 190),
    (232, 190, 160),
    (206, 158, 124),
    (160, 110, 78),
    (104, 68, 48),
)
HAIRS: tuple[Rgb, ...] = ((30, 24, 22), (60, 40, 28), (110, 76, 44), (190, 150, 92))
WHITE, BLACK, INK = (248, 248, 246), (28, 28, 30), (20, 20, 22)


def shade(rgb: Rgb, factor: float) -> Rgb:
    """Return `rgb` darker (`factor < 1`) or lighter, towards white (`factor > 1`)."""
    light = min(max(factor - 1, 0), 1)
    red, green, blue = (int(c * min(factor, 1) + (255 - c) * light) for c in rgb)
    return red, green, blue


def smooth(points: Outline, steps: int = 6) -> list[Point]:
    """Return a closed Catmull-Rom curve through `points`."""
    p = np.asarray(points)
    before, after, beyond = np.roll(p, 1, 0), np.roll(p, -1, 0), np.roll(p, -2, 0)
    t = np.linspace(0, 1, steps, endpoint=False)[:, None, None]
    curve = 0.5 * (
        2 * p + (after - before) * t + (2 * before - 5 * p + 4 * after - beyond) * t**2
        + (3 * p - before - 3 * after + beyond) * t**3
    )  # fmt: skip
    return [(float(x), float(y)) for x, y in curve.transpose(1, 0, 2).reshape(-1, 2)]


def mirrored(half: Outline, axis: float = 0.5) -> list[Point]:
    """Return the outline whose right half is `half`: x offsets from `axis`, listed top to bottom."""
    right = [(axis + x, y) for x, y in half]
    return right + [(2 * axis - x, y) for x, y in reversed(right)]


def oval(
    x: float, y: float, rx: float, ry: float, start: float = 0, stop: float = 360
) -> list[Point]:
    """Return the outline of an ellipse, or of the arc from `start` to `stop` degrees (0 is right, 90 down)."""
    angles = np.radians(np.linspace(start, stop, 36, endpoint=stop - start < 360))
    return [(x + rx * math.cos(a), y + ry * math.sin(a)) for a in angles]


def box(x0: float, y0: float, x1: float, y1: float, corner: float = 0.0) -> list[Point]:
    """Return the outline of a rectangle, its corners rounded by `corner`."""
    if not corner:
        return [(x0, y0), (x1, y0), (x1, y1), (x0, y1)]
    at = [
        (x1 - corner, y0 + corner, -90),
        (x1 - corner, y1 - corner, 0),
        (x0 + corner, y1 - corner, 90),
        (x0 + corner, y0 + corner, 180),
    ]
    return [point for x, y, a in at for point in oval(x, y, corner, corner, a, a + 90)[::7]]


@lru_cache(maxsize=4)
def _grid(size: int) -> tuple[FloatArray, FloatArray]:
    y, x = np.mgrid[0:size, 0:size].astype(np.float32) / size
    return x, y


class Easel:
    """A square picture under work, `pixels` of float32 `(size, size, 3)` in `[0, 255]`; not thread-safe."""

    def __init__(
        self, size: int, rng: np.random.Generator, backdrop: Rgb, *, textured: bool = False
    ) -> None:
        self.size, self.rng = size, rng
        self.figure = False
        self._woven: dict[str, FloatArray] = {}
        self.scale, self.angle, self.shift, self.flip = 1.0, 0.0, (0.0, 0.0), False
        x, y = _grid(size)
        fall = rng.uniform(0, 0.05)
        light = 1 - fall * np.abs(x - rng.uniform(0.3, 0.7)) - fall * y
        if textured:
            light = light + 0.09 * self.noise(int(rng.integers(4, 30)), int(rng.integers(4, 60)))
        self.pixels = np.clip(np.asarray(backdrop, np.float32) * light[..., None], 0, 255)
        self.folds = 0.6 * self.noise(9, 4) + 0.4 * self.noise(5, 9)

    def noise(self, across: int, down: int) -> FloatArray:
        """Return smooth noise in about `[-1, 1]`, `(size, size)`, with that many bumps each way."""
        coarse = Image.fromarray(self.rng.uniform(-1, 1, (down + 1, across + 1)).astype(np.float32))
        return np.asarray(coarse.resize((self.size, self.size), Image.Resampling.BICUBIC))

    def _placed(self, outline: Outline) -> list[Point]:
        p = np.asarray(outline, np.float64) - 0.5
        if self.flip:
            p[:, 0] *= -1
        c, s = math.cos(self.angle), math.sin(self.angle)
        p = (p @ np.array([[c, s], [-s, c]])) * self.scale + 0.5 + np.asarray(self.shift)
        return [(float(x), float(y)) for x, y in p * self.size]

    def _mask(self, outlines: Sequence[Outline], holes: Sequence[Outline]) -> Image.Image:
        mask = Image.new("L", (self.size, self.size))
        pen = ImageDraw.Draw(mask)
        for outline in outlines:
            pen.polygon(self._placed(outline), fill=255)
        for hole in holes:
            pen.polygon(self._placed(hole), fill=0)
        return mask

    def paint(
        self,
        cloth: Cloth,
        *outlines: Outline,
        holes: Sequence[Outline] = (),
        shadow: float = 0.25,
        depth: float = 1.0,
    ) -> None:
        """Lay one part of the garment over what is there: shadow first, then shaded cloth.

        `depth` scales how round the part looks; `shadow` is how dark the shadow that it throws is, `0..1`.
        """
        drawn = self._mask(outlines, holes)
        box = drawn.getbbox()
        if box is None:  # wholly outside of the picture
            return
        margin = self.size // 12  # the shadow and the blur reach no further
        left, top = max(box[0] - margin, 0), max(box[1] - margin, 0)
        part = np.s_[top : box[3] + margin, left : box[2] + margin]
        near = drawn.crop(
            (left, top, min(box[2] + margin, self.size), min(box[3] + margin, self.size))
        )
        mask = np.asarray(near, np.float32) / 255
        soft = np.asarray(near.filter(ImageFilter.GaussianBlur(0.03 * self.size)), np.float32) / 255
        canvas = self.pixels[part]
        if shadow:
            thrown = np.roll(soft, (self.size // 90, self.size // 120), (0, 1)) * (1 - mask)
            canvas *= 1 - shadow * thrown[..., None]
        light = self._light(soft, cloth.finish, depth, part)
        colour = self._texture(cloth, part) * light[..., None]
        if cloth.finish in ("leather", "glass", "metal"):
            gloss = (
                np.clip(self.folds[part] - 0.15, 0, 1)
                * (soft > 0.8)
                * (90 if cloth.finish == "leather" else 130)
            )
            colour = colour + gloss[..., None]
        canvas += (np.clip(colour, 0, 255) - canvas) * mask[..., None]

    def _light(self, soft: FloatArray, finish: str, depth: float, part: Part) -> FloatArray:
        down, across = np.gradient(soft)
        relief = np.clip((across * 0.8 + down * 0.6) * self.size * 0.035, -0.3, 0.3)
        light = 1 + depth * (0.22 * (soft - 0.9) + 0.55 * relief)
        if finish == "matte":
            return np.asarray(light + 0.10 * depth * self.folds[part])
        if finish == "metal":
            x, y = _grid(self.size)
            return np.asarray(light + 0.28 * np.sin(34 * (x[part] + 0.6 * y[part])) * depth)
        return np.asarray(light + 0.04 * self.folds[part])

    def _texture(self, cloth: Cloth, part: Part) -> FloatArray:
        base = np.asarray(cloth.rgb, np.float32)
        if cloth.pattern not in _WEAVES:
            return base
        if cloth.pattern not in self._woven:  # once a picture, so that sleeves match the body
            self._woven[cloth.pattern] = _WEAVES[cloth.pattern](self)
        amount = self._woven[cloth.pattern][part][..., None]
        if cloth.pattern == "melange":
            return base * (1 + 0.16 * amount)
        return base + (np.asarray(cloth.second, np.float32) - base) * amount

    def stroke(
        self, rgb: Rgb, points: Outline, width: float = 0.006, *, dots: bool = False
    ) -> None:
        """Draw a line through `points` (or a dot at each), `width` in picture widths; lines are never shaded."""
        mask = Image.new("L", (self.size, self.size))
        pen, px = ImageDraw.Draw(mask), max(1, round(width * self.scale * self.size))
        placed = self._placed(points)
        if dots:
            for x, y in placed:
                pen.ellipse((x - px / 2, y - px / 2, x + px / 2, y + px / 2), fill=255)
        else:
            pen.line(placed, fill=255, width=px, joint="curve")
        m = np.asarray(mask, np.float32)[..., None] / 255
        self.pixels += (np.asarray(rgb, np.float32) - self.pixels) * m

    def u(self, low: float, high: float) -> float:
        """Return one uniform draw: the small variations of a shape."""
        return float(self.rng.uniform(low, high))

    def image(self, size: int) -> Image.Image:
        """Return the picture reduced to `size`, RGB."""
        full = Image.fromarray(np.clip(self.pixels, 0, 255).astype(np.uint8))
        return full.resize((size, size), Image.Resampling.BOX)


# --- patterns: how much of the second colour shows at each pixel, `(size, size)` in `[0, 1]` --------------------------


def _wave(coordinate: FloatArray, count: float, duty: float) -> FloatArray:
    return ((coordinate * count) % 1 < duty).astype(np.float32)


def _striped(e: Easel) -> FloatArray:
    x, y = _grid(e.size)
    along = (y, y, y, x, x + y)[int(e.rng.integers(5))]
    return _wave(along + 0.01 * e.folds, e.u(9, 26), e.u(0.2, 0.5))


def _checked(e: Easel) -> FloatArray:
    x, y = _grid(e.size)
    count, duty = e.u(8, 20), e.u(0.2, 0.5)
    return 0.5 * (_wave(x + 0.01 * e.folds, count, duty) + _wave(y, count, duty)) + 0.2 * _wave(
        x + 0.3, count / 2, 0.1
    )


def _scattered(e: Easel, radius: float, petals: int, count: int) -> FloatArray:
    sheet = Image.new("L", (e.size, e.size))
    pen = ImageDraw.Draw(sheet)
    for x, y in e.rng.uniform(0, e.size, (count, 2)):
        r = radius * e.size * e.u(0.6, 1.3)
        for a in np.linspace(0, 2 * math.pi, petals, endpoint=False) + e.u(0, 3):
            px, py = (x + r * math.cos(a), y + r * math.sin(a)) if petals > 1 else (x, y)
            pen.ellipse((px - r, py - r * 0.9, px + r, py + r * 0.9), fill=int(e.u(140, 255)))
    return np.asarray(sheet, np.float32) / 255


def _dotted(e: Easel) -> FloatArray:
    x, y = _grid(e.size)
    count = e.u(14, 26)
    row = np.floor(y * count)
    dx, dy = (x * count + 0.5 * (row % 2)) % 1 - 0.5, (y * count) % 1 - 0.5
    return np.asarray(dx**2 + dy**2 < e.u(0.05, 0.11), np.float32)


def _blotched(e: Easel) -> FloatArray:
    bumps = int(e.rng.integers(10, 22))
    return (e.noise(bumps, bumps) > 0.12).astype(np.float32) * e.u(0.6, 1)


def _camouflage(e: Easel) -> FloatArray:
    return 0.55 * (e.noise(12, 16) > 0.1) + 0.45 * (e.noise(14, 12) > 0.2).astype(np.float32)


def _blocked(e: Easel) -> FloatArray:
    x, y = _grid(e.size)
    edge = (y - e.u(0.38, 0.6), 0.1 - np.abs(y - e.u(0.4, 0.55)), x + y - e.u(0.9, 1.15))[
        int(e.rng.integers(3))
    ]
    return (edge > 0).astype(np.float32)


def _embroidered(e: Easel) -> FloatArray:
    x, y = _grid(e.size)
    band = (np.abs(x - 0.5) < 0.035) | (y > 0.8) & (y < 0.86)
    return np.asarray(band * np.maximum(_dotted(e), _wave(y, 60, 0.4)) * 0.9)


_WEAVES: dict[str, Callable[[Easel], FloatArray]] = {
    "striped": _striped, "checked": _checked, "polka dot": _dotted, "printed": _blotched, "camouflage": _camouflage,
    "floral": lambda e: _scattered(e, 0.014, 5, 90), "melange": lambda e: e.noise(e.size // 3, e.size // 3),
    "colourblock": _blocked, "embroidered": _embroidered,
}  # fmt: skip


def cloth_of(e: Easel, g: Garment) -> Cloth:
    """Return what the garment is made of, in one dye lot of its colour and with a second colour for its pattern."""
    rgb = _dye_lot(e, COLOURS[g.colour])
    pale = sum(rgb) > 420
    near = [INK if pale else WHITE, shade(rgb, 0.55 if pale else 1.5), shade(rgb, 0.7)]
    choice = near if e.rng.random() < 0.75 else list(COLOURS.values())
    second = choice[int(e.rng.integers(len(choice)))]
    pattern = "printed" if g.colour == "multicoloured" and g.pattern == "solid" else g.pattern
    return Cloth(rgb, second, pattern, _finish(g))


def _dye_lot(e: Easel, rgb: Rgb) -> Rgb:
    red, green, blue = (int(np.clip(c * e.u(0.92, 1.08) + e.u(-7, 7), 0, 255)) for c in rgb)
    return red, green, blue


def _finish(g: Garment) -> str:
    if g.type in JEWELLERY:
        return "metal"
    return "leather" if g.type in LEATHER_TYPES or g.material == "leather" else "matte"


def plain(rgb: Rgb, finish: str = "matte") -> Cloth:
    """Return a cloth of one colour."""
    return Cloth(rgb, rgb, "solid", finish)


Painter: TypeAlias = Callable[[Easel, Garment], None]
