"""The line to the server: statements that are sent together, in one way there and back (libpq's pipeline mode).

What a statement gives is asked of its answer; until somebody asks, or what reads is run, it waits and is sent with the next.
psycopg's own pipeline is not used: what it does around each statement takes longer than the ways that it saves.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain, islice
from typing import Any, NamedTuple

import psycopg
from psycopg import generators, pq
from psycopg.abc import PQGen
from psycopg.adapt import PyFormat, Transformer
from psycopg.errors import error_from_result
from psycopg.pq.abc import PGresult

PREPARE_AFTER = 3
"""Statements that came so often are prepared: they are parsed and planned no more."""

COUNTED = 4_096
"""Texts of which it is counted how often they came."""

PREPARED = 512
"""Statements that are kept prepared; when there are more, all are forgotten."""

SENT_TOGETHER = 64
"""Statements that wait to be sent at most."""

LOADED_AT_ONCE = 1_000

CHANGES_SHAPES = (b"DROP", b"ALTER")
"""What a statement says of itself behind which what is prepared may be about something else."""

FAILED = (pq.ExecStatus.FATAL_ERROR, pq.ExecStatus.BAD_RESPONSE)

Key = tuple[str, Sequence[int]]


class _Sent(NamedTuple):
    """A statement as it is sent, and who waits for what it gives."""

    key: Key
    values: Sequence[Any]
    formats: Sequence[Any]
    is_binary: bool
    answer: Answer


class Answer:
    """What a statement gives. Whoever asks has it sent, with all that waits before it."""

    __slots__ = ("_count", "_line", "_rows")

    def __init__(self, line: Line) -> None:
        self._line: Line | None = line
        self._rows: Iterator[Any] = iter(())
        self._count = -1

    def take(self, rows: Iterator[Any], count: int) -> None:
        self._line, self._rows, self._count = None, rows, count

    @property
    def is_here(self) -> bool:
        """Whether it has been given, and without an error."""
        return self._line is None

    def _asked(self) -> Iterator[Any]:
        if self._line is not None:
            self._line.run()
        return self._rows

    @property
    def rowcount(self) -> int:
        self._asked()
        return self._count

    def __iter__(self) -> Iterator[Any]:
        return self._asked()

    def fetchone(self) -> Any:
        return next(self._asked(), None)

    def fetchmany(self, count: int) -> list[Any]:
        return list(islice(self._asked(), count))

    def fetchall(self) -> list[Any]:
        return list(self._asked())


class Answers:
    """What one statement gives for several sets of parameters, of which only their number is asked for."""

    __slots__ = ("_each",)

    def __init__(self, each: Sequence[Answer]) -> None:
        self._each = each

    @property
    def rowcount(self) -> int:
        return sum(max(answer.rowcount, 0) for answer in self._each)


class Line:
    """Statements on their way, of one connection. Of one thread at a time.

    Args:
        prepares: the connection leads to one and the same session of the server.
    """

    def __init__(self, connection: psycopg.Connection[Any], *, prepares: bool) -> None:
        self._connection, self._prepares = connection, prepares
        self._transformer = Transformer(connection)
        self._waiting: list[_Sent] = []
        self._came: dict[Key, int] = {}
        self._names: dict[Key, bytes] = {}
        self._named, self._are_stale = 0, False

    def put(self, text: str, parameters: Sequence[Any] = (), *, is_binary: bool = False) -> Answer:
        """Let a statement wait to be sent.

        Raises:
            psycopg.DataError: a parameter cannot be sent.
        """
        answer, transformer = Answer(self), self._transformer
        values: Sequence[Any] = ()
        types: Sequence[int] = ()
        formats: Sequence[Any] = ()
        if parameters:
            values = transformer.dump_sequence(parameters, [PyFormat.AUTO] * len(parameters))
            types, formats = transformer.types or (), transformer.formats or ()
        if len(self._waiting) >= SENT_TOGETHER:
            self.run()
        self._waiting.append(_Sent((text, types), values, formats, is_binary, answer))
        return answer

    def drop(self) -> None:
        """Forget what waits."""
        self._waiting.clear()

    def forget_prepared(self) -> None:
        """Have statements parsed and planned anew: what they are about may be something else by now."""
        self._are_stale |= bool(self._names)
        self._names.clear()
        self._came.clear()

    def run(self) -> None:
        """Send what waits, and take in what it gives. Behind one that fails the server does none.

        Raises:
            psycopg.Error: the first that failed.
        """
        sent, self._waiting = self._waiting, []
        if not sent:
            return
        pgconn = self._connection.pgconn
        if self._are_stale and pgconn.transaction_status == pq.TransactionStatus.IDLE:
            self._connection.execute("DEALLOCATE ALL")
            self.forget_prepared()  # also what was prepared since, in the transaction that is over
            self._are_stale = False
        fresh: dict[Key, bytes] = {}
        pgconn.enter_pipeline_mode()
        found = self._connection.wait(self._exchanged([self._send(each, fresh) for each in sent]))
        pgconn.exit_pipeline_mode()
        self._take(sent, found, fresh)

    def _exchanged(self, parts: Sequence[int]) -> PQGen[list[list[PGresult]]]:
        """Bring what was queued on its way, and return the results of each statement, which has so many parts."""
        pgconn = self._connection.pgconn
        pgconn.pipeline_sync()
        yield from generators.send(pgconn)
        found = []
        for count in (*parts, 1):  # the last is the end
            results: list[PGresult] = []
            for _ in range(count):
                results += yield from generators.fetch_many(pgconn)
            found.append(results)
        return found

    def _send(self, sent: _Sent, fresh: dict[Key, bytes]) -> int:
        """Queue a statement, and return how many results it has."""
        pgconn, (text, types) = self._connection.pgconn, sent.key
        kind = pq.Format.BINARY if sent.is_binary else pq.Format.TEXT
        values, formats = sent.values or None, sent.formats or None
        name, parts = self._names.get(sent.key) or fresh.get(sent.key), 1
        if name is None and self._is_to_be_prepared(sent.key):
            self._named += 1
            name = fresh[sent.key] = b"motion_%d" % self._named
            pgconn.send_prepare(name, text.encode(), types or None)
            parts = 2
        if name is None:
            pgconn.send_query_params(text.encode(), values, types or None, formats, kind)
        else:
            pgconn.send_query_prepared(name, values, formats, kind)
        return parts

    def _is_to_be_prepared(self, key: Key) -> bool:
        if not self._prepares:
            return False
        if len(self._came) >= COUNTED and key not in self._came:
            self._came.clear()  # texts with numbers in them come once each
        came = self._came[key] = self._came.get(key, 0) + 1
        return came > PREPARE_AFTER

    def _take(
        self, sent: Sequence[_Sent], found: Sequence[Sequence[PGresult]], fresh: dict[Key, bytes]
    ) -> None:
        is_changed = False
        for each, results in zip(sent, found, strict=False):
            for result in results:
                if result.status in FAILED:
                    self.forget_prepared()
                    raise error_from_result(result, encoding=self._transformer.encoding)
            last = results[-1]
            is_changed |= (last.command_status or b"").startswith(CHANGES_SHAPES)
            each.answer.take(
                self._rows(last), -1 if last.command_tuples is None else last.command_tuples
            )
        self._names |= fresh
        if is_changed or len(self._names) > PREPARED:
            self.forget_prepared()

    def _rows(self, result: PGresult) -> Iterator[Any]:
        """Return what a result holds: of many rows, some are made values of at a time."""
        count = result.ntuples
        if count > LOADED_AT_ONCE:
            parts = range(0, count, LOADED_AT_ONCE)
            return chain.from_iterable(self._loaded(result, first, count) for first in parts)
        return iter(self._loaded(result, 0, count) if count else ())

    def _loaded(self, result: PGresult, first: int, count: int) -> list[Any]:
        self._transformer.set_pgresult(result)
        return self._transformer.load_rows(first, min(first + LOADED_AT_ONCE, count), tuple)
