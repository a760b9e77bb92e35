"""Threads: a call runs in a helper thread, so that whoever waits for it can stop waiting.

A thread cannot be ended from outside. One whose call took too long is abandoned: nobody looks at what it gives, and
it ends with its call.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from contextvars import Context, copy_context
from queue import SimpleQueue
from typing import Any

from motion.definitions.triggers.options import NOTHING, Resources
from motion.errors import CallTimeout, StoreClosed
from motion.executors.base import Constant, Prepare

ABANDONED_ALLOWED = 32
"""Threads that may be abandoned and still running before no further call is begun that could add one."""


class ThreadExecutor:
    """Runs each call in a thread of its own, made as needed and used again.

    Args:
        name: the store's, for its errors.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._lock = threading.Lock()
        self._idle: list[SimpleQueue[_Call | None]] = []
        self._waited: set[_Call] = set()
        self._abandoned = 0
        self._is_closed = False

    @property
    def room(self) -> float:
        return max(ABANDONED_ALLOWED - self._abandoned, 0)

    def run(
        self,
        prepare: Prepare,
        /,
        *arguments: Any,
        constants: Sequence[Constant] = (),
        timeout_s: float | None = None,
        takes: Resources = NOTHING,
    ) -> Any:
        function = prepare(*(each.value for each in constants), *arguments)
        call = _Call(function, copy_context())
        with self._lock:
            if self._is_closed:
                raise StoreClosed(self._name)
            self._waited.add(call)
            requests = self._idle.pop() if self._idle else self._started()
        requests.put(call)
        call.over.wait(timeout_s)
        with self._lock:
            self._waited.discard(call)
            if not call.is_done:
                self._abandoned += 1
                call.is_abandoned = True
                if self._is_closed:
                    raise StoreClosed(self._name)
                raise CallTimeout(timeout_s or 0)
        return call.result()

    def close(self) -> None:
        with self._lock:
            self._is_closed = True
            for call in self._waited:
                call.over.set()
            for requests in self._idle:
                requests.put(None)
            self._idle.clear()

    def _started(self) -> SimpleQueue[_Call | None]:
        requests: SimpleQueue[_Call | None] = SimpleQueue()
        threading.Thread(
            target=self._serve, args=(requests,), name="motion-call", daemon=True
        ).start()
        return requests

    def _serve(self, requests: SimpleQueue[_Call | None]) -> None:
        while (call := requests.get()) is not None:
            call.make()
            with self._lock:
                call.is_done = True
                call.over.set()
                if call.is_abandoned:
                    self._abandoned -= 1
                if call.is_abandoned or self._is_closed:
                    return
                self._idle.append(requests)


class _Call:
    """One call on its way through a helper thread."""

    def __init__(self, function: Callable[[], Any], context: Context) -> None:
        self._function, self._context = function, context
        self._value: Any = None
        self._error: BaseException | None = None
        self.over = threading.Event()
        self.is_done = self.is_abandoned = False

    def make(self) -> None:
        try:
            self._value = self._context.run(self._function)
        except BaseException as exc:  # noqa: BLE001 - whoever waits for the call gets it raised
            self._error = exc

    def result(self) -> Any:
        if self._error is not None:
            raise self._error
        return self._value
