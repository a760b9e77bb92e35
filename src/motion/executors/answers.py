"""Answers: what a call in another process gave, or raised, on its way back."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from typing import Any

import cloudpickle

from motion.background import forks
from motion.background.tracebacks import reason_of, text_of
from motion.errors import RemoteError


class Answer:
    """What came back from a call: its result, or its error."""

    def __init__(self, answer: bytes) -> None:
        self.is_error, self._value = pickle.loads(answer)

    def __call__(self) -> Any:
        if self.is_error:
            raise self._value
        return self._value


def given_answer(call: Callable[[], Any]) -> bytes:
    """Make a call and return what it gives as an answer; what it raises is raised."""
    with forks.user_code():
        value = call()
    return bytes(cloudpickle.dumps((False, value)))


def error_answer(error: BaseException) -> bytes:
    """Return an error as an answer: itself, or what it says where it cannot be sent, or would there be taken for the end
    of the process that asks."""
    try:
        answer = bytes(cloudpickle.dumps((True, error)))
        pickle.loads(answer)  # some errors can be written, but not read
    except BaseException:  # noqa: BLE001 - the error is the user's: anything may come out
        answer = b""
    if answer and isinstance(error, Exception):
        return answer
    return pickle.dumps((True, RemoteError(reason_of(error), text_of(error))))
