"""Train the rule that tells what a query is for.

    python -m training.train_kinds --out fashion_search/weights/kinds.safetensors

On made-up queries only: for things to wear (`training/captions.py`), for occasions (`training/idea_grammar.py`), and for
what other shops sell, listed below from general knowledge.
"""

import argparse
import itertools
from pathlib import Path

import numpy as np
import torch
from safetensors.numpy import save_file

from fashion_search.kinds import Kind
from fashion_search.trunks import EmbeddedTrunk
from training.captions import query, random_item
from training.idea_grammar import short_examples

THINGS = """
iphone charger; phone charger; usb cable; hdmi cable; laptop; gaming laptop; laptop stand; tablet; tablet case; iphone case; phone case; power bank; wireless mouse;
mechanical keyboard; monitor; headphones; earbuds; bluetooth speaker; smart tv; tv wall mount; router; printer; printer ink; toner; camera; camera lens; tripod; drone; batteries; extension cord; light bulbs;
led strip; desk lamp; floor lamp; ceiling fan; space heater; air conditioner; vacuum cleaner; robot vacuum; washing machine; dishwasher; microwave; toaster; kettle; coffee maker; coffee beans; blender; food processor; rice cooker;
frying pan; saucepan; baking tray; cutting board; kitchen knife; knife set; dinner plates; wine glasses; water bottle; lunch box; thermos; mug; tea towels; kitchen towels; bath towels; shower curtain; toilet paper; paper towels;
laundry detergent; fabric softener; dish soap; sponge; trash bags; trash can; broom; mop; air freshener; candle; picture frame; wall art; poster; mirror; clock; alarm clock; wall clock; rug; curtains; cushion covers; pillow; mattress;
mattress topper; duvet; weighted blanket; blanket; bed sheets; bed frame; sofa; armchair; coffee table; desk; office chair; desk chair; bookshelf; wardrobe closet; shoe rack; storage boxes; clothes hangers; ironing board; steam iron;
sewing machine; sewing thread; knitting needles; yarn; fabric by the yard; notebook; pens; pencils; markers; stapler; binder; envelopes; paper; calculator; backpacking tent; tent; sleeping bag; camping stove; fishing rod; kayak; bicycle; bike helmet;
bike pump; car tires; motor oil; car seat; baby stroller; diapers; baby wipes; baby bottle; pacifier; crib; toy car; doll; lego set; board game; card game; puzzle; video game; game console; controller; novel; cookbook; children's book; dictionary;
dvd; vinyl record; guitar; guitar strings; piano; microphone; drum set; dog food; dog leash; cat litter; cat food; bird cage; fish tank; aquarium filter; garden hose; lawn mower; plant pot; seeds; fertilizer; shovel; hammer; screwdriver; drill; drill bits;
table saw; sandpaper; paint; paint brush; paint roller; duct tape; glue; nails; screws; ladder; tool box; plumbing pipe; faucet; shower head; toilet seat; sink; door handle; padlock; smoke detector; shampoo; conditioner; hair dryer; hair straightener; toothbrush;
toothpaste; mouthwash; face wash; moisturizer; sunscreen; lipstick; mascara; nail polish; perfume; deodorant; razor; shaving cream; vitamins; protein powder; painkillers; bandages; thermometer; blood pressure monitor; yoga mat; dumbbells; treadmill; exercise bike;
basketball; football; tennis racket; golf balls; skateboard; protein bar; chocolate; cookies; chips; bread; tortillas; pasta; rice; olive oil; tomato sauce; breakfast cereal; granola; milk; cheese; eggs; butter; yogurt; apples; bananas; frozen pizza; chicken breast; ground beef;
salmon; orange juice; soda; beer; red wine; green tea; tea bags; honey; sugar; flour; spices; salt; pet bed; hand soap; hand sanitizer; insect repellent; mouse trap; wrapping paper; greeting card; balloons; party decorations; christmas tree; string lights; fireworks;
flight tickets; hotel room; weather tomorrow; pizza near me; how to fix a sink; chicken soup recipe; capital of france; stock price; car rental; cheap flights; mortgage rates; used cars; apartment for rent; job openings; math homework; python tutorial; tax software;
spinach dip mix; cough syrup; contact lens solution; wheelchair; walking stick; hearing aid batteries; essential oils; incense; aquarium gravel; hamster wheel; horse feed; pool pump; hot tub; fire pit; patio furniture; barbecue grill; charcoal briquettes; cooler box; lantern; flashlight
"""  # fmt: skip
WITH = ("", "", "", "black", "white", "red", "blue", "pink", "small", "large", "cheap", "best", "new", "wireless", "2 pack", "1/2 inch", "stainless steel", "organic", "for kids", "without plastic", "for men", "under $20", "made in usa")  # fmt: skip


def texts(count: int, seed: int) -> list[list[str]]:
    """Return about `count` queries of each kind, in the order of `Kind`."""
    rng = np.random.default_rng(seed)
    things = [query(random_item(rng), rng).text for _ in range(count)]
    occasions = [example.query for example in itertools.islice(short_examples(seed), count)]
    names = [name.strip() for name in THINGS.replace("\n", " ").split(";") if name.strip()]
    elsewhere = [_dressed(str(rng.choice(names)), str(rng.choice(WITH))) for _ in range(count)]
    return [things, occasions, elsewhere]


def _dressed(name: str, word: str) -> str:
    return (
        f"{name} {word}"
        if word.startswith(("for ", "without", "under", "made"))
        else f"{word} {name}".strip()
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True, help="file for the weights")
    parser.add_argument("--count", type=int, default=900, help="queries of each kind")
    parser.add_argument("--seed", type=int, default=31)
    a = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(a.seed)
    of_kinds = texts(a.count, a.seed)
    read = EmbeddedTrunk().read([text for of_kind in of_kinds for text in of_kind])
    x = torch.from_numpy(read.astype(np.float32))
    y = torch.arange(len(Kind)).repeat_interleave(a.count)
    rule = torch.nn.Linear(x.shape[1], len(Kind))
    optimiser = torch.optim.Adam(rule.parameters(), lr=0.05, weight_decay=1e-4)
    for _ in range(300):
        optimiser.zero_grad()
        torch.nn.functional.cross_entropy(rule(x), y).backward()
        optimiser.step()
    print(f"right: {(rule(x).argmax(1) == y).float().mean():.3f}")
    weights = np.ascontiguousarray(rule.weight.detach().numpy().T, np.float16)
    save_file({"weights": weights, "bias": rule.bias.detach().numpy().astype(np.float16)}, a.out)


if __name__ == "__main__":
    main()
