"""Painters of clothes: people, tops, trousers, and what covers the whole body."""

import math
from dataclasses import dataclass
from functools import partial

import numpy as np

from fashion_search.garments.easel import (
    BLACK,
    HAIRS,
    INK,
    SKINS,
    WHITE,
    Cloth,
    Easel,
    Painter,
    Point,
    box,
    cloth_of,
    mirrored,
    oval,
    plain,
    shade,
    smooth,
)
from fashion_search.garments.vocabulary import COLOURS, TYPES, Garment, Rgb

# An outline reads as a row of points, not as one number a line.
# fmt: off
# --- people and tops ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Body:
    """Where a garment hangs: shoulder height `y`, torso length, half shoulder width, arm angle (radians from down)."""

    y: float
    torso: float
    half: float
    arm: float
    waist: float

    def along_arm(self, side: int, share: float, out: float = 0.0) -> Point:
        """Return the point `share` of the way to the wrist, moved `out` away from the body."""
        length, lean = self.torso * 0.98 * share, self.arm
        x = self.half * 0.9 + length * math.sin(lean) + out * math.cos(lean)
        return 0.5 + side * x, self.y + 0.05 * self.torso + length * math.cos(lean) - out * math.sin(lean)


def _body(e: Easel, g: Garment, *, full: bool) -> _Body:
    """Choose a body: worn at full length, worn and cropped, or the garment laid flat."""
    waist = e.u(0.80, 0.9) if g.gender == "women" else e.u(0.92, 1.0)
    if full and not e.figure and TYPES[g.type].singular not in _STANDING:
        return _Body(e.u(0.1, 0.16), e.u(0.38, 0.43), e.u(0.14, 0.17), e.u(0.2, 0.55), waist)
    if full:
        return _Body(e.u(0.15, 0.19), e.u(0.26, 0.29), e.u(0.088, 0.104), e.u(0.04, 0.25), waist)
    if e.figure:
        return _Body(e.u(0.2, 0.26), e.u(0.36, 0.44), e.u(0.132, 0.16), e.u(0.06, 0.22), waist)
    return _Body(e.u(0.12, 0.2), e.u(0.55, 0.66), e.u(0.19, 0.23), e.u(0.2, 0.6), waist)


def _person(e: Easel, b: _Body, *, legs: Rgb | None) -> None:
    """Draw head, arms and legs; `legs` is the colour of what the legs wear, None for bare."""
    skin = plain(SKINS[int(e.rng.integers(len(SKINS)))])
    hair = plain(HAIRS[int(e.rng.integers(len(HAIRS)))])
    t, head = b.torso, b.y - 0.31 * b.torso
    if b.waist < 0.91:
        e.paint(hair, oval(0.5, head + 0.06 * t, 0.17 * t, 0.3 * t), shadow=0)
    _legs(e, b, skin if legs is None else plain(legs))
    for side in (-1, 1):
        e.paint(skin, [b.along_arm(side, 0, -0.05 * t), b.along_arm(side, 0, 0.05 * t),
            b.along_arm(side, 1.05, 0.035 * t), b.along_arm(side, 1.05, -0.03 * t)], shadow=0)
    e.paint(skin, box(0.5 - 0.07 * t, head, 0.5 + 0.07 * t, b.y + 0.06 * t),
        mirrored([(0.07 * t, b.y - 0.05 * t), (b.half * 0.9, b.y + 0.04 * t),
        (b.half * 0.7, b.y + 0.3 * t)]), shadow=0)
    e.paint(skin, oval(0.5, head, 0.115 * t, 0.165 * t), shadow=0.2)
    e.paint(hair, oval(0.5, head - 0.05 * t, 0.128 * t, 0.15 * t, 180, 360), shadow=0)


def _legs(e: Easel, b: _Body, cloth: Cloth) -> None:
    top, foot, w = b.y + 0.85 * b.torso, b.y + 2.6 * b.torso, b.half
    for side in (-1, 1):
        x = [0.5 + side * v * w for v in (0.02, 0.88, 0.55, 0.3)]
        e.paint(cloth, [(x[0], top), (x[1], top), (x[1], top + 0.3 * b.torso), (x[2], foot),
            (x[3] - side * 0.06 * w, foot), (x[0], top + 0.4 * b.torso)])
        e.paint(plain(BLACK, "leather"), oval(0.5 + side * 0.5 * w, foot + 0.03 * b.torso, 0.26 * w,
            0.06 * b.torso))


@dataclass(frozen=True, slots=True)
class _Top:
    """How one type of top differs: lengths are shares of the arm and of the torso."""

    sleeve: tuple[float, float] = (0.28, 0.38)
    length: tuple[float, float] = (0.95, 1.08)
    neck: tuple[str, ...] = ("crew", "v")
    opening: str = "none"
    flare: tuple[float, float] = (0.95, 1.05)
    extras: tuple[str, ...] = ()
    full: bool = False
    legs: tuple[Rgb | None, ...] = ((44, 60, 100), (30, 30, 34), (170, 150, 120), (70, 84, 120))


_STANDING = {"saree", "suit", "pyjamas", "jumpsuit", "kurta set",
    "dupatta"}  # too tall to be laid flat


def _top(e: Easel, g: Garment, look: _Top) -> None:
    e.figure = e.figure or g.type in _STANDING
    b, cloth = _body(e, g, full=look.full), cloth_of(e, g)
    if e.figure:
        _person(e, b, legs=look.legs[int(e.rng.integers(len(look.legs)))])
    if "set" in look.extras:
        _legs(e, b, Cloth(cloth.second, cloth.rgb))
    _hang(e, b, cloth, look, g)


def _hang(e: Easel, b: _Body, cloth: Cloth, look: _Top, g: Garment) -> None:
    """Paint sleeves, body, neck, opening and details of a top on the body."""
    t, w, neck = b.torso, b.half, look.neck[int(e.rng.integers(len(look.neck)))]
    hem = b.y + e.u(*look.length) * t
    if "hood" in look.extras:
        e.paint(Cloth(shade(cloth.rgb, 0.8), cloth.second),
            smooth(mirrored([(0.02, b.y - 0.2 * t), (0.5 * w, b.y - 0.1 * t),
            (0.72 * w, b.y + 0.1 * t)])))
    share = e.u(*look.sleeve)
    if share > 0.05:
        _sleeves(e, b, cloth, share, rib="rib" in look.extras)
    gap = 0.42 * w if neck != "strap" else 0.62 * w
    flare = e.u(*look.flare)
    straps = neck == "strap"
    side = [(gap, b.y - 0.03 * t), (0.98 * w if not straps else gap + 0.12 * w, b.y + 0.05 * t),
        (0.86 * w, b.y + 0.3 * t), (0.86 * w * b.waist, b.y + 0.58 * t),
        (0.92 * w * flare, max(hem, b.y + 0.7 * t))]
    scoop = {"crew": 0.1, "v": 0.26, "collar": 0.16, "high": 0.02, "round": 0.18, "strap": 0.28,
        "polo": 0.14, "lapel": 0.42}[neck]
    line = oval(0.5, b.y - 0.03 * t, gap, scoop * t, 180, 0) if neck in ("crew", "round", "strap",
        "high") else [(0.5 - gap, b.y - 0.03 * t), (0.5, b.y + scoop * t),
        (0.5 + gap, b.y - 0.03 * t)]
    if not e.figure:  # laid flat, the inside of the back shows in the neck
        e.paint(plain(shade(cloth.rgb, 0.6)), oval(0.5, b.y - 0.02 * t, gap, 0.05 * t, 180,
            360) + oval(0.5, b.y - 0.02 * t, gap, 0.9 * scoop * t, 0, 180), shadow=0)
    right = [(0.5 + x, y) for x, y in side]
    left = [(0.5 - x, y) for x, y in reversed(side)]
    e.paint(cloth, [*right, (0.5, max(hem, b.y + 0.7 * t) + 0.02 * t), *left,
        *(line if line[0][0] < line[-1][0] else line[::-1])])
    trim = shade(cloth.rgb, 0.72)
    e.stroke(trim, line, 0.012 if "rib" in look.extras else 0.007)
    if "rib" in look.extras:
        e.stroke(trim, [(left[0][0], side[-1][1] - 0.03 * t),
            (right[-1][0], side[-1][1] - 0.03 * t)], 0.006)
    _opening(e, b, cloth, look, neck, side[-1][1], scoop)
    _details(e, b, cloth, look, g, side[-1][1])


def _sleeves(e: Easel, b: _Body, cloth: Cloth, share: float, *, rib: bool) -> None:
    t = b.torso
    for side in (-1, 1):
        cuff = (0.1 - 0.045 * share) * t + 0.012
        e.paint(cloth, [b.along_arm(side, -0.08, 0.0), b.along_arm(side, 0.05, 0.085 * t),
            b.along_arm(side, share, cuff), b.along_arm(side, share, -cuff),
            (0.5 + side * 0.8 * b.half, b.y + 0.34 * t)], shadow=0.15)
        e.stroke(shade(cloth.rgb, 0.7), [b.along_arm(side, share - 0.05, cuff),
            b.along_arm(side, share - 0.05, -cuff)], 0.012 if rib else 0.005)


def _opening(e: Easel, b: _Body, cloth: Cloth, look: _Top, neck: str, hem: float,
        scoop: float) -> None:
    t, w, dark = b.torso, b.half, shade(cloth.rgb, 0.6)
    top = b.y + scoop * t * 0.6
    if look.opening == "open":
        inner = plain((WHITE, INK, (120, 130, 150))[int(e.rng.integers(3))])
        e.paint(inner, [(0.5 - 0.4 * w, b.y - 0.02 * t), (0.5 + 0.4 * w, b.y - 0.02 * t),
            (0.5 + 0.2 * w, hem), (0.5 - 0.2 * w, hem)], shadow=0)
    if look.opening == "lapel":
        button = b.y + 0.62 * t
        e.paint(plain(WHITE), [(0.5 - 0.4 * w, b.y - 0.03 * t), (0.5 + 0.4 * w, b.y - 0.03 * t),
            (0.5, button)], shadow=0)
        for s in (-1, 1):
            e.paint(Cloth(shade(cloth.rgb, 0.85), cloth.second, cloth.pattern),
                [(0.5 + s * 0.4 * w, b.y - 0.06 * t), (0.5 + s * 0.72 * w, b.y + 0.22 * t),
                (0.5 + s * 0.5 * w, b.y + 0.24 * t), (0.5, button),
                (0.5 + s * 0.3 * w, b.y + 0.1 * t)])
        e.stroke(dark, [(0.5, button), (0.51, hem)], 0.006)
        e.stroke(shade(dark, 0.5), [(0.505, button + 0.03 * t), (0.505, button + 0.15 * t)], 0.016,
            dots=True)
    if look.opening == "zip":
        e.stroke(shade(cloth.second, 0.85), [(0.5, top), (0.5, hem)], 0.012)
        e.stroke(dark, [(0.5, top), (0.5, hem)], 0.004)
    if look.opening in ("buttons", "placket"):
        end = hem if look.opening == "buttons" else b.y + 0.36 * t
        e.stroke(dark, [(0.5, top), (0.5, end)], 0.005)
        e.stroke(shade(cloth.second, 1.2), [(0.5, y) for y in np.arange(top + 0.06 * t, end,
            0.14 * t)], 0.013, dots=True)
    if neck in ("collar", "polo"):
        for s in (-1, 1):
            e.paint(Cloth(shade(cloth.rgb, 1.12), cloth.second, cloth.pattern),
                [(0.5 + s * 0.05 * w, b.y + 0.07 * t), (0.5 + s * 0.44 * w, b.y - 0.06 * t),
                (0.5 + s * 0.5 * w, b.y + 0.02 * t), (0.5 + s * 0.3 * w, b.y + 0.17 * t)])


def _details(e: Easel, b: _Body, cloth: Cloth, look: _Top, g: Garment, hem: float) -> None:
    t, w, dark = b.torso, b.half, shade(cloth.rgb, 0.62)
    if g.pattern == "graphic":
        bright = list(COLOURS.values())[int(e.rng.integers(len(COLOURS)))]
        y = b.y + e.u(0.3, 0.45) * t
        shapes = [oval(0.5, y, 0.4 * w, 0.13 * t), box(0.5 - 0.45 * w, y - 0.06 * t, 0.5 + 0.45 * w,
            y + 0.06 * t), oval(0.5, y, 0.42 * w, 0.2 * t)[::5]]
        e.paint(Cloth(cloth.second, bright, ("solid", "printed",
            "striped")[int(e.rng.integers(3))]), shapes[int(e.rng.integers(3))], shadow=0,
            depth=0.4)
    if "pockets" in look.extras:
        for s in (-1, 1):
            e.stroke(dark, [(0.5 + s * 0.35 * w, hem - 0.26 * t),
                (0.5 + s * 0.72 * w, hem - 0.3 * t)], 0.012)
    if "chest" in look.extras:
        e.stroke(dark, [*box(0.5 + 0.25 * w, b.y + 0.28 * t, 0.5 + 0.62 * w, b.y + 0.45 * t),
            (0.5 + 0.25 * w, b.y + 0.28 * t)], 0.005)
    if "pouch" in look.extras:
        e.paint(cloth, mirrored([(0.3 * w, hem - 0.33 * t), (0.6 * w, hem - 0.12 * t),
            (0.6 * w, hem - 0.05 * t)]), shadow=0.35)
        for s in (-1, 1):
            e.stroke(shade(cloth.rgb, 1.4), [(0.5 + s * 0.14 * w, b.y + 0.12 * t),
                (0.5 + s * 0.16 * w, b.y + 0.4 * t)], 0.008)
    if "belted" in look.extras and e.rng.random() < 0.5:
        e.stroke(dark, [(0.5 - 0.8 * w * b.waist, b.y + 0.6 * t),
            (0.5 + 0.8 * w * b.waist, b.y + 0.6 * t)], 0.02)
    if "quilt" in look.extras and e.rng.random() < 0.4:
        for y in np.arange(b.y + 0.2 * t, hem, 0.12 * t):
            e.stroke(dark, [(0.5 - 0.82 * w, y), (0.5 + 0.82 * w, y)], 0.004)
    if "slits" in look.extras:
        for s in (-1, 1):
            e.stroke(dark, [(0.5 + s * 0.82 * w, hem - 0.3 * t), (0.5 + s * 0.88 * w, hem)], 0.005)


_LONG, _BARE, _NONE = (0.92, 1.0), (None,), (0.0, 0.0)
_TOPS: dict[str, _Top] = {
    "t-shirt": _Top(),
    "long-sleeve top": _Top(sleeve=_LONG),
    "polo shirt": _Top(neck=("polo",), opening="placket"),
    "shirt": _Top(sleeve=(0.85, 1.0), neck=("collar",), opening="buttons", extras=("chest",),
        length=(1.0, 1.15)),
    "top": _Top(sleeve=(0.0, 0.4), neck=("round", "v", "strap", "crew"), flare=(0.9, 1.25),
        length=(0.9, 1.15)),
    "blouse": _Top(sleeve=(0.5, 1.0), neck=("v", "collar", "round"), flare=(1.0, 1.3),
        opening="buttons"),
    "tunic": _Top(sleeve=(0.2, 0.8), neck=("round", "v"), flare=(1.05, 1.4), length=(1.25, 1.5)),
    "kurta": _Top(sleeve=(0.4, 1.0), neck=("crew", "v"), opening="placket", length=(1.55, 1.85),
        flare=(1.0, 1.3), extras=("slits",), full=True, legs=((240, 238, 230), (40, 40, 46),
        (200, 60, 80), (60, 120, 120))),
    "kurti": _Top(sleeve=(0.3, 0.75), neck=("v", "round"), opening="placket", length=(1.3, 1.55),
        flare=(1.1, 1.5), extras=("slits",), full=True),
    "kurta set": _Top(sleeve=(0.4, 0.8), neck=("round", "v"), length=(1.6, 1.85), flare=(1.1, 1.5),
        extras=("slits", "set"), full=True),
    "dress": _Top(sleeve=(0.0, 0.5), neck=("strap", "round", "v", "crew"), length=(1.55, 2.1),
        flare=(1.1, 2.0), extras=("belted",), full=True, legs=_BARE),
    "sweater": _Top(sleeve=_LONG, extras=("rib",), neck=("crew", "v", "high")),
    "cardigan": _Top(sleeve=_LONG, extras=("rib", "pockets"), neck=("v",), opening="buttons",
        length=(1.0, 1.3)),
    "sweatshirt": _Top(sleeve=_LONG, extras=("rib",), neck=("crew", "high"), opening="none"),
    "hoodie": _Top(sleeve=_LONG, extras=("rib", "hood", "pouch"), neck=("v",)),
    "jacket": _Top(sleeve=_LONG, extras=("pockets", "rib", "quilt"), neck=("collar", "high"),
        opening="zip", length=(0.95, 1.1)),
    "coat": _Top(sleeve=_LONG, extras=("pockets", "belted"), neck=("lapel",), opening="lapel",
        length=(1.5, 1.9), flare=(1.0, 1.3), full=True),
    "blazer": _Top(sleeve=_LONG, extras=("pockets",), neck=("lapel",), opening="lapel",
        length=(1.05, 1.2)),
    "waistcoat": _Top(sleeve=_NONE, extras=("pockets",), neck=("v",), opening="buttons"),
}  # fmt: skip


# --- the lower half, and what covers the whole body -----------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Bottom:
    """How one type of trousers differs; `length` is the share of the leg covered, `ankle` its half width there."""

    length: tuple[float, float] = (0.97, 1.0)
    ankle: tuple[float, float] = (0.4, 0.6)
    extras: tuple[str, ...] = ()


def _bottom(e: Easel, g: Garment, look: _Bottom) -> None:
    cloth = cloth_of(e, g)
    waist, foot, half = (e.u(0.12, 0.18), e.u(0.86, 0.92),
        e.u(0.11, 0.14)) if e.figure else (e.u(0.06, 0.12), e.u(0.88, 0.95), e.u(0.15, 0.2))
    end = waist + (foot - waist) * e.u(*look.length)
    if e.figure:
        skin = plain(SKINS[int(e.rng.integers(len(SKINS)))])
        shirt = plain(((240, 240, 238), (40, 42, 48), (170, 190, 210),
            (190, 170, 190))[int(e.rng.integers(4))])
        stance = _Body(waist - 0.33, 0.34, half * 1.12, 0.1, 0.9)
        for side in (-1, 1):
            e.paint(skin, [stance.along_arm(side, 0, -0.02), stance.along_arm(side, 0, 0.02),
                stance.along_arm(side, 1.1, 0.013), stance.along_arm(side, 1.1, -0.012)], shadow=0)
            e.paint(skin, [(0.5 + side * 0.1 * half, end - 0.05),
                (0.5 + side * 0.85 * half, end - 0.05), (0.5 + side * 0.62 * half, foot + 0.02),
                (0.5 + side * 0.3 * half, foot + 0.02)], shadow=0)
            e.paint(plain(BLACK, "leather"), oval(0.5 + side * 0.52 * half, foot + 0.025,
                0.3 * half, 0.025))
        e.paint(shirt, mirrored([(half * 1.1, -0.05), (half * 0.95, waist + 0.02)]), shadow=0)
    _pair_of_legs(e, cloth, waist, foot, end, half, e.u(*look.ankle) * half, look)


def _pair_of_legs(e: Easel, cloth: Cloth, waist: float, foot: float, end: float, half: float,
        ankle: float, look: _Bottom) -> None:
    rise, stance, lower = 0.3 * (foot - waist), e.u(0.45, 0.75) * half, shade(cloth.rgb, 0.6)
    share = (end - waist) / (foot - waist)
    width = half * 0.55 + (ankle - half * 0.55) * share
    for side in (-1, 1):
        middle = 0.5 + side * (half * 0.48 + (stance - half * 0.48) * share)
        inner = middle - side * width
        inner = max(inner, 0.5) if side > 0 else min(inner, 0.5)
        e.paint(cloth, [(0.5, waist), (0.5 + side * 0.8 * half, waist),
            (0.5 + side * half, waist + 0.6 * rise), (0.5 + side * 1.02 * half, waist + rise),
            (middle + side * width, end), (inner, end), (0.5 + side * 0.01, waist + rise)])
        if "fade" in look.extras:
            e.paint(plain(shade(cloth.rgb, 1.13)), oval(0.5 + side * 0.5 * half,
                waist + rise + 0.12, 0.16 * half, 0.13), shadow=0, depth=0.2)
        if "pockets" in look.extras:
            e.stroke(lower, [(0.5 + side * 0.45 * half, waist + 0.04),
                (0.5 + side * 0.93 * half, waist + 0.5 * rise)], 0.005)
        if "side stripe" in look.extras:
            e.stroke(cloth.second, [(0.5 + side * 0.9 * half, waist + 0.05),
                (0.5 + side * 0.95 * half, waist + rise), (middle + side * 0.75 * width, end)],
                0.012)
        if "crease" in look.extras:
            e.stroke(shade(cloth.rgb, 0.8), [(0.5 + side * 0.5 * half, waist + 0.4 * rise),
                (middle, end)], 0.004)
        if "cuff" in look.extras:
            e.stroke(shade(cloth.rgb, 0.7), [(middle - side * width, end - 0.015),
                (middle + side * width, end - 0.015)], 0.012)
    e.stroke(lower, [(0.5 - 0.82 * half, waist + 0.035), (0.5 + 0.82 * half, waist + 0.035)], 0.006)
    if "fly" in look.extras:
        e.stroke(lower, [(0.5, waist + 0.03), (0.5, waist + 0.8 * rise)], 0.006)
        e.stroke((190, 150, 80) if "fade" in look.extras else lower, [(0.5, waist + 0.02)], 0.016,
            dots=True)
    if "cord" in look.extras:
        for side in (-1, 1):
            e.stroke(WHITE, [(0.5, waist + 0.03), (0.5 + side * 0.02, waist + 0.11)], 0.007)


_BOTTOMS: dict[str, _Bottom] = {
    "jeans": _Bottom(extras=("fade", "pockets", "fly")),
    "trousers": _Bottom(extras=("crease", "pockets", "fly"), ankle=(0.42, 0.55)),
    "track pants": _Bottom(extras=("side stripe", "cord"), ankle=(0.42, 0.62)),
    "leggings": _Bottom(ankle=(0.26, 0.32), length=(0.92, 1.0)),
    "capris": _Bottom(length=(0.62, 0.75), ankle=(0.36, 0.5), extras=("pockets", "cuff")),
    "shorts": _Bottom(length=(0.36, 0.52), ankle=(0.5, 0.62), extras=("pockets", "fly")),
}


def _skirt(e: Easel, g: Garment) -> None:
    cloth, flare = cloth_of(e, g), e.u(1.0, 2.1)
    waist, half, length = e.u(0.14, 0.2), e.u(0.095, 0.12), e.u(0.3, 0.6)
    if e.figure:
        b = _Body(waist - 0.3, 0.32, half * 1.1, 0.12, 0.85)
        _person(e, b, legs=None)
        e.paint(plain(((240, 240, 238), (50, 50, 56), (200, 120, 130))[int(e.rng.integers(3))]),
            mirrored([(half * 1.1, -0.05), (half, waist + 0.02)]), shadow=0)
    else:
        half, length = half * 1.5, length * 1.15
    hem = waist + length
    e.paint(cloth, mirrored([(half * 0.9, waist), (half * 1.12, waist + 0.1),
        (half * 1.1 * flare, hem), (half * 0.5 * flare, hem + 0.02)]))
    e.paint(Cloth(shade(cloth.rgb, 0.8), cloth.second), box(0.5 - half * 0.92, waist - 0.005,
        0.5 + half * 0.92, waist + 0.03))
    if flare > 1.3:
        for x in np.linspace(-0.7, 0.7, int(e.rng.integers(4, 9))):
            e.stroke(shade(cloth.rgb, 0.75), [(0.5 + x * half, waist + 0.05),
                (0.5 + x * half * 1.1 * flare, hem)], 0.005)


def _saree(e: Easel, g: Garment) -> None:
    cloth, b = cloth_of(e, g), _body(e, g, full=True)
    border = Cloth(cloth.second if cloth.pattern != "solid" else (208, 168, 74), cloth.rgb,
        "striped")
    t, w, hem = b.torso, b.half, b.y + 2.6 * b.torso
    _person(e, b, legs=None)
    blouse = plain(shade(cloth.second, 0.9))
    _sleeves(e, b, blouse, 0.3, rib=False)
    e.paint(blouse, mirrored([(0.4 * w, b.y), (0.98 * w, b.y + 0.05 * t),
        (0.8 * w, b.y + 0.5 * t)]))
    e.paint(cloth, smooth(mirrored([(0.75 * w, b.y + 0.65 * t), (1.05 * w, b.y + 1.1 * t),
        (1.25 * w, hem - 0.3 * t), (1.5 * w, hem), (0.4 * w, hem + 0.02)])))
    for x in np.linspace(-0.3, 0.5, 5):
        e.stroke(shade(cloth.rgb, 0.7), [(0.5 + x * 0.5 * w, b.y + 0.8 * t),
            (0.5 + x * 1.2 * w, hem)], 0.005)
    e.stroke(border.rgb, [(0.5 - 1.4 * w, hem - 0.01), (0.5 + 1.4 * w, hem - 0.01)], 0.022)
    fall = e.u(1.5, 2.2)
    e.paint(cloth, [(0.5 + 0.35 * w, b.y - 0.04 * t), (0.5 + 0.95 * w, b.y),
        (0.5 + 0.3 * w, b.y + 0.6 * t), (0.5 - 0.85 * w, b.y + 0.85 * t),
        (0.5 - 0.9 * w, b.y + 0.55 * t)])
    e.paint(cloth, [(0.5 + 0.5 * w, b.y), (0.5 + 1.02 * w, b.y + 0.02 * t),
        (0.5 + 1.65 * w, b.y + fall * t), (0.5 + 0.95 * w, b.y + fall * t)])
    e.stroke(border.rgb, [(0.5 + 1.02 * w, b.y + 0.02 * t), (0.5 + 1.6 * w, b.y + fall * t),
        (0.5 + 0.95 * w, b.y + fall * t)], 0.014)
    e.stroke(border.rgb, [(0.5 + 0.35 * w, b.y - 0.02 * t), (0.5 - 0.9 * w, b.y + 0.55 * t)], 0.012)


def _suit(e: Easel, g: Garment, top: str) -> None:
    """A jacket or shirt over trousers of the same cloth: suits, pyjamas, jumpsuits."""
    cloth, b = cloth_of(e, g), _body(e, g, full=True)
    if e.figure:
        _person(e, b, legs=None)
    t, w = b.torso, b.half
    _pair_of_legs(e, cloth, b.y + 0.8 * t, b.y + 2.6 * t, b.y + 2.55 * t, 0.95 * w,
        e.u(0.4, 0.6) * w, _Bottom(extras=("crease",)))
    _hang(e, b, cloth, _TOPS[top], g)
    if g.type == "jumpsuit":
        e.stroke(shade(cloth.rgb, 0.6), [(0.5 - 0.8 * w, b.y + 0.68 * t),
            (0.5 + 0.8 * w, b.y + 0.68 * t)], 0.016)
    if g.type == "suit":
        e.paint(plain(cloth.second), mirrored([(0.012, b.y), (0.03, b.y + 0.5 * t),
            (0.0, b.y + 0.6 * t)]), shadow=0)


def _one_piece(e: Easel, g: Garment) -> None:
    """A swimsuit, or a baby's bodysuit with sleeves."""
    cloth, w, y = cloth_of(e, g), e.u(0.13, 0.17), e.u(0.15, 0.22)
    baby = g.type == "bodysuit"
    b = _Body(y, 0.5, w * (1.35 if baby else 1.0), 0.5, 0.85)
    if e.figure and not baby:
        _person(e, _Body(y, 0.36, w, 0.15, 0.8), legs=None)
        b = _Body(y, 0.36, w, 0.15, 0.8)
    if baby:
        _sleeves(e, b, cloth, (0.3, 0.9)[int(e.rng.integers(2))], rib=True)
    t, w = b.torso, b.half
    neck = 0.4 if baby else 0.62
    side = [(neck * w, y), (neck * w + 0.25 * w, y + 0.02), (0.85 * w, y + 0.32 * t),
        (0.78 * w, y + 0.6 * t), (0.95 * w, y + 0.9 * t), (0.22 * w, y + 1.2 * t)]
    e.paint(cloth, [*mirrored(side), *oval(0.5, y, neck * w, (0.1 if baby else 0.4) * t, 180, 0)])
    _details(e, b, cloth, _Top(), g, y + t)
    if baby:
        e.stroke(shade(cloth.rgb, 0.6), [(0.5 + x * w, y + 1.17 * t) for x in (-0.12, 0, 0.12)],
            0.014, dots=True)


def _drape(e: Easel, g: Garment) -> None:
    """A scarf, stole or dupatta: around a neck with two tails, on a person or alone."""
    cloth, worn = cloth_of(e, g), e.figure or g.type == "dupatta"
    b = _body(e, g, full=worn and g.type != "scarf")
    if worn:
        legs, shirt = (WHITE, plain(((236, 234, 228), (50, 50, 60),
            (190, 60, 80))[int(e.rng.integers(3))]))
        _person(e, b, legs=legs)
        _hang(e, b, shirt, _TOPS["kurta" if g.type == "dupatta" else "long-sleeve top"], g)
    t, w = b.torso, b.half * (1 if worn else 0.75)
    if not worn and g.type == "stole":
        _folded(e, cloth)
        return
    tail = (e.u(1.0, 1.7) if worn else 1.0) * t
    for s in (-1, 1):
        reach = b.y + tail * e.u(0.75, 1.15)
        e.paint(cloth, [(0.5 + s * 0.12 * w, b.y), (0.5 + s * 0.75 * w, b.y + 0.02),
            (0.5 + s * 0.8 * w, b.y + 0.4 * tail), (0.5 + s * 1.0 * w, reach),
            (0.5 + s * 0.28 * w, reach + 0.01), (0.5 + s * 0.15 * w, b.y + 0.4 * tail)])
        _fringe(e, cloth, 0.5 + s * 0.3 * w, 0.5 + s * 0.98 * w, reach)
    if g.type == "scarf" or e.rng.random() < 0.5:
        e.paint(cloth, smooth(oval(0.5, b.y + 0.02 * t, 0.75 * w, 0.19 * t)[::4]),
            holes=[] if worn else [oval(0.5, b.y - 0.03 * t, 0.35 * w, 0.07 * t)])


def _fringe(e: Easel, cloth: Cloth, x0: float, x1: float, y: float) -> None:
    e.stroke(shade(cloth.rgb, 0.75), [(x, v) for x in np.linspace(x0, x1, 7) for v in (y, y + 0.035,
        y)], 0.004)


def _folded(e: Easel, cloth: Cloth) -> None:
    """A stole laid out: a long cloth folded over, fringed at its lower ends."""
    w = e.u(0.14, 0.2)
    for dx, y in ((0.07, 0.84), (-0.05, 0.78)):
        e.paint(cloth, [(0.5 + dx - w, 0.12), (0.5 + dx + w, 0.1), (0.5 + dx + w * 1.05, y),
            (0.5 + dx - w, y)])
        _fringe(e, cloth, 0.5 + dx - w, 0.5 + dx + w, y)


CLOTHES: dict[str, Painter] = {
    **{name: partial(_top, look=look) for name, look in _TOPS.items()},
    **{name: partial(_bottom, look=look) for name, look in _BOTTOMS.items()},
    "skirt": _skirt, "saree": _saree, "suit": partial(_suit,
        top="blazer"), "pyjamas": partial(_suit, top="shirt"),
    "jumpsuit": partial(_suit, top="top"), "swimsuit": _one_piece, "bodysuit": _one_piece,
    "scarf": _drape, "stole": _drape, "dupatta": _drape,
}
