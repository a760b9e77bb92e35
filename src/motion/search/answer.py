"""Search: by vectors, by text, and by several of them together, with a filter, alone or in batches."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextvars import copy_context
from dataclasses import dataclass
from functools import partial
from typing import Any, Generic, TypeVar

import numpy as np

from motion import clock
from motion.backends.base import Transaction
from motion.background.interrupts import may_come, uninterrupted
from motion.background.locks import Hold
from motion.definitions.tables.schema import Key, Table, TableName
from motion.errors import DimensionMismatch
from motion.notebook import Shown, cells_of, table_of
from motion.persistence.database import Database, Where, condition_of
from motion.persistence.layout import Layout, Pins
from motion.persistence.ranges import NAMED_AT_ONCE
from motion.persistence.rows import reading
from motion.persistence.search import fulltext, spaces
from motion.persistence.search.filters import Filter
from motion.persistence.search.indexes import LAST_ENTRY, Follower, NotAtOnce
from motion.persistence.states import versions as states
from motion.search.question import Question, question_of
from motion.vectors.base import FloatArray

RANK_OFFSET = 60
"""Of reciprocal rank fusion: a row scores 1 / (60 + its rank) in each ranking. Cormack et al., SIGIR 2009."""

PROBED = 256
"""Nearest rows that are looked at with a filter in mind, before all rows that it holds for are listed."""

Ranking = list[tuple[int, float]]
"""Row numbers and scores, best first."""

Row = TypeVar("Row")

OneVector = Sequence[float] | np.ndarray[tuple[int], Any]

ManyVectors = Sequence[OneVector] | np.ndarray[tuple[int, int], Any]

ManyTexts = list[str] | tuple[str, ...]


@dataclass(frozen=True)
class Hit(Generic[Row]):
    """One result of a search.

    Attributes:
        id: the row's id.
        pages: its page keys, by name.
        score: larger is better. Of a vector: the cosine in [-1, 1], the dot product, or the negative distance; of a
            text: its BM25, above 0; of several keys together: the sum of 1 / (60 + rank).
        row: the whole row, or the keys of it that were asked for, as an instance of its dataclass.
    """

    id: Any
    pages: dict[str, int]
    score: float
    row: Row

    def __repr__(self) -> str:
        pages = "".join(f", {page}={number}" for page, number in self.pages.items())
        return f"Hit(id={self.id!r}{pages}, score={self.score:.4g})"

    def _cells_(self) -> Mapping[str, Any]:
        return {"score": self.score, **cells_of(self.row)}

    def _repr_html_(self) -> str:
        return table_of([self._cells_()])


def search(
    database: Database,
    key: str | Sequence[str],
    vector: Any,
    text: str | Sequence[str] | None,
    k: Any,
    where: Where,
    params: Sequence[Any],
    seen: Callable[[str], Pins],
    table: TableName | None = None,
    read: Sequence[str] | None = None,
) -> list[Any]:
    """See `Reader.search`.

    Args:
        seen: returns the state versions whose outputs are read of a table.
        read: the keys of the hits' rows.
    """
    question = question_of(database.tables, key, vector, text, k, table, read)
    condition, values = condition_of(database.layout(question.table.name), where, params)
    if not question.count:
        return []
    pins = seen(question.table.name)
    answers = partial(_answers, database, question, condition, values, pins)
    # Of words, SQL calls functions of ours: what is raised there comes out as an error of its own.
    is_by_vector = not question.text_keys and may_come()
    hits = _interruptible(answers) if is_by_vector else uninterrupted(partial(answers, None, True))
    found = [Shown(each) for each in hits]
    return found if question.is_batch else found[0]


# -- answering --


def _interruptible(
    answers: Callable[[Hold | None, bool], list[list[Hit[Any]]]],
) -> list[list[Hit[Any]]]:
    """Answer in the thread that signals reach: here, where all is ready and only read, and an interrupt leaves nothing held;
    otherwise in another, as letting indexes follow the rows is not to be left half way."""
    hold = Hold()
    try:
        return copy_context().run(answers, hold, True)
    except NotAtOnce:
        pass
    except BaseException:
        try:
            hold.give_back()
        finally:
            hold.give_back()
        raise
    return uninterrupted(partial(answers, None, False))


def _answers(
    database: Database,
    question: Question,
    condition: str | None,
    values: Sequence[Any],
    pins: Pins,
    hold: Hold | None,
    is_first: bool,
) -> list[list[Hit[Any]]]:
    """Answer a question.

    Args:
        hold: of the thread that signals reach; None in others.
        is_first: whether nobody has found yet that an index is to follow the rows first.

    Raises:
        NotAtOnce: with `hold`, where one is.
    """
    layout = database.layouts[question.table.name]
    _make_text_indexes(database, layout, question.text_keys)
    versions = _versions(database, layout, question, pins)
    if versions is None:
        return [[] for _ in range(question.count)]
    pinned = {**pins, **{layout.versioned[key].component or "": v for key, v in versions.items()}}

    among = None if condition is None else Filter.of(layout, condition, values, pinned)
    asked = [(key, versions.get(key.name, 0)) for key in question.vector_keys]
    if is_first and among is None and _is_one_question(database, question):
        try:
            return _in_one_question(database, layout, question, asked, pinned, hold)
        except NotAtOnce:
            if hold is not None:
                raise

    with database.indexes.searching(layout, asked, hold) as (tx, followers):

        def comparable(key: Key) -> Filter | None:
            space = spaces.in_one_space(tx, database.layouts, key, pins)
            if space is None:
                return among
            holds = space if condition is None else f"({condition}\n) AND {space}"
            return Filter.of(layout, holds, values, pinned)

        queries, depth = question.queries, question.depth
        rankings = [
            _nearest(database, tx, each, queries, depth, comparable(each.key)) for each in followers
        ] + [
            [
                fulltext.search(tx, layout, key, versions.get(key.name, 0), text, depth, among)
                for text in question.texts
            ]
            for key in question.text_keys
        ]
        best = _best(question, rankings)
        rows = reading.rows_by_number(tx, layout, _wanted(best), pinned, question.read)
    return [_hits(question.table, ranking, rows) for ranking in best]


def _is_one_question(database: Database, question: Question) -> bool:
    """Whether it is worth it, and enough, to ask the database once, after the memory was searched."""
    is_in_memory = not question.text_keys and question.count * question.k <= NAMED_AT_ONCE
    return (
        database.backend.is_apart
        and is_in_memory
        and all(spaces.is_one(database.layouts, key) for key in question.vector_keys)
    )


def _in_one_question(
    database: Database,
    layout: Layout,
    question: Question,
    asked: Sequence[tuple[Key, int]],
    pins: Pins,
    hold: Hold | None,
) -> list[list[Hit[Any]]]:
    """Search the indexes as they are, and ask the database once, for the rows and for whether the indexes have followed all that
    these are of.

    Raises:
        NotAtOnce: they have not.
    """
    with database.indexes.as_they_are(layout, asked, hold) as followers:
        try:
            rankings = [
                _nearest_of_all(each, question.queries, question.depth) for each in followers
            ]
        except DimensionMismatch as exc:  # behind the rows the length may be another
            raise NotAtOnce from exc
        best = _best(question, rankings)
        sql, numbers = reading.beside_rows(layout, LAST_ENTRY, _wanted(best), pins, question.read)
        history, found = database.backend.ask(sql, numbers)
        last, rows = reading.rows_beside(layout, found)
        if not all(each.is_at(history, last) for each in followers):
            raise NotAtOnce
    return [_hits(question.table, ranking, rows) for ranking in best]


def _best(question: Question, rankings: Sequence[Sequence[Ranking]]) -> list[Ranking]:
    """Return the ranking of each query, where there is one for each key."""
    return [
        _fused(each, question.k) if question.is_fused else each[0]
        for each in zip(*rankings, strict=True)
    ]


def _wanted(rankings: Sequence[Ranking]) -> list[int]:
    return list(dict.fromkeys(row for ranking in rankings for row, _ in ranking))


def _make_text_indexes(database: Database, layout: Layout, keys: Sequence[Key]) -> None:
    """Make the full-text indexes that are not there yet: the first search of a key does it, once in a store's life."""
    if not keys:
        return
    with database.backend.read() as tx:
        missing = [key for key in keys if not fulltext.is_made(tx, layout, key)]
    for key in missing:
        database.write(lambda tx, key=key: fulltext.make(tx, layout, key))  # type: ignore[misc]  # mypy: no type for a default


def _versions(
    database: Database, layout: Layout, question: Question, pins: Pins
) -> dict[str, int] | None:
    """Return the state version that is searched for each key that has versions, None where one is not there yet."""
    versioned = [
        key for key in (*question.vector_keys, *question.text_keys) if key.name in layout.versioned
    ]
    found: dict[str, int] = {}
    if not versioned:
        return found
    with database.backend.read() as tx:
        for key in versioned:
            component = layout.versioned[key.name].component or ""
            version = pins.get(component) or states.live_version(tx, component)
            if version is None:
                return None
            found[key.name] = version
            candidate = states.candidate_version(tx, component)
            if candidate is not None and key.is_array and component not in pins:
                database.indexes.expect(layout, key, candidate)
    return found


def _nearest(
    database: Database,
    tx: Transaction,
    follower: Follower,
    queries: FloatArray,
    k: int,
    among: Filter | None,
) -> list[Ranking]:
    """Return for each query its nearest rows among those that a filter holds for."""
    if among is None:
        return _nearest_of_all(follower, queries, k)
    lists = database.filter_lists
    rows = lists.known(tx, among)
    if rows is None and _is_worth_probing(database, tx, follower, k, among):
        began_s = clock.monotonic_s()
        probed = _all_probed(tx, follower, queries, k, among)
        lists.note_probed(tx, among, clock.monotonic_s() - began_s)
        if probed is not None:
            return probed
    if rows is None:
        rows = lists.listed(tx, among)
    return [_ranking(*found) for found in follower.search(queries, k, rows)]


def _nearest_of_all(follower: Follower, queries: FloatArray, k: int) -> list[Ranking]:
    return [_ranking(*found) for found in follower.search(queries, k)]


def _is_worth_probing(
    database: Database, tx: Transaction, follower: Follower, k: int, among: Filter
) -> bool:
    """Whether a filter probably holds for enough of the nearest rows, so that it need not be listed."""
    lists, count = database.filter_lists, len(follower)
    last = lists.last_count(among)
    is_narrow = last is not None and PROBED * last < 2 * k * count
    is_looked_at = 4 * k <= PROBED < count and not is_narrow
    return is_looked_at and not lists.is_worth_listing(tx, among, count)


def _all_probed(
    tx: Transaction, follower: Follower, queries: FloatArray, k: int, among: Filter
) -> list[Ranking] | None:
    """Return what `_probed` does for each query, None where it fails for one."""
    probed: list[Ranking] = []
    for query in queries:
        found = _probed(tx, follower, query, k, among)
        if found is None:
            return None
        probed.append(found)
    return probed


def _probed(
    tx: Transaction, follower: Follower, query: FloatArray, k: int, among: Filter
) -> Ranking | None:
    """Return the nearest rows that a filter holds for, if there are enough among the nearest of all. Finding all that
    it holds for reads the table where no database index helps."""
    rows, scores = follower.search(query[None], PROBED)[0]
    kept = among.kept(tx, rows.tolist())
    ranking = [pair for pair in _ranking(rows, scores) if pair[0] in kept]
    return ranking[:k] if len(ranking) >= k else None


def _ranking(rows: Any, scores: Any) -> Ranking:
    return list(zip(rows.tolist(), scores.tolist(), strict=True))


def _fused(rankings: Sequence[Ranking], k: int) -> Ranking:
    """Return the best of several rankings together, by reciprocal rank fusion."""
    scores: dict[int, float] = {}
    for ranking in rankings:
        for rank, (row, _) in enumerate(ranking, 1):
            scores[row] = scores.get(row, 0.0) + 1 / (RANK_OFFSET + rank)
    return sorted(scores.items(), key=lambda pair: (-pair[1], pair[0]))[:k]


def _hits(table: Table, ranking: Ranking, found: Mapping[int, Any]) -> list[Hit[Any]]:
    pages = table.page_keys
    pairs = [(found[row], score) for row, score in ranking if row in found]
    return [
        Hit(row.id, {page: getattr(row, page) for page in pages} if pages else {}, score, row)
        for row, score in pairs
    ]
