"""Isolation: what the runs of a claim read exactly, as their own writes change it, and whether they would read the same.

Reads are answered from committed data, with the writes of the run itself and of the claim's finished runs laid over it. What
was committed is what a commit can ask for again. Decision 19 tells why it is done so.
"""

from __future__ import annotations

import os
import random
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from motion.definitions.values.codecs import Stored
from motion.persistence.changes.operations import (
    DeleteOperation,
    MatchOperation,
    Operation,
    PruneOperation,
)
from motion.persistence.inputs.exact import (
    Found,
    Question,
    digest_of,
    id_asked,
    keys_of,
    shown_values,
)
from motion.persistence.layout import Layout, Pins

Ask = Callable[[Question], list[Found]]

Look = Callable[[Iterable[str]], Pins]

Entity = tuple[str, Stored]
"""A table, and the id of a row with its pages."""


_tokens = random.Random()  # not the system's, which costs a call of it for each claim
os.register_at_fork(after_in_child=_tokens.seed)

RunName = tuple[int, int]
"""Tells runs apart: those of rows that were called together, and the place among these."""


class Asked(NamedTuple):
    """The answer that a run was given to a question.

    Attributes:
        base: digest of what was committed.
        seen: digest of that with the writes of runs before it.
        after: those runs whose writes these are, though they were not committed.
    """

    base: bytes
    seen: bytes
    after: frozenset[RunName]


@dataclass
class Reads:
    """What one run read exactly.

    Attributes:
        asked: the first answer to each question.
        torn: a question that was answered otherwise when it was asked again: no moment shows both answers.
        is_unsafe: whether it saw something of runs before it that only their commit will tell.
        by_id: the questions for rows by their id, as the run has asked them: what it follows, if it does.
        found: the entities whose rows were in answers to other questions.
        pins: component -> the version that was live when the run first read what that keeps by version.
    """

    asked: dict[Question, Asked] = field(default_factory=dict)
    torn: Question | None = None
    is_unsafe: bool = False
    by_id: set[Question] = field(default_factory=set)
    found: set[Entity] = field(default_factory=set)
    pins: dict[str, int] = field(default_factory=dict)

    def note(self, question: Question, answer: Asked) -> None:
        if self.asked.setdefault(question, answer).seen != answer.seen:
            self.torn = question

    def unread(self, table: str, ids: Iterable[Stored]) -> list[Stored]:
        """Return those of some ids of a table that the run has not read."""
        known = self.found.union(map(_names, self.by_id))
        return [each for each in ids if (table, each) not in known]


class Left(NamedTuple):
    """What a run left: its writes, and what it has read exactly.

    Attributes:
        rows: the places of the rows that it was on.
        began_ms: when its function was called.
    """

    rows: range
    operations: Sequence[Operation]
    name: RunName
    reads: Reads
    began_ms: int = 0

    def is_isolated(self, declared: bool | None) -> bool:
        """Whether what it has read is to hold, by what its trigger declares: by default where it has written."""
        return bool(self.operations) if declared is None else declared


@dataclass
class _Laid:
    """What writes make of one entity: its rows were deleted, and then these values were set on these pages."""

    writers: set[RunName] = field(default_factory=set)
    is_deleted: bool = False
    pages: dict[tuple[Stored, ...], dict[str, Stored]] = field(default_factory=dict)


class Overlay:
    """Writes that are not committed, in stored form."""

    def __init__(self, layouts: Callable[[str], Layout]) -> None:
        self._layouts = layouts
        self._laid: dict[Entity, _Laid] = {}
        self._of_table: dict[str, set[Entity]] = {}
        self._unnamed: dict[str, list[tuple[tuple[Stored, ...], dict[str, Stored]]]] = {}
        self.is_unsafe = False

    def add(self, operations: Sequence[Operation], writer: RunName) -> None:
        for operation in operations:
            if isinstance(
                operation, MatchOperation | PruneOperation
            ):  # which rows it meets is known when it is committed
                self._unnamed.setdefault(operation.table, [])
                self.is_unsafe = True
            elif isinstance(operation, DeleteOperation):
                for row_id in operation.ids:
                    self._delete((operation.table, row_id), writer)
            else:
                for row_id, pages, values in _rows_of(self._layouts(operation.table), operation):
                    self._set((operation.table, row_id), pages, values, writer)

    def _entity(self, entity: Entity, writer: RunName) -> _Laid:
        self._of_table.setdefault(entity[0], set()).add(entity)
        laid = self._laid.setdefault(entity, _Laid())
        laid.writers.add(writer)
        return laid

    def _set(
        self, entity: Entity, pages: tuple[Stored, ...], values: dict[str, Stored], writer: RunName
    ) -> None:
        if entity[1] is None:  # its id is given when it is committed
            self._unnamed.setdefault(entity[0], []).append((pages, values))
        else:
            self._entity(entity, writer).pages.setdefault(pages, {}).update(values)

    def _delete(self, entity: Entity, writer: RunName) -> None:
        laid = self._entity(entity, writer)
        laid.is_deleted, laid.pages = True, {}
        graph = self._layouts(entity[0]).graph
        if graph.tables.refs_to(entity[0]) or any(
            spec.sets_table for spec in graph.of_table(entity[0])
        ):
            self.is_unsafe = True  # rows of other tables go with it

    def has(self, table: str) -> bool:
        return table in self._of_table or table in self._unnamed

    def entities(self, table: str) -> set[Entity]:
        return self._of_table.get(table, set())

    def unnamed(self, table: str) -> Sequence[tuple[tuple[Stored, ...], dict[str, Stored]]]:
        return self._unnamed.get(table, ())

    def writers(self, entity: Entity) -> set[RunName]:
        laid = self._laid.get(entity)
        return laid.writers if laid else set()

    def over(
        self, layout: Layout, question: Question, found: Sequence[Found]
    ) -> tuple[list[Found], bool]:
        """Return the pages of the id asked for as the writes leave them, and whether a row is new among them."""
        laid = self._laid.get((question.table, question.id))
        if laid is None:
            return list(found), False
        keys = keys_of(layout, question)
        rows = {} if laid.is_deleted else {row.name[1:]: row for row in found}
        has_new = False
        for pages, values in laid.pages.items():
            if question.pages and pages not in question.pages:
                continue
            row = rows.get(pages)
            has_new |= row is None
            known = row.values if row else dict.fromkeys(keys)
            merged = {key: values.get(key, known[key]) for key in keys}
            rows[pages] = Found(row.number if row else None, (question.id, *pages), merged)
        return [rows[pages] for pages in sorted(rows)], has_new


def _rows_of(
    layout: Layout, operation: Any
) -> Iterator[tuple[Stored, tuple[Stored, ...], dict[str, Stored]]]:
    """Give the rows of a write: id, page keys, and the other values."""
    columns: Mapping[str, Sequence[Stored]] = operation.columns
    ids = columns.get("id") or [None] * operation.count
    pages = [columns.get(page) or [0] * operation.count for page in layout.table.page_keys]
    named = set(layout.table.primary_key)
    values = {key: column for key, column in columns.items() if key not in named}
    for i in range(operation.count):
        name = tuple(column[i] or 0 for column in pages)
        yield ids[i], name, {key: column[i] for key, column in values.items()}


class ClaimReads:
    """Answers the exact reads of runs that are called together, and keeps what each has asked. Thread-safe.

    Args:
        ask: asks a question among what is committed.
        layouts: returns the layout of a table.
        look: returns the live versions of components.
    """

    def __init__(self, ask: Ask, layouts: Callable[[str], Layout], look: Look) -> None:
        self._ask, self._layouts, self._look = ask, layouts, look
        self._live: dict[str, int] = {}
        self._token = _tokens.getrandbits(63)
        self._known: dict[Question, tuple[list[Found], bytes]] = {}
        self._finished: dict[int, Sequence[Operation]] = {}
        self._earlier = Overlay(layouts)
        self._of_run: dict[int, Reads] = {}
        self._lock = threading.Lock()

    @property
    def has_finished(self) -> bool:
        return bool(self._finished)

    def name(self, run: int) -> RunName:
        return self._token, run

    def reads(self, run: int) -> Reads:
        found = self._of_run.get(run)
        if found is None:
            found = self._of_run[run] = Reads()
        return found

    def pinned(self, run: int, components: Set[str]) -> Pins:
        """Return the versions of components that a run sees: those that were live when it, or one of those called together
        with it, first read what they keep. Its commit asks whether they still are."""
        with self._lock:
            pins = self.reads(run).pins
            if fresh := components - pins.keys():
                unknown = sorted(fresh - self._live.keys())
                self._live |= self._look(unknown) if unknown else {}
                pins |= {name: self._live[name] for name in fresh}
            return {name: pins[name] for name in sorted(components)}

    @property
    def is_any_pinned(self) -> bool:
        return any(reads.pins for reads in self._of_run.values())

    def forget(self, run: int) -> None:
        """Forget what a run has read: it begins anew."""
        self._of_run.pop(run, None)

    def finish(self, operations: Sequence[Operation], run: int) -> None:
        """Let the runs after it see what a finished run has written."""
        with self._lock:
            self._finished[run] = list(operations)
            self._earlier.add(operations, self.name(run))

    def settle(self, runs: Iterable[int]) -> None:
        """Take in that what runs have written is committed, or dropped: what comes after asks the database."""
        with self._lock:
            self._known.clear()
            self._live.clear()
            for run in runs:
                self._finished.pop(run, None)
            self._earlier = Overlay(self._layouts)
            for run, operations in self._finished.items():
                self._earlier.add(operations, self.name(run))

    def answer(
        self, question: Question, run: int, own: Sequence[Operation], *, is_asked: bool = True
    ) -> list[Found]:
        """Answer a question of a run, with the writes it has made so far laid over.

        Args:
            is_asked: the run itself has asked it; otherwise it is only a part of what answers one.
        """
        overlay = Overlay(self._layouts)
        overlay.add(own, self.name(run))
        with self._lock:
            if is_asked and id_asked(question) is not None:
                self.reads(run).by_id.add(question)
            if question.id is not None:
                return self._of_id(question, run, overlay)
            found = self._of_any(question, run, overlay)
            if is_asked:
                self.reads(run).found.update((question.table, row.name[0]) for row in found)
            return found

    def _of_id(self, question: Question, run: int, own: Overlay) -> list[Found]:
        layout, reads = self._layouts(question.table), self.reads(run)
        base, digest = self._committed(question)
        after = frozenset(self._earlier.writers((question.table, question.id)))
        found, is_new = self._earlier.over(layout, question, base)
        seen = digest_of(found) if after else digest
        reads.note(question, Asked(digest, seen, after))
        reads.is_unsafe |= self._earlier.is_unsafe or (is_new and _is_filled(layout))
        return own.over(layout, question, found)[0]

    def _of_any(self, question: Question, run: int, own: Overlay) -> list[Found]:
        """Answer a question for any rows: those of entities that are written to are looked at one by one."""
        table, reads = question.table, self.reads(run)
        reads.is_unsafe |= bool(self._earlier.unnamed(table)) or self._earlier.is_unsafe
        touched = self._earlier.entities(table) | own.entities(table)
        if not touched and not own.unnamed(table):
            return self._note(question, reads)
        layout = self._layouts(table)
        question = replace(question, keys=_with(layout, question))
        rows, hidden = self._touched(question, touched, run, own), 0
        ids = {entity[1] for entity in touched}
        while True:  # as many more as there may be among the first that are written to
            limit = None if question.limit is None else _rounded(question.limit + hidden)
            base = self._note(replace(question, limit=limit), reads)
            kept = [row for row in base if row.name[0] not in ids]
            enough = limit is None or len(base) < limit or len(kept) >= (question.limit or 0)
            if enough:
                break
            hidden += len(base) - len(kept)
        return _sorted([*kept, *rows], question)[: question.limit]

    def _touched(
        self, question: Question, touched: set[Entity], run: int, own: Overlay
    ) -> list[Found]:
        """Return the rows that fit a question among those that are written to."""
        layout = self._layouts(question.table)
        rows: list[Found] = []
        for _, row_id in touched:
            of_id = replace(question, id=row_id, equal=(), order=(), limit=None)
            found = self._of_id(of_id, run, own)
            rows += _fitting(layout, question, found)
        keys = keys_of(layout, question)
        for pages, values in own.unnamed(question.table):
            fresh = Found(None, (None, *pages), {key: values.get(key) for key in keys})
            rows += _fitting(layout, question, [fresh])
        return rows

    def _note(self, question: Question, reads: Reads) -> list[Found]:
        """Answer a question for any rows with what is committed, and note that a run has asked it. The rows that runs before
        it have written to are asked for one by one."""
        found, digest = self._committed(question)
        writers = (
            self._earlier.writers(entity) for entity in self._earlier.entities(question.table)
        )
        reads.note(question, Asked(digest, digest, frozenset().union(*writers)))
        return found

    def _committed(self, question: Question) -> tuple[list[Found], bytes]:
        known = self._known.get(question)
        if known is None:
            found = self._ask(question)
            known = self._known[question] = found, digest_of(found)
        return known


def _with(layout: Layout, question: Question) -> tuple[str, ...]:
    """Return the keys that answer a question and tell whether a row is in its answer, and where."""
    if question.keys is None:
        return tuple(layout.table.keys)
    used = [*(key for key, _ in question.equal), *(key for key, _ in question.order)]
    return tuple(dict.fromkeys([*question.keys, *used]))


def _is_filled(layout: Layout) -> bool:
    """Whether a new row is given values by its table, which are known when it is committed."""
    return layout.table.timestamp_key is not None or bool(layout.table.defaults)


def _fitting(layout: Layout, question: Question, found: Sequence[Found]) -> list[Found]:
    """Return those pages of one id that show what a question asks for, with what they are sorted by."""
    by_pages = {row.name[1:]: row for row in found}
    fitting: list[Found] = []
    for row in found:
        named = zip(layout.table.primary_key, row.name, strict=True)
        held = {**shown_values(layout, by_pages, row), **dict(named)}
        if all(held[key] == value for key, value in question.equal):
            fitting.append(replace(row, order=tuple(held[key] for key, _ in question.order)))
    return fitting


def _sorted(rows: list[Found], question: Question) -> list[Found]:
    rows.sort(key=lambda row: [_rank(value) for value in row.name])
    for place, (_, is_descending) in reversed(list(enumerate(question.order))):
        rows.sort(key=lambda row: _rank(row.order[place]), reverse=is_descending)
    return rows


def _rank(value: Stored) -> tuple[int, Any]:
    """Return where a stored value comes in an order: as SQLite sorts, texts by code point, which UTF-8 keeps."""
    if value is None:
        return (0, 0)
    if isinstance(value, int | float):
        return (1, value)
    return (2, value.encode("utf-8", "surrogatepass")) if isinstance(value, str) else (3, value)


def _rounded(limit: int) -> int:
    """Return a limit that few different ones round up to, so that an answer serves several runs."""
    return 1 << max(limit - 1, 1).bit_length()


# -- at the commit --


@dataclass
class Check:
    """Tells which runs would read the same now, in the transaction that commits them and before any of their writes.

    Runs are given in the order in which they commit.

    Args:
        ask: asks a question among what is committed; None: nothing was, since the runs began to read.
    """

    ask: Ask | None
    _now: dict[Question, bytes] = field(default_factory=dict)
    _committed: set[RunName] = field(default_factory=set)
    _writers: dict[Entity | str, set[RunName | None]] = field(default_factory=dict)
    _held: dict[tuple[Question, bytes], frozenset[RunName]] = field(default_factory=dict)

    def lost_by(self, reads: Reads) -> Question | str | None:
        """Return what a run would not read as it did; None where all holds."""
        if reads.is_unsafe:
            return "what a run before it has written"
        if reads.torn is not None:
            return reads.torn
        for question, asked in reads.asked.items():
            if not self._holds(question, asked):
                return question
        return None

    def has_moved(self, reads: Reads, but_for: Entity | None = None) -> bool:
        """Whether what a run has read by id is not what it was when it began to be committed. What runs beside it write is
        not looked at: they make it due.

        Args:
            but_for: what the run itself has changed by commits before its end, as generators do.
        """
        by_id = (
            pair
            for pair in reads.asked.items()
            if id_asked(pair[0]) is not None and _names(pair[0]) != but_for
        )
        is_void = reads.is_unsafe or reads.torn is not None
        return is_void or not all(self._is_as_read(*pair) for pair in by_id)

    def _holds(self, question: Question, asked: Asked) -> bool:
        named = question.table if question.id is None else (question.table, question.id)
        if self._writers.get(named, set()) - asked.after:
            return False  # it did not see what a run before it writes there
        return self._is_as_read(question, asked)

    def _is_as_read(self, question: Question, asked: Asked) -> bool:
        before = asked.after - self._committed  # committed earlier, or not at all
        known = self._held.get((question, asked.base))
        if known is not None and before <= known:
            return True  # as a run before it has asked, but for what that one, and others here, have written
        if before and len(before) < len(asked.after):
            return False
        if not self._is_now(question, asked.seen if before else asked.base):
            return False
        self._held[question, asked.base] = before
        return True

    def _is_now(self, question: Question, digest: bytes) -> bool:
        if self.ask is not None and question not in self._now:
            self._now[question] = digest_of(self.ask(question))
        return self._now.get(question, digest) == digest

    def commit(self, left: Left) -> None:
        """Take in that a run is committed."""
        self._committed.add(left.name)
        for operation in left.operations:
            for named in _written(operation):
                self._writers.setdefault(named, set()).add(left.name)

    def give(self, table: str, row_id: Stored | None) -> None:
        """Take in that the result of a run goes to a row, or, with None, to any rows of a table."""
        self._writers.setdefault(table, set()).add(None)
        if row_id is not None:
            self._writers.setdefault((table, row_id), set()).add(None)

    def has_given(self, table: str) -> bool:
        return table in self._writers


def is_any_read(lefts: Iterable[Left]) -> bool:
    """Whether some of these runs, which follow what they read, have read something that some of them write."""
    lefts = list(lefts)
    written = {named for left in lefts for each in left.operations for named in _written(each)}
    return any(_names(each) in written for left in lefts for each in left.reads.by_id)


def has_seen(run: Left, other: Left) -> bool:
    """Whether a run has read all that it has read of what another writes behind that."""
    written = {named for each in other.operations for named in _written(each)}
    of_it = [each for each in run.reads.by_id if _names(each) in written]
    asked = run.reads.asked
    return bool(of_it) and all(each in asked and other.name in asked[each].after for each in of_it)


def _names(question: Question) -> Entity:
    return question.table, id_asked(question)


def _written(operation: Operation) -> Iterator[Entity | str]:
    yield operation.table
    if isinstance(operation, MatchOperation | PruneOperation):
        return
    ids = operation.ids if isinstance(operation, DeleteOperation) else operation.columns.get("id")
    yield from ((operation.table, row_id) for row_id in ids or ())


def told(question: Question | str) -> str:
    """Return a question as people read it."""
    if isinstance(question, str):
        return question
    if question.id is not None:
        return f"get({question.table!r}, {question.id!r})"
    where = ", ".join(f"{key!r}: {value!r}" for key, value in question.equal)
    return f"rows({question.table!r}, where={{{where}}})"
