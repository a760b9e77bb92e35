"""Claims under way: a claim's calls are made by any number of threads or coroutines, and what they gave is committed in
parts, while others are still being made.

Owns what of one claim is begun, made and committed. Which thread makes calls is `crew`'s, when a part is committed `worker`'s.
"""

from __future__ import annotations

import bisect
import operator
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from motion import clock
from motion.backends.base import Transaction
from motion.definitions.tasks import Cause, Lane, Task
from motion.definitions.triggers.rates import Turns
from motion.definitions.triggers.specs import TriggerSpec
from motion.engine.chain import Asked
from motion.engine.derive import Made, calls_of
from motion.engine.memo import SharedCalls
from motion.errors import SchemaMismatch, StoreClosed, StoreUnavailable
from motion.persistence.changes.claims import Claim, Step
from motion.persistence.changes.commit import Commit
from motion.persistence.database import Database
from motion.persistence.inputs.own import Inputs
from motion.persistence.tasks import leases, once, queue


@dataclass(eq=False)
class Claimed:
    """Tasks that were claimed together, and what they take up until they have ended.

    Attributes:
        is_quick: its calls are so quick that one thread makes them all.
        is_brief: it is one call, and beside it nothing waits: who claimed it makes it before it looks for more.
        at_once: how many calls of its trigger may be under way at once.
        turns: of its calls, where something limits their rate.
        calls: how many of its trigger's calls at once it takes up now; kept by the dispatcher.
        fused: the triggers that may run in memory behind it; each has a call taken up for this.
    """

    tasks: Sequence[Task]
    is_quick: bool
    at_once: int
    turns: Turns | None = None
    calls: int = 0
    fused: Sequence[TriggerSpec] = ()
    is_brief: bool = False
    began_s: float = field(default_factory=clock.monotonic_s)

    def __post_init__(self) -> None:
        self.lane: Lane = self.tasks[0].lane

    @property
    def rows(self) -> int:
        return sum(task.size for task in self.tasks)


class UnderWay:
    """A claim whose rows were read, and the calls that it needs.

    Any thread may make calls. Who takes what they gave, and commits it, holds `committing`.

    Attributes:
        callers: how many threads or coroutines make its calls; kept by the crew.
        is_quick: its calls are made by one thread, as they are expected to be quick.
        began_s: when it began; since_s: then, or when a part of it was last committed.
        spans: of rows whose calls are timed one by one: when the call began and ended.
        is_urgent: nobody is left who would commit what its calls gave, and nothing would come by waiting.
        is_ended: nothing of it is held any more, as is known.
        once: of a trigger that acts once on a row: the number under which the run is noted there.
    """

    def __init__(
        self,
        database: Database,
        claimed: Claimed,
        claim: Claim,
        inputs: Inputs,
        read_at: int,
        superseded: Mapping[int, int],
        shared: SharedCalls,
    ) -> None:
        self._database, self._shared = database, shared
        self.claimed, self.claim, self.spec = claimed, claim, claim.spec
        self._read_at, self._superseded = read_at, dict(superseded)
        self.callers, self.is_quick = 0, claimed.is_quick
        self.is_urgent = self.is_ended = False
        self.committing = threading.Lock()
        self.began_s = self.since_s = clock.monotonic_s()
        self.spans: dict[int, tuple[float, float]] = {}
        self._rows, self._left = inputs.rows, list(inputs.rows)
        self._returned: list[range] = []
        self._awaited: dict[int, bytes] = {}
        self._is_patient = True

    def ask(self, asked: Asked) -> int:
        """Take in which calls it needs, and return how many; those that others make are waited for in the place of one."""
        self.asked, self._made = asked, _Untaken(is_by_row=asked.calls.is_by_row)
        self.once = 0
        calls = calls_of(self.spec, len(asked.asked))
        if self.is_quick and asked.calls.is_far and calls:
            calls = [range(len(asked.asked))]
        self._source = iter(calls)
        self._awaited = dict(asked.awaited)
        self._has_known = bool(asked.known) or not (calls or self._awaited) or self._holds_idly()
        return len(calls) + bool(self._awaited)

    def _holds_idly(self) -> bool:
        """Whether tasks without a row to run on would keep others waiting until the first call ends."""
        is_waited_for = self.spec.fold is not None or self.spec.serial_by is not None
        tasks = self.claim.tasks if is_waited_for else ()
        return any(not _any_within(self._rows, task) for task in tasks)

    def cause_of(self, row: int, number: int) -> Cause | None:
        """Return why something is written for a row, in a commit with this number; None where it is not held any more."""
        claim = self.claim
        return claim.cause(row, number) if _is_in(row, claim.tasks) else None

    # -- calls --

    @property
    def waiting(self) -> int:
        """How many calls nobody has begun."""
        return operator.length_hint(self._source)

    def make(self, on_call: Callable[[], None]) -> None:
        """Make calls until none is left to begin.

        Args:
            on_call: told after each call, unless they are quick.
        """
        drawn, is_quick = _Drawn(self._source), self.is_quick
        add = self._made.add if is_quick else self._timed(on_call)
        while not drawn.is_empty:
            with self._no_row_lost(drawn, add):
                self.asked.calls.make(drawn, add)
        if is_quick:
            self._note(drawn.seconds, drawn.rows)

    async def make_async(self, on_call: Callable[[], None]) -> None:
        """Do the same in a coroutine."""
        drawn, add = _Drawn(self._source), self._timed(on_call)
        while not drawn.is_empty:
            with self._no_row_lost(drawn, add):
                await self.asked.calls.make_async(drawn, add)

    @contextmanager
    def _no_row_lost(self, drawn: _Drawn, add: Callable[[Made], None]) -> Iterator[None]:
        """Give a row back whose call cannot be made now; what else is raised around its call is its failure."""
        try:
            yield
        except (StoreClosed, StoreUnavailable, SchemaMismatch):
            self._returned += drawn.last
            raise
        except BaseException as exc:
            if not drawn.last:
                raise
            add(self.asked.calls.failed(drawn.last[0], exc))

    def _timed(self, on_call: Callable[[], None]) -> Callable[[Made], None]:
        started = free_s = clock.monotonic_s()

        def add(made: Made) -> None:
            nonlocal started, free_s
            began, started = started, clock.monotonic_s()
            span = free_s, started
            self.spans.update((self._rows[i], span) for i in self.asked.rows_of([made]))
            self._made.add(made)
            self._note(started - began, len(made[0]))
            on_call()
            free_s = clock.monotonic_s()

        return add

    def _note(self, seconds: float, rows: int) -> None:
        if rows:
            code = (self.spec.name, self.spec.fingerprint, self.claim.version)
            self._database.costs.note(code, seconds, rows)

    def be_slow(self) -> None:
        """Take in that its calls take longer than was expected."""
        self.is_quick = False
        self._note(clock.monotonic_s() - self.since_s, max(self._made.rows, 1))

    def drop_waiting(self) -> None:
        """Begin no further call, and wait for none: the rows of those that nobody has begun are given back."""
        self._returned += list(self._source)
        self._is_patient = False

    # -- what they gave; for who holds `committing` --

    @property
    def has_made(self) -> bool:
        """Whether something may be committed."""
        return bool(self._made or self._has_known)

    @property
    def has_returned(self) -> bool:
        """Whether rows are to be given back: of calls that will not be made, or that another claim has made."""
        return bool(self._returned or self._answered())

    def is_whole(self, step: Step) -> bool:
        """Whether a step is of all rows."""
        return len(step.inputs.rows) == len(self._rows)

    @property
    def is_over(self) -> bool:
        """Whether nothing of the claim is held any more."""
        return not self.claim.tasks

    def take(self) -> Taken:
        """Take what calls gave since this was done last; the first time with the rows that no call is waited for."""
        made = self._made.take()
        known = self.asked.known if self._has_known else []
        taken = Taken(made, sorted([*self.asked.rows_of(made), *known]), self._has_known)
        self._has_known = False
        return taken

    def put_back(self, taken: Taken) -> None:
        """Keep what could not be committed yet."""
        self._made.put_back(taken.made)
        self._has_known |= taken.has_known

    def step(self, taken: Taken) -> Step:
        """Return what was taken as what the claim's trigger gave for its rows."""
        return self.asked.step(taken.made, taken.rows)

    def commit_of(self, steps: Sequence[Step]) -> Commit:
        """Return the commit of what a chain, or its beginning, gave for some rows."""
        inputs = steps[0].inputs
        tasks, left = self._split_by(inputs.rows)
        claim = self.claim.of(tasks)
        superseded = {row: on for row, on in self._superseded.items() if _is_in(row, tasks)}
        return Commit(
            self._database, claim, inputs, self._read_at, superseded, steps, left, once=self.once
        )

    def note(self, commit: Commit) -> None:
        """Take in that a part has been committed."""
        for row in commit.superseded:
            self._superseded.pop(row, None)
        self._end(commit.tasks, commit.left, commit.rest)

    def give_back(self) -> None:
        """Give the rows of calls back that will not be made, or that another claim has made: what that gave is found when
        they are claimed again."""
        returned, answered = list(self._returned), self._answered()
        uncalled = self.asked.rows_of((places, []) for places in returned)
        places = [*uncalled, *answered]
        self._release([self._rows[i] for i in places], [self._rows[i] for i in uncalled])
        del self._returned[: len(returned)]
        for i in answered:
            self._awaited.pop(i, None)

    def _answered(self) -> list[int]:
        """Return the rows whose calls another claim made, and makes no more."""
        return [
            i
            for i, digest in list(self._awaited.items())
            if not (self._is_patient and self._shared.is_made(self.spec.name, digest))
        ]

    def give_all_back(self) -> None:
        """Give all of it back that is held: what is under way goes nowhere."""
        self.drop_waiting()
        self._returned, self._has_known = [], False
        self._made.take()
        self._awaited = {}
        self._release(self._rows)

    def _release(self, rows: Sequence[int], uncalled: Sequence[int] = ()) -> None:
        """Give rows back.

        Args:
            uncalled: those of which no call was begun, whatever was noted before it would have been.
        """
        tasks, left = self._split_by(sorted(rows))
        rest: list[Task] = []

        def work(tx: Transaction) -> None:
            nonlocal rest
            done, rest = queue.part(tx, leases.held(tx, tasks), left)
            queue.release(tx, done)
            if self.once and uncalled:
                layout = self.claim.chain.layout
                mine = once.held(tx, layout, self.spec, sorted(uncalled), self.once)
                once.let_go(tx, layout, self.spec, sorted(mine))

        self._database.write_plainly(work)
        self._end(tasks, left, rest)

    def _split_by(self, rows: Sequence[int]) -> tuple[list[Task], list[int]]:
        """Return the tasks that end, or are split, when rows are done, and the rows that are left then."""
        done = set(rows)
        left = [row for row in self._left if row not in done]
        tasks = [
            task
            for task in self.claim.tasks
            if _any_within(rows, task) or not _any_within(left, task)
        ]
        return tasks, left

    def _end(self, tasks: Sequence[Task], left: Sequence[int], rest: Sequence[Task] | None) -> None:
        """Take in that some tasks have ended but for those that are left of them; None: that somebody else has them."""
        self.since_s, self._left = clock.monotonic_s(), list(left)
        gone = {task.task for task in tasks}
        others = [task for task in self.claim.tasks if task.task not in gone]
        self.claim = self.claim.of([*others, *(rest or ())])
        self._shared.end(self.claimed, but_for=self.asked.digests_of(set(self._left)))
        if rest is None:  # whatever its other calls give goes nowhere
            self.drop_waiting()


@dataclass(frozen=True)
class Taken:
    """What was taken to be committed.

    Attributes:
        rows: whose outcome it is, by their position among the inputs, ascending.
        has_known: the rows that no call is waited for are among them.
    """

    made: Sequence[Made]
    rows: Sequence[int]
    has_known: bool


class _Untaken:
    """What calls gave, and nobody has taken yet. Any thread may add; one at a time takes.

    What calls of one row gave is one list, by turns a row's place and its result. A claim holds thousands of them: as a tuple
    each they would be so many objects that Python's garbage collector, which counts them, looked at all that there is several
    times in a sweep, for 15 ms and more in which no thread goes on.

    Args:
        is_by_row: whether calls give one result for each row.
    """

    def __init__(self, *, is_by_row: bool) -> None:
        self._is_by_row = is_by_row
        self._calls: list[Made] = []
        self._single: list[Any] = []

    def __bool__(self) -> bool:
        return bool(self._calls or self._single)

    @property
    def rows(self) -> int:
        return len(self._single) // 2 + sum(len(places) for places, _ in list(self._calls))

    def add(self, made: Made) -> None:
        places, results = made
        if self._is_by_row and len(places) == 1:
            self._single.extend((places.start, results[0]))  # both at once: others may add
        else:
            self._calls.append(made)

    def take(self) -> list[Made]:
        """Return it; of calls of one row those of rows side by side together."""
        calls, single = len(self._calls), len(self._single)
        made = [*self._calls[:calls], *_side_by_side(self._single[:single])]
        del self._calls[:calls], self._single[:single]
        return made

    def put_back(self, made: Sequence[Made]) -> None:
        self._calls[:0] = made


def _side_by_side(single: Sequence[Any]) -> Iterator[Made]:
    places, results = single[::2], single[1::2]
    first = 0
    for end in range(1, len(places) + 1):
        if end == len(places) or places[end] != places[end - 1] + 1:
            yield range(places[first], places[end - 1] + 1), results[first:end]
            first = end


class _Drawn(Iterator[range]):
    """The calls that one thread or coroutine draws from those of a claim."""

    def __init__(self, source: Iterator[range]) -> None:
        self._source, self._began_s = source, clock.monotonic_s()
        self.last: list[range] = []  # the call under way
        self.rows, self.is_empty = 0, False

    def __next__(self) -> range:
        self.last = []
        for drawn in self._source:
            self.last = [drawn]
            self.rows += len(drawn)
            return drawn
        self.is_empty = True
        raise StopIteration

    @property
    def seconds(self) -> float:
        return clock.monotonic_s() - self._began_s


def _any_within(rows: Sequence[int], task: Task) -> bool:
    """Whether any of some rows, ascending, is a task's."""
    first = bisect.bisect_left(rows, task.low)
    return first < len(rows) and rows[first] <= task.high


def _is_in(row: int, tasks: Sequence[Task]) -> bool:
    return any(task.low <= row <= task.high for task in tasks)
