"""The pipeline: page -> summary, query -> ideas, idea -> images, image -> product, as triggers over two tables.

retailer:  img_html ──summarise──> img_desc, img_summary ──┐
           image ──────────────────────────────────────────┴─embed (CLIP)──> img_embedding
query:     query ──suggest (text model)──> text_suggestion, a page each
           text_suggestion ──retrieve (CLIP, search)──> img_id, img_score, a page each ──recommend──> link
           feedback ──finetune──> the next version of CLIP
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray

import motion
from fashion_search.clip import EMBEDDED, Clip, Tuning
from fashion_search.crawl import crawl_triggers
from fashion_search.fetching import Fetcher
from fashion_search.ideas import EmbeddedIdeas, EndpointIdeas, Ideas
from fashion_search.pages import read_page, summarise
from fashion_search.places import DEFAULT_STORE
from fashion_search.retrieval import pair_retrieval
from fashion_search.tables import AddressSchema
from fashion_search.tables import QuerySchema as QuerySchema
from fashion_search.tables import QuerySource as QuerySource
from fashion_search.tables import Retailer as Retailer
from fashion_search.tables import RetailerSchema as RetailerSchema

FIT_EVERY = 24
"""Judged pictures after which CLIP is fine-tuned by itself."""

HELD_OUT = "id % 5 = 0"
"""The products whose (image, description) pairs no fit learns from: the gate measures on them."""

UNJUDGED = "id NOT IN (SELECT img_id FROM query WHERE feedback IS NOT NULL AND img_id IS NOT NULL)"
"""A picture that somebody judged is learned from, so it measures nothing any more."""

BEGAN_WITH = "clip.txt"
"""The file in a store's folder that tells the CLIP it began with, where that is not the embedded one."""

FIT_PAIRS, GATE_PAIRS = 600, 500

GENTLE = Tuning(epochs=4, rate=3e-4, text_share=0.0)
"""How a fit learns. Texts keep their vectors: an idea still meets the summaries that it met before, and pictures move
towards theirs. Letting a few hundred pairs move the texts gains no more on held-out pairs, and costs right types."""


@motion.trigger(on="retailer.img_html", sets=("retailer.img_desc", "retailer.img_summary"))
def summarise_page(img_html: str, title: str | None) -> tuple[str, str]:
    """Page to summary: what the page says of the product, and that in one line; the title, if it says nothing."""
    page = read_page(img_html)
    return page.description, summarise(page) or title or ""


@motion.trigger(on="query.img_id", sets="query.link")
def recommend(img_id: int, store: motion.View) -> str | None:
    """Image to product: the link to where it is sold."""
    product = store.get(RetailerSchema, img_id)
    return product.link if product else None


@dataclass(frozen=True)
class LanguageModel:
    """An endpoint that speaks the OpenAI protocol. Its key is never written to the store."""

    url: str
    name: str = "default"
    key: str = field(default="none", repr=False)


class IdeaSuggestion(motion.Component):
    """Query to ideas: text to text, by the embedded model or any OpenAI-compatible endpoint."""

    def __init__(self, language_model: LanguageModel | None = None, count: int = 5) -> None:
        self.language_model, self.count = language_model, count

    def setup(self) -> Ideas:
        chosen = self.language_model
        if chosen is None:
            return EmbeddedIdeas.load()
        return EndpointIdeas(chosen.url, chosen.name, api_key=chosen.key)

    def save(self, state: Ideas) -> dict[str, str]:
        # A frozen model is nothing to keep: each opening of the store may choose another one, without a new version.
        return {"model": "as the store was opened"}

    def load(self, saved: dict[str, str]) -> Ideas:
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
        checkpoint: a CLIP on the Hugging Face hub, or in a folder; None: the one that comes with this package.
        k: pictures for each idea.
        tuning: how long and how fast a fit learns.
    """

    def __init__(
        self, checkpoint: str | None = None, k: int = 8, tuning: Tuning | None = None
    ) -> None:
        self.checkpoint, self.k, self.tuning = checkpoint, k, tuning or GENTLE

    def setup(self) -> Clip:
        _leave_half_the_cores()
        return Clip.load(EMBEDDED if self.checkpoint is None else self.checkpoint)

    def save(self, state: Clip) -> dict[str, Any]:
        return state.to_saved()

    def load(self, saved: dict[str, Any]) -> Clip:
        _leave_half_the_cores()
        return Clip.from_saved(saved)

    @motion.infer(
        on=("retailer.image", "retailer.img_summary"),
        sets="retailer.img_embedding",
        batch=64,
        concurrency=2,  # while one batch is decoded, another is encoded
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

    @motion.fit(on="query.feedback", every=FIT_EVERY, promote=motion.if_better("mrr"))
    def finetune(self, clip: Clip, rows: list[QuerySchema], store: motion.View) -> Clip:
        """Learn from catalog pairs that are not held out, and from what people thought of the answers."""
        pairs = _pairs(store, f"NOT ({HELD_OUT})", FIT_PAIRS)
        judged = [
            (row.feedback, product.image, row.text_suggestion)
            for row in rows
            if row.img_id is not None and row.text_suggestion
            if (product := store.get(RetailerSchema, row.img_id))
        ]
        liked = [(image, text) for is_liked, image, text in judged if is_liked]
        disliked = [(image, text) for is_liked, image, text in judged if not is_liked]
        # As many dislikes as likes: pushed away from all that it was shown, an idea would end up near what nobody judged.
        balanced = disliked[: len(liked)]
        return clip.fine_tune(
            [*pairs, *liked], tuning=self.tuning, negatives=balanced, on_progress=_tell
        )

    def evaluate(self, clip: Clip, rows: list[QuerySchema], store: motion.View) -> dict[str, float]:
        """Measure how well a held-out product's summary finds its picture among the held-out ones.

        The gate looks at the mean reciprocal rank: it moves with every pair, where recall stands still.
        """
        pairs = _pairs(store, f"{HELD_OUT} AND {UNJUDGED}", GATE_PAIRS)
        if not pairs:
            return {}  # nothing to measure on, so the gate refuses
        images = clip.encode_images([image for image, _ in pairs])
        texts = clip.encode_texts([text for _, text in pairs])
        found = pair_retrieval(images, texts)
        return {
            name: float(value) for name, value in found.items() if isinstance(value, int | float)
        }


def _tell(step: int, steps: int, loss: float) -> None:
    motion.progress(step, steps, loss=loss)


def _pairs(store: motion.View, where: str, limit: int) -> list[tuple[bytes, str]]:
    """Return (image, description) pairs of products, always the same ones, spread over the whole catalog."""
    products = store.rows(
        RetailerSchema,
        where=f"{where} AND image IS NOT NULL AND img_summary <> ''",
        order_by="id * 2654435761 % 4294967296",
        limit=limit,
    )
    return [(product.image, product.img_summary) for product in products]


@cache
def _leave_half_the_cores() -> None:
    """Let PyTorch use half the cores, once in each process: queries, embedding and a fit run beside each other.

    Threads that share a core with others wait for each other at every layer: on two busy cores a small model is three
    times as fast with one thread as with two.
    """
    torch.set_num_threads(max(1, torch.get_num_threads() // 2))


def open_store(
    folder: Path = DEFAULT_STORE,
    *,
    clip: str | None = None,
    tuning: Tuning | None = None,
    language_model: LanguageModel | None = None,
    fetcher: Fetcher | None = None,
    durability: Literal["full", "normal"] = "full",
    run: bool = True,
) -> motion.Store:
    """Open the pipeline's store, made if it is not there.

    Args:
        folder: where it lives; left out, in the working directory, as `motion versions fashion_search.pipeline:open_store`
            looks for it.
        clip: the CLIP that a new store begins with. Where one exists that began with another, what this one gives is
            offered as a candidate, and goes live if it finds more; left out, the store goes on with its own versions.
        tuning: how long and how fast a fit learns.
        language_model: an endpoint for ideas; the embedded model where left out.
        fetcher: asks shops for feeds, pages and pictures; left out, one that asks no private address.
        durability: as in `motion.create_store`.
        run: run the pipeline in this process; False leaves its work to another one.

    Raises:
        ModelNotFound: there is no such CLIP. Told now, not by a failure of each product.
        IdeaModelMissing: the package was installed without its weights.
    """
    began_with = folder / BEGAN_WITH
    if clip is None and began_with.exists():  # else its absence would be a new base model
        clip = began_with.read_text(encoding="utf-8")
    store = motion.create_store(
        "fashion_search",
        schemas={"query": QuerySchema, "retailer": RetailerSchema, "address": AddressSchema},
        triggers=[
            summarise_page,
            IdeaSuggestion(language_model),
            ImageRetrieval(clip, tuning=tuning),
            recommend,
            *crawl_triggers(fetcher or Fetcher()),
        ],
        url=f"sqlite:///{folder.resolve()}",
        durability=durability,
        run=run,
    )
    try:
        for component in (IdeaSuggestion, ImageRetrieval):
            with store.model(component.__name__).live():
                pass  # made or loaded, so it is there
        if clip is not None:
            began_with.write_text(clip, encoding="utf-8")
    except BaseException:
        store.close()
        raise
    return store
