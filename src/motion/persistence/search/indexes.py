"""Vector indexes: derived from the rows, and caught up to the last commit before they answer.

Each process has its own in memory, one for each key and for each state version of it. They follow the vector log; what
makes them faster, and keeping them on disk, is the work of a thread in the background.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any

import numpy as np

from motion import clock
from motion.backends.base import Backend, Transaction
from motion.background.interrupts import uninterrupted
from motion.background.locks import Hold, SharedLock
from motion.definitions.tables.schema import IndexKind, Key, Metric
from motion.errors import DimensionMismatch, SearchError, StoreClosed
from motion.persistence.layout import ALL_ROWS, Layout, outputs_table, quoted, slot_of
from motion.persistence.search.index_files import IndexFiles
from motion.vectors.base import FloatArray, Found, IntArray, VectorIndex

logger = logging.getLogger(__name__)

FORM = "measured graph"
"""Of what index files hold. One of another form is not read, and written over: the index is made again from the rows."""

LOADED_AT_ONCE = 10_000

VERSIONS_HELD = 3

KEPT_AFTER = 2_000
"""Changed vectors after which an index is kept on disk again at the end: fewer are followed in the log in a moment."""

KEPT_AFTER_SHARE = 0.2
"""Share of its vectors that must have changed for an index to be kept again while it is used."""

LAST_ENTRY = "SELECT MAX(entry) AS entry FROM motion_vector_log"

GIVES_WAY = 9
"""How many times as long as a part of what may wait took it is not gone on with, where searches run: for a tenth of the time."""

Name = tuple[str, str, int]

MakeIndex = Callable[[str, int, Metric, IndexKind, int], VectorIndex]


class VectorIndexes:
    """The indexes of one process. Thread-safe.

    Args:
        tends: improve indexes in the background and keep them on disk; not worth it in a process that ends soon.
    """

    def __init__(self, backend: Backend, make_index: MakeIndex, *, tends: bool) -> None:
        self._backend, self._make_index, self._tends = backend, make_index, tends
        self._files = IndexFiles(backend.folder)
        self._lock = threading.Lock()
        self._followers: dict[Name, Follower] = {}
        self._wanted: list[Follower] = []  # to be caught up before anybody asks
        self._called = threading.Event()
        self._searches, self._searches_before = 0, 0
        self._closing = threading.Event()
        self._thread: threading.Thread | None = None

    @contextmanager
    def searching(
        self, layout: Layout, keys: Sequence[tuple[Key, int]], hold: Hold | None
    ) -> Iterator[tuple[Transaction, list[Follower]]]:
        """Hold the indexes of keys and state versions, and one snapshot as of which they all are.

        Args:
            hold: of the thread that signals reach; None in others.

        Raises:
            NotAtOnce: with `hold`, where an index is to be made first, or to follow the rows.
        """
        self._searches += 1  # some may be lost between threads: it only tells that there are any
        if hold is None:
            followers = [self._follower(layout, key, version) for key, version in keys]
            with _caught_up(followers, self._backend) as tx:
                yield tx, followers
        else:
            followers = [self._known(layout, key, version) for key, version in keys]
            try:
                if not all(hold.take(follower.lock) for follower in followers):
                    raise NotAtOnce
                with self._backend.read(LAST_ENTRY) as tx:
                    now = _now(tx)
                    if any(follower.at != now for follower in followers):
                        raise NotAtOnce
                    yield tx, followers
            finally:
                hold.give_back()
        self._call_if_due(followers)

    @contextmanager
    def as_they_are(
        self, layout: Layout, keys: Sequence[tuple[Key, int]], hold: Hold | None
    ) -> Iterator[list[Follower]]:
        """Hold the indexes of keys and state versions as far as each has followed the rows; whether that is all, is asked
        afterwards (`Follower.is_at`).

        Raises:
            NotAtOnce: one is not there, or held by somebody alone.
        """
        self._searches += 1
        followers, held = (
            [self._known(layout, key, version) for key, version in keys],
            hold or Hold(),
        )
        try:
            if not all(held.take(follower.lock) for follower in followers):
                raise NotAtOnce
            yield followers
        finally:
            held.give_back()
        self._call_if_due(followers)

    def _call_if_due(self, followers: Sequence[Follower]) -> None:
        if not self._called.is_set() and any(each.needs_tending for each in followers):
            uninterrupted(self._call)

    def expect(self, layout: Layout, key: Key, version: int) -> None:
        """Make an index ready in the background, because it will be searched soon."""
        if self._tends and (layout.table.name, key.name, version) not in self._followers:
            uninterrupted(partial(self._want, layout, key, version))

    def _want(self, layout: Layout, key: Key, version: int) -> None:
        follower = self._follower(layout, key, version)
        with self._lock:
            self._wanted.append(follower)
        self._call()

    def make_ready(self, layout: Layout, key: Key, version: int) -> None:
        """Return when an index can be searched without waiting, if this key is searched at all."""
        path = f"{layout.table.name}.{key.name}"
        with self._lock:
            is_searched = any(name[:2] == (layout.table.name, key.name) for name in self._followers)
        if not is_searched and not any(n.startswith(f"{path}.") for n in self._files.names()):
            return
        follower = self._follower(layout, key, version)
        with _caught_up([follower], self._backend):
            pass
        while follower.tend() and not self._closing.is_set():
            pass
        follower.keep(1, self._follows)

    def keep_versions(self, layout: Layout, key: str, versions: Sequence[int]) -> None:
        """Forget the indexes of versions that are not searched any more."""
        table = layout.table.name
        with self._lock:
            for name in [n for n in self._followers if n[:2] == (table, key)]:
                if name[2] not in versions:
                    del self._followers[name]
        kept = {_file_name(table, key, version) for version in versions}
        for file in self._files.names():
            if file.startswith(f"{table}.{key}.") and file not in kept:
                self._files.remove(file)

    def forget(self) -> None:
        """Forget all indexes, in memory and on disk; the next search of each makes it from the rows. To be called when the
        log has begun anew."""
        with self._lock:
            self._followers.clear()
            self._wanted.clear()
        self._files.remove_all()

    def forget_files_ahead(self, tx: Transaction) -> None:
        """Remove files that are ahead of the database, which was restored or lost its last commits: what they hold
        never was. To be called while nobody commits, before anything more is."""
        last = _last_entry(tx)
        for name in self._files.names():
            position = self._files.position(name)
            if position is None or position > last:
                self._files.remove(name)

    def close(self) -> None:
        """End the work in the background, and keep on disk what has changed much."""
        self._closing.set()
        self._called.set()
        if self._thread is not None:
            self._thread.join()
        if self._tends:
            for follower in self._followers.values():
                follower.keep(KEPT_AFTER, self._follows)

    def _follows(self, position: int) -> bool:
        """Whether the log goes on from a position: an index from before it began anew may hold what is forgotten."""
        with self._backend.read() as tx:
            return _first_entry(tx) <= position + 1

    def _known(self, layout: Layout, key: Key, version: int) -> Follower:
        """Return an index that is there, without a lock."""
        found = self._followers.get((layout.table.name, key.name, version))
        if found is None or found.layout is not layout or not found.is_for(key):
            raise NotAtOnce
        found.used = self._searches
        return found

    def _follower(self, layout: Layout, key: Key, version: int) -> Follower:
        name = (layout.table.name, key.name, version)
        with self._lock:
            found = self._followers.get(name)
            if found is None or not found.is_for(key):
                found = Follower(layout, key, version, self._make_index, self._files)
                self._followers[name] = found
                # Another process may have made the switches, so those of which nobody asks are forgotten here too.
                same = [each for each in self._followers if each[:2] == name[:2] and each != name]
                same.sort(key=lambda each: self._followers[each].used)
                for old in same[: 1 - VERSIONS_HELD]:
                    del self._followers[old]
            found.layout, found.used = layout, self._searches
            return found

    # -- in the background --

    def _call(self) -> None:
        if not self._tends or self._called.is_set():
            return
        with self._lock:
            if self._thread is None and not self._closing.is_set():
                self._thread = threading.Thread(
                    target=self._tend_all, name="motion-indexer", daemon=True
                )
                self._thread.start()
        self._called.set()

    def _tend_all(self) -> None:
        while not self._closing.is_set():
            self._called.wait()
            self._called.clear()
            try:
                while not self._closing.is_set() and self._tend_some():
                    pass
            except StoreClosed:
                return
            except BaseException:  # whatever it is, the thread goes on
                logger.exception("an index could not be improved; searches go on without")

    def _tend_some(self) -> bool:
        """Do a part for each index; return whether there was anything to do."""
        with self._lock:
            wanted, self._wanted = self._wanted, []
            followers = list(self._followers.values())
        for follower in wanted:
            with _caught_up([follower], self._backend):
                pass
        began_s = clock.monotonic_s()
        tended = [follower for follower in followers if follower.tend()]
        if tended and all(follower.may_wait for follower in tended):
            self._give_way(clock.monotonic_s() - began_s)
        for follower in followers:
            if follower not in tended:
                after = max(KEPT_AFTER, int(KEPT_AFTER_SHARE * len(follower)))
                follower.keep(after, self._follows)
        return bool(tended or wanted)

    def _give_way(self, taken_s: float) -> None:
        """Let searches go first, where some were made beside the last part of what may wait."""
        if self._searches != self._searches_before:
            self._searches_before = self._searches
            self._closing.wait(GIVES_WAY * taken_s)


class Follower:
    """One index and how far it has followed the rows."""

    def __init__(
        self, layout: Layout, key: Key, version: int, make_index: MakeIndex, files: IndexFiles
    ) -> None:
        self.layout, self.key, self.version = layout, key, version
        self._path = f"{key.table}.{key.name}"
        self.used = 0  # by which of the searches of all the last time
        self.lock = SharedLock()
        self._make_index, self._files = make_index, files
        self._index: VectorIndex | None = None
        self.position = -1
        self.history = ""
        self._changed = 0  # vectors since the file was written

    def is_for(self, key: Key) -> bool:
        """Whether the schema still asks for this index."""
        return (key.metric, key.index, key.dim) == (self.key.metric, self.key.index, self.key.dim)

    def __len__(self) -> int:
        return 0 if self._index is None else len(self._index)

    def search(self, queries: FloatArray, k: int, among: IntArray | None = None) -> list[Found]:
        """Return for each query the rows of the nearest vectors and their scores; inside `caught_up`."""
        # What was emptied may be filled with vectors of another length.
        dim = self._index.dim if self._index is not None and len(self._index) else self.key.dim
        if dim is not None and queries.shape[1] != dim:
            raise DimensionMismatch(self._path, queries.shape[1], dim)
        if self._index is None or not len(self._index):
            return [(np.empty(0, np.int64), np.empty(0, np.float32))] * len(queries)
        with np.errstate(
            over="ignore", invalid="ignore"
        ):  # of huge numbers: the distance is infinite
            return self._index.search(queries, k, among)

    # -- in the background --

    @property
    def may_wait(self) -> bool:
        return self._index is not None and self._index.may_wait

    @property
    def needs_tending(self) -> bool:
        return self._index is not None and self._index.needs_tending

    def tend(self) -> bool:
        """Do a part of what makes the index faster; return whether there was any."""
        index = self._index
        return index is not None and index.tend(self.lock)

    def keep(self, after: int, follows: Callable[[int], bool]) -> None:
        """Keep the index on disk, where that saves work and `after` vectors have changed since it was kept."""
        if self._index is None or self._changed < after:
            return
        with self.lock.shared():
            position, changed, parts = self.position, self._changed, self._index.saved()
            of = self._of
        if parts is not None and self._files.save(
            self._file, of, position, parts, lambda: follows(position)
        ):
            self._changed -= changed

    @property
    def _file(self) -> str:
        return _file_name(self.key.table, self.key.name, self.version)

    @property
    def _of(self) -> str:
        of = f"{FORM} of {self._path} version {self.version}, {self.key.metric} of {self.key.dim}"
        return f"{of} since {self.history}" if self.history else of

    @property
    def at(self) -> tuple[str, int]:
        """Up to where it has followed the rows."""
        return self.history, self.position

    def is_at(self, history: str, last: int | None) -> bool:
        """Whether it has followed all rows, where `LAST_ENTRY` gives `last`."""
        return self.at == (history, last or 0)

    # -- following the rows --

    def catch_up(self, tx: Transaction) -> None:
        """Follow the rows up to a snapshot; with the lock held alone."""
        history, last = _now(tx)
        if history != self.history:  # what it has followed may never have been
            self._index, self.position, self._changed, self.history = None, -1, 0, history
        if self.position < 0:
            self._load(last)
        if self.position < 0 or _first_entry(tx) > self.position + 1:
            self._rebuild(tx)
        elif last > self.position:
            try:
                self._follow(tx)
            except SearchError:  # perhaps all vectors have another length now
                self._rebuild(tx)
        self.position = max(self.position, last)

    def _load(self, last: int) -> None:
        """Take the index from its file, unless that is ahead of the snapshot."""
        if self.key.index == "exact":
            return
        found = self._files.load(self._file, self._of)
        if found is None or found[0] > last:
            return
        position, parts = found
        try:
            count, dim = parts["matrix"].shape
            index = self._new_index(dim, count)
            index.restore(parts)
        except (
            KeyError,
            ValueError,
            IndexError,
            RuntimeError,
        ):  # another version of the library, for one
            self._files.note_damage(self._file)
            return
        self._index, self.position = index, position

    def _rebuild(self, tx: Transaction) -> None:
        self._index, self.position, self._changed = None, -1, 0
        low, high = slot_of(self.version, 0), slot_of(self.version, ALL_ROWS)
        within = f"{self._place()[1]} BETWEEN {low} AND {high}" if self.version else "1 = 1"
        for rows, vectors in self._read(tx, within, ()):
            self._put(rows, vectors)
            self._changed += len(rows)

    def _follow(self, tx: Transaction) -> None:
        entries = "SELECT DISTINCT slot FROM motion_vector_log WHERE entry > ? AND key = ?"
        facts: tuple[Any, ...] = (self.position, self._path)
        if self.version:
            entries += " AND slot BETWEEN ? AND ?"
            facts += (slot_of(self.version, 0), slot_of(self.version, ALL_ROWS))
        gone = {self._row(row[0]) for row in tx.execute(entries, facts)}
        if not gone:
            return
        if self.version and ALL_ROWS in gone:
            self._rebuild(tx)
            return
        self._changed += len(gone)
        number = self._place()[1]
        for rows, vectors in self._read(tx, f"{number} IN ({entries})", facts):
            self._put(rows, vectors)
            gone.difference_update(rows)
        if self._index is not None:
            self._index.remove(list(gone))

    def _put(self, rows: Sequence[int], stored: Sequence[bytes]) -> None:
        vectors = self._vectors(stored)
        if self.key.dim is None:  # else they were checked when set; NaN compares with nothing
            unusable = {i for i, vector in enumerate(vectors) if not np.isfinite(vector).all()}
            if unusable and self._index is not None:
                self._index.remove([rows[i] for i in unusable])
            rows = [row for i, row in enumerate(rows) if i not in unusable]
            vectors = [vector for i, vector in enumerate(vectors) if i not in unusable]
        if not rows:
            return
        flat = next((vector for vector in vectors if vector.ndim != 1), None)
        if flat is not None:
            raise SearchError(
                f"{self._path} holds arrays of shape {flat.shape}, and only those of one dimension can be compared. "
                f"Keep them flat: Annotated[np.ndarray, motion.Vector(dim)]."
            )
        if self._index is None:
            self._index = self._new_index(vectors[0].size, len(rows))
        if (
            self._may_differ
        ):  # a version's vectors are of one length; what is not was made by other code
            rows, vectors = self._of_one_length(rows, vectors)
        lengths = {vector.shape for vector in vectors} | {(self._index.dim,)}
        if len(lengths) > 1:
            raise SearchError(
                f"{self._path} holds arrays of several shapes ({', '.join(map(str, lengths))}), "
                f"so they cannot be compared. Fix the length with Annotated[np.ndarray, motion.Vector(dim)]."
            )
        self._index.put(rows, np.stack(vectors))

    @property
    def _may_differ(self) -> bool:
        """Whether the schema has had another length before."""
        return bool(getattr(self.key.codec, "former", ()))

    def _of_one_length(
        self, rows: Sequence[int], vectors: Sequence[FloatArray]
    ) -> tuple[Sequence[int], Sequence[FloatArray]]:
        assert self._index is not None
        fitting = [i for i, vector in enumerate(vectors) if vector.shape == (self._index.dim,)]
        if len(fitting) < len(rows):
            message = "%d vector(s) of %s are not of the length of version %d's others; searches leave them out"
            logger.warning(message, len(rows) - len(fitting), self._path, self.version)
            self._index.remove([row for i, row in enumerate(rows) if i not in set(fitting)])
        return [rows[i] for i in fitting], [vectors[i] for i in fitting]

    def _new_index(self, dim: int, count: int) -> VectorIndex:
        return self._make_index(self._path, dim, self.key.metric, self.key.index, count)

    def _vectors(self, stored: Sequence[bytes]) -> Sequence[FloatArray]:
        if (
            self.key.dim is not None and stored and not self._may_differ
        ):  # all plain and of one length
            return np.frombuffer(b"".join(stored), "<f4").reshape(len(stored), self.key.dim)  # type: ignore[return-value]  # a sequence of its rows
        return [self._vector(value) for value in stored]

    def _vector(self, stored: bytes) -> FloatArray:
        array = self.key.decode(stored)
        if array.dtype.kind not in "biuf":
            raise SearchError(
                f"{self._path} holds arrays of {array.dtype}, which cannot be compared."
            )
        return np.asarray(array, np.float32)

    def _row(self, slot: int) -> int:
        return slot & ALL_ROWS if self.version else slot

    def _place(self) -> tuple[str, str]:
        spec = self.layout.versioned.get(self.key.name)
        if spec is not None:
            return outputs_table(spec.name), "slot"
        return self.layout.base, self.layout.row_column

    def _read(
        self, tx: Transaction, which: str, parameters: Sequence[Any]
    ) -> Iterator[tuple[list[int], list[Any]]]:
        table, number = self._place()
        key = quoted(self.key.name)
        sql = f"SELECT {number}, {key} FROM {table} WHERE {key} IS NOT NULL AND {which}"
        cursor = tx.execute(sql, parameters)
        while found := cursor.fetchmany(LOADED_AT_ONCE):
            yield [self._row(row[0]) for row in found], [row[1] for row in found]


class NotAtOnce(Exception):
    """What is asked for is not ready, and has more steps than the thread that signals reach may be interrupted in."""


@contextmanager
def _caught_up(followers: Sequence[Follower], backend: Backend) -> Iterator[Transaction]:
    """Hold indexes as of one snapshot. It begins after they are locked: they are never ahead of it."""
    if len(followers) > 1:  # no two searches wait for each other
        followers = sorted(followers, key=lambda each: (each.key.name, each.version))
    with ExitStack() as held:
        for follower in followers:
            held.enter_context(follower.lock.shared())
        with backend.read(LAST_ENTRY) as tx:
            now = _now(tx)
            if all(follower.at == now for follower in followers):
                yield tx
                return
    with ExitStack() as held:
        for follower in followers:
            held.enter_context(follower.lock.alone())
        tx = held.enter_context(backend.read(LAST_ENTRY))
        for follower in followers:
            follower.catch_up(tx)
        yield tx


def _now(tx: Transaction) -> tuple[str, int]:
    """Return what an index that has followed all rows is at."""
    history, last = tx.with_history(LAST_ENTRY)
    return history, last or 0


def _last_entry(tx: Transaction) -> int:
    """Return the last entry of the vector log, 0 where it is empty."""
    return tx.execute(LAST_ENTRY).fetchone()[0] or 0


def _first_entry(tx: Transaction) -> int:
    return tx.execute("SELECT MIN(entry) FROM motion_vector_log").fetchone()[0] or 0


def _file_name(table: str, key: str, version: int) -> str:
    return f"{table}.{key}.{version}"
