"""Routes of rows: what tables there are; reading, setting and deleting."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import pyarrow as pa
from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from motion.definitions.tables import wire
from motion.definitions.tables.hidden import is_secret
from motion.definitions.tables.schema import Key, Table
from motion.definitions.values.codecs import INT64_MAX
from motion.errors import InvalidArgument, NotAllowed, NotFound, shortened
from motion.persistence.database import check_condition
from motion.persistence.inputs.exact import order_of
from motion.persistence.rows import asking
from motion.server.access.problems import told
from motion.server.access.roles import Role
from motion.server.api import documents as docs
from motion.server.api.media import media_of
from motion.server.api.serving import (
    ARROW,
    JSON,
    Served,
    arrow,
    body_of,
    content_type,
    hidden,
    in_thread,
    json,
    needs,
    parsed,
    role,
    served,
    wants_arrow,
)
from motion.views.ingest import COMMIT_EVERY

NDJSON = "application/x-ndjson"

PAGE = "a page key of the table, an int; 0 where it is left out"

router = APIRouter(prefix="/v1", tags=["rows"])


# -- what there is --


@router.get("/tables", dependencies=[needs(Role.READ)], responses=docs.answers(docs.ANYTHING))
async def tables(request: Request) -> Response:
    """List the tables and their keys."""
    hides = hidden(request)
    found = {}
    for table in served(request).store._database.tables:
        keys = [key_told(table, each, hides is not None) for each in table.keys.values()]
        found[table.name] = {"primary_key": list(table.primary_key), "keys": keys}
    return json({"tables": found})


def key_told(table: Table, key: Key, hides_secrets: bool) -> dict[str, Any]:
    return {
        "name": key.name, "type": key.codec.signature, "takes": key.codec.expected, "is_page": key.is_page,
        "is_array": key.is_array, "dim": key.dim, "metric": key.metric if key.dim else None,
        "is_hidden": hides_secrets and is_secret(key.name), "json": wire.schema_of(key),
    }  # fmt: skip


@router.get(
    "/tables/{table}/count", dependencies=[needs(Role.READ)], responses=docs.answers(docs.ANYTHING)
)
async def count(request: Request, table: str) -> Response:
    """Say about how many rows a table has, at once."""
    return json((await in_thread(served(request).store.row_count, table))._asdict())


# -- one row --


@router.get(
    "/tables/{table}/row",
    dependencies=[needs(Role.READ)],
    responses=docs.answers(docs.ROW, told="The row, with the keys that it inherits."),
)
async def get_row(
    request: Request,
    table: str,
    id: str,
    keys: Annotated[str | None, Query(description="names with commas; all where left out")] = None,
    inherit: bool = True,
) -> Response:
    """Give one row. Page keys are given as parameters of their names; 0 where left out."""
    of = served(request).table(table)
    name = named(of, id, request, ("keys", "inherit"))
    row = await in_thread(found_row, served(request), of, name, names_in(of, keys), inherit)
    return json(shown(request, of, row, names_in(of, keys)))


def found_row(
    on: Served, table: Table, name: Mapping[str, Any], keys: list[str] | None, inherit: bool = True
) -> Any:
    pages = {page: name[page] for page in table.page_keys}
    row = on.store.get(table.name, name["id"], keys=keys, inherit=inherit, **pages)
    if row is None:
        raise NotFound(f"table {table.name!r} has no row {dict(name)}.")
    return row


@router.post(
    "/tables/{table}/row",
    dependencies=[needs(Role.WRITE)],
    responses=docs.answers(docs.CHANGE, told="The change, durable now; what follows from it goes on."),
    openapi_extra=docs.takes(docs.ROW, example={"query": "red dress"}),
)  # fmt: skip
async def set_row(request: Request, table: str) -> Response:
    """Set keys of one row and fire triggers: a JSON object of keys. `id` left out makes a new row, null unsets a key.

    Beside keys: `force`, to run triggers although nothing changed; `if_unchanged`, the row as it was read, to write only if
    it is still so.
    """
    on = served(request)
    of = on.table(table)
    given = await body_of(request)
    if not isinstance(given, dict):
        raise InvalidArgument("body", shortened(given), "a JSON object of keys")
    change = await in_thread(set_given, on.store, of, given)
    return json(change_told(change))


def set_given(to: Any, table: Table, given: dict[str, Any]) -> Any:
    """Set keys of one row in a store, or in a transaction."""
    options = {each: given.pop(each) for each in ("force", "if_unchanged") if each in given}
    read, values = options.get("if_unchanged"), wire.values_of(table, given)
    if read is None or read is False:
        return to.set(table.name, force=options.get("force", False), **values)
    if not isinstance(read, dict) or set(read) != set(table.keys):
        raise InvalidArgument(
            "if_unchanged", shortened(read), "the row as it was read, all its keys"
        )
    row = wire.row_of(table, read)
    return to.set(row, force=options.get("force", False), if_unchanged=True, **values)


@router.delete(
    "/tables/{table}/row", dependencies=[needs(Role.WRITE)], responses=docs.answers(docs.CHANGE)
)
async def delete_row(request: Request, table: str, id: str) -> Response:
    """Delete a row with all its pages, what was derived from it, its vectors and its labels."""
    on = served(request)
    of = on.table(table)
    change = await in_thread(on.store.delete, of.name, id_of(of, id))
    return json(change_told(change))


@router.post(
    "/tables/{table}/forget",
    dependencies=[needs(Role.ADMIN)],
    responses=docs.answers(docs.ANYTHING),
)
async def forget_rows(
    request: Request,
    table: str,
    id: Annotated[list[str], Query(description="of a row; several are forgotten together")],
    models: Annotated[
        Literal["refit"] | None, Query(description="ask for fits without what is forgotten")
    ] = None,
) -> Response:
    """Delete rows, and take out all that the store holds of them, to the last byte of its folder. It answers when that is
    done: which rows are gone, how many labels, and which state versions learned from them."""
    on = served(request)
    of = on.table(table)
    ids = [id_of(of, each) for each in id]
    return json(vars(await in_thread(on.store.forget, of.name, ids, models=models)))


@router.get(
    "/tables/{table}/value",
    dependencies=[needs(Role.READ)],
    responses={
        **docs.answers(docs.ANYTHING, told="The value: an image as itself, other bytes as they are, the rest as JSON."),
        304: {"description": "It is still the one with the ETag given."},
    },
)  # fmt: skip
async def get_value(request: Request, table: str, id: str, key: str) -> Response:
    """Give one value: an image as itself, other bytes as they are, all else as JSON. Page keys are parameters."""
    of = served(request).table(table)
    named_key = of.key(key)
    if hidden(request) is not None and is_secret(key):
        raise NotAllowed(f"{table}.{key} is not shown to who only reads.")
    name = named(of, id, request, ("key",))
    row = await in_thread(found_row, served(request), of, name, [key])
    return media_of(request, named_key, getattr(row, key))


# -- many rows --


@router.get(
    "/tables/{table}/rows",
    dependencies=[needs(Role.READ)],
    responses=docs.answers(docs.ROWS, arrow=True),
)
async def get_rows(
    request: Request,
    table: str,
    id: Annotated[str | None, Query(description="only the pages of this id")] = None,
    where: Annotated[
        str | None,
        Query(
            description='SQL with ? for values, or a JSON object of equalities: {"shop": "North"}'
        ),
    ] = None,
    values: Annotated[str | None, Query(description="a JSON list: one for each ?")] = None,
    params: Annotated[str | None, Query(include_in_schema=False)] = None,  # older clients say so
    order_by: Annotated[str | None, Query(description="keys, each with DESC or not")] = None,
    limit: Annotated[int | None, Query(ge=0)] = None,
    keys: Annotated[str | None, Query(description="names with commas; all where left out")] = None,
    inherit: bool = True,
    after: Annotated[str | None, Query(description="what the answer before gave as next")] = None,
) -> Response:
    """Give rows, with the keys that they inherit; by id and page keys where no order is given."""
    on = served(request)
    of = on.table(table)
    wanted = Wanted(
        of, None if id is None else id_of(of, id), *condition(where, params if values is None else values),
        order_by, count_of(on, limit), inherit, after,
    )  # fmt: skip
    names = names_in(of, keys)
    answer = await in_thread(wanted.rows, on, sight(request), names)
    found = [shown(request, of, each, names) for each in answer.rows]
    if wants_arrow(request):
        return arrow(await in_thread(pa.Table.from_pylist, found))
    return json({"rows": found, "next": answer.following, "more": answer.more})


class Asked(BaseModel):
    """Which rows are asked for."""

    model_config = ConfigDict(extra="forbid")

    table: str = Field(examples=["query"])
    id: int | str | None = Field(None, description="only the pages of this id")
    where: str | dict[str, Any] | None = None
    params: list[Any] = Field([], description="one for each ? of where")
    order_by: str | None = Field(None, description="keys, each with DESC or not")
    limit: int | None = Field(None, ge=0)
    keys: list[str] | None = Field(None, description="of the rows to give; all where left out")
    inherit: bool = True
    after: str | None = Field(None, description="what the answer before gave as next")


@router.post("/rows", dependencies=[needs(Role.READ)], responses=docs.answers(docs.ROWS))
async def find_rows(request: Request, asked: Asked) -> Response:
    """Give rows, as `GET /v1/tables/{table}/rows` does, for questions of any length."""
    on = served(request)
    of = on.table(asked.table)
    wanted = Wanted(
        of, of.keys["id"].encode(asked.id), asked.where, asked.params, asked.order_by, count_of(on, asked.limit),
        asked.inherit, asked.after,
    )  # fmt: skip
    names = None if asked.keys is None else [of.key(each).name for each in asked.keys]
    answer = await in_thread(wanted.rows, on, sight(request), names)
    rows = [shown(request, of, each, names) for each in answer.rows]
    return json({"rows": rows, "next": answer.following, "more": answer.more})


def count_of(on: Served, limit: int | None) -> int:
    """Return how many rows an answer holds at most.

    Raises:
        InvalidArgument: more are asked for than the server gives.
    """
    count = on.limits.default_rows if limit is None else limit
    if count > on.limits.rows:
        raise InvalidArgument("limit", str(count), f"at most {on.limits.rows} rows at once")
    return count


def condition(where: str | None, given: str | None) -> tuple[Any, Sequence[Any]]:
    """Return `where` and its values as a store takes them."""
    values = [] if given is None else parsed("values", given)
    if not isinstance(values, list):
        raise InvalidArgument("values", shortened(given), "a JSON list")
    if where is not None and where.lstrip().startswith("{"):
        return parsed("where", where), values
    return where, values


def sight(request: Request) -> Literal["all", "rows", "shown"]:
    """Return what SQL of somebody sees."""
    return {Role.READ: "shown", Role.WRITE: "rows", Role.ADMIN: "all"}[role(request)]  # type: ignore[return-value]


@dataclass(frozen=True)
class Answer:
    """Rows that were asked for.

    Attributes:
        following: where those after them begin; None where none are, or an order of the asker's own does not tell it.
        more: whether there are any after them.
    """

    rows: list[Any]
    following: str | None
    more: bool


@dataclass(frozen=True)
class Wanted:
    """Which rows are asked for."""

    table: Table
    id: Any
    where: Any
    params: Sequence[Any]
    order_by: str | None
    limit: int
    inherit: bool
    after: str | None = None

    def rows(self, on: Served, sees: Any, keys: list[str] | None) -> Answer:
        """Return the rows.

        Which ones these are is asked by a query of the asker's own, within limits; then each is read by its name.
        """
        names = self.names(on, sees, self.limit + 1)
        more, names = len(names) > self.limit, names[: self.limit]
        pages = self.table.page_keys
        rows = []
        with on.store._database.backend.read():
            for row_id, *numbers in names:
                name = dict(zip(pages, numbers, strict=True))
                row = on.store.get(self.table.name, row_id, keys=keys, inherit=self.inherit, **name)
                if row is not None:
                    rows.append(row)
        goes_on = more and names and self.order_by is None
        return Answer(rows, wire.encoded(names[-1]).decode() if goes_on else None, more)

    def names(self, on: Served, sees: Any, limit: int) -> list[list[Any]]:
        """Return the ids and page keys of the rows."""
        query, values = asking.names_of_rows(
            self.table, self._conditions(), order_by=self.order_by, inherit=self.inherit
        )
        found = on.store.sql(
            query, values, timeout=on.limits.sql_seconds, limit=limit,
            sees="all" if self._is_ours else sees,
        )  # fmt: skip
        return [list(each) for each in zip(*(c.to_pylist() for c in found.columns), strict=True)]

    @property
    def _is_ours(self) -> bool:
        """Whether no SQL of the query is the asker's: keys that all may see, and values. Then there is nothing that it must not
        see, and no back end has to tell what it would read."""
        order = order_of(self.table, self.order_by)
        if order is None or isinstance(self.where, str):
            return False
        named = (*(self.where or ()), *(key for key, _ in order), *self.table.primary_key)
        return not any(map(is_secret, named))

    def _conditions(self) -> list[asking.Condition]:
        conditions = []
        check_condition(self.where, self.params)
        if isinstance(self.where, dict):
            for name, given in self.where.items():
                key = self.table.key(name)
                conditions.append(asking.equals(key, wire.value_of(key, given)))
        elif self.where is not None:
            params = [wire.parameter_of(each) for each in self.params]
            conditions.append(asking.Condition(self.where, params))
        if self.id is not None:
            conditions.append(asking.equals(self.table.keys["id"], self.id))
        if self.after is not None:
            conditions.append(asking.follows(self.table, self._after()))
        return conditions

    def _after(self) -> list[Any]:
        name = parsed("after", self.after or "")
        if self.order_by is not None:
            raise InvalidArgument(
                "after", shortened(self.after), "nothing where order_by= is given"
            )
        if not isinstance(name, list) or len(name) != len(self.table.primary_key):
            wanted = "what the answer before gave as next"
            raise InvalidArgument("after", shortened(self.after), wanted)
        return name


@router.post(
    "/tables/{table}/rows",
    dependencies=[needs(Role.WRITE)],
    responses=docs.answers(docs.CHANGE),
    openapi_extra=docs.takes({"type": "array", "items": docs.ROW}, NDJSON, ARROW),
)
async def set_rows(
    request: Request,
    table: str,
    by: Annotated[str | None, Query(description="match rows by this key instead of id")] = None,
    prune: Annotated[
        str | None,
        Query(description="among the given values of this key, remove rows not given"),
    ] = None,
    errors: Literal["raise", "collect"] = "raise",
    commit_every: Annotated[
        int, Query(ge=1, le=INT64_MAX, description="rows in one transaction")
    ] = COMMIT_EVERY,
) -> Response:
    """Set many rows, in atomic chunks: a JSON list of objects, lines of JSON, or an Arrow stream."""
    on = served(request)
    of = on.table(table)
    rows = _rows_of(of, content_type(request), await request.body())
    options = {"by": by, "prune": prune, "errors": errors, "commit_every": commit_every}
    change = await in_thread(on.store.set_many, of.name, rows, **options)
    return json(change_told(change))


def _rows_of(table: Table, kind: str, body: bytes) -> Any:
    if kind == ARROW:
        return _arrow_of(body)
    if kind == JSON:
        given = parsed("body", body)
    elif kind == NDJSON:
        given = [parsed("body", line) for line in body.splitlines() if line.strip()]
    else:
        raise InvalidArgument("content-type", shortened(kind), f"{JSON}, {NDJSON} or {ARROW}")
    if not isinstance(given, list) or not all(isinstance(each, dict) for each in given):
        raise InvalidArgument("body", shortened(given), "a list of JSON objects")
    return _each(table, given)


def _arrow_of(body: bytes) -> pa.Table:
    """Return the rows of an Arrow stream; what is read by it is held against the bytes that there are, as they are anybody's."""
    try:
        found = pa.ipc.open_stream(io.BytesIO(body)).read_all()
        found.validate(full=True)
        str(found.schema)  # names, of nested fields too, that are no text
    except (pa.ArrowException, OSError, UnicodeError) as exc:  # an OSError of one that is cut
        raise InvalidArgument("body", shortened(body), f"an Arrow stream ({exc})") from exc
    return found


def _each(table: Table, given: Iterable[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    for row in given:
        yield wire.given_of(table, row)


@router.post(
    "/transaction",
    dependencies=[needs(Role.WRITE)],
    responses=docs.answers(docs.WRITTEN),
    openapi_extra=docs.takes(docs.WRITES, example=docs.WRITES_EXAMPLE),
)
async def transaction(request: Request) -> Response:
    """Make several writes, of one table or several, whole or not at all."""
    on = served(request)
    given = await body_of(request)
    if not isinstance(given, dict) or not isinstance(given.get("writes"), list) or len(given) != 1:
        raise InvalidArgument("body", shortened(given), 'an object with "writes", a list')
    await in_thread(_write_all, on, given["writes"])
    return json({"writes": len(given["writes"])})


def _write_all(on: Served, writes: Sequence[Any]) -> None:
    with on.store.transaction() as tx:
        for each in writes:
            if isinstance(each, dict) and set(each) == {"set", "values"}:
                of = on.table(each["set"])
                if not isinstance(each["values"], dict):
                    raise InvalidArgument(
                        "values", shortened(each["values"]), "a JSON object of keys"
                    )
                set_given(tx, of, dict(each["values"]))
            elif isinstance(each, dict) and set(each) == {"delete", "id"}:
                of = on.table(each["delete"])
                tx.delete(of.name, each["id"])
            else:
                wanted = '{"set": table, "values": {...}} or {"delete": table, "id": ...}'
                raise InvalidArgument("writes", shortened(each), wanted)


# -- names --


def named(table: Table, id: str, request: Request, others: Sequence[str]) -> dict[str, Any]:
    """Return the id and page keys that a request's parameters name."""
    pages = dict.fromkeys(table.page_keys, 0)
    for name, given in request.query_params.items():
        if name == "id" or name in others:
            continue
        if name not in pages:
            wanted = f"one of {', '.join(['id', *others, *pages])}"
            raise InvalidArgument("parameter", shortened(name), wanted)
        number = wire.whole_of(given)
        if number is None:
            raise InvalidArgument(name, shortened(given), PAGE)
        pages[name] = number
    return {"id": id_of(table, id), **pages}


def id_of(table: Table, given: str) -> Any:
    """Return an id that is written as text."""
    if not table.has_int_id:
        return given
    try:
        return table.keys["id"].encode(int(given))
    except ValueError as exc:
        raise InvalidArgument(
            "id", shortened(given), f"an int, as ids of {table.name} are"
        ) from exc


def names_in(table: Table, given: str | None) -> list[str] | None:
    if given is None:
        return None
    return [table.key(name.strip()).name for name in given.split(",") if name.strip()]


def shown(request: Request, table: Table, row: Any, names: list[str] | None) -> dict[str, Any]:
    found = wire.plain_row(table, row, hidden(request))
    if names is None:
        return found
    return {name: found[name] for name in dict.fromkeys((*table.primary_key, *names))}


def change_told(change: Any) -> dict[str, Any]:
    found = {"change": change.key, "id": wire.plain(change.id), "count": change.count}
    rejected = [
        {**told(each.error), "position": each.position, "error": str(each.error)}
        for each in change.rejected
    ]
    return {**found, "rejected": rejected} if rejected else found
