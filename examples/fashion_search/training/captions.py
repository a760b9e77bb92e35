"""Made-up product titles, descriptions and shopper's queries for drawn or labelled garments.

Owns the words: what shops and shoppers call a type, a colour or a department in British, American and Indian usage.
Written from general knowledge of the trade; no shop's texts and no recorded queries are used. `Item` says what a text
is about, `Text` is the text together with what it states, so that a training loop can tell when a query would also be
right for another item of the batch.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from fashion_search.garments import COLOURS, PATTERNS, TYPES

Words = tuple[str, ...]

# type -> (words of titles, words of queries that mean just this type)
NOUNS: dict[str, tuple[Words, Words]] = {
    "t-shirt": (("t-shirt", "tshirt", "t shirt", "tee", "crew neck t-shirt", "v neck t-shirt", "round neck t-shirt", "polo neck t-shirt", "polo t-shirt", "polo tshirt", "graphic tee", "printed t-shirt", "jersey"), ("t-shirt", "tshirt", "t-shirts", "tshirts", "tee", "tees", "t shirt", "t shirts", "tee shirt")),
    "long-sleeve top": (("long-sleeve top", "long sleeve t-shirt", "longsleeve", "full sleeve t-shirt", "henley"), ("long-sleeve top", "long sleeve top", "longsleeve", "long sleeved tee", "long sleeve tops", "long sleeve shirt")),
    "polo shirt": (("polo shirt", "polo", "polo t-shirt", "piqué polo"), ("polo", "polos", "polo shirt", "polo shirts")),
    "shirt": (("shirt", "casual shirt", "formal shirt", "slim fit shirt", "oxford shirt", "check shirt", "button-down shirt", "denim shirt", "linen shirt", "dress shirt", "full sleeve shirt"), ("shirt", "shirts", "button down", "button-up shirt", "dress shirt", "casual shirt", "formal shirts", "collared shirt", "office shirt")),
    "top": (("top", "tank top", "camisole", "sleeveless top", "crop top", "tee top", "halter top", "peplum top", "casual top", "printed top", "tube top"), ("top", "tops", "tank top", "cami", "vest top", "sleeveless top", "ladies top")),
    "blouse": (("blouse", "silk blouse", "ruffled blouse", "bow blouse"), ("blouse", "blouses", "dressy blouse")),
    "tunic": (("tunic", "long top", "tunic top", "kaftan tunic"), ("tunic", "tunics", "tunic top", "long tunic")),
    "kurta": (("kurta", "long kurta", "cotton kurta", "straight kurta", "anarkali kurta", "churidar kurta", "khadi kurta", "mandarin collar kurta"), ("kurta", "kurtas", "indian tunic", "indian long shirt", "ethnic kurta", "indian kurta")),
    "kurti": (("kurti", "short kurti", "printed kurti", "a-line kurti"), ("kurti", "kurtis", "short kurta", "short indian tunic")),
    "kurta set": (("kurta set", "salwar suit", "salwar kameez", "churidar kurta set", "patiala suit", "kurta and palazzo set", "kurta with dupatta", "salwar suit set"), ("kurta set", "kurta sets", "salwar kameez", "salwar suit", "punjabi suit", "indian outfit set")),
    "saree": (("saree", "sari", "silk saree", "georgette saree", "embroidered saree", "printed saree", "banarasi saree"), ("saree", "sarees", "sari", "saris", "indian wedding drape")),
    "dupatta": (("dupatta", "chiffon dupatta", "printed dupatta", "phulkari dupatta"), ("dupatta", "dupattas", "chunni", "indian shawl", "indian scarf")),
    "dress": (("dress", "maxi dress", "shift dress", "summer dress", "bodycon dress", "mini dress", "wrap dress", "gown", "skater dress", "sundress", "cocktail dress"), ("dress", "dresses", "frock", "gown", "sundress", "evening dress", "party dress", "maxi")),
    "jumpsuit": (("jumpsuit", "playsuit", "romper", "dungarees"), ("jumpsuit", "jumpsuits", "playsuit", "romper", "overalls")),
    "skirt": (("skirt", "mini skirt", "pencil skirt", "pleated skirt", "denim skirt", "maxi skirt", "a-line skirt"), ("skirt", "skirts", "mini skirt", "midi skirt")),
    "shorts": (("shorts", "cargo shorts", "bermuda shorts", "denim shorts", "board shorts", "chino shorts", "sports shorts", "three-fourth shorts"), ("shorts", "short pants", "bermudas", "bermuda shorts", "hot pants")),
    "jeans": (("jeans", "slim fit jeans", "denim", "skinny jeans", "bootcut jeans", "straight leg jeans", "denims", "washed jeans"), ("jeans", "denims", "denim pants", "denim trousers", "blue jeans", "skinny jeans")),
    "trousers": (("trousers", "chinos", "pants", "formal trousers", "slim fit trousers", "cargo pants", "slacks", "dress pants", "khakis", "pleated trousers", "cargos"), ("trousers", "pants", "chinos", "slacks", "dress pants", "formal trousers", "trouser", "office pants")),
    "track pants": (("track pants", "sweatpants", "joggers", "jogging pants", "lounge pants", "training pants", "yoga pants", "tracksuit bottoms", "gym pants"), ("track pants", "trackpants", "joggers", "sweatpants", "tracksuit bottoms", "jogging bottoms", "gym pants", "workout pants")),
    "leggings": (("leggings", "tights", "jeggings", "churidar leggings", "stretch leggings", "ankle length leggings"), ("leggings", "legging", "tights", "jeggings", "stretchy pants")),
    "capris": (("capris", "capri pants", "capri", "cropped pants", "three-quarter pants", "3/4 pants"), ("capris", "capri pants", "capri", "three-quarter trousers", "cropped trousers")),
    "sweater": (("sweater", "pullover", "jumper", "knitted sweater", "v neck sweater", "cable knit jumper", "sweater vest", "turtleneck"), ("sweater", "sweaters", "jumper", "jumpers", "pullover", "pullovers", "knitwear", "knit sweater")),
    "cardigan": (("cardigan", "shrug", "open cardigan", "knitted cardigan"), ("cardigan", "cardigans", "button sweater", "cardi", "shrug")),
    "sweatshirt": (("sweatshirt", "crew neck sweatshirt", "fleece sweatshirt", "hooded sweatshirt", "zip sweatshirt", "sweat shirt", "track top"), ("sweatshirt", "sweatshirts", "sweat shirt", "sweat top", "fleece", "crewneck sweatshirt", "hoodie")),
    "hoodie": (("hoodie", "hooded sweatshirt", "zip hoodie", "hoody"), ("hoodie", "hoodies", "hoody", "hooded sweatshirt", "hooded top")),
    "jacket": (("jacket", "bomber jacket", "denim jacket", "leather jacket", "windcheater", "puffer jacket", "rain jacket", "quilted jacket", "biker jacket", "track jacket", "sleeveless jacket", "parka"), ("jacket", "jackets", "windbreaker", "bomber", "winter jacket", "light coat", "puffer", "anorak")),
    "coat": (("coat", "trench coat", "overcoat", "wool coat", "pea coat", "long coat"), ("coat", "coats", "overcoat", "trench coat", "winter coat")),
    "blazer": (("blazer", "sport coat", "suit jacket", "slim fit blazer", "tuxedo jacket"), ("blazer", "blazers", "sport coat", "suit jacket", "sports jacket")),
    "suit": (("suit", "two-piece suit", "three-piece suit", "tuxedo"), ("suit", "suits", "business suit", "tuxedo")),
    "waistcoat": (("waistcoat", "vest", "nehru jacket", "suit vest"), ("waistcoat", "waistcoats", "vest", "suit vest")),
    "swimsuit": (("swimsuit", "one-piece swimsuit", "swimwear", "bikini", "swimming costume"), ("swimsuit", "swimsuits", "bathing suit", "swimwear", "bikini", "swimming costume")),
    "bodysuit": (("bodysuit", "baby bodysuit", "onesie", "romper"), ("bodysuit", "body", "onesie", "baby bodysuit", "babygrow")),
    "pyjamas": (("pyjamas", "pajama set", "night suit", "nightwear", "lounge set", "nightdress"), ("pyjamas", "pajamas", "pjs", "night suit", "sleepwear", "nightwear")),
    "casual shoes": (("casual shoes", "casual shoe", "sneakers", "canvas shoes", "loafers", "boat shoes", "slip-ons", "canvas sneakers", "plimsolls", "moccasins", "skate shoes", "shoes", "high-top sneakers"), ("casual shoes", "sneakers", "casual shoe", "canvas shoes", "plimsolls", "loafers", "everyday shoes", "kicks", "pumps for casual wear", "slip on shoes")),
    "sports shoes": (("sports shoes", "sports shoe", "running shoes", "training shoes", "trainers", "tennis shoes", "basketball shoes", "football shoes", "cricket shoes", "outdoor shoes", "runners", "walking shoes", "gym shoes", "hiking shoes"), ("sports shoes", "running shoes", "trainers", "sport shoes", "gym shoes", "training shoes", "athletic shoes", "runners", "jogging shoes", "tennis shoes", "workout shoes")),
    "formal shoes": (("formal shoes", "formal shoe", "oxford shoes", "derby shoes", "brogues", "leather formal shoes", "monk strap shoes", "semi formal shoes", "wingtips", "lace-ups"), ("formal shoes", "dress shoes", "oxfords", "brogues", "office shoes", "business shoes", "lace-ups", "leather shoes", "derbies")),
    "heels": (("heels", "stilettos", "pumps", "wedges", "high heels", "heeled sandals", "peep toes", "platform heels", "heeled shoes", "block heels", "kitten heels", "casual heels", "court shoes"), ("heels", "stilettos", "pumps", "high heels", "stiletto", "wedges", "heeled shoes", "court shoes", "platforms")),
    "flats": (("flats", "ballerinas", "ballet flats", "flat shoes", "ballerina shoes", "flat sandals", "flat chappals", "jutis", "mojaris", "kolhapuris", "ballerina flats"), ("flats", "ballerinas", "ballet flats", "ballerina flats", "ballet pumps", "flat shoes", "dolly shoes", "ballet shoes")),
    "sandals": (("sandals", "leather sandals", "sandal", "floaters", "strappy sandals", "gladiator sandals", "casual sandals", "comfort sandals"), ("sandals", "sandal", "strappy sandals", "summer sandals", "open toe shoes", "chappals")),
    "sports sandals": (("sports sandals", "floaters", "trekking sandals", "outdoor sandals", "sport sandal", "hiking sandals"), ("sports sandals", "sport sandals", "floaters", "hiking sandals", "outdoor sandals", "trekking sandals")),
    "flip flops": (("flip flops", "flip-flops", "slippers", "slides", "thong slippers", "beach slippers", "flip flop", "rubber slippers"), ("flip flops", "flip-flops", "slippers", "thongs", "slides", "beach slippers", "hawaii chappals", "sliders", "beach sandals", "zoris")),
    "boots": (("boots", "ankle boots", "chelsea boots", "knee-high boots", "leather boots", "desert boots", "combat boots"), ("boots", "boot", "ankle boots", "booties", "bootees", "winter boots")),
    "handbag": (("handbag", "hand bag", "shoulder bag", "tote bag", "sling bag", "hobo bag", "satchel", "tote", "purse", "bag", "crossbody bag", "handheld bag"), ("handbag", "handbags", "purse", "purses", "shoulder bag", "tote", "tote bag", "ladies bag", "sling bag", "pocketbook", "bag")),
    "clutch": (("clutch", "clutch purse", "box clutch", "evening clutch", "envelope clutch", "party clutch", "clutch bag"), ("clutch", "clutches", "clutch bag", "evening bag", "party purse", "minaudiere", "evening clutch")),
    "backpack": (("backpack", "rucksack", "back pack", "school bag", "daypack", "laptop backpack", "bagpack", "hiking backpack"), ("backpack", "backpacks", "rucksack", "rucksacks", "school bag", "knapsack", "daypack", "bookbag", "haversack")),
    "laptop bag": (("laptop bag", "laptop sleeve", "messenger bag", "office bag", "briefcase", "laptop messenger bag", "laptop case"), ("laptop bag", "laptop bags", "computer bag", "briefcase", "messenger bag", "office bag", "laptop case")),
    "duffel bag": (("duffel bag", "duffle bag", "gym bag", "travel bag", "holdall", "weekender", "sports bag"), ("duffel bag", "duffle bag", "gym bag", "holdall", "travel bag", "weekend bag", "sports bag", "kit bag")),
    "mobile pouch": (("mobile pouch", "phone pouch", "mobile case", "mobile sling pouch"), ("mobile pouch", "phone pouch", "phone case", "cell phone pouch", "phone purse", "mobile cover")),
    "wallet": (("wallet", "leather wallet", "bifold wallet", "card holder", "trifold wallet", "two fold wallet", "zip around wallet"), ("wallet", "wallets", "billfold", "billfolds", "money clip wallet", "card holder", "purse for cards", "pocket wallet", "bifold")),
    "belt": (("belt", "leather belt", "reversible belt", "casual belt", "formal belt", "canvas belt", "waist belt", "skinny belt"), ("belt", "belts", "leather belt", "waist belt", "waistband belt")),
    "watch": (("watch", "analogue watch", "digital watch", "dial watch", "chronograph watch", "wrist watch", "chronograph", "analog watch", "sports watch", "dial chronograph watch", "timepiece"), ("watch", "watches", "wristwatch", "wrist watch", "timepiece", "wristwatches", "chronograph")),
    "sunglasses": (("sunglasses", "aviator sunglasses", "wayfarer sunglasses", "aviators", "wayfarers", "polarised sunglasses", "oval sunglasses", "sunglass", "wrap sunglasses", "eyewear"), ("sunglasses", "shades", "sun glasses", "aviators", "sunnies", "goggles", "eyewear", "dark glasses", "wayfarers")),
    "cap": (("cap", "baseball cap", "snapback", "trucker cap", "sports cap", "golf cap", "peaked cap"), ("cap", "caps", "baseball cap", "baseball hat", "snapback", "peaked cap", "ball cap", "trucker hat")),
    "hat": (("hat", "fedora", "sun hat", "straw hat", "panama hat", "bucket hat"), ("hat", "hats", "fedora", "sun hat", "straw hat", "trilby")),
    "beanie": (("beanie", "knitted beanie", "woollen cap", "winter hat", "knit hat"), ("beanie", "beanies", "woolly hat", "knit cap", "winter hat", "bobble hat")),
    "tie": (("tie", "silk tie", "necktie", "formal tie", "slim tie", "woven tie", "broad tie"), ("tie", "ties", "necktie", "neckties", "neck tie", "cravat")),
    "scarf": (("scarf", "woollen scarf", "silk scarf", "muffler", "infinity scarf", "checked scarf"), ("scarf", "scarves", "muffler", "neck scarf", "neckerchief", "winter scarf")),
    "stole": (("stole", "shawl", "pashmina", "wrap", "printed stole", "cotton stole"), ("stole", "stoles", "shawl", "pashmina", "wrap", "shawls")),
    "socks": (("socks", "ankle socks", "crew socks", "pack of 3 socks", "sports socks", "formal socks", "no-show socks", "pair of socks"), ("socks", "sock", "ankle socks", "pair of socks", "stockings", "crew socks", "hosiery")),
    "gloves": (("gloves", "leather gloves", "knitted gloves", "mittens"), ("gloves", "glove", "mittens", "winter gloves")),
    "suspenders": (("suspenders", "braces", "elastic suspenders"), ("suspenders", "braces", "trouser braces", "suspender")),
    "cufflinks": (("cufflinks", "cuff links", "square cufflinks", "enamel cufflinks", "cufflink"), ("cufflinks", "cuff links", "cufflink", "shirt studs")),
    "earrings": (("earrings", "drop earrings", "hoop earrings", "stud earrings", "jhumkas", "danglers", "studs", "chandelier earrings"), ("earrings", "ear rings", "studs", "hoops", "jhumka", "ear studs", "earring", "danglers")),
    "necklace": (("necklace", "chain", "beaded necklace", "necklace chain", "layered necklace", "choker", "long chain"), ("necklace", "necklaces", "chain", "neck chain", "choker", "chains", "beads")),
    "pendant": (("pendant", "pendant with chain", "heart pendant", "locket", "charm pendant", "crystal pendant"), ("pendant", "pendants", "locket", "pendant necklace", "charm")),
    "ring": (("ring", "finger ring", "cocktail ring", "solitaire ring", "band", "adjustable ring"), ("ring", "rings", "finger ring", "band ring", "engagement ring")),
    "bracelet": (("bracelet", "charm bracelet", "beaded bracelet", "leather bracelet", "cuff bracelet", "wrist band"), ("bracelet", "bracelets", "wristband", "charm bracelet", "wrist chain")),
    "bangle": (("bangle", "bangles", "set of 2 bangles", "kada", "cuff"), ("bangle", "bangles", "kada", "wrist bangle", "stiff bracelet")),
    "jewellery set": (("jewellery set", "necklace set", "pendant and earrings set", "necklace and earrings"), ("jewellery set", "jewelry set", "necklace set", "jewellery sets", "matching necklace and earrings")),
}  # fmt: skip

# a query word that is right for several types; all of them count as its answers
VAGUE: dict[str, Words] = {
    "trainers": ("sports shoes", "sports shoes", "casual shoes"), "sneakers": ("casual shoes", "casual shoes", "sports shoes"),
    "shoes": ("casual shoes", "sports shoes", "formal shoes"), "footwear": ("sandals", "flats", "heels", "flip flops", "casual shoes"),
    "pants": ("trousers", "jeans", "track pants"), "bottoms": ("track pants", "leggings", "capris", "trousers"), "outerwear": ("jacket", "coat"),
    "indian tunic": ("kurta", "kurta", "kurti", "tunic"), "ethnic wear": ("kurta", "saree", "kurta set", "kurti"),
    "jumper": ("sweater", "sweater", "sweatshirt"), "pullover": ("sweater", "sweater", "sweatshirt"), "knitwear": ("sweater", "cardigan"), "sweat top": ("sweatshirt", "hoodie"),
    "bag": ("handbag", "backpack", "clutch", "laptop bag", "duffel bag"), "luggage": ("duffel bag", "laptop bag", "backpack"), "purse": ("handbag", "handbag", "clutch", "wallet"),
    "jewellery": ("necklace", "earrings", "ring", "bracelet", "pendant", "bangle"), "jewelry": ("necklace", "earrings", "ring", "pendant"),
    "headwear": ("cap", "hat", "beanie"), "hat": ("hat", "cap", "beanie"), "cap": ("cap", "cap", "beanie"), "slippers": ("flip flops", "flip flops", "sandals"),
    "coat": ("coat", "jacket"), "winter wear": ("sweater", "jacket", "coat", "sweatshirt"), "polo": ("polo shirt", "t-shirt"), "wrap": ("stole", "scarf", "dupatta"),
    "bangles": ("bangle", "bracelet"), "activewear": ("track pants", "sports shoes", "t-shirt"), "neckwear": ("tie", "scarf"),
}  # fmt: skip

SHADES: dict[str, Words] = {
    **{name: (name,) for name in COLOURS},
    "black": ("black", "black", "black", "jet black"), "grey": ("grey", "grey", "gray", "grey melange"), "light grey": ("light grey", "light gray", "pale grey"),
    "charcoal": ("charcoal", "charcoal grey", "dark grey"), "silver": ("silver", "silver", "silver-toned"), "steel": ("steel", "gunmetal", "steel-toned"),
    "navy blue": ("navy blue", "navy blue", "navy", "dark blue"), "blue": ("blue", "blue", "blue", "royal blue", "denim blue", "cobalt"), "light blue": ("light blue", "sky blue", "pale blue", "baby blue"),
    "turquoise": ("turquoise", "turquoise blue", "aqua"), "green": ("green", "green", "green", "dark green", "emerald"), "olive": ("olive", "olive green", "army green"),
    "lime green": ("lime green", "lime", "fluorescent green", "neon green"), "sea green": ("sea green", "mint"), "beige": ("beige", "beige", "sand"), "cream": ("cream", "cream", "ivory"),
    "off white": ("off white", "off-white"), "tan": ("tan", "tan", "camel", "cognac"), "brown": ("brown", "brown", "brown", "chocolate brown", "dark brown"), "coffee brown": ("coffee brown", "coffee"),
    "gold": ("gold", "gold", "golden", "gold-toned"), "mustard": ("mustard", "mustard yellow"), "peach": ("peach", "peach", "coral"), "red": ("red", "red", "red", "scarlet"),
    "maroon": ("maroon", "maroon", "dark red", "wine red"), "burgundy": ("burgundy", "wine"), "pink": ("pink", "pink", "pink", "light pink", "hot pink"), "magenta": ("magenta", "fuchsia"),
    "purple": ("purple", "purple", "violet"), "lavender": ("lavender", "lilac"), "multicoloured": ("multi", "multicoloured", "multi-coloured", "multicolor", "multi colour", "multicolour"),
    "nude": ("nude", "skin", "skin-coloured"), "mushroom brown": ("mushroom brown", "mushroom"), "metallic": ("metallic", "shiny metallic"),
}  # fmt: skip

_FIGURES: dict[str, Words] = {
    "solid": ("solid", "plain"), "striped": ("striped", "stripes", "stripe"), "checked": ("checked", "check", "checks", "plaid", "tartan"), "floral": ("floral", "floral print", "flower print"),
    "polka dot": ("polka dot", "polka dots", "dotted", "spotted"), "printed": ("printed", "print", "abstract print"), "graphic": ("graphic", "graphic print", "logo"), "melange": ("melange", "heathered", "textured"),
    "colourblock": ("colourblock", "colour block", "two-tone", "colorblock"), "embroidered": ("embroidered", "embroidery"), "camouflage": ("camouflage", "camo"),
}  # fmt: skip

_TITLE_GENDER: dict[str, Words] = {
    "men": ("Men", "Men", "Men", "Men's", "Mens", "Men's", "Boys", "Boy's", "Kids Boy", "Man"),
    "women": ("Women", "Women", "Women", "Women's", "Womens", "Women's", "Ladies", "Girls", "Kids Girl", "Girl's"),
    "unisex": ("Unisex", "Unisex", "Unisex", "Unisex Adult", "Men and Women"),
}  # fmt: skip
_OWNERS: dict[str, Words] = {"men": ("men's", "men's", "mens", "mens", "men", "gents", "boys", "male"), "women": ("women's", "women's", "womens", "womens", "women", "ladies", "girls", "female", "lady's"), "unisex": ("unisex", "unisex", "men's and women's")}  # fmt: skip
_RECIPIENTS: dict[str, Words] = {"men": ("men", "men", "men", "man", "a man", "him", "guys", "boys", "my husband"), "women": ("women", "women", "women", "a woman", "her", "ladies", "girls", "my wife"), "unisex": ("unisex", "anyone", "men and women")}  # fmt: skip
_FILLERS: Words = tuple(
    "casual formal essential classic premium slim fit regular comfort urban heritage original sport street lite pro basic core summer winter festive party trendy vintage signature club royal active flex soft core new stylish solid series edition collection max air force power star sky stone river city night sun wave speed racer spirit eagle falcon tiger lion king queen angel dream magic venus nova zen alpha delta prime element fusion motion turbo shadow storm blaze cosmic crystal pearl lotus jasmine rosa bella luna diva stella aria neo retro logo stitch leather cotton wool silk suede canvas denim mesh linen polyester analogue dial chronograph round neck v-neck polo collar hooded sleeveless full half sleeve printed striped pack of strap lace buckle studded beaded quilted woven knitted washed low mid high rise waist medium large small".split()
)
_SYLLABLES: Words = tuple(
    "ka lo mi ren sta vor bel tri dan gri pol nex zu far que hal ton mer sil ox ari eph wil cha bro ny fle lev gu ess pa um rey ad id as ni ke bok dra jo hn mil ler ar row pu ma fos ti sen cas cat wo od lan pro fi le ge ba ha we be fas vi sh th ck ur ell ine ano ock ash ord um py dy gan ric".split()
)
_ASKS: Words = ("{}", "{}", "{}", "{}", "looking for {a}", "i am looking for {a}", "show me {}", "show me {a}", "find {}", "i want {a}", "need {a}", "i need {}", "buy {}", "a photo of {a}", "a picture of {a}", "cheap {}", "best {}", "{} online", "where can i get {a}", "{} please", "nice {}")  # fmt: skip


@dataclass(frozen=True, slots=True)
class Item:
    """What a product is: a type, colour, pattern and gender by their canonical names, and an invented brand.

    An empty `pattern`, `gender` or `brand` is not known, and no text states it. `also` are types that it may be too.
    """

    type: str
    colour: str
    pattern: str
    gender: str
    brand: str
    also: Words = ()


@dataclass(frozen=True, slots=True)
class Text:
    """A text and what it states; an empty field states nothing. `types` are all the types it is right for."""

    text: str
    types: Words = ()
    colour: str = ""
    pattern: str = ""
    gender: str = ""
    brand: str = ""


def _pick(rng: np.random.Generator, words: Sequence[str]) -> str:
    return words[int(rng.random() * len(words))]


def _brand(rng: np.random.Generator) -> str:
    count = 1 if rng.random() < 0.6 else 2
    words = (
        "".join(_pick(rng, _SYLLABLES) for _ in range(int(rng.integers(1, 4))))
        if rng.random() < 0.7
        else _pick(rng, _FILLERS)
        for _ in range(count)
    )
    brand = " ".join(words)
    return brand.upper() if rng.random() < 0.1 else brand.title()


def random_item(rng: np.random.Generator) -> Item:
    """Return an item of any type, colour and gender that the shop could have."""
    kind = _pick(rng, tuple(TYPES))
    return Item(
        kind,
        _pick(rng, tuple(SHADES)),
        _pick(rng, PATTERNS) if rng.random() < 0.5 else "solid",
        _gender(rng, kind),
        _brand(rng),
    )


def _gender(rng: np.random.Generator, kind: str) -> str:
    usual = TYPES[kind].genders
    return _pick(rng, usual) if rng.random() < 0.8 else _pick(rng, ("men", "women", "unisex"))


def near_misses(item: Item, rng: np.random.Generator) -> list[Item]:
    """Return items that share all but one thing with `item`: another colour, another type nearby, another gender."""
    department = TYPES[item.type].department
    others = [
        name for name, kind in TYPES.items() if kind.department == department and name != item.type
    ]
    genders = [g for g in ("men", "women", "unisex") if g != item.gender]
    return [
        replace(item, colour=_pick(rng, tuple(SHADES)), brand=_brand(rng)),
        replace(
            item, type=_pick(rng, others), brand=_brand(rng) if rng.random() < 0.5 else item.brand
        ),
        replace(item, gender=_pick(rng, genders), brand=_brand(rng)),
    ]


def _code(rng: np.random.Generator) -> str:
    letters = "".join(chr(65 + int(c)) for c in rng.integers(0, 26, int(rng.integers(1, 4))))
    number = str(int(rng.integers(1, 9999)))
    return _pick(
        rng,
        (
            f"{letters}{number}",
            f"{letters}-{number}",
            number,
            f"({letters}{number})",
            f"{letters}-{number}{letters[0]}",
        ),
    )


def title(item: Item, rng: np.random.Generator, *, complete: float = 0.85) -> Text:
    """Return a shop's title in one of many word orders; each of type, colour and gender is kept with chance `complete`."""
    noun, shade, whose = (
        _pick(rng, NOUNS[item.type][0]),
        _pick(rng, SHADES[item.colour]),
        _pick(rng, _TITLE_GENDER[item.gender or "unisex"]),
    )
    told_type, told_colour, told_gender = rng.random(3) < (
        complete + 0.1,
        complete,
        complete if item.gender else 0,
    )
    told_pattern = item.pattern not in ("", "solid") and rng.random() < 0.7
    noise = [
        _pick(rng, _FILLERS) if rng.random() < 0.55 else _brand(rng)
        for _ in range(int(rng.integers(0, 4)))
    ]
    colour = [shade] if told_colour else []
    figure = [_pick(rng, _FIGURES[item.pattern])] if told_pattern else []
    body = [*noise, *colour, *figure]
    rng.shuffle(body)
    end = [noun] if told_type else []
    gender = [whose] if told_gender else []
    order = rng.random()
    if order < 0.6:
        words = [item.brand, *gender, *body, *end]
    elif order < 0.75:
        words = [item.brand, *body, *end, *(["for", whose] if told_gender else [])]
    elif order < 0.9:
        words = [*gender, item.brand, *end, *body]
    else:
        words = [*body, *end, *gender, "by", item.brand]
    if rng.random() < 0.2:
        words.append(_code(rng))
    text = " ".join(words)
    text = text.title().replace("'S", "'s") if rng.random() < 0.75 else text
    return Text(
        text,
        (item.type,) if told_type else (),
        item.colour if told_colour else "",
        item.pattern if told_pattern else "",
        item.gender if told_gender else "",
        item.brand,
    )


def label(item: Item, rng: np.random.Generator) -> Text:
    """Return the short description of a plain listing, such as "Navy blue hoodie"."""
    noun, shade = _pick(rng, NOUNS[item.type][0]), _pick(rng, SHADES[item.colour])
    return Text(f"{shade} {noun}".capitalize(), (item.type,), item.colour)


def described(item: Item, rng: np.random.Generator) -> Text:
    """Return a title followed by a sentence or two of description."""
    head = title(item, rng)
    noun, shade, who = (
        _pick(rng, NOUNS[item.type][0]),
        _pick(rng, SHADES[item.colour]),
        _pick(rng, _RECIPIENTS[item.gender or "unisex"]),
    )
    about = _pick(
        rng,
        (
            f"{noun} in {shade} for {who}",
            f"{shade} {noun}, made for {who}",
            f"this {shade} {noun} goes with everything",
            f"a {noun} to wear every day",
            f"{shade} {noun} with {_pick(rng, _FILLERS)} {_pick(rng, _FILLERS)}",
        ),
    )
    care = _pick(
        rng,
        (
            "",
            "",
            "Machine wash.",
            "Dry clean only.",
            "Fits true to size.",
            "Imported.",
            "100% cotton.",
            "Genuine leather.",
            "Made to be worn every day.",
        ),
    )
    return replace(
        head, text=f"{head.text}. {about.capitalize()}. {care}".strip(), types=(item.type,)
    )


def query(item: Item, rng: np.random.Generator, *, vague: float = 0.12) -> Text:
    """Return what a shopper would type for `item`: any of colour, type, pattern, gender, in many wordings."""
    noun = _pick(rng, NOUNS[item.type][1])
    if rng.random() < vague:
        hits = [word for word, kinds in VAGUE.items() if item.type in kinds]
        if hits:
            noun = _pick(rng, hits)
    types = tuple(dict.fromkeys((item.type, *VAGUE.get(noun, ()))))
    by_colour, by_gender, by_pattern = (
        rng.random() < 0.85,
        item.gender != "" and rng.random() < 0.6,
        item.pattern not in ("", "solid") and rng.random() < 0.35,
    )
    shade = _pick(rng, SHADES[item.colour]) if by_colour else ""
    figure = _pick(rng, _FIGURES[item.pattern]) if by_pattern else ""
    core = " ".join(word for word in (shade, figure, noun) if word)
    if by_colour and rng.random() < 0.15:
        core = " ".join(word for word in (figure, noun, "in", shade) if word)
    if by_gender:
        who, owner = _pick(rng, _RECIPIENTS[item.gender]), _pick(rng, _OWNERS[item.gender])
        core = _pick(
            rng,
            (
                f"{owner} {core}",
                f"{owner} {core}",
                f"{core} for {who}",
                f"{core} for {who}",
                f"{core}, {owner}",
                f"{core} {owner}",
            ),
        )
    return Text(
        _asked(core, rng),
        types,
        item.colour if by_colour else "",
        item.pattern if by_pattern else "",
        item.gender if by_gender else "",
    )


def phrase(nouns: Words, types: Words, colour: str, rng: np.random.Generator) -> Text:
    """Return a query for one of `nouns`, which is right for all of `types`, mostly with its colour."""
    told = rng.random() < 0.9
    core = f"{_pick(rng, SHADES[colour])} {_pick(rng, nouns)}" if told else _pick(rng, nouns)
    return Text(_asked(core, rng), types, colour if told else "")


def _asked(core: str, rng: np.random.Generator) -> str:
    ask = _pick(rng, _ASKS)
    return (
        ask.format(core)
        if "{}" in ask
        else ask.format(
            a=core if rng.random() < 0.3 else f"{'an' if core[0] in 'aeiou' else 'a'} {core}"
        )
    )


def retold(told: Text, rng: np.random.Generator) -> Text:
    """Return the same title as a shopper who half remembers it would type it: words lost, lower case, other order."""
    words = [word for word in told.text.split() if rng.random() < 0.85] or told.text.split()
    if rng.random() < 0.25:
        rng.shuffle(words)
    text = " ".join(words)
    return replace(told, text=text.lower() if rng.random() < 0.5 else text)
