"""Interrupts: what reaches the main thread from outside, such as a Ctrl-C, between any two of its instructions.

What may be left half way by one is done so that it matters nothing (a write alone, a read), or in another thread.
"""

from __future__ import annotations

import signal
import sys
import threading
from _thread import start_new_thread
from collections import deque
from collections.abc import Callable
from contextlib import contextmanager
from contextvars import Context, copy_context
from inspect import CO_GENERATOR
from opcode import opmap
from queue import Empty, SimpleQueue
from types import CodeType, FrameType, TracebackType
from typing import Any, TypeVar

from motion.background.forks import renew_in_child

T = TypeVar("T")

RAISES = opmap["RAISE_VARARGS"]


def is_from_outside(error: BaseException, function: Callable[..., Any], caller: CodeType) -> bool:
    """Return whether an error came from outside while the present thread called a user's function: raised by a signal's
    handler, whatever its class, or a `KeyboardInterrupt` that nothing in the function raised.

    Args:
        caller: the code that called the function, and caught the error.
    """
    if not may_come():
        return False
    if is_of_handler(error):
        return True
    steps = _steps(error.__traceback__)
    return isinstance(error, KeyboardInterrupt) and not _is_raised_in(steps, function, caller)


def is_of_handler(error: BaseException) -> bool:
    """Return whether a signal's handler raised an error: it is nothing that failed where it was raised."""
    if not may_come():
        return False
    return not _handlers().isdisjoint(step.tb_frame.f_code for step in _steps(error.__traceback__))


def _is_raised_in(
    steps: list[TracebackType], function: Callable[..., Any], caller: CodeType
) -> bool:
    calling = next((i for i, step in enumerate(steps) if step.tb_frame.f_code is caller), None)
    if calling is None or calling == len(steps) - 1 or _instruction(steps[-1]) != RAISES:
        return False
    called = steps[calling + 1].tb_frame.f_code
    return called is getattr(function, "__code__", called)


def _steps(trace: TracebackType | None) -> list[TracebackType]:
    steps = []
    while trace is not None:
        steps.append(trace)
        trace = trace.tb_next
    return steps


def _instruction(step: TracebackType) -> int:
    """Return what the frame was doing; where Python handles a signal, that is never a `raise`."""
    return step.tb_frame.f_code.co_code[step.tb_lasti]


def _handlers() -> set[CodeType]:
    """Return the code of what handles signals in this process."""
    found = (signal.getsignal(number) for number in signal.valid_signals())
    plain = (getattr(handler, "__func__", getattr(handler, "func", handler)) for handler in found)
    return {
        code
        for handler in plain
        if isinstance(code := getattr(handler, "__code__", None), CodeType)
    }


# -- what C code calls, and drops what is raised in it --


F = TypeVar("F", bound=Callable[..., Any])

BEGINS, GOES_ON = 0x80, 0x40
"""Bits of the bytes of a table of exceptions (CPython's `InternalDocs/exception_handling.md`): that an entry begins with one,
and that a number goes on with the next."""


def _tried_from_the_start(function: F) -> F:
    """Let the `try` that a short function consists of hold from its first instruction, where Python handles the signals
    that came while C code ran. As it is compiled, what a handler raises there leaves the function before its first line."""
    begin, length, caught_at, *others = function.__code__.co_exceptiontable
    # a Python that compiles it in another form is left as it is: what is handled there is then an error of the C code's
    if not (begin | length | caught_at) & GOES_ON:
        table = bytes([BEGINS, caught_at, caught_at, *others])  # from where, how far, and where to
        function.__code__ = function.__code__.replace(co_exceptiontable=table)
    return function


class Kept:
    """A function for C code to call that drops what is raised in it: what is raised is kept, too, also by a signal's
    handler, wherever it is handled.

    Args:
        raised: takes it. Its caller raises it.
    """

    __slots__ = ("_function", "_raised")

    def __init__(self, function: Callable[..., Any], raised: list[BaseException]) -> None:
        self._function, self._raised = function, raised

    @_tried_from_the_start
    def __call__(self, *given: Any) -> Any:
        try:
            return self._function(*given)
        except BaseException as exc:
            self._raised.append(exc)
            raise


# -- not to be interrupted --

IDLE_S = 10.0
"""A helper thread that is not used for so long ends."""


def may_come() -> bool:
    """Return whether the present thread is the one that signals reach."""
    return threading.get_ident() == threading.main_thread().ident


def uninterrupted(work: Callable[[], T]) -> T:
    """Do something to its end, whatever signals come: in a helper thread, which they do not reach. Where one comes, who
    waits here leaves with what its handler raises, and the work goes on."""
    if not may_come():
        return work()
    call = _Call(copy_context(), work)
    if len(_idle) <= _calls.qsize():
        try:
            start_new_thread(_serve, ())
        except RuntimeError:  # the process ends, or may have no more threads
            return work()
    _calls.put(call)
    call.over.acquire()
    if call.error is not None:
        raise call.error
    return call.value  # type: ignore[no-any-return]  # it is what `work` returned


class _Call:
    """Work on its way through a helper thread."""

    __slots__ = ("context", "error", "over", "value", "work")

    def __init__(self, context: Context, work: Callable[[], Any]) -> None:
        self.context, self.work = context, work
        self.value: Any = None
        self.error: BaseException | None = None
        self.over = threading.Lock()  # held until it is
        self.over.acquire()

    def make(self) -> None:
        try:
            self.value = self.context.run(self.work)
        except BaseException as exc:  # noqa: BLE001 - who waits for it gets it raised
            self.error = exc
        self.over.release()


_calls: SimpleQueue[_Call] = SimpleQueue()

_idle: deque[None] = deque()  # one entry for each helper thread that waits for a call


def _serve() -> None:
    while True:
        _idle.append(None)
        try:
            call = _calls.get(timeout=IDLE_S)
        except Empty:
            _idle.pop()
            if _calls.empty():  # else somebody has counted on this thread just now
                return
            continue
        _idle.pop()
        call.make()
        del call


def _forget_helpers() -> None:
    """A process that was forked has none of the threads."""
    global _calls
    _calls = SimpleQueue()
    _idle.clear()


renew_in_child(_forget_helpers)


# -- what an interrupt has left --


CONTEXTLIB = contextmanager.__code__.co_filename


def block_of(frame: FrameType | None) -> FrameType | None:
    """Return the function in which a `with` statement is under way that `frame` takes part in: itself, or, where it is
    that of another context manager, who uses that one."""
    while frame is not None and (
        frame.f_code.co_flags & CO_GENERATOR or frame.f_code.co_filename == CONTEXTLIB
    ):
        frame = frame.f_back
    return frame


def is_running(wanted: FrameType) -> bool:
    """Return whether a function has not ended in the present thread."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and frame is not wanted:
        frame = frame.f_back
    return frame is not None
