"""Contracts: what each back end, executor and vector index promises, as tests that a new one inherits.

    class TestMyIndex(VectorIndexContract):
        def make(self, dim, metric):
            return MyIndex(dim, metric)

pytest finds the tests of the base class under `TestMyIndex`. Needs the extra `testing`.
"""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest

from motion.backends.base import Backend, Transaction
from motion.definitions.tables.schema import Metric
from motion.errors import CallTimeout, SqlError, SqlTimeout, StoreClosed, Unpicklable
from motion.executors.base import Constant, Elsewhere, Executor
from motion.vectors.base import FloatArray, VectorIndex

DIM = 16
METRICS: list[Metric] = ["cosine", "dot", "l2"]
LONG_S = 60.0
"""How long what has to happen is waited for."""


# -- back ends --


def _put(*words: str) -> Callable[[Transaction], None]:
    def work(tx: Transaction) -> None:
        tx.executemany("INSERT INTO contract (word) VALUES (?)", [(word,) for word in words])

    return work


def _words(tx: Transaction) -> list[str]:
    return [str(word) for (word,) in tx.execute("SELECT word FROM contract ORDER BY word")]


class _Undone(Exception):
    pass


class BackendContract(ABC):
    """What `motion.backends.base.Backend` promises."""

    @abstractmethod
    def make(self, folder: Path) -> Backend:
        """Open an empty database in a folder, or the one that is there."""

    @pytest.fixture
    def backend(self, tmp_path: Path) -> Iterator[Backend]:
        made = self.make(tmp_path / "contract")
        made.write(lambda tx: tx.execute("CREATE TABLE contract (word TEXT NOT NULL)"))
        yield made
        made.close()

    def test_what_is_written_is_read_and_what_work_returns_comes_back(
        self, backend: Backend
    ) -> None:
        assert backend.write(lambda tx: (_put("a")(tx), 7)[1]) == 7
        with backend.read() as tx:
            assert _words(tx) == ["a"]

    def test_work_that_raises_leaves_nothing_and_is_told(self, backend: Backend) -> None:
        def work(tx: Transaction) -> None:
            _put("lost")(tx)
            raise _Undone

        with pytest.raises(_Undone):
            backend.write(work)
        with backend.read() as tx:
            assert _words(tx) == []

    @pytest.mark.parametrize("is_refused", [False, True])
    def test_callers_at_once_are_each_whole_and_who_raises_undoes_only_its_own(
        self, backend: Backend, is_refused: bool
    ) -> None:
        """Whether it raises by itself, or writes what the database refuses."""
        begin, raised = threading.Barrier(12), list[int]()

        def call(n: int) -> None:
            def work(tx: Transaction) -> None:
                _put(f"{n:02} first")(tx)
                if n % 3:
                    _put(f"{n:02} second")(tx)
                elif is_refused:
                    tx.execute("INSERT INTO contract (word) VALUES (NULL)")
                else:
                    raise _Undone

            begin.wait(LONG_S)
            try:
                backend.write(work)
            except Exception:  # noqa: BLE001 - the database's own
                raised.append(n)

        threads = [threading.Thread(target=call, args=(n,)) for n in range(12)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(LONG_S)
        whole = [f"{n:02} {part}" for n in range(12) if n % 3 for part in ("first", "second")]
        with backend.read() as tx:
            assert (_words(tx), sorted(raised)) == (whole, [0, 3, 6, 9])

    def test_a_snapshot_stays_as_it_was_while_others_write(self, backend: Backend) -> None:
        with backend.read() as tx:
            before = _words(tx)
            writer = threading.Thread(target=backend.write, args=(_put("new"),))
            writer.start()
            writer.join(LONG_S)
            with backend.read() as same:
                assert (before, _words(tx), _words(same)) == ([], [], [])
        with backend.read() as tx:
            assert _words(tx) == ["new"]

    def test_a_question_alone_is_of_now_and_in_a_snapshot_of_that(self, backend: Backend) -> None:
        sql = "SELECT COUNT(*) FROM contract WHERE word = ?"

        def asked() -> int:
            _, found = backend.ask(sql, ("a",))
            return int(found[0][0])

        assert asked() == 0
        with backend.read() as tx:
            _words(tx)
            writer = threading.Thread(target=backend.write, args=(_put("a"),))
            writer.start()
            writer.join(LONG_S)
            assert (asked(), asked()) == (0, 0)
            history = tx.with_history("SELECT 1")[0]
        assert (asked(), backend.ask(sql, ("a",))[0]) == (1, history)

    def test_a_memo_lasts_for_one_transaction(self, backend: Backend) -> None:
        backend.write(lambda tx: tx.memo.update(known=1))
        assert backend.write(lambda tx: dict(tx.memo)) == {}

    def test_a_commit_gives_the_signal_to_those_who_wait(self, backend: Backend) -> None:
        seen = backend.committed.count
        backend.write(_put("a"))
        backend.committed.wait(seen, LONG_S)
        assert backend.committed.count != seen

    @pytest.mark.parametrize("count", [1, 5, 40])
    def test_a_statement_is_run_for_each_of_some_or_many_sets_of_parameters(
        self, backend: Backend, count: int
    ) -> None:
        numbers = list(range(count))
        texts = [None if n % 3 == 1 else f"it's\t\\ {n}\n" for n in numbers]
        sizes = [n + 0.5 for n in numbers]

        def work(tx: Transaction) -> None:
            tx.execute(
                "CREATE TABLE many (number INTEGER PRIMARY KEY, text TEXT, size REAL, raw BLOB, one INTEGER)"
            )
            insert = "INSERT INTO many (number, text, size, raw, one) VALUES (?, ?, ?, ?, 1)"
            tx.on_each(insert, [numbers, texts, sizes, [b"\0\xff"] * count])
            made = tx.execute("SELECT * FROM many ORDER BY number").fetchall()
            given = zip(numbers, texts, sizes, strict=True)
            assert list(map(tuple, made)) == [(*each, b"\0\xff", 1) for each in given]
            tx.on_each("UPDATE many SET size = ?2, raw = ?3 WHERE number = ?1 AND one = 1",
                       [numbers, [2 * size for size in sizes], [None] * count])  # fmt: skip
            again = f"{insert} ON CONFLICT (number) DO UPDATE SET text = excluded.text, one = many.one + 1"
            tx.on_each(again, [numbers, texts[::-1], sizes, [None] * count])
            tx.on_each("DELETE FROM many WHERE number = ?", [numbers[3:]])

        backend.write(work)
        with backend.read() as tx:
            found = [tuple(row) for row in tx.stream("SELECT * FROM many ORDER BY number")]
            kinds = tx.columns("many")
        kept = zip(numbers[:3], texts[::-1], sizes, strict=False)
        assert found == [(n, text, 2 * size, None, 2) for n, text, size in kept]
        assert list(kinds.values()) == ["INTEGER", "TEXT", "REAL", "BLOB", "INTEGER"]

    def test_rows_are_made_in_bulk_and_numbers_go_on_above_them(self, backend: Backend) -> None:
        def work(tx: Transaction) -> list[int]:
            tx.execute("CREATE TABLE bulk (number INTEGER PRIMARY KEY AUTOINCREMENT, raw BLOB)")
            tx.insert("bulk", ("number", "raw"), [(5, b"a"), (7, None)])
            tx.go_on_from("bulk", 11)
            sql = "INSERT INTO bulk (raw) VALUES (?) RETURNING number"
            return [int(tx.execute(sql, (b"x",)).fetchone()[0]), tx.last_number("bulk")]

        assert backend.write(work) == [12, 12]
        with backend.read() as tx:
            assert "bulk" in tx.tables()
            found = [
                tuple(row) for row in tx.stream("SELECT number, raw FROM bulk ORDER BY number")
            ]
        assert found == [(5, b"a"), (7, None), (12, b"x")]

    def test_a_query_reads_and_does_nothing_else(self, backend: Backend) -> None:
        backend.write(_put("a", "b"))
        assert backend.query("SELECT word FROM contract WHERE word > ?", ["a"]) == (
            ["word"], [("b",)],
        )  # fmt: skip
        assert len(backend.query("SELECT word FROM contract", [], limit=1)[1]) == 1
        for statement in ("DELETE FROM contract", "INSERT INTO contract VALUES ('c')", "nonsense"):
            with pytest.raises(SqlError):
                backend.query(statement, [])
        assert len(backend.query("SELECT word FROM contract", [])[1]) == 2

    def test_a_query_without_end_is_stopped(self, backend: Backend) -> None:
        endless = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT COUNT(*) FROM n"
        with pytest.raises(SqlTimeout):
            backend.query(endless, [], timeout_s=0.1)

    def test_what_was_written_is_there_when_it_is_opened_again(
        self, backend: Backend, tmp_path: Path
    ) -> None:
        backend.write(_put("a"))
        backend.write(_put("b"), is_durable=False)
        backend.close()
        again = self.make(tmp_path / "contract")
        with again.read() as tx:
            found = _words(tx)
        again.close()
        assert found == ["a", "b"]

    def test_a_closed_one_says_so(self, backend: Backend) -> None:
        backend.close()
        with pytest.raises(StoreClosed):
            backend.write(_put("a"))
        with pytest.raises(StoreClosed), backend.read():
            pass
        with pytest.raises(StoreClosed):
            backend.check_open()


# -- executors --


def _adding(offset: int, number: int) -> Callable[[], int]:
    return lambda: offset + number


def _failing(text: str) -> Callable[[], None]:
    def fail() -> None:
        raise ValueError(text)

    return fail


def _waiting() -> Callable[[], bool]:
    return threading.Event().wait


class ExecutorContract(ABC):
    """What `motion.executors.base.Executor` promises."""

    stops_waiting = True
    """Whether it takes time-outs."""

    is_elsewhere = False
    """Whether its calls are in other processes."""

    @abstractmethod
    def make(self) -> Executor:
        """Return an executor that nobody has used."""

    @pytest.fixture
    def executor(self) -> Iterator[Executor]:
        made = self.make()
        yield made
        made.close()

    def test_a_call_gives_its_result(self, executor: Executor) -> None:
        constants = [Constant("offset", "1", 40)]
        assert executor.run(_adding, 2, constants=constants) == 42
        assert executor.run(_adding, 3, constants=constants) == 43

    def test_what_a_call_raises_is_raised_where_it_is_waited_for(self, executor: Executor) -> None:
        with pytest.raises(Exception, match="half a dress"):
            executor.run(_failing, "half a dress")
        assert executor.run(_adding, 1, 1) == 2

    def test_calls_of_many_threads_get_each_their_own_result(self, executor: Executor) -> None:
        found: dict[int, Any] = {}

        def call(n: int) -> None:
            found[n] = [executor.run(_adding, n, i) for i in range(5)]

        threads = [threading.Thread(target=call, args=(n,)) for n in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(LONG_S)
        assert found == {n: [n + i for i in range(5)] for n in range(6)}

    def test_a_call_that_takes_too_long_is_not_waited_for_and_the_next_is_made(
        self, executor: Executor
    ) -> None:
        if not self.stops_waiting:
            pytest.skip("it takes no time-out")
        with pytest.raises(CallTimeout):
            executor.run(_waiting, timeout_s=0.1)
        assert executor.room > 0
        assert executor.run(_adding, 1, 1, timeout_s=LONG_S) == 2

    def test_what_cannot_be_sent_is_refused_and_not_called(self, executor: Executor) -> None:
        if not self.is_elsewhere:
            pytest.skip("its calls are in this process")
        with pytest.raises(Unpicklable):
            executor.run(_adding, threading.Lock(), 1)

    def test_one_beside_it_makes_calls_and_is_closed_by_itself(self, executor: Executor) -> None:
        if not self.is_elsewhere:
            pytest.skip("its calls are in this process")
        beside = cast(Elsewhere, executor).beside()
        assert beside.run(_adding, 1, 1) == 2
        beside.close()
        with pytest.raises(StoreClosed):
            beside.run(_adding, 1, 1)
        assert executor.run(_adding, 1, 1) == 2

    def test_closing_ends_the_wait_for_a_call(self, executor: Executor) -> None:
        if not self.stops_waiting:
            pytest.skip("it cannot stop waiting")
        told: list[BaseException] = []

        def call() -> None:
            try:
                executor.run(_waiting, timeout_s=LONG_S)
            except StoreClosed as exc:
                told.append(exc)

        thread = threading.Thread(target=call)
        thread.start()
        while not told:  # until the call is under way, closing comes before it: both end so
            executor.close()
            thread.join(0.05)
        thread.join(LONG_S)
        assert len(told) == 1


# -- vector indexes --


def clustered(count: int, seed: int = 0, dim: int = DIM) -> FloatArray:
    """Return vectors scattered around a few centres, of several lengths, as embeddings are; shape `(count, dim)`."""
    random = np.random.default_rng(seed)
    centres = np.random.default_rng(99).normal(size=(20, dim))
    scattered = centres[random.integers(0, 20, count)] + 0.3 * random.normal(size=(count, dim))
    return np.asarray(scattered * random.uniform(0.5, 2, (count, 1)), np.float32)


def scores_of(metric: Metric, vectors: FloatArray, query: FloatArray) -> np.ndarray[Any, Any]:
    """Return every vector's score, in double precision."""
    wide, one = vectors.astype(float), query.astype(float)
    if metric == "l2":
        return np.asarray(-np.linalg.norm(wide - one, axis=1))
    if metric == "dot":
        return np.asarray(wide @ one)
    lengths = np.linalg.norm(wide, axis=1) * np.linalg.norm(one)
    return np.asarray(wide @ one / np.where(lengths > 0, lengths, 1))


class VectorIndexContract(ABC):
    """What `motion.vectors.base.VectorIndex` promises; of an approximate one, a recall of 0.98."""

    @abstractmethod
    def make(self, dim: int, metric: Metric) -> VectorIndex:
        """Return an empty index for vectors of `dim` numbers."""

    @pytest.mark.parametrize("metric", METRICS)
    def test_the_nearest_are_found_best_first_with_their_exact_scores(self, metric: Metric) -> None:
        index, vectors, queries = self.make(DIM, metric), clustered(1_500), clustered(40, seed=1)
        index.put(range(1_500), vectors)
        right = 0
        for query, (rows, scores) in zip(queries, index.search(queries, 10), strict=True):
            true = scores_of(metric, vectors, query)
            np.testing.assert_allclose(scores, true[rows], atol=1e-4)
            assert len(rows) == 10
            assert (np.diff(scores) <= 0).all()
            right += len(set(rows.tolist()) & set(np.argsort(-true)[:10].tolist()))
        assert right >= 0.98 * 400

    def test_a_batch_gives_what_its_queries_give_alone(self) -> None:
        index, queries = self.make(DIM, "cosine"), clustered(70, seed=1)
        index.put(range(500), clustered(500))
        together = index.search(queries, 3)
        alone = [index.search(query[None], 3)[0] for query in queries]
        assert [rows.tolist() for rows, _ in together] == [rows.tolist() for rows, _ in alone]

    def test_no_queries_give_no_results(self) -> None:
        index = self.make(DIM, "cosine")
        index.put([1], clustered(1))
        assert index.search(np.empty((0, DIM), np.float32), 3) == []

    def test_an_empty_index_finds_nothing(self) -> None:
        ((rows, scores),) = self.make(DIM, "cosine").search(clustered(1), 3)
        assert (rows.tolist(), scores.tolist()) == ([], [])

    @pytest.mark.parametrize(("metric", "offset"), [("cosine", 50), ("l2", 1_000)])
    def test_neighbours_far_from_zero_are_told_apart(self, metric: Metric, offset: int) -> None:
        index, vectors = self.make(DIM, metric), clustered(1_000) + np.float32(offset)
        index.put(range(1_000), vectors)
        queries = (vectors[::20] + clustered(50, seed=1) / np.float32(10)).astype(np.float32)
        found = [rows[0] for rows, _ in index.search(queries, 1)]
        true = [scores_of(metric, vectors, query).argmax() for query in queries]
        assert np.mean(np.array(found) == np.array(true)) >= 0.95

    @pytest.mark.parametrize("k", [1, 499, 500, 501, 100_000])
    def test_k_results_come_where_k_exist(self, k: int) -> None:
        index = self.make(DIM, "cosine")
        index.put(range(500), clustered(500))
        ((rows, _),) = index.search(clustered(1, seed=1), k)
        assert len(set(rows.tolist())) == min(k, 500)

    @pytest.mark.parametrize("share", [0.5, 0.1, 0.01, 0.001])
    def test_a_filter_gives_the_true_nearest_of_what_it_keeps(self, share: float) -> None:
        index, vectors = self.make(DIM, "l2"), clustered(2_000)
        index.put(range(2_000), vectors)
        among = np.sort(np.random.default_rng(3).choice(2_000, int(2_000 * share), replace=False))
        query = clustered(1, seed=1)
        ((rows, _),) = index.search(query, 10, among)
        true = scores_of("l2", vectors[among], query[0])
        assert rows.tolist() == among[np.argsort(-true, kind="stable")[:10]].tolist()

    def test_rows_of_a_filter_that_have_no_vector_are_passed_over(self) -> None:
        index = self.make(DIM, "cosine")
        index.put([5, 7], clustered(2))
        ((rows, _),) = index.search(clustered(1), 10, np.array([1, 5, 9]))
        assert rows.tolist() == [5]

    def test_a_vector_put_again_is_compared_as_it_is_now(self) -> None:
        index, vectors = self.make(DIM, "l2"), clustered(300)
        index.put(range(300), vectors)
        index.put([7], 100 + vectors[:1])
        assert index.search(100 + vectors[:1], 1)[0][0].tolist() == [7]
        assert 7 not in index.search(vectors[7:8], 299)[0][0].tolist()[:1]
        assert len(index) == 300

    def test_a_removed_row_is_not_found(self) -> None:
        index, vectors = self.make(DIM, "l2"), clustered(300)
        index.put(range(300), vectors)
        index.remove([7, 1_000])
        assert index.search(vectors[7:8], 300)[0][0].tolist().count(7) == 0
        assert len(index) == 299

    def test_equal_vectors_come_in_the_order_of_rows(self) -> None:
        index = self.make(DIM, "cosine")
        index.put(range(20), np.ones((20, DIM), np.float32))
        ((rows, _),) = index.search(np.ones((1, DIM), np.float32), 20)
        assert rows.tolist() == list(range(20))

    @pytest.mark.parametrize("size", [1e-30, 1e-10, 1.0, 1e30])
    def test_cosines_hold_for_tiny_and_huge_vectors(self, size: float) -> None:
        index = self.make(2, "cosine")
        index.put([1, 2, 3], np.array([[1, 0], [1, 1], [0, 0]], np.float32) * np.float32(size))
        ((rows, scores),) = index.search(np.array([[size, 0]], np.float32), 3)
        assert rows.tolist() == [1, 2, 3]
        np.testing.assert_allclose(scores, [1, 0.5**0.5, 0], atol=1e-6)

    def test_a_zero_query_is_as_near_to_every_row(self) -> None:
        index = self.make(DIM, "cosine")
        index.put(range(100), clustered(100))
        ((rows, scores),) = index.search(np.zeros((1, DIM), np.float32), 5)
        assert (rows.tolist(), scores.tolist()) == ([0, 1, 2, 3, 4], [0] * 5)
