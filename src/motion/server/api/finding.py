"""Routes that find things out: search, SQL that only reads, and where a value came from."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from motion.definitions.tables import wire
from motion.definitions.tables.hidden import is_secret
from motion.definitions.tables.schema import Table
from motion.errors import InvalidArgument, NotAllowed, SqlError
from motion.persistence.arrow import values_of
from motion.persistence.rows import asking
from motion.server.access.roles import Role
from motion.server.api import documents as docs
from motion.server.api.rows import Wanted, named, names_in, shown, sight
from motion.server.api.serving import (
    Served,
    arrow,
    hidden,
    in_thread,
    json,
    needs,
    served,
    wants_arrow,
)

MOST_FILTERED = 100_000
"""Rows that a condition in SQL may hold for, where a search looks among them."""

router = APIRouter(prefix="/v1", tags=["finding"])


class Search(BaseModel):
    """What is searched for, and where."""

    model_config = ConfigDict(extra="forbid")

    key: str | list[str] = Field(examples=["retailer.img_embedding"])
    vector: list[float] | None = None
    text: str | None = None
    k: int = Field(10, ge=1)
    where: str | dict[str, Any] | None = None
    params: list[Any] = []
    keys: list[str] | None = Field(None, description="of the rows to give; all where left out")


class Sql(BaseModel):
    """SQL that only reads."""

    model_config = ConfigDict(extra="forbid")

    query: str = Field(examples=["select count(*) from retailer"])
    params: list[Any] = []
    limit: int | None = Field(None, ge=0)
    timeout: float | None = Field(None, gt=0)


@router.post(
    "/search",
    dependencies=[needs(Role.READ)],
    responses=docs.answers(docs.HITS, told="The rows that fit best, best first."),
)
async def search(request: Request, wanted: Search) -> Response:
    """Search by vector, by text, or by both: rows that fit best, best first."""
    on = served(request)
    if wanted.k > on.limits.k:
        raise InvalidArgument("k", str(wanted.k), f"at most {on.limits.k}")
    path = wanted.key if isinstance(wanted.key, str) else next(iter(wanted.key), "")
    of = on.table(path.partition(".")[0])
    keys = [wanted.key] if isinstance(wanted.key, str) else wanted.key
    if hidden(request) is not None and any(is_secret(each.rpartition(".")[2]) for each in keys):
        raise NotAllowed("this key is not shown to who only reads.")
    names = None if wanted.keys is None else names_in(of, ",".join(wanted.keys))
    hits = await in_thread(_hits, on, of, wanted, names, sight(request))
    found = [
        {"id": hit.id, "pages": hit.pages, "score": wire.plain(hit.score), "row": shown(request, of, hit.row, names)}
        for hit in hits
    ]  # fmt: skip
    return json({"hits": found})


def _hits(on: Served, of: Table, wanted: Search, names: list[str] | None, sees: Any) -> list[Any]:
    where: Any = wanted.where
    params: list[Any] = wanted.params
    if where is not None:
        asked = Wanted(of, None, where, params, None, MOST_FILTERED, True)
        rows = asked.names(on, sees, MOST_FILTERED + 1)
        if len(rows) > MOST_FILTERED:
            raise SqlError(str(where), f"it holds for more than {MOST_FILTERED} rows; narrow it")
        where, params = asking.among(of, rows)
    vector = None if wanted.vector is None else wire.vector_of(wanted.vector)
    return on.store.search(wanted.key, vector, text=wanted.text, k=wanted.k, where=where, params=params, keys=names)  # fmt: skip


@router.post(
    "/sql", dependencies=[needs(Role.READ)], responses=docs.answers(docs.TABLE, arrow=True)
)
async def sql(request: Request, wanted: Sql) -> Response:
    """Answer SQL that reads, in time, as JSON or as an Arrow stream (Accept: application/vnd.apache.arrow.stream). Where the
    result has more rows than the server gives, `more` is true, and so is the header `motion-more`."""
    on = served(request)
    limits = on.limits
    params = [wire.parameter_of(each) for each in wanted.params]
    is_ours = wanted.limit is None or wanted.limit > limits.rows
    found = await in_thread(
        on.store.sql, wanted.query, params, sees=sight(request),
        timeout=min(wanted.timeout or limits.sql_seconds, limits.sql_seconds),
        limit=limits.rows + 1 if is_ours else wanted.limit,
    )  # fmt: skip
    more = is_ours and len(found) > limits.rows
    found = found.slice(0, limits.rows)
    if wants_arrow(request):
        return arrow(found, {wire.MORE: "true"} if more else {})
    columns = [wire.plain(values_of(column)) for column in found.columns]
    rows = list(zip(*columns, strict=True)) if columns else []
    return json({"columns": found.column_names, "rows": rows, "more": more})


@router.get(
    "/tables/{table}/explain",
    dependencies=[needs(Role.READ)],
    responses=docs.answers(docs.ANYTHING),
)
async def explain(request: Request, table: str, id: str, key: str) -> Response:
    """Say where a value came from: trigger, code, state version and inputs, back to what was given from outside."""
    on = served(request)
    of = on.table(table)
    of.key(key)
    name = named(of, id, request, ("key",))
    pages = {page: name[page] for page in of.page_keys}
    found = await in_thread(on.store.explain, of.name, name["id"], key, **pages)
    return json(explanation_told(found, hidden(request) is not None))


def explanation_told(found: Any, hides_secrets: bool) -> dict[str, Any]:
    is_hidden = hides_secrets and is_secret(found.key)
    return {
        "table": found.table, "key": found.key, "id": wire.plain(found.id), "pages": dict(found.pages),
        "is_row": found.is_row, "value": None if is_hidden else wire.plain(found.value), "made_by": found.made_by,
        "fingerprint": found.fingerprint, "is_current": found.is_current, "is_due": found.is_due,
        "was_away": found.was_away,
        "has_changed": found.has_changed, "now": None if found.now is None else explanation_told(found.now, hides_secrets),
        "version": found.version, "change": found.change, "at": found.at,
        "seconds": found.seconds, "labels": [label_told(each) for each in found.labels],
        "inputs": [explanation_told(each, hides_secrets) for each in found.inputs],
        "effects": [asdict(each) for each in found.effects],
        "follows": [{**asdict(each), "id": wire.plain(each.id)} for each in found.follows],
        "held": [_held_told(each, hides_secrets) for each in found.held],
    }  # fmt: skip


def _held_told(held: Any, hides_secrets: bool) -> dict[str, Any]:
    def shown(key: str, value: Any) -> Any:
        return None if hides_secrets and is_secret(key) else wire.plain(value)

    rows = [
        {
            "id": wire.plain(each.id), "pages": dict(each.pages), "order": shown(held.order, each.order), "has_changed": each.has_changed,
            "values": {key: shown(key, value) for key, value in each.values.items()},
        }
        for each in held.rows
    ]  # fmt: skip
    return {
        "table": held.table, "keys": held.keys, "by": held.by, "entity": shown(held.by, held.entity), "order": held.order,
        "count": held.count, "rows": rows, "has_changed": held.has_changed,
    }  # fmt: skip


def label_told(label: Any) -> dict[str, Any]:
    return {"id": wire.plain(label.id), "pages": dict(label.pages)}
