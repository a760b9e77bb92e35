"""Wake-ups: how processes of one machine tell each other of commits, by a Unix datagram each (0.15 ms until it is read).

A hint only: a datagram may be lost, so who listens also looks now and then. Each process that waits for something has a
socket in a folder of the store; a socket that nobody holds any more refuses, and is removed by who finds out.
"""

from __future__ import annotations

import os
import select
import socket
import uuid
from pathlib import Path

from motion import clock

FOLDER = "listeners"

COMMITTED, WORK, OVER = b"c", b"w", b"o"

LONGEST_PATH = 100
"""Bytes of a socket's path; the system's limit is 104 to 108."""

SETTLED_MS = 50
"""A folder that changed so recently may change again without its time showing it."""

Message = bytes


class Wakeups:
    """One process's ear and voice. `tell` may be called from any thread, also after the end; the rest from the one that
    listens.

    Raises:
        OSError: the system or the folder has no room for sockets.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder / FOLDER
        self._folder.mkdir(exist_ok=True)
        self._directory = os.open(self._folder, os.O_RDONLY)
        self._voice = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._voice.setblocking(False)
        self._ear: socket.socket | None = None
        self._name = uuid.uuid4().hex[:12]
        self._others: tuple[str, ...] = ()
        self._seen_ns = -1

    def listen(self) -> None:
        """Be told from now on."""
        ear = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        ear.setblocking(False)
        try:
            ear.bind(self._path(self._name))
        except OSError:
            ear.close()
            raise
        self._ear = ear

    def wait(self, timeout_s: float) -> set[Message]:
        """Return what was told meanwhile, each kind once; nothing after `timeout_s`."""
        assert self._ear is not None
        poll = select.poll()  # `select.select` takes no file beyond the 1,024th
        poll.register(self._ear, select.POLLIN)
        ready = poll.poll(1000 * timeout_s)
        told: set[Message] = set()
        while ready:
            try:
                told.add(self._ear.recv(1))
            except BlockingIOError:
                break
        return told

    def tell(self, message: Message) -> None:
        """Tell every other process that listens; nobody where it was closed meanwhile."""
        try:
            names = self._listeners()
        except OSError:
            return
        for name in names:
            self._send(name, message)

    def end(self) -> None:
        """Let `wait` return."""
        self._send(self._name, OVER)

    def close(self) -> None:
        if self._ear is not None:
            self._ear.close()
            (self._folder / self._name).unlink(missing_ok=True)
        self._let_go()

    def leave(self) -> None:
        """Let go, in a forked child, of what its parent goes on listening with."""
        if self._ear is not None:
            self._ear.close()
        self._let_go()

    def _let_go(self) -> None:
        self._voice.close()
        # Of no file before it is closed: its number may be another's at once, whom `tell` must not take for the folder.
        directory, self._directory = self._directory, -1
        os.close(directory)

    def _listeners(self) -> tuple[str, ...]:
        """Return who listens; the folder is read only when it has changed."""
        changed_ns = os.stat(self._directory).st_mtime_ns
        if changed_ns != self._seen_ns:
            names = os.listdir(self._directory)
            self._others = tuple(name for name in names if name != self._name)
            is_settled = abs(clock.now_ms() - changed_ns // 1_000_000) > SETTLED_MS
            self._seen_ns = changed_ns if is_settled else -1
        return self._others

    def _send(self, name: str, message: Message) -> None:
        try:
            self._voice.sendto(message, self._path(name))
        except BlockingIOError:
            return  # it has enough to read
        except ConnectionRefusedError:
            (self._folder / name).unlink(missing_ok=True)  # its process has ended
        except OSError:
            return  # gone meanwhile, or out of reach: it looks by itself

    def _path(self, name: str) -> str:
        """Return a socket's path in a form short enough for the system, however deep the store's folder lies."""
        path = str(self._folder / name)
        return (
            path
            if len(os.fsencode(path)) < LONGEST_PATH
            else f"/proc/self/fd/{self._directory}/{name}"
        )
