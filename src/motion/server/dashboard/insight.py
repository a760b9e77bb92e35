"""Insight: what the dashboard asks for beside the API: the pipeline, the course of a change, a model's steps, two versions side
by side, and what was given up, in groups."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from motion.background.tracebacks import headline, kind_in
from motion.definitions.tables import wire
from motion.definitions.tables.hidden import is_secret
from motion.definitions.tables.schema import Key
from motion.definitions.tasks import DeadLetter
from motion.definitions.values.codecs import INT64_MAX
from motion.errors import NotFound, UnknownTable
from motion.server.access.roles import Role
from motion.server.api import documents as docs
from motion.server.api.operations import letter_told
from motion.server.api.rows import id_of
from motion.server.api.serving import Served, hidden, in_thread, json, needs, role, served
from motion.store.changes.recent import ChangeTrace
from motion.store.store import Store

router = APIRouter(prefix="/v1", tags=["dashboard"])

MOST_LETTERS = 1_000
"""Rows that were given up, told and grouped at once; the status counts them all."""

SHOWN_ROWS, SHOWN_HITS = 3, 6
"""Rows whose nearest ones are shown of two versions, and how many."""

VALUES = re.compile(r"'[^']*'|\"[^\"]*\"|\d+")
"""What in an error's text is of one row."""

Number = Annotated[int, Field(ge=0, le=INT64_MAX)]

READ = [needs(Role.READ)]

MOST_ROWS = 100
"""Rows of a table that are asked about at once: as many as the page shows."""


class Letters(BaseModel):
    """Rows that were given up, by their tasks."""

    model_config = ConfigDict(extra="forbid")

    tasks: list[Number] = Field(max_length=MOST_LETTERS)


class Named(BaseModel):
    """A row, by its id and those page keys that are not 0."""

    model_config = ConfigDict(extra="forbid")

    id: Annotated[int, Field(ge=-INT64_MAX, le=INT64_MAX)] | str
    pages: dict[str, Number] = {}


class Asked(BaseModel):
    """Rows of a table."""

    model_config = ConfigDict(extra="forbid")

    rows: list[Named] = Field(max_length=MOST_ROWS)


@router.post("/tables/{table}/stale", dependencies=READ, responses=docs.answers(docs.ANYTHING))
async def stale(request: Request, table: str, asked: Asked) -> Response:
    """Say of some rows which values other code has made than the present one."""
    store, hides = served(request).store, hidden(request) or (lambda key: False)
    served(request).table(table)

    def keys_of(row: Named, keys: Iterable[str]) -> list[str]:
        found = {key: store.explain(table, row.id, key, **row.pages) for key in keys}
        return [key for key, each in found.items() if each.is_row and not each.is_current]

    def told() -> dict[str, Any]:
        triggers = store.status().triggers
        suspects = [
            path.partition(".")[2]
            for each in store.pipeline().triggers
            if each.name in triggers and triggers[each.name].stale
            for path in each.sets
            if path.partition(".")[0] == table and not hides(path.partition(".")[2])
        ]
        rows = asked.rows if suspects else []
        return {"rows": [{**row.model_dump(), "keys": keys_of(row, suspects)} for row in rows]}

    return json(await in_thread(told))


@router.get("/pipeline/edges", dependencies=READ, responses=docs.answers(docs.ANYTHING))
async def edges(request: Request) -> Response:
    """Say what of the pipeline leads to what, as it can be drawn."""
    found = await in_thread(served(request).store.pipeline)
    return json({"edges": [asdict(each) for each in found.edges]})


@router.get("/changes/{key}/trace", dependencies=READ, responses=docs.answers(docs.ANYTHING))
async def trace(request: Request, key: Number) -> Response:
    """Tell the course of a change, as this process saw it: null where it did not, or long ago."""
    store, to = served(request).store, role(request)

    def told() -> dict[str, Any]:
        change = store.change(key)
        found = change.trace()
        letters = [letter_told(each, to) for each in change.errors[:MOST_LETTERS]]
        return {"trace": found and trace_told(found, to), "errors": letters}

    return json(await in_thread(told))


def trace_told(found: ChangeTrace, to: Role, *, with_runs: bool = True) -> dict[str, Any]:
    """Return of a change's course what somebody is told; errors are told by their kind to who only reads."""
    runs = [
        {**asdict(run), "id": wire.plain(run.id), "error": _error(run.error, to)}
        for run in (found.runs if with_runs else ())
    ]
    return {
        "key": found.key, "verb": found.verb, "table": found.table, "id": wire.plain(found.id), "count": found.count,
        "at": found.at, "seconds": found.seconds, "remaining": found.remaining, "failed": found.failed,
        "runs": runs, "run_count": len(found.runs), "beyond": dict(found.beyond),
        "triggers": sorted({run.trigger for run in found.runs}),
    }  # fmt: skip


def _error(error: str | None, to: Role) -> str | None:
    return kind_in(error) if error and to is Role.READ else error


# -- what was given up --


@router.get("/problems", dependencies=READ, responses=docs.answers(docs.ANYTHING))
async def problems(request: Request) -> Response:
    """List the rows that were given up, in groups by trigger and error: the first thousand, with an example of each."""
    store, to = served(request).store, role(request)

    def told() -> dict[str, Any]:
        letters = store.errors(limit=MOST_LETTERS)
        return {"groups": list(groups(letters, to)), "told": len(letters), "limit": MOST_LETTERS}

    return json(await in_thread(told))


def groups(letters: Iterable[DeadLetter], to: Role) -> Iterable[dict[str, Any]]:
    """Give letters in groups by trigger and the last line of the traceback, whatever values it names, those of the most
    rows first."""
    found: dict[tuple[str, str], list[DeadLetter]] = {}
    for letter in letters:
        found.setdefault(
            (letter.trigger, VALUES.sub("…", _error(headline(letter.error), to) or "")), []
        ).append(letter)
    for (trigger, kind), alike in sorted(found.items(), key=lambda item: -len(item[1])):
        texts = {headline(each.error) for each in alike}
        error = _error(texts.pop(), to) if len(texts) == 1 else kind
        times = [each.at for each in alike if each.at is not None]
        yield {
            "trigger": trigger, "table": alike[0].table, "error": error, "rows": len(alike),
            "first": min(times, default=None), "last": max(times, default=None),
            "letters": [
                {"task": each.task, "row": each.row, "attempts": each.attempts, "at": each.at, "change": each.change}
                for each in alike
            ],
            "example": letter_told(alike[0], to),
        }  # fmt: skip


@router.get("/problems/{task}", dependencies=READ, responses=docs.answers(docs.ANYTHING))
async def problem(request: Request, task: Number) -> Response:
    """Tell of one row that was given up all that may be told."""
    store = served(request).store

    def found() -> DeadLetter:
        before = DeadLetter(task - 1, "", "", "", 0, "", "")
        letter = next(iter(store.errors(limit=1, after=before)), None)
        if letter is None or letter.task != task:
            raise NotFound(f"no row is given up in task {task}.")
        return letter

    letter = await in_thread(found)
    return json({**letter_told(letter, role(request)), "at": letter.at, "change": letter.change})


@router.post(
    "/problems/retry", dependencies=[needs(Role.WRITE)], responses=docs.answers(docs.ANYTHING)
)
async def retry(request: Request, wanted: Letters) -> Response:
    """Try rows again that were given up, with the same inputs; say how many."""
    store = served(request).store
    letters = [DeadLetter(task, "", "", "", 0, "", "") for task in wanted.tasks]
    return json({"rows": await in_thread(store.retry, letters)})


# -- models --


@router.get("/models/{component}/status", dependencies=READ, responses=docs.answers(docs.ANYTHING))
async def model_status(request: Request, component: str) -> Response:
    """Say how far a component's candidate is, and which labels are there and wanted."""
    model = served(request).store.model(component)
    return json(asdict(await in_thread(model.status)))


@router.get("/models/{component}/compare", dependencies=READ, responses=docs.answers(docs.ANYTHING))
async def compare(
    request: Request,
    component: str,
    a: Number,
    b: Number,
    id: Annotated[
        list[str] | None, Query(description="of rows to ask for; some where left out")
    ] = None,
) -> Response:
    """Show what two versions make of the same rows: the nearest ones by each version's own vectors, or the values."""
    on = served(request)
    hides = hidden(request)
    return json(await in_thread(_compared, on, component, (a, b), id, hides is not None))


def _compared(
    on: Served, component: str, numbers: tuple[int, int], ids: list[str] | None, hides: bool
) -> dict[str, Any]:
    kept = [
        path
        for trigger in on.store.pipeline().triggers
        if trigger.component == component and trigger.refresh == "before"
        for path in trigger.sets
    ]
    if not kept:
        return {"keys": [], "table": None, "of": []}
    name, _, key = kept[0].partition(".")
    asked = [id_of(on.table(name), each) for each in ids or ()]
    asked = asked or [row.id for row in on.store.rows(name, limit=SHOWN_ROWS, keys=[])]
    found: list[dict[str, Any]] = []
    for number in numbers:
        with on.store.model(component).at(number) as (_, view):
            found += [_seen(on.table(name).keys[key], view, number, each, hides) for each in asked]
    return {"keys": kept, "table": name, "of": found}


def _seen(key: Key, view: Any, number: int, row_id: Any, hides: bool) -> dict[str, Any]:
    """Return what a version makes of a row: the rows nearest to it by that version's vectors, or the value itself."""
    row = view.get(key.table, row_id)
    value = None if row is None else getattr(row, key.name)
    told: dict[str, Any] = {"version": number, "id": wire.plain(row_id)}
    if not key.is_array or value is None:
        return {**told, "value": None if hides and is_secret(key.name) else wire.plain(value)}
    hits = view.search(f"{key.table}.{key.name}", value, k=SHOWN_HITS + 1)
    nearest = [each for each in hits if each.id != row_id][:SHOWN_HITS]
    return {
        **told,
        "hits": [
            {"id": wire.plain(each.id), "pages": dict(each.pages), "score": each.score} for each in nearest
        ],
    }  # fmt: skip


def counts(store: Store) -> Mapping[str, tuple[int, bool]]:
    """Return about how many rows each table has, and whether that is exact."""
    found = {}
    for table in store.pipeline().tables:
        try:
            found[table.name] = tuple(store.row_count(table.name))
        except UnknownTable:  # noted by a newer version
            continue
    return found  # type: ignore[return-value]  # a RowCount is such a pair
