"""Painters of accessories: bags, watches, headwear, neckwear, jewellery."""

import math

import numpy as np

from fashion_search.garments.easel import (
    INK,
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
from fashion_search.garments.vocabulary import Garment

# An outline reads as a row of points, not as one number a line.
# fmt: off
# --- bags and small leather goods -----------------------------------------------------------------------------------


def _bag(e: Easel, g: Garment) -> None:
    """A bag with a body and handles: handbag, laptop bag, duffel bag."""
    cloth = cloth_of(e, g)
    wide, tall, taper = {"handbag": (0.3, 0.36, e.u(0.72, 1.0)), "laptop bag": (0.36, 0.46, 1.0),
        "duffel bag": (0.4, 0.32, e.u(0.85, 1.0))}[g.type]
    wide, tall = wide * e.u(0.85, 1.1), tall * e.u(0.85, 1.15)
    base = e.u(0.8, 0.88)
    top = base - tall
    trim = plain(shade(cloth.rgb, 0.62), "leather")
    rise = e.u(0.14, 0.32) if g.type == "handbag" else 0.13
    reach = wide * e.u(0.4, 0.62)
    if e.rng.random() < (0.3 if g.type == "handbag" else 0.7):  # a long shoulder strap
        e.stroke(trim.rgb, oval(0.5, top + 0.06, wide * 0.95, e.u(0.25, 0.4), 180, 360), 0.018)
    e.stroke(shade(trim.rgb, 0.8), oval(0.52, top + 0.02, reach, rise, 180, 360), 0.022)
    shape = mirrored([(wide * taper, top), (wide * (0.5 + 0.5 * taper) + 0.02, top + 0.5 * tall),
        (wide, base - 0.03), (wide - 0.04, base)])
    e.paint(cloth, smooth(shape, 4) if g.type != "laptop bag" else box(0.5 - wide, top, 0.5 + wide,
        base, 0.04))
    e.stroke(trim.rgb, oval(0.5, top + 0.04, reach, rise, 180, 360), 0.026)
    metal = ((208, 168, 74), (196, 198, 204))[int(e.rng.integers(2))]
    e.stroke(metal, [(0.5 - reach, top + 0.04), (0.5 + reach, top + 0.04)], 0.028, dots=True)
    e.stroke(trim.rgb, [(0.5 - wide * taper * 0.95, top + 0.03),
        (0.5 + wide * taper * 0.95, top + 0.03)], 0.008)
    if g.type == "laptop bag" or e.rng.random() < 0.4:
        e.paint(cloth, box(0.5 - wide * 0.75, top + 0.45 * tall, 0.5 + wide * 0.75, base - 0.04,
            0.02), shadow=0.4)
    elif e.rng.random() < 0.4:
        e.paint(cloth, smooth([(0.5 - wide * taper, top), (0.5 + wide * taper, top),
            (0.5 + wide * 0.6, top + 0.45 * tall), (0.5 - wide * 0.6, top + 0.45 * tall)]),
            shadow=0.5)
        e.stroke(metal, [(0.5, top + 0.42 * tall)], 0.04, dots=True)
    if g.type == "duffel bag":
        for s in (-1, 1):
            e.stroke(trim.rgb, [(0.5 + s * reach, top), (0.5 + s * reach, base)], 0.03)


def _flat_case(e: Easel, g: Garment) -> None:
    """A wallet, clutch or mobile pouch: a rounded case with a fold, flap or zip."""
    cloth = cloth_of(e, g)
    wide, tall = {"wallet": (e.u(0.26, 0.34), e.u(0.19, 0.26)),
        "clutch": (e.u(0.34, 0.4), e.u(0.17, 0.24)), "mobile pouch": (e.u(0.17, 0.21),
        e.u(0.26, 0.32))}[g.type]
    dark, metal = shade(cloth.rgb, 0.6), ((208, 168, 74), (196, 198, 204))[int(e.rng.integers(2))]
    x0, x1, y0, y1 = 0.5 - wide, 0.5 + wide, 0.52 - tall, 0.52 + tall
    if g.type != "wallet" and e.rng.random() < 0.6:
        e.stroke(metal if g.type == "clutch" else dark,
            oval(0.5 if g.type == "clutch" else x1 - 0.03, y0 + 0.03,
            wide * (0.8 if g.type == "clutch" else 0.2), e.u(0.1, 0.24), 150, 390), 0.012)
    e.paint(plain(dark, "leather"), box(x0 + 0.008, y0 + 0.012, x1 + 0.012, y1 + 0.014, 0.025))
    e.paint(cloth, box(x0, y0, x1, y1, 0.025))
    seam = box(x0 + 0.02, y0 + 0.02, x1 - 0.02, y1 - 0.02, 0.02)
    e.stroke(shade(cloth.rgb, 1.3), [*seam, seam[0]], 0.004)
    if g.type == "wallet":
        e.stroke(dark,
            [(x0, y0 + 0.9 * tall),
            (x1, y0 + 0.9 * tall)] if e.rng.random() < 0.3 else [(x0 + 0.035, y0),
            (x0 + 0.035, y1)], 0.006)
        e.stroke(metal, [(x1 - 0.09, y1 - 0.07), (x1 - 0.05, y1 - 0.07)], 0.02)
        return
    drop = e.u(0.45, 1.2) * tall
    flap = [(x0, y0), (x1, y0), (x1 - 0.02, y0 + drop), (0.5, y0 + drop * e.u(1.0, 1.3)),
        (x0 + 0.02, y0 + drop)]
    e.paint(cloth, flap, shadow=0.5)
    e.stroke(metal, [(0.5, y0 + drop)], 0.045, dots=True)


def _backpack(e: Easel, g: Garment) -> None:
    cloth, wide, top, base = cloth_of(e, g), e.u(0.21, 0.26), e.u(0.14, 0.19), e.u(0.86, 0.91)
    trim, pocket = (plain(shade(cloth.rgb, 0.5)), Cloth(cloth.second,
        cloth.rgb) if e.rng.random() < 0.4 else cloth)
    for s in (-1, 1):
        e.paint(trim, smooth([(0.5 + s * wide * 0.5, top + 0.1),
            (0.5 + s * wide * 1.25, top + 0.25), (0.5 + s * wide * 1.2, base - 0.1),
            (0.5 + s * wide * 0.8, base - 0.1)]), shadow=0.1)
        e.paint(cloth, smooth([(0.5 + s * wide * 0.9, base - 0.3),
            (0.5 + s * wide * 1.22, base - 0.24), (0.5 + s * wide * 1.2, base - 0.06),
            (0.5 + s * wide * 0.9, base - 0.03)]))
    e.stroke(trim.rgb, oval(0.5, top + 0.02, 0.07, 0.07, 180, 360), 0.025)
    e.paint(cloth, smooth(mirrored([(wide * 0.45, top), (wide * 0.92, top + 0.1),
        (wide * 1.05, top + 0.4), (wide * 1.08, base - 0.06), (wide * 0.8, base)])))
    e.stroke(trim.rgb, oval(0.5, top + 0.3, wide * 0.86, 0.22, 180, 360), 0.012)
    split = top + (base - top) * e.u(0.45, 0.58)
    e.paint(pocket, smooth(mirrored([(wide * 0.6, split), (wide * 0.84, split + 0.04),
        (wide * 0.88, base - 0.07), (wide * 0.7, base - 0.03)])), shadow=0.5)
    e.stroke(trim.rgb, [(0.5 - wide * 0.75, split + 0.05), (0.5 + wide * 0.75, split + 0.05)],
        0.012)
    e.paint(plain(cloth.second), box(0.46, top + 0.2, 0.54, top + 0.25, 0.01), shadow=0)


def _belt(e: Easel, g: Garment) -> None:
    """A belt rolled into a ring, its buckle in front."""
    cloth, rx, ry, tall = cloth_of(e, g), e.u(0.33, 0.38), e.u(0.08, 0.13), e.u(0.07, 0.11)
    inner = Cloth(shade(cloth.rgb, 0.55), cloth.second, "solid", "leather")
    back = oval(0.5, 0.5 - tall / 2, rx, ry, 180, 360)
    e.paint(inner, [*back, *[(x, y + tall) for x, y in reversed(back)]])
    front = oval(0.5, 0.5 - tall / 2, rx, ry, 0, 180)
    e.paint(cloth, [*front, *[(x, y + tall) for x, y in reversed(front)]])
    x, y = 0.5 + e.u(-0.12, 0.04), 0.5 + ry * 0.97
    metal = plain(((196, 198, 204), (208, 168, 74), (110, 106, 100))[int(e.rng.integers(3))],
        "metal")
    w, h = e.u(0.05, 0.075), tall * 0.72
    e.paint(metal, box(x - w, y - h, x + w, y + h, 0.015),
        holes=[box(x - w * 0.55, y - h * 0.62, x + w * 0.75,
        y + h * 0.62)] if e.rng.random() < 0.75 else [], shadow=0.5)
    e.stroke(metal.rgb, [(x - w, y), (x + w, y)], 0.012)
    e.stroke(shade(cloth.rgb, 0.4), [(x + w + 0.035 * i, y - 0.004 * i) for i in range(1, 5)], 0.01,
        dots=True)
    e.paint(cloth, box(x - w - 0.045, y - tall * 0.56, x - w - 0.015, y + tall * 0.54), shadow=0.4)


# --- watches, glasses, headwear, neckwear, small accessories ---------------------------------------------------------


def _watch(e: Easel, g: Garment) -> None:
    cloth, r = cloth_of(e, g), e.u(0.16, 0.2)
    steel = plain(((190, 194, 200), (208, 168, 74), (44, 44,
        48))[int(e.rng.choice(3, p=[0.6, 0.22, 0.18]))], "metal")
    strap = plain(cloth.rgb,
        "leather") if g.material == "leather" else plain(cloth.rgb if e.rng.random() < 0.6 else steel.rgb, "metal")
    dial = plain(cloth.rgb if e.rng.random() < 0.65 else WHITE)
    half, square = r * e.u(0.55, 0.75), e.rng.random() < 0.22
    for s in (-1, 1):
        e.paint(strap, [(0.5 - half, 0.5), (0.5 + half, 0.5), (0.5 + half * 0.8, 0.5 + s * 0.44),
            (0.5 - half * 0.8, 0.5 + s * 0.44)])
        if strap.finish == "metal":
            for y in np.arange(0.5 + s * 0.44, 0.5 + s * r, -s * 0.045):
                e.stroke(shade(strap.rgb, 0.6), [(0.5 - half * 0.85, y), (0.5 + half * 0.85, y)],
                    0.005)
    e.paint(steel, box(0.5 + r, 0.48, 0.5 + r * 1.16, 0.52))
    e.paint(steel, box(0.5 - r, 0.5 - r, 0.5 + r, 0.5 + r, 0.03) if square else oval(0.5, 0.5, r,
        r), shadow=0.4)
    inner = r * 0.8
    e.paint(dial, box(0.5 - inner, 0.5 - inner, 0.5 + inner, 0.5 + inner,
        0.02) if square else oval(0.5, 0.5, inner, inner), shadow=0, depth=0.4)
    ink = INK if sum(dial.rgb) > 330 else WHITE
    e.stroke(ink, oval(0.5, 0.5, inner * 0.85, inner * 0.85)[::3], 0.012, dots=True)
    for length, width in ((0.5, 0.013), (0.72, 0.009)):
        a = e.u(0, 6.28)
        e.stroke(ink, [(0.5, 0.5), (0.5 + inner * length * math.cos(a),
            0.5 + inner * length * math.sin(a))], width)
    if e.rng.random() < 0.35:
        for a in (0.0, 2.1, 4.2):
            e.stroke(shade(dial.rgb, 0.75 if sum(dial.rgb) > 330 else 1.3),
                oval(0.5 + 0.4 * inner * math.cos(a), 0.5 + 0.4 * inner * math.sin(a), 0.2 * inner,
                0.2 * inner), 0.008)


def _sunglasses(e: Easel, g: Garment) -> None:
    cloth, y, rx, ry = cloth_of(e, g), e.u(0.48, 0.54), e.u(0.15, 0.18), e.u(0.09, 0.13)
    tint = plain(((40, 40, 44), (84, 60, 44), (60, 70, 84),
        (90, 70, 100))[int(e.rng.integers(4))] if e.rng.random() < 0.5 else shade(cloth.rgb, 0.6),
        "glass")
    frame = plain(cloth.rgb, "leather")
    thin = e.rng.random() < 0.35
    edge, tilt, drop = (0.012 if thin else e.u(0.025, 0.045)), e.u(0.0, 0.05), e.u(-0.02, 0.04)
    for x, s in ((0.31, -1), (0.68, 1)):
        e.paint(frame, [(x + s * rx * 0.9, y - 0.06), (x + s * (rx + 0.03), y - 0.06),
            (0.5 + s * 0.47, y - 0.03 - tilt), (0.5 + s * 0.47, y + 0.03)])
    for x, s in ((0.31, -1), (0.68, 1)):

        def lens(k: float, x: float = x, s: int = s) -> list[Point]:
            return smooth([(x - s * (rx - k) * 0.9, y - ry + k),
                (x + s * (rx - k), y - ry + k - tilt * 0.4), (x + s * (rx - k) * 1.02, y),
                (x + s * (rx - k) * 0.55, y + ry - k), (x - s * (rx - k) * 0.5, y + ry - k + drop),
                (x - s * (rx - k), y)])

        e.paint(frame, lens(0.0))
        e.paint(tint, lens(edge), shadow=0)
        e.stroke(shade(tint.rgb, 1.5), [(x - 0.06, y - ry * 0.3), (x + 0.02, y - ry * 0.6)], 0.014)
    e.stroke(frame.rgb, oval(0.495, y - 0.01, 0.05, 0.04, 180, 360), max(edge, 0.014))


def _cap(e: Easel, g: Garment) -> None:
    cloth, y = cloth_of(e, g), e.u(0.6, 0.66)
    peak = Cloth(cloth.second, cloth.rgb) if g.pattern == "colourblock" else cloth
    e.paint(cloth, smooth([(0.2, y), (0.22, y - 0.2), (0.42, y - 0.34), (0.65, y - 0.3),
        (0.8, y - 0.12), (0.82, y + 0.02), (0.5, y + 0.06)]))
    for x in (0.36, 0.58):
        e.stroke(shade(cloth.rgb, 0.65), [(0.5, y - 0.335), (x, y - 0.15), (x - 0.03, y + 0.04)],
            0.005)
    e.paint(peak, smooth([(0.2, y - 0.01), (0.45, y - 0.035), (0.66, y + 0.02), (0.58, y + 0.12),
        (0.3, y + 0.17), (0.09, y + 0.13), (0.08, y + 0.08)]), shadow=0.4)
    e.stroke(shade(cloth.rgb, 0.6), [(0.52, y - 0.34)], 0.025, dots=True)
    if g.pattern == "graphic" or e.rng.random() < 0.5:
        e.paint(plain(cloth.second), oval(0.42, y - 0.15, e.u(0.04, 0.09), 0.05), shadow=0,
            depth=0.2)


def _hat(e: Easel, g: Garment) -> None:
    cloth, y, brim, crown = cloth_of(e, g), e.u(0.58, 0.66), e.u(0.36, 0.43), e.u(0.19, 0.24)
    e.paint(cloth, oval(0.5, y, brim, brim * e.u(0.2, 0.32)))
    e.paint(cloth, smooth([(0.5 - crown, y), (0.5 - crown * 0.9, y - 0.25),
        (0.5 - crown * 0.4, y - 0.33), (0.5, y - 0.29), (0.5 + crown * 0.4, y - 0.33),
        (0.5 + crown * 0.9, y - 0.25), (0.5 + crown, y), (0.5, y + 0.05)]))
    e.paint(plain(cloth.second if sum(cloth.second) < 500 else shade(cloth.rgb, 0.5)),
        smooth([(0.5 - crown, y - 0.02), (0.5 - crown * 0.97, y - 0.08), (0.5, y - 0.05),
        (0.5 + crown * 0.97, y - 0.08), (0.5 + crown, y - 0.02), (0.5, y + 0.04)]), shadow=0)


def _beanie(e: Easel, g: Garment) -> None:
    cloth, y = cloth_of(e, g), e.u(0.68, 0.74)
    e.paint(cloth, smooth(mirrored([(0.12, y - 0.46), (0.25, y - 0.25), (0.27, y)])))
    for x in np.linspace(-0.2, 0.2, 7):
        e.stroke(shade(cloth.rgb, 0.75), [(0.5 + x * 0.5, y - 0.44), (0.5 + x, y)], 0.006)
    e.paint(Cloth(shade(cloth.rgb, 0.85), cloth.second,
        "striped" if cloth.pattern == "striped" else "solid"),
        box(0.22, y - 0.1, 0.78, y + 0.04, 0.03), shadow=0.4)
    if e.rng.random() < 0.5:
        e.paint(Cloth(cloth.second, cloth.rgb, "melange"), oval(0.5, y - 0.5, 0.08, 0.08))


def _tie(e: Easel, g: Garment) -> None:
    cloth, w, top = cloth_of(e, g), e.u(0.06, 0.09), e.u(0.06, 0.12)
    if e.rng.random() < 0.6:  # the loop that goes round the neck
        e.stroke(shade(cloth.rgb, 0.75), oval(0.5, top + 0.02, w * 0.9, e.u(0.04, 0.1), 170, 370),
            0.03)
    e.paint(cloth, [(0.5 + 0.012, top + 0.12), (0.5 + w * 0.7, 0.84), (0.5 + w * 0.1, 0.92),
        (0.5 - w * 0.4, 0.84)], shadow=0.2)
    e.paint(cloth, [(0.5 - w * 0.4, top + 0.12), (0.5 + w * 0.4, top + 0.12), (0.5 + w, 0.84),
        (0.5, 0.95), (0.5 - w, 0.84)])
    e.paint(cloth, [(0.5 - w * 0.68, top), (0.5 + w * 0.68, top), (0.5 + w * 0.42, top + 0.13),
        (0.5 - w * 0.42, top + 0.13)], shadow=0.4)


def _socks(e: Easel, g: Garment) -> None:
    cloth, high = cloth_of(e, g), e.u(0.05, 0.42)
    for dx, dy in ((0.13, -0.04), (-0.06, 0.03)):
        shape = [(0.5 + dx, high + dy + 0.1), (0.69 + dx, high + dy + 0.1), (0.68 + dx, 0.62 + dy),
            (0.67 + dx, 0.76 + dy), (0.56 + dx, 0.82 + dy), (0.34 + dx, 0.88 + dy),
            (0.24 + dx, 0.82 + dy), (0.28 + dx, 0.74 + dy), (0.48 + dx, 0.66 + dy)]
        e.paint(cloth, smooth(shape, 5))
        trim = plain(cloth.second if e.rng.random() < 0.5 else shade(cloth.rgb, 0.8))
        e.paint(trim, box(0.495 + dx, high + dy + 0.085, 0.695 + dx, high + dy + 0.15), shadow=0)
        e.paint(trim, smooth([(0.24 + dx, 0.82 + dy), (0.28 + dx, 0.74 + dy),
            (0.36 + dx, 0.72 + dy), (0.36 + dx, 0.87 + dy)]), shadow=0)


def _gloves(e: Easel, g: Garment) -> None:
    cloth = cloth_of(e, g)
    for s in (-1, 1):

        def at(x: float, y: float, s: int = s) -> Point:
            return 0.5 + s * (0.22 + x), y

        fingers = [[at(x - 0.026, 0.5), at(x - 0.022, top), at(x + 0.022, top),
            at(x + 0.026, 0.5)] for x, top in ((-0.085, 0.27), (-0.03, 0.2), (0.028, 0.19),
            (0.085, 0.25))]
        for finger in fingers:
            e.paint(cloth, smooth(finger))
        e.paint(cloth, smooth([at(-0.1, 0.46), at(-0.2, 0.44), at(-0.19, 0.5), at(-0.09, 0.62)]))
        e.paint(cloth, smooth([at(-0.11, 0.45), at(0.11, 0.45), at(0.1, 0.66), at(0.08, 0.82),
            at(-0.08, 0.82), at(-0.1, 0.66)], 4))
        e.stroke(shade(cloth.rgb, 0.6), [at(-0.09, 0.72), at(0.09, 0.72)], 0.012)


def _suspenders(e: Easel, g: Garment) -> None:
    cloth, w = cloth_of(e, g), 0.022
    for s in (-1, 1):
        e.paint(cloth, [(0.5 + s * 0.13 - w, 0.12), (0.5 + s * 0.13 + w, 0.12),
            (0.5 + s * 0.2 + w, 0.8), (0.5 + s * 0.2 - w, 0.8)])
        e.paint(cloth, [(0.5 + s * 0.13 - w, 0.12), (0.5 + s * 0.13 + w, 0.12), (0.5 + w, 0.5),
            (0.5 - w, 0.5)])
        e.paint(plain((190, 192, 198), "metal"), box(0.5 + s * 0.2 - 0.035, 0.79,
            0.5 + s * 0.2 + 0.035, 0.88, 0.01))
    e.paint(cloth, box(0.5 - w, 0.48, 0.5 + w, 0.8))
    e.paint(plain((70, 46, 36), "leather"), [(0.5, 0.44), (0.55, 0.5), (0.5, 0.56), (0.45, 0.5)])
    e.paint(plain((190, 192, 198), "metal"), box(0.465, 0.79, 0.535, 0.88, 0.01))


# --- jewellery ------------------------------------------------------------------------------------------------------


def _gem(e: Easel) -> Cloth:
    stones = ((230, 234, 240), (200, 32, 60), (30, 110, 180), (20, 140, 90), (120, 50, 150),
        (30, 30, 34), (242, 238, 228))
    return plain(stones[int(e.rng.integers(len(stones)))], "glass")


def _jewel(e: Easel, metal: Cloth, x: float, y: float, r: float) -> None:
    """Paint one drop: a metal setting with a stone, small beads around it."""
    e.paint(metal, (oval(x, y, r, r), oval(x, y, r * 0.7, r * 1.3),
        smooth([(x, y - r * 1.3), (x + r, y + r * 0.3), (x, y + r),
        (x - r, y + r * 0.3)]))[int(e.rng.integers(3))])
    e.paint(_gem(e), oval(x, y, r * 0.5, r * 0.55), shadow=0)
    if e.rng.random() < 0.4:
        e.stroke(shade(metal.rgb, 0.8), oval(x, y, r * 1.05, r * 1.05)[::4], 0.018, dots=True)


def _earrings(e: Easel, g: Garment) -> None:
    metal, r, y = cloth_of(e, g), e.u(0.05, 0.1), e.u(0.45, 0.62)
    kind, seed = int(e.rng.integers(3)), int(e.rng.integers(1 << 30))
    for x in (0.34, 0.66):
        e.rng = np.random.default_rng(seed)  # the two of a pair are the same
        if kind == 0:
            e.paint(metal, oval(x, y, 0.13, 0.14), holes=[oval(x, y, 0.1, 0.115)])
        else:
            e.stroke(metal.rgb, oval(x + 0.015, y - r - 0.12, 0.025, 0.05, 120, 330), 0.012)
            e.stroke(metal.rgb, [(x, y - r - 0.1), (x, y)], 0.01)
            _jewel(e, metal, x, y, r)
        if kind == 2:
            for dx in (-0.05, 0, 0.05):
                e.stroke(metal.rgb, [(x + dx * 0.7, y + r), (x + dx, y + r + 0.11)], 0.012)
                e.stroke(_gem(e).rgb, [(x + dx, y + r + 0.11)], 0.032, dots=True)


def _necklace(e: Easel, g: Garment) -> None:
    metal, wide, deep = cloth_of(e, g), e.u(0.2, 0.3), e.u(0.55, 0.68)
    y = 0.08
    loop = [(0.5 + wide * math.sin(a) * (0.6 + 0.4 * math.sin(a / 2) ** 2),
        y + deep * (1 - math.cos(a)) / 2) for a in np.linspace(0.3, 2 * math.pi - 0.3, 46)]
    beads = g.type != "pendant" and e.rng.random() < 0.5
    e.stroke(shade(metal.rgb, 0.7), loop, 0.012 if g.type == "pendant" else 0.018)
    e.stroke(metal.rgb, loop, 0.008)
    if beads:
        gem = _gem(e)
        e.stroke(gem.rgb if e.rng.random() < 0.4 else metal.rgb, loop[12:-12], e.u(0.03, 0.055),
            dots=True)
        e.stroke(shade(metal.rgb, 1.4), loop[12:-12:2], 0.016, dots=True)
    if g.type == "pendant" or e.rng.random() < 0.5:
        _jewel(e, metal, 0.5, y + deep + 0.07, e.u(0.06, 0.1) if g.type == "pendant" else 0.05)
    if g.type == "jewellery set":
        for x in (0.42, 0.58):
            _jewel(e, metal, x, y + 0.3, 0.035)


def _ring(e: Easel, g: Garment) -> None:
    metal, r, thick = cloth_of(e, g), e.u(0.2, 0.26), e.u(0.03, 0.07)
    squash = e.u(0.55, 0.95)
    y = 0.56
    e.paint(metal, oval(0.5, y, r, r * squash), holes=[oval(0.5, y + thick * 0.15, r - thick,
        (r - thick * 1.1) * squash)])
    if e.rng.random() < 0.7:
        _jewel(e, metal, 0.5, y - r * squash, e.u(0.05, 0.09))


def _bangle(e: Easel, g: Garment) -> None:
    """A bangle is a stiff ring, a bracelet a chain with links or beads; both seen from above."""
    metal, rx, ry = cloth_of(e, g), e.u(0.3, 0.38), e.u(0.14, 0.28)
    count = int(e.rng.integers(1, 4)) if g.type == "bangle" else 1
    for i in range(count):
        y, thick = 0.5 + 0.06 * (i - count / 2), e.u(0.02, 0.05)
        e.paint(metal, oval(0.5, y, rx, ry), holes=[oval(0.5, y - thick * 0.3, rx - thick * 0.7,
            ry - thick)])
    ring = oval(0.5, 0.5, rx - 0.015, ry - 0.015)
    if g.type == "bracelet":
        e.stroke(_gem(e).rgb if e.rng.random() < 0.4 else shade(metal.rgb, 0.75), ring[::2],
            e.u(0.03, 0.06), dots=True)
        e.stroke(shade(metal.rgb, 1.3), ring[::2], 0.018, dots=True)


def _cufflinks(e: Easel, g: Garment) -> None:
    metal, r, square = cloth_of(e, g), e.u(0.1, 0.13), e.rng.random() < 0.5
    face = _gem(e) if e.rng.random() < 0.5 else plain(INK)
    for x, y in ((0.3, 0.54), (0.66, 0.46)):
        e.paint(plain(shade(metal.rgb, 0.7), "metal"), box(x + 0.02, y + 0.02, x + 0.2, y + 0.07),
            box(x + 0.17, y - 0.03, x + 0.2, y + 0.12))
        for k, cloth in ((1.0, metal), (0.7, face)):
            e.paint(cloth, box(x - r * k, y - r * k, x + r * k, y + r * k,
                0.015) if square else oval(x, y, r * k, r * k), shadow=0.3)


ACCESSORIES: dict[str, Painter] = {
    "handbag": _bag, "laptop bag": _bag, "duffel bag": _bag, "clutch": _flat_case, "wallet": _flat_case,
    "mobile pouch": _flat_case, "backpack": _backpack, "belt": _belt, "watch": _watch, "sunglasses": _sunglasses,
    "cap": _cap, "hat": _hat, "beanie": _beanie, "tie": _tie, "socks": _socks, "gloves": _gloves,
    "suspenders": _suspenders, "earrings": _earrings, "necklace": _necklace, "pendant": _necklace,
    "jewellery set": _necklace, "ring": _ring, "bangle": _bangle, "bracelet": _bangle, "cufflinks": _cufflinks,
}
