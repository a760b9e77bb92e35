"""The pipeline: page -> summary, query -> ideas, idea -> images, image -> product, as triggers over two tables.

retailer:  img_html ──summarise──> img_desc, img_summary ──read (trunk)──> txt_features ──┐
           image ──look (trunk)──> img_features ────────────────────────────────────────┴─embed (heads)──> img_embedding
query:     query ──suggest (text model)──> text_suggestion, a page each
           text_suggestion ──retrieve (heads, search)──> img_id, img_score, a page each ──recommend──> link
           lesson ──study──> the next version of the heads <──finetune── feedback
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import motion
from fashion_search.crawl import crawl_triggers
from fashion_search.database import note_database, url_of
from fashion_search.encoders import FIT_EVERY as FIT_EVERY
from fashion_search.encoders import FrozenTrunk, ImageRetrieval, kind_of_text
from fashion_search.endpoint import EndpointIdeas
from fashion_search.facets import colour_of, kind_named
from fashion_search.heads import Recipe
from fashion_search.ideas import EmbeddedIdeas, Ideas
from fashion_search.kinds import Kind
from fashion_search.places import DEFAULT_STORE
from fashion_search.stock import stock_of
from fashion_search.tables import AddressSchema
from fashion_search.tables import LessonSchema as LessonSchema
from fashion_search.tables import OpinionSchema as OpinionSchema
from fashion_search.tables import QuerySchema as QuerySchema
from fashion_search.tables import QuerySource as QuerySource
from fashion_search.tables import Retailer as Retailer
from fashion_search.tables import RetailerSchema as RetailerSchema
from fashion_search.tables import ShopperSchema as ShopperSchema
from fashion_search.taste import NOBODYS, Taste, remember
from fashion_search.trunks import english_words
from fashion_search.wishes import NotUnderstood, person_of, read_wish

if TYPE_CHECKING:
    from fashion_search.fetching import Fetcher

BEGAN_WITH = "clip.txt"
"""The file in a store's folder that tells the CLIP it began with, where that is not the embedded one."""


@motion.trigger(on="retailer.img_html", sets=("retailer.img_desc", "retailer.img_summary"))
def summarise_page(img_html: str, title: str | None) -> tuple[str, str]:
    """Page to summary: what the page says of the product, and that in one line; the title, if it says nothing."""
    from fashion_search.pages import read_page, summarise  # parsers, which a search does without

    page = read_page(img_html)
    return page.description, summarise(page) or title or ""


@motion.trigger(on=("retailer.title", "retailer.img_summary"), sets="retailer.worn_by")
def tell_person(title: str | None, img_summary: str) -> str | None:
    """Title to person: whose it is, where the title says so, or, where there is none, the summary."""
    return person_of(title or img_summary)


@motion.trigger(
    on=("retailer.title", "retailer.img_summary"), sets=("retailer.kind", "retailer.colour")
)
def tell_facets(title: str | None, img_summary: str) -> tuple[str | None, str | None]:
    """Title to what filters know it by, or, where there is none, the summary."""
    told = title or img_summary
    return kind_named(told), colour_of(told)


@motion.trigger(on="query.img_id", sets="query.link")
def recommend(
    link: Annotated[str | None, motion.Lookup("retailer.link", by="img_id", follow=False)],
) -> str | None:
    """Image to product: the link to where it is sold, as it was when the picture was found."""
    return link


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
    def suggest(
        self, ideas: Ideas, query: str, shopper: str | None, store: motion.View
    ) -> Iterator[str]:
        """Give the query itself, mended and without what only narrows it, and then what goes with it, as it comes.

        Raises:
            NotUnderstood: it is in another language, and the embedded model knows English only.
        """
        wish = read_wish(query, stock_of(store).words, english_words().__contains__)
        if wish.language is not None:
            if self.language_model is None:
                raise NotUnderstood(query, wish.language)
            # in English, as the catalog is
            yield from ideas.stream(query, self.count, Taste.of(store, shopper))
            return
        yield wish.text
        if self.language_model is None and kind_of_text(wish.text) is Kind.ELSEWHERE:
            return
        taste = (
            NOBODYS if self.language_model is None else Taste.of(store, shopper)
        )  # it knows none
        for idea in ideas.stream(wish.text, self.count, taste):
            if idea.casefold() != wish.text.casefold():
                yield idea


def open_store(
    folder: Path = DEFAULT_STORE,
    *,
    database: str | None = None,
    clip: str | None = None,
    recipe: Recipe | None = None,
    language_model: LanguageModel | None = None,
    fetcher: Fetcher | None = None,
    durability: Literal["full", "normal"] = "full",
    run: bool = True,
    ideas: int = 5,
) -> motion.Store:
    """Open the pipeline's store, made if it is not there.

    Args:
        folder: where it lives; left out, in the working directory, as `motion versions fashion_search.pipeline:open_store`
            looks for it.
        database: `postgresql://...`, where a new store's rows go; the folder has its files, and names the database from then on.
        clip: the CLIP that a new store begins with. Where one exists that began with another, what this one gives is
            offered as a candidate, and goes live if it finds more; left out, the store goes on with its own versions.
        recipe: how feedback is learned.
        language_model: an endpoint for ideas; the embedded model where left out.
        fetcher: asks shops for feeds, pages and pictures; left out, one that asks no private address.
        durability: as in `motion.create_store`.
        run: run the pipeline in this process; False leaves its work to another one.
        ideas: how many a query leads to, beside itself.

    Raises:
        ModelNotFound: there is no such CLIP. Told now, not by a failure of each product.
        IdeaModelMissing: the package was installed without its weights.
        DatabaseTaken: the store is there, and not in that database.
    """
    url = url_of(folder, database)
    began_with = folder / BEGAN_WITH
    if clip is None and began_with.exists():  # else its absence would be a new base model
        clip = began_with.read_text(encoding="utf-8")
    store = motion.create_store(
        "fashion_search",
        schemas={
            "query": QuerySchema,
            "retailer": RetailerSchema,
            "address": AddressSchema,
            "lesson": LessonSchema,
            "opinion": OpinionSchema,
            "shopper": ShopperSchema,
        },
        triggers=[
            summarise_page,
            tell_person,
            tell_facets,
            remember,
            FrozenTrunk(clip),
            IdeaSuggestion(language_model, ideas),
            ImageRetrieval(clip, recipe=recipe),
            recommend,
            *crawl_triggers(fetcher),
        ],
        url=url,
        durability=durability,
        run=run,
    )
    try:
        # 'motion versions fashion_search.pipeline:open_store' looks at a store without its code.
        has_code = all(each.has_code for each in store.status().triggers.values())
        for component in (FrozenTrunk, IdeaSuggestion, ImageRetrieval) if has_code else ():
            with store.model(component.__name__).live():
                pass  # made or loaded, so it is there
        if database is not None:
            note_database(folder, database)
        if clip is not None:
            began_with.write_text(clip, encoding="utf-8")
    except BaseException:
        store.close()
        raise
    return store
