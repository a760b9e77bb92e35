"""Growing texts: the parts that a generator has given so far, passed on to who reads along, and read along."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from motion import clock
from motion.backends.base import Backend, Transaction
from motion.definitions.tasks import TaskStatus
from motion.definitions.triggers.specs import TriggerSpec
from motion.errors import StoreClosed
from motion.persistence.layout import Layout, quoted
from motion.persistence.ranges import parts_of


class Part(str):
    """A part of a text that is growing: a string that knows where it belongs.

    Attributes:
        id, pages: name the row.
        is_first: whether a text begins with it. What follows up to the next first part of the same row, joined, is
            its text: where a run was lost and another one said something else, that begins anew.
    """

    id: Any
    pages: dict[str, int]
    is_first: bool

    def __new__(cls, text: str, id: Any, pages: dict[str, int], is_first: bool) -> Part:
        part = super().__new__(cls, text)
        part.id, part.pages, part.is_first = id, pages, is_first
        return part


ENDED_KEPT = 256
"""Texts whose runs have ended that are remembered: who reads along late has the parts of one that failed."""


@dataclass
class _Growing:
    run: int
    texts: list[str] = field(default_factory=list)
    kept: int = 0
    kept_s: float = 0.0
    took_s: float = 0.0
    is_left: bool = False


class GrowingTexts:
    """The texts that runs of this process are making. Thread-safe; those of other processes are read from the store."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._lock = threading.Lock()
        self._growing: dict[Grows, _Growing] = {}
        self._ended: dict[Grows, _Growing] = {}  # those that ended last, until that is committed

    def add(self, layout: Layout, text: Grows, part: int, added: str) -> None:
        """Pass on a part: in this process at once, to others by the store."""
        with self._lock:
            if part == 0:
                self._growing[text] = _Growing(random.getrandbits(62))
                self._ended.pop(text, None)
            growing = self._growing[text]
            growing.texts.append(added)
            waited_s = clock.monotonic_s() - growing.kept_s
            is_due = waited_s >= growing.took_s
            is_left, growing.is_left = growing.is_left, not is_due
        if is_due:
            self._keep(layout, text, growing)
            return
        self._backend.committed.give()
        if not is_left:
            later = threading.Timer(growing.took_s, self._keep, (layout, text, growing))
            later.daemon = True
            later.start()

    def _keep(self, layout: Layout, text: Grows, growing: _Growing) -> None:
        """Keep the parts that are not yet with the store. This takes at most half the time: what comes faster than it
        can be kept is kept together, a little later."""
        spec = layout.graph.triggers[text.trigger]

        def work(tx: Transaction) -> None:
            is_current = growing_at(tx, layout, spec, text.row) == text
            with self._lock:
                is_over = self._growing.get(text) is not growing
                first, growing.kept = growing.kept, len(growing.texts)
                growing.is_left = False
            if is_current and not is_over:
                keep(tx, text, growing.run, first, growing.texts[first:])

        started = clock.monotonic_s()
        with suppress(StoreClosed):  # only the timer may come so late
            self._backend.write(work, is_durable=False)
            self._backend.tell()
        growing.kept_s = clock.monotonic_s()
        growing.took_s = growing.kept_s - started

    def end(self, texts: Iterable[Grows]) -> None:
        """Pass no more of texts whose runs have ended; to be called before what they gave is committed."""
        with self._lock:
            for text in texts:
                growing = self._growing.pop(text, None)
                if growing is not None:
                    self._ended[text] = growing
            while len(self._ended) > ENDED_KEPT:
                del self._ended[next(iter(self._ended))]

    def settle(self, tx: Transaction, texts: Iterable[Grows], failed: Iterable[Grows]) -> None:
        """Forget texts in the transaction that ends their runs. What a failed run had given stays, for who reads along
        late, until the next run begins."""
        texts, failed = list(texts), set(failed)
        whole = [text.row for text in texts if text not in failed]
        for trigger in {text.trigger for text in texts}:
            forget(tx, trigger, whole)
        with self._lock:
            ended = {text: self._ended.get(text) for text in texts}
        for text in failed:
            growing = ended.get(text)
            if growing is not None:
                forget(tx, text.trigger, [text.row])
                keep(tx, text, growing.run, 0, growing.texts)

    def of_row(
        self, tx: Transaction, layout: Layout, spec: TriggerSpec, row: int
    ) -> tuple[int, Sequence[str]] | None:
        """Return the run that is making the text for a row as it is now, and its parts so far; None where there is
        none."""
        text = growing_at(tx, layout, spec, row)
        if text is None:
            return None
        with self._lock:
            growing = self._growing.get(text)
            if growing is not None:
                return growing.run, list(growing.texts)
        return of_text(tx, text)


class ReadAlong:
    """What has been passed on of one row's text."""

    def __init__(self, id: Any, pages: dict[str, int]) -> None:
        self._id, self._pages = id, pages
        self._passed = ""
        self._run: int | None = None
        self._taken = 0
        self._text = ""

    def grown(self, run: int, texts: Sequence[str]) -> Iterator[Part]:
        """Give what a run has added. A run after a lost one is passed on from where its text goes beyond, or differs
        from, what was passed on before."""
        if run != self._run:
            self._run, self._taken, self._text = run, 0, ""
        for text in texts[self._taken :]:
            self._text += text
            if not (self._text != self._passed and self._passed.startswith(self._text)):
                yield from self._advanced(self._text)
        self._taken = max(self._taken, len(texts))  # another process is told a little later

    def whole(self, text: str) -> Iterator[Part]:
        """Give what is missing of the text as it was committed."""
        yield from self._advanced(text)

    def _advanced(self, text: str) -> Iterator[Part]:
        """Give what leads from what was passed on to `text`: its end, or all of it where they differ."""
        if text == self._passed:
            return
        is_first = not self._passed or not text.startswith(self._passed)
        added = text if is_first else text[len(self._passed) :]
        self._passed = text
        yield Part(added, self._id, self._pages, is_first)


class Grows(NamedTuple):
    """A text that is growing: of which trigger on which row, and the change of its `on` keys that it is made for."""

    trigger: str
    row: int
    number: int


def growing_at(tx: Transaction, layout: Layout, spec: TriggerSpec, row: int) -> Grows | None:
    """Return the text that a trigger's run would make for a row as it is now; None where there is no such row."""
    sql = f"SELECT {layout.on_number(spec)} FROM {layout.joined(spec.on, [spec])} WHERE {layout.row} = ?"
    found = tx.execute(sql, (row,)).fetchone()
    return None if found is None else Grows(spec.name, row, int(found[0]))


def keep(tx: Transaction, text: Grows, run: int, first: int, parts: Sequence[str]) -> None:
    """Add parts to those of a run; the first of a run end those of any other on the row."""
    tx.execute(
        "DELETE FROM motion_parts WHERE trigger = ? AND row = ? AND run != ?",
        (text.trigger, text.row, run),
    )
    tx.executemany(
        "INSERT INTO motion_parts (trigger, row, number, run, part, text) VALUES (?, ?, ?, ?, ?, ?)",
        [(*text, run, place, part) for place, part in enumerate(parts, first)],
    )


def forget(tx: Transaction, trigger: str, rows: Sequence[int]) -> None:
    """Drop the parts of rows whose runs have ended, or that are deleted."""
    for part in parts_of(rows):
        tx.execute(
            f"DELETE FROM motion_parts WHERE trigger = ? AND {part.condition('row')}",
            (trigger, *part.numbers),
        )


def forget_ended(tx: Transaction, trigger: str) -> None:
    """Drop the parts of all runs of a trigger that are not under way."""
    under_way = (
        f"SELECT 1 FROM motion_tasks t WHERE t.trigger = motion_parts.trigger AND t.status = {TaskStatus.CLAIMED:d} "
        "AND motion_parts.row BETWEEN t.low AND t.high"
    )
    sql = f"DELETE FROM motion_parts WHERE trigger = ? AND NOT EXISTS ({under_way})"
    tx.execute(sql, (trigger,))


def of_text(tx: Transaction, text: Grows) -> tuple[int, list[str]] | None:
    """Return the run that is making a text and its parts so far, None where there is none."""
    sql = (
        "SELECT run, text FROM motion_parts WHERE trigger = ? AND row = ? AND number = ? "
        "ORDER BY run, part"
    )
    found = tx.execute(sql, text).fetchall()
    return (int(found[0][0]), [str(text) for _, text in found]) if found else None


def rows_by_name(tx: Transaction, layout: Layout, row_id: object) -> dict[tuple[object, ...], int]:
    """Return the rows of an id: its primary key as stored -> the row's number."""
    names = ", ".join(map(quoted, layout.table.primary_key))
    sql = f"SELECT {layout.row_column}, {names} FROM {layout.base} WHERE id = ?"
    return {tuple(name): int(row) for row, *name in tx.execute(sql, (row_id,))}
