"""What a fashion shop sells and what it calls it: types, colours, patterns, and one `Garment`."""

from dataclasses import dataclass
from typing import TypeAlias

Rgb: TypeAlias = tuple[int, int, int]

COLOURS: dict[str, Rgb] = {
    "black": (26, 26, 29), "white": (246, 246, 244), "grey": (132, 134, 138), "charcoal": (66, 68, 74),
    "light grey": (190, 192, 194), "silver": (192, 196, 202), "steel": (146, 154, 164), "navy blue": (30, 40, 84),
    "blue": (40, 88, 178), "light blue": (150, 192, 228), "turquoise": (52, 184, 196), "teal": (18, 116, 122),
    "green": (42, 140, 72), "olive": (108, 110, 56), "lime green": (162, 208, 52), "sea green": (86, 180, 142),
    "khaki": (168, 152, 108), "beige": (216, 198, 166), "cream": (243, 232, 205), "off white": (240, 236, 226),
    "tan": (186, 138, 92), "brown": (104, 66, 40), "coffee brown": (70, 46, 36), "rust": (170, 80, 40),
    "copper": (178, 108, 72), "bronze": (138, 104, 60), "gold": (208, 168, 74), "mustard": (206, 160, 40),
    "yellow": (246, 214, 60), "orange": (238, 126, 36), "peach": (248, 190, 158), "red": (200, 32, 40),
    "maroon": (110, 24, 40), "burgundy": (92, 20, 46), "pink": (238, 130, 170), "magenta": (202, 34, 124),
    "rose": (222, 100, 126), "purple": (104, 52, 142), "lavender": (186, 168, 218), "mauve": (166, 128, 150),
    "taupe": (140, 124, 112), "multicoloured": (206, 92, 98),
}  # fmt: skip

PATTERNS: tuple[str, ...] = (
    "solid", "striped", "checked", "floral", "polka dot", "printed", "graphic", "melange", "colourblock",
    "embroidered", "camouflage",
)  # fmt: skip

METALS = ("gold", "silver", "copper", "bronze", "steel")
_ALL = ("men", "women", "unisex")
_CLOTH = ("solid", "striped", "checked", "floral", "printed", "melange", "polka dot", "colourblock")
_KNIT = ("solid", "striped", "melange", "colourblock", "checked")
_LEATHER = ("solid", "colourblock", "printed")


@dataclass(frozen=True, slots=True)
class Kind:
    """A type of article as a shop lists it.

    `price_usd` is the lowest and the highest list price; `materials` and `patterns` are what catalogs may pick from.
    """

    singular: str
    plural: str
    department: str
    genders: tuple[str, ...]
    price_usd: tuple[int, int]
    materials: tuple[str, ...]
    patterns: tuple[str, ...] = ("solid",)


def _kinds() -> dict[str, Kind]:
    men, women, unisex = ("men",), ("women",), ("unisex",)
    both = ("men", "women")
    knit, cotton, leather = (
        ("cotton", "merino wool", "lambswool"),
        ("cotton", "linen", "viscose"),
        ("leather", "suede"),
    )
    metal = ("brass", "sterling silver", "stainless steel")
    rows = {
        "apparel": [
            ("t-shirt", "t-shirts", _ALL, (12, 60), cotton, (*_CLOTH, "graphic", "graphic")),
            ("long-sleeve top", "long-sleeve tops", _ALL, (18, 70), cotton, (*_CLOTH, "graphic")),
            ("polo shirt", "polo shirts", both, (20, 95), ("cotton piqué",), _KNIT),
            ("shirt", "shirts", both, (25, 140), cotton, _CLOTH),
            ("top", "tops", women, (15, 90), cotton, (*_CLOTH, "graphic", "embroidered")),
            ("blouse", "blouses", women, (25, 150), ("silk", "crepe", "chiffon"), _CLOTH),
            ("tunic", "tunics", women, (25, 110), cotton, (*_CLOTH, "embroidered")),
            ("kurta", "kurtas", both, (18, 95), ("cotton", "khadi", "silk"), (*_CLOTH, "embroidered")),
            ("kurti", "kurtis", women, (15, 70), ("cotton", "georgette"), (*_CLOTH, "embroidered")),
            ("kurta set", "kurta sets", women, (40, 180), ("cotton", "silk"), (*_CLOTH, "embroidered")),
            ("saree", "sarees", women, (30, 320), ("silk", "georgette", "chiffon"), ("solid", "printed", "embroidered", "floral")),
            ("dupatta", "dupattas", women, (12, 60), ("chiffon", "silk"), ("solid", "printed", "embroidered", "striped")),
            ("dress", "dresses", women, (30, 320), cotton, _CLOTH),
            ("jumpsuit", "jumpsuits", women, (45, 240), ("crepe", "linen"), _CLOTH),
            ("skirt", "skirts", women, (22, 160), ("denim", "wool", "cotton"), _CLOTH),
            ("shorts", "shorts", both, (18, 80), ("cotton", "linen"), (*_CLOTH, "camouflage")),
            ("jeans", "jeans", both, (35, 220), ("denim",), ("solid",)),
            ("trousers", "trousers", both, (35, 210), ("cotton", "wool", "linen"), ("solid", "striped", "checked", "camouflage")),
            ("track pants", "track pants", both, (25, 95), ("jersey",), ("solid", "colourblock")),
            ("leggings", "leggings", women, (14, 80), ("stretch jersey",), ("solid", "printed", "striped")),
            ("capris", "capris", women, (20, 70), ("cotton",), ("solid", "checked", "printed")),
            ("sweater", "sweaters", both, (35, 260), knit, _KNIT),
            ("cardigan", "cardigans", both, (40, 260), knit, _KNIT),
            ("sweatshirt", "sweatshirts", _ALL, (30, 120), ("cotton fleece",), (*_KNIT, "graphic", "graphic")),
            ("hoodie", "hoodies", _ALL, (35, 140), ("cotton fleece",), (*_KNIT, "graphic")),
            ("jacket", "jackets", both, (60, 420), ("nylon", "denim", "leather"), ("solid", "solid", "colourblock", "camouflage")),
            ("coat", "coats", both, (120, 690), ("wool", "cashmere blend"), ("solid", "checked")),
            ("blazer", "blazers", both, (90, 520), ("wool", "linen"), ("solid", "checked", "striped")),
            ("suit", "suits", men, (210, 990), ("wool",), ("solid", "striped", "checked")),
            ("waistcoat", "waistcoats", men, (45, 160), ("wool",), ("solid", "checked", "striped")),
            ("swimsuit", "swimsuits", women, (30, 180), ("recycled nylon",), ("solid", "striped", "floral", "polka dot")),
            ("bodysuit", "bodysuits", ("unisex", "women"), (12, 60), ("cotton",), ("solid", "striped", "graphic", "polka dot")),
            ("pyjamas", "pyjamas", both, (30, 130), ("cotton", "satin"), ("solid", "striped", "checked", "polka dot")),
        ],
        "footwear": [
            ("casual shoes", "casual shoes", both, (35, 180), ("canvas", "suede"), ("solid", "solid", "colourblock", "checked")),
            ("sports shoes", "sports shoes", both, (45, 210), ("mesh",), ("colourblock",)),
            ("formal shoes", "formal shoes", men, (70, 380), ("leather",), ("solid",)),
            ("heels", "heels", women, (45, 420), leather, _LEATHER),
            ("flats", "flats", women, (25, 180), leather, _LEATHER),
            ("sandals", "sandals", both, (25, 160), leather, ("solid",)),
            ("sports sandals", "sports sandals", both, (30, 110), ("webbing",), ("colourblock",)),
            ("flip flops", "flip flops", both, (8, 45), ("rubber",), ("solid", "printed", "colourblock")),
            ("boots", "boots", both, (70, 460), leather, ("solid",)),
        ],
        "accessories": [
            ("handbag", "handbags", women, (40, 620), leather, _LEATHER),
            ("clutch", "clutches", women, (25, 240), ("satin", "leather"), (*_LEATHER, "embroidered")),
            ("backpack", "backpacks", unisex, (30, 190), ("nylon", "canvas"), ("solid", "colourblock", "camouflage", "checked")),
            ("laptop bag", "laptop bags", unisex, (40, 240), ("nylon", "leather"), ("solid",)),
            ("duffel bag", "duffel bags", unisex, (35, 260), ("canvas", "nylon"), ("solid", "colourblock")),
            ("mobile pouch", "mobile pouches", women, (10, 45), ("leather",), _LEATHER),
            ("wallet", "wallets", both, (15, 160), leather, _LEATHER),
            ("belt", "belts", both, (15, 150), leather, ("solid",)),
            ("watch", "watches", both, (40, 690), ("stainless steel", "leather"), ("solid",)),
            ("sunglasses", "sunglasses", _ALL, (20, 320), ("acetate", "metal"), ("solid",)),
            ("cap", "caps", _ALL, (10, 50), ("cotton twill",), ("solid", "colourblock", "camouflage", "graphic")),
            ("hat", "hats", both, (18, 120), ("straw", "wool felt"), ("solid",)),
            ("beanie", "beanies", unisex, (10, 60), ("wool",), ("solid", "striped", "melange")),
            ("tie", "ties", men, (15, 140), ("silk",), ("solid", "striped", "polka dot", "checked")),
            ("scarf", "scarves", _ALL, (15, 190), ("wool", "silk"), _CLOTH),
            ("stole", "stoles", women, (15, 120), ("pashmina", "silk"), _CLOTH),
            ("socks", "socks", _ALL, (5, 30), ("cotton",), ("solid", "striped", "checked", "polka dot", "melange")),
            ("gloves", "gloves", both, (15, 110), ("leather", "wool"), ("solid", "striped")),
            ("suspenders", "suspenders", men, (15, 70), ("elastic",), ("solid", "striped", "polka dot")),
            ("cufflinks", "cufflinks", men, (20, 180), metal, ("solid",)),
            ("earrings", "earrings", women, (12, 260), metal, ("solid",)),
            ("necklace", "necklaces", women, (18, 420), metal, ("solid",)),
            ("pendant", "pendants", women, (18, 320), metal, ("solid",)),
            ("ring", "rings", women, (15, 690), metal, ("solid",)),
            ("bracelet", "bracelets", both, (12, 260), metal, ("solid",)),
            ("bangle", "bangles", women, (12, 160), metal, ("solid",)),
            ("jewellery set", "jewellery sets", women, (30, 420), metal, ("solid",)),
        ],
    }  # fmt: skip
    return {
        row[0]: Kind(row[0], row[1], department, *row[2:])
        for department, listed in rows.items()
        for row in listed
    }


TYPES: dict[str, Kind] = _kinds()
JEWELLERY = {
    "cufflinks",
    "earrings",
    "necklace",
    "pendant",
    "ring",
    "bracelet",
    "bangle",
    "jewellery set",
}
LEATHER_TYPES = {
    "formal shoes",
    "heels",
    "flats",
    "sandals",
    "boots",
    "handbag",
    "clutch",
    "wallet",
    "belt",
    "mobile pouch",
}


COMMON_COLOURS = {
    "black": 7,
    "white": 5,
    "blue": 5,
    "grey": 4,
    "brown": 4,
    "navy blue": 3,
    "red": 3,
    "green": 3,
    "pink": 2,
    "purple": 2,
    "beige": 2,
}
USUAL_COLOURS: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(JEWELLERY, METALS),
    "jeans": ("blue", "navy blue", "light blue", "black", "grey", "charcoal"),
    "formal shoes": ("black", "brown", "tan", "coffee brown", "burgundy"),
    "belt": ("black", "brown", "tan", "coffee brown", "white", "red"),
    "wallet": ("black", "brown", "tan", "coffee brown", "maroon"),
    "suit": ("black", "navy blue", "charcoal", "grey", "light grey", "beige"),
    "sunglasses": ("black", "brown", "grey", "gold", "silver", "purple", "blue"),
    "watch": ("black", "white", "silver", "gold", "steel", "brown", "blue", "pink"),
    "boots": ("black", "brown", "tan", "grey", "coffee brown"),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Garment:
    """One invented product. `seed` fixes its shape; the same garment always draws the same picture.

    Attributes:
        type: a key of `TYPES`.
        colour: a key of `COLOURS`.
        pattern: one of `PATTERNS`.
        gender: `men`, `women` or `unisex`.
        price_usd: list price in US dollars.
    """

    type: str
    colour: str
    pattern: str
    gender: str
    brand: str
    title: str
    description: str
    material: str
    price_usd: float
    seed: int

    @property
    def department(self) -> str:
        """Return `apparel`, `footwear` or `accessories`."""
        return TYPES[self.type].department
