"""Likings: what shoppers say of products, and what they said. One sentence teaches two: the encoders, and the shopper's taste."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Path, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field

import motion
from fashion_search.answers import NoSuchAnswer, row_of_answer
from fashion_search.tables import RetailerSchema
from fashion_search.taste import Taste, say
from fashion_search.web.cards import KEYS, cards, liked_first, thumbnail
from fashion_search.web.shoppers import opinions_of, shopper_of
from motion.server import Served, in_thread

router = APIRouter()


class Opinion(BaseModel):
    """What somebody thinks of a product; `liked` None takes it back."""

    model_config = ConfigDict(extra="forbid")

    product: int = Field(ge=0, le=2**63 - 1)
    liked: bool | None
    answer: str | None = Field(None, max_length=60)


@router.post("/api/opinions")
async def opinion(request: Request, said: Opinion) -> Response:
    """Take what a shopper says of a product, and of the answer that it was."""
    served: Served = request.app.state.served
    store, who = served.store, shopper_of(request)
    if who is None:
        return JSONResponse({"error": "open the page first"}, 403)

    def kept() -> dict[str, Any] | None:
        product = next(iter(store.rows(RetailerSchema, id=said.product, keys=KEYS)), None)
        if product is None:
            return None
        row = _answered(store, who, said)
        with store.transaction() as tx:
            say(tx, who, product, said.liked)
            if row is not None:
                tx.set(row, feedback=said.liked)
        return {"liked": sum(opinions_of(store, who).values())}

    told = await in_thread(kept)
    return JSONResponse(told) if told else JSONResponse({"error": "it is not there any more"}, 404)


def _answered(store: motion.Store, who: str, said: Opinion) -> Any:
    """Return the row of the answer that is judged, None where there is none of this shopper's."""
    try:
        row = row_of_answer(store, said.answer) if said.answer else None
    except NoSuchAnswer:
        return None
    return row if row is not None and row.shopper == who and row.img_id == said.product else None


@router.get("/api/liked")
async def liked(request: Request) -> Response:
    """Show what a shopper likes, the latest first, and what that tells of their taste."""
    served: Served = request.app.state.served
    store, who = served.store, shopper_of(request)

    def told() -> dict[str, Any]:
        opinions, taste = opinions_of(store, who), Taste.of(store, who)
        ids = [product for product, is_liked in opinions.items() if is_liked]
        return {
            "cards": liked_first(cards(store, ids[:200]), opinions),
            "likes": taste.likes(), "avoids": taste.avoids(),
        }  # fmt: skip

    return JSONResponse(await in_thread(told))


@router.get("/pictures/{id}")
async def picture(request: Request, id: Annotated[int, Path(ge=0, le=2**63 - 1)]) -> Response:
    """Show a product's picture, small."""
    served: Served = request.app.state.served

    def found() -> bytes | None:
        row = next(iter(served.store.rows(RetailerSchema, id=id, keys=["image"])), None)
        return thumbnail(row.image) if row is not None and row.image else None

    image = await in_thread(found)
    if image is None:
        return JSONResponse({"error": "there is no picture"}, 404)
    return Response(
        image, media_type="image/jpeg", headers={"cache-control": "private, max-age=600"}
    )
