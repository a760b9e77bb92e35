"""The pipeline: page -> summary, query -> ideas, idea -> images, image -> product, as triggers over two tables.

retailer:  img_html ──summarise──> img_desc, img_summary ──┐
           image ──────────────────────────────────────────┴─embed (CLIP)──> img_embedding
query:     query ──suggest (text model)──> text_suggestion, a page each
           text_suggestion ──retrieve (CLIP, search)──> img_id, img_score, a page each ──recommend──> link
           feedback ──finetune──> the next version of CLIP
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray

import motion
from fashion_search import clip as clips
from fashion_search.clip import Clip, Tuning
from fashion_search.ideas import EmbeddedIdeas, EndpointIdeas, Ideas
from fashion_search.pages import read_page, summarise
from fashion_search.retrieval import pair_retrieval

FIT_EVERY = 24
"""Judged pictures after which CLIP is fine-tuned by itself."""

HELD_OUT = "id % 5 = 0"
"""The products whose (image, description) pairs no fit ever sees: the gate measures on them."""

FIT_PAIRS, GATE_PAIRS = 900, 500


class Retailer(Enum):
    NORDSTROM = 0
    REVOLVE = 1
    BLOOMINGDALES = 2


class QuerySource(Enum):
    OFFLINE = 0  # the nightly evaluation batch
    ONLINE = 1  # somebody is waiting: goes first


@dataclass
class RetailerSchema:
    """A product: what a shop shows of it, and what the pipeline makes of that."""

    id: int
    ts: int
    retailer: Retailer
    sku: Annotated[str, motion.Index]  # "retailer/the shop's id": what an ingest matches rows by
    img_url: str
    link: str
    title: str
    image: bytes
    img_html: str
    img_desc: str
    img_summary: str
    img_embedding: np.ndarray[Any, Any]
    source: str  # the collection of photos it comes from
    source_id: str  # the shop's id
    labels: dict[str, str]  # ground truth, for measuring only: no trigger reads it


@dataclass
class QuerySchema:
    """A request, its ideas (first page key) and the pictures found for each idea (second page key)."""

    id: int
    ts: int
    src: QuerySource
    query: str
    text_suggestion: str
    text_suggestion_page: int
    img_id: int
    img_score: int
    img_id_page: int
    link: str
    feedback: bool


@motion.trigger(on="retailer.img_html", sets=("retailer.img_desc", "retailer.img_summary"))
def summarise_page(img_html: str) -> tuple[str, str]:
    """Page to summary: what the page says of the product, and that in one line."""
    page = read_page(img_html)
    return page.description, summarise(page)


@motion.trigger(on="query.img_id", sets="query.link")
def recommend(img_id: int, store: motion.View) -> str | None:
    """Image to product: the link to where it is sold."""
    product = store.get(RetailerSchema, img_id)
    return product.link if product else None


class IdeaSuggestion(motion.Component):
    """Query to ideas: text to text, by the embedded model or any OpenAI-compatible endpoint."""

    def __init__(self, url: str | None = None, model: str | None = None, count: int = 5) -> None:
        self.url, self.model, self.count = url, model, count

    def setup(self) -> Ideas:
        return (
            EndpointIdeas(self.url, self.model or "default") if self.url else EmbeddedIdeas.load()
        )

    def save(self, state: Ideas) -> dict[str, str | None]:
        return {"url": self.url, "model": self.model}  # a frozen model is kept by its name

    def load(self, saved: dict[str, str | None]) -> Ideas:
        return self.setup()

    @motion.infer(
        on="query.query",
        sets="query.text_suggestion",
        page="text_suggestion_page",
        priority="query.src",
    )
    def suggest(self, ideas: Ideas, query: str) -> list[str]:
        return ideas.suggest(query, self.count)


class ImageRetrieval(motion.Component):
    """Idea to images: CLIP over the catalogs, learning from feedback and from (image, description) pairs.

    Args:
        checkpoint: a CLIP on the Hugging Face hub, or in a folder.
        k: pictures for each idea.
        tuning: how long and how fast a fit learns.
    """

    def __init__(
        self, checkpoint: str = str(clips.EMBEDDED), k: int = 8, tuning: Tuning | None = None
    ) -> None:
        self.checkpoint, self.k, self.tuning = checkpoint, k, tuning or Tuning()

    def setup(self) -> Clip:
        return Clip.load(self.checkpoint)

    def save(self, state: Clip) -> dict[str, Any]:
        return state.to_saved()

    def load(self, saved: dict[str, Any]) -> Clip:
        return Clip.from_saved(saved)

    @motion.infer(
        on=("retailer.image", "retailer.img_summary"),
        sets="retailer.img_embedding",
        batch=64,
        refresh="before",
    )
    def embed(self, clip: Clip, image: list[bytes], img_summary: list[str]) -> NDArray[np.float32]:
        return clip.encode_products(image, img_summary)

    @motion.infer(
        on="query.text_suggestion", sets=("query.img_id", "query.img_score"), page="img_id_page"
    )
    def retrieve(
        self, clip: Clip, text_suggestion: str, store: motion.View
    ) -> list[tuple[int, int]]:
        vector = clip.encode_text(text_suggestion)
        hits = store.search("retailer.img_embedding", vector, k=self.k)
        return [(hit.id, round(100 * hit.score)) for hit in hits]

    @motion.fit(on="query.feedback", every=FIT_EVERY, promote=motion.if_better("recall_at_10"))
    def finetune(self, clip: Clip, rows: list[QuerySchema], store: motion.View) -> Clip:
        """Learn from catalog pairs that are not held out, and from what people thought of the answers."""
        pairs = _pairs(store, f"NOT ({HELD_OUT})", FIT_PAIRS)
        judged = [
            (row.feedback, product.image, row.text_suggestion)
            for row in rows
            if (product := store.get(RetailerSchema, row.img_id)) and row.text_suggestion
        ]
        liked = [(image, text) for is_liked, image, text in judged if is_liked]
        disliked = [(image, text) for is_liked, image, text in judged if not is_liked]
        return clip.fine_tune([*pairs, *liked], tuning=self.tuning, negatives=disliked)

    def evaluate(self, clip: Clip, rows: list[QuerySchema], store: motion.View) -> dict[str, float]:
        """Measure how well a held-out product's description finds its picture among the held-out ones."""
        pairs = _pairs(store, HELD_OUT, GATE_PAIRS)
        images = clip.encode_images([image for image, _ in pairs])
        texts = clip.encode_texts([text for _, text in pairs])
        found = pair_retrieval(images, texts)
        return {
            "pairs": found["pairs"],
            "recall_at_1": found["recall_at_1"],
            "recall_at_10": found["recall_at_10"],
        }


def _pairs(store: motion.View, where: str, limit: int) -> list[tuple[bytes, str]]:
    """Return (image, description) pairs of products, always the same ones, spread over the whole catalog."""
    products = store.rows(
        RetailerSchema,
        where=f"{where} AND image NOT NULL AND img_summary NOT NULL",
        order_by="id * 2654435761 % 4294967296",
        limit=limit,
    )
    return [(product.image, product.img_summary) for product in products]


def open_store(
    folder: Path,
    *,
    clip: str = str(clips.EMBEDDED),
    llm_url: str | None = None,
    llm_model: str | None = None,
) -> motion.Store:
    """Open the pipeline's store, made if it is not there.

    Args:
        folder: where it lives.
        clip: the CLIP that a new store begins with; one that exists goes on with its own versions.
        llm_url: an OpenAI-compatible endpoint for ideas; the embedded model where left out.
        llm_model: the endpoint's model.
    """
    return motion.create_store(
        "fashion_search",
        schemas={"query": QuerySchema, "retailer": RetailerSchema},
        triggers=[
            summarise_page,
            IdeaSuggestion(llm_url, llm_model),
            ImageRetrieval(clip),
            recommend,
        ],
        url=f"sqlite:///{folder.resolve()}",
    )
