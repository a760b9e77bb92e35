"""Asking: a question in words, answered while it is answered; a picture; "more like this"."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Header, Path, Query, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field
from sse_starlette import ServerSentEvent

import motion
from fashion_search.encoders import kind_of_text, trunk_of
from fashion_search.facets import KINDS
from fashion_search.kinds import Kind
from fashion_search.pictures import UnreadableImage
from fashion_search.ranking import OF_ONE_TITLE
from fashion_search.stock import stock_of
from fashion_search.tables import QuerySchema, QuerySource, RetailerSchema
from fashion_search.trunks import english_words
from fashion_search.web.cards import cards, liked_first
from fashion_search.web.shoppers import opinions_of, shopper_of
from fashion_search.wishes import read_wish
from motion.server import Served, event_stream, in_thread, json_text

router = APIRouter(prefix="/api")

COMPONENT = "ImageRetrieval"
SHOWN = 24
ENDED = "end"
SILENCE_S = 90.0
"""A model that says nothing for so long gives up."""

Shop = Literal["NORDSTROM", "REVOLVE", "BLOOMINGDALES"]
Word = Annotated[str, Field(max_length=30)]


class Narrowed(BaseModel):
    """What the answers have to be."""

    model_config = ConfigDict(extra="forbid")

    retailer: Shop | None = None
    colour: Word | None = None
    kind: Word | None = None

    def where(self) -> dict[str, str]:
        return {key: value for key, value in self.model_dump().items() if value is not None}


class Question(Narrowed):
    """A question, as somebody typed it."""

    query: str = Field(min_length=1, max_length=300, pattern=r"\S")


class LikeThis(Narrowed):
    """A product that others are to look like."""

    product: int = Field(ge=0, le=2**63 - 1)


def _on(request: Request) -> Served:
    found: Served = request.app.state.served
    return found


@router.get("/shop")
async def shop(request: Request) -> Response:
    """Say what can be filtered by, and how much is there."""
    store, who = _on(request).store, shopper_of(request)

    def told() -> dict[str, Any]:
        counted = store.sql(
            "SELECT kind, colour, COUNT(*) AS count FROM retailer WHERE img_embedding IS NOT NULL GROUP BY kind, colour"
        ).to_pylist()
        products = {
            name: {row[name] for row in counted if row[name] is not None}
            for name in ("kind", "colour")
        }
        return {
            "products": sum(row["count"] for row in counted),
            "kinds": [each for each in KINDS if each in products["kind"]],
            "colours": sorted(products["colour"]),
            "liked": sum(opinions_of(store, who).values()),
        }

    return JSONResponse(await in_thread(told))


@router.post("/questions")
async def ask(request: Request, asked: Question) -> Response:
    """Begin to answer a question; what comes of it is sent by its events."""
    store, who = _on(request).store, shopper_of(request)

    def begun() -> dict[str, Any]:
        change = store.set(
            "query", query=asked.query, src=QuerySource.ONLINE, shopper=who,
            narrowed=Narrowed(**asked.model_dump(exclude={"query"})).where() or None,
        )  # fmt: skip
        wish = read_wish(asked.query, stock_of(store).words, english_words().__contains__)
        return {"id": change.id, "change": change.key, "understood": wish.told()}

    return JSONResponse(await in_thread(begun))


@router.get("/questions/{id}/events")
async def events(
    request: Request,
    id: Annotated[int, Path(ge=0, le=2**63 - 1)],
    change: Annotated[int, Query(ge=0, le=2**63 - 1)],
    last_event_id: Annotated[str | None, Header()] = None,
) -> Response:
    """Send a question's ideas and what is found for each, as they are made. Who lost the stream is sent all of it again:
    each event names its place."""
    if last_event_id == ENDED:
        return Response(status_code=204)  # upon which a browser does not ask again
    on, who = _on(request), shopper_of(request)
    row = await in_thread(on.store.get, QuerySchema, id)
    if row is None or row.shopper != who:
        return JSONResponse({"error": "there is no such question of yours"}, 404)
    if on.streams >= on.limits.streams:
        return JSONResponse({"error": "too many are looking"}, 503, {"retry-after": "1"})
    found = await in_thread(on.store.change, change, table="query", ids=[id])
    return event_stream(_events(on, found, who))


async def _events(
    on: Served, change: motion.Change, who: str | None
) -> AsyncIterator[ServerSentEvent]:
    coming: asyncio.Queue[tuple[str, QuerySchema] | None] = asyncio.Queue()

    async def pass_on(key: str) -> None:
        async for row in change.stream(key, timeout=SILENCE_S, raise_errors=False):
            await coming.put((key, row))

    async def pass_on_all() -> None:
        try:
            await asyncio.gather(pass_on("text_suggestion"), pass_on("img_id"))
        finally:
            await coming.put(None)

    on.streams += 1
    passing = asyncio.create_task(pass_on_all())
    stopping = asyncio.create_task(_stop(on, coming))
    told = _Told(on.store, who)
    try:
        while (given := await coming.get()) is not None:
            for event in await in_thread(told.of, *given):
                yield event
        if not on.stopping.is_set():
            yield _event(ENDED, await in_thread(_failures, change), ENDED)
    finally:
        on.streams -= 1
        passing.cancel()
        stopping.cancel()
        await asyncio.gather(passing, stopping, return_exceptions=True)


async def _stop(on: Served, coming: asyncio.Queue[Any]) -> None:
    await on.stopping.wait()
    await coming.put(None)


class _Told:
    """What has been told of one question."""

    def __init__(self, store: motion.Store, who: str | None) -> None:
        self._store, self._ideas = store, set[int]()
        self._opinions = opinions_of(store, who)
        self._versions: dict[int, int | None] = {}

    def of(self, key: str, row: QuerySchema) -> list[ServerSentEvent]:
        idea, events = row.text_suggestion_page, []
        if idea not in self._ideas:
            self._ideas.add(idea)
            told = {
                "idea": idea,
                "text": row.text_suggestion,
                "is_title": idea == 0 and _is_title(row),
            }
            events.append(_event("idea", told))
        if key == "img_id":
            events += [
                _event("found", {
                    "idea": idea, "place": row.img_id_page, "version": self._version(row), "card": each,
                    "answer": f"{row.id}.{idea}.{row.img_id_page}",
                })
                for each in liked_first(cards(self._store, [row.img_id]), self._opinions)
            ]  # fmt: skip
        return events

    def _version(self, row: QuerySchema) -> int | None:
        """Return which version answered an idea."""
        idea = row.text_suggestion_page
        if idea not in self._versions:
            made = self._store.explain(
                "query", row.id, "img_id", text_suggestion_page=idea, img_id_page=row.img_id_page
            )
            self._versions[idea] = made.version
        return self._versions[idea]


def _is_title(row: QuerySchema) -> bool:
    """Whether the query itself is for no thing to wear, so that its words stand above what goes with it."""
    return kind_of_text(row.text_suggestion) is not Kind.THING


def _failures(change: motion.Change) -> dict[str, Any]:
    """Say what of a question could not be answered, in a shopper's words."""
    letters = change.errors
    return {
        "failed": len(letters),
        "foreign": any("NotUnderstood" in each.error for each in letters),
    }


def _event(kind: str, what: Any, id: str | None = None) -> ServerSentEvent:
    return ServerSentEvent(data=json_text(what), event=kind, id=id)


# -- pictures --


@router.post("/like-this")
async def like_this(request: Request, wanted: LikeThis) -> Response:
    """Find what looks like a product."""
    store, who = _on(request).store, shopper_of(request)

    def found() -> dict[str, Any] | None:
        with store.model(COMPONENT).live() as (_, view):
            row = view.get(RetailerSchema, wanted.product)
            if row is None or row.img_embedding is None:
                return None
            where = Narrowed(**wanted.model_dump(exclude={"product"})).where()
            hits = _nearest(view, row.img_embedding, where, without=row.id)
            return _answer(store, who, hits, like=row.title)

    answer = await in_thread(found)
    return (
        JSONResponse(answer) if answer else JSONResponse({"error": "it is not there any more"}, 404)
    )


@router.post("/like-picture")
async def like_picture(
    request: Request,
    retailer: Shop | None = None,
    colour: Word | None = None,
    kind: Word | None = None,
) -> Response:
    """Find what looks like a picture, which is not kept."""
    store, who, picture = _on(request).store, shopper_of(request), await request.body()
    where = Narrowed(retailer=retailer, colour=colour, kind=kind).where()

    def found() -> dict[str, Any]:
        with store.model(COMPONENT).live() as (heads, view):
            vector = heads.looks(trunk_of(heads.trunk).look([picture]))[0]
            return _answer(store, who, _nearest(view, vector, where))

    try:
        return JSONResponse(await in_thread(found))
    except UnreadableImage:
        return JSONResponse({"error": "that is no picture that can be read here"}, 415)


def _nearest(
    view: Any, vector: Any, where: Mapping[str, str], without: int | None = None
) -> list[int]:
    condition = " AND ".join(f"{key} = ?" for key in where) or None
    hits = view.search(
        "retailer.img_embedding", vector, table=RetailerSchema, k=3 * SHOWN, where=condition,
        params=list(where.values()), keys=["title"],
    )  # fmt: skip
    titles: dict[str, int] = {}
    kept = []
    for hit in hits:
        title = (hit.row.title or "").casefold()
        titles[title] = titles.get(title, 0) + 1
        if hit.id != without and titles[title] <= OF_ONE_TITLE:
            kept.append(hit.id)
    return kept[:SHOWN]


def _answer(
    store: motion.Store, who: str | None, ids: list[int], like: str | None = None
) -> dict[str, Any]:
    return {
        "version": store.status().versions[COMPONENT],
        "like": like,
        "cards": liked_first(cards(store, ids), opinions_of(store, who)),
    }
