"""Listening: one connection that hears what other processes tell by NOTIFY, in a thread of its own.

A hint only: what is told while the connection is lost is not heard, so a new connection counts as a word, and now and then it is
looked whether anything was written.
"""

from __future__ import annotations

import logging
import os
import select
import threading
from collections.abc import Callable

import psycopg

from motion import clock
from motion.backends.postgres_session import Session
from motion.backends.postgres_sql import name

logger = logging.getLogger(__name__)

LOOK_S = 0.5
"""How often it is looked whether anybody has written and did not say so."""

PAUSE_S = 0.5
"""Between two tries to connect."""


class Listener:
    """Passes on what others tell.

    Args:
        connect: opens a connection.
        writer: whose own words are passed over.
        take: takes what was told, each word once; nothing where something may have been.
    """

    def __init__(
        self,
        connect: Callable[[], Session],
        channel: str,
        writer: str,
        take: Callable[[set[str]], None],
    ) -> None:
        self._connect, self._channel, self._writer, self._take = connect, channel, writer, take
        self._over, self._end = os.pipe()
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="motion-listener", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._is_over.set()
        os.write(self._end, b"o")
        self._thread.join()
        os.close(self._over)
        os.close(self._end)

    def _run(self) -> None:
        while not self._is_over.is_set():
            try:
                session = self._connect()
            except psycopg.Error:
                self._is_over.wait(PAUSE_S)
                continue
            try:
                if not session.is_pooled:  # else it would hear in another one's place
                    session.run(f"LISTEN {name(self._channel)}")
                self._hear(session)
            except psycopg.Error as exc:
                logger.debug("the connection that listens is lost: %s", exc)
            finally:
                session.close()

    def _hear(self, session: Session) -> None:
        place, looks_s = "", 0.0
        while not self._is_over.is_set():
            if clock.monotonic_s() >= looks_s:
                looks_s = clock.monotonic_s() + LOOK_S
                found = session.written_up_to()
                if found != place:
                    place = found
                    self._take(set())
            self._wait(session, looks_s - clock.monotonic_s())
            told = {word for word, writer in session.heard() if writer != self._writer}
            if told:
                self._take(told)

    def _wait(self, session: Session, longest_s: float) -> None:
        poll = select.poll()
        poll.register(self._over, select.POLLIN)
        poll.register(session.fileno(), select.POLLIN)
        poll.poll(1000 * min(max(longest_s, 0.0), LOOK_S))
