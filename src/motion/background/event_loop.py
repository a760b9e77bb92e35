"""One event loop in a thread of its own, on which the async triggers of a process run.

One for all runs, so that connection pools which belong to a loop live as long as the store.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from concurrent.futures import CancelledError, Future
from typing import Any

from motion.background.loops import going_on
from motion.errors import StoreClosed

_ending: set[asyncio.AbstractEventLoop] = set()  # those that cancel what is still under way


class EventLoop:
    """An event loop that starts with its first use.

    Args:
        name: the store's, for its errors.
    """

    def __init__(self, name: str) -> None:
        self._name, self._is_closed = name, False
        self._lock = threading.Lock()
        # A loop knows its tasks weakly: one that waits for what only it knows is collected as garbage in the middle.
        self._begun: set[Future[Any]] = set()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None

    def run(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        """Run a coroutine to its end and return what it returned. Call it from any other thread.

        Raises:
            StoreClosed: the loop was closed meanwhile, and the coroutine cancelled.
        """
        try:
            return asyncio.run_coroutine_threadsafe(coroutine, self._started()).result()
        except CancelledError:
            if self._is_closed:
                raise StoreClosed(self._name) from None
            raise

    def begin(self, coroutine: Coroutine[Any, Any, Any]) -> None:
        """Let a coroutine run, whatever comes of it. Call it from any thread.

        Raises:
            StoreClosed: the loop was closed.
        """
        try:
            loop = self._started()
        except StoreClosed:
            coroutine.close()
            raise
        future = asyncio.run_coroutine_threadsafe(coroutine, loop)
        self._begun.add(future)
        future.add_done_callback(self._begun.discard)

    def close(self, timeout_s: float) -> None:
        """End the loop; what still runs on it is cancelled. One that user code blocks is left to itself."""
        with self._lock:
            self._is_closed = True
            if self._loop is not None and self._thread is not None:
                self._loop.call_soon_threadsafe(self._loop.stop)
                self._thread.join(timeout_s)
                self._loop = self._thread = None

    def _started(self) -> asyncio.AbstractEventLoop:
        with self._lock:
            if self._is_closed:
                raise StoreClosed(self._name)
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                self._thread = threading.Thread(
                    target=_serve, args=(self._loop,), name="motion-async", daemon=True
                )
                self._thread.start()
            return self._loop


def _serve(loop: asyncio.AbstractEventLoop) -> None:
    """Run a loop until it is stopped. A `SystemExit` in a task that a user's function has made is raised there, where it
    is awaited, and here."""
    stop = threading.Event()
    try:
        while not stop.is_set():
            with going_on(stop, "the event loop of async triggers"):
                loop.run_forever()
                stop.set()
        _ending.add(loop)
        loop.run_until_complete(_cancel_the_rest())
    finally:
        _ending.discard(loop)
        loop.close()


async def _cancel_the_rest() -> None:
    left = asyncio.all_tasks() - {asyncio.current_task()}
    for task in left:
        task.cancel()
    await asyncio.gather(*left, return_exceptions=True)


def is_ending() -> bool:
    """Whether the loop that runs ends, and has cancelled all that was under way: no call is to be made for it again."""
    return asyncio.get_running_loop() in _ending


def uncancel() -> None:
    """Let the calls after one that was cancelled, by whatever it awaited or by itself, go on: it is that row's failure."""
    task = asyncio.current_task()
    while task is not None and task.cancelling():
        task.uncancel()
