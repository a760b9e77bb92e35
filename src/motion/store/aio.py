"""The store without blocking an event loop: each call runs in a thread, and nothing else is added."""

from __future__ import annotations

import asyncio
from typing import Any

from motion.definitions.tasks import DeadLetter
from motion.store.backfill import Plan
from motion.store.changes.change import Change
from motion.store.changes.recent import Recent
from motion.store.forget import Forgotten
from motion.store.reports.explain import Explanation
from motion.store.reports.pipeline import Pipeline, RowCount
from motion.store.reports.status import Status


class AsyncStore:
    """The store's calls without blocking an event loop: each runs in a thread."""

    def __init__(self, store: Any) -> None:
        self._store = store

    async def set(self, *args: Any, **values: Any) -> Change:
        """`Store.set`."""
        return await asyncio.to_thread(self._store.set, *args, **values)

    async def set_many(self, *args: Any, **options: Any) -> Change:
        """`Store.set_many`."""
        return await asyncio.to_thread(self._store.set_many, *args, **options)

    async def delete(self, *args: Any) -> Change:
        """`Store.delete`."""
        return await asyncio.to_thread(self._store.delete, *args)

    async def get(self, *args: Any, **options: Any) -> Any | None:
        """`Store.get`."""
        return await asyncio.to_thread(self._store.get, *args, **options)

    async def rows(self, *args: Any, **options: Any) -> list[Any]:
        """`Store.rows`."""
        return await asyncio.to_thread(self._store.rows, *args, **options)

    async def sql(self, *args: Any, **options: Any) -> Any:
        """`Store.sql`."""
        return await asyncio.to_thread(self._store.sql, *args, **options)

    async def search(self, *args: Any, **options: Any) -> list[Any]:
        """`Store.search`."""
        return await asyncio.to_thread(self._store.search, *args, **options)

    async def forget(self, *args: Any, **options: Any) -> Forgotten:
        """`Store.forget`."""
        return await asyncio.to_thread(self._store.forget, *args, **options)

    async def wait(self, **options: Any) -> None:
        """`Store.wait`. A change can be awaited itself, which takes no thread."""
        await asyncio.to_thread(self._store.wait, **options)

    async def status(self) -> Status:
        """`Store.status`."""
        return await asyncio.to_thread(self._store.status)

    async def explain(self, *args: Any, **pages: int) -> Explanation:
        """`Store.explain`."""
        return await asyncio.to_thread(self._store.explain, *args, **pages)

    async def plan(self, *args: Any) -> Plan:
        """`Store.plan`."""
        return await asyncio.to_thread(self._store.plan, *args)

    async def backfill(self, *args: Any, **options: Any) -> Change:
        """`Store.backfill`."""
        return await asyncio.to_thread(self._store.backfill, *args, **options)

    async def drop(self, *args: Any) -> int:
        """`Store.drop`."""
        return await asyncio.to_thread(self._store.drop, *args)

    async def errors(self, *args: Any, **options: Any) -> list[DeadLetter]:
        """`Store.errors`."""
        return await asyncio.to_thread(self._store.errors, *args, **options)

    async def retry(self, *args: Any) -> int:
        """`Store.retry`."""
        return await asyncio.to_thread(self._store.retry, *args)

    async def pipeline(self) -> Pipeline:
        """`Store.pipeline`."""
        return await asyncio.to_thread(self._store.pipeline)

    async def row_count(self, *args: Any) -> RowCount:
        """`Store.row_count`."""
        return await asyncio.to_thread(self._store.row_count, *args)

    async def recent(self, **options: Any) -> Recent:
        """`Store.recent`."""
        return await asyncio.to_thread(self._store.recent, **options)
