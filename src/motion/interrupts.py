"""Interrupts: what reaches the main thread from outside, such as a Ctrl-C, between any two of its instructions."""

from __future__ import annotations

import signal
import threading
from opcode import opmap
from types import CodeType, TracebackType

RAISES = opmap["RAISE_VARARGS"]
CALLS = {number for name, number in opmap.items() if "CALL" in name}


def is_from_outside(error: BaseException, caller: CodeType) -> bool:
    """Return whether an error came from outside while the present thread called a user's function: raised by a signal's
    handler, whatever its class, or a `KeyboardInterrupt` that nothing in the function raised.

    Args:
        caller: the code that called the function, and caught the error.
    """
    if threading.current_thread() is not threading.main_thread():
        return False  # signals reach the main thread only
    steps = _steps(error.__traceback__)
    if not _handlers().isdisjoint(step.tb_frame.f_code for step in steps):
        return True
    if not isinstance(error, KeyboardInterrupt):
        return False
    calling = next((i for i, step in enumerate(steps) if step.tb_frame.f_code is caller), None)
    is_in_function = (
        calling is not None and calling < len(steps) - 1 and _instruction(steps[calling]) in CALLS
    )
    return not (is_in_function and _instruction(steps[-1]) == RAISES)


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
