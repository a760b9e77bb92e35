"""The shop in a browser: an application of its own over a store, made of Motion's HTTP pieces and FastAPI.

`asking` answers questions while they are answered, `likings` takes what shoppers say, `learning` tells what the encoders
are doing, `cards` what of a product is shown, `page` gives the page and its files. `static/` is plain HTML, CSS and
JavaScript, with nothing to build and nothing from elsewhere.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI

import motion
from fashion_search.web import asking, learning, likings, page
from motion.server import Guard, Limits, Served, Tokens, answer_errors

LIMITS = Limits(body_bytes=12 * 2**20, rate="3000/min", streams=500)
"""A picture from a phone goes through, and no more."""


def create_shop(store: motion.Store) -> FastAPI:
    """Return the shop's application, for `motion.server.serve(store, app=...)`: for this machine only."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        yield
        app.state.served.stopping.set()

    app = FastAPI(title="Fashion search", lifespan=lifespan, docs_url=None, redoc_url=None, openapi_url=None)  # fmt: skip
    app.state.served = Served(store, LIMITS)
    app.state.learning = learning.feed()
    answer_errors(app)
    for each in (asking, likings, learning, page):
        app.include_router(each.router)
    app.add_middleware(Guard, tokens=Tokens(), limits=LIMITS)
    return app
