"""A store that is served elsewhere."""

from __future__ import annotations

import io
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import fields, is_dataclass, replace
from itertools import islice
from typing import Any, Literal, TypeVar, overload

import msgspec
import numpy as np
import pyarrow as pa

from motion import clock
from motion.definitions.tables import wire
from motion.definitions.tables.addresses import Instance, addressed, addressed_key, named_row
from motion.definitions.tables.schema import Table, Tables, table_of
from motion.definitions.tasks import DeadLetter
from motion.definitions.values.plain import INFINITIES
from motion.definitions.versions import StateVersion
from motion.errors import (
    InvalidArgument,
    NotFound,
    WaitTimeout,
    shortened,
)
from motion.persistence.rows.noted import Declared, table_of_signature
from motion.remote.change import LONGEST_WAIT_S, RemoteChange
from motion.remote.link import Link
from motion.search.answer import Hit
from motion.store.aio import AsyncStore
from motion.store.backfill import Plan
from motion.store.forget import Forgotten, Models
from motion.store.reports.explain import Explanation
from motion.store.reports.status import Status

Row = TypeVar("Row")
Read = TypeVar("Read", bound=Instance)
Where = str | Mapping[str, Any] | None

ROWS_AT_ONCE = 10_000
"""Rows of one request: the server writes them in one transaction."""

MOST_ROWS = 1_000
"""Rows that are asked for at once."""

ARROW = "application/vnd.apache.arrow.stream"


class RemoteStore:
    """A store that is served elsewhere, with the store's verbs. Thread-safe.

    What needs the store's own process is not here: `snapshot`, `Model.live`, views.
    """

    def __init__(
        self, url: str, *, token: str | None, schemas: Mapping[str, type], timeout: float
    ) -> None:
        self._link = Link(url, token, timeout)
        self.name = str(self._link.get("/v1")["store"])
        told = self._link.get("/v1/tables")["tables"]
        given = [table_of(name, cls) for name, cls in schemas.items()]
        others = [
            _table_told(name, each["keys"]) for name, each in told.items() if name not in schemas
        ]
        self._tables = Tables({}).joined([*given, *(each for each in others if each is not None)])
        self.aio = AsyncStore(self)

    def __repr__(self) -> str:
        return f"<motion store {self.name!r} at {self._link.url}>"

    def __enter__(self) -> RemoteStore:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the connections; the store goes on."""
        self._link.close()

    # -- writing --

    def set(
        self,
        table: str | type | Any,
        /,
        *,
        force: bool = False,
        if_unchanged: bool = False,
        **values: Any,
    ) -> RemoteChange:
        """`Store.set`."""
        named, key = named_row(self._tables, table)
        if if_unchanged and not key:
            raise InvalidArgument(
                "set(if_unchanged=)", "True", "a row that was read as the first argument"
            )
        body = _plain_values({**key, **values})
        options: dict[str, Any] = (
            {"if_unchanged": wire.plain_row(named, table)} if if_unchanged else {}
        )
        options |= {"force": True} if force else {}
        told = self._link.post(f"/v1/tables/{named.name}/row", {**body, **options})
        return self._change(told, named, [told["id"]])

    def set_many(
        self,
        table: str | type,
        rows: Any,
        *,
        by: str | None = None,
        prune: str | None = None,
        errors: Literal["raise", "collect"] = "raise",
    ) -> RemoteChange:
        """`Store.set_many`. With `prune`, all rows go in one request; else in as many as they need, each one transaction."""
        named = self._tables.get(table)
        at_once = None if prune is not None else ROWS_AT_ONCE
        path, options = (
            f"/v1/tables/{named.name}/rows",
            {"by": by, "prune": prune, "errors": errors},
        )
        told = [
            msgspec.json.decode(
                self._link.send("POST", path, content, kind, params=options).content
            )
            for content, kind in _in_parts(named, rows, at_once)
        ]
        if not told:
            told = [self._link.post(path, [], **options)]
        whole = {**told[-1], "count": sum(each["count"] for each in told)}
        return self._change(whole, named, None, [each["change"] for each in told])

    def delete(self, table: str | type | Any, id: Any = None, /) -> RemoteChange:
        """`Store.delete`."""
        table, id, _ = addressed(self._tables, "delete", table, id, {})
        named = self._tables.get(table)
        told = self._link.request("DELETE", f"/v1/tables/{named.name}/row", params={"id": id})
        return self._change(told, named, None)

    def forget(
        self, table: str | type | Any, id: Any = None, /, *, models: Models | None = None
    ) -> Forgotten:
        """`Store.forget`."""
        table, id, _ = addressed(self._tables, "forget", table, id, {})
        named = self._tables.get(table)
        ids = list(id) if isinstance(id, list | tuple | set | frozenset) else [id]
        params = {"id": ids, **({"models": models} if models else {})}
        told = self._link.request("POST", f"/v1/tables/{named.name}/forget", params=params)
        return msgspec.convert(told, Forgotten)

    @contextmanager
    def transaction(self) -> Iterator[RemoteWriter]:
        """`Store.transaction`: what is written through it is sent at the end of the block, as one request."""
        writer = RemoteWriter(self)
        yield writer
        if writer.writes:
            self._link.post("/v1/transaction", {"writes": writer.writes})

    # -- reading --

    @overload
    def get(self, table: type[Row], id: Any, *, keys: Sequence[str] | None = None, inherit: bool = True,
            **pages: int) -> Row | None: ...  # fmt: skip

    @overload
    def get(self, table: str, id: Any, *, keys: Sequence[str] | None = None, inherit: bool = True,
            **pages: int) -> Any: ...  # fmt: skip

    @overload
    def get(self, table: Read, *, keys: Sequence[str] | None = None, inherit: bool = True,
            **pages: int) -> Read | None: ...  # fmt: skip

    def get(
        self,
        table: str | type | Any,
        id: Any = None,
        *,
        keys: Sequence[str] | None = None,
        inherit: bool = True,
        **pages: int,
    ) -> Any:
        """`Store.get`."""
        table, id, name = addressed(self._tables, "get", table, id, pages)
        named = self._tables.get(table)
        params = {"id": id, "keys": _listed(keys), "inherit": _flag(inherit), **name}
        try:
            return wire.row_of(named, self._link.get(f"/v1/tables/{named.name}/row", **params))
        except NotFound:
            return None

    @overload
    def rows(self, table: type[Row], *, id: Any = None, where: Where = None, params: Sequence[Any] = (),
             order_by: str | None = None, limit: int | None = None, keys: Sequence[str] | None = None,
             inherit: bool = True) -> list[Row]: ...  # fmt: skip

    @overload
    def rows(self, table: str, *, id: Any = None, where: Where = None, params: Sequence[Any] = (),
             order_by: str | None = None, limit: int | None = None, keys: Sequence[str] | None = None,
             inherit: bool = True) -> list[Any]: ...  # fmt: skip

    @overload
    def rows(self, table: Read, *, where: Where = None, params: Sequence[Any] = (), order_by: str | None = None,
             limit: int | None = None, keys: Sequence[str] | None = None,
             inherit: bool = True) -> list[Read]: ...  # fmt: skip

    def rows(
        self,
        table: str | type | Any,
        *,
        id: Any = None,
        where: Where = None,
        params: Sequence[Any] = (),
        order_by: str | None = None,
        limit: int | None = None,
        keys: Sequence[str] | None = None,
        inherit: bool = True,
    ) -> list[Any]:
        """`Store.rows`; those in an order of their own come in one request, within the server's limit."""
        table, id, _ = addressed(self._tables, "rows", table, id, {})
        named = self._tables.get(table)
        asked = {
            "id": id, "where": _condition(where), "order_by": order_by, "keys": _listed(keys), "inherit": _flag(inherit),
            "values": _parameters(params),
        }  # fmt: skip
        found: list[Any] = []
        after: str | None = None
        while limit is None or len(found) < limit:
            left = MOST_ROWS if limit is None else min(limit - len(found), MOST_ROWS)
            told = self._link.get(f"/v1/tables/{named.name}/rows", limit=left, after=after, **asked)
            found += [wire.row_of(named, each) for each in told["rows"]]
            after = told["next"]
            if after is None:
                break
        return found

    def sql(
        self,
        query: str,
        params: Sequence[Any] = (),
        *,
        timeout: float | None = None,
        limit: int | None = None,
    ) -> pa.Table:
        """`Store.sql`, within the server's limits."""
        body = {
            "query": query,
            "params": wire.plain(list(params)),
            "timeout": timeout,
            "limit": limit,
        }
        answer = self._link.send(
            "POST", "/v1/sql", wire.encoded(body), "application/json", accept=ARROW
        )
        return pa.ipc.open_stream(answer.content).read_all()

    def search(
        self,
        key: str | Sequence[str],
        vector: Any = None,
        *,
        text: str | None = None,
        k: int = 10,
        where: Where = None,
        params: Sequence[Any] = (),
        keys: Sequence[str] | None = None,
    ) -> list[Hit[Any]]:
        """`Store.search`, of one vector or text."""
        first = key if isinstance(key, str) else next(iter(key), "")
        named = self._tables.get(first.partition(".")[0])
        body = {
            "key": key if isinstance(key, str) else list(key), "text": text, "k": k,
            "vector": None if vector is None else np.asarray(vector).tolist(),
            "where": where if isinstance(where, str | None) else _plain_values(where),
            "params": wire.plain(list(params)), "keys": None if keys is None else list(keys),
        }  # fmt: skip
        hits = self._link.post("/v1/search", body)["hits"]
        return [
            Hit(each["id"], each["pages"], each["score"], wire.row_of(named, each["row"]))
            for each in hits
        ]

    # -- work --

    def wait(self, *, timeout: float | None = None, progress: bool = False) -> None:
        """`Store.wait`, without a progress bar."""
        limit = float("inf") if timeout is None else timeout
        ends_s = clock.monotonic_s() + limit
        while True:
            left_s = ends_s - clock.monotonic_s()
            try:
                self._link.post("/v1/wait", {"timeout": max(0.0, min(left_s, LONGEST_WAIT_S))})
                return
            except WaitTimeout as exc:
                if left_s <= LONGEST_WAIT_S:
                    raise WaitTimeout(f"store {self.name!r}", limit, exc.remaining) from exc

    def change(
        self, key: int, *, table: str | type | None = None, ids: Sequence[Any] = ()
    ) -> RemoteChange:
        """`Store.change`."""
        told = self._link.get(f"/v1/changes/{key}")
        named = None if table is None else self._tables.get(table)
        return RemoteChange(self._link, [told["change"]], named, list(ids), len(ids))

    def status(self) -> Status:
        """`Store.status`."""
        return msgspec.convert(self._link.get("/v1/status"), Status)

    def errors(
        self,
        trigger: str | None = None,
        *,
        limit: int | None = None,
        after: DeadLetter | None = None,
    ) -> list[DeadLetter]:
        """`Store.errors`; inputs and whole tracebacks are there for admins."""
        at_once = 1_000
        found: list[DeadLetter] = []
        last = None if after is None else after.task
        while limit is None or len(found) < limit:
            left = at_once if limit is None else min(limit - len(found), at_once)
            told = self._link.get("/v1/errors", trigger=trigger, limit=left, after=last)["errors"]
            found += [letter_of(each) for each in told]
            if len(told) < left:
                break
            last = found[-1].task
        return found

    def retry(self, what: str | DeadLetter | Sequence[DeadLetter] | None = None, /) -> int:
        """`Store.retry`."""
        if what is None or isinstance(what, str):
            return int(self._link.post("/v1/retry", {"trigger": what})["rows"])
        tasks = [each.task for each in ([what] if isinstance(what, DeadLetter) else what)]
        parts = (tasks[at : at + 1_000] for at in range(0, len(tasks), 1_000))
        return sum(self._link.post("/v1/retry", {"tasks": part})["rows"] for part in parts)

    def drop(self, trigger: str | None = None) -> int:
        """`Store.drop`."""
        return int(self._link.post("/v1/drop", {"trigger": trigger})["rows"])

    @overload
    def explain(self, table: str | type, id: Any, key: str, /, **pages: int) -> Explanation: ...

    @overload
    def explain(self, row: Instance, key: str, /, **pages: int) -> Explanation: ...

    def explain(self, table: str | type | Any, /, *named: Any, **pages: int) -> Explanation:
        """`Store.explain`; of labels only the rows' names are there."""
        name = addressed_key(self._tables, "explain", table, named, pages)
        path = f"/v1/tables/{self._tables.get(name.table).name}/explain"
        told = self._link.get(path, id=name.id, key=name.key, **name.pages)
        return self._explanation(told)

    def _explanation(self, told: Mapping[str, Any]) -> Explanation:
        inputs = tuple(self._explanation(each) for each in told["inputs"])
        table = self._tables.get(told["table"])
        value = wire.value_of(table.key(told["key"]), told["value"])
        now = self._explanation(told["now"]) if told["now"] is not None else None
        unread: dict[str, Any] = {"inputs": [], "value": None, "labels": [], "now": None}
        found = msgspec.convert({**told, **unread}, Explanation)
        return replace(found, value=value, inputs=inputs, now=now)

    def plan(self, trigger: str) -> Plan:
        """`Store.plan`."""
        return msgspec.convert(self._link.get("/v1/plan", trigger=trigger), Plan)

    def backfill(
        self,
        trigger: str,
        *,
        where: str | None = None,
        params: Sequence[Any] = (),
        force: bool = False,
    ) -> RemoteChange:
        """`Store.backfill`."""
        body = {
            "trigger": trigger,
            "where": where,
            "params": wire.plain(list(params)),
            "force": force,
        }
        return self._change(self._link.post("/v1/backfill", body), None, None)

    def model(self, component: str) -> RemoteModel:
        """`Store.model`."""
        return RemoteModel(self, component)

    # -- names --

    def _change(
        self,
        told: Mapping[str, Any],
        table: Table | None,
        ids: list[Any] | None,
        keys: list[int] | None = None,
    ) -> RemoteChange:
        return RemoteChange(
            self._link, keys or [told["change"]], table, ids, told["count"], told.get("rejected", ())
        )  # fmt: skip


class RemoteWriter:
    """What a transaction writes."""

    def __init__(self, store: RemoteStore) -> None:
        self._store = store
        self.writes: list[dict[str, Any]] = []

    def set(self, table: str | type | Any, /, **values: Any) -> None:
        """Write keys of one row when the transaction ends."""
        named, key = named_row(self._store._tables, table)
        self.writes.append({"set": named.name, "values": _plain_values({**key, **values})})

    def set_many(self, table: str | type, rows: Iterable[Any]) -> None:
        """Write many rows when the transaction ends."""
        for row in rows:
            self.set(table, **_values_of(row))

    def delete(self, table: str | type | Any, id: Any = None, /) -> None:
        """Delete a row with its pages when the transaction ends."""
        table, id, _ = addressed(self._store._tables, "delete", table, id, {})
        named = self._store._tables.get(table)
        self.writes.append({"delete": named.name, "id": wire.plain(id)})


class RemoteModel:
    """The state versions of one component of a store that is served elsewhere."""

    def __init__(self, store: RemoteStore, component: str) -> None:
        self._store, self._path = store, f"/v1/models/{component}"

    def versions(self) -> list[StateVersion]:
        """`Model.versions`."""
        told = self._store._link.get(f"{self._path}/versions")["versions"]
        return [_version_of(each) for each in told]

    def fit(self) -> RemoteChange:
        """`Model.fit`."""
        return self._asked("fit")

    def promote(self, number: int) -> RemoteChange:
        """`Model.promote`."""
        return self._asked("promote", {"version": number})

    def rollback(self) -> RemoteChange:
        """`Model.rollback`."""
        return self._asked("rollback")

    def _asked(self, what: str, body: Any = None) -> RemoteChange:
        told = self._store._link.post(f"{self._path}/{what}", body)
        return self._store._change(told, None, None)


def letter_of(told: Mapping[str, Any]) -> DeadLetter:
    """Return a dead letter as the server told it."""
    return msgspec.convert({"inputs": "", **told}, DeadLetter)


def _version_of(told: Mapping[str, Any]) -> StateVersion:
    """Return a version as the server told it."""
    live = told["live_metrics"]
    figures = {"metrics": _figures(told["metrics"]), "live_metrics": live and _figures(live)}
    return msgspec.convert({**told, **figures}, StateVersion)


def _figures(told: Mapping[str, Any]) -> dict[str, Any]:
    """Return what was measured: JSON has a text for what is infinite, and null for what is no number."""
    return {name: _figure(each) for name, each in told.items()}


def _figure(told: Any) -> Any:
    if isinstance(told, Mapping):
        return _figures(told)
    if isinstance(told, str):
        return INFINITIES.get(told, told)
    return math.nan if told is None else told


def _table_told(name: str, keys: Sequence[Mapping[str, Any]]) -> Table | None:
    """Return a table that the server has, with a class made for its rows."""
    signature = {each["name"]: ("page " if each["is_page"] else "") + each["type"] for each in keys}
    said = {each["name"]: Declared(metric=each["metric"] or "cosine") for each in keys}
    return table_of_signature(name, signature, said)


def _in_parts(table: Table, rows: Any, at_once: int | None) -> Iterator[tuple[bytes, str]]:
    """Give rows as bodies of requests, each with its type."""
    if hasattr(rows, "__arrow_c_stream__"):
        for part in _tables_of(rows, at_once):
            sink = io.BytesIO()
            with pa.ipc.new_stream(sink, part.schema) as writer:
                writer.write_table(part)
            yield sink.getvalue(), ARROW
        return
    given = iter(rows)
    while part := list(islice(given, at_once)):
        lines = [wire.encoded(_plain_values(_values_of(row))) for row in part]
        yield b"\n".join(lines), "application/x-ndjson"


def _tables_of(rows: Any, at_once: int | None) -> Iterator[pa.Table]:
    reader = pa.RecordBatchReader.from_stream(rows)
    if at_once is None:
        yield reader.read_all()
        return
    for batch in reader:
        for start in range(0, len(batch), at_once):
            yield pa.Table.from_batches([batch.slice(start, at_once)])


def _values_of(row: Any) -> dict[str, Any]:
    """Return the keys of a dict or a dataclass; None of a row of many means left out."""
    if isinstance(row, Mapping):
        return {name: value for name, value in row.items() if value is not None}
    if is_dataclass(row) and not isinstance(row, type):
        named = {each.name: getattr(row, each.name) for each in fields(row)}
        return {name: value for name, value in named.items() if value is not None}
    raise InvalidArgument("row", shortened(row), "a dict or a dataclass")


def _plain_values(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: wire.plain(value) for name, value in values.items()}


def _listed(keys: Sequence[str] | None) -> str | None:
    return None if keys is None else ",".join(keys)


def _flag(value: bool) -> str:
    return "true" if value else "false"


def _condition(where: Where) -> str | None:
    if where is None or isinstance(where, str):
        return where
    return wire.encoded(_plain_values(where)).decode()


def _parameters(params: Sequence[Any]) -> str | None:
    return wire.encoded(wire.plain(list(params))).decode() if params else None
