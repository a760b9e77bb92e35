"""Painters of shoes, seen from the side, toe to the left."""

from dataclasses import dataclass
from functools import partial

from fashion_search.garments.easel import (
    WHITE,
    Cloth,
    Easel,
    Painter,
    Point,
    box,
    cloth_of,
    oval,
    plain,
    shade,
    smooth,
)
from fashion_search.garments.vocabulary import Garment


# An outline reads as a row of points, not as one number a line.
# fmt: off
@dataclass(frozen=True, slots=True)
class _Shoe:
    """How one type of shoe differs; heights are in picture heights."""

    sole: tuple[float, float] = (0.03, 0.05)
    heel: tuple[float, float] = (0.0, 0.0)
    collar: tuple[float, float] = (0.17, 0.22)
    extras: tuple[str, ...] = ()


def _shoe(e: Easel, g: Garment, look: _Shoe) -> None:
    cloth, ground = cloth_of(e, g), e.u(0.66, 0.72)
    sole, heel, collar = e.u(*look.sole), e.u(*look.heel), e.u(*look.collar)
    if g.type == "boots":
        ground = 0.85
    x0, x1, lift = e.u(0.08, 0.13), e.u(0.87, 0.92), heel
    bed = ground - sole
    dark = plain(shade(cloth.rgb, 0.5) if "plain sole" in look.extras else ((236, 234, 230),
        (40, 40, 42), (190, 150, 110))[int(e.rng.integers(3))])
    _sole(e, look, dark, cloth, x0, x1, ground, bed, lift)
    if "open" in look.extras or ("strappy" in look.extras and e.rng.random() < 0.45):
        _straps(e, look, cloth, x0, x1, bed, lift, collar)
    elif "ballerina" in look.extras:
        _pump(e, look, cloth, x0, x1, bed, lift)
    else:
        _closed(e, g, look, cloth, x0, x1, bed, lift, collar)


def _closed(e: Easel, g: Garment, look: _Shoe, cloth: Cloth, x0: float, x1: float, bed: float,
        lift: float, collar: float) -> None:
    """A shoe or boot that covers the foot."""
    vamp, toe = (x0 + e.u(0.40, 0.46), bed - collar * 0.95), bed - e.u(0.11, 0.14)
    back, dip = bed - lift - collar, bed - lift * 0.75 - collar * 0.72
    upper = [(x0 + 0.005, bed - 0.01), (x0 + 0.03, toe + 0.035), (x0 + 0.14, toe), vamp,
        (vamp[0] + 0.1, dip - 0.07), (x1 - 0.16, dip), (x1 - 0.03, back), (x1, bed - lift - 0.06),
        (x1 - 0.015, bed - lift), (0.5 * (x0 + x1) + 0.08, bed - lift * 0.55), (x0 + 0.32, bed)]
    if g.type == "boots":
        shaft = bed - lift - e.u(0.35, 0.6)
        upper[3:7] = [(vamp[0] + 0.08, bed - 0.22), (vamp[0] + 0.12, shaft), (x1 - 0.03, shaft),
            (x1 - 0.02, bed - lift - 0.2)]
    e.paint(cloth, smooth(upper, 5))
    if g.type != "boots":
        e.paint(plain(shade(cloth.rgb, 0.35)), smooth([(vamp[0] + 0.03, vamp[1] - 0.005),
            (vamp[0] + 0.14, dip - 0.045), (x1 - 0.15, dip - 0.004), (x1 - 0.05, back + 0.012),
            (x1 - 0.16, dip - 0.035)], 4), shadow=0)
    _upper_details(e, look, cloth, x0, x1, bed, toe, vamp, dip)


def _pump(e: Easel, look: _Shoe, cloth: Cloth, x0: float, x1: float, bed: float,
        lift: float) -> None:
    """A low-cut ballerina or court shoe; its lining shows behind the near edge."""
    cut = x0 + e.u(0.2, 0.28)
    rim = [(cut, bed - 0.1), (cut + 0.12, bed - 0.05 - 0.12 * lift),
        (0.62, bed - 0.58 * lift - 0.05), (x1 - 0.14, bed - 0.95 * lift - 0.07),
        (x1 - 0.02, bed - lift - 0.13)]
    far = [(x1 - 0.14, bed - 0.95 * lift - 0.11), (0.62, bed - 0.6 * lift - 0.1),
        (cut + 0.1, bed - 0.1 - 0.12 * lift)]
    e.paint(plain((206, 180, 146) if e.rng.random() < 0.6 else shade(cloth.rgb, 0.5)),
        smooth([*rim, *far], 4), shadow=0.1)
    e.paint(cloth, smooth([(x0, bed), (x0 + 0.02, bed - 0.05), (x0 + 0.09, bed - 0.09), *rim,
        (x1, bed - lift - 0.05), (x1 - 0.01, bed - lift), (0.62, bed - 0.5 * lift),
        (x0 + 0.32, bed)], 5))
    if "bow" in look.extras and e.rng.random() < 0.6:
        e.paint(cloth, oval(cut - 0.06, bed - 0.105, 0.035, 0.022),
            oval(cut + 0.005, bed - 0.105, 0.035, 0.022), shadow=0.4)


def _sole(e: Easel, look: _Shoe, dark: Cloth, cloth: Cloth, x0: float, x1: float, ground: float,
        bed: float, lift: float) -> None:
    if lift < 0.05:
        e.paint(dark, smooth([(x0, bed), (x0 + 0.02, ground - 0.004), (x0 + 0.15, ground),
            (x1 - 0.1, ground), (x1 + 0.012, ground - 0.008), (x1 + 0.012, bed - 0.012 - lift),
            (0.6, bed - lift * 0.5), (x0 + 0.3, bed)], 5))
        if lift:
            e.paint(dark, box(x1 - 0.2, bed - lift, x1, ground))
        return
    thick = 0.012 if "wedge" not in look.extras else 0.02
    base = Cloth(shade(cloth.rgb, 0.8), cloth.second, "solid", "leather")
    if "wedge" in look.extras and e.rng.random() < 0.35:
        e.paint(plain((186, 150, 108)), [(x0, bed), (x0 + 0.3, bed), (x1 - 0.02, bed - lift),
            (x1, ground), (x0 + 0.05, ground)])
    else:
        w = e.u(0.012, 0.04)
        e.paint(base, [(x1 - 0.14, bed - lift + 0.01), (x1, bed - lift - 0.01), (x1 - 0.02, ground),
            (x1 - 0.02 - w, ground), (x1 - 0.08, bed - lift * 0.55)])
    e.paint(base, smooth([(x0, bed - 0.004), (x0 + 0.16, bed + thick),
        (x0 + 0.34, bed + thick * 0.7), (0.62, bed - lift * 0.5 + thick), (x1, bed - lift + thick),
        (x1, bed - lift - 0.006), (0.6, bed - lift * 0.58), (x0 + 0.3, bed - 0.008)], 5))


def _straps(e: Easel, look: _Shoe, cloth: Cloth, x0: float, x1: float, bed: float, lift: float,
        collar: float) -> None:
    """Open shoes: a few bands over the foot bed, an ankle strap, a buckle."""
    for i in range(int(e.rng.integers(2, 4))):
        x, width, height, lean = (x0 + 0.07 + 0.13 * i + e.u(0, 0.03), e.u(0.05, 0.1),
            e.u(0.1, 0.14) + 0.02 * i, e.u(-0.02, 0.1))
        e.paint(cloth, [(x, bed), (x + 0.35 * lean, bed - 0.6 * height), (x + lean, bed - height),
            (x + lean + width, bed - height - 0.01), (x + width + 0.6 * lean, bed - 0.5 * height),
            (x + width + 0.02, bed - 0.01)])
    top = bed - lift - collar * 0.9
    if "ankle" in look.extras:
        e.paint(cloth, smooth([(x1 - 0.03, bed - lift), (x1, bed - lift - 0.1), (x1 - 0.02, top),
            (x1 - 0.07, top), (x1 - 0.06, bed - lift - 0.08), (x1 - 0.1, bed - lift)], 5))
        e.paint(cloth, smooth([(x1 - 0.02, top + 0.01), (x1 - 0.16, top + 0.03),
            (0.56, top + 0.07 + lift * 0.3), (0.57, top + 0.11 + lift * 0.3),
            (x1 - 0.15, top + 0.075), (x1 - 0.02, top + 0.05)], 5))
        e.stroke((200, 196, 186), [(0.68, top + 0.07)], 0.025, dots=True)
        if "sport" in look.extras:
            e.paint(Cloth(cloth.second, cloth.rgb), smooth([(0.42, bed), (0.5, bed - 0.19),
                (0.58, bed - 0.19), (0.56, bed)], 5))


def _upper_details(e: Easel, look: _Shoe, cloth: Cloth, x0: float, x1: float, bed: float,
        toe: float, vamp: Point, dip: float) -> None:
    dark = shade(cloth.rgb, 0.6)
    if "laces" in look.extras:
        for i in range(5):
            x = vamp[0] - 0.025 - 0.036 * i
            y = vamp[1] + 0.014 + 0.025 * i
            e.stroke(WHITE if sum(cloth.rgb) < 560 else (120, 120, 124),
                [(x - 0.012, y - 0.014), (x + 0.035, y + 0.035)], 0.011)
    if "cap" in look.extras:
        e.paint(plain(WHITE), smooth([(x0, bed), (x0 + 0.03, toe + 0.045), (x0 + 0.1, toe + 0.02),
            (x0 + 0.11, bed)], 5), shadow=0)
    if "seams" in look.extras:
        e.stroke(dark, [(vamp[0] - 0.16, bed - 0.01), (vamp[0] - 0.12, bed - 0.08),
            (vamp[0], vamp[1] + 0.03)], 0.005)
        e.stroke(dark, [(x0 + 0.13, bed - 0.01), (x0 + 0.16, toe + 0.005)], 0.005)
    if "panels" in look.extras:
        bright = plain(cloth.second)
        e.paint(bright, smooth([(0.42, bed - 0.01), (0.52, bed - 0.09), (0.72, bed - 0.12),
            (0.66, bed - 0.05)], 5), shadow=0)
        e.paint(bright, smooth([(x1 - 0.1, bed - 0.01), (x1 - 0.1, dip), (x1 - 0.02, dip - 0.02),
            (x1 - 0.01, bed)], 5), shadow=0)
        for i in range(3):
            e.stroke(cloth.second, [(0.4 + 0.05 * i, bed - 0.03), (0.46 + 0.05 * i, bed - 0.13)],
                0.011)


_SHOES: dict[str, _Shoe] = {
    "casual shoes": _Shoe(extras=("laces", "cap"), collar=(0.22, 0.34)),
    "sports shoes": _Shoe(sole=(0.055, 0.08), extras=("laces", "panels"), collar=(0.25, 0.31)),
    "formal shoes": _Shoe(sole=(0.016, 0.024), heel=(0.02, 0.03), extras=("seams", "plain sole"),
        collar=(0.2, 0.25)),
    "heels": _Shoe(sole=(0.012, 0.016), heel=(0.16, 0.26),
        extras=("ballerina", "wedge", "strappy", "ankle")),
    "flats": _Shoe(sole=(0.012, 0.018), extras=("ballerina", "plain sole", "bow")),
    "sandals": _Shoe(sole=(0.03, 0.06), heel=(0.0, 0.03), extras=("open", "ankle")),
    "sports sandals": _Shoe(sole=(0.05, 0.07), extras=("open", "ankle", "sport")),
    "boots": _Shoe(sole=(0.03, 0.05), heel=(0.02, 0.12), extras=("plain sole", "seams")),
}


def _flip_flops(e: Easel, g: Garment) -> None:
    cloth, y = cloth_of(e, g), e.u(0.52, 0.58)
    strap = plain(cloth.second if e.rng.random() < 0.5 else shade(cloth.rgb, 0.7))
    bed = [(0.08, y + 0.02), (0.14, y - 0.05), (0.36, y - 0.07), (0.6, y - 0.04), (0.86, y - 0.06),
        (0.92, y), (0.84, y + 0.07), (0.55, y + 0.06), (0.3, y + 0.12), (0.13, y + 0.09)]
    e.paint(plain(shade(cloth.rgb, 0.55)), smooth([(x, v + 0.035) for x, v in bed]))
    e.paint(cloth, smooth(bed))
    for side in ([(0.24, y + 0.0), (0.4, y - 0.13), (0.62, y - 0.06), (0.6, y - 0.03),
        (0.42, y - 0.09)], [(0.24, y), (0.4, y - 0.06), (0.58, y + 0.06), (0.53, y + 0.08),
        (0.38, y - 0.01)]):
        e.paint(strap, smooth(side), shadow=0.4)


SHOES: dict[str, Painter] = {
    **{name: partial(_shoe, look=look) for name, look in _SHOES.items()},
    "flip flops": _flip_flops,
}
