"""A store that is served elsewhere."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, Literal, Never, TypeVar, overload
from urllib.parse import quote

import msgspec
import pyarrow as pa

from motion import clock
from motion.definitions.tables import wire
from motion.definitions.tables.addresses import Instance, addressed, addressed_key
from motion.definitions.tables.schema import Table, Tables, table_of
from motion.definitions.tasks import DeadLetter
from motion.definitions.values.plain import INFINITIES
from motion.definitions.versions import StateVersion
from motion.errors import NotFound, SqlError, WaitTimeout
from motion.persistence.database import (
    Where,
    check_condition,
    check_limit,
    check_query,
    id_of,
    page_values,
)
from motion.persistence.rows.noted import Declared, table_of_signature
from motion.remote.change import LONGEST_WAIT_S, RemoteChange
from motion.remote.link import JSON, Link, encoded
from motion.remote.load import ARROW, RemoteLoad
from motion.remote.reads import condition_told, keys_told, parameters_told, rows_of, sql_told
from motion.remote.writes import RemoteWriter, set_told
from motion.search.answer import Hit
from motion.search.question import path_of, question_of
from motion.store.aio import AsyncStore
from motion.store.backfill import Plan
from motion.store.forget import Forgotten, Models, ids_of
from motion.store.reports.explain import Explanation
from motion.store.reports.status import Status
from motion.views.ingest import COMMIT_EVERY
from motion.views.view import one_set

Row = TypeVar("Row")
Read = TypeVar("Read", bound=Instance)


class RemoteStore:
    """A store that is served elsewhere, with the store's verbs. Thread-safe.

    What needs the store's own process is not here: `snapshot`, `Model.live`, views.
    """

    def __init__(
        self, url: str, *, token: str | None, schemas: Mapping[str, type], timeout: float
    ) -> None:
        self._link = Link(url, token, timeout)
        about = self._link.get("/v1")
        self.name, self._link.limits = str(about["store"]), about["limits"]
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
        *given: Never,
        force: bool = False,
        if_unchanged: bool = False,
        **values: Any,
    ) -> RemoteChange:
        """`Store.set`."""
        write = one_set(self._tables, table, given, values, force, if_unchanged)
        named = self._tables.get(write.table)
        told = self._link.post(f"/v1/tables/{named.name}/row", set_told(named, write))
        return self._change(told, named, [told["id"]])

    def set_many(
        self,
        table: str | type,
        rows: Any,
        *,
        commit_every: int = COMMIT_EVERY,
        errors: Literal["raise", "collect"] = "raise",
        by: str | None = None,
        prune: str | None = None,
    ) -> RemoteChange:
        """`Store.set_many`. With `prune`, all rows go in one request; else in as many as they need, each one transaction of
        `commit_every` rows at most."""
        named = self._tables.get(table)
        load = RemoteLoad(
            self._link, named, commit_every, errors, by, prune, self._link.limits["body_bytes"]
        )
        load.run(rows)
        return RemoteChange(self._link, load.changes, named, load.ids, load.written, load.rejected)

    def delete(self, table: str | type | Any, id: Any = None, /) -> RemoteChange:
        """`Store.delete`."""
        table, id, _ = addressed(self._tables, "delete", table, id, {})
        named = self._tables.get(table)
        path, name = f"/v1/tables/{named.name}/row", {"id": id_of(named, id)}
        told = self._link.request("DELETE", path, params=name)
        return self._change(told, named, None)

    def forget(
        self, table: str | type | Any, id: Any = None, /, *, models: Models | None = None
    ) -> Forgotten:
        """`Store.forget`."""
        table, id, _ = addressed(self._tables, "forget", table, id, {})
        named = self._tables.get(table)
        params = {"id": ids_of(named, id), **({"models": models} if models else {})}
        told = self._link.request("POST", f"/v1/tables/{named.name}/forget", params=params)
        return msgspec.convert(told, Forgotten)

    @contextmanager
    def transaction(self) -> Iterator[RemoteWriter]:
        """`Store.transaction`: what is written through it is sent at the end of the block, as one request."""
        writer = RemoteWriter(self._tables)
        try:
            yield writer
        finally:
            writer.is_over = True
        if writer.writes:
            self._link.post("/v1/transaction", {"writes": writer.told()})

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
        name = _name_of(named, id, name)
        wanted = keys_told(named, keys)
        params = {
            **name, "inherit": _flag(inherit), "keys": None if wanted is None else ",".join(wanted),
        }  # fmt: skip
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
        """`Store.rows`; in an order of their own as many as the server gives at once, or an error.

        Raises:
            InvalidArgument: there are more in this order, and no `limit=` that is small enough.
        """
        check_limit("rows(limit=)", limit)
        table, id, _ = addressed(self._tables, "rows", table, id, {})
        named = self._tables.get(table)
        asked = {
            "id": named.keys["id"].encode(id), **condition_told(named, where, params), "order_by": sql_told(order_by),
            "keys": keys_told(named, keys), "inherit": inherit,
        }  # fmt: skip
        return rows_of(self._link, named, asked, limit)

    def sql(
        self,
        query: str,
        params: Sequence[Any] = (),
        *,
        timeout: float | None = None,
        limit: int | None = None,
    ) -> pa.Table:
        """`Store.sql`, within the server's limits.

        Raises:
            SqlError: as of the store, and where the result has more rows than the server gives at once.
        """
        check_query(query, params, timeout, limit)
        given = parameters_told(params, self._tables.enums)
        seconds = None if timeout is None or math.isinf(timeout) else float(timeout)
        body = {"query": sql_told(query), "params": given, "timeout": seconds, "limit": limit}
        content = encoded(body)
        answer = self._link.send("POST", "/v1/sql", content, JSON, accept=ARROW)
        if wire.MORE in answer.headers:
            raise SqlError(
                query, f"it gives more than {self._link.limits['rows']} rows, which is what the server gives at once; "
                "say limit=, or narrow it",
            )  # fmt: skip
        return pa.ipc.open_stream(answer.content).read_all()

    def search(
        self,
        key: str | Sequence[str],
        vector: Any = None,
        *,
        text: Any = None,
        k: int = 10,
        where: Where = None,
        params: Sequence[Any] = (),
        keys: Sequence[str] | None = None,
    ) -> list[Any]:
        """`Store.search`; each of a batch is a request of its own."""
        question = question_of(self._tables, key, vector, text, k, None, keys)
        asked = {
            "key": [path_of(each) for each in (*question.vector_keys, *question.text_keys)], "k": question.k,
            **condition_told(question.table, where, params), "keys": keys_told(question.table, keys),
        }  # fmt: skip
        nothing: list[Any] = [None] * question.count
        vectors = [each.tolist() for each in question.queries] or nothing
        # Halves of surrogate pairs are passed over, as by the store itself.
        words = [each.encode(errors="ignore").decode() for each in question.texts]
        texts: list[Any] = words or nothing
        found = [
            self._hits(question.table, {**asked, "vector": vector, "text": text})
            for vector, text in zip(vectors, texts, strict=True)
        ]
        return found if question.is_batch else found[0]

    def _hits(self, table: Table, asked: Mapping[str, Any]) -> list[Hit[Any]]:
        return [
            Hit(each["id"], each["pages"], each["score"], wire.row_of(table, each["row"]))
            for each in self._link.post("/v1/search", asked)["hits"]
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
        check_limit("errors(limit=)", limit)
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
        table = self._tables.get(name.table)
        row = _name_of(table, name.id, name.pages)
        path = f"/v1/tables/{table.name}/explain"
        told = self._link.get(path, key=table.key(name.key).name, **row)
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
        check_condition(where, params)
        given = parameters_told(params, self._tables.enums)
        body = {
            "trigger": trigger,
            "where": sql_told(where or None),
            "params": given,
            "force": force,
        }
        return self._change(self._link.post("/v1/backfill", body), None, None)

    def model(self, component: str) -> RemoteModel:
        """`Store.model`."""
        return RemoteModel(self, component)

    # -- names --

    def _change(
        self, told: Mapping[str, Any], table: Table | None, ids: list[Any] | None
    ) -> RemoteChange:
        return RemoteChange(self._link, [told["change"]], table, ids, told["count"])


class RemoteModel:
    """The state versions of one component of a store that is served elsewhere."""

    def __init__(self, store: RemoteStore, component: str) -> None:
        self._store, self._path = store, f"/v1/models/{quote(component, safe='')}"

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


def _name_of(table: Table, id: Any, pages: Mapping[str, Any]) -> dict[str, Any]:
    """Return what names a row, as parameters of a path."""
    values = page_values(table, pages)
    return {"id": id_of(table, id), **dict(zip(table.page_keys, values, strict=True))}


def _flag(value: bool) -> str:
    return "true" if value else "false"
