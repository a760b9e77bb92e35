"""Ray's side: what makes calls in the processes of a cluster. It runs there, and knows nothing of who asks."""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import ray
from ray.exceptions import RayError

from motion.executors.answers import error_answer, given_answer
from motion.executors.base import become_worker

Named = tuple[str, str, Any]
"""A constant: its name, what tells its version, and a list with the reference to it; None: it is known here."""

BEGUN, MISSING = b"begun", b"missing"
"""What may come in place of an answer: that the call has begun; that a constant is not to be had."""


Said = tuple[bool, bytes]
"""Whether all constants are known from now on, and what came."""


class Hand:
    """An actor: a process that makes one call at a time, and keeps the constants that it was given.

    Args:
        folder: the working directory of who asks, for code that opens files from there; where a node has it.
    """

    def __init__(self, folder: str) -> None:
        become_worker(far=True)
        if os.path.isdir(folder):
            os.chdir(folder)
        self._known: dict[str, tuple[str, Any]] = {}

    def answer(self, named: Sequence[Named], request: bytes) -> Said:
        """Make a call, and return what it gave as an answer."""
        said, call = self._prepared(named, request)
        return said if call is None else (True, _answered(call))

    def answer_in_time(self, named: Sequence[Named], request: bytes) -> Iterator[Said]:
        """Say when a call begins, and then what it gave."""
        said, call = self._prepared(named, request)
        yield said
        if call is not None:
            yield True, _answered(call)

    def _prepared(
        self, named: Sequence[Named], request: bytes
    ) -> tuple[Said, Callable[[], Any] | None]:
        """Return that a call begins, and the call; or why it cannot."""
        has_all = False
        try:
            constants = [self._constant(*each) for each in named]
            has_all = True
            prepare, arguments = pickle.loads(request)
            return (True, BEGUN), prepare(*constants, *arguments)
        except RayError:  # the node that held a constant may have ended
            return (False, MISSING), None
        except BaseException as exc:  # noqa: BLE001 - of whatever class: whoever waits for the call gets it raised
            return (has_all, error_answer(exc)), None

    def _constant(self, name: str, digest: str, held: list[Any] | None) -> Any:
        if held is not None:
            sent = ray.get(held[0])
            self._known[name] = digest, pickle.loads(sent) if isinstance(sent, bytes) else sent
        return self._known[name][1]


def _answered(call: Callable[[], Any]) -> bytes:
    try:
        return given_answer(call)
    except BaseException as exc:  # noqa: BLE001 - of whatever class: whoever waits for the call gets it raised
        return error_answer(exc)
