"""Processes: a call runs in another process of this machine, which may be ended at any time and costs one call then.

Processes start by `loky`'s way, which needs no main guard and works from notebooks; its pool is not used, as there
the end of one process ends the calls of all. Each process here serves one call at a time over a pipe of its own.
"""

from __future__ import annotations

import math
import multiprocessing.process
import os
import pickle
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress

# Its handler at exit waits for children. It has to be registered before ours, which ends them: the last runs first.
from multiprocessing.connection import Connection
from typing import Any

from motion import clock
from motion.background import forks, memory
from motion.definitions.triggers.options import NOTHING, Resources
from motion.errors import CallTimeout, ProcessLost, StoreClosed
from motion.executors.answers import Answer, error_answer, given_answer
from motion.executors.base import Constant, Prepare, become_worker, pickled

IDLE_S = 60.0
"""A process without a call for so long ends by itself."""

BESIDE = 10
"""How much less urgent few and long calls are than the process that asks for them, as `nice` has it: beside live work they take
what it leaves. Of one core that both want, about a tenth."""

IDLE = b"idle"
"""What it says before: the call that meets it has not begun, and goes to another process."""

LOOK_S = 1.0
"""How often it is looked whether a process has ended whose pipe a child of its own holds open."""

BEGUN = b"begun"


class ProcessExecutor:
    """Runs calls in processes, one at a time in each, made as needed and used again.

    Args:
        name: the store's, for its errors.
        niceness: how much less urgent its processes are than this one.
    """

    room = math.inf

    def __init__(self, name: str, niceness: int = 0) -> None:
        self._name, self._niceness = name, niceness
        self._lock = threading.Lock()
        self._idle: list[_Process] = []
        self._all: set[_Process] = set()
        self._is_closed = False

    def beside(self) -> ProcessExecutor:
        return ProcessExecutor(self._name, BESIDE)

    def run(
        self,
        prepare: Prepare,
        /,
        *arguments: Any,
        constants: Sequence[Constant] = (),
        timeout_s: float | None = None,
        takes: Resources = NOTHING,
    ) -> Any:
        request = pickled((prepare, arguments, timeout_s is not None), "what a call is given")
        while True:
            process = self._taken()
            try:
                if process.is_outdated(constants):
                    process.end()
                    continue
                answer = process.call(constants, request, timeout_s)
            except _WasIdle:
                continue
            except ProcessLost:
                if self._is_closed:
                    raise StoreClosed(self._name) from None
                raise
            finally:
                self._give_back(process)
            return answer()

    def close(self) -> None:
        with self._lock:
            self._is_closed = True
            processes = list(self._all)
        for process in processes:
            process.end()

    def _taken(self) -> _Process:
        with self._lock:
            if self._is_closed:
                raise StoreClosed(self._name)
            while self._idle:
                process = self._idle.pop()
                if process.is_alive:
                    return process
                self._all.discard(process)
            process = _Process(self._niceness)
            self._all.add(process)
            return process

    def _give_back(self, process: _Process) -> None:
        with self._lock:
            if process.is_alive and not self._is_closed:
                self._idle.append(process)
            else:
                self._all.discard(process)


class _WasIdle(Exception):
    """A process had ended by itself before the call reached it."""


class _Process:
    """One process, from the side that asks."""

    def __init__(self, niceness: int) -> None:
        from loky.backend import get_context

        context: Any = get_context("loky")
        here, there = context.Pipe()
        watched, self._lifeline = context.Pipe(duplex=False)
        self._connection: Connection = here
        self._lock = threading.Lock()
        self._met: dict[str, str] = {}
        self._known: set[str] = set()
        self._process: Any = context.Process(target=serve, args=(there, watched, IDLE_S, niceness))
        with _may_start():
            self._process.start()
        there.close()
        watched.close()
        self.is_alive = True
        forks.watch(self)

    def is_outdated(self, constants: Sequence[Constant]) -> bool:
        return any(self._met.get(each.name, each.digest) != each.digest for each in constants)

    def call(
        self, constants: Sequence[Constant], request: bytes, timeout_s: float | None
    ) -> Callable[[], Any]:
        """Make one call; return what returns its result or raises its error."""
        named = [
            (each.name, each.digest, None if each.name in self._known else each.pickled)
            for each in constants
        ]
        try:
            self._connection.send_bytes(pickle.dumps((named, request)))
            answer = self._receive(None)
            if answer == BEGUN:
                answer = self._receive(timeout_s)
        except CallTimeout:
            self.end()
            raise
        except (EOFError, OSError) as exc:
            raise self._lost() from exc
        if answer == IDLE:
            self.end(grace_s=LOOK_S)
            raise _WasIdle
        self._met |= {each.name: each.digest for each in constants}
        given = Answer(answer)
        if not given.is_error:  # else one of them may not have been received
            self._known |= self._met.keys()
        return given

    def _receive(self, timeout_s: float | None) -> bytes:
        ends_s = None if timeout_s is None else clock.monotonic_s() + timeout_s
        while not self._connection.poll(
            LOOK_S if ends_s is None else max(min(LOOK_S, ends_s - clock.monotonic_s()), 0)
        ):
            if self._process.exitcode is not None:
                raise EOFError
            if ends_s is not None and clock.monotonic_s() >= ends_s:
                raise CallTimeout(timeout_s or 0)
        return self._connection.recv_bytes()

    def _lost(self) -> ProcessLost | _WasIdle:
        """Return what the end of the process means, having seen to it. One that took no call any more has said so, even
        where the call could not be sent."""
        said = b""
        with suppress(EOFError, OSError):
            said = self._connection.recv_bytes() if self._connection.poll() else b""
        self.end(grace_s=LOOK_S)
        return _WasIdle() if said == IDLE else ProcessLost(_told(self._process.exitcode))

    def end(self, grace_s: float = 0) -> None:
        """End the process and those that it has started."""
        from loky.backend.utils import kill_process_tree

        with self._lock:
            if not self.is_alive:
                return
            self.is_alive = False
            self._process.join(grace_s)
            if self._process.exitcode is None:
                kill_process_tree(self._process)
            self._lifeline.close()

    # -- forking: it serves the parent, and ends with it only if no child keeps its pipes open --

    def hold(self, ends_s: float) -> bool:
        return True

    def release(self) -> None:
        """Nothing was held."""

    def leave(self, *, is_at_rest: bool) -> None:
        if self.is_alive:
            self.is_alive = False
            self._connection.close()
            self._lifeline.close()
        multiprocessing.process._children.discard(self._process)  # type: ignore[attr-defined]  # else it is waited for at exit


@contextmanager
def _may_start() -> Iterator[None]:
    """Let a process that ends with its parent, such as one of a pool, start processes, as those here end with it."""
    config = multiprocessing.process.current_process()._config  # type: ignore[attr-defined]
    with _starting:
        is_daemon = config.pop("daemon", False)
        try:
            yield
        finally:
            if is_daemon:
                config["daemon"] = True


_starting = threading.Lock()


def _renew_starting() -> None:
    global _starting
    _starting = threading.Lock()


forks.renew_in_child(_renew_starting)


def _told(code: int | None) -> str:
    """Say how a process ended."""
    if code is None:
        return "nobody knows what"
    if code < 0:
        known = -code in set(signal.Signals)
        name = signal.Signals(-code).name if known else f"signal {-code}"
        return f"{name}{', perhaps for lack of memory' if name == 'SIGKILL' else ''}"
    return f"exit code {code}"


# -- in the other process --


def serve(connection: Connection, lifeline: Connection, idle_s: float, niceness: int) -> None:
    """Make the calls that come, until none has come for `idle_s`, or the process that asks is gone."""
    become_worker()
    if niceness and hasattr(os, "nice"):  # Windows has it not
        os.nice(niceness)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that asks
    memory.share_heap()
    threading.Thread(target=_end_with, args=(lifeline,), daemon=True).start()
    constants: dict[str, tuple[str, Any]] = {}
    try:
        while connection.poll(idle_s):
            named, request = pickle.loads(connection.recv_bytes())
            answer = _answered(connection, constants, named, request)
            with suppress(
                Exception
            ):  # there may be nobody who reads it, and no call fails for that
                sys.stdout.flush()  # a process that is ended does not do it
            connection.send_bytes(answer)
            memory.look()
        connection.send_bytes(IDLE)
    except (EOFError, OSError):
        return


def _answered(
    connection: Connection,
    constants: dict[str, tuple[str, Any]],
    named: Sequence[tuple[str, str, bytes | None]],
    request: bytes,
) -> bytes:
    try:
        for name, digest, value in named:
            if value is not None and (name not in constants or constants[name][0] != digest):
                constants[name] = digest, pickle.loads(value)
        prepare, arguments, is_timed = pickle.loads(request)
        call = prepare(*(constants[name][1] for name, _, _ in named), *arguments)
        if is_timed:
            connection.send_bytes(BEGUN)
        return given_answer(call)
    except BaseException as exc:  # noqa: BLE001 - of whatever class: whoever waits for the call gets it raised
        return error_answer(exc)


def _end_with(lifeline: Connection) -> None:
    """End this process when the one that asks has ended, whatever runs here."""
    try:
        lifeline.recv_bytes()
    except (EOFError, OSError):
        os._exit(0)
