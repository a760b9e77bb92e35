"""The tables: what is kept of a product, and of a request with its answers. No trigger, and nothing that needs a model."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Annotated, Any

import numpy as np

import motion


class Retailer(Enum):
    NORDSTROM = 0
    REVOLVE = 1
    BLOOMINGDALES = 2


class QuerySource(Enum):
    OFFLINE = 0  # the nightly evaluation batch
    ONLINE = 1  # somebody is waiting: goes first


@dataclass
class Variant:
    """One way to buy a product: a colour, a size, or both, with its own price and stock. None: the shop does not say."""

    colour: str | None = None
    size: str | None = None
    price: float | None = None
    in_stock: bool | None = None
    img_url: str | None = None


@dataclass
class RetailerSchema:
    """A product: what a shop shows of it, and what the pipeline makes of that."""

    # What is filtered by comes before pages and pictures: a condition then reads the beginning of a row only.
    id: int
    ts: int
    retailer: Retailer
    sku: Annotated[str, motion.Index]  # "retailer/the shop's id": what an ingest matches rows by
    source: Annotated[str, motion.Index]  # the collection of photos it comes from
    source_id: str  # the shop's id
    img_url: str
    link: str
    title: str
    brand: str
    price: float  # the lowest that is asked for it today
    currency: str
    in_stock: bool
    sizes: list[str]
    colours: list[str]
    variants: list[Variant]
    img_urls: list[str]  # all pictures that the shop shows, the one in `img_url` first
    found_on: Annotated[
        str, motion.Index
    ]  # the address or file that tells of it: what a whole feed replaces
    missed: bool  # its feed does not tell of it, and may be only half of one: see `crawl`
    worn_by: str  # whose it is, where its title says so: see `wishes.PERSONS`
    kind: str  # what filters call it, as its title tells: see `facets.KINDS`
    colour: str  # the colour that filters know, as its title tells
    labels: dict[str, str]  # ground truth, for measuring only: no trigger reads it
    img_desc: str
    img_summary: str
    img_html: str
    img_problem: str  # why the picture at `img_url` is not there
    image: bytes
    img_features: np.ndarray[
        Any, Any
    ]  # what the trunk sees and reads: as long as picture and text stay, so do they
    txt_features: np.ndarray[Any, Any]
    img_embedding: np.ndarray[Any, Any]


@dataclass
class QuerySchema:
    """A request, its ideas (first page key) and the pictures found for each idea (second page key)."""

    id: int
    ts: int
    src: QuerySource
    query: str
    shopper: str  # who asks; None: nobody in particular
    narrowed: dict[str, str]  # key of a product -> what it has to be, of `NARROWED_BY`
    text_suggestion: str
    text_suggestion_page: int
    img_id: int
    img_score: int
    img_id_page: int
    link: str
    feedback: bool


@dataclass
class OpinionSchema:
    """What a shopper thinks of a product: one row for each pair."""

    id: str
    ts: int
    shopper: Annotated[str, motion.Index]
    product: int
    traits: list[str]  # of the product, as `taste.traits_of` told them then
    liked: bool


@dataclass
class ShopperSchema:
    """A shopper, and what they like: trait -> how often it was liked, and how often not."""

    id: str
    ts: int
    taste: dict[str, list[int]]


NARROWED_BY = ("retailer", "colour", "kind")
"""The keys of a product that a request may be narrowed by."""


class Role(Enum):
    LIST = 0  # a feed, a sitemap, a page of a listing: leads to products
    PRODUCT = 1


@dataclass
class AddressSchema:
    """A web address of a shop: what was found there last, and what the server said of it."""

    id: str  # the address itself
    ts: int
    retailer: Retailer
    role: Role
    source: Annotated[
        str, motion.Index
    ]  # the address that a person gave, from which this one was found
    hops: int  # how many lists lead from there to here
    every_s: float  # of a source: how long after the last time it is looked at again
    asked: int  # the round, in ms since the epoch, in which it is to be looked at: setting it fetches it
    checked: int  # when it was fetched last, in ms since the epoch
    changed: int  # when it last gave something else than before
    status: int  # what the server answered; 0: it was not asked
    gone: int  # since when it is gone (404, 410), in ms since the epoch; 0: it is there
    doubted: bool  # of a feed: it tells of so few products that it may be only half of it
    problem: str
    same_as: Annotated[str, motion.Index]  # the address that tells of the same product
    etag: str
    modified: str
    content_type: str
    moved_to: str
    content: bytes


@dataclass
class LessonSchema:
    """A time to learn from the catalog: that so many products are there now."""

    id: int
    ts: int
    products: int
