"""Dispatch: what a worker does next: which trigger's tasks, and how many of their rows.

A trigger may run whose code this process has, that is not held back by its pace, its concurrency or what it needs of
the machine; among those, the most urgent does, and among equals those take turns.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import NamedTuple

from motion import clock
from motion.backends.base import Transaction
from motion.background.owners import Owner
from motion.definitions.tasks import RANGE_LIMIT, Lane, Task, TaskStatus
from motion.definitions.triggers.options import NOTHING
from motion.definitions.triggers.specs import TriggerSpec
from motion.engine.chain import Runs
from motion.engine.offers import Offers, runs_at_once
from motion.engine.policies.build_throttle import Builds
from motion.engine.policies.fairness import Shares
from motion.engine.policies.rate_limits import Pace
from motion.engine.policies.resources import Capacity
from motion.engine.policies.suspects import Suspects
from motion.engine.scheduler import Scheduler
from motion.engine.under_way import Claimed
from motion.faults import reach
from motion.persistence.changes.labelling import settle_all
from motion.persistence.database import Database
from motion.persistence.recompute import backfills
from motion.persistence.rows.lines import places_in_line
from motion.persistence.tasks import backlog, claim, queue
from motion.persistence.tasks.discards import drop_expired
from motion.persistence.tasks.lines import PlacesOf

FUSED_S = 1e-3
"""A call that has been measured to take longer waits for a task of its own: the results before it show at once."""

QUICK_S = 5e-3
"""A call that has been measured to take less is made by the thread that claimed it, with others of the same claim."""

CLAIM_S = 0.02
"""How long the quick calls of one claim are meant to take together: their results are committed together, after the last."""

MEMO_ROWS = 16
"""Rows in a claim of a trigger with memos at least: equal ones among them share a call."""

CONTENDED_S = 1.0
"""How long runs of a trigger are called one at a time after one had to be called again."""

AHEAD_S = 0.1
"""Rows are claimed ahead whose calls would begin within this time, so that no call waits for a claim."""


class Dispatcher:
    """Claims tasks for one worker. Thread-safe.

    Args:
        capacity, cluster: what calls may take of this machine, and of the cluster that some run on.
        least_rows: rows in a claim of a trigger that has not been measured, where one thread makes its calls anyhow.
    """

    def __init__(
        self,
        database: Database,
        owner: Owner,
        runs: Runs,
        capacity: Capacity,
        cluster: Capacity,
        *,
        least_rows: int = 1,
    ) -> None:
        self._database, self._owner = database, owner
        self._runs, self._least_rows = runs, least_rows
        self._capacity, self._cluster = capacity, cluster
        self._scheduler, self._pace, self._shares = Scheduler(database), Pace(), Shares()
        self._lock = threading.Lock()
        self._due_ms: int | None = None
        self._was_called_well = True
        self._builds = Builds()
        self._counting = threading.Lock()
        self._calls: Counter[Lane] = Counter()
        self._most_rows: dict[str, int] = {}
        self._full: set[Lane] = set()
        self._suspects = Suspects()
        self._contended: dict[str, float] = {}
        self.offers = Offers(owner.name, self._may_run)

    def slow_down(self, spec: TriggerSpec) -> None:
        """Take in that runs of a trigger have to be called again: for a while, they are called one at a time."""
        with self._counting:
            self._contended[spec.name] = clock.monotonic_s() + CONTENDED_S

    def _at_once(self, spec: TriggerSpec) -> int:
        """Return how many calls of a trigger may be under way at once now."""
        until_s = self._contended.get(spec.name)
        return spec.concurrency if until_s is None or clock.monotonic_s() > until_s else 1

    def idle_s(self) -> float:
        """Return how long to wait at most: until the next occurrence of a schedule, or the next postponed task that the
        last look for work saw; or until a build has rested."""
        idle_s, due = self._scheduler.idle_s(), self._due_ms
        for rest_s in (self._builds.rest_s(), self._suspects.rest_s()):
            idle_s = min(idle_s, rest_s or idle_s)
        return idle_s if due is None else min(idle_s, max(due - clock.now_ms(), 1) / 1000)

    def next_claim(self, *, is_called: bool = False) -> Claimed | None:
        """Claim the tasks whose turn it is, None where none may run now. Each claim is to be told the end of.

        Args:
            is_called: there is work, as somebody has just said. It is looked for, before a lock is taken, only where
                nobody said so, or the last call was for work that may not run now.
        """
        self._scheduler.fire_due()
        with self._lock:
            offered = self._offered()
            if offered is not None:
                return offered
            if self._suspects.is_alone:
                return None
            if not (is_called and self._was_called_well) and not self._has_work():
                return None
            claimed, calls, has_dropped, is_more = self._database.write(
                self._taken, is_durable=False, calls=False, first=lambda: claim.FIRST
            )
            self._was_called_well = claimed is not None
            if has_dropped:  # those who wait for a change are not told of what is not durable
                self._database.backend.committed.give()
            if claimed is not None:
                self._take_up(claimed, calls)
            if is_more:
                self._database.backend.called.give()
            return claimed

    def _may_run(self, trigger: str) -> bool:
        """Whether a trigger's only task may be called now, where there is no other. Takes no lock: a write asks this, too."""
        graph = self._database.graph
        spec = graph.triggers.get(trigger)
        if spec is None or not runs_at_once(spec) or graph.expiring or self._suspects.are_any:
            return False
        is_due = self._due_ms is not None and self._due_ms <= clock.now_ms()
        return (
            not is_due
            and bool(self._mine([trigger]))
            and self._room(spec, Lane(trigger, False)) > 0
        )

    def _offered(self) -> Claimed | None:
        """Take what a write has offered, if it was kept and may be called now; what may not is given back."""
        task = self.offers.task
        if task is None:
            return None
        is_held, is_more = self.offers.is_kept(task), False
        if not is_held:
            with self._database.backend.read() as tx:
                is_held, is_more = self.offers.is_held(tx, task), backlog.has_ready(tx)
        if not is_held or not self._may_run(task.trigger):
            self._give_back(task)
            return None
        spec = self._database.graph.triggers[task.trigger]
        each_s = self._database.costs.seconds_each(spec.name)
        is_brief = not is_more and each_s is not None and each_s < FUSED_S
        is_quick = self._room_of(spec, 1).is_quick
        claimed = Claimed([task], is_quick, self._at_once(spec), is_brief=is_brief and is_quick)
        self.offers.end()
        self._take_up(claimed, 1)
        if is_more:
            self._database.backend.called.give()
        return claimed

    def _give_back(self, task: Task) -> None:
        """Give back what was offered and cannot be taken: after its write, which is perhaps still under way."""

        def work(tx: Transaction) -> None:
            if self.offers.is_held(tx, task):
                queue.release(tx, [task])

        self._database.write_plainly(work)
        self.offers.end()

    def _take_up(self, claimed: Claimed, calls: int) -> None:
        """Take in that a claim is committed, and how many calls at once it takes up."""
        reach("task.claimed")
        self._suspects.begin(claimed.tasks)
        self._count(claimed, calls)
        if not claimed.lane.is_build:
            self._builds.note_live()

    def _has_work(self) -> bool:
        """Whether anything may be claimed now; if not, when that changes is noted."""
        with self._database.backend.read() as tx:
            limits, held_ms = self._limits(tx, self._rooms(tx))
            postponed = claim.triggers_with(tx, TaskStatus.POSTPONED)
            due_ms = backlog.next_due_ms(tx, self._mine(postponed))
            is_due = due_ms is not None and due_ms <= clock.now_ms()
            if is_due or backlog.any_ready(tx, limits):
                return True
        self._note_due(min(filter(None, (due_ms, held_ms)), default=None))
        return False

    # -- the life of a claim --

    def fuse(self, claimed: Claimed, spec: TriggerSpec) -> Sequence[TriggerSpec]:
        """Return the triggers that run in memory right behind a claim's, as far as they have been measured to be quick, and
        a call of theirs may begin now."""
        chosen: list[TriggerSpec] = []
        costs = self._database.costs
        # What follows a suspect stands for itself, so that the one which ends the process is named.
        may_fuse = claimed.is_quick and not claimed.tasks[0].among
        for each in self._database.graph.fused_with(spec) if may_fuse else ():
            each_s, lane = costs.seconds_each(each.name), Lane(each.name, False)
            is_quick = each_s is not None and each_s < FUSED_S and self._database.may_run(each)
            with self._counting:
                if not is_quick or self._calls[lane] >= each.concurrency:
                    break
                self._calls[lane] += 1
            chosen.append(each)
        claimed.fused = chosen
        return chosen

    def note_heavy(self, claimed: Claimed, rows: int) -> None:
        """Take in that a claim's rows are so heavy that only so many could be read."""
        with self._counting:
            self._most_rows[claimed.lane.trigger] = max(rows, 1)

    def fewer_calls(self, claimed: Claimed, calls: int) -> None:
        """Take in that a claim needs only so many calls."""
        if calls < claimed.calls:
            self._count(claimed, calls - claimed.calls)

    def more_calls(self, claimed: Claimed, calls: int) -> None:
        """Take in that so many more calls of a claim are made at once."""
        self._count(claimed, calls)

    def end_call(self, claimed: Claimed) -> None:
        """Take in that one call of a claim has ended."""
        if claimed.turns is not None and claimed.turns.beyond:
            self._settle(
                claimed, claimed.turns.take_beyond(), ()
            )  # before the next call's turn is taken
        if claimed.calls:
            self._count(claimed, -1)

    def end(self, claimed: Claimed) -> None:
        """Take in that a claim has ended, in whichever way."""
        seconds = clock.monotonic_s() - claimed.began_s
        self._runs.shared.end(claimed)
        if self._suspects.end(claimed.tasks):
            self._database.backend.called.give()
        if claimed.is_quick:
            self._shares.note(claimed.lane.trigger, seconds)
        self._count(claimed, -claimed.calls)
        with self._counting:
            for spec in claimed.fused:
                self._calls[Lane(spec.name, False)] -= 1
            claimed.fused = ()
        ended = self._database.graph.triggers.get(claimed.lane.trigger)
        if ended is not None and ended.schedule is not None:
            self._scheduler.look_again()
            self._database.backend.called.give()
        if claimed.lane.is_build:
            with self._lock:
                self._builds.note_end(claimed.lane.trigger, claimed.rows, seconds)
            self._database.backend.called.give()  # the next part is not tasks yet, so nobody else calls
        if claimed.turns is not None:
            self._settle(claimed, claimed.turns.take_beyond(), claimed.turns.left)

    def _settle(self, claimed: Claimed, beyond: int, left: Sequence[float]) -> None:
        spec = self._database.graph.triggers.get(claimed.lane.trigger)
        if spec is not None and (beyond or left):
            self._database.write(
                lambda tx: self._pace.settle(tx, spec, beyond, left), is_durable=False
            )

    def _count(self, claimed: Claimed, calls: int) -> None:
        """Count calls that a claim takes up, or does not any more; call who claims where that leaves room for more."""
        lane = claimed.lane
        spec = self._database.graph.triggers.get(lane.trigger)
        with self._counting:
            claimed.calls += calls
            self._calls[lane] += calls
            if spec is None:
                return
            takes = self._runs.takes(spec)
            if takes != NOTHING:
                self._capacity_of(spec).take(takes, calls)
            is_room = lane in self._full and self._room(spec, lane) > self._ahead(spec) // 2
            if calls < 0 and is_room:
                self._full.discard(lane)
        if calls < 0 and (is_room or takes != NOTHING):
            self._database.backend.called.give()

    def _capacity_of(self, spec: TriggerSpec) -> Capacity:
        return self._cluster if self._runs.is_on_cluster(spec) else self._capacity

    def note_built(self, seconds: float) -> None:
        """Take in how long the commit of a candidate's outputs has taken."""
        with self._lock:
            self._builds.note_commit(seconds)

    def _taken(self, tx: Transaction) -> tuple[Claimed | None, int, bool, bool]:
        """Claim tasks, and the turns of their calls; return how many calls at once they take up, whether others were dropped as they had waited too long, and
        whether there is more that may run beside these."""
        graph = self._database.graph  # as it is now: another process may have replaced it since
        signs = claim.signs(tx)
        if signs.are_postponed:
            claim.ripen(tx, self._mine(claim.triggers_with(tx, TaskStatus.POSTPONED)))
        rooms, has_dropped, expiring = self._rooms(tx), False, self._mine(graph.expiring)
        # After it is known where there is room: a call that ends meanwhile makes none for what has waited too long by then.
        while drop_expired(tx, graph, expiring, clock.now_ms()):
            settle_all(tx, self._database.layouts)
            rooms, has_dropped = self._rooms(tx), True
        if signs.is_alone:
            rooms = {lane: room for lane, room in rooms.items() if not room.spec.writes_freely}
        limits, _ = self._limits(tx, rooms)
        tasks = self._claimed(tx, limits, are_suspects=signs.are_suspects)
        if not tasks:
            return None, 0, has_dropped, False
        lane, rows = tasks[0].lane, sum(task.size for task in tasks)
        spec, room = graph.triggers[lane.trigger], rooms[lane]
        calls = 1 if room.is_quick else -(-rows // (spec.batch or 1))
        turns = self._pace.take(tx, spec, tasks)
        claimed = Claimed(tasks, room.is_quick, self._at_once(spec), turns)
        if lane.is_build:
            has_more = backfills.is_building(tx, [lane.trigger])
            self._builds.note_claim(is_last=not has_more and not backlog.any_ready(tx, [lane]))
        with self._counting:
            if rows >= limits[lane]:  # perhaps there is more
                self._full.add(lane)
                if lane.trigger in self._most_rows:  # perhaps these are not as heavy
                    self._most_rows[lane.trigger] += 1 + rows // 8
            beside = [each for each in limits if each != lane or self._room(spec, lane) - calls > 0]
        return claimed, calls, has_dropped, backlog.any_ready(tx, beside)

    def _claimed(
        self, tx: Transaction, limits: Mapping[Lane, int], *, are_suspects: bool
    ) -> list[Task]:
        """Claim tasks: suspects, or those of the trigger whose turn it is; none while suspects wait to be alone."""
        suspect = claim.suspect_of(tx, limits) if are_suspects else None
        may_begin = self._suspects.may_begin(are_any=suspect is not None)
        if suspect is not None and may_begin:
            return claim.claim_suspects(
                tx, self._owner.name, suspect, limits, self._lines(tx, limits)
            )
        if self._suspects.are_waiting:
            return []
        triggers = self._database.graph.triggers
        folds = {lane.trigger for lane in limits if triggers[lane.trigger].fold}
        lines = self._lines(tx, limits)
        return claim.claim(tx, self._owner.name, limits, self._shares.choose, folds, lines)

    def _lines(self, tx: Transaction, lanes: Iterable[Lane]) -> Mapping[str, PlacesOf]:
        layouts = self._database.layouts
        specs = (layouts.graph.triggers[lane.trigger] for lane in lanes)
        return {
            spec.name: partial(places_in_line, tx, layouts[spec.table], spec)
            for spec in specs
            if spec.serial_by is not None
        }

    def _limits(
        self, tx: Transaction, rooms: Mapping[Lane, Room]
    ) -> tuple[dict[Lane, int], int | None]:
        """Return the lanes whose work may be claimed now, with the rows that one claim may hold; and when one that its
        pace holds back may be looked at again."""
        graph = self._database.graph
        most: dict[str, int] = {}
        for lane, room in rooms.items():
            most[lane.trigger] = max(most.get(lane.trigger, 0), room.rows)
        limited, held_ms = self._pace.limited(
            tx, [(graph.triggers[name], rows) for name, rows in most.items()]
        )
        allowed = dict(limited)
        limits = {
            lane: min(allowed[lane.trigger], room.rows)
            for lane, room in rooms.items()
            if lane.trigger in allowed
        }
        for lane in limits:
            if lane.is_build:
                spec = graph.triggers[lane.trigger]
                least = (spec.batch or 1) * spec.concurrency
                limits[lane] = max(self._builds.rows(spec, limits[lane]), min(limits[lane], least))
        return limits, held_ms

    def _note_due(self, due_ms: int | None) -> None:
        """Remember when the next postponed task is due; who waits for work by now must not sleep beyond it."""
        is_new, self._due_ms = due_ms not in (None, self._due_ms), due_ms
        if is_new:
            self._database.backend.called.give()

    # -- how much of it --

    def _mine(self, names: Iterable[str]) -> list[str]:
        """Return those of some triggers that this process may run."""
        triggers = self._database.graph.triggers
        return [
            name for name in names if name in triggers and self._database.may_run(triggers[name])
        ]

    def _rooms(self, tx: Transaction) -> dict[Lane, Room]:
        """Return the lanes that have work and in which calls may begin now: what is built for a candidate takes no place from
        the live work."""
        found: dict[Lane, Room] = {}
        names = self._mine(claim.triggers_with(tx, TaskStatus.READY))
        specs = [self._database.graph.triggers[name] for name in names]
        with self._counting:
            for spec in specs:
                may_build = spec.is_versioned and not self._builds.rest_s()
                for is_build in (False, True) if may_build else (False,):
                    lane = Lane(spec.name, is_build)
                    calls = self._room(spec, lane)
                    if calls > 0:
                        room = self._room_of(spec, calls)
                        most = self._most_rows.get(spec.name, room.rows)
                        found[lane] = room._replace(rows=min(room.rows, most))
                    else:
                        self._full.add(lane)
        return found

    def _room(self, spec: TriggerSpec, lane: Lane) -> int:
        """Return how many calls may be claimed. One claim at a time is built for a candidate."""
        if lane.is_build and self._calls[lane]:
            return 0
        at_once = self._at_once(spec)
        ahead = self._ahead(spec) if at_once == spec.concurrency else 0
        most = min(at_once + ahead, self._runs.room(spec))
        left = max(int(most) - self._calls[lane], 0)
        return self._capacity_of(spec).room(self._runs.takes(spec), left)

    def _ahead(self, spec: TriggerSpec) -> int:
        """Return how many calls may be claimed before their time: none that would hold something meanwhile."""
        each_s = self._database.costs.seconds_each(spec.name)
        is_limited = (
            spec.rate is not None or self._runs.takes(spec) != NOTHING or spec.may_be_abandoned
        )
        if each_s is None or is_limited:
            return 0
        call_s = each_s * (spec.batch or 1)
        return 0 if call_s < QUICK_S else int(spec.concurrency * AHEAD_S / call_s)

    def _room_of(self, spec: TriggerSpec, calls: int) -> Room:
        """Return how many rows one claim may hold, by what calls have been measured to take."""
        if (
            spec.once == "at_most"
        ):  # what is noted as begun is one call: no other is in doubt when it ends the process
            return Room(spec, 1, is_quick=False)
        costs, batch, room = self._database.costs, spec.batch or 1, self._runs.room(spec)
        each_s = costs.seconds_each(spec.name)
        if each_s is None or each_s * batch >= QUICK_S:
            least = MEMO_ROWS if spec.memo else self._least_rows
            return Room(spec, max(min(calls * batch, RANGE_LIMIT), least), is_quick=False)
        each_s += sum(
            costs.seconds_each(e.name) or 0 for e in self._database.graph.fused_with(spec)
        )
        rows = min(int(CLAIM_S / max(each_s, 1e-9)), RANGE_LIMIT, room * batch)
        return Room(spec, max(int(rows) // batch * batch, batch), is_quick=True)


class Room(NamedTuple):
    """How many rows a claim of a trigger may hold, and whether their calls are so quick that one thread makes them."""

    spec: TriggerSpec
    rows: int
    is_quick: bool
