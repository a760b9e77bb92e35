"""Train the small CLIP that the fashion search carries with it.

    python -m training.train_clip --data ../shared/data --out fashion_search/weights/clip

Trained only on what may be published: pictures drawn by `fashion_search.garments` with made-up texts
(`training/captions.py`), the CC0 photos of the data pack (`source == 'clothing-dataset-cc0'`) with their labels, and
Fashion-MNIST on a white ground in made-up colours. The retailer photos and titles of the pack, and its queries, are
never read here; `training.zero_shot` measures on them.

Two phases, each with a learning rate that rises and falls to nothing over its wall-clock minutes:

1. texts alone: listings against queries, with hard negatives;
2. pictures: the image tower learns to meet its captions' vectors, the text tower being kept as it is.

`--resume` goes on from the weights in `--out`; with `--text-minutes 0` it repeats only phase 2. `--cache` keeps drawings.

The weights that are committed: 2026-11, 2 shared CPU cores, one thread in bfloat16. Text tower: seed 11, 7.5 minutes
(376 steps). Image tower: about 8 minutes together with a text tower (seed 12), then phase 2 for 29 minutes (seed 13,
28,000 drawings).
"""

import argparse
import gzip
import io
import json
import logging
import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import torch
from numpy.typing import NDArray
from PIL import Image
from tokenizers import Tokenizer, models, pre_tokenizers, trainers
from torch import Tensor
from torch.nn import functional as F
from transformers import CLIPConfig, CLIPImageProcessor, CLIPModel, CLIPProcessor, CLIPTokenizer

from fashion_search.garments import COLOURS, PATTERNS, TYPES, draw, sample
from fashion_search.pictures import padded
from training.captions import (
    SHADES,
    Item,
    Text,
    described,
    label,
    near_misses,
    phrase,
    query,
    random_item,
    retold,
    title,
)

log = logging.getLogger("train_clip")
SIDE, TOKENS, MERGES = 64, 64, 2048
START, END = "<|startoftext|>", "<|endoftext|>"
MEAN, STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)  # CLIP's own

CC0_TYPES: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {  # class -> types it may be, words for it
    "T-Shirt": (("t-shirt",), ("t-shirt", "tee", "tshirt")), "Longsleeve": (("long-sleeve top", "sweater", "sweatshirt"), ("long-sleeve top", "longsleeve", "long sleeve top")),
    "Pants": (("trousers", "jeans", "track pants", "leggings"), ("pants", "trousers", "bottoms")), "Shoes": (("casual shoes", "sports shoes", "formal shoes", "sandals", "boots", "flats"), ("shoes", "footwear")),
    "Shirt": (("shirt",), ("shirt", "button-up shirt")), "Dress": (("dress",), ("dress", "frock")), "Outwear": (("jacket", "coat"), ("outerwear", "jacket", "coat", "outwear")),
    "Shorts": (("shorts",), ("shorts",)), "Hat": (("hat", "cap", "beanie"), ("hat", "headwear")), "Skirt": (("skirt",), ("skirt",)), "Polo": (("polo shirt", "t-shirt"), ("polo", "polo shirt")),
    "Blazer": (("blazer",), ("blazer", "suit jacket")), "Hoodie": (("hoodie", "sweatshirt"), ("hoodie", "hooded sweatshirt")), "Body": (("bodysuit",), ("body", "bodysuit", "onesie")),
    "Top": (("top", "blouse"), ("top", "tank top")), "Blouse": (("blouse", "top", "shirt"), ("blouse",)),
}  # fmt: skip
FASHION_MNIST_TYPES: tuple[tuple[str, ...], ...] = (
    ("t-shirt", "top", "polo shirt"), ("trousers", "jeans", "leggings", "track pants"), ("sweater", "sweatshirt", "long-sleeve top"), ("dress",), ("coat", "jacket", "blazer"),
    ("sandals", "heels", "flip flops", "flats"), ("shirt", "blouse", "tunic", "top"), ("sports shoes", "casual shoes"), ("handbag", "clutch"), ("boots",),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Pictures:
    """Pictures, uint8 `(n, 64, 64, 3)`, with what each shows; `nouns` are its own words where the types are vague."""

    pixels: NDArray[np.uint8]
    items: list[Item]
    nouns: list[tuple[str, ...]]


# --- what is trained on ---------------------------------------------------------------------------------------------


def drawn(cache: Path, count: int, seed: int) -> Pictures:
    """Return `count` drawings, read from `cache` where it has them."""
    kept = cache / f"drawn_{seed}_{count}.npz"
    rng = np.random.default_rng(seed)
    garments = [sample(rng) for _ in range(count)]
    if not kept.exists():
        cache.mkdir(parents=True, exist_ok=True)
        pixels = np.stack(
            [np.asarray(draw(g, SIDE, view=1 + i % 7)) for i, g in enumerate(garments)]
        )
        np.savez(kept, pixels=pixels)
    items = [Item(g.type, g.colour, g.pattern, g.gender, g.brand) for g in garments]
    return Pictures(np.load(kept)["pixels"], items, [()] * count)


def cc0_photos(data: Path) -> Pictures:
    """Return the CC0 photos of the catalog; their rows' labels, never another source's rows."""
    pixels, items, nouns = [], [], []
    for file in sorted((data / "catalog").glob("*.parquet")):
        if file.stem not in ("nordstrom", "revolve", "bloomingdales"):
            continue
        rows = pq.read_table(
            file,
            columns=["image", "category", "colour"],
            filters=[("source", "=", "clothing-dataset-cc0")],
        )
        for row in rows.to_pylist():
            photo = Image.open(io.BytesIO(row["image"])).convert("RGB")
            pixels.append(np.asarray(padded(photo).resize((SIDE, SIDE), Image.Resampling.BICUBIC)))
            types, words = CC0_TYPES[row["category"]]
            items.append(Item(types[0], row["colour"], "", "", "", types[1:]))
            nouns.append(words)
    return Pictures(np.stack(pixels), items, nouns)


def fashion_mnist(data: Path) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Return images `(60000, 28, 28)`, light on black, and labels `(60000,)`."""
    folder = data / "fashion_mnist"
    images = np.frombuffer(
        gzip.decompress((folder / "train-images-idx3-ubyte.gz").read_bytes()), np.uint8, offset=16
    )
    labels = np.frombuffer(
        gzip.decompress((folder / "train-labels-idx1-ubyte.gz").read_bytes()), np.uint8, offset=8
    )
    return images.reshape(-1, 28, 28), labels


def dyed(
    images: NDArray[np.uint8],
    labels: NDArray[np.uint8],
    rng: np.random.Generator,
    side: int = SIDE,
) -> Pictures:
    """Return Fashion-MNIST images as coloured garments on white, `side` pixels."""
    names = list(COLOURS)
    colours = [names[int(i)] for i in rng.integers(0, len(names), len(images))]
    small = torch.from_numpy(images.astype(np.float32) / 255)[:, None]
    large = F.interpolate(small, size=side * 3 // 4, mode="bicubic").clamp(0, 1)
    light = F.pad(large, (side // 8,) * 4).permute(0, 2, 3, 1).numpy()
    covered = np.clip(light * 6, 0, 1)  # dark cloth is still cloth; only zero is ground
    rgb = np.asarray([COLOURS[c] for c in colours], np.float32)[:, None, None, :]
    pixels = 255 * (1 - covered) + covered * np.clip(rgb * (0.55 + 0.6 * light), 0, 255)
    items = []
    for colour, kind in zip(colours, labels, strict=True):
        types = list(FASHION_MNIST_TYPES[kind])
        first = types.pop(int(rng.integers(len(types))) if rng.random() < 0.4 else 0)
        items.append(Item(first, colour, "", "", "", tuple(types)))
    return Pictures(pixels.astype(np.uint8), items, [()] * len(items))


def caption(item: Item, nouns: tuple[str, ...], rng: np.random.Generator) -> Text:
    """Return a text for a picture: a query that is specific, a label, or a title."""
    if nouns and rng.random() < 0.85:
        return phrase(nouns, (item.type, *item.also), item.colour, rng)
    chance = rng.random()
    if chance < 0.65:
        return query(item, rng, vague=0.05)
    return label(item, rng) if chance < 0.8 else title(item, rng, complete=0.95)


def product_text(item: Item, nouns: tuple[str, ...], rng: np.random.Generator) -> Text:
    """Return the text of a listing: a title, a plain label, or a title with its description."""
    chance = rng.random()
    if nouns and chance < 0.7:
        return phrase(nouns, (item.type, *item.also), item.colour, rng)
    if chance < 0.7:
        return title(item, rng)
    return described(item, rng) if chance < 0.85 else label(item, rng)


def text_pairs(count: int, rng: np.random.Generator) -> Iterator[tuple[Item, Text, Text]]:
    """Yield `(item, listing, query)`; after each item come its near misses, so that a batch holds hard negatives."""
    made = 0
    while made < count:
        first = random_item(rng)
        for item in [first, *near_misses(first, rng)][: count - made]:
            listing = product_text(item, (), rng)
            yield item, listing, retold(listing, rng) if rng.random() < 0.15 else query(item, rng)
            made += 1


# --- what would also be right ---------------------------------------------------------------------------------------


def _numbers(names: Sequence[str]) -> dict[str, int]:
    return {name: i + 1 for i, name in enumerate(names)}


_TYPE, _COLOUR, _PATTERN = _numbers(tuple(TYPES)), _numbers(tuple(SHADES)), _numbers(PATTERNS)
_GENDER = _numbers(("men", "women", "unisex"))
_FACTS = {"type": _TYPE, "colour": _COLOUR, "pattern": _PATTERN, "gender": _GENDER}


def also_right(texts: Sequence[Text], items: Sequence[Item]) -> Tensor:
    """Return bool `(texts, items)`: nothing that the text states contradicts the item, unknown facts counting as fits."""
    said, is_a = (
        np.zeros((len(texts), len(TYPES) + 1), bool),
        np.zeros((len(items), len(TYPES) + 1), bool),
    )
    for i, text in enumerate(texts):
        said[i, [_TYPE[t] for t in text.types] or slice(None)] = True
    for i, item in enumerate(items):
        is_a[i, [_TYPE[t] for t in (item.type, *item.also)]] = True
    fits = (said.astype(np.float32) @ is_a.T.astype(np.float32)) > 0
    for field, numbers in (
        ("colour", _COLOUR),
        ("pattern", _PATTERN),
        ("gender", _GENDER),
        ("brand", None),
    ):
        code = numbers or _numbers(tuple({getattr(x, field) for x in (*texts, *items)} - {""}))
        stated = np.asarray([code.get(getattr(t, field), 0) for t in texts])[:, None]
        fact = np.asarray([code.get(getattr(i, field), 0) for i in items])[None]
        fits &= (stated == 0) | (fact == 0) | (stated == fact)
    return torch.from_numpy(fits)


def contrast(left: Tensor, right: Tensor, scale: Tensor, fits: Tensor) -> Tensor:
    """Return the CLIP loss of row i of `left` with row i of `right`, leaving out other pairs that fit as well."""
    logits = scale * left.float() @ right.float().T
    other = fits & ~torch.eye(len(fits), dtype=torch.bool)
    logits = logits.masked_fill(other, -1e4)
    target = torch.arange(len(logits))
    return (F.cross_entropy(logits, target) + F.cross_entropy(logits.T, target)) / 2


# --- the model ------------------------------------------------------------------------------------------------------


def new_tokenizer(rng: np.random.Generator, count: int = 60_000) -> CLIPTokenizer:
    """Return a CLIP tokenizer whose merges are learned from made-up texts."""
    plain = CLIPTokenizer()._tokenizer
    trained = Tokenizer(models.BPE(end_of_word_suffix="</w>"))
    trained.normalizer, trained.pre_tokenizer = plain.normalizer, plain.pre_tokenizer
    texts = (text.text for item, a, b in text_pairs(count, rng) for text in (a, b))
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    trainer = trainers.BpeTrainer(
        vocab_size=MERGES + 2 * len(alphabet),
        initial_alphabet=alphabet,
        end_of_word_suffix="</w>",
        show_progress=False,
    )
    trained.train_from_iterator(texts, trainer)
    merges = [tuple(m) for m in json.loads(trained.to_str())["model"]["merges"]][:MERGES]
    # every byte alone, inside and at the end of a word, so that no text has an unknown token
    tokens = [*alphabet, *(a + "</w>" for a in alphabet), *("".join(m) for m in merges), START, END]
    vocab = {token: i for i, token in enumerate(dict.fromkeys(tokens))}
    return CLIPTokenizer(vocab=vocab, merges=merges, model_max_length=TOKENS)


def new_model(tokenizer: CLIPTokenizer) -> CLIPModel:
    """Return an untrained CLIP: ViT on 64x64 pixels in patches of 8, and a text tower of three layers."""
    text = {"vocab_size": len(tokenizer), "hidden_size": 128, "intermediate_size": 512, "num_hidden_layers": 3, "num_attention_heads": 4, "max_position_embeddings": TOKENS, "hidden_act": "gelu", "bos_token_id": tokenizer.bos_token_id, "eos_token_id": tokenizer.eos_token_id, "pad_token_id": tokenizer.pad_token_id}  # fmt: skip
    vision = {"image_size": SIDE, "patch_size": 8, "hidden_size": 160, "intermediate_size": 640, "num_hidden_layers": 4, "num_attention_heads": 5, "hidden_act": "gelu"}  # fmt: skip
    return CLIPModel(
        CLIPConfig(
            text_config=text, vision_config=vision, projection_dim=160, logit_scale_init_value=2.5
        )
    )


def save(model: CLIPModel, tokenizer: CLIPTokenizer, out: Path) -> None:
    """Write model (as float16) and processor so that `from_pretrained(out)` reads them."""
    size = {"height": SIDE, "width": SIDE}
    images = CLIPImageProcessor(
        size=size, crop_size=size, do_center_crop=False, image_mean=MEAN, image_std=STD
    )
    CLIPProcessor(image_processor=images, tokenizer=tokenizer).save_pretrained(out)
    half = {name: value.detach().half() for name, value in model.state_dict().items()}
    model.save_pretrained(out, state_dict=half)


# --- the loop -------------------------------------------------------------------------------------------------------


def moved(pixels: NDArray[np.uint8], rng: np.random.Generator) -> Tensor:
    """Return float32 `(n, 3, 64, 64)` for the model: pictures shifted, scaled, mirrored, lit and blurred at random."""
    x = torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 255
    n = len(x)
    zoom = torch.from_numpy(rng.uniform(0.82, 1.15, (n, 1))) * torch.from_numpy(
        rng.uniform(0.93, 1.07, (n, 2))
    )
    mirror = torch.from_numpy(rng.choice((-1.0, 1.0), n))
    shift = torch.from_numpy(rng.uniform(-0.1, 0.1, (n, 2)))
    zero = torch.zeros(n)
    theta = torch.stack(
        [
            torch.stack([zoom[:, 0] * mirror, zero, shift[:, 0]], 1),
            torch.stack([zero, zoom[:, 1], shift[:, 1]], 1),
        ],
        1,
    ).float()
    x = 1 - F.grid_sample(
        1 - x, F.affine_grid(theta, [n, 3, SIDE, SIDE], align_corners=False), align_corners=False
    )  # outside is white
    soft = torch.from_numpy(rng.random(n) < 0.4)
    x[soft] = F.interpolate(
        F.interpolate(x[soft], size=44, mode="bilinear", antialias=True), size=SIDE, mode="bilinear"
    )
    light = torch.from_numpy(
        rng.uniform(0.88, 1.1, (n, 1, 1, 1)) * rng.uniform(0.97, 1.03, (n, 3, 1, 1))
    ).float()
    white = x.min(1, keepdim=True).values > 0.97  # a lit studio ground stays white
    x = torch.where(white, x, (x * light).clamp(0, 1))
    return (x - torch.tensor(MEAN).view(1, 3, 1, 1)) / torch.tensor(STD).view(1, 3, 1, 1)


class Reader:
    """Learns the text tower: listings and the queries that they answer get near vectors."""

    def __init__(
        self, model: CLIPModel, tokenizer: CLIPTokenizer, rng: np.random.Generator
    ) -> None:
        self.model, self.tokenizer, self.rng = model, tokenizer, rng
        self.scale = torch.nn.Parameter(torch.tensor(2.5))

    def parameters(self) -> list[torch.nn.Parameter]:
        """Return what this phase learns."""
        return [
            *self.model.text_model.parameters(),
            *self.model.text_projection.parameters(),
            self.scale,
        ]

    def texts(self, texts: Sequence[Text]) -> Tensor:
        """Return unit vectors `(n, dim)`."""
        words = [text.text for text in texts]
        tokens = self.tokenizer(
            words, padding=True, truncation=True, max_length=40, return_tensors="pt"
        )
        return F.normalize(self.model.get_text_features(**tokens).pooler_output.float(), dim=-1)

    def loss(self, done: float) -> Tensor:
        """Return the loss of a batch of listings against queries."""
        count = 192
        items, listings, queries = zip(*text_pairs(count, self.rng), strict=True)
        both = self.texts([*queries, *listings])
        scale = self.scale.clamp(max=3.7).exp()
        return contrast(both[:count], both[count:], scale, also_right(queries, items))


class Seer:
    """Learns the image tower: pictures move to the vectors that the text tower gives their captions.

    The text tower stays as it is, as in Zhai et al., arXiv:2111.07991 with the towers' parts exchanged: it already
    knows what is alike, and training one tower takes half the time. Linear heads that name type, colour and pattern
    help at the start and are thrown away.
    """

    def __init__(
        self,
        reader: Reader,
        pictures: Sequence[Pictures],
        mnist: tuple[NDArray[np.uint8], NDArray[np.uint8]],
        rng: np.random.Generator,
    ) -> None:
        self.reader, self.model, self.pictures, self.mnist, self.rng = (
            reader,
            reader.model,
            pictures,
            mnist,
            rng,
        )
        wide = self.model.config.vision_config.hidden_size
        self.heads = {
            name: torch.nn.Linear(wide, len(numbers) + 1) for name, numbers in _FACTS.items()
        }

    def parameters(self) -> list[torch.nn.Parameter]:
        """Return what this phase learns."""
        return [
            *self.model.vision_model.parameters(),
            *self.model.visual_projection.parameters(),
            self.model.logit_scale,
            *(p for head in self.heads.values() for p in head.parameters()),
        ]

    def hidden(self, pixels: Tensor, kept: int) -> Tensor:
        """Return the image tower's output `(n, width)` from `kept` of the 64 patches, those with most in them being likelier.

        Fewer patches are quicker (32 take half the time of 64); the idea is from Li et al., arXiv:2212.00794.
        """
        tower = self.model.vision_model
        hidden = tower.embeddings(pixels)
        if kept < hidden.shape[1] - 1:
            spread = F.unfold(pixels, 8, stride=8).std(1)
            spread = spread + 0.4 * torch.from_numpy(self.rng.random(spread.shape))
            chosen = F.pad(1 + spread.topk(kept, dim=1).indices, (1, 0))  # 0 is the class token
            hidden = hidden.gather(1, chosen[..., None].expand(-1, -1, hidden.shape[2]))
        hidden = tower.encoder(inputs_embeds=tower.pre_layrnorm(hidden)).last_hidden_state
        seen: Tensor = tower.post_layernorm(hidden[:, 0])
        return seen

    def batch(self, counts: Sequence[int]) -> Pictures:
        """Return `counts[i]` pictures of source i, and `counts[-1]` of Fashion-MNIST."""
        parts = []
        for source, count in zip(self.pictures, counts, strict=False):
            chosen = self.rng.integers(0, len(source.items), count)
            parts.append(
                Pictures(
                    source.pixels[chosen],
                    [source.items[i] for i in chosen],
                    [source.nouns[i] for i in chosen],
                )
            )
        chosen = self.rng.integers(0, len(self.mnist[0]), counts[-1])
        parts.append(dyed(self.mnist[0][chosen], self.mnist[1][chosen], self.rng))
        pixels = np.concatenate([part.pixels for part in parts])
        return Pictures(
            pixels,
            [i for part in parts for i in part.items],
            [n for part in parts for n in part.nouns],
        )

    def loss(self, done: float) -> Tensor:
        """Return the loss of a batch of pictures against captions, with that of the heads, which fades."""
        kept = int(self.rng.choice((24, 32, 44))) if done < 0.75 else 64
        shown = self.batch((112, 48, 32))
        captions = [
            caption(item, nouns, self.rng)
            for item, nouns in zip(shown.items, shown.nouns, strict=True)
        ]
        with torch.no_grad():
            words = self.reader.texts(captions)
        hidden = self.hidden(moved(shown.pixels, self.rng), kept)
        pictures = F.normalize(self.model.visual_projection(hidden).float(), dim=-1)
        scale = self.model.logit_scale.clamp(max=4.0).exp()
        seen = contrast(words, pictures, scale, also_right(captions, shown.items))
        named = torch.stack([self._naming(name, hidden, shown.items) for name in self.heads]).sum()
        return seen + 0.5 * (1 - done) * named

    def _naming(self, fact: str, hidden: Tensor, items: Sequence[Item]) -> Tensor:
        """Return how badly the head names this fact; any of an item's possible types is right, an unknown one counts not."""
        numbers = _FACTS[fact]
        right = torch.full((len(items), len(numbers) + 1), -torch.inf)
        known = torch.zeros(len(items), dtype=torch.bool)
        for i, item in enumerate(items):
            named = (item.type, *item.also) if fact == "type" else (getattr(item, fact),)
            places = [numbers[name] for name in named if name]
            right[i, places], known[i] = 0.0, bool(places)
        chance = F.log_softmax(self.heads[fact](hidden).float(), dim=-1)[known]
        return -torch.logsumexp(chance + right[known], dim=-1).mean()


def train(learner: Reader | Seer, minutes: float, peak: float, saved: Callable[[], None]) -> None:
    """Run one phase for `minutes`; the rate rises over 200 steps and falls to nothing. `saved` is called five times."""
    parameters = learner.parameters()
    groups = [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": 0.05},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]
    optimiser = torch.optim.AdamW(groups, lr=peak, betas=(0.9, 0.98))
    began, step, fifth = time.monotonic(), 0, 1
    while (done := (time.monotonic() - began) / (60 * minutes + 1e-9)) < 1:
        for group in optimiser.param_groups:
            group["lr"] = peak * min(1, (step + 1) / 200) * 0.5 * (1 + math.cos(math.pi * done))
        optimiser.zero_grad(set_to_none=True)
        with torch.autocast("cpu", torch.bfloat16):
            loss = learner.loss(done)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimiser.step()
        step += 1
        if step % 50 == 0:
            log.info(
                "%s step %d, %.0f %% of the time, loss %.3f",
                type(learner).__name__,
                step,
                100 * done,
                loss.detach(),
            )
        if done > fifth / 5:
            saved()
            fifth += 1
    saved()
    log.info("%s took %d steps", type(learner).__name__, step)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="folder of the data pack")
    parser.add_argument("--out", type=Path, required=True, help="folder for the weights")
    parser.add_argument(
        "--cache", type=Path, default=Path("clip_cache"), help="folder for the drawings"
    )
    parser.add_argument("--text-minutes", type=float, default=6)
    parser.add_argument("--picture-minutes", type=float, default=26)
    parser.add_argument("--drawings", type=int, default=28_000)
    parser.add_argument("--seed", type=int, default=13)
    parser.add_argument("--rate", type=float, default=1e-3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--resume", action="store_true", help="go on from the weights in --out")
    a = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    torch.set_num_threads(a.threads)
    torch.manual_seed(a.seed)
    rng = np.random.default_rng(a.seed)
    tokenizer = CLIPTokenizer.from_pretrained(a.out) if a.resume else new_tokenizer(rng)
    model = (
        CLIPModel.from_pretrained(a.out, dtype=torch.float32) if a.resume else new_model(tokenizer)
    )
    model.set_attn_implementation(
        "eager"
    )  # in bfloat16 on a CPU twice as quick as the fused attention's backward
    reader = Reader(model.train(), tokenizer, rng)

    def saved() -> None:
        save(model, tokenizer, a.out)

    train(reader, a.text_minutes, a.rate, saved)
    pictures = [drawn(a.cache, a.drawings, a.seed), cc0_photos(a.data)]
    log.info(
        "%d parameters, %d drawings, %d photos",
        sum(p.numel() for p in model.parameters()),
        *(len(p.items) for p in pictures),
    )
    train(Seer(reader, pictures, fashion_mnist(a.data), rng), a.picture_minutes, a.rate, saved)


if __name__ == "__main__":
    main()
