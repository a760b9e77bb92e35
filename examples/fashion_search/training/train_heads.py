"""Train the heads that the fashion search carries with it.

    python -m training.train_heads --data ../../../shared/data --out fashion_search/weights/heads.safetensors

Trained only on what may be published: pictures drawn by `fashion_search.garments`, the CC0 photos of the data pack with
their labels, and Fashion-MNIST on a white ground in made-up colours; all with made-up texts (`training/captions.py`). The
retailer photos and titles of the pack, and its queries, are never read here. `--cache` keeps what the trunk saw.

The weights that are committed: 2026-11-28, with the defaults below, on one of 2 shared cores.
"""

import argparse
import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import torch
from numpy.typing import NDArray

from fashion_search.garments import draw, sample
from fashion_search.heads import Heads, Recipe
from fashion_search.pictures import Picture
from fashion_search.trunks import PICTURE_DIM, SIDE_PX, TEXT_DIM, EmbeddedTrunk, Features
from training.captions import Item, Text
from training.train_clip import CC0_TYPES, also_right, caption, dyed, fashion_mnist

log = logging.getLogger("train_heads")

Nouns = tuple[str, ...]
Shown = tuple[Features, list[Item], list[Nouns]]


def seen(cache: Path, name: str, pictures: Sequence[Picture]) -> Features:
    """Return what the trunk sees of pictures, read from `cache` where it is there."""
    kept = cache / f"{name}.npy"
    if not kept.exists():
        cache.mkdir(parents=True, exist_ok=True)
        np.save(kept, EmbeddedTrunk().look(pictures))
    found: Features = np.load(kept)
    return found


def drawings(cache: Path, count: int, seed: int) -> Shown:
    """Return `count` drawings."""
    rng = np.random.default_rng(seed)
    garments = [sample(rng) for _ in range(count)]
    name = f"drawn_{seed}_{count}"
    pictures: list[Picture] = []
    if not (cache / f"{name}.npy").exists():
        pictures = [draw(each, SIDE_PX, view=1 + i % 7) for i, each in enumerate(garments)]
    items = [Item(g.type, g.colour, g.pattern, g.gender, g.brand) for g in garments]
    return seen(cache, name, pictures), items, [()] * count


def photos(cache: Path, data: Path) -> Shown:
    """Return the CC0 photos of the catalog with their rows' labels, never another source's rows."""
    rows = [
        row
        for name in ("nordstrom", "revolve", "bloomingdales")
        for row in pq.read_table(
            data / "catalog" / f"{name}.parquet",
            columns=["image", "category", "colour"],
            filters=[("source", "=", "clothing-dataset-cc0")],
        ).to_pylist()
    ]
    items, nouns = [], []
    for row in rows:
        types, words = CC0_TYPES[row["category"]]
        items.append(Item(types[0], row["colour"], "", "", "", types[1:]))
        nouns.append(words)
    return seen(cache, "cc0", [row["image"] for row in rows]), items, nouns


def fabrics(cache: Path, data: Path, count: int, seed: int) -> Shown:
    """Return the first `count` of Fashion-MNIST's training images, dyed."""
    from PIL import Image

    images, labels = fashion_mnist(data)
    made = dyed(images[:count], labels[:count], np.random.default_rng(seed), SIDE_PX)
    pictures = [Image.fromarray(pixels) for pixels in made.pixels]
    return seen(cache, f"mnist_{seed}_{count}", pictures), made.items, made.nouns


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="folder of the data pack")
    parser.add_argument("--out", type=Path, required=True, help="file for the weights")
    parser.add_argument(
        "--cache", type=Path, default=Path("heads_cache"), help="folder for features"
    )
    parser.add_argument("--drawings", type=int, default=1_800)
    parser.add_argument("--fabrics", type=int, default=1_500)
    parser.add_argument("--texts", type=int, default=2, help="made-up texts for each picture")
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--seed", type=int, default=21)
    a = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    torch.set_num_threads(1)
    rng = np.random.default_rng(a.seed)
    parts = [
        drawings(a.cache, a.drawings, a.seed),
        photos(a.cache, a.data),
        fabrics(a.cache, a.data, a.fabrics, a.seed + 1),
    ]
    pictures = np.concatenate([features for features, _, _ in parts])
    items = [item for _, of_part, _ in parts for item in of_part]
    nouns = [words for _, _, of_part in parts for words in of_part]
    log.info("%d drawings, %d photos, %d of Fashion-MNIST", *(len(part[0]) for part in parts))

    texts: list[Text] = [
        caption(items[i], nouns[i], rng) for _ in range(a.texts) for i in range(len(items))
    ]
    told = [items[i] for _ in range(a.texts) for i in range(len(items))]
    read = EmbeddedTrunk().read([text.text for text in texts])
    shown = np.tile(pictures, (a.texts, 1))
    log.info("%d texts were read", len(texts))

    def fits(chosen: NDArray[np.int64]) -> NDArray[np.bool_]:
        return also_right([texts[i] for i in chosen], [told[i] for i in chosen]).numpy()

    trunk = EmbeddedTrunk()
    heads = Heads.new(trunk.name, trunk.words_dim, PICTURE_DIM, TEXT_DIM, a.seed)
    heads = heads.standardised(pictures, read)
    recipe = Recipe(epochs=a.epochs, batch=256, seed=a.seed)
    heads = heads.fitted(
        shown, read, recipe, also_right=fits,
        on_progress=lambda step, steps, loss: log.info("step %d of %d, loss %.3f", step, steps, loss) if step % 25 == 0 else None,
    )  # fmt: skip
    heads.save(a.out)
    log.info("%d kB in %s", a.out.stat().st_size // 1024, a.out)


if __name__ == "__main__":
    main()
