"""A small shop with made-up goods, for the dashboard to be looked at: pages, pictures, vectors that learn, and rows that fail."""

from __future__ import annotations

import struct
import threading
import zlib
from dataclasses import dataclass
from typing import Annotated

import numpy as np

import motion

Vector = Annotated[np.ndarray, motion.Vector(8)]

KINDS = ("dress", "shirt", "bag", "hat", "skirt", "shoe")
COLOURS = {
    "sand": (201, 178, 122),
    "rust": (176, 84, 58),
    "navy": (52, 72, 110),
    "sage": (134, 158, 128),
    "plum": (122, 74, 98),
    "slate": (108, 122, 140),
}


@dataclass
class Product:
    id: int
    title: str
    shop: str | None = None
    price: float | None = None
    picture: bytes | None = None
    summary: str | None = None
    vector: Vector | None = None


@dataclass
class Query:
    id: int
    ts: int
    query: str
    idea: str | None = None
    idea_page: int = 0
    product: int | None = None
    product_page: int = 0
    link: str | None = None
    liked: bool | None = None
    api_key: str | None = None


class Weather:
    """What of the shop goes wrong, and what waits."""

    def __init__(self) -> None:
        self.is_bad = True
        self.delay_s = 0.0
        self.may_go_on = threading.Event()
        self.may_go_on.set()


WEATHER = Weather()


@motion.trigger(on="product.title", sets="product.summary", inline=False)
def summarise(title: str) -> str:
    if "torn" in title and WEATHER.is_bad:
        raise ValueError(f"no summary of {title!r}: the page is torn")
    return f"A {title}, made up for this page."


@motion.trigger(on="query.query", sets="query.idea", page="idea_page")
def suggest(query: str) -> list[str]:
    threading.Event().wait(WEATHER.delay_s)
    return [f"{query}, {colour}" for colour in ("sand", "navy", "sage")]


@motion.trigger(on="query.product", sets="query.link", inline=False)
def recommend(title: Annotated[str, motion.Lookup("product.title", by="product")]) -> str:
    return f"shop.example/{title.replace(' ', '-')}"


class Retrieval(motion.Component, keep_outputs=2):
    """Text to product: a bag of letters, tilted a little by each label."""

    def setup(self) -> np.ndarray:
        return np.eye(8, dtype=np.float32)

    @motion.infer(on="product.title", sets="product.vector", refresh="before")
    def embed(self, tilt: np.ndarray, title: str) -> np.ndarray:
        WEATHER.may_go_on.wait(30)
        return np.asarray(tilt @ letters(title))

    @motion.infer(on="query.idea", sets="query.product", page="product_page")
    def retrieve(self, tilt: np.ndarray, idea: str, store: motion.View) -> list[int]:
        threading.Event().wait(WEATHER.delay_s / 2)
        hits = store.search("product.vector", tilt @ letters(idea), k=4)
        return [int(hit.id) for hit in hits]

    @motion.fit(on="query.liked", every=24, promote=motion.manual)
    def learn(self, tilt: np.ndarray, rows: list[Query]) -> np.ndarray:
        noise = np.random.default_rng(len(rows)).normal(0, 0.25, (8, 8))
        return (tilt + noise).astype(np.float32)

    def evaluate(self, tilt: np.ndarray, rows: list[Query], store: motion.View) -> dict[str, float]:
        drift = float(np.linalg.norm(tilt - np.eye(8)))
        return {
            "mrr": round(0.5 + min(drift, 4) / 20, 4),
            "recall_at_10": round(0.8 + drift / 60, 4),
        }


def letters(text: str) -> np.ndarray:
    """Return a vector of a text's words: equal words lie together."""
    found = np.zeros(8, np.float32)
    for word in text.replace(",", " ").split():
        found += np.random.default_rng(zlib.crc32(word.encode())).normal(size=8)
    length = max(float(np.linalg.norm(found)), 1e-6)
    return np.asarray(found / length, np.float32)


def picture(kind: int, colour: tuple[int, int, int], size: int = 48) -> bytes:
    """Return a PNG of a shape in a colour, drawn here: nobody's picture."""
    y, x = np.mgrid[0:size, 0:size] / (size - 1) * 2 - 1
    shapes = (
        (y > -0.7) & (y < 0.8) & (abs(x) < 0.18 + 0.35 * (y + 0.7)),
        (abs(x) < 0.45) & (abs(y) < 0.6) | (abs(x) < 0.85) & (y > -0.6) & (y < -0.2),
        (abs(x) < 0.6) & (y > -0.1) & (y < 0.7)
        | (abs(np.hypot(x, y + 0.1) - 0.45) < 0.09) & (y < 0),
        (np.hypot(x / 0.45, y / 0.5) < 1) & (y < 0.1) | (abs(y - 0.15) < 0.12) & (abs(x) < 0.85),
        (y > -0.5) & (y < 0.6) & (abs(x) < 0.4 + 0.3 * (y + 0.5)),
        (y > 0) & (y < 0.4) & (abs(x) < 0.8) | (x < -0.3) & (x > -0.8) & (abs(y) < 0.4),
    )
    pixels = np.full((size, size, 3), (238, 233, 222), np.uint8)
    pixels[shapes[kind % len(shapes)]] = colour
    lines = b"".join(b"\0" + line.tobytes() for line in pixels)
    header = struct.pack(">IIBBBBB", size, size, 8, 2, 0, 0, 0)
    parts = ((b"IHDR", header), (b"IDAT", zlib.compress(lines)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        for name, data in parts
    )


TABLES = {"product": Product, "query": Query}


def triggers() -> list[object]:
    return [summarise, suggest, recommend, Retrieval()]


def open_shop(url: str = ":memory:") -> motion.Store:
    """Open a shop without anything in it."""
    WEATHER.is_bad = True
    WEATHER.may_go_on.set()
    return motion.create_store(
        "shop", schemas=TABLES, triggers=triggers(), url=url, durability="normal"
    )


def fill(store: motion.Store, count: int = 60, *, torn: int = 3) -> None:
    """Put goods into it, some of which cannot be summarised, and wait until they are met."""
    rows = []
    for i in range(count):
        kind, colour = i % len(KINDS), i // len(KINDS) % len(COLOURS)
        name = list(COLOURS)[colour]
        title = f"{'torn ' if i < torn else ''}{name} {KINDS[kind]}"
        rows.append({
            "id": i + 1, "title": title, "shop": ("North", "Quay", "Mill")[i % 3], "price": 9.5 + i,
            "picture": picture(kind, COLOURS[name]),
        })  # fmt: skip
    store.set_many("product", rows)
    store.wait(timeout=120)


def ask(store: motion.Store, *texts: str) -> None:
    for text in texts:
        store.set("query", query=text).wait(timeout=60, raise_errors=False)


def like(store: motion.Store, count: int = 6) -> None:
    """Say of some answers whether they fit."""
    rows = [row for row in store.rows("query", limit=200) if row.product is not None][:count]
    for i, row in enumerate(rows):
        store.set(row, liked=i % 3 != 2)
    store.wait(timeout=60)
